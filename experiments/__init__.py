"""Runners for the experiments of the papers; each is a module with `--help`, as in `python -m experiments.ablation`."""
