"""Run folders: what a stage stores, how its id is computed, and how its networks are loaded again."""
