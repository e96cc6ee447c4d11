"""Runs of several processes, as a user starts them, against one process that has the whole batch."""

import ast
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ostinato.cli.main import main
from ostinato.errors import ConfigError, RunError
from ostinato.training import RunFolder
from ostinato.training.distributed.agreement import Agreement
from ostinato.training.distributed.device import make_fabric
from ostinato.training.distributed.processes import Processes, told_of_deaths

TEXT = "".join(f"{a} times {b} is {a * b}, " for a in range(2, 40) for b in range(2, 20))
OSTINATO = [sys.executable, "-m", "ostinato.cli.main"]
# Plain gradient descent, clipped, k2 > k1: what one process does differently from two shows in the next losses.
SETTINGS = {
    "precision": "32-true",
    "device": "cpu",
    "training.max_steps": 60,
    "training.batch_size": 8,
    "training.chunk_length": 8,
    "training.backprop_length": 11,
    "training.optimizer": "sgd",
    "training.momentum": 0,
    "training.learning_rate": 0.5,
    "training.schedule": "constant",
    "training.clip_norm": 0.3,
    "training.log_every": 1,
    "training.evaluate_every": 30,
    "model.hidden_size": 12,
    "model.embedding_size": 8,
    "baselines.markov_orders": 0,
    "baselines.window": 0,
}


def words(folder: Path, run: str, **settings):
    (folder / "text.txt").write_text(TEXT)
    flags = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    return ["train", "lm", "--data", str(folder / "text.txt"), "--run", str(folder / run), "--quiet", *flags]


def begin(command, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more)


def run(command):
    process = begin(command)
    out, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    return out, errors


def lines(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_losses(found: Path, expected: Path, tolerance=1e-6):
    left, right = lines(found), lines(expected)
    assert [line["step"] for line in left] == [line["step"] for line in right]
    for a, b in zip(left, right, strict=True):
        for name in {"loss", "validation_loss", "gradient_norm", "epoch"} & set(b):
            assert a[name] == pytest.approx(b[name], abs=tolerance), (a["step"], name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(folder, "one")) == 0
    return folder / "one"


def test_two_processes_have_the_losses_of_one(whole, tmp_path):
    out, errors = run([*OSTINATO, *words(tmp_path, "two"), "--devices=2"])
    assert out.splitlines() == [str(tmp_path / "two")]
    assert errors == ""
    assert len(lines(tmp_path / "two")) == 62
    assert_same_losses(tmp_path / "two", whole)
    two, one = (RunFolder(path).checkpoints.read() for path in (tmp_path / "two", whole))
    assert [t.shape for t in two.state["data"]["state"]] == [t.shape for t in one.state["data"]["state"]]
    torch.testing.assert_close(two.state["data"], one.state["data"])
    # What two have begun, one goes on with.
    assert main([*words(tmp_path, "two", **{"training.max_steps": 80}), "--resume"]) == 0
    assert main(["train", "lm", "--run", str(whole), "--resume", "--quiet", "--training.max_steps=80"]) == 0
    assert_same_losses(tmp_path / "two", whole)


def test_four_processes_of_torchrun_have_the_losses_of_one(tmp_path):
    settings = {
        "precision": "64-true",
        "training.accumulate": 2,
        "training.max_steps": 20,
        "tokens.reset_at_documents": True,
    }
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=4",
        "--no-python",
        "--",
    ]
    run([*torchrun, *OSTINATO, *words(tmp_path, "four", **settings)])
    assert main(words(tmp_path, "one", **settings)) == 0
    assert_same_losses(tmp_path / "four", tmp_path / "one")


def test_weights_in_shares_come_from_whole_ones_and_become_whole_again(tmp_path):
    """One process, then two with FSDP, then one, against one process all the way; with momenta and averages of the weights."""
    settings = {
        "training.optimizer": "adam",
        "training.learning_rate": 0.01,
        "training.averaging": "ema",
        "training.warmup": 0,
        "training.evaluate_every": 10,
    }

    def until(name, steps, *more):
        return [*words(tmp_path, name, **settings, **{"training.max_steps": steps}), *more]

    assert main(until("parts", 10)) == 0
    run([*OSTINATO, *until("parts", 20, "--resume"), "--devices=2", "--strategy=fsdp"])
    parts = RunFolder(tmp_path / "parts")
    shapes = {name: tensor.shape for name, tensor in parts.read_model().items()}
    assert parts.checkpoints.read().state["model"].keys() == shapes.keys()
    assert main(until("parts", 30, "--resume", "--strategy=auto")) == 0
    assert main(until("one", 30)) == 0
    one = RunFolder(tmp_path / "one")
    assert shapes == {name: tensor.shape for name, tensor in one.read_model().items()}
    assert_same_losses(parts.path, one.path, 1e-5)
    torch.testing.assert_close(parts.read_model(), one.read_model(), atol=1e-4, rtol=1e-4)
    for name in ("model", "optimizer", "averaging", "data"):
        states = [each.checkpoints.read().state[name] for each in (parts, one)]
        torch.testing.assert_close(*states, atol=1e-4, rtol=1e-4)


def test_with_dropout_two_processes_go_on_bit_for_bit(tmp_path):
    """Each draws its own masks; going on from the checkpoint in the middle, both draw the same again."""
    settings = {
        "model.dropout": 0.4,
        "training.optimizer": "adamw",
        "training.max_steps": 20,
        "training.checkpoint_every": 10,
        "training.evaluate_every": 20,
    }
    command = [*OSTINATO, *words(tmp_path, "run", **settings), "--devices=2"]
    run(command)
    folder = RunFolder(tmp_path / "run")
    expected, losses = folder.model_file.read_bytes(), [line.get("loss") for line in lines(folder.path)]
    generators = folder.checkpoints.read().state["generators"]
    assert not torch.equal(generators[0]["cpu"], generators[1]["cpu"])
    (folder.state_folder / "step-000000020.json").unlink()
    folder.model_file.unlink()
    run([*command, "--resume"])
    assert folder.model_file.read_bytes() == expected
    assert [line.get("loss") for line in lines(folder.path)] == losses


def workers_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(map(int, children))


def wait_for_checkpoint(process, folder: Path, step: int = 1):
    for _ in range(2400):
        if max(RunFolder(folder).checkpoints.steps(), default=0) >= step:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("no checkpoint after 120 s")


ENDLESS = {
    "training.max_steps": 100_000,
    "training.evaluate_every": 100,
    "training.checkpoint_every": 20,
    "training.log_every": 1000,
}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_all_with_one_line_and_a_checkpoint(tmp_path, victim):
    process = begin([*OSTINATO, *words(tmp_path, "run", **ENDLESS), "--devices=2"])
    wait_for_checkpoint(process, tmp_path / "run")
    workers = workers_of(process)
    killed_at = time.monotonic()
    os.kill(workers[victim], signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - killed_at < 30
    assert process.returncode == 2
    (line,) = errors.splitlines()
    assert f"process {victim} of 2 was killed by SIGKILL" in line
    assert "--resume" in line
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    checkpoint = RunFolder(tmp_path / "run").checkpoints.read()
    steps = {"training.max_steps": checkpoint.step + 1}
    assert main([*words(tmp_path, "run", **{**ENDLESS, **steps}), "--resume"]) == 0
    assert RunFolder(tmp_path / "run").checkpoints.read().step == checkpoint.step + 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
def test_an_interrupt_stops_all_after_the_same_step(tmp_path):
    process = begin([*OSTINATO, *words(tmp_path, "run", **ENDLESS), "--devices=2"])
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    step = RunFolder(tmp_path / "run").checkpoints.read().step
    assert f"interrupted at step {step}; go on with: ostinato train lm --run" in out
    assert out.rstrip().endswith("--resume --devices 2")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
def test_workers_save_and_stop_when_their_watcher_is_killed(tmp_path):
    process = begin([*OSTINATO, *words(tmp_path, "run", **ENDLESS), "--devices=2"])
    wait_for_checkpoint(process, tmp_path / "run")
    workers = workers_of(process)
    process.kill()
    out, _ = process.communicate(timeout=30)  # which the first worker has inherited, so it has ended, too
    assert f"interrupted at step {RunFolder(tmp_path / 'run').checkpoints.read().step}" in out
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            return
        time.sleep(0.05)
    raise AssertionError("a worker lives on")


NAN_IN_THE_ROWS_OF_ONE = """
import sys, numpy as np, torch
from ostinato.data import Streams, Tokens
from ostinato.errors import OstinatoError
from ostinato.training import Processes, Progress, RunFolder, TrainingSettings, fit, make_fabric

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(1, 1)

    def loss(self, chunk, state=None):
        return self.inner((chunk.input / (chunk.input != 95)).float()[..., None]).square().mean(), None

processes = Processes(make_fabric("cpu", "32-true"))
tokens = Tokens(np.arange(101, dtype=np.uint8), np.zeros(1, np.int64), 101, 1)
streams = Streams(tokens, 4, 5).share(processes.rank, processes.world)
run = RunFolder(sys.argv[1])
processes.first(lambda: run.create({}))
try:
    settings = TrainingSettings(max_steps=9, learning_rate=1e-6, evaluate_every=100)
    fit(Model(), streams, lambda: iter([]), run=run, settings=settings, processes=processes, progress=Progress(quiet=True))
except OstinatoError as error:
    print(processes.texts(str(error)) if processes.is_first else processes.texts(str(error))[:0])
"""


def test_a_loss_that_is_not_finite_in_the_rows_of_one_is_told_by_all(tmp_path):
    (tmp_path / "script.py").write_text(NAN_IN_THE_ROWS_OF_ONE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    out, _ = run([*torchrun, str(tmp_path / "script.py"), str(tmp_path / "run")])
    first, second = ast.literal_eval(out.replace("[]", "").strip())
    assert first == second
    assert "the loss became inf at step 5 " in first
    assert "The first not finite: going forward, the output of inner (Linear)" in first
    assert RunFolder(tmp_path / "run").checkpoints.read().step == 4


def test_rows_that_cannot_be_shared_are_told_once(tmp_path):
    process = begin([*OSTINATO, *words(tmp_path, "run", **{"training.batch_size": 7}), "--devices=2"])
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 2
    (line,) = errors.splitlines()
    assert "2 processes can share evenly, got 7; take 6 or 8" in line
    assert not (tmp_path / "run" / "config.yaml").exists()


# --- one process ---


@pytest.fixture(scope="module")
def alone():
    return Processes(make_fabric("cpu", "32-true"))


def test_one_process_is_all_of_them(alone):
    tree = {"h": torch.ones(1, 2, 3)}
    assert (alone.rank, alone.world, alone.is_first) == (0, 1, True)
    assert alone.first(lambda: {"a": 1}) == {"a": 1}
    assert alone.total([1.0, 2.5]) == [1.0, 2.5]
    assert alone.gather(tree) == [tree]
    assert alone.join_rows(tree, 1, 2) is tree
    torch.testing.assert_close(alone.split_rows(tree, 1, 2), tree)
    state = torch.get_rng_state()
    alone.seed_apart()
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_are_split_by_rank_and_what_has_none_stays(alone):
    tree = {"h": torch.arange(12).view(1, 6, 2), "scale": torch.ones(3), "steps": 4}
    for rank in range(3):
        process = object.__new__(Processes)
        process.rank, process.world = rank, 3
        split = process.split_rows(tree, 1, 2)
        assert torch.equal(split["h"], tree["h"][:, 2 * rank : 2 * rank + 2])
        assert torch.equal(split["scale"], tree["scale"])
        assert split["steps"] == 4


def test_every_process_draws_other_numbers_and_the_same_ones_each_time():
    def numbers(rank):
        process = object.__new__(Processes)
        process.rank = rank
        torch.manual_seed(5)
        process.seed_apart()
        return tuple(torch.rand(3).tolist())

    assert len({numbers(rank) for rank in range(4)}) == 4
    assert numbers(2) == numbers(2)


def test_an_agreement_of_one_is_what_it_wants(alone):
    wishes = []
    agreement = Agreement(alone, lambda: True)
    agreement.is_stop_wanted = lambda: bool(wishes)
    assert (agreement.stops_in_between(), agreement.shows()) == (False, True)
    wishes.append("stop")
    assert agreement.stops()
    assert agreement.stops_in_between()
    assert agreement.now_s() <= agreement.now_s()


def test_an_agreement_is_renewed_by_the_message_that_has_the_losses():
    class Two:
        world, is_first, sent = 2, True, []

        def total(self, values):
            self.sent.append(len(values))
            return [2.0 * value for value in values]

    agreement = Agreement(Two())
    assert Two.sent == [3]
    agreement.is_stop_wanted = lambda: True
    assert not agreement.stops()
    assert agreement.total([5.0, 6.0]) == [10.0, 12.0]
    assert agreement.stops()
    agreement.keep_up()  # known by that message already
    assert Two.sent == [3, 5]
    agreement.keep_up()
    agreement.total([])
    agreement.renew()  # asks in any case, as after a long evaluation
    assert Two.sent == [3, 5, 3, 3, 3]


@pytest.mark.parametrize(("batch_s", "most_s"), [(0.001, 0.016), (0.1, 1.6), (0.3, 2.4), (1.5, 1.5), (60.0, 60.0)])
def test_several_hear_of_a_wish_to_stop_about_once_a_second_and_ask_after_equally_many_batches(
    monkeypatch, batch_s, most_s
):
    clock, asked = [0.0], {True: [], False: []}
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    class One:
        """The clock of the second process is another, and counts for nothing."""

        def __init__(self, is_first):
            self.world, self.is_first = 2, is_first

        def total(self, values):
            asked[self.is_first].append(clock[0])
            return [clock[0], *values[1:]]

    first, second = (Agreement(One(is_first)) for is_first in (True, False))
    for _ in range(200):
        clock[0] += batch_s
        first.stops_in_between()
        second.stops_in_between()
    assert asked[True] == asked[False]
    apart = [after - before for before, after in itertools.pairwise(asked[True])]
    assert max(apart) <= most_s + 1e-6
    assert len(apart) >= 12
    if batch_s < 0.01:
        assert len(apart) < 20


def test_only_errors_of_the_network_are_taken_for_a_death():
    with pytest.raises(RunError, match="another process of this run is gone"), told_of_deaths(2):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234")
    with pytest.raises(RuntimeError, match="mat1 and mat2"), told_of_deaths(2):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="gloo"), told_of_deaths(1):
        raise RuntimeError("gloo")


def test_as_many_processes_as_were_asked_for_must_be_there(monkeypatch):
    with pytest.raises(ConfigError, match="4 processes were asked for, but this is one alone"):
        make_fabric("cpu", "32-true", devices=2, nodes=2)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="devices 4 and nodes 1: expected 2 and 2, as these processes were launched"):
        make_fabric("cpu", "32-true", devices=4)
