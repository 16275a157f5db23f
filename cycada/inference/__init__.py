"""Trained generators in use: translating pictures and folders, tiling, and export."""
