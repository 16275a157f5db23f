"""Trained generators in use: translating folders, tiling and export."""
