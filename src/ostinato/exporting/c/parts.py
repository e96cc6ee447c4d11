"""The parts of a network (embedding, layers, pooling, output): each as C, and as the same arithmetic in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from ostinato.exporting.c.layer import LayerFunction
from ostinato.exporting.c.stack import Stack
from ostinato.exporting.c.step import Field, StepWriter
from ostinato.exporting.c.text import INDENT, block, state
from ostinato.exporting.c.weights import Matrix, dot


class Part(Protocol):
    """One part of a network.

    `write` adds the part's lines to a step: it takes the C expression of the input, and returns that of the output.
    `run` computes the same for a whole sequence of one row, from its beginning, with the weights of the C code.
    """

    @property
    def fields(self) -> Sequence[Field]:
        """The values that the part keeps from step to step."""
        ...

    def write(self, step: StepWriter, v: str) -> str:
        """Write the part as C; `v` is the expression of its input. Return the expression of its output."""
        ...

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """Compute `(T, .)` from `(T, .)`. `more` has other arguments by name; a part may add some for later parts."""
        ...


@dataclass(frozen=True)
class Rows:
    """An embedding: the row of a token. A token out of range counts as 0.

    Attributes:
        matrix: `(V, E)`.
    """

    matrix: Matrix
    fields: Sequence[Field] = ()

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`. Rows of float32 are not copied."""
        table, columns = step.constants.use(self.matrix), self.matrix.columns
        step.lines += [f"const int token = {v} >= 0 && {v} < {len(self.matrix.values)} ? {v} : 0;"]
        if not self.matrix.is_int8:
            step.lines += [f"const float *const row = &{table}[token * {columns}];"]
            return "row"
        to = step.array("embedded", columns)
        row = f"(float){table}[token * {columns} + i]"
        step.loop(columns, f"{to}[i] = {row} * {table}_scale[token];")
        return to

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        return self.matrix.values[torch.where((v >= 0) & (v < len(self.matrix.values)), v, 0)]


@dataclass(frozen=True)
class Layers:
    """The recurrent layers, with the connections around them.

    Attributes:
        stack: the layers and their connections.
        functions: the C function of each layer.
        extras: the names of the extras in C.
    """

    stack: Stack
    functions: Sequence[LayerFunction]
    extras: Sequence[str] = ()
    fields: Sequence[Field] = ()

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        for at, (layer, function) in enumerate(zip(self.stack.layers, self.functions, strict=True)):
            step.next(v)
            work = [step.array(f"work{at}", function.work)] if function.work else []
            given = ", ".join([f"&s->{function.name}", v, *self.extras, *work])
            step.lines.append(f"{function.name}({given});")
            out = f"s->{function.name}.{state(layer.cell.output)}"
            v = self._connected(step, at, v, out) if at and self.stack.connection else out
        return v

    def _connected(self, step: StepWriter, at: int, below: str, above: str) -> str:
        step.next(below)
        width = self.stack.layers[at].outputs
        if self.stack.connection == "residual":
            to = step.array("added", width)
            step.loop(width, f"{to}[i] = {above}[i] + {below}[i];")
            return to
        to = step.array(f"carried{at}", width)
        matrix, bias, _ = self.stack.gates[at - 1]
        row = dot(step.constants, matrix, "i", below)
        step.loop(
            width,
            f"const float gate = sigmoid({row} + {step.constants.use(bias)}[i]);",
            f"{to}[i] = gate * {above}[i] + (1.0f - gate) * {below}[i];",
        )
        return to

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        return self.stack.run(v, more)


@dataclass(frozen=True)
class Pool:
    """Pooling of the steps so far to one vector: after each step the vector of a sequence that ends there.

    Attributes:
        name: "mean", "max" or "attention" of `ostinato.models.classifying.pooling`.
        width: the number of features of a step, F.
        key: the key matrix of attention, `(F, F)`.
        names: the names of the arrays of the key's bias and of the query, for attention.
        numbers: the key's bias and the query as tensors, `(F,)` each, for attention.
    """

    name: str
    width: int
    key: Matrix | None = None
    names: tuple[str, ...] = ()
    numbers: tuple[torch.Tensor, ...] = ()

    @property
    def fields(self) -> Sequence[Field]:
        """See `Part`."""
        match self.name:
            case "mean":
                return Field("pooled", self.width), Field("steps", told="so far")
            case "max":
                return (Field("pooled", self.width, "-INFINITY"),)
            case _:
                most = Field("most", first="-INFINITY", told="the largest score so far")
                return Field("pooled", self.width), most, Field("total", told="of the weights")

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        step.next(v)
        match self.name:
            case "mean":
                # A float counts to 2^24; from then on the mean gives more weight to the last steps.
                step.lines += ["if (s->steps < 16777216.0f)", INDENT + "s->steps += 1.0f;"]
                step.loop(self.width, f"s->pooled[i] += ({v}[i] - s->pooled[i]) / s->steps;")
                return "s->pooled"
            case "max":
                step.loop(self.width, f"s->pooled[i] = maximum(s->pooled[i], {v}[i]);")
                return "s->pooled"
            case _:
                return self._attention(step, v)

    def _attention(self, step: StepWriter, v: str) -> str:
        """Write a softmax over all steps so far. When a larger score comes, the sums so far are scaled down."""
        assert self.key is not None
        bias, query = map(step.constants.use, self.names)
        row = dot(step.constants, self.key, "i", v)
        step.lines.append("float score = 0.0f, weight;")
        step.loop(self.width, f"score += {query}[i] * tanhf({row} + {bias}[i]);")
        shrunk = [INDENT + "s->pooled[i] *= weight;"]
        step.lines += ["if (score > s->most) {"]
        step.lines += block(
            [
                "weight = expf(s->most - score);",
                "s->most = score;",
                "s->total *= weight;",
                f"for (int i = 0; i < {self.width}; i++)",
                *shrunk,
            ]
        )
        step.lines += ["}", "weight = expf(score - s->most);", "s->total += weight;"]
        step.loop(self.width, f"s->pooled[i] += weight * {v}[i];")
        to = step.array("attended", self.width)
        step.loop(self.width, f"{to}[i] = s->pooled[i] / s->total;")
        return to

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        match self.name:
            case "mean":
                return v.cumsum(0) / torch.arange(1, len(v) + 1)[:, None]
            case "max":
                return v.cummax(0).values
            case _:
                assert self.key is not None
                bias, query = self.numbers
                score = torch.tanh(F.linear(v, self.key.values, bias)) @ query
                weights = torch.exp(score - score.cummax(0).values[:, None]).tril()
                return weights @ v / weights.sum(1, keepdim=True)


@dataclass(frozen=True)
class Linear:
    """A linear layer, whose result is the answer y or an array.

    Attributes:
        matrix: `(outputs, F)`.
        bias: the name of the bias' array; "" for no bias.
        numbers: the bias, `(outputs,)`, or None.
        to: the array of the work area that gets the result; "" for the answer y.
    """

    matrix: Matrix
    bias: str
    numbers: torch.Tensor | None
    to: str = ""
    fields: Sequence[Field] = ()

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        step.next(v)
        outputs = len(self.matrix.values)
        to = step.array(self.to, outputs) if self.to else "y"
        value = dot(step.constants, self.matrix, "i", v)
        step.loop(outputs, f"{to}[i] = {value}{f' + {step.constants.use(self.bias)}[i]' if self.bias else ''};")
        return to

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        return F.linear(v, self.matrix.values, self.numbers)


@dataclass(frozen=True)
class Answer:
    """The output of the layers as the answer y.

    Attributes:
        width: the number of values.
    """

    width: int
    fields: Sequence[Field] = ()

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        step.next(v)
        step.loop(self.width, f"y[i] = {v}[i];")
        return "y"

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        return v
