"""The settings of a classifier; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.data.sources.dialect import Dialect
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.settings import TaskSettings, check_reading
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import UpdateSettings


@dataclass(frozen=True)
class ClassifyReadingSettings:
    """Which data, and how they are read.

    Args:
        validation: a table of its own for validation; without it, validation_share of the training data is drawn.
        test: a table of its own for the test; without it, test_share is drawn, unless the data come with one.
        text: the column of texts; without it, the one whose name says so.
        label: the column of labels; without it, the one whose name says so; a;b for several columns of ones and zeros.
        target: what a label is: class, number (which is predicted) or several (labels at once, a;b); auto to see it by the labels.
        separator: what separates the cells of CSV or TSV, such as ; or tab; null to find it.
        header: whether the first line of CSV or TSV names the columns; if not, they are called 1, 2, ...
        validation_share: the share of the data to validate with, from 0 to below 1, each class in its share.
        test_share: the share of the data to test with; 0 for no test.
        tokens: a step of a text is a word (or a punctuation mark), a character, a byte or a piece of a word (byte pair encoding);
            auto is char where most words of training are there once only, as in names and in writing without spaces, else word.
        vocabulary_size: most tokens of word and bpe.
        min_count: a word that training has fewer times is unknown, in training too, so that the model learns what to do with
            unknown words; at least 1.
        normalisation: a normal form of Unicode for all texts, such as nfc, in which an accent is part of its letter wherever that
            can be; none leaves texts as they are.
        lower_case: read texts without regard to case.
        vectors: a file of word vectors (word2vec, GloVe or fastText .vec), which the embedding begins with; model.embedding_size is
            then their size.
        max_length: steps of a sequence that are read, the others at its end left out; null for all.
    """

    validation: str | None = None
    test: str | None = None
    text: str | None = None
    label: str | None = None
    target: Literal["auto", "class", "number", "several"] = "auto"
    separator: str | None = None
    header: bool = True
    validation_share: float = 0.1
    test_share: float = 0.1
    tokens: Literal["auto", "word", "char", "byte", "bpe"] = "auto"
    vocabulary_size: int = 20_000
    min_count: int = 2
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    lower_case: bool = True
    vectors: str | None = None
    max_length: int | None = None

    def __post_init__(self):
        check_reading(self, vocabulary_size=3, min_count=1, max_length=1)
        Dialect(self.separator, self.header)  # raises an error for a separator or header that cannot be


@dataclass(frozen=True)
class ClassifierSettings:
    """The network.

    Args:
        cell: the recurrent layer.
        embedding_size: for texts, the width of the vector that stands for a token.
        hidden_size: units of each layer and direction, or a list with one number a layer.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        bidirectional: a second direction, from the last step to the first; null for texts and recordings only.
        pooling: how all steps become one vector: last, mean, max or attention.
        dropout: the rate of dropout between the layers and before the output, from 0 to below 1; null for 0.5 of texts and 0.2
            of others.
        input_dropout: the rate of dropout of what enters the first layer, from 0 to below 1; null for 0.5 of words and pieces
            of words, 0.2 of characters and bytes, 0 of others.
        augmentation: for recordings, how much the speed, the part that is read and the scale of each are changed at random whenever
            it is trained on, 0 for not at all; null for 1 where there are at most 1,000 of them, without gaps and at even times,
            and are classes or labels to tell; with gaps or at uneven times only 0 is possible.
        naive_bayes: for texts, weigh what the network says with what naive Bayes over tokens and runs of tokens says (Wang &
            Manning 2012), as validation tells; false for the network alone.
        options: options of the recurrent layer by name, such as {zoneout: 0.1}.
        class_weights: balanced: an example of a class counts the more, the fewer of them training has, and the best
            weights are those of the best F1 averaged over classes, not of the lowest loss.
        label_smoothing: share of the training target that is spread over all classes, from 0 to below 1.
        number_loss: for numbers, what is made small: squared errors, absolute ones, or gaussian, which tells a deviation too.
    """

    cell: CellName = "lstm"
    embedding_size: int = 128
    hidden_size: int | list[int] = 128
    num_layers: int = 1
    bidirectional: bool | None = None
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    dropout: float | None = None
    input_dropout: float | None = None
    augmentation: float | None = None
    naive_bayes: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = 0.0
    number_loss: Literal["squared", "absolute", "gaussian"] = "squared"


@dataclass(frozen=True)
class ClassifierTraining(UpdateSettings):
    """How to train a classifier."""

    default_budget: ClassVar[Budget] = Budget(max_epochs=20.0, max_time_s=300.0)

    batch_size: int = 64
    learning_rate: float = 4e-3
    evaluate_every_epochs: float | None = 1.0


@dataclass(frozen=True)
class ClassifySettings(TaskSettings):
    """Train a classifier of sequences.

    Args:
        data: a table of texts (.csv, .tsv, .jsonl, .parquet) or a folder of such; recordings (a table of numbers, .npy, .npz, .ts,
            or a folder of such; "gestures" are built in); a folder with MNIST's four files, an IDX file or .npz of images, whose
            rows are steps; without it, the handwritten digits of scikit-learn.
        reading: which data, and how they are read.
        recording: for recordings, which columns they are in, and how they are cut.
        model: the network.
        training: how to train; without a budget of your own, for 20 epochs or 300 s, whichever is over first.
    """

    task: Literal["classify"] = "classify"
    reading: ClassifyReadingSettings = field(default_factory=ClassifyReadingSettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    model: ClassifierSettings = field(default_factory=ClassifierSettings)
    training: UpdateSettings = field(default_factory=ClassifierTraining)
