"""Simple models to compare with if numbers or several labels at once are predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.images import Images
from ostinato.data.records.targets import Target, numbers_of, parts_of_label, sets_of
from ostinato.data.stored.texts import texts_of
from ostinato.errors import DataError
from ostinato.extras import needed
from ostinato.models.classifying.nearest import nearest_by_dtw
from ostinato.recipes.classify.baselines import BAND, MOST_CELLS, spread
from ostinato.recipes.classify.data import Part, names_of, prepared, with_tokens
from ostinato.recipes.classify.settings import ClassifyReadingSettings
from ostinato.recipes.classify.several import several_figures
from ostinato.recipes.numbers import number_figures

_MOST_WORDS = 20_000


def other_baselines(
    train: Part, parts: Mapping[str, Part], reading: ClassifyReadingSettings, target: Target
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of simple models: the usual answer, the nearest recording under dynamic time warping, and a linear model.

    Args:
        train: examples with labels.
        parts: the parts to judge them on, by name.
        reading: how texts are read.
        target: "number" or "several".

    Returns:
        By part, then by model, the figures.
    """
    if not isinstance(train, Images | Recordings):
        some: Any = spread(train)[0]
        train = some
    known = [label for label in names_of(train) if label is not None]
    if target == "number":
        names: list[str] = []
        told: Callable[[Sequence[str | None]], np.ndarray] = numbers_of
        figures: Callable[[np.ndarray, np.ndarray], dict[str, float]] = number_figures
        usual = lambda y: np.full(1, y.mean())  # noqa: E731
    else:
        names = sorted({part for label in known for part in parts_of_label(label)})
        told = lambda labels: sets_of(labels, names) > 0.5  # noqa: E731
        figures = several_figures
        usual = lambda y: (y.mean(0) >= 0.5)[None]  # noqa: E731
    kept = _with_labels(train)
    y = told(names_of(kept))
    found: dict[str, dict[str, dict[str, float]]] = {}
    linear = _linear(kept, y, reading)
    for name, part in parts.items():
        part = _with_labels(part)
        wanted = told(names_of(part))
        if not len(wanted):
            continue
        answers: dict[str, np.ndarray] = {}
        if isinstance(kept, Recordings) and isinstance(part, Recordings):
            answers |= _nearest(kept, y, part)
        if linear is not None:
            answers["linear"] = linear(part)
        answers["mean" if target == "number" else "usual labels"] = np.repeat(usual(y), len(wanted), axis=0)
        found[name] = {each: figures(said, wanted) for each, said in answers.items()}
    return found


def _with_labels(part: Part) -> Any:
    labels = names_of(part)
    rows = [at for at, label in enumerate(labels) if label is not None]
    if len(rows) == len(labels) or isinstance(part, Images):
        return part
    return part.take(rows) if isinstance(part, Recordings) else tuple(part[at] for at in rows)


def _nearest(train: Recordings, y: np.ndarray, part: Recordings) -> dict[str, np.ndarray]:
    scaling = Scaling.of(train)
    known, asked = ([scaling.filled(each.values) for each in some.items] for some in (train, part))
    window = 1.0 if sum(map(len, known)) * sum(map(len, asked)) <= MOST_CELLS else BAND
    try:
        found = nearest_by_dtw(known, asked, window=window, most_cells=MOST_CELLS)
    except DataError:
        return {}
    return {"1-NN DTW" + f", band {BAND:.0%}" * (window < 1): y[found.nearest]}


def _linear(train: Any, y: np.ndarray, reading: ClassifyReadingSettings) -> Callable[[Any], np.ndarray] | None:
    """Ridge regression, or logistic regression of each label; None for images and for texts without words.

    Its features are means, deviations, first and last values and ranges of channels, or words.
    """
    with needed():
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression, Ridge

    if isinstance(train, Images):
        return None
    if isinstance(train, Recordings):
        scaling = Scaling.of(train)
        features: Callable[[Any], Any] = lambda part: np.stack([_summary(scaling.filled(v.values)) for v in part.items])  # noqa: E731
        x = features(train)
    else:
        reading = with_tokens(reading, texts_of(train))
        split = lambda text: prepared(text, reading, tokens="word").split()  # noqa: E731
        vectorizer = TfidfVectorizer(
            tokenizer=split,
            token_pattern=None,  # pyright: ignore[reportArgumentType]  # or it warns that it has two ways
            lowercase=False,
            max_features=_MOST_WORDS,
        )
        try:
            x = vectorizer.fit_transform(texts_of(train))
        except ValueError:  # no word in any text
            return None
        features = lambda part: vectorizer.transform(texts_of(part))  # noqa: E731
    if y.ndim == 1:
        ridge = Ridge().fit(x, y)
        return lambda part: ridge.predict(features(part))
    models = [LogisticRegression(max_iter=200).fit(x, each) if 0 < each.mean() < 1 else None for each in y.T]
    always = y.mean(0) == 1

    def answer(part: Any) -> np.ndarray:
        given: Any = features(part)
        count = given.shape[0]
        columns = [
            np.full(count, sure) if m is None else m.predict(given) for m, sure in zip(models, always, strict=True)
        ]
        return np.stack(columns, 1)

    return answer


def _summary(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values.mean(0), values.std(0), values[0], values[-1], values.min(0), values.max(0)])
