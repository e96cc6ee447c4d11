"""Answers and scores by many workers, on this machine or on a cluster: `--engine`."""
