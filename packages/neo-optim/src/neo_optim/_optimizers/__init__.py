"""The optimizers: one file each, with its transformation, its state and its alias."""
