"""Export: chosen chips of a dataset as files that others train on and read about."""
