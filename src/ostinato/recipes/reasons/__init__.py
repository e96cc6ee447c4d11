"""Why the model of a run gave an answer, for any task."""
