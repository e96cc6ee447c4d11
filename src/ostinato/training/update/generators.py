"""The random generators that training draws from: torch's, of the CPU and of the device.

Nothing in Ostinato draws from Python's or numpy's global generators: masks that numpy draws are seeded by torch's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch

Generators: TypeAlias = dict[str, torch.Tensor | None]


def read_generators(device: torch.device) -> Generators:
    """Read the states of the generators; this takes microseconds and does not wait for the device."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_generators(state: Generators, device: torch.device) -> None:
    """Set the generators to a state that `read_generators` gave."""
    if state["cpu"] is not None:
        torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Restore the generators afterwards, so that random numbers drawn inside do not change the training."""
    state = read_generators(device)
    try:
        yield
    finally:
        set_generators(state, device)
