"""The commands. Each module here is also `python -m lvh.NAME`."""
