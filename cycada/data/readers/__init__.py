"""The domains that are read from files or rendered."""
