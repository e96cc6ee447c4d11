"""Choose the floating point precision for a device."""

from __future__ import annotations

import torch

from ostinato.errors import ConfigError
from ostinato.kernels.compiled import has_fast_bf16 as cpu_has_fast_bf16
from ostinato.training.run.settings import Precision


def has_fast_bf16(device: torch.device) -> bool:
    """Whether matrix products of bfloat16 run in hardware.

    That is CUDA from compute capability 8.0 on, and the CPUs of `ostinato.kernels.compiled.has_fast_bf16`.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and cpu_has_fast_bf16()


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """Replace "auto" with the precision that suits the device: "bf16-mixed" if that is fast, else "32-true".

    Raises:
        ConfigError: "16-mixed" on a device other than CUDA, for which there is no gradient scaler.
    """
    if precision == "auto":
        return "bf16-mixed" if has_fast_bf16(device) else "32-true"
    if precision == "16-mixed" and device.type != "cuda":
        raise ConfigError(
            f"precision 16-mixed needs a CUDA device, this is {device.type}; choose bf16-mixed or 32-true"
        )
    return precision
