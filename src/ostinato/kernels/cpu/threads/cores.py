"""How many processor cores there are for this process: what its affinity, and the quota of its control group, leave of them."""

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
    """How many threads a loop may have: torch's, and no more than there are cores.

    Threads that meet, of which one is on no core, all wait for it until the scheduler comes round.
    """
    return max(1, min(torch.get_num_threads(), _affinity(), _quota()))


def threads_for(bytes_: int) -> int:
    """How many threads move so many bytes, one after the other: few are moved before a second thread has come."""
    return most_threads() if bytes_ > FEW_BYTES else 1


def _affinity() -> int:
    """May change at any time."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _quota() -> int:
    found = quota(_GROUPS, _MOUNTED)
    return (os.cpu_count() or 1) if found is None else math.ceil(found)


def quota(groups: Path, mounted: Path) -> float | None:
    """How many cores' time the control groups of a process may use, or None where they may use all.

    Args:
        groups: what Linux calls `/proc/<pid>/cgroup`: for each hierarchy the path of the process' group.
        mounted: where the hierarchies are, `/sys/fs/cgroup`.
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
    """Of the process' groups and all above them, as each may have a limit. A container may see its own group as the root."""
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
