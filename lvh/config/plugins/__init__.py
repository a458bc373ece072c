"""Plugins: models, features and sources of users, which join the registries."""

from lvh.config.plugins.loading import (
    Plugin,
    check_origins,
    ensure,
    is_loaded,
    load,
    load_installed,
    loaded,
    origins,
)
from lvh.config.plugins.registration import register_features, register_model, register_source

__all__ = [
    "Plugin",
    "check_origins",
    "ensure",
    "is_loaded",
    "load",
    "load_installed",
    "loaded",
    "origins",
    "register_features",
    "register_model",
    "register_source",
]
