"""From a plan to Triton source, and from the source to functions."""
