"""The model of a run as C: what is in the folder, and what it computes on the run's own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.exporting.c.models import network_of
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.settings import ClassifierSettings
from ostinato.recipes.classify.settings import UpdateSettings as ClassifyUpdates
from ostinato.recipes.exporting.c_folder import export_run
from ostinato.recipes.forecast.settings import UpdateSettings as ForecastUpdates
from tests.exporting.c.compiled import Compiled
from tests.recipes import reviews, waves


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("classify")
    data = reviews.write(folder / "reviews.csv", reviews.rows())
    model = ClassifierSettings(embedding_size=8, hidden_size=8, bidirectional=False, naive_bayes=False)
    settings = reviews.small(folder / "run", data, model=model, training=ClassifyUpdates(batch_size=8, max_steps=3))
    return open_run(train(settings).run.path)


def exported(trained: Any, folder: Path, **how: Any) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []
    export_run(trained, folder, say=told.append, **how)
    return json.loads((folder / "card.json").read_text()), told


def test_a_language_model(result: Any, tmp_path: Path) -> None:
    trained = open_run(result.run.path)
    card, told = exported(trained, tmp_path / "c", weights="int8")
    assert sorted(file.name for file in (tmp_path / "c").iterdir()) == ["card.json", "lm.c", "lm.h"]
    assert card["vocabulary"] == trained.model.vocabulary.to_dict()
    assert card["error"]["of"] == "inputs"
    assert "error of int8 weights: at most " in told[1]
    tokens = torch.from_numpy(trained.model.vocabulary.encode("the quick brown fox").astype("int64"))
    got = Compiled(network_of(trained.model, "lm", "int8"), tmp_path / "c")(tokens)
    with torch.no_grad():
        want, _ = trained.model(tokens[:, None])
    assert float((got - want[:, 0]).abs().max()) <= 2 * card["error"]["largest"]


def test_a_classifier(classifier: Any, tmp_path: Path) -> None:
    card, _ = exported(classifier, tmp_path / "c", weights="int8")
    assert card["classes"] == ["bad", "good"]
    assert (card["task"], card["name"], card["weights"]) == ("classify", "classify", "int8")
    assert card["error"]["same"] > 0.9
    assert card["error"]["steps"] > 20


def test_a_forecaster(tmp_path: Path) -> None:
    data = waves.write(tmp_path / "waves.csv", waves.rows(gaps=0.1))
    settings = waves.small(tmp_path / "run", data, training=ForecastUpdates(batch_size=16, max_steps=3))
    card, told = exported(open_run(train(settings).run.path), tmp_path / "c", weights="int8")
    assert card["series"] == ["a", "b"]
    assert card["error"]["of"] == "inputs"
    assert 0 < card["error"]["share"] < 0.2
    assert told[-1].startswith(f"{tmp_path / 'c'}: gcc")


def test_float32_needs_no_data(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato.recipes.exporting.c_folder.read_splits", None)
    card, _ = exported(classifier, tmp_path / "c")
    assert (card["weights"], card["error"]) == ("float32", None)


def test_data_that_are_gone_are_told(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr("ostinato.recipes.exporting.c_folder.read_splits", gone)
    card, told = exported(classifier, tmp_path / "c", weights="int8")
    assert card["error"]["of"] == "probe"
    assert "measured on random inputs: gone" in told[0]


def test_what_is_there_is_written_over_only_with_force_and_only_an_export(classifier: Any, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    exported(classifier, folder)
    with pytest.raises(ConfigError, match=r"is there already; .* --force"):
        exported(classifier, folder)
    (folder / "classify.c").write_text("")
    exported(classifier, folder, force=True)
    assert (folder / "classify.c").read_text()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("")
    with pytest.raises(ConfigError, match="no export to C, and --force writes over such only"):
        exported(classifier, mine, force=True)
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]


def test_a_model_without_c_leaves_nothing(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier.model.recurrent, "bidirectional", True)
    with pytest.raises(ConfigError, match="one direction"):
        exported(classifier, tmp_path / "c")
    assert not list(tmp_path.iterdir())
