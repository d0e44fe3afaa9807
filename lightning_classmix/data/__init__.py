"""Data sets, their order and augmentation, and the paired loaders."""
