"""Processes of mergeq, Redis and the network end at every write in turn, and what must hold afterwards holds."""
