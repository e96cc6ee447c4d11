"""What a call keeps for the next time: routes, launches, packed weights, and what identifies the tensors that it has seen."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch

from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu.code.kernel import Kernel
from ostinato.kernels.cpu.run import gather_rows
from ostinato.kernels.cpu.run.launch import Launch, Stock
from ostinato.kernels.cpu.run.order import Order, Ways, order_of
from ostinato.kernels.cpu.run.packing import KnownWeights, Packed, PackingJob, seen
from ostinato.kernels.cpu.run.route import MaskKind, Part, Route
from ostinato.kernels.cpu.run.rows import KEPT_ROWS
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.kernels.storage import missing
from ostinato.types import Tensor

MOST_KINDS = 16  # kinds of batches for which a call is kept ready
MOST_ZEROS = 256  # zero first states of a batch of up to so many rows are made once and kept

_kind = attrgetter("shape", "dtype")
_KINDS = (torch.nn.Parameter, torch.Tensor)
_address, _is_contiguous = Tensor.data_ptr, Tensor.is_contiguous
_storage, _bytes = Tensor.untyped_storage, torch.UntypedStorage.nbytes


class Binding(Sizes):
    """The sizes of a call and all that it keeps from one time to the next.

    Args:
        spec: the constants of the call.
        kernel: the compiled cell.
        inputs: `I`.
        hidden: `H`.
        output: `P`, or `H` without a projection.
        is_own: whether it belongs to one layer, and may therefore hold that layer's packed weights.
    """

    def __init__(
        self, spec: CallSpec, kernel: Kernel, inputs: int, hidden: int, output: int, is_own: bool = False
    ) -> None:
        super().__init__(spec, kernel, inputs, hidden, output)
        first = self.passes[0]
        self._shown = [self.directions * first.states[name] for name in spec.shown]
        self._shown *= spec.layers if spec.every_state else 1
        self._dims = 2 if spec.packed else 3
        self._known, self._end = KnownWeights([]), self.count - self.states
        self._zeros: dict[int, list[Tensor]] = {}
        self._kinds: list[object] = []
        self._storages: list[int] = []
        self._square: list[int] = []
        self._strides: list[tuple[int, ...]] = []
        self._means: list[tuple[Tensor, MaskKind]] | None = None
        self._is_own = is_own
        packings = [packing for of in self.passes for _, packing in of.packings]
        self._packed = Packed(packings, first.shape, self.functions, is_own)
        self._packed_back: dict[object, tuple[Packed, list[int], list[bool]]] = {}
        # For each parameter, its place in `given` and whether the backward part writes all of its gradient.
        self._gradients = [
            (n, of.written.get(name) == of.shapes[name][0] and not (of.bf16 and len(of.shapes[name]) == 2))
            for place, of in enumerate(self.passes)
            for n, name in enumerate(self.spec.parameters, 1 + place * self.each)
        ]
        self._nothing: int = first.nothing.data_ptr()
        self._parts: dict[tuple[bool | frozenset[str], ...], Part] = {}
        self._routes: dict[Any, Route] = {}
        self._launches: dict[Any, Stock] = {}

    def look(self, given: Sequence[Tensor]) -> list[object] | None:
        """Check that the call can run these tensors (input, parameters and, if any, first states).

        Gives what `seen` says of the parameters, or None if it cannot run them.
        """
        parameters = given[1 : self._end]
        now, known = seen(parameters), self._known
        if (
            now[: self._end - 1] != known.ids
            or list(map(_kind, parameters)) != self._kinds
            or (self._square and [parameters[n].stride() for n in self._square] != self._strides)
            # A storage may have been resized since: freed and then made again, but smaller.
            or list(map(_bytes, map(_storage, parameters))) != self._storages
        ) and not self._meet(parameters):
            return None
        x, dtype = given[0], self.dtype
        shape = x.shape
        if not _is_plain(x, dtype) or len(shape) != self._dims or shape[-1] != self.input_row or not x.numel():
            return None
        for v, width in zip(given[self._end :], self.widths, strict=False):
            of = v.shape
            if not _is_plain(v, dtype) or len(of) not in (2, 3) or of[-1] != width:
                return None
            if self.places != (of[0] if len(of) == 3 else 1) or (not self.spec.packed and of[-2] != shape[1]):
                return None
        return now

    def are_there(self, given: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
        """Whether all numbers of the call's tensors, and of `others`, are in memory."""
        parameters = given[1 : self._end]
        if list(map(_bytes, map(_storage, parameters))) != self._storages and any(map(missing, parameters)):
            return False
        return not any(map(missing, (given[0], *given[self._end :], *others)))

    def _meet(self, parameters: Sequence[Tensor]) -> bool:
        """Check parameters that were not seen before and note what identifies them; False if the call cannot run them."""
        shapes = [of.shapes[name] for of in self.passes for name in self.spec.parameters]
        for v, shape in zip(parameters, shapes, strict=True):
            if not _is_plain(v, self.dtype) or v.shape != shape:
                return False
        self._kinds = list(map(_kind, parameters))
        # The strides of a square matrix may change without its shape: it may be transposed in place.
        self._square = [n for n, v in enumerate(parameters) if v.dim() == 2 and v.shape[0] == v.shape[1]]
        self._strides = [parameters[n].stride() for n in self._square]
        self._storages = list(map(_bytes, map(_storage, parameters)))
        self._known = KnownWeights(parameters)
        return True

    def whole(self, given: Sequence[Tensor], order: Order) -> list[Tensor]:
        """Append zero first states if the call has none."""
        if len(given) == self.count:
            return list(given)
        if (zeros := self._zeros.get(order.batch)) is None:
            sizes = [(self.places, order.batch, width) for width in self.widths]
            with torch.inference_mode(False):
                zeros = [torch.zeros(size, dtype=self.dtype, device="cpu") for size in sizes]
            if order.batch <= MOST_ZEROS:
                while len(self._zeros) >= MOST_KINDS:
                    self._zeros.pop(next(iter(self._zeros)), None)
                self._zeros[order.batch] = zeros
        return [*given, *zeros]

    def prepare(
        self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None
    ) -> tuple[Order, list[Tensor], list[tuple[Tensor, MaskKind]]]:
        """The order of the rows, and the tensors and masks as the machine code reads them.

        They are contiguous, the input is in flat rows, and states are in the order of the places.
        """
        order = order_of(self.spec.directions, given[0], lengths, self.spec.packed)
        prepared = self.whole(given, order)
        if not all(map(_is_contiguous, prepared)):
            prepared = [v.contiguous() for v in prepared]
        # Otherwise the machine code needs the address of the input only, whatever its shape.
        if order.outside is not None or self.spec.segment or self.spec.bf16:
            prepared[0] = self.gathered(given[0], order)
        if order.sort is not None:
            for n in range(self.count - self.states, self.count):
                prepared[n] = self._by(prepared[n], order, 0)
        return order, prepared, self.prepared_masks(masks, order)

    # what is kept from call to call

    def route(self, order: Order, save: bool) -> Route:
        """The route for an order of rows: where everything of a call is stored."""
        found = self._routes.get((order, save))
        if found is None:
            found = Route(self, order, save)
            if _make_room(self._routes, order):
                self._routes[order, save] = found
        return found

    def launch(self, route: Route, part: Part, masks: Sequence[tuple[Tensor, MaskKind]]) -> Launch:
        """A launch that runs this call, and no other call until `Launch.leave`."""
        teams, beside = route.teams()
        kinds: tuple[MaskKind, ...] = tuple([kind for _, kind in masks])
        key = route.order, part, teams, kinds
        stock = self._launches.get(key)
        if stock is None:
            stock = Stock()
            if _make_room(self._launches, route.order):
                stock = self._launches.setdefault(key, stock)
            else:
                stock.is_open = False
        try:
            return stock.pop()
        except IndexError:
            made = Launch(self, route, part, kinds, teams, beside)
            made.stock = stock
            return made

    def numbers(
        self,
        given: Sequence[Tensor],
        shown: Sequence[Tensor],
        block: int,
        masks: Sequence[tuple[Tensor, MaskKind]],
        memory: int,
    ) -> list[int]:
        """The numbers (addresses) that the forward and the backward pass both need, in the order that `route` describes."""
        found = [*map(_address, given), *map(_address, shown), block]
        if masks:
            found += [v.data_ptr() for v, _ in masks]
        found.append(memory)
        return found

    def panels(self, given: Sequence[Tensor], now: Sequence[object] | None) -> list[PackingJob]:
        """The weights packed for the forward parts; the caller holds them while they are read. `now` is what `look` gave."""
        weights = [given[n] for n in self.packed_from]
        return self._packed.jobs(weights, now or seen(weights))

    def panels_back(self, given: Sequence[Tensor], part: Part) -> list[PackingJob | None]:
        """The weights packed for the backward part; None for a weight that it does not read."""
        if (found := self._packed_back.get(part[1:3])) is None:
            low = part.lowest * self.directions
            # `weight_ih` is read for the gradient of the input only; in bfloat16 torch computes that gradient.
            is_read = [
                place >= low and (k > 0 or (not of.bf16 and (part.has_dx or place >= low + self.directions)))
                for place, of in enumerate(self.passes)
                for k, _ in enumerate(of.transposed)
            ]
            every = [
                (self.parameter(p, name), packing)
                for p, of in enumerate(self.passes)
                for name, packing in of.transposed
            ]
            read = [each for each, here in zip(every, is_read, strict=True) if here]
            packed = Packed(
                [packing for _, packing in read], self.passes[0].shape, self.passes[0].functions, self._is_own
            )
            found = self._packed_back[part[1:3]] = packed, [n for n, _ in read], is_read
        packed, places, is_read = found
        weights = [given[n] for n in places]
        jobs = iter(packed.jobs(weights, seen(weights)))
        return [next(jobs) if here else None for here in is_read]

    # masks

    def prepared_masks(self, masks: Sequence[Tensor], order: Order) -> list[tuple[Tensor, MaskKind]]:
        """The masks of all places as the machine code reads them; their expectations if `masks` is empty."""
        if not self.spec.cell.noise:
            return []
        if not masks:
            return self._mean_masks() * self.spec.places
        noise, turned = self.spec.cell.noise * self.spec.places, order.turned
        each = len(self.spec.cell.noise)
        return [
            self._mask(v, of.every_step, order, turned[n // each % self.directions])
            for n, (of, v) in enumerate(zip(noise, masks, strict=True))
        ]

    def _mean_masks(self) -> list[tuple[Tensor, MaskKind]]:
        """The expectation of each mask of the cell, as one row that all rows share."""
        if self._means is None:
            found: list[tuple[Tensor, MaskKind]] = []
            for noise in self.spec.cell.noise:
                like = torch.empty((1, self.passes[0].states[noise.state]), dtype=self.dtype, device="cpu")
                found.append((noise.draw(1, like, False).reshape(1, -1).contiguous(), "one"))
            self._means = found
        return self._means

    def _mask(self, v: Tensor, every_step: bool, order: Order, turned: Ways | None) -> tuple[Tensor, MaskKind]:
        if not any(v.stride()):  # a single number, such as the mean of a mask in evaluation
            return v.reshape(-1, v.shape[-1])[:1].contiguous(), "one"
        if every_step:
            v = self.gathered(v, order)
            return v if turned is None else gather_rows.moved(v, turned[0], self.functions), "flat"
        return v.contiguous() if order.sort is None else v.index_select(0, order.sort[0]), "row"

    # orders of rows

    def gathered(self, v: Tensor, order: Order) -> Tensor:
        """Bring a tensor from the caller's order, `(T, B, F)` or packed, into the common order, `(rows, F)`."""
        flat = v.reshape(-1, v.shape[-1]).contiguous()
        return flat if order.outside is None else gather_rows.moved(flat, order.outside[0], self.functions)

    def _spread(self, v: Tensor, order: Order, like: Tensor) -> Tensor:
        """Bring a tensor from the common order back into the caller's order; zero past a row's end."""
        if order.outside is not None:
            v = gather_rows.moved(v, order.outside[1], self.functions)
        return v if v.dim() == like.dim() else v.view(*like.shape[:-1], v.shape[1])

    @staticmethod
    def _by(v: Tensor, order: Order, way: int) -> Tensor:
        """Bring states, `(places, B, W)` or `(B, W)`, into the order of the places of rows (0) or back (1); contiguous."""
        return v.contiguous() if order.sort is None else v.index_select(v.dim() - 2, order.sort[way])


def _make_room(kept: dict[Any, Any], order: Order) -> bool:
    """Make room for one more kind of batch; False if it is too large to be kept. Each key begins with the order of a batch."""
    if order.total > KEPT_ROWS:
        return False
    with contextlib.suppress(StopIteration, KeyError, RuntimeError):  # other threads may do the same
        while len(kept) >= MOST_KINDS or sum(key[0].total for key in list(kept)) + order.total > KEPT_ROWS:
            gone = kept.pop(next(iter(kept)))
            if isinstance(gone, Stock):
                gone.close()
    return True


def _is_plain(v: Tensor, dtype: torch.dtype) -> bool:
    """Whether machine code can read a tensor at its address."""
    if type(v) not in _KINDS or v.dtype is not dtype or not v.is_cpu:
        return False
    # The numbers of a negative view differ from those in memory, and those of a ZeroTensor of torch are not in memory at all.
    return not v.is_neg() and not v._is_zerotensor() and missing(v) is None
