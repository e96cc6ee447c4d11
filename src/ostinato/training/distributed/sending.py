"""Objects as bytes, for another process: anything that can be pickled.

All tensors, however deep in the object, arrive on the CPU, as the receiver may lack their device. Of a view only the span that it
shows is sent, and not its whole storage, which may be a mapped file. Strides are kept, and with them the order of sums.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torch
from typing_extensions import override


def to_bytes(thing: Any) -> bytes:
    """Turn an object into bytes, for `from_bytes` in a process of the same program.

    Raises:
        TypeError: something in it cannot be pickled.
    """
    file = io.BytesIO()
    try:
        _Pickler(file).dump(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(" ".join(str(error).split())) from error
    return file.getvalue()


def from_bytes(content: bytes) -> Any:
    """The inverse of `to_bytes`."""
    return pickle.loads(content)


class _Pickler(pickle.Pickler):
    @override
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) not in (torch.Tensor, torch.nn.Parameter) or not _is_plain(obj):
            return NotImplemented
        here = obj.detach().cpu()
        span = 1 + sum((size - 1) * stride for size, stride in zip(here.shape, here.stride(), strict=True))
        flat = torch.as_strided(here, (span if here.numel() else 0,), (1,))
        return _tensor, (flat.view(torch.uint8).numpy(), here.dtype, tuple(here.shape), here.stride())


def _is_plain(tensor: torch.Tensor) -> bool:
    strange = tensor.is_quantized or tensor.is_conj() or tensor.is_neg() or tensor.device.type == "meta"
    return tensor.layout is torch.strided and not strange


def _tensor(content: np.ndarray, dtype: torch.dtype, shape: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(content).clone().view(dtype).as_strided(shape, stride)  # a copy lies as torch has it
