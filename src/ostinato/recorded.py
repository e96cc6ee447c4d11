"""Who follows the operators that are called: what decides whether a kernel may be called behind their back."""

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
    """Whether what is computed has to be seen as operators, and tensors may have no values.

    So it is in torch.compile and torch.export, in the transformations of torch.func, in torch.jit.trace, and wherever a mode like
    FakeTensorMode is active.
    """
    return (
        torch.compiler.is_compiling()
        or maybe_current_level() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
    )


def is_unobserved() -> bool:
    """Whether nothing is done with what is computed here but to compute it, and to differentiate it backward, in its own dtype."""
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
    """Whether a transformation of torch.func is active, outside of a graph. None of them takes hooks on tensors that are saved."""
    return not torch.compiler.is_compiling() and maybe_current_level() is not None


def is_mapped() -> bool:
    """Whether `torch.vmap` is active; a graph holds its operators, and not it."""
    if torch.compiler.is_compiling() or maybe_current_level() is None:
        return False
    return any(interpreter.key() == TransformType.Vmap for interpreter in get_interpreter_stack() or ())


def is_differentiated_forward() -> bool:
    """Whether derivatives are computed along with the values, as by `torch.func.jvp`."""
    return forward_ad._current_level >= 0


_for_onnx = False
_recording = lock()
# What says how to write our operator in ONNX, as long as somebody holds it.
translations: weakref.WeakSet[object] = weakref.WeakSet()


@contextlib.contextmanager
def recording_for_onnx() -> Iterator[None]:
    """Have what is recorded inside the `with` block be such that it can become ONNX; other threads wait."""
    global _for_onnx
    with _recording:
        before, _for_onnx = _for_onnx, True
        try:
            yield
        finally:
            _for_onnx = before


def is_for_onnx() -> bool:
    """Whether what is recorded is to become ONNX: by `ostinato.export`, or by torch's exporter that begins with `torch.export`."""
    return torch.compiler.is_compiling() and _becomes_onnx()


def has_translation() -> bool:
    """Whether what becomes ONNX will find out how to write our operator: by `ostinato.export`, or with a table that is there."""
    return _for_onnx or len(translations) > 0


has_translation._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def is_traced_for_onnx() -> bool:
    """Whether torch's older exporter, `dynamo=False`, runs the module, and writes down each operator that is called."""
    return _is_in_onnx_export() and not torch.compiler.is_compiling()


def _becomes_onnx() -> bool:
    return _for_onnx or _is_in_onnx_export()


# torch.compile would look into it, and takes `is_in_onnx_export` for false; so it is to be called. See `kernels.compiled`.
_becomes_onnx._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def _is_in_onnx_export() -> bool:
    # To ask `torch.onnx` is to import it, which takes longer than to load a compiled cell.
    return "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export()
