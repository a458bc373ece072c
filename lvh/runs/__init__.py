"""One configuration, or a sweep, from end to end."""
