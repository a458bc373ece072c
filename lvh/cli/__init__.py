"""The commands. `python -m lvh.NAME` runs the module `NAME` here."""
