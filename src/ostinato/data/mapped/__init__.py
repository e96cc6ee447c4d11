"""Tables of series larger than memory: read once into typed columns on disk, which are mapped."""
