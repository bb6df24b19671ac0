"""Trains what a spec selects: tasks and their metrics, models, and the training of one trial."""
