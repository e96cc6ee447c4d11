"""How well a model predicts a text, in every unit."""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ostinato.data.corpus import Corpus, open_corpus, open_to_score
from ostinato.data.tokens import Tokens
from ostinato.models.language_model import LanguageModel
from ostinato.recipes.adaptation import CacheSettings, DynamicSettings
from ostinato.recipes.reading import Reading
from ostinato.recipes.runs import load_model, read_settings
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.training.device import choose_device
from ostinato.training.evaluation import evaluate
from ostinato.training.run_folder import RunFolder

WHOLE_ROWS, WHOLE_STEPS = 64, 256  # of the streams that a whole text is read in


@dataclass(frozen=True)
class Figures:
    """How well a model predicts a text.

    Args:
        tokens: predicted.
        nats_per_token: mean loss.
        nats_per_character: comparable between vocabularies.
        bits_per_character: the same in bits.
        perplexity_per_token: exp of the mean loss; of a word model it is the figure of the papers, where a line end is a token too.
        perplexity_per_word: exp of the mean loss of a word; words are separated by white space.
    """

    tokens: int
    nats_per_token: float
    nats_per_character: float
    bits_per_character: float
    perplexity_per_token: float
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
    perplexity = _exp(nats / tokens.words) if tokens.words else math.inf
    bits = per_character / math.log(2.0)
    return Figures(predicted, nats_per_token, per_character, bits, _exp(nats_per_token), perplexity)


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
        data: a file, a folder, a glob or a URL, all of which is read, but of one with parts the test part, else that of validation;
            None for the run's own test text, and where it has none, for that of validation.
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
            part, tokens = ("test", own.test) if len(own.test) else ("validation", own.validation)
            name = f"{own.name}, {part}"
        else:
            by_name = settings.reading.parts_by_name
            name, tokens = open_to_score(data, model.vocabulary, Path(folder), parts_by_name=by_name)
        module, rows, steps = model, WHOLE_ROWS, WHOLE_STEPS
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
    """The text that the run was trained, validated and tested on."""
    return open_corpus(
        settings.data,
        **dataclasses.asdict(settings.reading),
        validation_share=settings.tokens.validation_share,
        vocabulary=model.vocabulary,
        folder=Path(path),
    )
