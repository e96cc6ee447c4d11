import dataclasses

import numpy as np
import pytest
import torch

from ostinato.data.records.captions import Captioned
from ostinato.data.records.images import Images
from ostinato.recipes.caption.data import CaptionedImages, CaptionKnown, prepared
from ostinato.recipes.caption.settings import CaptionReadingSettings

READING = CaptionReadingSettings()
SAID = (("A dog, running.", "One dog!"), ("a cat (asleep)",), ("",), ())


def part(captions=SAID, channels=3):
    shape = (len(captions), 4, 5, channels) if channels else (len(captions), 4, 5)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    return Captioned(Images(pixels, None, (), 255.0), captions)


def test_words_and_marks_are_tokens_and_are_written_as_people_do():
    assert (
        prepared("A dog,  isn't it? Well-known (so)", "word", lower_case=True) == "a dog , isn't it ? well-known ( so )"
    )
    assert prepared(" A  dog,\n", "char", lower_case=False) == "A dog,"
    known = CaptionKnown.of(part(), dataclasses.replace(READING, min_count=1))
    assert known.vocabulary.kind == "word"
    tokens = known.marked.encode(known.prepared("A dog (running)."))
    assert known.said(tokens) == known.normal("A dog (running).") == "a dog (running)."


def test_no_word_is_cut_at_a_combining_mark_but_where_a_run_of_before_did():
    known = CaptionKnown.of(
        part((("फिल्म अच्छी cafe\u0301's",),)), dataclasses.replace(READING, min_count=1, normalisation="nfc")
    )
    assert known.vocabulary.words[2:] == sorted(["फिल्म", "अच्छी", "caf\u00e9's"])
    again = CaptionKnown.from_dict(known.to_dict())
    assert again.prepared("cafe\u0301's फि") == "caf\u00e9's फि"
    content = {key: value for key, value in known.to_dict().items() if key not in ("breaks", "normalisation")}
    assert CaptionKnown.from_dict(content).prepared("cafe\u0301 फि") == "cafe \u0301 फ ि"


def test_rare_words_are_unknown_but_not_in_what_is_wanted():
    known = CaptionKnown.of(part(), READING)  # of a and dog there are two each
    assert known.vocabulary.unknown_id is not None
    ids = known.marked.encode(known.prepared("a dog running"))
    assert (ids == known.vocabulary.unknown_id).tolist() == [False, False, True]
    assert known.normal("A dog running") == "a dog running"


@pytest.mark.parametrize(
    ("captions", "kind"),
    [((("seven",), ("one",)), "char"), ((("a dog",), ("cats run",)), "word"), ((("",), ("",)), "char")],
)
def test_single_words_are_read_by_their_letters(captions, kind):
    assert CaptionKnown.of(part(captions), READING).vocabulary.kind == kind


@pytest.mark.parametrize("tokens", ["word", "char", "byte", "bpe"])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_what_is_known_comes_back_from_plain_values(tokens, channels):
    known = CaptionKnown.of(part(channels=channels), dataclasses.replace(READING, tokens=tokens, vocabulary_size=300))
    again = CaptionKnown.from_dict(known.to_dict())
    assert again.to_dict() == known.to_dict()
    assert again.shape == (channels or 1, 4, 5)
    assert again.normal("A dog!") == known.normal("A dog!")


def test_an_example_is_an_image_with_all_of_its_captions():
    given = part()
    known = CaptionKnown.of(given, READING)
    examples = CaptionedImages(given, known)
    assert examples.lengths.tolist() == [5, 5, 0, 0]
    assert examples.counts.tolist() == [5 + 1 + 3 + 1, 5 + 1, 0 + 1, 0]
    batch = examples.batch(np.array([2, 0, 3, 1]))
    assert batch.owners is not None
    assert batch.target_lengths is not None
    assert batch.owners.tolist() == [0, 1, 1, 3]
    assert batch.target_lengths.tolist() == [0, 5, 3, 5]
    expected = known.marked.encode("one dog !").tolist()
    assert batch.target[:3, 2].tolist() == expected
    assert CaptionedImages(given, known, max_length=2).lengths.tolist() == [2, 2, 0, 0]
    assert CaptionedImages(given, known).batch(np.array([3])).target.shape == (1, 0)


@pytest.mark.parametrize("channels", [0, 3])
def test_pixels_have_a_mean_of_0_and_a_deviation_of_1(channels):
    given = part(channels=channels)
    images = CaptionedImages(given, CaptionKnown.of(given, READING)).batch(np.arange(4)).input
    assert images.shape == (4, channels or 1, 4, 5)
    values = given.images.pixels / 255.0
    expected = (values - values.mean()) / values.std()
    expected = expected[:, None] if channels == 0 else expected.transpose(0, 3, 1, 2)
    torch.testing.assert_close(images.double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-4)
