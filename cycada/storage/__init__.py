"""Run folders: what a stage stores, how it is named and how it is loaded again."""
