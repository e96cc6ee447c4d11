"""The settings of a captioner; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.errors import ConfigError
from ostinato.recipes.settings import TaskSettings, check_answering, check_reading
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import UpdateSettings


@dataclass(frozen=True)
class CaptionReadingSettings:
    """Which data, and how they are read.

    Args:
        language: the language in which the digits of the built-in data are named, such as en, de, fr or ko.
        validation: captions of their own for validation, as data; without them, validation_share of the training pictures is drawn.
        test: captions of their own for the test; without them, test_share is drawn.
        validation_share: the share of the data to validate with, from above 0 to below 1.
        test_share: the share of the data to test with, from 0, for no test, to below 1.
        size: that pictures are scaled to, one number for both sides or a list with height and width; null where all have one size.
            New pictures are scaled to the size that the network has learnt.
        grey: read pictures without colours; null to do so where all of the training pictures have none.
        skip_broken: leave out pictures that are missing or cannot be read, and say which; predict always does.
        tokens: a step of a caption is a word (or a punctuation mark), a character, a byte or a piece of a word (byte pair
            encoding); auto is word where the training captions have two words or more on average, else char.
        vocabulary_size: most tokens of word and bpe.
        min_count: a word that training has fewer times is unknown, and never written; at least 1.
        normalisation: a normal form of Unicode for all texts, such as nfc, in which an accent is part of its letter wherever that
            can be; none leaves texts as they are.
        lower_case: captions without regard to case.
        max_length: tokens of a caption that are learnt, the others at its end left out; null for all.
    """

    language: str = "en"
    validation: str | None = None
    test: str | None = None
    validation_share: float = 0.1
    test_share: float = 0.1
    size: int | list[int] | None = None
    grey: bool | None = None
    skip_broken: bool = False
    tokens: Literal["auto", "word", "char", "byte", "bpe"] = "auto"
    vocabulary_size: int = 20_000
    min_count: int = 2
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    lower_case: bool = True
    max_length: int | None = None

    def __post_init__(self):
        check_reading(self, vocabulary_size=3, min_count=1, max_length=1)
        if self.size is not None and (len(sides := self._sides) != 2 or min(sides) < 1):
            raise ConfigError(f"reading.size: expected one or two numbers of at least 1, got {self.size}")

    @property
    def _sides(self) -> list[int]:
        return [self.size, self.size] if isinstance(self.size, int) else list(self.size or ())

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """The setting `size` as height and width; None for the size of the pictures."""
        return (self._sides[0], self._sides[1]) if self.size is not None else None


@dataclass(frozen=True)
class CaptionerSettings:
    """The network.

    Args:
        encoder: convolution, a small network whose places are looked at; or rows, a recurrence over the rows of the image.
        features: the number of features of each place or row.
        stages: the stages of the convolution, each of which halves the image; null for as many as leave 8 places a side at most.
        cell: the decoder's recurrent layer, and that over the rows.
        embedding_size: width of the vector that stands for a token.
        hidden_size: units of the decoder's layers.
        num_layers: the decoder's layers, one above the other.
        attention: how the decoder looks at the places: general, dot, scaled, additive; null for not at all.
        coverage: attention sees where it has looked before; slower.
        input_feeding: each step is told what the one before it read out; slower.
        tied: the output layer shares the embedding's weights.
        dropout: the rate of dropout of places and embeddings, between layers and of readouts, from 0 to below 1.
        label_smoothing: share of the training target that is spread over all tokens, from 0 to below 1.
        options: options of the decoder's layer by name, such as {zoneout: 0.1}.
    """

    encoder: Literal["convolution", "rows"] = "convolution"
    features: int = 64
    stages: int | None = None
    cell: CellName = "lstm"
    embedding_size: int = 64
    hidden_size: int = 128
    num_layers: int = 1
    attention: Literal["general", "dot", "scaled", "additive"] | None = "scaled"
    coverage: bool = False
    input_feeding: bool = False
    tied: bool = False
    dropout: float = 0.2
    label_smoothing: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptionerTraining(UpdateSettings):
    """How to train a captioner."""

    default_budget: ClassVar[Budget] = Budget(max_epochs=20.0, max_time_s=300.0)

    batch_size: int = 64
    learning_rate: float = 4e-3
    evaluate_every_epochs: float | None = 2.0


@dataclass(frozen=True)
class CaptionSettings(TaskSettings):
    """Train a captioner of images.

    Args:
        data: JSON lines with a picture and its caption each, or a folder with them (train.jsonl, dev.jsonl and test.jsonl, or one
            file); without it, the handwritten digits of scikit-learn, in words.
        reading: which data, and how they are read.
        model: the network.
        training: how to train; without a budget of your own, for 20 epochs or 300 s, whichever is over first.
    """

    task: Literal["caption"] = "caption"
    reading: CaptionReadingSettings = field(default_factory=CaptionReadingSettings)
    model: CaptionerSettings = field(default_factory=CaptionerSettings)
    training: UpdateSettings = field(default_factory=CaptionerTraining)


@dataclass(frozen=True)
class CaptionAnswering:
    """How captions are written.

    Args:
        beam: hypotheses of an image that are followed, at least 1; 1 takes the most likely token at each step (greedy).
        n_best: captions for each image, from 1 to `beam`.
        length_penalty: see `ostinato.models.BeamSettings`.
        max_length: the most tokens of a caption, from 1 to 10,000; None for twice the longest of training and 10 more.
        temperature: above 0 the caption is drawn instead, without a beam.
        seed: the seed of what is drawn, from 0 to 2^62 - 1.

    Raises:
        ConfigError: a number is out of its range.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: float = 0.6
    max_length: int | None = None
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self):
        check_answering(self, "captions", least={"beam": 1, "n_best": 1, "max_length": 1, "seed": 0})
        if self.temperature < 0.0:
            raise ConfigError(f"temperature: expected at least 0, got {self.temperature}")
