"""The one seam between what a recurrence is and how it is run: a request goes in, a backend and the reason for it come out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Backend, Request, Result
from ostinato.kernels.vendor import Vendor

# In the order in which "auto" asks them: the fastest first, and last the one that takes everything.
BACKENDS: dict[str, Backend] = {b.name: b for b in (Vendor(), Reference())}
NAMES = ("auto", *BACKENDS)

_forced: ContextVar[str] = ContextVar("ostinato_backend", default="auto")
_record: ContextVar[list[Choice] | None] = ContextVar("ostinato_record", default=None)


@dataclass(frozen=True)
class Choice:
    """Which backend runs a request.

    Attributes:
        backend: its name.
        reason: why this one; names those that were passed over, each with its reason.
    """

    backend: str
    reason: str


def check_name(name: str) -> str:
    """`name` itself if it is "auto" or a backend; raises `ConfigError` otherwise."""
    if name not in NAMES:
        raise ConfigError(f"backend expected one of {', '.join(NAMES)}, got {name!r}")
    return name


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Run every layer inside the `with` block on this backend: "vendor", "reference", or "auto".

    A backend asked for by name that cannot run a request raises `ConfigError` with the reason; "auto" goes on to the next.
    """
    token = _forced.set(check_name(name))
    try:
        yield
    finally:
        _forced.reset(token)


def wanted(by_layer: str) -> str:
    """The backend to use for a layer with this setting: a `with backend(...)` around it has the last word."""
    forced = _forced.get()
    return by_layer if forced == "auto" else forced


def _select(request: Request, by_layer: str) -> Backend:
    name = wanted(by_layer)
    if name != "auto":
        if refusal := BACKENDS[name].refusal(request):
            raise ConfigError(f"backend {name!r} was asked for by name, but {refusal}. Use backend='auto'")
        return BACKENDS[name]
    return next(b for b in BACKENDS.values() if b.refusal(request) is None)


def choose(request: Request, by_layer: str = "auto") -> Choice:
    """Which backend would run this request, and why."""
    chosen = _select(request, by_layer)
    if wanted(by_layer) != "auto":
        return Choice(chosen.name, f"{chosen.acceptance(request)}; asked for by name")
    refusals = [f"not {b.name}: {refusal}" for b in BACKENDS.values() if (refusal := b.refusal(request))]
    return Choice(chosen.name, "; ".join([chosen.acceptance(request), *refusals]))


def run(request: Request, by_layer: str = "auto") -> Result:
    """Run a request on the first backend that takes it, or on the one asked for by name."""
    if (record := _record.get()) is not None:
        record.append(choose(request, by_layer))
    return _select(request, by_layer).run(request)


def takes_whole_stack(cell: Cell, by_layer: str) -> bool:
    """Whether a stack of layers of this cell, with nothing of ours between them, goes to torch in one call."""
    if cell.vendor is None or wanted(by_layer) not in ("auto", "vendor"):
        return False
    if (record := _record.get()) is not None:
        record.append(
            Choice("vendor", f"torch's {cell.vendor} kernel for the whole stack, exactly as torch.nn calls it")
        )
    return True


@contextlib.contextmanager
def recording() -> Iterator[list[Choice]]:
    """Collect the choice for every request that runs inside the `with` block, in order."""
    choices: list[Choice] = []
    token = _record.set(choices)
    try:
        yield choices
    finally:
        _record.reset(token)
