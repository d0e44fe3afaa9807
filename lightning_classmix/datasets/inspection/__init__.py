"""What the files of a dataset contain: counts of classes, and faults."""
