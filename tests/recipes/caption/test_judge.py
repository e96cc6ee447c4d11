import math
from typing import Any

import numpy as np
import pytest
import torch

from ostinato.data.records.captions import Captioned
from ostinato.data.records.images import Images
from ostinato.models.writing.captioner import Captioner
from ostinato.models.writing.decoding import Hypothesis
from ostinato.recipes.caption.data import CaptionedImages, CaptionKnown
from ostinato.recipes.caption.judge import CaptionJudge
from ostinato.recipes.caption.settings import CaptionReadingSettings


def judged(captions, answers, *, names: tuple[str, ...] = (), order=None, tokens: Any = "word", has_attention=True):
    """A judge that has seen a captioner whose answers are known; `order` is that in which the images come."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(captions), 4, 4)).astype(np.uint8)
    part = Captioned(Images(pixels, None, (), 255.0), tuple(map(tuple, captions)), names)
    known = CaptionKnown.of(part, CaptionReadingSettings(tokens=tokens, min_count=1))
    marked = known.marked
    torch.manual_seed(0)
    model = Captioner(
        known.shape,
        len(marked),
        begin=marked.begin,
        end=marked.end,
        features=4,
        hidden_size=4,
        attention="general" if has_attention else None,
    ).eval()
    order = list(range(len(captions))) if order is None else order
    coming = iter(order)

    def write(images):
        said = [answers[next(coming)] for _ in images]
        return [Hypothesis(tuple(marked.encode(known.prepared(text)).tolist()), -1.0, -1.0) for text in said]

    judge, examples = CaptionJudge(model, known, part, write), CaptionedImages(part, known)
    for rows in filter(len, np.array_split(np.array(order), 2)):
        with torch.no_grad():
            judge.see(examples.batch(rows))
    return judge


def test_any_of_an_images_captions_is_right():
    captions = [["a red dog", "one dog"], ["A cat."], ["a cow"]]
    figures = judged(captions, ["one dog", "a cat.", "a cat."], order=[2, 0, 1]).figures()
    assert figures["exact_match"] == pytest.approx(2 / 3)


def test_bleu_is_the_formula():
    # Papineni et al. 2002: of 9 words 9, of 7 pairs 5, of 5 triples 3, of 3 fours 2 are in a reference; no brevity penalty.
    captions = [["a b c d e", "x y"], ["a b c d", "c d"]]
    judge = judged(captions, ["a b c d e", "a b d c"])
    precisions = (9 / 9, (4 + 1) / 7, (3 + 0) / 5, (2 + 0) / 3)
    expected = 100 * math.exp(sum(map(math.log, precisions)) / 4)
    assert judge.figures()["bleu"] == pytest.approx(expected, rel=1e-6)
    assert "|tok:13a|" in judge.details()["bleu_signature"]


def test_bleu_of_single_words_is_the_share_that_is_right():
    figures = judged([["one"], ["two"], ["six"], ["ten"]], ["one", "two", "ten", "ten"], tokens="char").figures()
    assert figures["exact_match"] == 0.75
    assert figures["bleu"] == pytest.approx(75.0)
    perfect = judged([["one"], ["two"]], ["one", "two"], tokens="char").figures()
    assert perfect == {"exact_match": 1.0, "bleu": pytest.approx(100.0), "chrf": pytest.approx(100.0)}


def test_what_was_wrong_is_told_with_the_name_of_the_file():
    details = judged([["a dog"], ["a cat"]], ["a cat", "a cat"], names=("x.png", "y.png")).details()
    assert details["number_of_wrong"] == 1
    assert details["wrong"] == [{"image": "x.png", "answer": "a cat", "captions": ["a dog"]}]


def test_pictures_are_drawn_of_right_and_wrong_and_empty_answers():
    captions = [["a dog"]] * 40
    pictures = judged(captions, ["", "a dog", "a dog a dog a dog $1$"] + ["a dog"] * 35 + [""] * 2).pictures()
    assert set(pictures) == {"captions", "attention"}
    texts = [text.get_text() for text in pictures["captions"].axes[0].texts]
    assert texts.count("(nothing)\nwanted: a dog") == 3
    assert len(texts) == 20
    looks = [text.get_text() for text in pictures["attention"].axes[0].texts]
    assert looks[:4] == ["(nothing)", "end", "a dog", "a"]


def test_without_attention_there_is_no_picture_of_it():
    assert set(judged([["a"]], ["a"], has_attention=False).pictures()) == {"captions"}


def test_nothing_is_told_of_images_without_captions():
    judge = judged([[], []], ["", ""])
    assert judge.figures() == {"exact_match": 0.0, "bleu": 0.0, "chrf": 0.0}
    assert judge.pictures() == {}
    assert judge.warnings() == ["2 images have no caption: they have no part in the figures"]
