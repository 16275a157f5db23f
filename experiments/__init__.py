"""Runners for the experiments of the papers, such as `python -m experiments.ablation --help`."""
