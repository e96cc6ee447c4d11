"""The device and the processes that training runs on."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch

from ostinato.errors import ConfigError
from ostinato.extras import needed
from ostinato.training.distributed.launch import is_by_torchrun, is_launched
from ostinato.training.distributed.processes import STEP, told_of_deaths
from ostinato.training.distributed.sharding import shard
from ostinato.training.run.settings import Precision
from ostinato.training.update.precision import choose_precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

StrategyName: TypeAlias = Literal["auto", "ddp", "fsdp"]


def choose_device(name: str = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1" or "mps" into a device of this machine; "auto" is CUDA if possible, else the CPU.

    Raises:
        ConfigError: there is no such device, or it is not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name}") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 0):
        raise ConfigError(f"device: {name} is not on this machine; choose auto or cpu")
    return device


def make_fabric(
    device: str = "auto",
    precision: Precision = "auto",
    *,
    devices: int = 1,
    nodes: int = 1,
    strategy: StrategyName = "auto",
) -> Fabric:
    """Make and launch Lightning Fabric, for one device or for one of several processes.

    Args:
        device: see `choose_device`; it must have no number if there are several processes.
        precision: see `choose_precision`.
        devices: the number of processes on each machine. Under torchrun and SLURM it may be left out.
        nodes: the number of machines; it may be left out likewise.
        strategy: "ddp": each process has all weights. "fsdp": each process keeps its share of the weights, of the gradients and of
            the optimiser's state, and has all weights only during a step. "auto" is "ddp".

    Raises:
        ConfigError: the device does not exist, or cannot compute in this precision; or the number of processes is not the requested
            one.
        PeerError: the other processes could not be found.
    """
    place = choose_device(device)
    chosen = choose_precision(precision, place)
    devices, nodes = _processes(devices, nodes)
    # Imported late: loading Lightning takes a second, and only training needs it.
    with needed():
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision on stderr
    if devices * nodes == 1:
        one = [place.index or 0] if place.type == "cuda" else 1
        return Fabric(accelerator=place.type, devices=one, precision=cast("_PRECISION_INPUT", chosen))
    if place.index is not None and device != "auto":
        raise ConfigError(
            f"device: {device} is one device, but there are {devices * nodes} processes; give {place.type}"
        )
    if place.type == "cuda" and devices > torch.cuda.device_count():
        raise ConfigError(f"devices: expected at most {torch.cuda.device_count()}, as many as are here, got {devices}")
    try:
        fabric = Fabric(
            accelerator=place.type,
            devices=devices,
            num_nodes=nodes,
            precision=cast("_PRECISION_INPUT", chosen),
            strategy=_strategy(strategy, devices * nodes),
            # Without this Fabric would guess the launcher, and start processes itself if it found neither of these.
            plugins=[TorchElasticEnvironment() if is_by_torchrun() else SLURMEnvironment()],
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"strategy {strategy} in {chosen}: {' '.join(str(error).split())}") from error
    with told_of_deaths(devices * nodes):
        fabric.launch()
    return fabric


def _processes(devices: int, nodes: int) -> tuple[int, int]:
    """The number of processes on each machine, and of machines, as this process was launched."""
    if not is_launched():
        if devices * nodes > 1:
            raise ConfigError(
                f"{devices * nodes} processes were asked for, but this is one alone; start them with "
                "`ostinato train ... --devices N --nodes M`, torchrun or srun"
            )
        return 1, 1
    world = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1")))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world // int(os.environ.get("SLURM_NNODES", "1"))))
    if devices * nodes > 1 and (devices, nodes) != (here, world // here):
        raise ConfigError(
            f"devices {devices} and nodes {nodes}: expected {here} and {world // here}, as these processes were launched; "
            "leave them out"
        )
    return here, world // here


def _strategy(name: StrategyName, world: int) -> Any:
    if name == "fsdp":
        with needed():
            from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

        return ModelParallelStrategy(
            shard, data_parallel_size=world, tensor_parallel_size=1, save_distributed_checkpoint=False, timeout=STEP
        )
    with needed():
        from lightning_fabric.strategies.ddp import DDPStrategy

    return DDPStrategy(gradient_as_bucket_view=True, timeout=STEP)
