"""Ray itself: one for all tests, whose workers are processes."""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from ostinato.cli.main import main
from ostinato.recipes import open_run
from ostinato.recipes.engines.crew import Team
from ostinato.recipes.engines.on_ray import RayCrew, ray_at
from ostinato.recipes.engines.predicting import predict_in_parts
from ostinato.recipes.engines.work import Work, Worker
from tests.releases.make import HERE

RUN = HERE / "0_2_0" / "classify_texts"
DATA = str(RUN / "data.csv")


@pytest.fixture(scope="module")
def ray():
    with warnings.catch_warnings():
        # Ray leaves the files of its own processes' logs open, and means to change a default.
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        with ray_at(None, 2) as found:
            yield found


class DiesOnce(Worker):
    """Its process is killed in the middle of the third piece, the first time that anybody has that."""

    def _written(self, trained, piece, part, examples, rows):
        mark = Path(self.work.output).with_suffix(".killed")
        if piece.number == 2 and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._written(trained, piece, part, examples, rows)


def test_a_worker_that_is_killed_is_replaced_and_every_row_is_there_once(ray, tmp_path):
    crew = RayCrew(ray, 2, "cpu")
    assert crew.workers == 2
    said = []
    work = Work(str(RUN), DATA, device="cpu", threads=1, output=str(tmp_path / "out"))

    def team(work):
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not import tests
        return Team(crew.told(DiesOnce, work), crew.workers, said.append)

    trained = open_run(RUN)
    found = predict_in_parts(work, team, trained, rows=10, on_part=lambda done, size: None)
    assert (found.parts, found.rows) == (8, 80)
    assert (tmp_path / "out.killed").exists()
    assert len(said) == 1
    lines = [line for part in sorted((tmp_path / "out").glob("part-*")) for line in part.read_text().splitlines()]
    expected = trained.predict(data=DATA)
    assert [json.loads(line)["text"] for line in lines] == [answer["text"] for answer in expected]
    for line, answer in zip(lines, expected, strict=True):
        assert json.loads(line)["probability"] == pytest.approx(answer["probability"], rel=1e-5)


@pytest.mark.usefixtures("ray")
def test_the_command_writes_one_file_in_order_and_measures_what_one_process_measures(tmp_path, capsys):
    assert main(["predict", str(RUN), DATA, "--output", str(tmp_path / "one.jsonl"), "--device", "cpu"]) == 0
    words = ["--engine", "ray", "--workers", "2", "--device", "cpu"]
    many = ["predict", str(RUN), DATA, "--output", str(tmp_path / "many.jsonl"), "--ordered", *words]
    assert main(many) == 0
    assert (tmp_path / "many.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert main(["evaluate", str(RUN), DATA, "--output", str(tmp_path / "one.json")]) == 0
    assert main(["evaluate", str(RUN), DATA, "--output", str(tmp_path / "many.json"), *words]) == 0
    assert (tmp_path / "many.json").read_bytes() == (tmp_path / "one.json").read_bytes()
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("ray")
def test_trials_run_on_workers(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(Path(DATA).read_text())
    base = "{data: data.csv, model: {hidden_size: 4, embedding_size: 4}, training: {max_steps: 2}, device: cpu}"
    Path("space.yaml").write_text(
        f"task: classify\nbase: {base}\nspace: {{training.learning_rate: {{log: [1e-3, 1e-1]}}}}\ntrials: 3\n"
    )
    assert main(["sweep", "space.yaml", "--folder", "found", "--engine", "ray", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert sorted(line.partition(" of 3: ")[0] for line in said.splitlines() if " of 3: " in line) == [
        "trial 0",
        "trial 1",
        "trial 2",
    ]
    assert "the best of 3 trials" in said


class Cluster:
    """What Ray says of machines with so many cores and GPUs."""

    def __init__(self, *machines):
        self._machines = machines

    def cluster_resources(self):
        return {name: sum(each[at] for each in self._machines) for at, name in enumerate(("CPU", "GPU"))}

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in self._machines]


@pytest.mark.parametrize("device", ["auto", "cpu"])
@pytest.mark.parametrize("wanted", [None, 1, 2, 3, 5, 8, 50])
@pytest.mark.parametrize(
    "machines", [((4, 0),), ((4, 0), (2, 0)), ((8, 2), (32, 0)), ((3, 2), (16, 1)), ((5, 0), (5, 0), (5, 0)), ((1, 4),)]
)
def test_there_is_room_for_every_worker(machines, wanted, device):
    crew = RayCrew(Cluster(*machines), wanted, device)
    cpus, gpus = crew._share["num_cpus"], crew._share["num_gpus"]
    rooms = [min(has // cpus, int(its / gpus + 1e-9) if gpus else has) for has, its in machines]
    assert 1 <= crew.workers <= sum(rooms)
    assert wanted is None or crew.workers <= wanted
    total = sum(has for has, its in machines if its or not gpus)
    assert wanted is None or crew.workers == min(wanted, total) or gpus


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "2"], "--workers belongs to --engine"),
        (["--ordered"], "--ordered belongs to --engine"),
        (["--engine", "ray"], "--engine: expected --output FOLDER for its partitions"),
        (["--engine", "ray", "--workers", "0"], "--workers: expected an integer of at least 1, got 0"),
        (
            ["--engine", "ray", "--output", "x.csv"],
            "--output x.csv: with --engine, expected a name that ends in .jsonl",
        ),
        (["--engine", "horse"], "engine: expected one of"),
        (
            ["--engine", "ray", "--output", "x", "--part_rows", "0"],
            "--part_rows: expected an integer of at least 1, got 0",
        ),
    ],
)
def test_a_slip_of_the_pen_is_one_line(capsys, words, says):
    assert main(["predict", str(RUN), DATA, *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_cluster_that_is_not_there_is_told_of_at_once():
    code = (
        "from ostinato.recipes.engines.on_ray import ray_at\n"
        "from ostinato.errors import ConfigError\n"
        "try:\n    ray_at('127.0.0.1:1', None).__enter__()\nexcept ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("--address 127.0.0.1:1: no cluster of Ray answers there (Connection refused)")


def test_a_machine_on_which_ray_does_not_start_is_told_in_a_line(monkeypatch, capsys, tmp_path):
    def init(address, **how):
        (Path(how["_temp_dir"]) / "log").touch()
        folders.append(Path(how["_temp_dir"]))
        raise Exception("The node timed\n out.")  # the class that Ray raises

    folders, ended = [], []
    fake = SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: ended.append(True))
    monkeypatch.setitem(sys.modules, "ray", fake)
    assert main(["predict", str(RUN), DATA, "--engine", "ray", "--output", str(tmp_path / "answers")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ostinato: --engine ray: Ray cannot be started on this machine (The node timed out.); give")
    assert error.count("\n") == 1
    assert ended == [True]
    assert not folders[0].exists()


def test_ray_is_not_loaded_unless_it_is_asked_for():
    code = "import sys, ostinato.cli.predict, ostinato.recipes.engines.predicting; print('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
