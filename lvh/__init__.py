"""Honest, fast, tracked hyperparameter sweeps for detecting LVH in 12-lead ECG."""

__version__ = "0.1.0"
