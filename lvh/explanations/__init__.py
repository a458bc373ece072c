"""Explanations: which leads, waves and inputs the scores of a model depend on."""
