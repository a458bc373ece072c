"""Hydra's sweeper of this package: a study of the swept overrides."""
