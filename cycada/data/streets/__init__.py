"""Drawn streets: a synthetic segmentation domain in two looks."""
