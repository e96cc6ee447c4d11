"""Texts larger than memory: read once into columns on disk, which are mapped."""
