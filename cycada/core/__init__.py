"""What every other package shares: errors, registries, files, locks and types."""
