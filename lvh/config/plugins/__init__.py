"""Plugins: models, features and sources of users, which join the registries."""
