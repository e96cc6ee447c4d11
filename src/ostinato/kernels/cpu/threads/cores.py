"""How many processor cores this process may use, given its affinity and the quota of its control group."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch

FEW_BYTES = 1 << 20  # what a core reads in some 50 microseconds
_GROUPS, _MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def most_threads() -> int:
    """How many threads a loop may have: torch's number, but no more than there are cores.

    At a barrier, all threads would wait for one without a core until the scheduler gives it one.
    """
    return max(1, min(torch.get_num_threads(), _affinity(), _quota()))


def threads_for(bytes_: int) -> int:
    """How many threads should copy or read so many bytes: one if they are few, as it is done before a second one could start."""
    return most_threads() if bytes_ > FEW_BYTES else 1


def _affinity() -> int:
    """The number of cores of the process' affinity, which may change at any time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _quota() -> int:
    found = quota(_GROUPS, _MOUNTED)
    return (os.cpu_count() or 1) if found is None else math.ceil(found)


def quota(groups: Path, mounted: Path) -> float | None:
    """The processor time, in cores, that the control groups of a process may use; None if there is no limit.

    Args:
        groups: the file `/proc/<pid>/cgroup` of Linux: for each hierarchy the path of the process' group.
        mounted: the folder of the hierarchies, `/sys/fs/cgroup`.
    """
    found: list[float] = []
    for folder in _folders(groups, mounted):
        try:
            if (unified := folder / "cpu.max").exists():
                time, period = unified.read_text().split()
            else:
                time, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if time != "max" and int(time) > 0 and int(period) > 0:
                found.append(int(time) / int(period))
        except (OSError, ValueError):  # another system, or a group without a limit
            continue
    return min(found, default=None)


def _folders(groups: Path, mounted: Path) -> Iterator[Path]:
    """The folders of the process' groups and of all groups above them, as each may have a limit.

    A container may see its own group as the root.
    """
    try:
        lines = groups.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "none", "")
        if controllers and "cpu" not in controllers.split(","):
            continue
        roots = [mounted / "cpu", mounted / controllers] if controllers else [mounted, mounted / "unified"]
        group = PurePosixPath(path.lstrip("/"))
        for root in roots:
            yield from (root / at for at in (group, *group.parents))
