"""Where training runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import torch

from ostinato.errors import ConfigError
from ostinato.training.precision import choose_precision
from ostinato.training.settings import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def choose_device(name: str = "auto") -> torch.device:
    """Turns "auto", "cpu", "cuda", "cuda:1" or "mps" into a device that is there; "auto" is CUDA if possible, else the CPU.

    Raises:
        ConfigError: no such device, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name}") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 0):
        raise ConfigError(f"device: {name} is not on this machine; choose auto or cpu")
    return device


def make_fabric(device: str = "auto", precision: Precision = "auto") -> Fabric:
    """Lightning Fabric for one device.

    Raises:
        ConfigError: the device is not there, or cannot compute in this precision.
    """
    place = choose_device(device)
    chosen = choose_precision(precision, place)
    # Imported late: loading Lightning takes a second, and only training needs it.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision on stderr
    devices = [place.index or 0] if place.type == "cuda" else 1
    return Fabric(accelerator=place.type, devices=devices, precision=cast("_PRECISION_INPUT", chosen))
