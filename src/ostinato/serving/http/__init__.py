"""HTTP: the routes of `ostinato serve`, their limits, and the server that they run in."""
