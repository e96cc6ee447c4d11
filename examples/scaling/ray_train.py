"""Ray Train starts the processes of a run, and starts them again when one dies: `python ray_train.py reviews.csv /shared/runs/a`.

It needs `pip install 'ostinato[tasks]' 'ray[train]'`. On a cluster, the data and the folder of the run are on a file system that
all machines see. Every process calls `ostinato.train`, as it would under torchrun; Ray has told them who they are, and where the
first is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

import ostinato


def train(config: dict[str, Any]) -> None:
    """In each process: begins the run, or goes on from its last checkpoint where one before it has died."""
    settings = {name: value for name, value in config.items() if name not in ("task", "data", "run")}
    has_begun = (Path(config["run"]) / "config.yaml").exists()
    ostinato.train(config["task"], config["data"], run=config["run"], resume=has_begun, **settings)


def main(task: str, data: str, run: str, *, workers: int = 2, use_gpu: bool = False, **settings: Any) -> None:
    """Trains in `workers` processes.

    Args:
        task: as in `ostinato.train`.
        data: the file or the folder, by its whole path.
        run: the folder of the run, by its whole path.
        workers: processes, on whatever machines Ray has; `training.batch_size` must be divisible by it.
        use_gpu: whether each has a GPU.
        settings: as of `ostinato.train`.
    """
    trainer = TorchTrainer(
        train,
        train_loop_config={"task": task, "data": data, "run": run, **settings},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=3)),
    )
    trainer.fit()


if __name__ == "__main__":
    main("classify", *map(str, map(Path.absolute, map(Path, sys.argv[1:3]))))
