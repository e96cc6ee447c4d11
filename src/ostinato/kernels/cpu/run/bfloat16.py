"""The gradients of the input and of the matrices in bfloat16, which the backward pass computes once for all time steps.

Otherwise the machine code computes them behind its time loop. Here torch's products in bfloat16 do so after it has run, which is
much faster on a processor with a matrix unit. Both read the gradients of gates where the time loop has stored them, in the slots of
`Kept`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ostinato.kernels.cpu.run.passes import Pass
from ostinato.kernels.cpu.run.saved import Saved
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.types import Tensor


def gradients(call: Sizes, saved: Saved, place: int, dx: Tensor | None, wanted: Mapping[str, Tensor]) -> None:
    """Compute the gradients of one place.

    Args:
        call: the sizes of the call.
        saved: what the call's forward pass saved, after the time loop of the backward pass.
        place: the number of the direction of a layer.
        dx: where to write the gradient of the input, `(rows, I)`, or None.
        wanted: for each matrix whose gradient is wanted, the tensor to add it to.
    """
    of = call.passes[place]
    described, hidden = of.described, of.hidden
    order = described.dx
    kept: dict[tuple[str, int, int], Tensor] = {}  # the input's product and a recurrent one often share gates

    def gradients(space: str, first: int, gates: int) -> Tensor:
        at = space, first, gates
        if at not in kept:
            own = saved.part(call, place, ("slots", space))[:, :, first : first + gates]
            kept[at] = torch.empty(own.shape, dtype=torch.bfloat16, device=own.device).copy_(own).view(len(own), -1)
        return kept[at]

    if "weight_ih" in wanted:
        found = gradients("H", described.dx_slot, len(order)).t() @ saved.input(call, place).bfloat16()
        _add(of, wanted["weight_ih"], found, order, hidden)
    if dx is not None:
        weight = _in_slots(saved.given[call.parameter(place, "weight_ih")], order, hidden, of.shape.lanes)
        dx.copy_(gradients("H", described.dx_slot, len(order)) @ weight)
    for k, gates, units in of.gradients():
        product = described.products[k]
        if product.matrix in wanted:
            entered = _entered(call, saved, place, k)
            found = gradients(product.space, described.du_slots[k], len(gates)).t() @ entered
            _add(of, wanted[product.matrix], found, gates, units)


def _entered(call: Sizes, saved: Saved, place: int, k: int) -> Tensor:
    """What entered a product at each flat row, `(rows, W)`."""
    of, order = call.passes[place], saved.route.order
    name = of.described.products[k].state
    if name is None:
        return saved.part(call, place, ("enters", str(k))).bfloat16()
    n = list(of.states).index(name)
    state, rows = saved.state(call, place, n), order.rows[place % len(order.rows)]
    first = saved.given[call.count - len(of.states) + n]
    known = state.new_empty(rows.batch + rows.total, state.shape[1], dtype=torch.bfloat16)
    known[: rows.batch] = first if first.dim() == 2 else first[place]
    known[rows.batch :] = state
    return known[: rows.total] if rows.is_in_order else known.index_select(0, rows.before)


def _in_slots(weight: Tensor, order: Sequence[int], units: int, lanes: int) -> Tensor:
    """A weight with its rows in the order of the gradients of their gates, `(blocks gates lanes, I)`; zeros past the last unit."""
    blocks = -(-units // lanes)
    placed = weight.new_zeros(len(order), blocks * lanes, weight.shape[1], dtype=torch.bfloat16)
    placed[:, :units] = weight.view(-1, units, weight.shape[1])[list(order)]
    return placed.view(len(order), blocks, lanes, -1).transpose(0, 1).reshape(-1, weight.shape[1])


def _add(of: Pass, to: Tensor, found: Tensor, order: Sequence[int], units: int) -> None:
    """Add the gradient of a weight, whose rows are in the order of the gradients of gates."""
    lanes, columns = of.shape.lanes, found.shape[1]
    by_gate = found.view(-1, len(order), lanes, columns).transpose(0, 1).reshape(len(order), -1, columns)
    rows = to.view(-1, units, columns)
    for at, gate in enumerate(order):
        rows[gate] += by_gate[at, :units]
