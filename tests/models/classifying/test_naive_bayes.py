import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from ostinato.models.classifying.counting import count_features
from ostinato.models.classifying.naive_bayes import NaiveBayes

V, C = 6, 3
TEXTS = st.lists(st.lists(st.integers(0, V - 1), max_size=9), min_size=2, max_size=20)


def made(texts, labels, longest=3, **more):
    ids = [np.array(text, np.int64) for text in texts]
    counted = count_features(ids, np.array(labels), vocabulary_size=V, num_classes=C, longest=longest, **more)
    model = NaiveBayes(V, C, counted.sizes)
    model.take(counted)
    return counted, model


def by_hand(texts, labels, text, longest):
    """Features as tuples in sets; those of two texts and more, and all tokens."""

    def features(ids):
        return {tuple(ids[at : at + n]) for n in range(1, longest + 1) for at in range(len(ids) - n + 1)}

    everything = [features(each) for each in texts]
    table = {(token,) for token in range(V)} | {
        f for each in everything for f in each if sum(f in o for o in everything) > 1
    }
    totals = [sum(len(f & table) for f, label in zip(everything, labels, strict=True) if label == c) for c in range(C)]
    known = features(text) & table
    found = []
    for feature in known:
        counts = [
            sum(feature in f for f, label in zip(everything, labels, strict=True) if label == c) for c in range(C)
        ]
        logs = [math.log((n + 1) / (total + len(table))) for n, total in zip(counts, totals, strict=True)]
        found.append([log - sum(logs) / C for log in logs])
    prior = [math.log((labels.count(c) + 1) / (len(labels) + C)) for c in range(C)]
    return [prior[c] + sum(row[c] for row in found) / math.sqrt(max(1, len(known))) for c in range(C)]


@settings(deadline=None, max_examples=60)
@given(texts=TEXTS, longest=st.integers(1, 4), seed=st.integers(0, 9))
def test_logits_are_those_counted_by_hand(texts, longest, seed):
    labels = np.random.default_rng(seed).integers(0, C, len(texts)).tolist()
    _, model = made(texts, labels, longest)
    lengths = torch.tensor([len(text) for text in texts])
    input = torch.zeros(max(1, int(lengths.max())), len(texts), dtype=torch.int64)
    for at, text in enumerate(texts):
        input[: len(text), at] = torch.tensor(text, dtype=torch.int64)
    expected = torch.tensor([by_hand(texts, labels, text, longest) for text in texts])
    torch.testing.assert_close(model(input, lengths), expected, atol=1e-4, rtol=1e-4)


def test_the_order_of_classes_is_that_of_scikit_learn():
    """The root of n changes how sure it is, not which class is the likeliest where classes are equally frequent."""
    draw = np.random.default_rng(0)
    texts = [draw.integers(0, V, 7).tolist() for _ in range(60)]
    labels = [n % C for n in range(60)]
    _, model = made(texts, labels, 2)
    words = [" ".join(map(str, text)) for text in texts]
    vectorizer = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\d", binary=True, min_df=2)
    theirs = MultinomialNB().fit(vectorizer.fit_transform(words), labels).predict(vectorizer.transform(words))
    assert (model(torch.tensor(texts).T).argmax(-1).numpy() == theirs).all()


def test_a_table_has_room_for_the_runs_of_most_texts():
    texts = [[0, 1, 2]] * 3 + [[3, 4, 5]] * 2
    counted, _ = made(texts, [0, 0, 1, 1, 2], 2, most=(V + 2) * C)
    assert counted.runs[0].tolist() == [0 * V + 1, 1 * V + 2]
    assert counted.counts[V:].tolist() == [[2, 1, 0], [2, 1, 0]]


@pytest.mark.parametrize("balanced", [False, True])
def test_before_anything_is_read_the_classes_are_as_frequent_as_in_training(balanced):
    counted, model = made([[0], [0], [1]], [0, 0, 1], 1)
    model.take(counted, balanced=balanced)
    nothing = model(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)).softmax(-1)
    expected = torch.tensor([[3.0, 2.0, 1.0]]) / 6 if not balanced else torch.ones(1, 3) / 3
    torch.testing.assert_close(nothing, expected)
