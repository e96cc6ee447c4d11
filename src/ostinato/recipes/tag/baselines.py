"""Simple models to compare a tagger with: each word or character gets its most frequent tag in training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.conll import Sentence
from ostinato.data.records.targets import Target, numbers_of, target_of
from ostinato.data.sources.syntax import SYNTAX_CLASSES
from ostinato.data.stored.sentences import MappedSentences
from ostinato.data.tokens.words import normalised
from ostinato.extras import needed
from ostinato.nn.crf.span_schemes import SpanScheme
from ostinato.recipes import confusion
from ostinato.recipes.numbers import number_figures
from ostinato.recipes.tag.data import Part, Sentences, is_source
from ostinato.recipes.tag.settings import TagReadingSettings
from ostinato.recipes.tag.spans import SpanCounter

MOST_SENTENCES = 200_000  # sentences at most that a simple model learns from
_NAME = "most frequent tag"
_POINTS = 0x110000
_MOST_STEPS, _ROUNDS = 20_000, 200


def baselines(
    train: Part, parts: Mapping[str, Part], reading: TagReadingSettings
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of the most frequent tag of each word or character; unknown words get the most frequent tag of all.

    Args:
        train: the training data, with tags.
        parts: the parts to judge on, by name.
        reading: how words are looked up.

    Returns:
        By part, then by model: the figures of `TagJudge`.
    """
    if isinstance(train, Recordings):
        said = [tag for each in train.items for tag in each.labels or ()]
        return _of_recordings(train, parts, target_of(said, reading.target))
    if is_source(train):
        best = _counts_of_characters(train)
        tags = np.where(best.any(1), best.argmax(1), best.sum(0).argmax())
        return {name: {_NAME: _judged_source(part, tags)} for name, part in parts.items() if is_source(part)}
    some, of = spread(train)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in _tagged(some, reading):
        counts[word][tag] += 1
    every = sum(counts.values(), Counter())
    usual = min(every, key=lambda tag: (-every[tag], tag))
    table = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    scheme = SpanScheme.of(sorted(every))
    return {name: {f"{_NAME}{of}": _judged(part, table, usual, reading, scheme)} for name, part in parts.items()}


def spread(train: Sentences) -> tuple[Sentences, str]:
    """The sentences that a simple model learns from, evenly spaced among very many; and what its name says of that."""
    if len(train) <= MOST_SENTENCES:
        return train, ""
    rows = np.arange(MOST_SENTENCES) * len(train) // MOST_SENTENCES
    some = train.take(rows) if isinstance(train, MappedSentences) else tuple(train[row] for row in rows.tolist())
    return some, f", of {MOST_SENTENCES:,} sentences"


def _looked_up(word: str, reading: TagReadingSettings) -> str:
    return normalised(word, reading.normalisation, lower_case=reading.lower_case)


def _tagged(part: Part, reading: TagReadingSettings) -> Iterator[tuple[str, str]]:
    for sentence in part:
        assert isinstance(sentence, Sentence)
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag is not None:
                yield _looked_up(word, reading), tag


def _judged(
    part: Part, table: Mapping[str, str], usual: str, reading: TagReadingSettings, scheme: SpanScheme | None
) -> dict[str, float]:
    names: dict[str, int] = {}
    pairs, unknown = Counter[tuple[int, int]](), Counter[bool]()
    for word, tag in _tagged(part, reading):
        answer = table.get(word, usual)
        pairs[names.setdefault(tag, len(names)), names.setdefault(answer, len(names))] += 1
        if word not in table:
            unknown[answer == tag] += 1
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for place, count in pairs.items():
        matrix[place] = count
    found = confusion.figures(matrix)
    found["unknown_word_accuracy"] = unknown[True] / unknown.total() if unknown else float("nan")
    if scheme is not None:
        counter = SpanCounter(scheme.read)
        for sentence in part:
            assert isinstance(sentence, Sentence)
            counter.add(sentence.tags, [table.get(_looked_up(word, reading), usual) for word in sentence.words])
        found["span_f1"] = counter.f1()
    return found


def _counts_of_characters(part: Part) -> np.ndarray:
    """How often each character has each tag, (code points, classes)."""
    K, files = len(SYNTAX_CLASSES), part if is_source(part) else ()
    text = "".join(file.text for file in files if file.labels is not None)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    labels = np.concatenate([np.zeros(0, np.int64), *(file.labels for file in files if file.labels is not None)])
    return np.bincount(points * K + labels, minlength=_POINTS * K).reshape(_POINTS, K)


def _judged_source(part: Part, tags: np.ndarray) -> dict[str, float]:
    counts, K = _counts_of_characters(part), len(SYNTAX_CLASSES)
    matrix = np.zeros((K, K), dtype=np.int64)
    for answer in range(K):
        matrix[:, answer] = counts[tags == answer].sum(0)
    return confusion.figures(matrix)


def _of_recordings(
    train: Recordings, parts: Mapping[str, Part], target: Target
) -> dict[str, dict[str, dict[str, float]]]:
    """Models that see one step only: logistic regression on what the network reads of it; and the most frequent tag."""
    with needed():
        from sklearn.linear_model import LogisticRegression

    scaling = Scaling.of(train)
    steps, tags = _steps(train, scaling)
    if target == "number":
        return _of_numbers(
            steps, numbers_of(tags.tolist()), {name: _steps(part, scaling) for name, part in parts.items()}
        )
    every = max(1, len(steps) // _MOST_STEPS)
    model = (
        LogisticRegression(max_iter=_ROUNDS, tol=1e-3).fit(steps[::every], tags[::every])
        if len(set(tags)) > 1
        else None
    )
    usual = Counter(tags.tolist()).most_common(1)[0][0]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, part in parts.items():
        assert isinstance(part, Recordings)
        steps, wanted = _steps(part, scaling)
        answers = {_NAME: np.full(len(wanted), usual)}
        if model is not None and len(steps):
            answers = {"a step by itself": model.predict(steps), **answers}
        found[name] = {each: _figures_of(wanted, said) for each, said in answers.items()}
    return found


def _of_numbers(
    steps: np.ndarray, numbers: np.ndarray, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Models that see one step only: ridge regression on what the network reads of it; and the mean."""
    with needed():
        from sklearn.linear_model import Ridge

    model, found = Ridge().fit(steps, numbers), dict[str, dict[str, dict[str, float]]]()
    for name, (given, tags) in parts.items():
        wanted = numbers_of(tags.tolist())
        mean = {"mean": number_figures(np.full(len(wanted), numbers.mean()), wanted)}
        found[name] = (
            {"a step by itself": number_figures(model.predict(given), wanted), **mean} if len(wanted) else mean
        )
    return found


def _steps(part: Any, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """The steps that have a tag: (S, I) numbers and (S,) tags."""
    tags = np.array([tag or "" for each in part.items for tag in each.labels or ("",) * len(each)], dtype=object)
    steps = np.concatenate([scaling.apply(each) for each in part.items])
    return steps[tags != ""], tags[tags != ""]


def _figures_of(wanted: np.ndarray, said: np.ndarray) -> dict[str, float]:
    names = {name: at for at, name in enumerate(dict.fromkeys([*wanted.tolist(), *said.tolist()]))}
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(matrix, ([names[each] for each in wanted], [names[each] for each in said]), 1)
    return confusion.figures(matrix)
