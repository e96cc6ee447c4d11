"""The states before the first step, for a call that gives none."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch

from ostinato.types import Tensor


@dataclass(frozen=True)
class FirstState:
    """How states start: at zeros, at a learned vector, or with noise around it; made by `first_state`.

    Attributes:
        learned: each state of each layer and direction starts at a parameter of its own, which is initialised to zero.
        std: standard deviation of the noise that is added to the first state, in training only.
    """

    learned: bool = False
    std: float = 0.0

    def __post_init__(self) -> None:
        is_number = isinstance(self.std, int | float) and not isinstance(self.std, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not 0 <= self.std < math.inf:
            raise ValueError(f"noisy expected a standard deviation of at least 0, got {self.std!r}")

    def make(self, parameter: Tensor | None, like: Tensor, rows: int, size: int, training: bool) -> Tensor:
        """Make the first state of `rows` rows, `(rows, size)`.

        Args:
            parameter: the learned state, `(size,)`; None to start at zeros.
            like: gives the device and the dtype.
            rows: `B`.
            size: how many numbers the state has in a row.
            training: whether noise is added.
        """
        if parameter is not None:
            state = parameter.expand(rows, size)
        else:
            state = torch.zeros(rows, size, dtype=like.dtype, device=like.device)
        return state + self.std * torch.randn_like(state) if training and self.std > 0 else state

    @property
    def is_zero(self) -> bool:
        """Whether states start at zeros, without noise."""
        return self == FirstState()


def noisy(std: float) -> FirstState:
    """Zeros, plus Gaussian noise of this standard deviation in training. The network learns to forget its first state.

    Source: Zimmermann, Tietz & Grothmann 2012, Forecasting with Recurrent Neural Networks: 12 Tricks.
    """
    return FirstState(std=std)


def first_state(given: object) -> FirstState:
    """The first state that the option `initial_state` names: "zeros", "learned" or "noisy(std)".

    Raises:
        ValueError: `given` is anything else.
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
