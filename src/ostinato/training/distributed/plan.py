"""Which processes to start on this machine, and where to find those of other machines. torch is not loaded here."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from ostinato.errors import ConfigError


@dataclass(frozen=True)
class Plan:
    """The processes to start.

    Args:
        devices: the number of processes on this machine.
        least: the least number of machines.
        most: the greatest number of machines.
        max_restarts: how often the processes of this machine may be started again.
        is_elastic: whether they are started again at all.
        place: the address where the agents of several machines meet, "HOST:PORT"; None for a single machine.
        node: the number of this machine; required on every machine if the run is not elastic.
    """

    devices: int
    least: int = 1
    most: int = 1
    max_restarts: int = 0
    is_elastic: bool = False
    place: str | None = None
    node: int | None = None

    def check_rows(self, rows: int) -> None:
        """Check that the rows of a batch can be shared evenly among the processes of every possible number of machines.

        Raises:
            ConfigError: they cannot.
        """
        for each in range(self.least, self.most + 1):
            if self.is_elastic and rows % (each * self.devices):
                least = math.lcm(*(count * self.devices for count in range(self.least, self.most + 1)))
                raise ConfigError(
                    f"training.batch_size: expected rows that the {each * self.devices} processes of {each} machines can "
                    f"share evenly, got {rows}; take {least}, or fewer machines"
                )


def plan(devices: int, nodes: int = 1, elastic: str | None = None, max_restarts: int = 3) -> Plan:
    """Make the plan for this machine from the settings of the same names.

    Raises:
        ConfigError: the environment does not say how to find the other machines.
    """
    place, node = _place(), _node()
    if elastic is not None:
        least, most = machines(elastic)
        if place is None and least > 1:
            raise ConfigError(
                f"--elastic {elastic}: expected MASTER_ADDR and MASTER_PORT in the environment, where {least} machines "
                "meet; set them on each, or let one machine be enough"
            )
        return Plan(devices, least, most if place else 1, max_restarts, True, place, node)
    if nodes == 1:
        return Plan(devices)
    given = {"MASTER_ADDR": place, "MASTER_PORT": place, "NODE_RANK": node}
    missing = [name for name, value in given.items() if value is None and name not in os.environ]
    if missing:
        raise ConfigError(
            f"--nodes {nodes}: expected {', '.join(missing)} in the environment, to find the other machines; "
            "set it on each machine, or start the command with torchrun or srun"
        )
    if node is None or node >= nodes:
        raise ConfigError(f"NODE_RANK: expected a number from 0 to {nodes - 1}, got {os.environ.get('NODE_RANK')}")
    return Plan(devices, nodes, nodes, place=place, node=node)


def machines(elastic: str) -> tuple[int, int]:
    """The least and the largest number of machines that `--elastic` asks for.

    Raises:
        ConfigError: the text is not such a range.
    """
    least, colon, most = elastic.partition(":")
    most = most if colon else least
    if not (least.isdecimal() and most.isdecimal() and 1 <= int(least) <= int(most)):
        raise ConfigError(f"elastic: expected machines as MIN:MAX, such as 1:4, got {elastic}")
    return int(least), int(most)


def _place() -> str | None:
    """The address where the agents meet, from MASTER_ADDR and MASTER_PORT, or from Kubeflow's variable."""
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    return f"{host}:{port}" if host and port else os.environ.get("PET_RDZV_ENDPOINT") or None


def _node() -> int | None:
    node = os.environ.get("NODE_RANK", "")
    return int(node) if node.isdecimal() else None
