"""What a user may set: typed, checked, composed by Hydra."""
