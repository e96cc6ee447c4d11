"""Finds the user's line that calls PyTorch: for messages that say where a step does something that the compiler does not take."""

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

# With a separator at the end: beside `torch` there may be a `torchvision`.
OURS = f"{Path(__file__).parents[2]}{os.sep}"
TORCHS = f"{Path(torch.__file__).parent}{os.sep}"


def line(file: str, number: int) -> str:
    """A line as messages name it: the file's name and the line number."""
    return f"{file if file.startswith('<') else Path(file).name}:{number}"


def users_line(caller: CodeType) -> str | None:
    """The innermost line that is neither in this package nor in PyTorch, up to `caller`, the function that calls the step."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code is not caller:
        file = frame.f_code.co_filename
        if not file.startswith((OURS, TORCHS)):
            return line(file, frame.f_lineno)
        frame = frame.f_back
    return None


def raised_at(error: BaseException, caller: CodeType) -> str | None:
    """The line as of `users_line` that raised an error, or called what did; None outside of the step."""
    found, is_inside, at = None, False, error.__traceback__
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if is_inside and not file.startswith((OURS, TORCHS)):
            found = line(file, at.tb_lineno)
        is_inside = is_inside or at.tb_frame.f_code is caller
        at = at.tb_next
    return found


def in_brackets(where: str | None) -> str:
    """As the end of a message has a line, or nothing where it is not known."""
    return f" ({where})" if where else ""


class Lines(TorchDispatchMode):
    """Gives each node that torch.fx records the line of the step as its stack trace; nodes keep it under `preserve_node_meta`.

    An operation of the backward pass gets the line of the operation whose derivative it is.

    Args:
        caller: the function that calls the step; its own callers are not searched.
    """

    def __init__(self, caller: CodeType) -> None:
        super().__init__()
        self._caller = caller
        self._forward: dict[int, str | None] = {}  # by autograd's sequence number of an operation

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # with True, PyTorch imports the whole of torch.compile at the first operator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        derived = torch._C._current_autograd_node()
        if derived is None:
            number = torch.autograd._get_sequence_nr() - 1  # pyright: ignore[reportPrivateImportUsage]
            where = self._forward[number] = users_line(self._caller)
        else:
            # What is written in place has a number of its own, after that of the operation that writes.
            number = max((n for n in self._forward if n <= derived._sequence_nr()), default=None)
            where = None if number is None else self._forward[number]
        set_stack_trace([where] if where else [])
        return func(*args, **(kwargs or {}))
