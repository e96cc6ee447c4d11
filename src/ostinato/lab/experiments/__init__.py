"""The experiments, one a module, each with an `EXPERIMENT`."""
