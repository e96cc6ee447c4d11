"""Pages that explain: HTML with embedded pictures, which open without a server or a network."""
