"""Calls of the machine code: bound to their tensors, on the threads that there are."""
