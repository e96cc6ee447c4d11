"""The report of `ostinato inspect`, on the run of any task."""
