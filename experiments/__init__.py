"""Runners for the experiments of the papers, such as `python -m experiments.ablation --help`."""

from cycada.core.waiting import wait_briefly

wait_briefly()
