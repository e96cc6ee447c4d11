"""Frames in, a shorter text out: connectionist temporal classification, and how its answers are found."""
