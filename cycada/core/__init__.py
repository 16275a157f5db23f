"""Errors, registries, files, locks and types that all other packages share."""
