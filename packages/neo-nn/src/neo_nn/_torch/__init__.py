"""Kernels on raw torch tensors, one file a family: what neo_nn imports torch in, when such an op first runs there."""
