import dataclasses
import subprocess
import sys

import pytest
import yaml

from ostinato.errors import ConfigError, RunError
from ostinato.recipes.registry import TASKS, find, task_of
from ostinato.recipes.settings import RunSettings


@pytest.mark.parametrize("name", TASKS)
def test_settings_say_their_task_and_come_back_from_a_dictionary(name):
    kind = find(name).settings_class()
    assert issubclass(kind, RunSettings)
    assert kind().task == name
    assert kind.from_dict(yaml.safe_load(yaml.safe_dump(dataclasses.asdict(kind())))) == kind()
    if find(name).task is not None:
        task = find(name).make()
        assert (task.name, task.settings) == (name, kind)


def test_the_list_and_the_settings_need_no_torch():
    code = "; ".join(
        [
            "import sys",
            "from ostinato.recipes.registry import TASKS",
            "[entry.settings_class() for entry in TASKS.values()]",
            "print('torch' in sys.modules)",
        ]
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_name_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(ConfigError, match="unknown task clasify; did you mean classify\\? Expected one of lm, "):
        find("clasify")


def test_a_run_without_a_task_is_a_language_model(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    assert task_of(tmp_path) == "lm"
    (tmp_path / "config.yaml").write_text("task: classify\n")
    assert task_of(tmp_path) == "classify"
    with pytest.raises(RunError, match="no run folder at"):
        task_of(tmp_path / "nothing")
