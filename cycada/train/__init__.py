"""Training: one step, one loop, devices, optimizers, schedules, meters and checkpoints."""
