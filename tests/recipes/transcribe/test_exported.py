"""A transcriber outside of torch, and over HTTP: the same texts."""

import base64
import dataclasses
import io

import numpy as np
import PIL.Image
import pytest

from ostinato.data.recordings.pictures import recording_of
from ostinato.data.recordings.recording import Recordings
from ostinato.errors import ConfigError, DataError
from ostinato.recipes import open_run, train
from ostinato.recipes.exporting.c_folder import export_run
from ostinato.recipes.transcribe.settings import TranscribeReadingSettings, TranscriberSettings
from ostinato.serving.answers.predicting import answers
from ostinato.serving.errors import BadRequestError, TooLargeError
from tests.recipes.test_exported import calls, exported
from tests.recipes.transcribe.strokes import FEW, TRAINING, recordings, small, write
from tests.recipes.transcribe.test_reading import page, write_pages


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    data = write(folder / "strokes.jsonl", recordings())
    model = TranscriberSettings(hidden_size=16, dropout=0.0, input_dropout=0.0, bidirectional=False)
    reading = TranscribeReadingSettings(stride=2)
    train(
        small(folder / "run", data, model=model, reading=reading, training=dataclasses.replace(TRAINING, max_steps=60))
    )
    return folder / "run"


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A run on pictures; that it has learnt little is no matter."""
    folder = tmp_path_factory.mktemp("lines")
    said = write_pages(folder / "pages")
    rows = ["file,text", *(f"{at:02}.png,{text}" for at, text in enumerate(said))]
    (folder / "pages" / "labels.csv").write_text("\n".join(rows))
    train(small(folder / "run", str(folder / "pages"), reading=TranscribeReadingSettings(height=10), training=FEW))
    return folder / "run"


def test_recordings_are_transcribed_the_same_by_the_runner(run):
    part, trained = recordings(25, seed=4), open_run(run)
    asked = [["transcribe", [each.values.astype(float).tolist()], {}] for each in part.items]
    found = calls(exported(run), asked)
    wanted = trained.answer_with({"beam": 1}).predict(part)
    assert [each["text"] for each in found] == [each["text"] for each in wanted]
    assert any(each["text"] for each in found)
    for got, each in zip(found, part.items, strict=True):
        assert "".join(unit for unit, _, _ in got["units"]) == got["text"]
        assert all(0 <= first < end <= len(each) for _, first, end in got["units"])


def test_pictures_are_transcribed_the_same_by_the_runner(lines):
    trained = open_run(lines)
    pixels = [page(seed, 50 + seed) for seed in range(5)]
    pixels[1] = 255 - pixels[1]
    part = Recordings(trained.known.scaling.channels, tuple(recording_of(each, 10, "", None) for each in pixels))
    found = calls(exported(lines), [["transcribe_picture", [each.tolist()], {}] for each in pixels])
    wanted = trained.answer_with({"beam": 1}).predict(part)
    assert [each["text"] for each in found] == [each["text"] for each in wanted]


def test_pictures_in_memory_are_read_as_files_of_them(lines, run, tmp_path):
    trained, seen = open_run(lines), PIL.Image.fromarray(page(3, 61))
    through = PIL.Image.new("RGBA", seen.size, (0, 0, 0, 0))  # black, but not to be seen
    through.paste(seen, (0, 0))
    through.putpixel((0, 0), (0, 0, 0, 0))
    deep = PIL.Image.fromarray(np.asarray(seen).astype(np.uint16) * 257)
    images = [seen, through, deep, seen.convert("P"), seen.convert("1")]
    wanted = []
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
        wanted += trained.predict(tmp_path / f"{number}.png")
    found = trained.predict(images)
    assert [each["log_probability"] for each in found] == [each["log_probability"] for each in wanted]
    assert [each["text"] for each in found] == [each["text"] for each in wanted]
    assert trained.predict(seen)["text"] == wanted[0]["text"]
    for given, message in (
        ([seen, "a"], "expected images of Pillow, got the text 'a'"),
        (["a"], "expected recordings as numbers"),
        ([tmp_path / "0.png"], "expected one file or folder as pathlib.Path, got a list"),
    ):
        with pytest.raises(DataError, match=message):
            trained.predict(given)
    with pytest.raises(DataError, match="as in training"):
        open_run(run).predict(seen)


def test_it_is_not_written_in_c(run, tmp_path):
    with pytest.raises(ConfigError):
        export_run(open_run(run), tmp_path / "c")


def test_what_is_asked_over_http_is_answered_as_a_file(run):
    part, trained = recordings(3, seed=6), open_run(run)
    given = [{"values": each.values.astype(float).tolist(), "id": each.id} for each in part.items]
    found = answers(trained, given, {"beam": 4}, 10_000)
    assert [each["text"] for each in found] == [
        each["text"] for each in open_run(run).answer_with({"beam": 4}).predict(part)
    ]
    assert [each["id"] for each in found] == [each.id for each in part.items]


@pytest.mark.parametrize("name", ["language_model", "lexicon"])
def test_nobody_has_a_server_open_its_files(run, name):
    with pytest.raises(BadRequestError, match=f"options.{name}"):
        answers(open_run(run), [[[0.0, 0.0, 0.0]]], {name: "/etc/hostname"}, 1000)


def test_a_wide_beam_is_refused_over_http(run):
    with pytest.raises(TooLargeError, match=r"options.beam: expected at most 64"):
        answers(open_run(run), [[[0.0, 0.0, 0.0]]], {"beam": 1000}, 1000)


def coded(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_over_http(lines):
    trained = open_run(lines)
    wanted = trained.predict(Recordings(trained.known.scaling.channels, (recording_of(page(3, 60), 10, "", None),)))
    assert answers(open_run(lines), [coded(page(3, 60))], {}, 1000) == wanted
    with pytest.raises(BadRequestError, match="expected pictures"):
        answers(open_run(lines), [base64.b64encode(b"no").decode()], {}, 1000)
    # A low picture becomes wide where it is scaled: it is refused before that.
    with pytest.raises(TooLargeError, match="expected a line of at most 400 columns"):
        answers(open_run(lines), [coded(np.zeros((1, 5000), np.uint8))], {}, 1000)
