"""Turn the states of a stack from torch.nn's layout into that of the kernels, and back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from typing_extensions import TypeIs  # typing's own from Python 3.13 on

from ostinato.cells.named import State
from ostinato.types import Tensor


def check_tensor(input: Any, expected: str, also: type = torch.Tensor) -> None:
    """Raise a TypeError with a hint unless the input of a layer is a tensor or an instance of `also`."""
    if not isinstance(input, (torch.Tensor, also)):
        is_array = are_entries(input) or hasattr(input, "__array__")
        hint = "; convert it: torch.as_tensor(input, dtype=torch.float32)" if is_array else ""
        raise TypeError(f"input expected {expected}, got {type(input).__name__}{hint}")


def are_entries(given: object) -> TypeIs[tuple[Any, ...] | list[Any]]:
    """Whether a user gave several values: a tuple or a list."""
    return isinstance(given, tuple | list)


def check_floating(name: str, v: Tensor, dtype: torch.dtype, like: str) -> None:
    """Raise a RuntimeError for types that no kernel accepts: an integer type, or float64 together with another type."""
    if not v.is_floating_point() or (v.dtype == torch.float64) != (dtype == torch.float64):
        raise RuntimeError(f"{name} expected {dtype}, as {like}, got {v.dtype}; convert it: .to({dtype})")


def without_names(hx: Any, names: Collection[str]) -> Any:
    """Turn first states given as a `State` into a tensor, or into a tuple in the cell's order if there are several.

    Raises:
        ValueError: the `State` has other states than the cell.
    """
    if not isinstance(hx, State):
        return hx
    if set(hx.names) != set(names):
        raise ValueError(f"hx expected a State of {', '.join(names)}, got one of {', '.join(hx.names)}")
    found = [getattr(hx, name) for name in names]
    return tuple(found) if len(found) > 1 else found[0]


class States(dict[str, tuple[Any, ...]]):
    """The states of every step by name, each a tuple over layers; `states.c[0]` is `states["c"][0]`."""

    def __getattr__(self, name: str) -> tuple[Any, ...]:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"expected one of the states {', '.join(self)}, got {name!r}") from None


@dataclass(frozen=True)
class StateLayout:
    """How the states of a stack are laid out.

    Outside, for users: one `(L D, B, H)` tensor for each state of the cell, in a tuple if there are several. If widths differ, a
    list over layers of `(D, B, H)` tensors replaces each tensor. Inside, for the kernels: one `State` for each layer and direction,
    with tensors `(B, H)`.

    Attributes:
        shapes: for each state of the cell, the shape of one row in each layer: `(H,)`, or several dimensions, which are flattened
            inside.
        directions: `D`.
        sizes: for each state of the cell, how many numbers it has in each layer.
        has_vectors_only: whether no state has several dimensions.
    """

    shapes: Mapping[str, Sequence[tuple[int, ...]]]
    directions: int
    sizes: Mapping[str, Sequence[int]] = field(init=False)
    has_vectors_only: bool = field(init=False)

    def __post_init__(self) -> None:
        sizes = {name: list(map(math.prod, shapes)) for name, shapes in self.shapes.items()}
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(
            self, "has_vectors_only", all(len(shape) == 1 for shapes in self.shapes.values() for shape in shapes)
        )

    def open(
        self, hx: Any, rows: int, batched: bool, packed: bool = False, dtype: torch.dtype | None = None
    ) -> list[State]:
        """Turn the outside layout into the inside one.

        Args:
            hx: the states as the user gave them.
            rows: `B`.
            batched: whether the input has a batch dimension, and `hx` therefore too.
            packed: whether the input is a `PackedSequence`; the message for a wrong number of dimensions is another one then.
            dtype: the dtype of the input; None to leave the check of dtypes to the kernel.

        Raises:
            ValueError: the number of entries is wrong.
            RuntimeError: a shape is wrong; the message is torch.nn's.
        """
        by_name = {
            name: [row for layer in layers for row in layer.unbind(0)]
            for name, layers in self._entries(hx, rows, batched, packed, dtype).items()
        }
        names = list(self.sizes)
        places = range(len(by_name[names[0]]))
        return [State(**{name: by_name[name][place] for name in names}) for place in places]

    def open_whole(
        self, hx: Any, rows: int, batched: bool, packed: bool = False, dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """Check the states as `open` does, but return one tensor `(L D, B, H)` for each; all layers must have one width."""
        every = self._entries(hx, rows, batched, packed, dtype).values()
        return [layers[0] if len(layers) == 1 else torch.cat(layers) for layers in every]

    def _entries(
        self, hx: Any, rows: int, batched: bool, packed: bool, dtype: torch.dtype | None
    ) -> dict[str, list[Tensor]]:
        """By state the tensors that the user gave: one for all layers, `(L D, B, H)`, or one for each, `(D, B, H)`."""
        names = list(self.sizes)
        given = hx if len(names) > 1 else (hx,)
        if not are_entries(given) or len(given) != len(names):
            got = f"{len(hx)} entries" if are_entries(hx) else type(hx).__name__
            raise ValueError(f"hx expected one entry for each of the states {', '.join(names)}, got {got}")
        if not packed and self.has_vectors_only:
            _check_dims(names, given, batched)
        found: dict[str, list[Tensor]] = {}
        for at, (name, entry) in enumerate(zip(names, given, strict=True)):
            message = (
                f"Expected hidden[{at}] size {{}}, got {{}}" if len(names) > 1 else "Expected hidden size {}, got {}"
            )
            found[name] = self._layers(name, entry, rows, batched, message)
            if dtype is not None:
                for v in found[name]:
                    check_floating(f"hx, for the state {name},", v, dtype, "the input is")
        return found

    def _layers(self, name: str, entry: Any, rows: int, batched: bool, message: str) -> list[Tensor]:
        shapes = self.shapes[name]
        if isinstance(entry, torch.Tensor):
            if len(set(shapes)) > 1:
                raise ValueError(
                    f"hx expected a list over layers for {name}, as their widths {list(self.sizes[name])} differ, got a tensor"
                )
            return [_checked(entry, len(shapes) * self.directions, rows, shapes[0], batched, message)]
        if not are_entries(entry) or len(entry) != len(shapes):
            got = f"{len(entry)} entries" if are_entries(entry) else type(entry).__name__
            raise ValueError(
                f"hx expected a tensor or a list of {len(shapes)} tensors, one a layer, for {name}, got {got}"
            )
        if others := [type(e).__name__ for e in entry if not isinstance(e, torch.Tensor)]:
            raise ValueError(
                f"hx expected a list of {len(shapes)} tensors, one a layer, for {name}, got {others[0]} in it"
            )
        return [
            _checked(e, self.directions, rows, shape, batched, message) for e, shape in zip(entry, shapes, strict=True)
        ]

    def close_whole(self, last: Sequence[Tensor], batched: bool) -> Any:
        """As `close`, for states that are `(L D, B, H)` tensors already: returns a tensor, or a tuple if there are several."""
        closed = last if batched else [v.squeeze(1) for v in last]
        if not self.has_vectors_only:
            closed = [_whole(v, shapes[0]) for v, shapes in zip(closed, self.shapes.values(), strict=True)]
        return tuple(closed) if len(closed) > 1 else closed[0]

    def close(self, last: Sequence[State], batched: bool) -> Any:
        """Turn the inside layout into the outside one."""
        closed: list[Any] = []
        for name, shapes in self.shapes.items():
            tensors = [getattr(state, name) if batched else getattr(state, name).squeeze(0) for state in last]
            if len(set(shapes)) == 1:
                closed.append(_whole(torch.stack(tensors), shapes[0]))
            else:
                each = self.directions
                layers = (torch.stack(tensors[n : n + each]) for n in range(0, len(tensors), each))
                closed.append([_whole(v, shape) for v, shape in zip(layers, shapes, strict=True)])
        return tuple(closed) if len(closed) > 1 else closed[0]


def _check_dims(names: Sequence[str], given: Sequence[Any], batched: bool) -> None:
    dims, kind = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
    tensors = [v for entry in given for v in (entry if are_entries(entry) else [entry])]
    got = [f"{v.dim()}-D" for v in tensors if isinstance(v, torch.Tensor)]
    if set(got) <= {f"{dims}-D"}:
        return
    if len(names) == 1:
        what, found = "hx", f"{next(g for g in got if g != f'{dims}-D')} tensor"
    else:
        what, found = " and ".join(f"{name}x" for name in names), f"({', '.join(got)}) tensors"
    hint = ""
    if len(names) == 1 and are_entries(given[0]):
        each = "(D, B, H)" if batched else "(D, H)"
        hint = f"; a list has one tensor {each} for each layer"
    raise RuntimeError(f"For {kind} input, {what} should also be {dims}-D but got {found}{hint}")


def _checked(entry: Tensor, places: int, rows: int, shape: tuple[int, ...], batched: bool, message: str) -> Tensor:
    """Check the shape of an entry, and return it as `(places, B, H)`, each row of the state flattened."""
    whole = entry if batched else entry.unsqueeze(1)
    if (expected := (places, rows, *shape)) != tuple(whole.shape):
        raise RuntimeError(message.format(expected, list(whole.shape)))
    return whole if len(shape) == 1 else whole.flatten(2)


def _whole(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo the flattening of a state: give its last dimension the shape of one row."""
    return flat if len(shape) == 1 else flat.view(*flat.shape[:-1], *shape)
