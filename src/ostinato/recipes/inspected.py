"""What the sections of a report look at: the run, its model, a text, and what was measured in training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ostinato.data.streams import Chunk
from ostinato.data.tokens import Tokens
from ostinato.errors import RunError
from ostinato.insight.layers import trajectories
from ostinato.insight.trajectory import Trajectory
from ostinato.insight.unit_values import Activations, activations
from ostinato.insight.units import MeaningfulUnit, meaningful_units
from ostinato.models.language_model import LanguageModel
from ostinato.recipes.reading import Reading
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.training.run_folder import RunFolder

_ROWS, _STEPS = 16, 128  # of the batch that everything but the units is measured on
_MOST_READ, _LEAST_READ = 40_000, 6_000  # steps over which units are correlated
_MULTIPLY_ADDS = 1e11  # of that reading: some twenty seconds of one core
SHOWN = 2_000  # steps of the reading page
_BEFORE = 500  # steps read before them, so that the states are those of a text under way


@dataclass(frozen=True)
class Inspected:
    """A run under inspection.

    Attributes:
        run: its folder.
        settings: what it was told.
        model: with its best weights, in evaluation mode.
        text_name: of the text, for people.
        tokens: the text.
        lines: of `metrics.jsonl`, oldest first.
        report: `report.json`; empty if the run has not come to its end.
    """

    run: RunFolder
    settings: LanguageModelSettings
    model: LanguageModel
    text_name: str
    tokens: Tokens
    lines: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any]

    @cached_property
    def chunks(self) -> tuple[Chunk, Chunk | None]:
        """The first chunk of the text as parallel streams, and the one that follows it if there is one."""
        found = iter(Reading(self.tokens, _ROWS, _STEPS)())
        return next(found), next(found, None)

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """What the layers did on the first chunk."""
        return trajectories(self.model, self.chunks[0], lambda model, chunk: model.loss(chunk))

    @cached_property
    def read(self) -> Activations:
        """Every state over as much of the text as units are correlated on."""
        weights = sum(parameter.numel() for parameter in self.model.recurrent.parameters())
        steps = int(min(max(_MULTIPLY_ADDS / weights, _LEAST_READ), _MOST_READ))
        return activations(self.model, self._text(steps))

    @cached_property
    def units(self) -> list[MeaningfulUnit]:
        """Which units mean something."""
        return meaningful_units(self.read)

    @cached_property
    def excerpt(self) -> tuple[int, Activations]:
        """Where in `read` the reading page begins, and every unit with its gates from there on.

        It is of the half that the units were not chosen on, and begins with a line.
        """
        half = len(self.read) // 2
        lines = (step + 1 for step in range(half, len(self.read) - SHOWN) if self.read.pieces[step].endswith("\n"))
        start = next(lines, half)
        begin = max(0, start - _BEFORE)
        pieces = self.read.pieces[begin : start + SHOWN]
        # Not the text of the pieces: cut elsewhere, it might have other tokens.
        ids = self.model.vocabulary.encode(self._text(len(self.read)))[begin : start + SHOWN].astype("int64")
        return start, activations(self.model, pieces, torch.from_numpy(ids)[:, None], gates=True)[start - begin :]

    def _text(self, steps: int) -> str:
        return self.model.vocabulary.decode(self.tokens.ids[:steps])

    @property
    def characters_per_token(self) -> float:
        """Of the text."""
        return self.tokens.characters / len(self.tokens)

    def of_lines(self, name: str) -> tuple[list[int], list[float]]:
        """The steps at which something was measured, and its values."""
        found = [(line["step"], line[name]) for line in self.lines if name in line]
        return [step for step, _ in found], [value for _, value in found]


def read_lines(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return [json.loads(line) for line in run.metrics_file.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise RunError(f"{run.metrics_file} is missing; train until the first evaluation, or resume the run") from None
    except ValueError as error:
        raise RunError(f"{run.metrics_file} is damaged: {error}; resume the run from its last checkpoint") from error


def read_report(run: RunFolder) -> dict[str, Any]:
    """`report.json`, or nothing where the run has not come to its end.

    Raises:
        RunError: the file is damaged.
    """
    file = run.path / "report.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}; resume the run, or remove the file") from error
