"""Machine code of a schedule, for this machine's processor."""
