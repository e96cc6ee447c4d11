"""Detect whether something records the operators that are called; if so, kernels cannot be called directly."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator

import torch
from torch._C._functorch import TransformType, get_interpreter_stack, maybe_current_level
from torch.autograd import forward_ad

from ostinato.locks import lock


def is_recorded() -> bool:
    """Whether a computation must consist of visible operators, and tensors may have no values.

    That is so in torch.compile and torch.export, in the transformations of torch.func, in torch.jit.trace, and where a mode like
    FakeTensorMode is active.
    """
    return (
        torch.compiler.is_compiling()
        or maybe_current_level() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
    )


def is_unobserved() -> bool:
    """Whether operators are only computed, and differentiated backward, in their own dtype: nothing observes or changes them."""
    return not (
        torch.compiler.is_compiling()
        or maybe_current_level() is not None
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
    )


def is_transformed() -> bool:
    """Whether a transformation of torch.func is active, outside of a graph. None of them supports hooks on saved tensors."""
    return not torch.compiler.is_compiling() and maybe_current_level() is not None


def is_mapped() -> bool:
    """Whether `torch.vmap` is active; in a graph it is not, as the graph contains its operators instead."""
    if torch.compiler.is_compiling() or maybe_current_level() is None:
        return False
    return any(interpreter.key() == TransformType.Vmap for interpreter in get_interpreter_stack() or ())


def is_differentiated_forward() -> bool:
    """Whether derivatives are computed along with the values, as by `torch.func.jvp`."""
    return forward_ad._current_level >= 0


_for_onnx = False
_recording = lock()
# The tables that say how to write our operator in ONNX, as long as something references them.
translations: weakref.WeakSet[object] = weakref.WeakSet()


@contextlib.contextmanager
def recording_for_onnx() -> Iterator[None]:
    """Inside, record in a form that can be exported to ONNX; other threads wait."""
    global _for_onnx
    with _recording:
        before, _for_onnx = _for_onnx, True
        try:
            yield
        finally:
            _for_onnx = before


def is_for_onnx() -> bool:
    """Whether the recording is for an export to ONNX: by `ostinato.export`, or by torch's exporter that uses `torch.export`."""
    return torch.compiler.is_compiling() and _becomes_onnx()


def has_translation() -> bool:
    """Whether the exporter to ONNX knows how to write our operator: it is `ostinato.export`, or a table exists."""
    return _for_onnx or len(translations) > 0


has_translation._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def is_traced_for_onnx() -> bool:
    """Whether torch's older exporter, `dynamo=False`, runs the module and records each operator that is called."""
    return _is_in_onnx_export() and not torch.compiler.is_compiling()


def _becomes_onnx() -> bool:
    return _for_onnx or _is_in_onnx_export()


# Marked so that torch.compile calls the function instead of tracing it: tracing takes `is_in_onnx_export` for false. See
# `kernels.compiled`.
_becomes_onnx._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def _is_in_onnx_export() -> bool:
    # Not if `torch.onnx` is not imported yet: importing it takes longer than loading a compiled cell.
    return "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export()
