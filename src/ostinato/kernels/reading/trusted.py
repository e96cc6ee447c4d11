"""Code that a step may use and that is identified by its name alone: of Python and PyTorch, same results for same arguments.

Whoever keeps something under a fingerprint adds the versions of Python and PyTorch. The rest of the standard library is refused, as
its results depend on more than the arguments: on a clock, a file, a generator of numbers.
"""

from __future__ import annotations

import builtins
import operator
import re
import sys
import types
from typing import Any

STANDARD = frozenset(sys.stdlib_module_names)
_PURE = frozenset(
    {
        *(
            "abc",
            "_abc",
            "argparse",
            "bisect",
            "builtins",
            "cmath",
            "collections",
            "_collections",
            "_collections_abc",
            "contextlib",
            "copy",
        ),
        *("dataclasses", "enum", "fractions", "functools", "_functools", "itertools", "math", "numbers", "operator"),
        *("_operator", "re", "statistics", "_statistics", "string", "types", "typing", "_typing", "__future__"),
    }
)
_IMPURE_BUILTINS = frozenset(
    {
        *("globals", "locals", "eval", "exec", "compile", "__import__", "open", "input", "print", "breakpoint"),
        *("id", "hash", "memoryview", "setattr", "delattr", "exit", "quit"),
    }
)
# Attributes that lead from an object to the module or the frames in which its code runs.
BACK_DOORS = frozenset({"__globals__", "__builtins__", "__subclasses__", "f_globals", "f_locals", "f_back", "gi_frame"})
_TORCH_MODULES = frozenset({"nn", "functional", "special", "linalg", "fft", "ops", "aten", "prims", "func", "autograd"})
# Names of settings of the process or the thread, and of generators.
_TORCH_SETTINGS = re.compile(
    r"_?(get|set|is|are|use)_(\w*_)?(enabled|mode|dtype|device|threads|rng_state|autocast\w*|algorithms|precision|debug|warn|only|"
    r"always|compiling|exporting|tracing|scripting|cache|nesting|printoptions|rounding|generator|seed|allowed|fastmath|inference)"
    r"|(initial_|manual_)?seed|seed_all|default_generator|fork_rng|compile|load|save|Generator|cond|autocast|set_flush_denormal|"
    r"from_file|_C|_VF"
)


def package(value: Any) -> str:
    """The top-level package that a function or class says it is from."""
    module = getattr(value, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else ""


def name_of(value: Any, packages: frozenset[str]) -> str | None:
    """The qualified name of `value` if it is from one of these packages and is found under that name; else None."""
    if package(value) not in packages:
        return None
    try:
        found = operator.attrgetter(value.__qualname__)(sys.modules[value.__module__])
    except (AttributeError, KeyError):
        return None
    return f"{value.__module__}.{value.__qualname__}" if found is value else None


def is_pure(value: Any) -> bool:
    """Whether a function or class of Python or PyTorch gives the same results for the same arguments, as far as we know."""
    top = package(value)
    if top == "torch":
        return is_pure_of_torch(value.__module__.split(".")[1:], value.__name__)
    if top == "builtins":
        return getattr(builtins, value.__name__, None) is not value or is_pure_builtin(value.__name__)
    return top in _PURE


def is_pure_builtin(name: str) -> bool:
    """Whether the function of this name in `builtins` gives the same results for the same arguments."""
    return name not in _IMPURE_BUILTINS


def is_pure_module(module: types.ModuleType) -> bool:
    """Whether everything in a module of the standard library gives the same results for the same arguments."""
    return module.__name__.partition(".")[0] in _PURE


def is_pure_of_torch(modules: list[str], name: str) -> bool:
    """Whether `torch.<modules>.<name>` reads no setting and no generator. Operators that draw numbers are found when they run."""
    if modules and modules[0] in (
        "random",
        "cuda",
        "xpu",
        "mps",
        "backends",
        "utils",
        "compiler",
        "jit",
        "distributed",
    ):
        return False
    return not _TORCH_SETTINGS.fullmatch(name) or name in ("is_inference", "set_grad_enabled", "inference_mode")


def is_read_by_steps(module: types.ModuleType) -> bool:
    """Whether a module of PyTorch holds functions of tensors, which steps may read."""
    parts = module.__name__.split(".")[1:]
    return all(part in _TORCH_MODULES for part in parts) or parts[:2] == ["nn", "modules"]
