"""One step of one row through a whole stack: the code, the weights in its order, and the state that it goes on from."""
