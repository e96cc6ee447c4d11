"""A table of a model's parameters, and their cost in memory and in multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ostinato.insight.layers import InsightError, convert_alone
from ostinato.insight.parameter_formulas import FormulaPiece, pieces_of
from ostinato.insight.shown import ShownInNotebooks
from ostinato.insight.tables import csv_of, make_table, text_of

if TYPE_CHECKING:
    from rich.table import Table

# How many numbers each optimiser keeps for a weight, in the weight's dtype, with the default settings of torch.optim.
OPTIMIZER_STATES = {
    "sgd": 0,
    "sgd with momentum": 1,
    "rmsprop": 1,
    "adagrad": 1,
    "adadelta": 2,
    "adam": 2,
    "adamw": 2,
    "nadam": 2,
    "radam": 2,
}
_COLUMNS = ("name", "shape", "formula", "count", "note")


@dataclass(frozen=True)
class ParameterRow:
    """One parameter.

    Attributes:
        name: its name in the `state_dict`.
        shape: the shape of the tensor.
        formula: the formula of the count, in letters, see `FormulaPiece`; in numbers for a kind of module without letters.
        count: how many numbers it has.
        tied_to: the first name of the same tensor, if it has several names; it is counted there. Else None.
        is_trained: whether it has a gradient.
    """

    name: str
    shape: tuple[int, ...]
    formula: str
    count: int
    tied_to: str | None
    is_trained: bool

    @property
    def note(self) -> str:
        """A note for the table: that the parameter is tied or frozen, or nothing."""
        return f"is {self.tied_to}" if self.tied_to else "" if self.is_trained else "frozen"


@dataclass(frozen=True)
class ParameterTable(ShownInNotebooks):
    """The parameters of a model, and their cost; print it.

    Attributes:
        rows: one for each parameter.
        pieces: one for each direction of each recurrent layer, and for each other module that has parameters.
        count: the count of all parameters, tied ones once.
        weights_bytes: the size of all parameters.
        gradients_bytes: the size of the gradients of trained parameters.
        optimizer_bytes: the size of the state that the optimiser keeps for them.
        activations_bytes: the size of the values that the equations of the recurrent, linear and embedding modules need for the
            backward pass of a batch, if each runs at every step: inputs, gates and states. Backends keep somewhat more or, with
            checkpoint_segments, less.
        multiply_adds_per_step: the multiply-adds of their matrix products, forward, for one step of one row; the backward pass has
            twice as many.
        T: the number of steps of the batch.
        B: the number of rows of the batch.
        optimizer: the name of the optimiser.
        unknown: modules whose activations and multiply-adds are not in the sums.
    """

    rows: list[ParameterRow]
    pieces: list[FormulaPiece]
    count: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    multiply_adds_per_step: int
    T: int
    B: int
    optimizer: str
    unknown: list[str]

    def __str__(self) -> str:
        return text_of(*self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them; memory in bytes."""
        return asdict(self)

    def tables(self) -> tuple[Table, Table, Table]:
        """A row for each parameter; one for each layer; the sums."""
        pieces = []
        for piece in self.pieces:
            letters = ", ".join(f"{letter} = {size}" for letter, size in piece.letters.items())
            work = "?" if piece.multiply_adds is None else piece.multiply_adds
            count = sum(row.count for row in self.rows if row.name in piece.formulas)
            pieces.append((piece.name, piece.kind, piece.whole, letters, count, work))
        batch = f"a batch of B = {self.B} rows and T = {self.T} steps"
        sums: list[tuple[str, Any]] = [
            ("parameters", self.count),
            ("weights (MB)", self.weights_bytes / 1e6),
            ("gradients (MB)", self.gradients_bytes / 1e6),
            (f"states of {self.optimizer} (MB)", self.optimizer_bytes / 1e6),
            (f"activations of {batch} (MB)", self.activations_bytes / 1e6),
            ("multiply-adds of a step of a row, forward", self.multiply_adds_per_step),
            (f"multiply-adds of {batch}, forward and backward", 3 * self.T * self.B * self.multiply_adds_per_step),
        ]
        if self.unknown:
            sums.append(("not in the last three", ", ".join(self.unknown)))
        return (
            make_table("parameters", _COLUMNS, self._cells(), words=3),
            make_table(
                "layers", ["layer", "kind", "formula", "with", "count", "multiply-adds a step"], pieces, words=4
            ),
            make_table("in all", ["what", "how much"], sums),
        )

    def csv(self) -> str:
        """The parameters, a line each, after a line of names."""
        return csv_of(_COLUMNS, self._cells())

    def _cells(self) -> Iterator[tuple[Any, ...]]:
        for row in self.rows:
            yield row.name, "x".join(str(size) for size in row.shape), row.formula, row.count, row.note


def parameters(model: nn.Module, *, T: int = 1, B: int = 1, optimizer: str = "adam") -> ParameterTable:
    """List every parameter by name, shape, formula and count, with memory and multiply-adds of a batch.

    Args:
        model: any module; recurrent layers and single-step cells of ours and of torch.nn, linear layers and embeddings have
            formulas.
        T: the number of steps of a batch, at least 1.
        B: the number of rows of a batch, at least 1.
        optimizer: "sgd", "sgd with momentum", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "nadam" or "radam".

    Raises:
        InsightError: an argument is out of range, or the model has no parameters.
    """
    for name, value in (("T", T), ("B", B)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InsightError(f"{name} expected an integer of at least 1, got {value!r}")
    if optimizer not in OPTIMIZER_STATES:
        raise InsightError(f"optimizer expected one of {', '.join(OPTIMIZER_STATES)}, got {optimizer!r}")
    pieces = [piece for name, module in model.named_modules() for piece in pieces_of(name, convert_alone(module))]
    formulas = {name: text for piece in pieces for name, text in piece.formulas.items()}
    rows: list[ParameterRow] = []
    first: dict[int, str] = {}
    kept: list[torch.Tensor] = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        tied_to = first.setdefault(id(parameter), name)
        is_tied = tied_to != name
        if not is_tied:
            kept.append(parameter)
        rows.append(
            ParameterRow(
                name,
                tuple(parameter.shape),
                formulas.get(name) or formulas[tied_to],  # a module with two names has its formulas under the first
                parameter.numel(),
                tied_to if is_tied else None,
                parameter.requires_grad,
            )
        )
    if not rows:
        raise InsightError(f"expected a model with parameters, got none in {type(model).__name__}")
    trained_bytes = sum(p.numel() * p.element_size() for p in kept if p.requires_grad)
    return ParameterTable(
        rows,
        pieces,
        count=sum(p.numel() for p in kept),
        weights_bytes=sum(p.numel() * p.element_size() for p in kept),
        gradients_bytes=trained_bytes,
        optimizer_bytes=OPTIMIZER_STATES[optimizer] * trained_bytes,
        activations_bytes=T * B * sum(_kept_bytes(piece, kept[0].element_size()) for piece in pieces),
        multiply_adds_per_step=sum(piece.multiply_adds or 0 for piece in pieces),
        T=T,
        B=B,
        optimizer=optimizer,
        unknown=[f"{piece.name} ({piece.kind})" for piece in pieces if piece.kept is None],
    )


def _kept_bytes(piece: FormulaPiece, element_size: int) -> int:
    # An embedding keeps an index of 8 bytes.
    return (piece.kept or 0) * (8 if piece.kind == "Embedding" else element_size)
