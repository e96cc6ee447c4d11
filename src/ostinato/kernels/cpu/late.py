"""What the backward pass does once for all time steps: the gradients of the input and of the weights.

The machine code does it behind its time loop, or torch's products in bfloat16 do it afterwards, much faster on a processor with a
matrix unit. Both read the gradients of gates where the time loop has left them, see `Memory.slots`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ostinato.kernels.cpu.product import scratch_bytes
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.engine import Engine, Memory


@dataclass(frozen=True)
class Late:
    """The gradients that are wanted.

    Attributes:
        dx: where to write the input's, `(rows, I)`, or None.
        weights: "weight_ih" and names of matrices: whether theirs are wanted.
        into: gradients of weights that are there, to add to; those that are made are put there.
        adds: whether it had any before.
    """

    dx: Tensor | None
    weights: Mapping[str, bool]
    into: dict[str, Tensor]
    adds: bool


def in_machine_code(engine: Engine, memory: Memory, late: Late, threads: int) -> dict[str, int]:
    """The fields that make the machine code do it."""
    operands, described, shape, hidden = engine.operands, engine.described, engine.shape, engine.width["H"]
    values = nothing(engine)
    work = 0
    values["add_x"] = int(late.adds)
    if late.weights["weight_ih"]:
        if not late.adds:
            late.into["weight_ih"] = engine.buffer(*operands.weight_ih.shape)
        values["dweight_x"] = late.into["weight_ih"].data_ptr()
        rows = operands.x.data_ptr() + engine.rows.numbers * (engine.inputs * shape.bytes)
        values["sources_x"] = engine.numbers(rows)
        values["gate_rows_x"] = _gate_rows(described.dx, hidden).data_ptr()
        work = scratch_bytes(shape, engine.inputs, described.gates)
    for k, order, units in _products(engine):
        product = described.products[k]
        matrix = operands.matrices[product.matrix]
        # The next product with the same matrix adds to what the one before has written.
        values[f"add_{k}"] = int(product.matrix in late.into)
        if not late.weights[product.matrix]:
            continue
        if product.matrix not in late.into:
            # A product that leaves rows out leaves their gradient at zero.
            late.into[product.matrix] = torch.zeros_like(matrix)
        values[f"dweight_{k}"] = late.into[product.matrix].data_ptr()
        values[f"sources_{k}"] = engine.numbers(_entered_rows(engine, k, memory))
        values[f"gate_rows_{k}"] = _gate_rows(order, units).data_ptr()
        work = max(work, scratch_bytes(shape, engine.width[product.entered_space], len(order)))
    values["work_bytes"] = -(-work // 64) * 64
    if late.dx is not None:
        values["dx"] = late.dx.data_ptr()
        values["weight_x_t"] = engine.panels(operands.weight_ih, described.dx, hidden, True)
    engine.reserve("work", threads, values["work_bytes"] // shape.bytes)
    return values


def nothing(engine: Engine) -> dict[str, int]:
    """The fields that make the machine code leave it."""
    products = range(len(engine.described.products))
    names = ["add", "dweight", "sources", "gate_rows"]
    values = {f"{name}_{at}": 0 for name in names for at in ("x", *products)}
    return values | {"work": 0, "work_bytes": 0, "dx": 0, "weight_x_t": 0}


def in_bfloat16(engine: Engine, memory: Memory, late: Late) -> None:
    """Do it, after the machine code has run."""
    described, operands, hidden = engine.described, engine.operands, engine.width["H"]
    order = described.dx
    kept: dict[tuple[str, int, int], Tensor] = {}  # the gates of x and of a product are often the same

    def gradients(space: str, first: int, gates: int) -> Tensor:
        place = space, first, gates
        if place not in kept:
            own = memory.slots[space][:, :, first : first + gates]
            kept[place] = torch.empty(own.shape, dtype=torch.bfloat16, device=own.device).copy_(own).view(len(own), -1)
        return kept[place]

    if late.weights["weight_ih"]:
        found = gradients("H", described.dx_slot, len(order)).t() @ operands.x.bfloat16()
        _add(engine, late, "weight_ih", operands.weight_ih, found, order, hidden)
    if late.dx is not None:
        weight = _in_slots(operands.weight_ih, order, hidden, engine.shape.lanes)
        late.dx.copy_(gradients("H", described.dx_slot, len(order)) @ weight)
    for k, gates, units in _products(engine):
        product = described.products[k]
        if late.weights[product.matrix]:
            found = gradients(product.space, described.du_slots[k], len(gates)).t() @ _entered(engine, k, memory)
            _add(engine, late, product.matrix, operands.matrices[product.matrix], found, gates, units)


def _products(engine: Engine) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """For each product: its number, the gates of its gradient slots in order, and the rows of a gate in its matrix."""
    for k, order in enumerate(engine.described.du):
        gates, units = engine.gates(k)
        yield k, tuple(gates[i] for i in order), units


def _entered_rows(engine: Engine, k: int, memory: Memory) -> Tensor:
    """The address of what entered a product at each flat row."""
    product, rows = engine.described.products[k], engine.rows
    row = engine.width[product.entered_space] * engine.shape.bytes
    if product.state is None:
        return memory.enters[k].data_ptr() + rows.numbers * row
    # In the first step what entered are the first states.
    at = rows.before * row
    at += memory.states[product.state].data_ptr() - rows.batch * row
    begin, count = rows.begin
    at[begin : begin + count] = engine.operands.first[product.state].data_ptr() + rows.numbers[:count] * row
    return at


def _entered(engine: Engine, k: int, memory: Memory) -> Tensor:
    """What entered a product at each flat row, `(rows, W)`."""
    product, rows = engine.described.products[k], engine.rows
    if product.state is None:
        return memory.enters[k].bfloat16()
    state, first = memory.states[product.state], engine.operands.first[product.state]
    known = state.new_empty(rows.batch + rows.total, state.shape[1], dtype=torch.bfloat16)
    known[: rows.batch] = first
    known[rows.batch :] = state
    return known[: rows.total] if rows.is_in_order else known.index_select(0, rows.before)


def _in_slots(weight: Tensor, order: tuple[int, ...], units: int, lanes: int) -> Tensor:
    """A weight with its rows where the gradients of their gates lie, `(blocks gates lanes, I)`; zeros past the last unit."""
    blocks = -(-units // lanes)
    placed = weight.new_zeros(len(order), blocks * lanes, weight.shape[1], dtype=torch.bfloat16)
    placed[:, :units] = weight.view(-1, units, weight.shape[1])[list(order)]
    return placed.view(len(order), blocks, lanes, -1).transpose(0, 1).reshape(-1, weight.shape[1])


def _add(
    engine: Engine, late: Late, name: str, weight: Tensor, found: Tensor, order: tuple[int, ...], units: int
) -> None:
    """Adds the gradient of a weight, whose rows lie as gradients of gates do."""
    if name not in late.into:
        late.into[name] = torch.zeros_like(weight)
    lanes = engine.shape.lanes
    by_gate = found.view(-1, len(order), lanes, found.shape[1]).transpose(0, 1).reshape(len(order), -1, found.shape[1])
    to = late.into[name].view(-1, units, weight.shape[1])
    for at, gate in enumerate(order):
        to[gate] += by_gate[at, :units]


@functools.lru_cache(maxsize=256)
def _gate_rows(gates: tuple[int, ...], units: int) -> Tensor:
    return torch.tensor([gate * units for gate in gates], device="cpu")
