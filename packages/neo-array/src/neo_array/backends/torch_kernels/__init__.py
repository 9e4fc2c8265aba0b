"""Torch kernels that are more than one call: one file for each family of ops, loaded when such an op first runs."""
