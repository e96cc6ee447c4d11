"""What a session of each kind of task reads and says."""
