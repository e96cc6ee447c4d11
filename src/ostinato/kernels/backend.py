"""What a way to run recurrences has to offer: the other side of the seam that `dispatch` is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ostinato.cells.spec import Cell
from ostinato.kernels.call import CallSpec
from ostinato.kernels.request import Request, Result
from ostinato.types import Tensor


class Backend(Protocol):
    """A way to run a request. It says no with a reason, never by failing.

    Attributes:
        name: of the backend.
        takes_packed: whether it runs packed requests as they are, outside of recordings; else they are padded for it.
        takes_segments: whether it knows `Request.segment`; else it is called segment by segment.
    """

    name: str
    takes_packed: bool
    takes_segments: bool

    @property
    def devices(self) -> tuple[str, ...] | None:
        """The types of devices that it is for: of others "auto" does not ask it. None for one that says itself why not."""
        ...

    def is_faster(self, cell: Cell, input: Tensor) -> bool:
        """Whether it is faster than torch's kernels, where both run a cell."""
        ...

    def binds(self, input: Tensor) -> bool:
        """Whether it may bind a call with such an input."""
        ...

    def refusal(self, request: Request) -> str | None:
        """None when it can run the request, else why not."""
        ...

    def reluctance(self, request: Request) -> str | None:
        """Why "auto" should rather ask the next backend, though this one can run the request; else None."""
        ...

    def acceptance(self, request: Request) -> str:
        """What it will run, for `explain`."""
        ...

    def run(self, request: Request) -> Result:
        """Run it."""
        ...

    def bind(self, spec: CallSpec, given: Sequence[Tensor], is_one_step: bool) -> Bound | None:
        """What runs such calls again and again, see `CallSpec`; None where it runs requests only, or not these.

        Args:
            spec: of the call.
            given: its tensors.
            is_one_step: whether all rows have a single step. Where several backends bind a call of one step, "auto" takes the last.
        """
        ...


class Bound(Protocol):
    """A call that is bound to what does not change from one time to the next."""

    def look(self, given: Sequence[Tensor]) -> Any:
        """None unless what it was bound to is still so, and these tensors are of its kind; else what `run` wants to know.

        First states may be missing, for zeros.
        """
        ...

    def run(
        self,
        given: Sequence[Tensor],
        now: Any,
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        idle: frozenset[str] = frozenset(),
    ) -> Sequence[Tensor]:
        """What the call gives, as one node for autograd; `now` is what `look` gave. No `masks` stand for their expectations.

        `idle`: see `Request`.
        """
        ...
