"""How well a model predicts a text, in every unit."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ostinato.data.corpus import open_corpus
from ostinato.data.tokens import Tokens
from ostinato.recipes.reading import Reading
from ostinato.recipes.runs import load_model, read_settings
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


def figures(nats_per_token: float, predicted: int, tokens: Tokens) -> Figures:
    """All units from one.

    Args:
        nats_per_token: mean loss.
        predicted: tokens that it is the mean of.
        tokens: the text, which says how many characters and words there are to a token.
    """
    nats = nats_per_token * len(tokens)
    per_character = nats / tokens.characters
    try:
        perplexity = math.exp(nats / tokens.words) if tokens.words else math.inf
    except OverflowError:
        perplexity = math.inf
    return Figures(predicted, nats_per_token, per_character, per_character / math.log(2.0), perplexity)


def evaluate_run(
    path: str | os.PathLike[str], data: str | None = None, *, max_tokens: int | None = None, device: str = "auto"
) -> tuple[str, Figures]:
    """Scores the model of a run on a text.

    Args:
        path: the folder of the run.
        data: a file, a folder, a glob or a URL, all of which is read; None for the run's own validation text.
        max_tokens: read about so many tokens, spread over the text; None for all.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        The name of the text, and the figures.

    Raises:
        OstinatoError: the run or the text cannot be read.
    """
    settings = read_settings(RunFolder(path))
    model = load_model(path).to(choose_device(device))
    with tempfile.TemporaryDirectory() as folder:
        share = settings.tokens.validation_share if data is None else 0.0
        corpus = open_corpus(
            settings.data if data is None else data,
            validation_share=share,
            vocabulary=model.vocabulary,
            folder=Path(path) if data is None else Path(folder),
        )
        tokens = corpus.validation if data is None else corpus.train
        reading = Reading(tokens, 64, 256, max_tokens, reset_at_documents=settings.tokens.reset_at_documents)
        evaluation = evaluate(model, reading())
        assert evaluation is not None  # nobody stops it
        return corpus.name, figures(evaluation.nats_per_token, evaluation.tokens, tokens)
