"""TrainState: one step, one loop, one device file, checkpoints and evaluation."""
