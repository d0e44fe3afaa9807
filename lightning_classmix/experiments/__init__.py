"""Whole experiments: trainings that are compared."""
