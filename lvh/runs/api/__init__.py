"""Python: cross-validate, sweep and read results from a notebook or a script."""
