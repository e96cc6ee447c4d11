"""What Ostinato's layers cost, beside torch.nn, ONNX Runtime, a plain loop and the machine's own limit: `make bench`."""
