"""Sweeps: many experiments from one file, planned, launched and shown."""
