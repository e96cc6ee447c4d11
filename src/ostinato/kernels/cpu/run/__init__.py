"""Calls of the machine code: how they are bound to their tensors, and run on the available threads."""
