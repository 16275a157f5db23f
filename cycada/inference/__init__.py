"""Trained networks in use: predicting and translating pictures and folders, tiling, and export."""
