"""Any module as a graph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from ostinato.errors import ConfigError
from ostinato.exporting.graph import FOLLOWS, Around, Axis, Graph, Port, flat
from ostinato.exporting.recording import Flat, check_evaluation, quiet, recorded
from ostinato.types import Tensor

_MANY = 2**31  # a size that may be this large may be any


class _Any(Around):
    """A wrapper that takes the tensors of the example as a list, and passes on the rest of the example as it is."""

    def __init__(self, module: nn.Module, leaves: Sequence[Any], spec: Any) -> None:
        super().__init__()
        self.module, self._leaves, self._spec = module, list(leaves), spec

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = iter(inputs)
        leaves = [next(given) if isinstance(leaf, torch.Tensor) else leaf for leaf in self._leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self._spec)
        return tuple(flat(self.module(*args, **kwargs)))


def module_graph(
    module: nn.Module,
    example: Any,
    name: str = "model",
    *,
    axes: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Return the graph of any module.

    Args:
        module: a module in evaluation; its results are tensors, in tuples, lists or dictionaries.
        example: the arguments of the module: a tensor, a tuple of arguments, or a dictionary of them by name.
        name: the name of the graph.
        axes: the dimensions of each input by its name, separated by blanks. A letter or a word is a size that may vary,
            and equal letters are equal sizes; anything else, such as "64" or "-", is a size fixed to the example's.
            None: all sizes vary that torch.export can leave variable.
        outputs: the names of the outputs; None for "output", "output_1" and so on.

    Raises:
        ConfigError: the example has no tensors, or axes or the number of outputs do not fit.
    """
    check_evaluation(module)
    args, kwargs = _arguments(example)
    leaves, spec = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise ConfigError("example expected the module's arguments, tensors among them, got none")
    names, flat_module = _names(module, args, kwargs), _Any(module, leaves, spec)
    with torch.no_grad():
        results = flat(module(*args, **kwargs))
    wanted = list(outputs) if outputs is not None else [f"output_{n}" if n else "output" for n in range(len(results))]
    if len(wanted) != len(results):
        raise ConfigError(f"outputs expected {len(results)} names, got {len(wanted)}")
    if axes is None:
        every, of_results = _found_axes(flat_module, names, tensors)
    else:
        if unknown := [each for each in axes if each not in names]:
            raise ConfigError(f"axes expected names of inputs, {', '.join(names)}, got {unknown[0]}")
        every, of_results = [_axes(each, axes.get(each), v) for each, v in zip(names, tensors, strict=True)], None
    inputs = [Port(each, found) for each, found in zip(names, every, strict=True)]
    ports = [Port(each, FOLLOWS if of_results is None else of_results[n]) for n, each in enumerate(wanted)]
    draw = _Redrawn(inputs, tensors)
    return Graph(name, flat_module, tuple(inputs), tuple(ports), draw, draw.sizes, draw.least, "module.")


def _found_axes(
    module: nn.Module, names: Sequence[str], tensors: Sequence[Tensor]
) -> tuple[list[tuple[Axis, ...]], list[tuple[Axis, ...]]]:
    """Return the axes of inputs and results; a size that may vary is named after the first dimension that has it."""
    with quiet():
        shapes = {"inputs": tuple(dict.fromkeys(range(v.dim()), Dim.AUTO) for v in tensors)}
        program = recorded(Flat(module), tensors, shapes)
    # A size with an upper bound is fixed to the example's, although torch.export has a symbol for it.
    ranges = {str(symbol): found for symbol, found in program.range_constraints.items()}
    known: dict[str, str] = {}

    def read(v: Any, name: str) -> tuple[Axis, ...]:
        return tuple(axis(size, f"{name}_{at}") for at, size in enumerate(v.shape))

    def axis(size: Any, name: str) -> Axis:
        symbol = str(size)
        if not isinstance(size, torch.SymInt) or size.node.maybe_as_int() is not None:
            return int(size)
        if symbol in ranges and ranges[symbol].upper < _MANY:
            return int(size.node.hint)
        return known.setdefault(symbol, name)

    nodes = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    signature = program.graph_signature
    inputs = [read(nodes[each], name) for each, name in zip(signature.user_inputs, names, strict=True)]
    return inputs, [read(nodes[each], "output") for each in signature.user_outputs]


class _Redrawn:
    """Makes inputs of other sizes by drawing entries of the example along each dimension that may vary.

    Attributes:
        sizes: the sizes of the example, by letter.
        least: the smallest size by letter: the example's if an input has lengths, which count its steps; else 1.
    """

    def __init__(self, inputs: Sequence[Port], example: Sequence[Tensor]) -> None:
        self._inputs, self._example = inputs, example
        self.sizes: dict[str, int] = {}
        for port, v in zip(inputs, example, strict=True):
            for axis, size in zip(port.axes, v.shape, strict=True):
                if isinstance(axis, str) and self.sizes.setdefault(axis, size) != size:
                    raise ConfigError(
                        f"axes expected one size of {axis} in all inputs of the example, got {self.sizes[axis]} and {size} in "
                        f"{port.name}; take another letter for each size"
                    )
        has_lengths = any("length" in port.name for port in inputs)
        self.least = dict(self.sizes) if has_lengths else dict.fromkeys(self.sizes, 1)

    def __call__(self, sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        if all(sizes[axis] == size for axis, size in self.sizes.items()):
            return list(self._example)
        found: list[Tensor] = []
        for port, v in zip(self._inputs, self._example, strict=True):
            for at, axis in enumerate(port.axes):
                if isinstance(axis, str):
                    places = torch.randint(0, v.shape[at], (sizes[axis],), generator=generator, device="cpu")
                    v = v.index_select(at, places)
            found.append(v)
        return found


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, tuple) else ((example,), {})


def _names(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Return a name for each tensor: its argument's, followed by a number if the argument has several tensors."""
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError) as error:
        raise ConfigError(f"example expected arguments that {type(module).__name__}.forward takes: {error}") from error
    found: list[str] = []
    for name, value in bound.items():
        parts = value.items() if isinstance(value, Mapping) and name not in kwargs else [(name, value)]
        for each, part in parts:
            number = sum(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(part))
            found += [each] * number if number == 1 else [f"{each}_{n}" for n in range(number)]
    return found


def _axes(name: str, described: str | None, v: Tensor) -> tuple[Axis, ...]:
    if described is None:
        return tuple(v.shape)
    words = described.split()
    if len(words) != v.dim():
        raise ConfigError(f"axes of {name} expected {v.dim()} words for the shape {tuple(v.shape)}, got {described!r}")
    return tuple(word if word.isidentifier() else size for word, size in zip(words, v.shape, strict=True))
