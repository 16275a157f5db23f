"""Drawn streets: a synthetic domain with exact masks, in the look of a game and in the look of photos."""
