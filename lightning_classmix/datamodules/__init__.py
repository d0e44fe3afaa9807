"""LightningDataModules: from files or datasets to batches."""
