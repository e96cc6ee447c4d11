"""The states before the first step, when none are given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch

from ostinato.types import Tensor


@dataclass(frozen=True)
class FirstState:
    """Zeros, a learned vector, or noise; made by `first_state`.

    Attributes:
        learned: each state of each layer and direction starts at a parameter of its own, zero at first.
        std: standard deviation of the noise around the start, in training only.
    """

    learned: bool = False
    std: float = 0.0

    def __post_init__(self) -> None:
        is_number = isinstance(self.std, int | float) and not isinstance(self.std, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not 0 <= self.std < math.inf:
            raise ValueError(f"noisy expected a standard deviation of at least 0, got {self.std!r}")

    def make(self, parameter: Tensor | None, like: Tensor, rows: int, size: int, training: bool) -> Tensor:
        """`parameter`: `(size,)` if learned. Returns `(rows, size)` with `like`'s device, and its dtype."""
        if parameter is not None:
            state = parameter.expand(rows, size)
        else:
            state = torch.zeros(rows, size, dtype=like.dtype, device=like.device)
        return state + self.std * torch.randn_like(state) if training and self.std > 0 else state

    @property
    def is_zero(self) -> bool:
        """Whether it is plain zeros."""
        return self == FirstState()


def noisy(std: float) -> FirstState:
    """Zeros plus Gaussian noise of this standard deviation in training, which makes a network forget how it began.

    Source: Zimmermann, Tietz & Grothmann 2012, Forecasting with Recurrent Neural Networks: 12 Tricks.
    """
    return FirstState(std=std)


def first_state(given: object) -> FirstState:
    """One of: "zeros", "learned", "noisy(std)".

    Raises:
        ValueError: for anything else.
    """
    if isinstance(given, FirstState):
        return given
    if given == "zeros":
        return FirstState()
    if given == "learned":
        return FirstState(learned=True)
    if isinstance(given, str) and (found := re.fullmatch(r"noisy\(([0-9.eE+-]+)\)", given)):
        try:
            return noisy(float(found[1]))
        except ValueError:
            pass
    raise ValueError(f"initial_state expected 'zeros', 'learned', 'noisy(std)' or a FirstState, got {given!r}")
