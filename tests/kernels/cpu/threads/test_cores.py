"""How many cores there are, read from files as Linux writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from ostinato.kernels.cpu.threads import cores
from ostinato.kernels.cpu.threads.cores import most_threads, quota


def written(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root / "cgroup", root / "mounted"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cgroup": "0::/\n", "mounted/cpu.max": "150000 100000\n"}, 1.5),
        ({"cgroup": "0::/\n", "mounted/cpu.max": "max 100000\n"}, None),
        ({"cgroup": "0::/a/b\n", "mounted/a/cpu.max": "300000 100000\n", "mounted/a/b/cpu.max": "max 100000\n"}, 3),
        ({"cgroup": "0::/a/b\n", "mounted/a/cpu.max": "100000 100000", "mounted/a/b/cpu.max": "200000 100000"}, 1),
        # A container's group, whose path is the host's, is the root that it sees.
        ({"cgroup": "0::/../host/7c1\n", "mounted/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "cgroup": "9:name=systemd:/\n2:cpu,cpuacct:/docker/7c\n1:cpuset:/\n0::/\n",
                "mounted/cpu,cpuacct/docker/7c/cpu.cfs_quota_us": "250000\n",
                "mounted/cpu,cpuacct/docker/7c/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "cgroup": "1:cpu:/docker/7c\n",
                "mounted/cpu/cpu.cfs_quota_us": "-1\n",
                "mounted/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"cgroup": "2:cpuset:/\n", "mounted/cpu/cpu.cfs_quota_us": "1\n", "mounted/cpu/cpu.cfs_period_us": "1"}, None),
        ({"cgroup": "0::/\n", "mounted/cpu.max": "nonsense\n"}, None),
        ({"cgroup": "nonsense\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_is_the_least_of_the_groups_above(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    assert quota(*written(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("torchs", "affinity", "found", "expected"),
    [(16, 2, 64, 2), (2, 8, 8, 2), (8, 8, 3, 3), (1, 4, 4, 1), (4, 0, 4, 1)],
)
def test_no_more_threads_than_torchs_and_than_cores(
    torchs: int, affinity: int, found: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
    monkeypatch.setattr(cores, "_affinity", lambda: affinity)
    monkeypatch.setattr(cores, "_quota", lambda: found)
    assert most_threads() == expected


def test_a_quota_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cores._quota.cache_clear()
    monkeypatch.setattr(cores, "quota", lambda *_: 1.2)
    assert cores._quota() == 2
    cores._quota.cache_clear()
    monkeypatch.setattr(cores, "quota", lambda *_: None)
    assert cores._quota() == os.cpu_count()
    cores._quota.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_an_affinity_that_changes_is_followed() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert most_threads() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert most_threads() == min(torch.get_num_threads(), len(before), cores._quota())
