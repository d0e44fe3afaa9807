"""Which files belong to a dataset: layouts, lists, pairs of image and label."""
