"""Pages that explain: HTML with pictures in it, which open without a server or a network."""
