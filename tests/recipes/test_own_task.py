"""A task outside the tree, in a temporary package: the one of docs/own_task.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ostinato
from ostinato import recipes
from ostinato.errors import ConfigError, RunError
from ostinato.recipes import registry
from tests.test_documents import ROOT, snippets

PAGE = ROOT / "docs" / "own_task.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module of the page, as an installed distribution that names its task."""
    folder = tmp_path_factory.mktemp("package")
    code = next(s.code for s in snippets(PAGE) if "class Regression(Task)" in s.code)
    (folder / "regression.py").write_text(code.partition("<<'EOF'\n")[2].rpartition("EOF")[0])
    about = folder / "regression-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: regression\nVersion: 1.0\n")
    point = next(s.code for s in snippets(PAGE) if "entry-points" in s.code).splitlines()[1].replace('"', "")
    (about / "entry_points.txt").write_text(f"[ostinato.tasks]\n{point}\nbroken = nowhere:Nothing\n")
    (folder / "raises.py").write_text("raise RuntimeError('boom')")
    (folder / "leaves.py").write_text("import sys\nsys.exit(7)")
    task = "from ostinato.recipes.task import Task\nclass NoName(Task): pass\n"
    task += "class NoSettings(Task): name = 'x'\nclass PlainSettings(Task):\n    name, settings = 'x', int\n"
    (folder / "wrong.py").write_text(task + "from regression import RegressionSettings\nclass Abstract(Task):\n")
    with (folder / "wrong.py").open("a") as file:
        file.write("    name, settings = 'x', RegressionSettings\n")
    (folder / "sums.txt").write_text("".join(f"{a} {b} {a + b}\n" for a in range(8) for b in range(8)))
    return folder


@pytest.fixture
def within(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package can be imported, and nothing else changes."""
    monkeypatch.syspath_prepend(package)
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    installed = registry._installed
    installed.cache_clear()
    monkeypatch.chdir(package)
    yield package
    installed.cache_clear()
    sys.modules.pop("regression", None)


def settings(run: Path, **changes: object) -> object:
    kind = registry.find("regression").settings_class()
    return kind.from_dict(
        {"data": "sums.txt", "run": str(run), "quiet": True, "device": "cpu", "training": {"max_steps": 3}, **changes}
    )


def test_the_command_line_knows_the_task_of_an_installed_package(package: Path, tmp_path: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(package)}
        return subprocess.run(
            [sys.executable, "-m", "ostinato", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    listed = command("train").stdout
    assert "regression  a number for a sequence of numbers" in listed
    assert "broken      cannot be loaded: nowhere:Nothing" in listed
    assert "--model.hidden_size" in command("train", "regression", "--help").stdout
    data = str(package / "sums.txt")
    done = command("train", "regression", "--data", data, "--run", "run", "--training.max_steps", "3")
    assert done.returncode == 0, done.stderr
    assert "the mean" in done.stdout
    assert "loses to" not in done.stdout or "loses to the mean: mean absolute error" in done.stdout
    assert command("predict", "run", data).stdout.count('{"number": ') == 64
    wrong = command("train", "broken")
    assert wrong.returncode == 2
    assert "nowhere:Nothing: expected a class at this place" in wrong.stderr


def test_a_run_is_loaded_by_name_or_by_place(within: Path, tmp_path: Path) -> None:
    recipes.train(settings(tmp_path / "run"))
    assert registry.task_of(tmp_path / "run") == "regression"
    assert isinstance(ostinato.load(tmp_path / "run").predict(data="sums.txt")[0]["number"], float)
    assert registry.find("regression:Regression").task == "regression:Regression"


def test_a_class_that_no_name_finds_is_found_where_the_run_says(
    within: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ostinato.recipes.task_training import train

    given = settings(tmp_path / "run")
    monkeypatch.setattr(registry, "_installed", dict)
    train(registry.find("regression:Regression").make(), given)
    assert registry.task_of(tmp_path / "run") == "regression:Regression"
    assert ostinato.load(tmp_path / "run").task.name == "regression"
    (tmp_path / "run" / "task.json").write_text('{"class": "regression:Gone"}')
    with pytest.raises(RunError, match="is a run of the task regression:Gone, which cannot be loaded"):
        ostinato.load(tmp_path / "run")
    (tmp_path / "run" / "task.json").write_text('{"class": [":"]}')
    with pytest.raises(RunError, match=r"task\.json is damaged"):
        ostinato.load(tmp_path / "run")
    (tmp_path / "run" / "task.json").write_text("[")
    with pytest.raises(RunError, match=r"task\.json is damaged"):
        ostinato.load(tmp_path / "run")


def test_it_is_registered_for_this_process(within: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regression import Regression  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(registry, "_installed", dict)
    with pytest.raises(ConfigError, match="unknown task regression"):
        registry.find("regression")
    assert registry.register(Regression) is Regression
    assert registry.find("regression").summary == "a number for a sequence of numbers"
    registry.register(Regression)  # again is no mistake

    class Other(Regression):
        pass

    with pytest.raises(ConfigError, match="a task regression is registered already, regression:Regression"):
        registry.register(Other)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere:Nothing", "it cannot be loaded .ModuleNotFoundError: No module named 'nowhere'.; is its folder"),
        ("raises:Task", "it cannot be loaded .RuntimeError: boom"),
        ("leaves:Task", "it cannot be loaded .SystemExit: 7"),
        (".raises:Task", "expected a class at a place module:class"),
        ("regression:Nothing", "has no attribute 'Nothing'"),
        ("regression:Rows", "expected a class made from ostinato.recipes.task.Task"),
        ("ostinato.recipes.task:Task", "expected a name"),
        ("wrong:NoName", "expected a name, such as name"),
        ("wrong:NoSettings", "expected settings, a data class"),
        ("wrong:PlainSettings", "expected settings, a data class"),
        ("__main__:Mine", "move it into a module that can be imported"),
        (":", "expected a class at a place module:class"),
    ],
)
def test_a_place_where_no_task_is_is_told(place: str, said: str, within: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        registry.find(place)


def test_a_task_that_lacks_methods_is_told(within: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a task that can be made without arguments; .*abstract"):
        registry.find("wrong:Abstract").make()


def test_a_run_goes_on_under_any_name_of_its_task(package: Path, tmp_path: Path) -> None:
    def command(*words: str, names: bool) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(package)}
        if not names:  # as if the package were not installed
            bare = tmp_path / "bare"
            bare.mkdir(exist_ok=True)
            (bare / "regression.py").write_text((package / "regression.py").read_text())
            environment["PYTHONPATH"] = str(bare)
        return subprocess.run(
            [sys.executable, "-m", "ostinato", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    data = str(package / "sums.txt")
    begin = ("train", "regression:Regression", "--data", data, "--run", "run", "--training.max_steps", "2")
    assert command(*begin, names=False).returncode == 0
    for steps, name, names in ((3, "regression", True), (4, "regression:Regression", True)):
        done = command("train", name, "--run", "run", "--resume", "--training.max_steps", str(steps), names=names)
        assert done.returncode == 0, done.stderr
    shell = command("completion", "bash", names=True)
    assert shell.returncode == 0, shell.stderr
    assert "regression" in shell.stdout


def test_the_answers_of_a_language_model_are_told_in_words(tmp_path: Path) -> None:
    from ostinato.recipes.lm.task import LanguageModelling
    from ostinato.recipes.trained import Trained

    trained = Trained(LanguageModelling(), None, None, torch.nn.Linear(1, 1))  # pyright: ignore[reportArgumentType]
    for options, said in (({"max_tokens": "x"}, "max_tokens: expected"), ({"adaptation": 5}, "adaptation: expected")):
        with pytest.raises(ConfigError, match=said):
            trained.answer_with(options)


def test_of_an_error_the_smallest_is_best(within: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regression import ErrorJudge, Regression  # pyright: ignore[reportMissingImports]

    from ostinato.recipes.sweep.measure import measure_of
    from ostinato.recipes.task_report import lost
    from ostinato.recipes.task_training import train
    from ostinato.recipes.trained import Scores

    errors = iter([5.0, 3.0, 4.0, *[9.0] * 9])
    monkeypatch.setattr(Regression, "judged_by", lambda self, settings: "mean_absolute_error")
    monkeypatch.setattr(ErrorJudge, "figures", lambda self: {"mean_absolute_error": next(errors)})
    given = settings(tmp_path / "run", training={"max_steps": 3, "evaluate_every": 1})
    result = train(Regression(), given)
    assert result.outcome.counters.best == 3.0
    for ours, said in ((1.0, []), (2.0, ["the model loses to x: mean absolute error 1.5 against 2"])):
        scores = Scores("data", 1, 0.0, 1, {"mean_absolute_error": ours}, baselines={"x": {"mean_absolute_error": 1.5}})
        assert lost(Regression(), scores) == said

    class Space:
        task = "regression"

        def settings(self, values: object) -> object:
            return given

    assert measure_of(Space()).text(0.25) == "mean absolute error 0.2500"


def test_a_figure_that_is_none_is_told(within: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regression import Regression  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(Regression, "judged_by", lambda self, settings: "mae")
    with pytest.raises(
        ConfigError, match="judged_by of regression expected one of its figures, mean_absolute_error, got mae"
    ):
        recipes.train(settings(tmp_path / "run"))
