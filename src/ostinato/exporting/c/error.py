"""The error from matrices in 8-bit whole numbers. It is measured on sequences, as nothing else can tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ostinato.errors import ConfigError
from ostinato.exporting.c.network import Network
from ostinato.exporting.c.parts import Rows
from ostinato.exporting.c.series import SeriesReader

PROBE_STEPS = 100

Sequences = torch.Tensor | Mapping[str, torch.Tensor] | Sequence["torch.Tensor | Mapping[str, torch.Tensor]"]


@dataclass(frozen=True)
class WeightError:
    """The difference that rounded weights make, over all steps of all sequences.

    Attributes:
        largest: the largest difference of any number of y.
        share: `largest`, divided by the largest absolute number of y.
        same: the share of steps with the same answer (largest score); None if y are not scores.
        steps: the number of steps that were compared.
        of: "inputs" if the caller gave sequences, or "probe" for random ones.
    """

    largest: float
    share: float
    same: float | None
    steps: int
    of: str

    def __str__(self) -> str:
        """Describe the error in a line."""
        what = "the inputs that were given" if self.of == "inputs" else "random inputs"
        same = "" if self.same is None else f", {self.same:.1%} of the answers the same"
        return (
            f"at most {self.largest:.2g}, {self.share:.2%} of the largest output{same}; {self.steps:,} steps of {what}"
        )


def measure(exact: Network, rounded: Network, sequences: Sequences | None) -> WeightError:
    """Compare two networks of the same module.

    Args:
        exact: the network with weights in float32.
        rounded: the network with rounded weights.
        sequences: one or several, each `(T, I)`, or `(T,)` for tokens or a series; a dictionary if a step has other
            arguments, `{"x": ..., "dt": ...}`. None for one random sequence.

    Raises:
        ConfigError: there are no sequences, or one has another shape or type, or other arguments.
    """
    given = _probe(exact) if sequences is None else _listed(sequences)
    largest = most = 0.0
    answers = steps = 0
    for each in given:
        x, more = _checked(exact, each)
        want, got = exact.run(x, more), rounded.run(x, more)
        largest = max(largest, float((got - want).abs().max()))
        most = max(most, float(want.abs().max()))
        answers += int((got.argmax(1) == want.argmax(1)).sum())
        steps += len(x)
    same = answers / steps if exact.choices else None
    return WeightError(
        largest, largest / most if most else 0.0, same, steps, "probe" if sequences is None else "inputs"
    )


def _listed(sequences: Sequences) -> Sequence[torch.Tensor | Mapping[str, torch.Tensor]]:
    found = [sequences] if isinstance(sequences, torch.Tensor | Mapping) else list(sequences)
    if not found:
        raise ConfigError("inputs expected at least one sequence, got none")
    return found


def _checked(
    network: Network, given: torch.Tensor | Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    named = dict(given) if isinstance(given, Mapping) else {"x": given}
    first, *_ = network.arguments
    is_series = any(isinstance(part, SeriesReader) for part in network.parts)
    wanted = ["x", *(a.reading for a in network.arguments[1:]), *(["past"] if is_series else [])]
    if isinstance(given, torch.Tensor) and is_series and wanted == ["x", "past"]:
        named["past"] = given
    if sorted(named) != sorted(wanted):
        raise ConfigError(f"a sequence of inputs expected {', '.join(wanted)}; got {', '.join(named) or 'nothing'}")
    x = named.pop("x")
    width = network.layers.stack.inputs
    is_token = first.kind == "int"
    if not isinstance(x, torch.Tensor) or x.dim() != (2 if first.kind == "const float *" else 1) or not len(x):  # pyright: ignore[reportUnnecessaryIsInstance]
        shape = f"(T, {width})" if first.kind == "const float *" else "(T,)"
        raise ConfigError(f"inputs expected sequences of the shape {shape}, T at least 1; got {_described(x)}")
    if first.kind == "const float *" and x.shape[1] != width:
        raise ConfigError(f"inputs expected sequences of the shape (T, {width}), got {_described(x)}")
    if is_token == x.is_floating_point():
        raise ConfigError(f"inputs expected {'tokens, int64' if is_token else 'numbers'}, got {x.dtype}")
    for name, v in named.items():
        if name != "past" and (not isinstance(v, torch.Tensor) or len(v) != len(x)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"{name} expected {len(x)} steps as x has, got {_described(v)}")
    return (x if is_token else x.float()), {
        name: v if v.dtype is torch.int64 else v.float() for name, v in named.items()
    }


def _described(v: object) -> str:
    return f"{tuple(v.shape)}" if isinstance(v, torch.Tensor) else type(v).__name__


def _probe(network: Network) -> list[Mapping[str, torch.Tensor]]:
    """Return one sequence of random inputs, the same in every call."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device="cpu")

    stack = network.layers.stack
    match network.parts[0]:
        case Rows(matrix=matrix):
            return [{"x": torch.randint(len(matrix.values), (PROBE_STEPS,), generator=generator, device="cpu")}]
        case SeriesReader() as reader:
            values = normal(PROBE_STEPS).cumsum(0)
            found = {"x": torch.cat([values.new_full((1,), torch.nan), values[:-1]]), "past": values}
            if reader.known:
                found["known"] = normal(PROBE_STEPS, reader.known)
            if reader.observed:
                found["observed"] = normal(PROBE_STEPS, reader.observed)
            if reader.embedding is not None:
                found["series"] = torch.zeros(PROBE_STEPS, dtype=torch.int64)
            return [found]
        case _:
            extras = {name: torch.ones(PROBE_STEPS, max(1, size)) for name, size in stack.extras.items()}
            return [{"x": normal(PROBE_STEPS, stack.inputs), **extras}]
