"""The transformations that optimizers share: one file each."""
