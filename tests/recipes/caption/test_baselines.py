import numpy as np
import pytest

from ostinato.data.records.captions import Captioned
from ostinato.data.records.images import Images
from ostinato.recipes.caption.baselines import baselines
from ostinato.recipes.caption.settings import CaptionReadingSettings


def captioned(*captions):
    return Captioned(Images(np.zeros((len(captions), 2, 2), np.uint8), None, (), 255.0), captions)


def test_the_most_frequent_caption_is_right_as_often_as_images_have_it():
    train = captioned(("A dog.", "a  dog ."), ("a cat",), ("a big cat",))
    test = captioned(("A dog.", "the dog"), ("a cow",), (), ("a DOG.",))
    found = baselines(train, {"test": test, "none": captioned(())}, CaptionReadingSettings())
    assert found["test"]["most frequent caption"]["exact_match"] == pytest.approx(2 / 3)
    assert 0 < found["test"]["most frequent caption"]["bleu"] < 100
    assert found["none"]["most frequent caption"] == {"exact_match": 0.0, "bleu": 0.0, "chrf": 0.0}
