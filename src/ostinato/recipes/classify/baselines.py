"""Simple models to compare a classifier with: naive Bayes of texts, the nearest recording, the most frequent class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.images import Images
from ostinato.data.stored.texts import MappedTexts, texts_of
from ostinato.errors import DataError
from ostinato.extras import needed
from ostinato.models.classifying.nearest import nearest_by_dtw
from ostinato.recipes.classify.data import Part, TextPart, label_counts, names_of, prepared, with_tokens
from ostinato.recipes.classify.judge import calibration_error
from ostinato.recipes.classify.settings import ClassifyReadingSettings

MOST_CELLS, BAND = 3_000_000_000, 0.1  # cells of DTW, less than a minute; the band beyond that
MOST_TEXTS = 200_000  # texts at most that a simple model learns from
_MOST_NUMBERS = 8_000_000  # numbers at most in its table of features and classes


def baselines(
    train: Part, parts: Mapping[str, Part], reading: ClassifyReadingSettings
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of simple models that are trained on the network's training data.

    Args:
        train: examples with labels.
        parts: the parts to judge them on, by name.
        reading: how texts are read.

    Returns:
        By part, then by model ("naive Bayes" of texts, "1-NN DTW" of recordings, "majority"): accuracy, loss in
        nats an example, and calibration error.
    """
    counts = label_counts(train)
    classes = sorted(counts)
    frequent = np.log([counts[name] / counts.total() for name in classes])
    found = {
        name: {"majority": _judged(np.tile(frequent, (len(part), 1)), part, classes)} for name, part in parts.items()
    }
    if isinstance(train, Images):
        return found
    if isinstance(train, Recordings):
        nearest = _Nearest(train)
        return {
            name: {**nearest.judged(part), **found[name]}
            for name, part in parts.items()
            if isinstance(part, Recordings)
        }
    with needed():
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.naive_bayes import MultinomialNB

    some, of = spread(train)
    reading = with_tokens(reading, texts_of(some))
    room = max(1, _MOST_NUMBERS // len(classes))
    if reading.tokens in ("char", "byte"):
        vectorizer = CountVectorizer(
            analyzer="char", ngram_range=(1, 4), lowercase=reading.lower_case, max_features=room
        )
    else:
        words = lambda text: prepared(text, reading, tokens="word").split()  # noqa: E731
        vectorizer = CountVectorizer(
            tokenizer=words,
            token_pattern=None,  # pyright: ignore[reportArgumentType]  # or it warns that it has two ways
            lowercase=False,
            ngram_range=(1, 2),
            max_features=room,
        )
    try:
        features = vectorizer.fit_transform(texts_of(some))
    except ValueError:  # no word in any text
        return found
    model = MultinomialNB().fit(features, [each.label for each in some])
    for name, part in parts.items():
        assert isinstance(part, tuple | MappedTexts)
        log_p = model.predict_log_proba(vectorizer.transform(texts_of(part)))
        found[name] = {f"naive Bayes{of}": _judged(log_p, part, classes), **found[name]}
    return found


def spread(train: TextPart) -> tuple[TextPart, str]:
    """The texts that a simple model learns from, evenly spaced among very many; and what its name says of that."""
    if len(train) <= MOST_TEXTS:
        return train, ""
    rows = np.arange(MOST_TEXTS) * len(train) // MOST_TEXTS
    some = train.take(rows) if isinstance(train, MappedTexts) else tuple(train[row] for row in rows.tolist())
    return some, f", of {MOST_TEXTS:,} texts"


class _Nearest:
    """Predicts the class of the nearest recording under dynamic time warping, with each channel scaled by itself.

    If all pairs would take too long, paths stay in a band around the diagonal; if that is not enough, recordings are
    compared with fewer others. The model's name says so.
    """

    def __init__(self, train: Recordings):
        self.scaling = Scaling.of(train)
        kept = [each for each in train.items if each.label is not None]
        self._labels = [each.label for each in kept]
        self._values = [self.scaling.filled(each.values) for each in kept]

    def judged(self, part: Recordings) -> dict[str, dict[str, float]]:
        """Its accuracy, by its name; it has no probabilities. Empty if even one recording is too many to compare."""
        queries = [self.scaling.filled(each.values) for each in part.items]
        steps = sum(map(len, queries)) * sum(map(len, self._values))
        window = 1.0 if steps <= MOST_CELLS else BAND
        try:
            found = nearest_by_dtw(self._values, queries, window=window, most_cells=MOST_CELLS)
        except DataError:
            return {}
        name = (
            "1-NN DTW" + f", band {BAND:.0%}" * (window < 1) + f", of {found.used}" * (found.used < len(self._values))
        )
        right = [self._labels[at] == each.label for at, each in zip(found.nearest.tolist(), part.items, strict=True)]
        return {name: {"accuracy": float(np.mean(right))}}


def _judged(log_p: np.ndarray, part: Part, classes: list[str]) -> dict[str, float]:
    """Figures from log-probabilities. A label unknown to training is an error and has no loss, as for the network."""
    place = {name: at for at, name in enumerate(classes)}
    targets = torch.tensor([place.get(name or "", len(classes)) for name in names_of(part)])
    logits = torch.from_numpy(np.asarray(log_p))
    known = targets < len(classes)
    loss = torch.nn.functional.cross_entropy(logits[known], targets[known]) if known.any() else torch.tensor(torch.nan)
    return {
        "accuracy": float((logits.argmax(-1) == targets).double().mean()),
        "loss": float(loss),
        "calibration_error": calibration_error(logits.softmax(-1), targets),
    }
