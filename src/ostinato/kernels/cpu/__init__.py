"""From a graph of pointwise operations and matrix products to machine code, through LLVM."""
