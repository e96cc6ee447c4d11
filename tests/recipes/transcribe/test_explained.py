"""A transcriber is asked why it wrote what it wrote."""

import numpy as np
import pytest
import torch
from PIL import Image

import ostinato
from ostinato.data import Recording
from ostinato.errors import ConfigError
from ostinato.recipes import load, train
from tests.recipes.transcribe.strokes import CHANNELS, FEW, recordings, small, write

METHODS = ("gradients", "gates", "occlusion")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    return load(train(small(folder / "run", write(folder / "strokes.jsonl", recordings()))).run.path)


@pytest.fixture(scope="module")
def others():
    return recordings(4, seed=1)


def test_the_text_is_asked_about_as_predict_tells_it(trained, others):
    answers = [trained.predict(each.values) for each in others.items]
    for method in METHODS:
        for found, answer, given in zip(
            ostinato.why(trained, others, method=method), answers, others.items, strict=True
        ):
            assert (found.said, found.about) == (answer["text"], "the text")
            assert found.answer == pytest.approx(answer["log_probability"], abs=1e-3)
            assert (len(found.steps), found.channels) == (len(given), CHANNELS)
            if method != "occlusion":
                assert abs(found.remainder) <= 2e-2 * abs(found.answer - found.baseline) + 1e-3


def test_what_nothing_is_says_the_network_itself(trained, others):
    (found,) = ostinato.why(trained, others, rows=[0])
    mean = np.tile(np.array(trained.known.scaling.means), (len(others[0]), 1))
    log_probs = trained.model(frames_of(trained, mean))[:, 0].detach().numpy()
    assert found.baseline == pytest.approx(sum_over_paths(log_probs, trained.known.encode(found.said)), abs=1e-3)


def test_a_character_is_due_to_the_steps_where_it_stands(trained, others):
    answer = trained.predict(others[0].values)
    for at, (letter, first, end, _) in enumerate(answer["characters"]):
        (found,) = ostinato.why(trained, others, rows=[0], target=at, method="gates")
        assert found.about == f"character {at} of the text, {letter!r}"
        step, channel = np.unravel_index(found.values.argmax(), found.values.shape)
        assert first - 3 <= step < end + 3
        assert channel == "ab ".index(letter)


@pytest.mark.parametrize("target", ["-1", "99", "a"])
def test_a_character_that_is_not_there(trained, others, target):
    with pytest.raises(ConfigError, match="expected the number of a character of the text from 0 to"):
        ostinato.why(trained, others, rows=[0], target=target)


def test_of_pictures_nothing_is_paper_and_texts_are_not_needed(tmp_path):
    draw = np.random.default_rng(0)
    (tmp_path / "lines").mkdir()
    for at in range(20):
        page = np.full((24, 40), 240, dtype=np.uint8)
        page[8:16, 10:14] = 20
        page[8:16, 22 : 24 + draw.integers(4)] = 20
        Image.fromarray(page).save(tmp_path / f"lines/{at:02}.png")
        (tmp_path / f"lines/{at:02}.txt").write_text("ab" if at % 2 else "ba")
    trained = load(train(small(tmp_path / "run", str(tmp_path / "lines"), training=FEW)).run.path)
    Image.fromarray(page).save(tmp_path / "alone.png")
    (found,) = ostinato.why(trained, str(tmp_path / "alone.png"))
    pixels, of_file = np.asarray(Image.open(tmp_path / "alone.png")), trained.predict(tmp_path / "alone.png")[0]
    for given in (pixels, Image.fromarray(pixels), Image.fromarray(pixels).convert("RGB")):
        assert trained.predict(given) == {**of_file, "id": "1"}
        assert len(trained.predict([given, given])) == 2
        (of_picture,) = ostinato.why(trained, Image.fromarray(pixels))
        assert of_picture.answer == found.answer
    assert found.channels == tuple(f"row {at}" for at in range(24))
    blank = np.zeros((len(found.steps), 24), dtype=np.float32)
    log_probs = trained.model(frames_of(trained, blank))[:, 0].detach().numpy()
    assert found.baseline == pytest.approx(sum_over_paths(log_probs, trained.known.encode(found.said)), abs=1e-3)
    without_ink = np.asarray(found.read) == 0
    assert np.abs(found.values[without_ink]).sum() < 0.5 * np.abs(found.values).sum()


def frames_of(trained, values):
    """(F, 1, I): of values as the network reads them."""
    return torch.from_numpy(trained.known.frames(Recording("", values.astype(np.float32)))).unsqueeze(1)


def sum_over_paths(log_probs, units):
    """log p of a text: the forward recursion over the text with blanks around its units, in plain NumPy."""
    path = [0]
    for unit in units:
        path += [int(unit), 0]
    alpha = np.full(len(path), -np.inf)
    alpha[:2] = log_probs[0, path[:2]]
    for row in log_probs[1:]:
        before = alpha
        alpha = np.empty(len(path))
        for at, unit in enumerate(path):
            ways = [before[at], *([before[at - 1]] if at else [])]
            if at > 1 and unit not in (0, path[at - 2]):
                ways.append(before[at - 2])
            alpha[at] = np.logaddexp.reduce(ways) + row[unit]
    return np.logaddexp.reduce(alpha[-2:])
