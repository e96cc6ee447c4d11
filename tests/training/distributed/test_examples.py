"""The examples of running elsewhere are what the commands take."""

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import yaml

from ostinato.cli.train import parser
from ostinato.training import RunFolder
from ostinato.training.distributed.plan import plan
from tests.training.distributed.test_elastic import SHORT
from tests.training.distributed.test_processes import SETTINGS, TEXT, lines

EXAMPLES = Path(__file__).parents[3] / "examples" / "scaling"


def test_the_manifest_starts_what_the_command_takes(monkeypatch):
    job = yaml.safe_load((EXAMPLES / "pytorchjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    policy, (kind, worker) = job["spec"]["elasticPolicy"], *job["spec"]["pytorchReplicaSpecs"].items()
    assert kind == "Worker"  # an elastic job has no master
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"
    assert container["command"][:2] == ["ostinato", "train"]
    task, *words = container["command"][2:]
    given = parser(task).read(words)
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PET_RDZV_ENDPOINT", f"{job['metadata']['name']}-worker-0:23456")  # as the operator does
    planned = plan(given.devices, given.nodes, given.elastic, given.max_restarts)
    planned.check_rows(given.training.batch_size)
    assert (planned.least, planned.most) == (policy["minReplicas"], policy["maxReplicas"])
    assert worker["replicas"] == policy["maxReplicas"]
    assert planned.place == "reviews-worker-0:23456"
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert mount["name"] == volume["name"]
    assert all(path.startswith(mount["mountPath"] + "/") for path in (given.data, given.run))
    assert container["resources"]["limits"]["nvidia.com/gpu"] == given.devices


class TorchTrainer:
    """Calls what Ray calls in each process, in this one."""

    def __init__(self, loop, *, train_loop_config, scaling_config, run_config):
        self.call = lambda: loop(train_loop_config)
        assert scaling_config.num_workers == 1
        assert run_config.failure_config.max_failures > 0

    def fit(self):
        self.call()


def test_rays_processes_begin_a_run_and_go_on_with_it(monkeypatch, tmp_path):
    ray, train, torch = ModuleType("ray"), ModuleType("ray.train"), ModuleType("ray.train.torch")
    for name in ("FailureConfig", "RunConfig", "ScalingConfig"):
        setattr(train, name, SimpleNamespace)
    torch.TorchTrainer = TorchTrainer
    for module in (ray, train, torch):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    main = runpy.run_path(str(EXAMPLES / "ray_train.py"))["main"]
    (tmp_path / "text.txt").write_text(TEXT)
    settings = {**SETTINGS, **SHORT, "quiet": True}
    run = RunFolder(tmp_path / "run")
    main("lm", str(tmp_path / "text.txt"), str(run), workers=1, **settings)
    expected = [line.get("loss") for line in lines(run.path)]
    (run.state_folder / "step-000000020.json").unlink()
    main("lm", str(tmp_path / "text.txt"), str(run), workers=1, **settings)
    assert [line.get("loss") for line in lines(run.path)] == expected
