"""A name for what a cell computes, the same in every process: what compiled code is kept under on disk.

A step is code, and code has no name that changes with it. So the bytecode is read, and everything that it can reach: constants,
defaults, closures, and those globals that it looks up, functions among them in the same way. What cannot be identified so (a
tensor, an object of a class of one's own) leaves the cell without a fingerprint; a wrong one would run other code than was written.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import operator
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch

from ostinato.cells.spec import Cell

# Identified by their names. Their versions are the business of whoever keeps something under a fingerprint.
_BY_NAME = frozenset({*sys.stdlib_module_names, "torch"})
_CLASSES_BY_NAME = _BY_NAME | {"ostinato"}
_LOAD_GLOBAL, _LOAD_NAME, _EXTENDED_ARG = (dis.opmap[name] for name in ("LOAD_GLOBAL", "LOAD_NAME", "EXTENDED_ARG"))
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), torch.dtype)


class _UnidentifiedError(Exception):
    """Something that a step can reach cannot be identified."""


def fingerprint(cell: Cell) -> str | None:
    """A digest of everything that decides what the step computes, or None where something of it cannot be identified.

    The rates of noise are no part of it, as they reach the step through its masks alone; nor are files, line numbers, and the
    versions of Python, PyTorch and this package.
    """
    try:
        return _Reader().digest(cell)
    except _UnidentifiedError:
        return None


class _Reader:
    """Writes down what it is shown, each kind with a tag and each text with its length, so that nothing reads as something else."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        # By identity, as functions refer to themselves. Not for constants: whether two equal ones are one object differs from a
        # fresh compilation to one that was read from a .pyc file.
        self._seen: dict[object, int] = {}
        self._kept: list[object] = []  # so that no identity is used again

    def digest(self, value: object) -> str:
        """Of one value."""
        self._value(value)
        return hashlib.sha256(b"".join(self._written)).hexdigest()

    def _write(self, *texts: str | bytes) -> None:
        for text in texts:
            data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            self._written += (b"%d:" % len(data), data)

    def _is_new(self, value: object, *more: object) -> bool:
        number = self._seen.setdefault((id(value), *more), len(self._seen))
        if number < len(self._kept):
            self._write("again", str(number))
            return False
        self._kept.append(value)
        return True

    def _value(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN:
            self._write(kind.__name__, repr(value))
        elif kind is tuple:
            self._all("tuple", value)
        elif kind in (set, frozenset):
            self._write("set", *sorted(_Reader().digest(each) for each in value))
        elif kind is types.CodeType:
            self._code(value)
        elif kind is types.BuiltinFunctionType:
            if _package(value) not in _BY_NAME:  # a method of some object
                raise _UnidentifiedError
            self._write("built in", f"{value.__module__}.{value.__qualname__}")
        elif isinstance(value, type):
            self._write("class", self._name(value, _CLASSES_BY_NAME))
        elif self._is_new(value):
            self._object(value)

    def _all(self, tag: str, values: Any) -> None:
        self._write(tag, str(len(values)))
        for each in values:
            self._value(each)

    def _object(self, value: Any) -> None:
        match value:
            case Cell():
                self._cell(value)
            case types.FunctionType():
                self._function(value)
            case types.MethodType():
                self._all("method", (value.__func__, value.__self__))
            case functools.partial():
                self._all("partial", (value.func, value.args, value.keywords))
            case functools._lru_cache_wrapper():
                self._all("cached", (value.__wrapped__,))
            case list():
                self._all("list", value)
            case dict() | types.MappingProxyType():
                self._all("mapping", tuple(value.items()))
            case _:
                raise _UnidentifiedError

    def _cell(self, cell: Cell) -> None:
        parameters = tuple((p.name, p.shape) for p in cell.parameters)
        noise = tuple((n.name, n.state, n.every_step) for n in cell.noise)
        states = tuple(cell.states.items())
        shape = (cell.name, cell.gates, cell.input_gates, cell.recurrent, states, parameters, noise)
        self._all("cell", (*shape, cell.enter, cell.step))

    def _function(self, function: types.FunctionType) -> None:
        if _package(function) in _BY_NAME:
            self._write("function", self._name(function, _BY_NAME))
            return
        code = function.__code__
        self._all("code", (code, function.__defaults__, function.__kwdefaults__, function.__dict__))
        for name, closed in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._write("closed over", name)
            try:
                self._value(closed.cell_contents)
            except ValueError:  # not set yet
                self._write("empty")
        globals_, attributes = _loaded(code)
        for name in globals_:
            self._write("global", name)
            if name in function.__globals__:
                self._global(function.__globals__[name], attributes)
            else:
                self._write("builtin" if hasattr(builtins, name) else "missing")

    def _global(self, value: Any, attributes: tuple[str, ...]) -> None:
        """`attributes` are those that the code may look up in a module."""
        if not isinstance(value, types.ModuleType):
            self._value(value)
        elif value.__name__.partition(".")[0] in _BY_NAME:
            self._write("module", value.__name__)
        elif self._is_new(value, attributes):
            found = [(name, getattr(value, name)) for name in attributes if hasattr(value, name)]
            self._write("module", str(len(found)))
            for name, member in found:
                self._write(name)
                self._global(member, attributes)

    def _code(self, code: types.CodeType) -> None:
        self._write("bytecode", code.co_code, code.co_exceptiontable)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._all("constants", (*counts, *names, *code.co_consts))

    def _name(self, value: Any, packages: frozenset[str]) -> str:
        """The qualified name, if `value` is found under it."""
        if _package(value) not in packages:
            raise _UnidentifiedError
        try:
            found = operator.attrgetter(value.__qualname__)(sys.modules[value.__module__])
        except (AttributeError, KeyError):
            raise _UnidentifiedError from None
        if found is not value:
            raise _UnidentifiedError
        return f"{value.__module__}.{value.__qualname__}"


def _package(value: Any) -> str:
    return (value.__module__ or "").partition(".")[0]


@functools.cache
def _loaded(code: types.CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the globals that the code and the functions within it look up, and all names that may be attributes."""
    globals_, attributes = dict.fromkeys(_globals(code)), dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_globals, inner_attributes = _loaded(constant)
            globals_ |= dict.fromkeys(inner_globals)
            attributes |= dict.fromkeys(inner_attributes)
    return tuple(globals_), tuple(attributes)


def _globals(code: types.CodeType) -> Iterator[str]:
    extended = 0
    for op, arg in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        place = extended << 8 | arg
        extended = place if op == _EXTENDED_ARG else 0
        if op == _LOAD_GLOBAL:
            yield code.co_names[place >> 1]  # the lowest bit says something else
        elif op == _LOAD_NAME:
            yield code.co_names[place]
