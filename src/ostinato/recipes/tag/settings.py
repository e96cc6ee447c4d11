"""The settings of a tagger; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.settings import TaskSettings, check_reading
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import UpdateSettings


@dataclass(frozen=True)
class TagReadingSettings:
    """Which data, and how they are read.

    Args:
        validation: a file of its own for validation; without it, validation_share of the training data is drawn.
        test: a file of its own for the test; without it, test_share is drawn, unless the data come with one.
        label: for recordings, the column of the labels of their steps; without it, the one whose name says so.
        target: for recordings, what a label is: class, or number (which is predicted at every step); auto to see it by the labels.
        column: for words, where the tags are: of CoNLL-U upos (the default), xpos, feats, deprel, ...; else a number from 0 on, -1
            for the last, which is the default.
        word_column: for files in columns, where the words are: a number from 0 on, -1 for the last.
        validation_share: the share of the data to validate with, from 0 to below 1.
        test_share: the share of the data to test with; 0 for no test.
        normalisation: a normal form of Unicode for all texts, such as nfc, in which an accent is part of its letter wherever that
            can be; none leaves texts as they are.
        lower_case: look words up without regard to case; their spelling keeps it.
        vocabulary_size: most words that have a vector of their own.
        vectors: a file of word vectors (word2vec, GloVe or fastText .vec), which the words' own vectors begin with;
            model.embedding_size is then their size.
        min_count: a character that training has fewer times is unknown, in training too; at least 1.
        built_in_characters: for the standard library, how many to train on.
        piece_length: for source code, steps of the pieces that files are cut into for training; at least 1.
    """

    validation: str | None = None
    test: str | None = None
    label: str | None = None
    target: Literal["auto", "class", "number"] = "auto"
    column: str | None = None
    word_column: int = 0
    validation_share: float = 0.1
    test_share: float = 0.1
    normalisation: Literal["none", "nfc", "nfkc"] = "none"
    lower_case: bool = True
    vocabulary_size: int = 50_000
    vectors: str | None = None
    min_count: int = 3
    built_in_characters: int = 4_000_000
    piece_length: int = 256

    def __post_init__(self):
        check_reading(self, vocabulary_size=1, min_count=1, built_in_characters=1, piece_length=1)


@dataclass(frozen=True)
class WordSettings:
    """What is known of a word; not used where the steps are characters.

    Args:
        embedding_size: the width of the word's own vector.
        character_embedding_size: the width of the vector that stands for a character of its spelling.
        character_hidden_size: units of each direction of the recurrence over its characters.
        dropout: a: in training a word that the data have n times is read as unknown with probability a / (a + n); at least 0.
    """

    embedding_size: int = 100
    character_embedding_size: int = 32
    character_hidden_size: int = 64
    dropout: float = 0.5


@dataclass(frozen=True)
class TaggerSettings:
    """The network.

    Args:
        cell: the recurrent layers, those over the characters of a word included.
        embedding_size: where the steps are characters, the width of the vector that stands for one.
        hidden_size: units of each layer and direction, or a list with one number a layer.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        bidirectional: a second direction, from the last step to the first; null for one but with cells that read elapsed time.
        dropout: the rate of dropout between the layers and before the output, from 0 to below 1.
        input_dropout: the rate of dropout of what enters the first layer, from 0 to below 1.
        options: options of the recurrent layers by name, such as {zoneout: 0.1}.
        output: softmax (each step by itself) or crf (the tags of a sequence together; tags B-x and I-x then never stand where they
            may not).
        class_weights: balanced, of softmax: a step counts the more, the fewer training has of its tag, and the best weights are
            those of the best F1 averaged over tags, not of the best accuracy.
        label_smoothing: for softmax, share of the training target that is spread over all tags, from 0 to below 1.
        number_loss: for numbers, what is made small: squared errors, absolute ones, or gaussian, which tells a deviation too.
        window: longer sequences are read in overlapping windows of so many steps, but in training; at least 4.
    """

    cell: CellName = "lstm"
    embedding_size: int = 48
    hidden_size: int | list[int] = 128
    num_layers: int = 2
    bidirectional: bool | None = None
    dropout: float = 0.33
    input_dropout: float = 0.2
    options: dict[str, Any] = field(default_factory=dict)
    output: Literal["softmax", "crf"] = "softmax"
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = 0.0
    number_loss: Literal["squared", "absolute", "gaussian"] = "squared"
    window: int = 4096


@dataclass(frozen=True)
class TaggerTraining(UpdateSettings):
    """How to train a tagger."""

    default_budget: ClassVar[Budget] = Budget(max_epochs=8.0, max_time_s=600.0)

    batch_size: int = 32
    learning_rate: float = 4e-3
    evaluate_every_epochs: float | None = 1.0


@dataclass(frozen=True)
class TagSettings(TaskSettings):
    """Train a tagger of sequences.

    Args:
        data: tagged sentences: a CoNLL-U file, a file in columns (.conll, .bio, .tsv, .txt) or a folder of such; or Python source
            (a .py file, a glob of such or a folder), whose characters are tagged by what they are; or recordings, whose steps have
            labels (a table of numbers, .npz, or a folder of such; "gestures" are built in); without it, the source of the standard
            library.
        reading: which data, and how they are read.
        recording: for recordings, which columns they are in, and how they are cut.
        word: what is known of a word.
        model: the network.
        training: how to train; without a budget of your own, for 8 epochs or 600 s, whichever is over first.
    """

    task: Literal["tag"] = "tag"
    reading: TagReadingSettings = field(default_factory=TagReadingSettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    word: WordSettings = field(default_factory=WordSettings)
    model: TaggerSettings = field(default_factory=TaggerSettings)
    training: UpdateSettings = field(default_factory=TaggerTraining)
