"""Streaming: steps of one row or more through a whole stack; the code, the weights in its order, the states between steps."""
