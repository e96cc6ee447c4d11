"""What a user can set about a language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ostinato.cell_names import CellName
from ostinato.errors import ConfigError
from ostinato.recipes.settings import TaskSettings
from ostinato.training.run.settings import TrainingSettings


@dataclass(frozen=True)
class TextReadingSettings:
    """Which text is for what.

    Args:
        validation: a text of its own that chooses the weights, given like data; without it, the files of data that are called
            valid, validation, val or dev, else a share of the training text.
        test: a text of its own that is looked at once, at the end; without it, the files of data that are called test, or none.
        parts_by_name: files and folders called train, valid and test are the parts of data; false reads all of it as one text.
    """

    validation: str | None = None
    test: str | None = None
    parts_by_name: bool = True

    def __post_init__(self):
        for name in ("validation", "test"):
            if getattr(self, name) == "":  # as of a variable of the shell that is not set
                raise ConfigError(f"reading.{name}: expected a name, got an empty one; leave it out")


@dataclass(frozen=True)
class TokenSettings:
    """What the model reads and writes.

    Args:
        kind: a token is a character, a byte, a word or a piece of a word (byte pair encoding).
        vocabulary_size: most tokens of word and bpe.
        validation_share: the share of the training text to validate with, cut off between documents or lines at its end where
            no text is named for validation; above 0 and below 1.
        reset_at_documents: begin every document with a fresh state.
    """

    kind: Literal["char", "byte", "word", "bpe"] = "char"
    vocabulary_size: int = 10_000
    validation_share: float = 0.1
    reset_at_documents: bool = False

    def __post_init__(self):
        if self.vocabulary_size < 2:
            raise ConfigError(f"tokens.vocabulary_size: expected at least 2, got {self.vocabulary_size}")
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"tokens.validation_share: expected a share above 0 and below 1, got {self.validation_share}"
            )


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Args:
        cell: the recurrent layer.
        embedding_size: width of the vector that stands for a token.
        hidden_size: units of each layer, or a list with one number a layer.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        dropout: the rate of dropout between the layers and before the output, from 0 to below 1.
        tied: the output layer shares the embedding's weights; needs embedding_size = hidden_size (of the last layer).
        options: options of the recurrent layer by name, such as {zoneout: 0.1}, or {depth: 10} of rhn.
        embedding_dropout: the rate of dropout of whole words (Gal & Ghahramani 2016), from 0 to below 1.
        input_dropout: the rate of dropout of what enters the first layer, from 0 to below 1.
        output_dropout: before the output, from 0 to below 1; null for dropout.
        locked_dropout: dropout, input_dropout and output_dropout keep one mask for all steps of a chunk.
        activation_regularisation: weight of small outputs in the training loss (alpha, Merity et al. 2017); at least 0.
        temporal_activation_regularisation: weight of slow outputs in the training loss (beta, Merity et al. 2017); at least 0.
        initial_range: r, all weights start uniform in [-r, r]; null for torch's.
        embedding_range: r, the embedding's and the output's weights alone do; null for torch's.
    """

    cell: CellName = "lstm"
    embedding_size: int = 128
    hidden_size: int | list[int] = 384
    num_layers: int = 1
    dropout: float = 0.0
    tied: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float | None = None
    locked_dropout: bool = False
    activation_regularisation: float = 0.0
    temporal_activation_regularisation: float = 0.0
    initial_range: float | None = None
    embedding_range: float | None = None


@dataclass(frozen=True)
class BaselineSettings:
    """Simpler models, trained on what the network has seen and scored on the same texts.

    Args:
        markov_orders: Markov models of order 1 up to this; 0 for none.
        smoothing: the smoothing of the Markov models.
        window: tokens that the fixed-window model sees; 0 for none.
        window_time_s: seconds to train the fixed-window model.
        max_tokens: the baselines see at most so many of the tokens that the network has seen.
    """

    markov_orders: int = 6
    smoothing: Literal["witten-bell", "kneser-ney"] = "witten-bell"
    window: int = 8
    window_time_s: float = 6.0
    max_tokens: int = 8_000_000

    def __post_init__(self):
        for name in ("markov_orders", "window"):
            if getattr(self, name) < 0:
                raise ConfigError(f"baselines.{name}: expected 0 (none) or above, got {getattr(self, name)}")
        for name in ("window_time_s", "max_tokens"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"baselines.{name}: expected a number above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class LanguageModelSettings(TaskSettings):
    """Train a language model.

    Args:
        data: a file, a folder, a glob or a URL; without it, the source code of Python's standard library.
        reading: which text is for what.
        tokens: what the model reads and writes.
        model: the network.
        training: how to train.
        baselines: what to compare it with.
    """

    task: Literal["lm"] = "lm"
    reading: TextReadingSettings = field(default_factory=TextReadingSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
