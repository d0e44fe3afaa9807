"""Datasets: from image and label files to training samples."""
