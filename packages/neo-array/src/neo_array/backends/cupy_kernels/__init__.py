"""CuPy kernels for what NumPy's kernels do not say in functions that dispatch: one file for each family of ops."""
