"""Weights in 8 bits, by ONNX Runtime's own dynamic quantisation."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path


def quantise(file: Path) -> None:
    """Rewrites a model with int8 weights in its products, LSTMs and embeddings; what enters a product is rounded as it comes.

    Args:
        file: of the model; it is replaced as a whole.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises to run a preparation that the exporter has done
    try:
        quantize_dynamic(
            str(file),
            partial,
            weight_type=QuantType.QInt8,
            extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True, "DefaultTensorType": 1},
        )
        os.chmod(partial, file.stat().st_mode & 0o777)
        os.replace(partial, file)
    except BaseException:
        os.unlink(partial)
        raise
    finally:
        root.setLevel(level)
