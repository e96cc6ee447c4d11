"""A step and its gradients twice: by PyTorch from the cell, and from a traced program, each of its nodes by its definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ostinato.cells import Cell, Gates, State
from ostinato.cells import Product as RecurrentProduct
from ostinato.kernels.compiler.trace import Node, Program


@dataclass
class Example:
    """Random numbers for one step. B = 5, H = 6, P = 4 unless told otherwise: no size at which a cell is traced."""

    cell: Cell
    bias: bool = True
    projected: bool = False
    rows: int = 5
    hidden: int = 6
    proj: int = 4
    seed: int = 0
    parameters: dict[str, Tensor] = field(init=False)
    x: Tensor = field(init=False)
    states: dict[str, Tensor] = field(init=False)
    masks: dict[str, Tensor] = field(init=False)
    dstates: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        cell, proj = self.cell, self.proj if self.projected else 0
        self.parameters = {n: draw(*size) for n, size in cell.parameter_sizes(1, self.hidden, proj, self.bias).items()}
        del self.parameters["weight_ih"]
        self.x = draw(self.rows, len(cell.input_gates) * self.hidden)
        sizes = cell.state_sizes(self.hidden, proj, 1)
        self.states = {name: draw(self.rows, size) for name, size in sizes.items()}
        self.dstates = {name: draw(self.rows, size) for name, size in sizes.items()}
        # Any numbers: a program must not count on zeros and ones.
        self.masks = {noise.name: draw(self.rows, sizes[noise.state]) for noise in cell.noise}

    def by_autograd(self) -> dict[str, Tensor]:
        """New states and all gradients, by the step itself."""
        leaves = {"x": self.x, **self.states, **self.parameters}
        leaves = {name: v.clone().requires_grad_() for name, v in leaves.items()}
        cell = self.cell
        own = {p.name: leaves[p.name] for p in cell.parameters}
        x = leaves["x"]
        for enter in cell.enter:
            x = enter(x, own)
        x = x + leaves["bias_ih"] if self.bias else x
        U = None
        if cell.recurrent:
            U = RecurrentProduct(cell.gates, leaves["weight_hh"], leaves.get("bias_hh"), self.hidden)
        gates = Gates(**dict(zip(cell.input_gates, x.split(self.hidden, -1), strict=True)))
        new = cell.step(gates, State(**{n: leaves[n] for n in cell.states}), U, **own, **self.masks)
        loss: Any = sum((getattr(new, name) * self.dstates[name]).sum() for name in cell.states)
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        found = {f"{name}'": getattr(new, name).detach() for name in cell.states}
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
            found[f"d{name}"] = torch.zeros_like(leaf) if gradient is None else gradient
        return found

    def by_program(self, program: Program) -> dict[str, Tensor]:
        """The same from a program."""
        return _Run(self, program).results()


class _Run:
    def __init__(self, example: Example, program: Program) -> None:
        self._example, self._program = example, program
        self._known: dict[Node, Tensor] = {}

    def results(self) -> dict[str, Tensor]:
        example, program = self._example, self._program
        rows, hidden = example.rows, example.hidden
        found = {f"{n}'": self._wide(program.states[n], v.shape[-1]) for n, v in example.states.items()}
        found["dx"] = torch.cat([self._wide(node, hidden) for node in program.dx], -1)
        found |= {f"d{n}": self._wide(program.dstates[n], v.shape[-1]) for n, v in example.states.items()}
        matrices = {name: torch.zeros_like(v) for name, v in example.parameters.items() if v.dim() == 2}
        for at, product in enumerate(program.products):
            v = self._wide(product.enters, matrices[product.matrix].shape[-1])
            for place, du in zip(self._blocks(at), self._du(at), strict=True):
                matrices[product.matrix][place] += du.T @ v
        for name, parameter in example.parameters.items():
            if name in matrices:
                found[f"d{name}"] = matrices[name]
            else:
                nodes = program.dparameters[name]
                summed = torch.cat([self._wide(n, len(parameter) // len(nodes)).sum(0) for n in nodes])
                found[f"d{name}"] = summed
        assert all(v.shape[0] == rows for v in (*found.values(),) if v.dim() == 2 and v is found["dx"])
        return found

    def _blocks(self, at: int) -> list[slice]:
        """The rows of the matrix that give each piece of a product."""
        product, hidden = self._program.products[at], self._example.hidden
        return [slice(g * hidden, (g + 1) * hidden) for g in product.gates] or [slice(None)]

    def _du(self, at: int) -> list[Tensor]:
        matrix = self._example.parameters[self._program.products[at].matrix]
        blocks = self._blocks(at)
        return [self._wide(du, len(matrix[block])) for du, block in zip(self._program.du[at], blocks, strict=True)]

    def _wide(self, node: Node, width: int) -> Tensor:
        return self._value(node).expand(self._example.rows, width)

    def _value(self, node: Node) -> Tensor:
        if node not in self._known:
            value = self._leaf(node) if not node.args else _OPERATIONS[node.op](*(self._value(a) for a in node.args))
            sizes = {"H": self._example.hidden, "P": self._example.proj, "row": 1, "one": 1}
            assert value.shape[-1:] in ((), (sizes[node.space],)), node
            self._known[node] = value
        return self._known[node]

    def _leaf(self, node: Node) -> Tensor:
        example, key = self._example, node.key
        at: Any = key[0] if key else None
        piece: Any = key[1] if len(key) > 1 else 0
        match node.op:
            case "const":
                size = {"H": example.hidden, "P": example.proj, None: 1}[key[1]]  # pyright: ignore
                return torch.tensor(at * size ** key[2], dtype=torch.float64)  # pyright: ignore
            case "unit":
                return torch.arange(example.proj if node.space == "P" else example.hidden, dtype=torch.float64)
            case "x":
                return example.x.split(example.hidden, -1)[at]
            case "state":
                return example.states[at]
            case "mask":
                return example.masks[at]
            case "dstate":
                return example.dstates[at]
            case "parameter":
                width = example.proj if node.space == "P" else example.hidden
                return example.parameters[at].split(width)[piece]
            case "u":
                product = self._program.products[at]
                matrix = example.parameters[product.matrix][self._blocks(at)[piece]]
                return self._wide(product.enters, matrix.shape[-1]) @ matrix.T
            case "dv":
                matrix = example.parameters[self._program.products[at].matrix]
                parts = [du @ matrix[block] for du, block in zip(self._du(at), self._blocks(at), strict=True)]
                return torch.stack(parts).sum(0)
        raise AssertionError(node)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in (
            *("add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "abs"),
            *("sigmoid", "tanh", "minimum", "maximum", "lt", "le", "gt", "ge", "eq", "ne", "where", "pow", "fmod"),
            *("exp2", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh"),
            *("asinh", "acosh", "atanh", "erf", "erfc", "floor", "ceil", "trunc", "round", "hypot", "copysign"),
        )
    },
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "sum": lambda v: v.sum(-1, keepdim=True),
    "max": lambda v: v.amax(-1, keepdim=True),
}


def nodes_of(program: Program) -> set[Node]:
    """Every node that the results of a program need."""
    stack = [*program.states.values(), *program.dx, *program.dstates.values()]
    stack += [node for nodes in (*program.du, *program.dparameters.values()) for node in nodes]
    stack += [product.enters for product in program.products]
    found: set[Node] = set()
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += node.args
    return found
