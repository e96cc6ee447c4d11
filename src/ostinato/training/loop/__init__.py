"""The training loop: how long, how it is judged, what a person sees."""
