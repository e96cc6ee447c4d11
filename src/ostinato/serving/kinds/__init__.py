"""The inputs and outputs of a session, for each kind of task."""
