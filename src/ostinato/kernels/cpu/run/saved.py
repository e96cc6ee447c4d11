"""What a forward pass saves for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.kernels.cpu.run.jobs import Where
from ostinato.kernels.cpu.run.launch import view
from ostinato.kernels.cpu.run.route import MaskKind, Route
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.types import Tensor


class Saved:
    """What the backward pass needs.

    Args and attributes:
        route: where everything is stored.
        given: the tensors as they were read: the input in flat rows, parameters, first states in the order of the places.
        shown: the outputs: for each layer that is shown and each of its states all flat rows, `(rows, D W)`, in the common order.
        masks: the masks of each place, in the order of the rows, each with its kind.
        block: see `Route`; None if it is to be computed again, segment by segment.
        segments: for each segment its first states.
    """

    def __init__(
        self,
        route: Route,
        given: list[Tensor],
        shown: list[Tensor],
        masks: list[tuple[Tensor, MaskKind]],
        block: Tensor | None = None,
        segments: Sequence[list[Tensor]] = (),
    ) -> None:
        self.route, self.given, self.shown, self.masks = route, given, shown, masks
        self.block, self.segments = block, segments

    def _view(self, where: Where, row: int) -> Tensor:
        """The numbers stored at `where`, as `(rows, row)`."""
        source, offset = where
        if source == 0:
            return self.given[0].view(-1, row)
        if source < self.route.block:
            return self.shown[source - len(self.given)].view(-1, row)
        assert self.block is not None
        return view(self.block, offset, self.route.order.total, row)

    def input(self, call: Sizes, place: int) -> Tensor:
        """The input of a place, `(rows, I)`."""
        return self._view(self.route.inputs[place], call.passes[place].inputs)

    def state(self, call: Sizes, place: int, n: int) -> Tensor:
        """A state of a place at every flat row, `(rows, W)`."""
        of, pitch, where = call.passes[place], self.route.pitches[place][n], self.route.states[place][n]
        width = list(of.states.values())[n]
        assert where is not None
        if pitch in (0, width):
            return self._view(where, width)
        begin = place % len(self.route.order.rows) * width
        whole = self._view((where[0], where[1] - begin * of.shape.bytes), pitch)
        return whole[:, begin : begin + width]

    def part(self, call: Sizes, place: int, name: tuple[str, str]) -> Tensor:
        """One of the entries of `Kept` of a place, `(rows, ...)`."""
        total = self.route.order.total
        kept = call.passes[place].kept(total, self.route.pitches[place])
        assert self.block is not None
        return view(self.block, self.route.kept[place] + kept.offsets[name], total, *kept.rows[name])
