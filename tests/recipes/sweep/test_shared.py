"""Sweeps that several processes work on, each as if on a machine of its own."""

import collections
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

from ostinato.cli.sweep import main
from ostinato.errors import ConfigError, MissingPackageError, RunError
from ostinato.recipes.sweep import search
from ostinato.recipes.sweep.search import sweep
from ostinato.recipes.sweep.slots import AFTER, AGAIN, BEAT, WITHDRAWN, Watch, is_superfluous, lost, slots_of
from ostinato.recipes.sweep.space import parse
from ostinato.recipes.sweep.storage import Shared, open_study, reached
from tests.redis_server import redis_server

from ..reviews import rows, write

SPACE = {
    "task": "classify",
    "base": {
        "model": {"embedding_size": 4, "hidden_size": 4},
        "training": {"max_steps": 2, "batch_size": 8, "evaluate_every": 1},
        "device": "cpu",
        "precision": "32-true",
    },
    "space": {"training.learning_rate": {"log": [1e-4, 1e-1]}},
    "trials": 3,
    "pruner": "none",
}


def trial(number, state, **attrs):
    return SimpleNamespace(
        number=number, state=SimpleNamespace(name=state), user_attrs=attrs, params={}, system_attrs={}
    )


def test_a_slot_whose_process_is_gone_is_lost_until_somebody_goes_on_with_it():
    trials = [trial(0, "COMPLETE"), trial(1, "FAIL"), trial(2, "FAIL", reason="nan"), trial(3, "RUNNING")]
    assert lost(slots_of(trials)) == [1]
    trials.append(trial(4, "WAITING", **{AGAIN: 1, AFTER: 1}))
    assert lost(slots_of(trials)) == []
    trials[4] = trial(4, "FAIL", **{AGAIN: 1, AFTER: 1})
    assert lost(slots_of(trials)) == [1]


def test_of_two_that_take_the_same_place_the_first_keeps_it():
    first, second = (trial(number, "RUNNING", **{AGAIN: 1, AFTER: 1}) for number in (2, 3))
    trials = [trial(0, "COMPLETE"), trial(1, "FAIL"), first, second]
    assert not is_superfluous(trials, 2, 9)
    assert is_superfluous(trials, 3, 9)
    trials = [trial(0, "COMPLETE"), trial(1, "RUNNING"), trial(2, "RUNNING"), trial(3, "RUNNING")]
    assert [is_superfluous(trials, mine, 3) for mine in (1, 2, 3)] == [False, False, True]
    trials[1] = trial(1, "FAIL", **{WITHDRAWN: True})
    assert not is_superfluous(trials, 3, 3)


def test_only_who_is_silent_for_long_counts_as_dead(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = Watch(10.0)
    for second in range(0, 40, 5):
        now[0] = float(second)
        dead = watch.dead([trial(0, "RUNNING", **{BEAT: second}), trial(1, "RUNNING"), trial(2, "COMPLETE")])
        assert [each.number for each in dead] == ([1] if second > 10 else [])


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    """Of a database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'sweeps.db'}"
        return
    with redis_server(tmp_path) as address:
        yield address


# Says when it trains, and waits then, to be killed in the middle.
PROGRAM = """
import sys, time
from ostinato.cli.main import main
from ostinato.recipes import task_training

train = task_training.train

def slow(task, settings, **how):
    on_evaluation = how.pop("on_evaluation")

    def evaluated(step, loss):
        print("trains", settings.run, flush=True)
        time.sleep(float(sys.argv[1]))
        return on_evaluation(step, loss)

    return train(task, settings, on_evaluation=evaluated, **how)

task_training.train = slow
sys.exit(main(sys.argv[2:]))
"""


def start(place, url, folder, *, wait, lease=4):
    words = ["sweep", str(place / "space.yaml"), "--folder", str(place / folder), "--study", "s"]
    command = [sys.executable, "-c", PROGRAM, str(wait), *words, "--storage", url, "--lease", str(lease)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_two_share_the_trials_and_one_goes_on_with_what_the_other_has_left(url, tmp_path):
    space = {**SPACE, "base": {**SPACE["base"], "data": write(tmp_path / "reviews.csv", rows(60))}}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    killed, other = start(tmp_path, url, "first", wait=30.0), start(tmp_path, url, "second", wait=0.1)
    assert killed.stdout.readline().startswith("trains"), killed.stderr.read()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    out, error = other.communicate(timeout=120)
    assert (other.returncode, error) == (0, ""), error
    study = open_study(parse(space), tmp_path, Shared(url, "s"))
    found = slots_of(study.get_trials(deepcopy=False))
    states = [collections.Counter(each.state.name for each in trials) for trials in found.values()]
    assert [state["COMPLETE"] for state in states] == [1] * 3
    assert sum(state["FAIL"] for state in states) == 1  # the one that was killed
    rates = [trials[-1].params["training.learning_rate"] for trials in found.values()]
    assert len(set(rates)) == 3
    (gone,) = [trials for trials in found.values() if len(trials) == 2]
    assert gone[0].params == gone[1].params
    assert "the best of 3 trials" in out
    with pytest.raises(RunError, match="has a sweep called s over another space"):
        sweep(parse({**space, "seed": 3}), tmp_path / "new", shared=Shared(url, "s"))
    assert study.user_attrs["space"]["seed"] == 0


def test_one_that_is_stopped_loses_its_trial_and_the_folder_of_it_to_another(tmp_path):
    (tmp_path / "poem.txt").write_text("Tyger Tyger, burning bright,\n" * 60)
    training = {**SPACE["base"]["training"], "chunk_length": 8}
    base = {**SPACE["base"], "training": training, "data": str(tmp_path / "poem.txt")}
    space = {**SPACE, "task": "lm", "trials": 2, "base": base}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    # A long lease: it beats seldom, so that it is not stopped while it holds the lock of the database.
    with start(tmp_path, url, "both", wait=1.0, lease=600) as stopped:
        run = stopped.stdout.readline().removeprefix("trains ").strip()
        assert run, stopped.stderr.read()
        stopped.send_signal(signal.SIGSTOP)
        try:
            said = []
            shared = Shared(url, "s", 1.0)
            assert sweep(parse(space), tmp_path / "both", shared=shared, say=said.append) == "done"
            assert [line.partition(":")[0] for line in said] == ["trial 1 of 2", "trial 0 of 2"]
            model = os.stat(f"{run}/model.safetensors")
        finally:
            stopped.send_signal(signal.SIGCONT)
        out, error = stopped.communicate(timeout=120)
    assert (stopped.returncode, error) == (0, "")
    assert "trial 0 of 2: was silent for too long, and another process has taken it up" in out
    assert "the best of 2 trials" in out
    assert os.path.samestat(os.stat(f"{run}/model.safetensors"), model)  # what the other wrote
    found = slots_of(open_study(parse(space), tmp_path, Shared(url, "s")).get_trials(deepcopy=False))
    assert [[each.state.name for each in trials] for trials in found.values()] == [
        ["FAIL", "COMPLETE"],
        ["COMPLETE"],
    ]
    first, second = found[0]
    assert first.params == second.params
    # It has gone on from the checkpoint of the stopped one, which has written nothing more.
    lines = map(json.loads, (tmp_path / "both" / "trial-000" / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "validation_loss" in line] == [1, 2]


def test_after_an_interrupt_the_same_command_goes_on_with_what_a_database_has(tmp_path, monkeypatch, capsys):
    folder, url = tmp_path / "sweep", f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    monkeypatch.setattr(search, "run_trials", lambda trials, say: "interrupted")
    command = [str(tmp_path / "space.yaml"), "--folder", str(folder)]
    for _ in range(2):
        assert main([*command, "--storage", url]) == 130
        assert capsys.readouterr().out == "interrupted; go on with the same command\n"
    assert main(["--folder", str(folder), "--resume"]) == 130  # no trial has begun: nothing is lost
    assert capsys.readouterr().out == f"interrupted; go on with: ostinato sweep --folder {folder} --resume\n"
    (folder / "journal.log").unlink()
    (folder / "trial-000").mkdir()
    with pytest.raises(RunError, match="holds trials of a sweep whose record is in a database; give its --storage as"):
        main(["--folder", str(folder), "--resume"])
    assert not (folder / "journal.log").exists()
    assert main([*command, "--storage", url]) == 130


def test_what_is_wrong_with_a_database_is_told_in_a_line(tmp_path):
    with pytest.raises(ConfigError, match="--storage: expected an address, such as redis://host"):
        Shared("redis", "s")
    with pytest.raises(ConfigError, match="--lease: expected seconds above 0, got 0"):
        Shared("redis://host", "s", 0)
    space = parse(SPACE)
    for url in ("redis://:secret@127.0.0.1:1/0", f"sqlite:///{tmp_path}/no/folder.db"):
        with pytest.raises(RunError, match=r"--storage .*: cannot be reached \(.*\); check the address") as error:
            open_study(space, tmp_path, Shared(url, "s"))
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("as_optuna", [False, True])
def test_what_speaks_with_a_database_and_is_not_there_is_named(as_optuna):
    error = missing = ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
    if as_optuna:
        error = ImportError("Failed to import DB access module")
        error.__cause__ = missing
    words = "--storage postgresql: needs the package psycopg"
    with pytest.raises(MissingPackageError, match=words), reached(Shared("postgresql://u:secret@host/db", "a")):
        raise error
