"""Cells that nobody would write: random steps, for whatever a schedule of stages can get wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.cells import Cell, Gates, Parameter, State, cell

_UNARY: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.tanh,
    torch.sigmoid,
    torch.neg,
    torch.square,
    lambda v: torch.exp(torch.tanh(v)),
    lambda v: v.mean(-1, keepdim=True).expand_as(v),
    lambda v: v / (0.5 + v.square().mean(-1, keepdim=True)).sqrt(),
    lambda v: v * 0.5,
    lambda v: v.detach(),
)
_BINARY: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    torch.add,
    torch.sub,
    torch.mul,
    torch.minimum,
    lambda a, b: torch.where(a > b, a, 0.3 * b),
    lambda a, b: a / (1.5 + torch.tanh(b)),
)


# What units do with each other.
_MOVES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda v: v.roll(1, -1),
    lambda v: v.roll(-2, -1),
    lambda v: v.flip(-1),
    lambda v: F.pad(v[:, :-1], (1, 0)),
    lambda v: torch.cat([v[:, 1:], v[:, :1]], -1),
    lambda v: torch.cat([v[:, :2].flip(-1), torch.tanh(v[:, 2:])], -1),
    lambda v: v * v[:, -1:],
    lambda v: v + v[:, 1:].mean(-1, keepdim=True),
)


def random_cell(seed: int, moves: bool = False) -> Cell:
    """A cell with up to three states, four gates and five products: which values there are, and what becomes a state, is drawn.

    With `moves` units get each other's values, too.
    """
    r = random.Random(seed)
    unary = (*_UNARY, *_MOVES) if moves else _UNARY
    gates = [f"g{n}" for n in range(r.randint(1, 4))]
    inputs = [g for g in gates if r.random() < 0.8] or gates[:1]
    states = [f"s{n}" for n in range(r.randint(1, 3))]
    parameters = [f"p{n}" for n in range(r.randint(0, 2))]
    # Each line is (function, places of what it is given); a product is (gates, place).
    lines: list[tuple[Any, tuple[int, ...]]] = []
    count = len(states) + len(inputs) + len(parameters)
    multiplied = 0
    for _ in range(r.randint(3, 14)):
        late = max(0, count - 6) if r.random() < 0.7 else 0
        kind = r.random()
        if kind < 0.3 and multiplied < 5:
            some = r.sample(gates, r.randint(1, len(gates)))
            lines.append((tuple(some), (r.randrange(late, count),)))
            count += len(some)
            multiplied += 1
        elif kind < 0.65:
            lines.append((r.choice(unary), (r.randrange(late, count),)))
            count += 1
        else:
            lines.append((r.choice(_BINARY), (r.randrange(late, count), r.randrange(count))))
            count += 1
    results = [r.randrange(max(0, count - 5), count) if r.random() < 0.8 else r.randrange(count) for _ in states]

    def step(x: Gates, s: State, U: Any, **own: Tensor) -> State:
        values: list[Tensor] = [*(getattr(s, n) for n in states), *(getattr(x, n) for n in inputs)]
        values += [own[n].expand_as(values[0]) for n in parameters]
        for function, at in lines:
            if isinstance(function, tuple):
                u = U.only(" ".join(function))(values[at[0]])
                values += [getattr(u, gate) for gate in function]
            else:
                values.append(function(*(values[n] for n in at)))
        new: dict[str, Tensor] = {name: torch.tanh(values[n]) * 0.9 for name, n in zip(states, results, strict=True)}
        return State(**new)

    description = cell(gates=" ".join(gates), inputs=" ".join(inputs), states=" ".join(states))

    def unchanged(x: Gates, s: State, U: Any) -> State:
        return s

    made = description(unchanged)
    return replace(made, name=f"random_{seed}", step=step, parameters=tuple(Parameter(n, ("H",)) for n in parameters))


def random_cell_of_inputs(seed: int) -> Cell:
    """A cell with the raw input, two extras as wide and a state that inputs alone reach, of which all may enter products.

    Products: `W` of some gates, and two matrices of its own, of three gates and of one piece. What a gate is made of is drawn.
    """
    r = random.Random(seed)
    gates = ("a", "b", "c")
    lines = [(r.choice(_UNARY[:6] + _UNARY[7:]), r.randrange(5)) for _ in range(2)]
    pairs = [(r.choice(_BINARY), r.randrange(7), r.randrange(7)) for _ in range(4)]
    becomes = r.randrange(3, 11)  # of the values below
    enters = [r.choice(range(11)) for _ in range(4)]
    some = r.sample(gates, r.randint(1, 3))
    reaches = r.random() < 0.5  # the old state also reaches the others' gates past a product

    def step(
        x: Tensor, s: State, U: Any, W: Any, mask: Tensor, dt: Tensor, level: Tensor, mix: Tensor, lift: Tensor
    ) -> State:
        values = [x, mask, dt, s.past, level * torch.tanh(x)]
        values += [f(values[n]) for f, n in lines]
        for f, n, m in pairs:
            values.append(f(values[n], values[m]))
        first, second = W.only(" ".join(some))(values[enters[0]]), W(values[enters[1]])
        a, b, c = F.linear(values[enters[2]], mix).chunk(3, -1)
        gain = torch.exp(-torch.relu(F.linear(values[enters[3]], lift)))
        h = gain * s.h
        u = U(h)
        a = torch.sigmoid(a + u.a + second.a + getattr(first, some[0]))
        b = torch.tanh(b + second.b + u.b)
        if reaches:
            b = b * (1 + s.past.mean(-1, keepdim=True))
        return State(
            h=(1 - a) * h + a * b + 0.1 * torch.tanh(c + second.c + u.c), past=torch.tanh(values[becomes]) * 0.9
        )

    described = cell(
        gates=" ".join(gates),
        states="h past:I",
        extras="mask:I dt:I",
        parameters={"level": "I", "mix": "G I", "lift": "H I"},
    )
    return replace(described(step), name=f"random_of_inputs_{seed}")
