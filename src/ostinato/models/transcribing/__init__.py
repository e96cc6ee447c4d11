"""Frames in, a shorter text out: connectionist temporal classification (CTC), and the search for its answers."""
