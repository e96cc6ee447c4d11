"""The settings of a transcriber; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import ConfigError
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.settings import TaskSettings, check_reading
from ostinato.recipes.typed import field_types, fits, in_words
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import UpdateSettings

_MOST_FOLLOWED = 1000


@dataclass(frozen=True)
class TranscribeReadingSettings:
    """Which data, and how they are read.

    Args:
        validation: data of their own for validation; without them, validation_share of the training data is drawn.
        test: data of their own for the test; without them, test_share is drawn, unless the data come with one.
        text: the column of texts; without it, the one whose name says so (text, transcript, ...).
        separator: what separates the cells of CSV or TSV, such as ; or tab; null to find it.
        header: whether the first line of CSV or TSV names the columns; if not, they are called 1, 2, ...
        validation_share: the share of the data to validate with, from above 0 to below 1; of recordings with groups (subjects,
            writers) whole groups are drawn.
        test_share: the share of the data to test with; 0 for no test.
        tokens: what is written is characters (char), characters as people see them, with all of their marks (cluster), or words.
        vocabulary_size: most words.
        min_count: a word that training has fewer times is not written; at least 1.
        normalisation: a normal form of Unicode for all texts, such as nfc, in which an accent is part of its letter wherever that
            can be; none leaves texts as they are.
        lower_case: texts without regard to case.
        keep_empty: an empty text means that there is nothing to write, as in silence; else it means that nobody says what there is,
            and the recording is left out.
        height: for pictures of lines, the pixels that all are scaled to.
        stride: steps from the beginning of one frame to the next, each of recording.stack steps; null for so many that texts have
            some four frames a character.
    """

    validation: str | None = None
    test: str | None = None
    text: str | None = None
    separator: str | None = None
    header: bool = True
    validation_share: float = 0.1
    test_share: float = 0.1
    tokens: Literal["char", "cluster", "word"] = "char"
    vocabulary_size: int = 20_000
    min_count: int = 1
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    lower_case: bool = False
    keep_empty: bool = False
    height: int = 24
    stride: int | None = None

    def __post_init__(self):
        check_reading(self, vocabulary_size=3, min_count=1, height=4, stride=1)
        Dialect(self.separator, self.header)  # raises an error for a separator or header that cannot be

    @property
    def label(self) -> str | None:
        """The setting `text`, under the name that it has in other tasks on recordings."""
        return self.text


@dataclass(frozen=True)
class TranscriberSettings:
    """The network.

    Args:
        cell: the recurrent layer.
        hidden_size: units of each layer and direction, or a list with one number a layer; null for 128 in both directions, 256
            in one.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        bidirectional: a second direction, from the last frame to the first; false to write while frames are still coming.
        dropout: the rate of dropout between the layers and before the output, from 0 to below 1.
        input_dropout: the rate of dropout of what enters the first layer, from 0 to below 1.
        options: options of the recurrent layer by name, such as {zoneout: 0.1}.
    """

    cell: CellName = "lstm"
    hidden_size: int | list[int] | None = None
    num_layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.2
    input_dropout: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TranscriberTraining(UpdateSettings):
    """How to train a transcriber."""

    default_budget: ClassVar[Budget] = Budget(max_epochs=20.0, max_time_s=240.0)

    batch_size: int = 32
    learning_rate: float = 4e-3
    evaluate_every_epochs: float | None = 1.0


@dataclass(frozen=True)
class TranscribeSettings(TaskSettings):
    """Train a transcriber: frames in, a shorter text out.

    Args:
        data: recordings with a text each (a table of numbers, .npz, JSON lines or Parquet with lists, a folder of files with
            labels.csv); a folder of pictures of lines with labels.csv (file, text); "digits" for rows of handwritten digits;
            without it, lines of text that are drawn.
        reading: which data, and how they are read.
        recording: for recordings, which columns they are in; stack is the steps of a frame.
        model: the network.
        training: how to train; without a budget of your own, for 20 epochs or 240 s, whichever is over first.
    """

    task: Literal["transcribe"] = "transcribe"
    reading: TranscribeReadingSettings = field(default_factory=TranscribeReadingSettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    model: TranscriberSettings = field(default_factory=TranscriberSettings)
    training: UpdateSettings = field(default_factory=TranscriberTraining)

    def __post_init__(self):
        super().__post_init__()
        if self.recording.window is not None:
            raise ConfigError("recording.window: expected none, as a text belongs to a whole recording; leave it out")


@dataclass(frozen=True)
class TranscribeAnswering:
    """How texts are found.

    Args:
        beam: texts that are followed, from 1 to 1,000; 1 takes the likeliest unit of each frame (greedy).
        n_best: texts for each recording, from 1 to `beam`.
        language_model: a run of the task lm that reads what is written, by characters or, as the transcriber's tokens, by words.
        weight: the weight of what the language model says, at least 0.
        bonus: nats for each unit that is written, for a language model makes texts short: each unit costs something.
        lexicon: a file of words, a line each; no other is written.
        spans: whether answers say which steps each character and each word stands at.

    Raises:
        ConfigError: a value is of another type or out of its range.
    """

    beam: int = 8
    n_best: int = 1
    language_model: str | None = None
    weight: float = 0.5
    bonus: float = 0.5
    lexicon: str | None = None
    spans: bool = True

    def __post_init__(self):
        for name, kind in field_types(type(self)).items():
            value = getattr(self, name)
            if not fits(kind, value):
                raise ConfigError(f"{name}: expected {in_words(kind)}, got {value!r}")
        if not 1 <= self.beam <= _MOST_FOLLOWED:
            raise ConfigError(f"beam: expected an integer from 1 to {_MOST_FOLLOWED:,}, got {self.beam}")
        if not 1 <= self.n_best <= self.beam:
            raise ConfigError(f"n_best: expected a number from 1 to beam = {self.beam}, got {self.n_best}")
        if not 0 <= self.weight < math.inf:
            raise ConfigError(f"weight: expected a number of at least 0, got {self.weight}")
        if self.beam == 1 and (self.language_model or self.lexicon):
            raise ConfigError(
                "beam: expected more than 1 with a language model or a lexicon, for one path alone leaves nothing to choose from"
            )
