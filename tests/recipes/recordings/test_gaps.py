"""Cells that read masks and elapsed time learn from recordings that have such."""

import dataclasses

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.errors import ConfigError
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.parts.beside import extras_of, input_size_of, parted
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.settings import ClassifierSettings
from ostinato.recipes.exporting.c_folder import export_run
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.tag.settings import TaggerSettings
from tests.recipes.recordings.breaths import FEW, breaths, small, small_tagger, write

EXTRAS = {"grud": {"mask": "I", "dt": "I"}, "cfc": {"dt": "1"}, "ltc": {"dt": "1"}, "phasedlstm": {"t": "1"}}


def test_which_cells_read_what():
    assert {cell: extras_of(cell) for cell in EXTRAS} == EXTRAS
    assert extras_of("lstm") == extras_of("nosuchcell") == {}
    assert [input_size_of(9, EXTRAS["grud"]), input_size_of(9, EXTRAS["cfc"]), input_size_of(9, {})] == [3, 8, 9]
    with pytest.raises(ConfigError, match="expected the input and mask, dt side by side, got 8 numbers"):
        input_size_of(8, EXTRAS["grud"])


def test_a_model_gives_its_cell_what_it_reads():
    torch.manual_seed(0)
    model = Classifier(2, input_size=9, cell="grud", hidden_size=4, with_extras=True).eval()
    x, mask, dt = torch.randn(3, 5, 2, 3).unbind(0)
    mask = (mask > 0).float()
    h, _ = catalogue.make("grud", 3, 4).eval(), None
    h.load_state_dict(model.recurrent.state_dict())
    wanted = h(x, mask=mask, dt=dt.abs())[0]
    torch.testing.assert_close(model.steps(torch.cat([x, mask, dt.abs()], -1)), wanted)
    x, beside = parted(catalogue.make("cfc", 8, 4), torch.arange(18.0).view(1, 2, 9))
    assert x.shape == (1, 2, 8)
    assert beside["dt"].tolist() == [[8.0, 17.0]]


@pytest.mark.parametrize("cell", ["grud", "cfc", "phasedlstm"])
def test_they_learn(tmp_path, cell):
    data = write(tmp_path / "a.csv", breaths(80, gaps=0.3, uneven=True))
    training = dataclasses.replace(FEW, max_steps=80, evaluate_every=40, learning_rate=0.03)
    result = train(
        small(tmp_path / "run", data, model=ClassifierSettings(cell=cell, hidden_size=12), training=training)
    )
    run = open_run(tmp_path / "run")
    assert dict(run.known.scaling.extras) == EXTRAS[cell]
    assert not run.model.recurrent.bidirectional
    assert run.evaluate(data)[0].figures["accuracy"] >= 0.9
    assert result.scores["test"].examples == 8
    assert len(run.predict(data=data)) == 80


def test_a_tagger_too(tmp_path):
    data = write(tmp_path / "a.csv", breaths(20, turns=True, gaps=0.2, uneven=True))
    model = TaggerSettings(cell="grud", hidden_size=8, num_layers=1)
    train(small_tagger(tmp_path / "run", data, model=model, training=dataclasses.replace(FEW, max_steps=4)))
    run = open_run(tmp_path / "run")
    answers = run.predict(data=data)
    assert len(answers) == 20
    assert np.isfinite([p for answer in answers for p in answer["probabilities"]]).all()
    for call in (lambda: run.task.exported(run), lambda: export_run(run, tmp_path / "c", say=lambda line: None)):
        with pytest.raises(
            ConfigError, match="got one that reads mask, dt too, which the programs around an export do not"
        ):
            call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ClassifierSettings(cell="grud", bidirectional=True)}, "bidirectional: expected false with gru_d"),
        ({"model": ClassifierSettings(cell="grud", num_layers=2)}, "num_layers expected 1"),
        (
            {"model": ClassifierSettings(cell="cfc"), "recording": RecordingSettings(stack=2)},
            r"recording\.stack: expected 1 with a cell that reads dt, got 2",
        ),
    ],
)
def test_what_does_not_go_with_them_is_told(tmp_path, changes, message):
    data = write(tmp_path / "a.csv", breaths(20, gaps=0.3))
    with pytest.raises(ConfigError, match=message):
        train(small(tmp_path / "run", data, **changes))


def test_texts_have_no_such_cells(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "a b,x\nc d,y\n" * 20)
    with pytest.raises(ConfigError, match=r"needs mask, dt at every step: classify and tag have it of recordings"):
        train(small(tmp_path / "run", str(tmp_path / "a.csv"), model=ClassifierSettings(cell="grud")))
