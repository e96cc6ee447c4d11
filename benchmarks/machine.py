"""Where a measurement was taken."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def describe() -> dict[str, Any]:
    """The processor, the cores, torch's threads and the versions that a figure depends on."""
    packages = ("ostinato", "torch", "onnxruntime", "onnx", "llvmlite", "numpy")
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "openmp": {name: value for name, value in os.environ.items() if name.startswith(("OMP_", "KMP_", "GOMP_"))},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def processor() -> str:
    """Its name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
