"""Readers of one record: WFDB, CSV and EDF."""
