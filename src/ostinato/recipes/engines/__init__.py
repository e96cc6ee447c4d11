"""Answers and scores by many workers, here or on a cluster: `--engine`."""
