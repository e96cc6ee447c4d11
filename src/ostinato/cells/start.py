"""The initial value of a parameter: a number, a distribution by its name, or a function that fills it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import init

from ostinato.errors import CellError
from ostinato.types import Tensor


def _orthogonal(v: Tensor) -> Tensor:
    if v.dtype in (torch.float32, torch.float64):
        return init.orthogonal_(v)
    return v.copy_(init.orthogonal_(torch.empty_like(v, dtype=torch.float32)))  # torch has no QR in half precision


def _log_uniform(v: Tensor, low: float, high: float) -> Tensor:
    return init.uniform_(v, math.log(low), math.log(high)).exp_()


def _with(function: Callable[..., Any], numbers: Sequence[float], v: Tensor) -> Any:
    return function(v, *numbers)


def _he(v: Tensor) -> Tensor:
    return init.kaiming_uniform_(v, nonlinearity="relu")


def _identity(v: Tensor, scale: float = 1.0) -> Tensor:
    return init.eye_(v).mul_(scale)


# By name: the function, and the least and greatest number of numbers that it takes.
_KNOWN: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "uniform": (init.uniform_, 2, 2),
    "log_uniform": (_log_uniform, 2, 2),
    "normal": (init.normal_, 2, 2),
    "constant": (init.constant_, 1, 1),
    "identity": (_identity, 0, 1),
    "orthogonal": (_orthogonal, 0, 0),
    "xavier": (init.xavier_uniform_, 0, 0),
    "he": (_he, 0, 0),
}
_OF_MATRICES = {"identity", "orthogonal", "xavier", "he"}
NAMES = (
    "uniform(low, high), log_uniform(low, high), normal(mean, std), identity, identity(scale), orthogonal, xavier, he"
)


@dataclass(frozen=True)
class Start:
    """The initial value of a parameter, as a function that fills it.

    Attributes:
        fill: fills a tensor in place.
        text: the description that it was made from, for `repr`.
        counts_heads: whether `fill` takes `num_heads` too.
        is_own: whether it is somebody's function, of which nothing is known.
    """

    fill: Callable[..., Any]
    text: str
    counts_heads: bool = False
    is_own: bool = False

    def __call__(self, v: Tensor, heads: int) -> None:
        """Fill `v`, a parameter of a layer with this number of heads.

        Raises:
            CellError: a function has left a number as it was, or made it NaN.
        """
        # A tensor of the meta device, or a fake one, has no numbers.
        is_looked_at = self.is_own and type(v) in (torch.Tensor, torch.nn.Parameter) and not v.is_meta
        if is_looked_at:
            v.fill_(math.nan)  # a new parameter holds whatever was in the memory
        if self.counts_heads:
            self.fill(v, num_heads=heads)
        else:
            self.fill(v)
        if is_looked_at and bool(v.isnan().any()):
            raise CellError(
                f"the start {self.text} expected to fill all numbers of its tensor, {tuple(v.shape)}, in place, as torch.nn.init "
                "does, got one that leaves some as they were, or NaN; a tensor that it returns is not used, v.copy_(...) takes it"
            )

    def __repr__(self) -> str:
        return self.text


def start(what: str, given: object, dims: int | None = None) -> Start:
    """The start that `given` describes: a number, one of `NAMES`, or a function that fills a tensor as in `torch.nn.init`.

    A function with an argument `num_heads` gets the layer's. `what` is the parameter's name, for the error; `dims` is 1 for a
    vector and 2 for a matrix, if it is known.

    Raises:
        CellError: `given` is anything else.
    """
    if isinstance(given, Start):
        return given
    if isinstance(given, int | float) and not isinstance(given, bool) and not math.isnan(given):
        number = float(given)
        return Start(partial(init.constant_, val=number), repr(number))
    if callable(given):
        counts_heads = inspect.isfunction(given) and "num_heads" in inspect.signature(given).parameters
        return Start(given, getattr(given, "__name__", type(given).__name__), counts_heads, is_own=True)
    if isinstance(given, str) and (found := re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", given)) and found[1] in _KNOWN:
        function, least, most = _KNOWN[found[1]]
        if dims == 1 and found[1] in _OF_MATRICES:
            raise CellError(
                f"the start of {what} expected one for a vector, a number, uniform(low, high), log_uniform(low, high), "
                f"normal(mean, std) or a function, got {given!r}, which is one for matrices"
            )
        try:
            numbers = [float(each) for each in found[2].split(",")] if (found[2] or "").strip() else []
        except ValueError:
            numbers = [math.nan] * (most + 1)
        if least <= len(numbers) <= most:
            fill = partial(_with, function, numbers)
            try:
                # Describing a cell must not change the state of the user's random generator.
                with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
                    fill(torch.empty(2, 2, device="cpu"))
            except (RuntimeError, ValueError) as error:
                said = str(error).partition("\n")[0]
                raise CellError(
                    f"the start of {what} got numbers that do not go together, {given!r}: {said}"
                ) from error
            return Start(fill, given)
    raise CellError(
        f"the start of {what} expected a number, one of {NAMES}, or a function that fills a tensor, got {given!r}"
    )
