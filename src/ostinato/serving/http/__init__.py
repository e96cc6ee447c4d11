"""What speaks HTTP: the routes of `ostinato serve`, their bounds, and the server they run in."""
