"""Which kernels run a layer, and why: recorded while the layer ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch.utils.hooks import RemovableHandle

from ostinato import notebook
from ostinato.errors import told_kind
from ostinato.kernels.dispatch import Choice, recording
from ostinato.kernels.listing import listing as listing_of_cell
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step


@dataclass(frozen=True)
class Explanation:
    """The backends that ran, layer by layer, with the reasons. Print it to read them.

    Attributes:
        choices: by the name of each recurrent layer, the choices that were made for its requests, in order.
    """

    choices: dict[str, list[Choice]]

    @property
    def backends(self) -> set[str]:
        """The names of all backends that ran."""
        return {choice.backend for choices in self.choices.values() for choice in choices}

    def __str__(self) -> str:
        lines: list[str] = []
        for name, choices in self.choices.items():
            seen = list(dict.fromkeys(choices))
            lines += [f"{name}: {choice.backend} ({choice.reason})" for choice in seen] or [f"{name}: did not run"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, str, str]] = []
        for name, choices in self.choices.items():
            seen = dict.fromkeys(choices)
            rows += [(name, choice.backend, notebook.Whole(choice.reason)) for choice in seen] or [
                (name, "did not run", "")
            ]
        return notebook.piece(notebook.table(["layer", "backend", "why"], rows, words=3))


@torch.no_grad()
def explain(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Explanation:
    """Run a layer, or a model that contains some, once without gradient, and tell which backend ran each layer and why.

    torch's random generators are left as they were.

    Args:
        module: a layer of Ostinato, or any module that contains some.
        *args: the positional arguments of the call.
        **kwargs: the keyword arguments of the call.

    Raises:
        TypeError: if there is no layer of Ostinato in `module`.
    """
    if not isinstance(module, torch.nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"explain expected a recurrent layer of ostinato or a module that holds one, got {told_kind(module)}; of a stream "
            "print(stream) tells what runs it, of a cell make a layer: ostinato.Recurrent(cell, I, H)"
        )
    named = cast("Iterator[tuple[str, torch.nn.Module]]", module.named_modules())
    layers = {name: m for name, m in named if isinstance(m, Recurrent | Step)}
    if not layers:
        raise TypeError(
            f"explain expected a recurrent layer of ostinato or a module that holds one, got {type(module).__name__}; "
            "ostinato.convert(module) replaces torch.nn's"
        )
    found: dict[str, list[Choice]] = {}
    with recording() as choices, torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
        handles: list[RemovableHandle] = []
        for name, layer in layers.items():
            label = name or type(layer).__name__
            found[label] = []

            def begin(_module: Any, _args: Any) -> None:
                choices.clear()

            def end(_module: Any, _args: Any, _output: Any, label: str = label) -> None:
                found[label] += choices

            handles += [layer.register_forward_pre_hook(begin), layer.register_forward_hook(end)]
        try:
            module(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
    return Explanation(found)


def listing(
    layer: Recurrent | Step,
    kind: Literal["program", "llvm", "assembly", "triton"] = "program",
    part: Literal["inference", "training", "backward"] = "training",
) -> str:
    """The code that the compiler generates from a layer's step on this machine, as text for reading.

    Args:
        layer: a layer of Ostinato, in training or evaluation mode: some options act in one of them only.
        kind: "program", the step and the gradient that PyTorch derived from it, an operation a line; "llvm" or "assembly", the
            time loop that was made of them for this CPU; "triton", the source of the loop for an H100 and a batch of 16 rows.
        part: which loop, for "llvm", "assembly" and "triton": the forward pass without gradient ("inference") or with gradient
            ("training"), or the backward pass.

    Raises:
        TypeError: if `layer` is not a layer of Ostinato.
        ConfigError: if the compiler does not take the cell; the message has the reason.
    """
    if not isinstance(layer, Recurrent | Step):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"listing expected a recurrent layer of ostinato, got {type(layer).__name__}")
    dtype = next(layer.parameters()).dtype
    hidden = layer.hidden_sizes[0] if isinstance(layer, Recurrent) else layer.hidden_size
    projected = layer.proj_size if isinstance(layer, Recurrent) else 0
    sizes = int(layer.input_size), int(hidden), int(projected)
    return listing_of_cell(layer.cell, bool(layer.bias), dtype, kind, part, sizes)
