"""Models of runs as a service: sessions that keep their state, stepped together. Nothing else in ostinato imports this."""
