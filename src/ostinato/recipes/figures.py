"""How well a model predicts a text, in every unit."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ostinato.data.corpus import Corpus, open_corpus
from ostinato.data.tokens import Tokens
from ostinato.models.language_model import LanguageModel
from ostinato.recipes.adaptation import CacheSettings, DynamicSettings
from ostinato.recipes.reading import Reading
from ostinato.recipes.runs import load_model, read_settings
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.training.device import choose_device
from ostinato.training.evaluation import evaluate
from ostinato.training.run_folder import RunFolder


@dataclass(frozen=True)
class Figures:
    """How well a model predicts a text.

    Args:
        tokens: predicted.
        nats_per_token: mean loss.
        nats_per_character: comparable between vocabularies.
        bits_per_character: the same in bits.
        perplexity_per_word: exp of the mean loss of a word; words are separated by white space.
    """

    tokens: int
    nats_per_token: float
    nats_per_character: float
    bits_per_character: float
    perplexity_per_word: float

    @property
    def perplexity_per_token(self) -> float:
        """exp of the mean loss; of a word model it is the figure of the papers, where a line end is a token too."""
        return _exp(self.nats_per_token)


def figures(nats_per_token: float, predicted: int, tokens: Tokens) -> Figures:
    """All units from one.

    Args:
        nats_per_token: mean loss.
        predicted: tokens that it is the mean of.
        tokens: the text, which says how many characters and words there are to a token.
    """
    nats = nats_per_token * len(tokens)
    per_character = nats / tokens.characters
    perplexity = _exp(nats / tokens.words) if tokens.words else math.inf
    return Figures(predicted, nats_per_token, per_character, per_character / math.log(2.0), perplexity)


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def evaluate_run(
    path: str | os.PathLike[str],
    data: str | None = None,
    *,
    max_tokens: int | None = None,
    device: str = "auto",
    adaptation: CacheSettings | DynamicSettings | None = None,
) -> tuple[str, Figures]:
    """Scores the model of a run on a text.

    Args:
        path: the folder of the run.
        data: a file, a folder, a glob or a URL, all of which is read; None for the run's own validation text.
        max_tokens: read about so many tokens, spread over the text; None for all. With an adaptation those at its beginning.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        adaptation: how the model adapts to the text; then it reads it as one stream, from beginning to end.

    Returns:
        The name of the text, and the figures.

    Raises:
        OstinatoError: the run or the text cannot be read.
    """
    settings = read_settings(RunFolder(path))
    model = load_model(path).to(choose_device(device))
    with tempfile.TemporaryDirectory() as folder:
        own = own_corpus(path, settings, model) if data is None else None
        if own is not None:
            name, tokens = own.name, own.validation
        else:
            corpus = open_corpus(data, validation_share=0.0, vocabulary=model.vocabulary, folder=Path(folder))
            name, tokens = corpus.name, corpus.train
        module, rows, steps = model, 64, 256
        if adaptation is not None:
            text = None
            if adaptation.needs_training_text:
                text = (own or own_corpus(path, settings, model)).train
            module, rows, steps = adaptation.adapted(model, text), 1, adaptation.chunk_length
        reading = Reading(tokens, rows, steps, max_tokens, reset_at_documents=settings.tokens.reset_at_documents)
        evaluation = evaluate(module, reading())
        assert evaluation is not None  # nobody stops it
        return name, figures(evaluation.nats_per_token, evaluation.tokens, tokens)


def own_corpus(path: str | os.PathLike[str], settings: LanguageModelSettings, model: LanguageModel) -> Corpus:
    """The text that the run was trained and validated on."""
    return open_corpus(
        settings.data,
        validation_share=settings.tokens.validation_share,
        vocabulary=model.vocabulary,
        folder=Path(path),
    )
