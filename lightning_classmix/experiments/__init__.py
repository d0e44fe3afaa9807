"""Experiments: train and compare several methods, and report a run."""
