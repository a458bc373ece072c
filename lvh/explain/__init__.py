"""What a model looks at: windows, leads, waves and inputs without which it says something else."""
