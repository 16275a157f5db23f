"""Running experiments: folders, tracking, progress, pictures."""
