"""Runs: training, resuming, reusing, scoring and verifying the stages of an experiment."""
