"""The settings of a translator; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.errors import ConfigError
from ostinato.recipes.settings import TaskSettings, check_answering, check_reading
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import AveragingName, UpdateSettings


@dataclass(frozen=True)
class TranslateReadingSettings:
    """Which data, and how they are read.

    Args:
        source: for a folder with files like train.de, train.en, val.de: what the names of the source files end in, here de; of a
            table with named columns (.csv, .jsonl, .parquet): the column of the sources.
        target: the same for the targets, here en.
        validation: pairs of their own for validation, given like data; without them, validation_share of the data is drawn.
        test: pairs of their own for the test; without them, test_share is drawn, unless the data are a folder with such a part.
        validation_share: the share of the different sources to validate with, above 0.
        test_share: the share of the different sources to test with; 0 for no test.
        tokens: what is read and written: pieces of words (byte pair encoding), words, characters or bytes.
        vocabulary_size: most tokens of word and bpe, on each side; where both sides share one, in all.
        joint: one vocabulary for both sides.
        min_count: a word that training has fewer times is unknown, in training too, so that the model learns what to do with
            unknown words; at least 1.
        normalisation: a normal form of Unicode for all texts, such as nfc, in which an accent is part of its letter wherever that
            can be; none leaves texts as they are.
        lower_case: read and write texts in small letters.
        batch_tokens: most tokens of a side of a batch, padding counted, so that batches of long texts have fewer rows.
    """

    source: str | None = None
    target: str | None = None
    validation: str | None = None
    test: str | None = None
    validation_share: float = 0.05
    test_share: float = 0.05
    tokens: Literal["bpe", "word", "char", "byte"] = "bpe"
    vocabulary_size: int = 8_000
    joint: bool = True
    min_count: int = 2
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    lower_case: bool = False
    batch_tokens: int = 16_384

    def __post_init__(self):
        check_reading(self, vocabulary_size=3, min_count=1, batch_tokens=1)
        if (self.source is None) != (self.target is None) or (self.source and self.source == self.target):
            raise ConfigError(
                "reading.source, reading.target: expected both, such as de and en, or neither, got "
                f"{self.source} and {self.target}"
            )


@dataclass(frozen=True)
class TranslatorSettings:
    """The network.

    Args:
        cell: the recurrent layers of encoder and decoder.
        embedding_size: width of the vector that stands for a token.
        hidden_size: units of each layer of the decoder, and of the encoder with all its directions.
        num_layers: the recurrent layers of encoder and decoder each, one above the other.
        bidirectional: the encoder reads in both directions.
        bridge: what makes the decoder's first states from the encoder's last: linear, copy or none.
        attention: how a place of the source is scored: additive (Bahdanau), general, dot (Luong), scaled, or none for a decoder
            that knows what the bridge tells it.
        attention_units: the units of the additive score; null for hidden_size.
        coverage: attention sees where it has looked before; slower.
        coverage_weight: the weight of the penalty for looking twice at a place, in the training loss; at least 0.
        input_feeding: the last readout is read again with the next token; slower.
        readout_size: what the output layer is given; null for embedding_size where tied, else hidden_size.
        tied: two-way, the decoder's embedding is its output layer; three-way, the encoder's embedding too, which needs one
            vocabulary for both sides; auto is three-way where there is one, else two-way; none.
        dropout: the rate of dropout of embeddings, between layers and of readouts, from 0 to below 1.
        label_smoothing: share of the training target that is spread over all tokens, from 0 to below 1.
        options: options of the recurrent layers by name, such as {zoneout: 0.1}.
    """

    cell: CellName = "gru"
    embedding_size: int = 256
    hidden_size: int = 512
    num_layers: int = 1
    bidirectional: bool = True
    bridge: Literal["linear", "copy", "none"] = "linear"
    attention: Literal["general", "additive", "dot", "scaled", "none"] = "scaled"
    attention_units: int | None = None
    coverage: bool = False
    coverage_weight: float = 0.0
    input_feeding: bool = False
    readout_size: int | None = None
    tied: Literal["auto", "three-way", "two-way", "none"] = "auto"
    dropout: float = 0.4
    label_smoothing: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SamplingSettings:
    """Scheduled sampling (Bengio et al. 2015): in training the decoder reads its own tokens now and then; slower.

    Args:
        decay: how the share of true tokens falls from update to update: linear, exponential or inverse sigmoid; none for true
            tokens only.
        k: how slow it is, in updates.
        floor: the least share of true tokens, from 0 to 1.
        draw: own tokens are drawn from what the model says; false takes the most likely one.
    """

    decay: Literal["none", "linear", "exponential", "inverse sigmoid"] = "none"
    k: float = 2000.0
    floor: float = 0.0
    draw: bool = True


@dataclass(frozen=True)
class ScoringSettings:
    """How translations are judged.

    Args:
        best_by: the figure on validation that says which weights are best; loss is the mean of a token, smallest first. BLEU counts
            runs of four words, which short texts do not have; chrF, of characters, tells good from bad at any length.
        tokenize: how sacreBLEU splits texts: 13a, intl, char, zh, none.
        lower_case: BLEU and chrF do not look at case.
    """

    best_by: Literal["bleu", "chrf", "exact_match", "loss"] = "chrf"
    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    lower_case: bool = False


@dataclass(frozen=True)
class Answering:
    """How texts are written, in prediction and in the last evaluation.

    Args:
        beam: hypotheses that go on, at least 1; 1 takes the most likely token at each step.
        n_best: hypotheses that are given, from 1 to beam.
        length_penalty: alpha of `BeamSettings`.
        coverage_penalty: beta of `BeamSettings`.
        max_length: most tokens of an answer, from 1 to 10,000; None for twice those of the source and 10 more.
        temperature: above 0 the text is drawn instead, without a beam.
        top_k: draw from so many most likely tokens only.
        top_p: draw from the most likely tokens that make up this share only.
        seed: the seed of what is drawn, from 0 to 2^62 - 1.
        copy_unknown: write the source's own word in the place of an unknown one, where attention says which.

    Raises:
        ConfigError: numbers that do not fit.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: float = 0.6
    coverage_penalty: float = 0.0
    max_length: int | None = None
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    copy_unknown: bool = True

    def __post_init__(self):
        check_answering(self, "texts")
        if self.temperature == 0.0 and (self.top_k, self.top_p) != (None, None):
            raise ConfigError("top_k, top_p: are for texts that are drawn; give a temperature above 0 beside them")


@dataclass(frozen=True)
class TranslatorTraining(UpdateSettings):
    """How to train a translator."""

    default_budget: ClassVar[Budget] = Budget(max_epochs=15.0)

    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup: float = 0.05
    averaging: AveragingName | None = "ema"
    ema_decay: float = 0.998
    evaluate_every_epochs: float | None = 1.0


@dataclass(frozen=True)
class TranslateSettings(TaskSettings):
    """Train a translator.

    Args:
        data: two files whose lines belong together, as data.de,data.en; a .tsv file with source, tab and target; a table with named
            columns (.csv, .jsonl, .parquet); a folder with such files for train, validation and test; without it, dates in many
            languages, to be written as 2001-11-15.
        reading: which data, and how they are read.
        model: the network.
        sampling: scheduled sampling.
        scoring: how translations are judged.
        training: how to train; without a budget of your own, for 15 epochs.
    """

    task: Literal["translate"] = "translate"
    reading: TranslateReadingSettings = field(default_factory=TranslateReadingSettings)
    model: TranslatorSettings = field(default_factory=TranslatorSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    training: UpdateSettings = field(default_factory=TranslatorTraining)
