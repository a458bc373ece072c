"""Splits, thresholds, metrics and calibration: how a score is made honest."""
