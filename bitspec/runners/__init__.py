"""Runs trials: the runner protocol, the plan of a study, the local runner, and how it looks while it works."""
