"""Which line of a user's calls PyTorch: for messages that say where something is that the compiler does not take."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch.fx.traceback import set_stack_trace
from torch.utils._python_dispatch import TorchDispatchMode

# Folders: beside `torch` there may be a `torchvision`.
OURS = f"{Path(__file__).parents[2]}{os.sep}"
TORCHS = f"{Path(torch.__file__).parent}{os.sep}"


def line(file: str, number: int) -> str:
    """As a message has it."""
    return f"{file if file.startswith('<') else Path(file).name}:{number}"


def users_line(caller: CodeType) -> str | None:
    """The innermost line that is neither of this package nor of PyTorch, up to the function that calls the step."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code is not caller:
        file = frame.f_code.co_filename
        if not file.startswith((OURS, TORCHS)):
            return line(file, frame.f_lineno)
        frame = frame.f_back
    return None


class Lines(TorchDispatchMode):
    """Gives what torch.fx records the line of the step as its stack trace, where its nodes keep that (`preserve_node_meta`).

    An operation of the backward pass has the line of the operation of which it is the derivative.

    Args:
        caller: of the step; whoever called that is no part of it.
    """

    def __init__(self, caller: CodeType) -> None:
        super().__init__()
        self._caller = caller
        self._forward: dict[int, str | None] = {}  # by autograd's number of an operation

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch imports the whole of torch.compile at the first operator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        derived = torch._C._current_autograd_node()
        if derived is None:
            number = torch.autograd._get_sequence_nr() - 1  # pyright: ignore[reportPrivateImportUsage]
            where = self._forward[number] = users_line(self._caller)
        else:
            where = self._forward.get(derived._sequence_nr())
        set_stack_trace([where] if where else [])
        return func(*args, **(kwargs or {}))
