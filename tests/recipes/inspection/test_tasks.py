"""`inspect` for runs of the other tasks that learn from examples; that of a classifier is looked at closely in `test_task`."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from ostinato.recipes import train
from ostinato.recipes.caption.settings import CaptionerSettings, CaptionSettings
from ostinato.recipes.inspection.report import inspect_run
from ostinato.recipes.inspection.task import SECTIONS as TASK_SECTIONS
from ostinato.training.run.settings import UpdateSettings
from tests.insight.pages import Page
from tests.recipes import phrases, tagged, waves
from tests.recipes.transcribe import strokes


def write_photos(folder):
    """Grey squares of two shades, and what they are called."""
    folder.mkdir()
    names = ["dark", "light"]
    for n in range(20):
        Image.fromarray(np.full((6, 6), 40 + 160 * (n % 2), np.uint8)).save(folder / f"{n}.png")
    rows = [{"file": f"{n}.png", "caption": names[n % 2]} for n in range(20)]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def settings_for(task, folder):
    run = folder / "run"
    if task == "tag":
        return tagged.small(run, tagged.write(folder / "words.conll", tagged.sentences()))
    if task == "forecast":
        return waves.small(run, waves.write(folder / "waves.csv", waves.rows(100)))
    if task == "transcribe":
        return strokes.small(run, strokes.write(folder / "strokes.jsonl", strokes.recordings(30)))
    if task == "translate":
        return phrases.small(run, phrases.write(folder / "phrases.tsv", phrases.phrases(100)))
    return CaptionSettings(
        data=write_photos(folder / "photos"),
        run=str(run),
        device="cpu",
        quiet=True,
        model=CaptionerSettings(features=4, embedding_size=4, hidden_size=8),
    )


# What each task is judged by, a parameter of its model, what its loss is the mean of, and whether it looks back at its input.
@pytest.mark.parametrize(
    ("task", "figure", "parameter", "item", "attends"),
    [
        ("tag", "accuracy", "recurrent.weight_ih_l0", "tag", False),
        ("forecast", "skill", "recurrent.weight_ih_l0", "step", False),
        ("caption", "exact match", "decoder.recurrent.weight_ih_l0", "token", True),
        ("translate", "chrf", "decoder.recurrent.weight_ih_l0", "token", True),
        ("transcribe", "character error rate", "recurrent.weight_ih_l0", "unit", False),
    ],
)
def test_a_run_of_any_task_has_a_whole_report(task, figure, parameter, item, attends, tmp_path):
    settings = settings_for(task, tmp_path)
    training = UpdateSettings(batch_size=8, max_steps=2, evaluate_every=2, log_every=1)
    result = train(dataclasses.replace(settings, training=training))
    page = Page(inspect_run(result.run.path).read_text(encoding="utf-8"))
    page.check()
    assert "could not be made" not in page.text
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == [each.name for each in TASK_SECTIONS]
    rows = {row[0]: row for table in page.tables for row in table}
    assert {figure, parameter} <= set(rows)
    assert rows["loss"][1:] == [f"nats/{item}", *(f"{each.loss:.4f}" for each in result.scores.values())]
    assert f"ostinato train {task}" in page.text
    drawn = [attrs.get("aria-label", "") for tag, attrs in page.tags if tag == "svg"]
    assert {path.stem.replace("_", " ") for path in result.pictures} <= set(drawn)
    assert any(each.startswith("Attention weights") for each in drawn) == attends
