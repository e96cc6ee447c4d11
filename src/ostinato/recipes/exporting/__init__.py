"""What `ostinato export` writes of a run: a folder of ONNX with a runner, or of C."""
