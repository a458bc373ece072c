"""Hydra's sweeper of this package: every point of a grid, as one tracked sweep."""
