"""A run of the language model under inspection: the text that it reads, and units that follow its labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ostinato.data.batches.streams import Chunk
from ostinato.data.tokens.tokens import Tokens
from ostinato.insight.reasons.question import Question
from ostinato.insight.unit_values import Activations, activations
from ostinato.insight.units import MeaningfulUnit, meaningful_units
from ostinato.models.text.language_model import LanguageModel
from ostinato.nn import Recurrent
from ostinato.recipes.inspection.inspected import Inspected, read_lines, read_report
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.lm.reading import TextReading
from ostinato.recipes.lm.settings import LanguageModelSettings
from ostinato.recipes.lm.task import LanguageModelling
from ostinato.recipes.lm.text import TextPart
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import load, read_splits
from ostinato.training.run.run_folder import RunFolder

_ROWS, _STEPS = 16, 128  # size of the batch that everything but the units is measured on
_MOST_READ, _LEAST_READ = 40_000, 6_000  # bounds of the steps over which units are correlated
_MULTIPLY_ADDS = 1e11  # for reading them: about twenty seconds of one core
_QUESTIONED = 2_000  # steps at the beginning of the text, among which tokens are asked about
_SHOWN = 2_000  # steps on the page that shows the text
_BEFORE = 500  # steps read before these, so that the states do not begin fresh
_TOKENS = {"char": "characters", "byte": "bytes", "word": "words", "bpe": "pieces of words"}


@dataclass(frozen=True)
class InspectedText(Inspected):
    """A run of the language model under inspection.

    Attributes:
        text: the text that it reads.
    """

    settings: LanguageModelSettings
    model: LanguageModel
    text: TextPart

    @property
    def tokens(self) -> Tokens:
        """The tokens of the text."""
        return self.text.tokens

    @property
    def about(self) -> str:
        """A sentence with cell, sizes, vocabulary and text."""
        model, settings = self.model, self.settings
        kind, layers = type(model.recurrent), " + ".join(map(str, model.recurrent.hidden_sizes))
        name = model.recurrent.base_cell.name if kind is Recurrent else kind.__name__
        return (
            f"{name} of {layers} units that reads {_TOKENS[settings.tokens.kind]}, "
            f"{len(model.vocabulary):,} different ones. It is looked at here on {self.data_name}."
        )

    @property
    def item(self) -> str:
        """What the loss is the mean of: a token."""
        return "token"

    @property
    def loss_curves(self) -> tuple[str, str, str]:
        """The loss curves to draw: bits, which can be compared between vocabularies."""
        return "bits_per_character", "validation_bits_per_character", "bits a character"

    def tiles(self) -> list[tuple[str, str, str]]:
        """The numbers at the top of the page: the losses, beside that of the best simpler model."""
        found = []
        network = self.report.get("network")
        if network:
            found.append(("validation loss", f"{network['bits_per_character']:.3f}", "bits a character"))
        else:
            steps, losses = self.of_lines("validation_bits_per_character")
            if steps:
                found.append(("best validation loss so far", f"{min(losses):.3f}", "bits a character"))
        if simpler := self.report.get("baselines"):
            name = min(simpler, key=lambda each: simpler[each]["bits_per_character"])
            bits = simpler[name]["bits_per_character"]
            found.append((f"best simpler model: {name}", f"{bits:.3f}", "bits a character"))
        if test := self.report.get("test"):
            found.append(("test loss", f"{test['bits_per_character']:.3f}", "bits a character"))
        return found

    @cached_property
    def _chunks(self) -> tuple[Chunk, Chunk | None]:
        """The first chunk of the text as parallel streams, and the next one if there is one."""
        found = iter(TextReading(self.tokens, _ROWS, _STEPS)())
        return next(found), next(found, None)

    @property
    def batch(self) -> Chunk:
        """The first chunk of the text as parallel streams."""
        return self._chunks[0]

    @property
    def following(self) -> Chunk | None:
        """The second chunk of the text; None if there is none."""
        return self._chunks[1]

    def questions(self, most: int) -> Iterator[Question]:
        """Asks about tokens at even distances in the first part of the text."""
        learnt = Learnt(self.settings, self.model.vocabulary, self.model)
        end = min(len(self.tokens), _QUESTIONED)
        for at in range(1, most + 1):
            target = max(1, at * end // most - 1)
            yield from LanguageModelling().questions(learnt, self.text, (0,), str(target))

    @property
    def steps(self) -> int:
        """The steps of a chunk in training."""
        return self.settings.training.chunk_length

    @cached_property
    def read(self) -> Activations:
        """The activations of all units over the text on which they are correlated with labels."""
        weights = sum(parameter.numel() for parameter in self.model.recurrent.parameters())
        steps = int(min(max(_MULTIPLY_ADDS / weights, _LEAST_READ), _MOST_READ))
        return activations(self.model, self._text(steps))

    @cached_property
    def units(self) -> list[MeaningfulUnit]:
        """The units that follow a label of the text."""
        return meaningful_units(self.read)

    @cached_property
    def excerpt(self) -> tuple[int, Activations]:
        """The step of `read` at which the page with the text begins, and all units with their gates from there on.

        The excerpt is of the half that the units were not chosen on, and begins with a line if possible.
        """
        half = len(self.read) // 2
        lines = (step + 1 for step in range(half, len(self.read) - _SHOWN) if self.read.pieces[step].endswith("\n"))
        start = next(lines, half)
        begin = max(0, start - _BEFORE)
        pieces = self.read.pieces[begin : start + _SHOWN]
        # Not the text of the pieces: without what comes before, it may be cut into other tokens.
        ids = self.model.vocabulary.encode(self._text(len(self.read)))[begin : start + _SHOWN].astype("int64")
        return start, activations(self.model, pieces, torch.from_numpy(ids)[:, None], gates=True)[start - begin :]

    def _text(self, steps: int) -> str:
        return self.model.vocabulary.decode(self.tokens.ids[:steps])


def inspected_text(path: str | os.PathLike[str], data: str | None, folder: Path) -> InspectedText:
    """Loads a run and the text that it reads.

    Args:
        path: the folder of the run.
        data: a file, a folder, a glob or a URL; None for the run's own validation text.
        folder: unused here: a language model's text makes its own folder.

    Raises:
        OstinatoError: the run or the text cannot be read.
    """
    trained = load(LanguageModelling(), path)
    if data is None:
        text = read_splits(trained.task, trained.settings, Opening(trained.folder, trained.known)).validation
        name = f"{text.name}, validation"
    else:
        text = trained.read_part(data, labelled=True)
        name = text.name
    run = RunFolder(path)
    return InspectedText(run, trained.settings, trained.model, name, read_lines(run), read_report(run), text)
