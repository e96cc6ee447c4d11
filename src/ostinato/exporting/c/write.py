"""Writes a module as C."""

from __future__ import annotations

from pathlib import Path

import torch

from ostinato.errors import ConfigError
from ostinato.exporting.c.mathematics import Mathematics
from ostinato.exporting.c.models import network_of
from ostinato.exporting.c.source import Source, SourceWriter, WorkName
from ostinato.exporting.c.text import check_name
from ostinato.exporting.c.weights import WeightsName


def source_of(module: torch.nn.Module, name: str, *, weights: WeightsName = "float32", math: Mathematics = "libm", work: WorkName = "stack") -> Source:
    check_name(name)
    return SourceWriter(network_of(module, weights), name, math, work).source()
