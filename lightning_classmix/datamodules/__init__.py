"""The LightningDataModules: from files or data sets to batches."""
