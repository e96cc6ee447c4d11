"""The protocols of a backend (a way to run recurrences) and of a bound call: the other side of the seam in `dispatch`."""

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
        name: the backend's name.
        takes_packed: whether it runs packed requests as they are, outside of recordings; if not, they are padded for it.
        takes_segments: whether it handles `Request.segment` itself; if not, it is called segment by segment.
    """

    name: str
    takes_packed: bool
    takes_segments: bool

    @property
    def devices(self) -> tuple[str, ...] | None:
        """The types of devices that it is for; "auto" does not ask it about others.

        None for a backend that is always asked, and says itself why it cannot run on a device.
        """
        ...

    def is_faster(self, cell: Cell, input: Tensor) -> bool:
        """Whether it is faster than torch's kernels on a cell that both can run."""
        ...

    def binds(self, input: Tensor) -> bool:
        """Whether it may be able to bind a call with such an input."""
        ...

    def refusal(self, request: Request) -> str | None:
        """Why it cannot run the request; None if it can."""
        ...

    def reluctance(self, request: Request) -> str | None:
        """Why "auto" should ask the next backend, although this one can run the request; None if it should not."""
        ...

    def acceptance(self, request: Request) -> str:
        """Say what it will run, for `explain`."""
        ...

    def run(self, request: Request) -> Result:
        """Run the request."""
        ...

    def bind(self, spec: CallSpec, given: Sequence[Tensor], is_one_step: bool) -> Bound | None:
        """Make an object that runs such calls again and again, see `CallSpec`.

        None if the backend runs requests only, or cannot bind this call.

        Args:
            spec: the constants of the call.
            given: the call's tensors.
            is_one_step: whether all rows have a single step. If several backends bind a call of one step, "auto" takes the last.
        """
        ...


class Bound(Protocol):
    """A call that is bound: what does not change from one run to the next has been prepared once."""

    def look(self, given: Sequence[Tensor]) -> Any:
        """Check that what was bound has not changed and that these tensors fit; give what `run` expects as `now`, else None.

        First states may be missing; they are then zeros.
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
        """Run the call and give its outputs, as one node for autograd.

        `now` is what `look` gave. If `masks` is empty, the expectation of each mask is used. `idle`: see `Request`.
        """
        ...
