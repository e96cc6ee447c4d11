"""Models for other places than Python."""
