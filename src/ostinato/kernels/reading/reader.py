"""Reads what code can reach: records each value, and the place that it came from."""

from __future__ import annotations

import builtins
import collections
import enum
import functools
import hashlib
import operator
import re
import sys
import types
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch

from ostinato.cells.spec import Cell
from ostinato.kernels.reading import classes, trusted
from ostinato.kernels.reading.bytecode import ANY_NAME, looked_up
from ostinato.kernels.reading.watch import StepWatch

_BY_NAME = trusted.STANDARD | {"torch"}
_OURS = "ostinato"
_PLAIN = (
    *(type(None), bool, int, float, complex, str, bytes, type(...), range, slice),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
_DESCRIPTORS = (
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, types.ClassMethodDescriptorType),
)
_MOST, _MOST_PLACES = 20_000, 1000  # the most values, and the most places that may change
_WHOLE: frozenset[tuple[str, ...]] = frozenset({()})

Chains = Collection[tuple[str, ...]]


class Unread(Exception):  # noqa: N818 - it is no error, but a reason
    """Raised if a step can reach something that can be neither identified nor checked again; the message names it."""


class Reader:
    """Records values, each with a tag of its kind and each text with its length, so that different values never read alike.

    Args:
        names: the attributes that the code may look up in what it reaches.
        by_any_name: whether it may look up others too.

    Attributes:
        written: the record of what was read.
        watch: the places where it was read.
        names, by_any_name: the same as the arguments, but found in the code that was read.
        is_ours: whether only code of this package was read.
    """

    def __init__(self, names: frozenset[str], by_any_name: bool) -> None:
        self._known_names, self._by_any_known = names, by_any_name
        self.names: frozenset[str] = frozenset()
        self.by_any_name = False
        self.is_ours = True
        self.written: list[bytes] = []
        self.watch = StepWatch()
        # By id, as functions may refer to themselves. Not for constants: whether two equal ones are the same object differs
        # between code that was just compiled and code that was loaded from a .pyc file.
        self._seen: dict[object, int] = {}
        self._kept: list[object] = []  # keeps values alive, so that no id is used again

    def _write(self, *texts: str | bytes) -> None:
        for text in texts:
            data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            self.written += (b"%d:" % len(data), data)

    def _is_new(self, value: object, *more: object) -> bool:
        number = self._seen.setdefault((id(value), *more), len(self._seen))
        if number < len(self._kept):
            self._write("again", str(number))
            return False
        if number > _MOST or len(self.watch) > _MOST_PLACES:
            raise _too_many("what it reaches")
        self._kept.append(value)
        return True

    # What there is

    def value(self, value: Any, label: str) -> None:
        """Record one value; `label` is its name in messages."""
        kind = type(value)
        if kind in _PLAIN:
            self._write(kind.__name__, repr(value))
        elif kind is tuple or kind is torch.Size:
            self._all(kind.__name__, value, label)
        elif kind is frozenset:
            self._unordered(value, label)
        elif kind is types.CodeType:
            self._code(value)
        elif isinstance(value, types.ModuleType):
            self._module(value, label, _WHOLE)
        elif kind is types.BuiltinFunctionType:
            self._built_in(value, label)
        elif kind in _DESCRIPTORS:
            self._write(kind.__name__, str(value.__name__))  # pyright: ignore[reportArgumentType]
            self.value(value.__objclass__, label)
        elif isinstance(value, type):
            self._class(value, label)
        elif self._is_new(value):
            self._object(value, label)

    def _all(self, tag: str, values: Collection[Any], label: str) -> None:
        self._write(tag, str(len(values)))
        for at, each in enumerate(values):
            self.value(each, f"{label}[{at}]")

    def _parts(self, tag: str, values: Collection[Any], label: str) -> None:
        """Record the parts of something; in messages all have its label, as they have no names of their own."""
        self._write(tag, str(len(values)))
        for each in values:
            self.value(each, label)

    def _unordered(self, values: Iterable[Any], label: str) -> None:
        digests = []
        for each in values:
            inner = Reader(self._known_names, self._by_any_known)
            inner.watch = self.watch
            inner.value(each, label)
            digests.append(hashlib.sha256(b"".join(inner.written)).hexdigest())
            self._note(inner.names, inner.by_any_name, inner.is_ours)
        self._write("set", *sorted(digests))

    def _note(self, names: frozenset[str], by_any_name: bool, is_ours: bool) -> None:
        self.names |= names
        self.by_any_name, self.is_ours = self.by_any_name or by_any_name, self.is_ours and is_ours

    def _object(self, value: Any, label: str) -> None:
        match value:
            case Cell():
                self._cell(value)
            case types.FunctionType():
                self._function(classes.unguarded(value), label)
            case types.MethodType():
                self._parts("method", (value.__func__, value.__self__), label)
            case functools.partial():
                self._parts("partial", (type(value), value.func, value.args, value.keywords), label)
            case functools._lru_cache_wrapper():
                self._cached(value, label)
            case property():
                self._parts("property", (value.fget, value.fset, value.fdel), label)
            case staticmethod() | classmethod():
                self._parts(type(value).__name__, (value.__func__,), label)
            case functools.cached_property():
                self._parts("cached property", (value.func, value.attrname), label)
            case torch.Tensor():
                raise Unread(
                    f"the step reads {label}, a tensor that it did not get as an argument; describe it in parameters= and give the "
                    "layer its values, with requires_grad_(False) where they are not to be learned"
                )
            case enum.Enum():
                self._member(value, label)
            case re.Pattern():
                self._parts("pattern", (value.pattern, value.flags), label)
            case operator.attrgetter() | operator.itemgetter() | operator.methodcaller():
                given = value.__reduce__()[1]
                self._parts(type(value).__name__, given, label)
                self._note(frozenset(part for g in given if isinstance(g, str) for part in g.split(".")), False, True)
            case types.MappingProxyType():
                self._container("mapping", value, label)
            case collections._tuplegetter():  # pyright: ignore[reportAttributeAccessIssue]
                self._parts("place", value.__reduce__()[1], label)
            case torch._ops.OpOverload() | torch._ops.OpOverloadPacket():
                self._write("operator", str(value))
            case _ if type(value) in classes.CONTAINERS:
                self._container(type(value).__name__, value, label)
            case _:
                self._instance(value, label)

    def _container(self, tag: str, value: Any, label: str) -> None:
        if len(value) > _MOST_PLACES:
            raise _too_many(label)
        self.watch.contents(value, label)
        if isinstance(value, Mapping):
            self._write(tag, str(len(value)))
            for key, each in tuple(value.items()):
                self.value(key, label)
                self.value(each, f"{label}[{key!r}]")
            if isinstance(value, collections.defaultdict):
                self.value(value.default_factory, label)
        elif isinstance(value, set):
            self._unordered(tuple(value), label)
        else:
            self._all(tag, tuple(value), label)

    def _cell(self, cell: Cell) -> None:
        parameters = tuple((p.name, p.shape) for p in cell.parameters)
        noise = tuple((n.name, n.state, n.every_step) for n in cell.noise)
        states = tuple(cell.states.items())
        extras = tuple(cell.extras.items())
        shape = (cell.name, cell.gates, cell.input_gates, cell.recurrent, states, parameters, noise)
        shape += (cell.raw, extras, tuple(cell.widths), cell.heads, cell.counts_heads)
        self._parts("cell", (*shape, cell.enter, cell.step), cell.name)

    # Functions

    def _built_in(self, value: Any, label: str) -> None:
        owner = value.__self__
        if trusted.package(value) in _BY_NAME and (owner is None or isinstance(owner, types.ModuleType | type)):
            if not trusted.is_pure(value):
                raise _varies(label)
            if value in (getattr, hasattr, vars, dir):
                self._note(frozenset({ANY_NAME}), True, False)
            self._write("built in", f"{value.__module__}.{value.__qualname__}")
        elif isinstance(owner, types.ModuleType) or owner is None:  # a function of another package, written in C
            raise _unread(label, value)
        else:
            self._write("bound", value.__name__)
            self.value(owner, label)

    def _cached(self, value: Any, label: str) -> None:
        if (name := trusted.name_of(value, _BY_NAME)) is None:
            raise Unread(
                f"the step calls {label}, which keeps what it returned (functools.cache), so that a change of what it reads would "
                "not be noticed; call what it wraps"
            )
        self._write("function", name)

    def _function(self, function: types.FunctionType, label: str) -> None:
        if (name := trusted.name_of(function, _BY_NAME)) is not None:
            if not trusted.is_pure(function):
                raise _varies(label)
            self._write("function", name)
            return
        ours = trusted.package(function) == _OURS and _is_in_its_module(function)
        code = function.__code__
        looked = looked_up(code)
        if not ours:
            # Code that catches errors may find out sizes: something may raise at some sizes only.
            self._note(looked.names | ({"size"} if looked.catches else set()), looked.by_any_name, False)
            if doors := looked.names & trusted.BACK_DOORS:
                raise Unread(f"the step looks up {min(doors)}, through which it may read anything")
            self.watch.attributes(function, ("__code__", "__defaults__", "__kwdefaults__"), label)
        more = (function.__kwdefaults__, function.__dict__)
        self._parts("code", (code, function.__defaults__), label)
        self._parts("more", [tuple((each or {}).items()) for each in more] if ours else more, label)
        closed = function.__closure__ or ()
        for name, cell in zip(code.co_freevars, closed, strict=True):
            self._write("closed over", name)
            if not ours:
                self.watch.closed(cell, name)
            try:
                inside = cell.cell_contents
            except ValueError:  # not set yet
                self._write("empty")
            else:
                self._reached(inside, name, looked.chains.get(name, _WHOLE))
        if looked.globals and not ours:
            self.watch.names(function.__globals__, looked.globals, str)
        for name in looked.globals:
            self._write("global", name)
            if name in function.__globals__:
                self._reached(function.__globals__[name], name, looked.chains[name])
            elif not ours and not trusted.is_pure_builtin(name):
                raise _varies(name)
            else:
                self._write("builtin" if hasattr(builtins, name) else "missing")
        for name, level in looked.imports:
            self._imported(function, name, level)

    def _imported(self, function: types.FunctionType, name: str, level: int) -> None:
        self._write("import", name, str(level))
        if level:
            parts = str(function.__globals__.get("__package__") or "").split(".")
            name = ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])
        top = name if level else name.partition(".")[0]
        for module in dict.fromkeys((top, name)):
            if module not in sys.modules:
                raise Unread(f"the step imports {module}; import it at the top of its module")
            self.watch.names(sys.modules, [module], str)
            self._module(sys.modules[module], module, _WHOLE)

    def _code(self, code: types.CodeType) -> None:
        self._write("bytecode", code.co_code, code.co_exceptiontable)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._parts("constants", (*counts, *names, *code.co_consts), code.co_name)

    # Modules and objects, of which the code may look up some attributes only

    def _reached(self, value: Any, label: str, chains: Chains) -> None:
        if isinstance(value, types.ModuleType):
            self._module(value, label, chains)
        elif () not in chains and classes.has_plain_attributes(value, {chain[0] for chain in chains}):
            self._write("attributes")
            self.watch.attributes(value, ("__class__", "__dict__"), label)
            self._members(vars(value), label, chains)
        else:
            self.value(value, label)

    def _members(self, space: Mapping[str, Any], label: str, chains: Chains, *, ours: bool = False) -> None:
        """Record the attributes of a namespace with which `chains` begin, then those that follow in the chains."""
        following: dict[str, set[tuple[str, ...]]] = {}
        for first, *rest in chains:
            following.setdefault(first, set()).add(tuple(rest))
        if not ours:
            self.watch.names(space, sorted(following), lambda name: f"{label}.{name}")
        for name in sorted(following):
            self._write(name)
            if name in space:
                self._reached(space[name], f"{label}.{name}", following[name])
            else:
                self._write("missing")

    def _module(self, module: types.ModuleType, label: str, chains: Chains) -> None:
        top = module.__name__.partition(".")[0]
        if top in _BY_NAME:
            if top == "torch":
                self._torch(module, label, chains)
            elif not trusted.is_pure_module(module):
                raise _varies(label)
            self._write("module", module.__name__)
            return
        ours = top == _OURS
        if () in chains:
            if self._by_any_known and not self._known_names.isdisjoint(("getattr", "vars", "dir", "__dict__")):
                raise Unread(f"the step looks up attributes of the module {label} by names that are not in its code")
            chains = {chain for chain in chains if chain} | {(n,) for n in self._known_names if n in vars(module)}
        if not self._is_new(module, *sorted(chains)):
            return
        for chain in chains:
            if chain[0] not in vars(module) and hasattr(module, chain[0]):
                raise Unread(f"the step reads {label}.{chain[0]}, which its module computes anew whenever it is read")
        self._write("module", str(len(chains)))
        self._members(vars(module), label, chains, ours=ours)

    def _torch(self, module: types.ModuleType, label: str, chains: Chains) -> None:
        if () in chains:
            chains = {chain for chain in chains if chain} | {(n,) for n in self._known_names if n in vars(module)}
        if not trusted.is_read_by_steps(module):
            raise _varies(label)
        for chain in chains:
            found: Any = module
            for at, name in enumerate(chain):
                if not isinstance(found, types.ModuleType):
                    break
                path = ".".join([label, *chain[: at + 1]])
                if not trusted.is_pure_of_torch([], name):
                    raise _varies(path)
                space = vars(found)
                found = getattr(found, name, None)
                if isinstance(found, types.FunctionType | types.BuiltinFunctionType):  # it may be replaced by another
                    self.watch.names(space, [name], lambda _, path=path: path)
                    if isinstance(found, types.FunctionType) and trusted.package(found) != "torch":
                        self.value(found, path)
                if isinstance(found, types.ModuleType) and not trusted.is_read_by_steps(found):
                    raise _varies(path)
                if isinstance(found, torch.Tensor | torch.Generator):
                    self.value(found, path)

    def _class(self, cls: type, label: str, *, makes: bool = True) -> None:
        """Record a class; `makes`: whether code may make objects of it."""
        name = trusted.name_of(cls, _BY_NAME | {_OURS})
        if name is not None:
            if not name.startswith(_OURS) and not trusted.is_pure(cls):
                raise _varies(label)
            self._write("class", name)
            return
        if "numpy" in sys.modules and issubclass(cls, sys.modules["numpy"].generic):
            self._write("class", cls.__qualname__)
            return
        if not classes.is_python(cls):
            raise _unread(label, cls)
        self._write("own class", cls.__qualname__)
        makes = makes or classes.may_make(self._known_names)
        if not self._is_new(cls, makes):
            return
        self.value(type(cls), label)
        self.watch.attributes(cls, ("__bases__",), label)
        for base in cls.__bases__:
            self._class(base, label, makes=makes)
        space = vars(cls)
        names = classes.members_to_read(cls, self._known_names, makes)
        if issubclass(cls, enum.Enum):
            self._parts("members", tuple(cls.__members__.values()), label)
        self.watch.names(space, names, lambda name: f"{label}.{name}")
        self.watch.length(space, label)
        for each in names:
            self._write(each)
            member = space[each]
            self.value(member, f"{label}.{each}")

    def _instance(self, value: Any, label: str) -> None:
        cls = type(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic) and not isinstance(value, numpy.void):
            self._write("number", value.dtype.str, value.tobytes())
            return
        if numpy is not None and isinstance(value, numpy.ufunc) and getattr(numpy, value.__name__, None) is value:
            self._write("numpy's", value.__name__)
            return
        if not all(classes.is_python(base) or base in classes.BASES for base in cls.__mro__) or not hasattr(
            cls, "__mro__"
        ):
            raise _unread(label, value)
        self._write("instance")
        self._class(cls, label, makes=False)
        is_known = classes.is_read_by_others(cls, _BY_NAME)
        self._based(value, label)
        space = getattr(value, "__dict__", {})
        self.watch.attributes(value, ("__class__", "__dict__") if hasattr(value, "__dict__") else ("__class__",), label)
        slots = [s for s in classes.slots_of(cls) if hasattr(value, s)]
        if slots:
            self.watch.attributes(value, slots, label)
            for slot in slots:
                self._write(slot)
                self.value(getattr(value, slot), f"{label}.{slot}")
        whole = is_known or self._by_any_known
        names = [n for n in space if whole or n in self._known_names]
        self._some(space, names, label, whole=True)
        hidden = {n for n in self._known_names - space.keys() if any(n in vars(c) for c in cls.__mro__)}
        if hasattr(value, "__dict__"):
            self.watch.names(space, sorted(hidden), lambda name: f"{label}.{name}")
        if isinstance(value, torch.nn.Module):
            inside = [space["_parameters"], space["_buffers"], space["_modules"]]
            inside += [v for n, v in space.items() if n.endswith("hooks")]
            for each in inside:
                wanted = (
                    list(each) if is_known or each not in inside[:3] else [n for n in each if n in self._known_names]
                )
                self._some(each, wanted, label)
            self._some(space, [n for n in ("training",) if n in space], label)

    def _member(self, value: enum.Enum, label: str) -> None:
        self._write("member", type(value).__qualname__, value.name)
        self._class(type(value), label, makes=False)
        space = vars(value)
        whole = self._by_any_known
        self._some(space, [n for n in space if n == "_value_" or whole or n in self._known_names], label, whole=True)

    def _some(self, space: Mapping[str, Any], names: list[str], label: str, whole: bool = False) -> None:
        """Record some names of an object's namespace; `whole`: watch how many names it has, too."""
        names = sorted(names, key=str)
        self.watch.names(space, names, lambda name: f"{label}.{name}")
        if whole:
            self.watch.length(space, label)
        self._write("names", str(len(names)))
        for name in names:
            self._write(str(name))
            self.value(space[name], f"{label}.{name}")

    def _based(self, value: Any, label: str) -> None:
        """Record what an object of a user's class holds as a number, text or container, if its class is based on one."""
        base: Any
        for base in (int, float, str):
            if isinstance(value, base):
                self._write(base.__name__, base.__repr__(value))
        if isinstance(value, tuple):
            self._all("tuple", tuple(tuple.__iter__(value)), label)
        elif isinstance(value, frozenset):
            self._unordered(tuple(value), label)
        elif isinstance(value, classes.CONTAINERS):
            changed = {"__iter__", "__len__", "values", "items", "keys"}
            if any(changed & vars(c).keys() for c in type(value).__mro__ if c not in classes.BASES):
                raise _unread(label, value)
            self._container("container", value, label)


def _varies(label: str) -> Unread:
    return Unread(
        f"the step uses {label}, which may give something else at every call, or does more than to give a value; what it gave "
        "while the step is compiled would stay"
    )


def _too_many(label: str) -> Unread:
    return Unread(
        f"the step reads {label}, more than {_MOST_PLACES} places to look at before every call; take out of it what the step needs"
    )


def _unread(label: str, value: Any) -> Unread:
    kind = f"the class {value.__qualname__}" if isinstance(value, type) else f"a {type(value).__name__}"
    return Unread(
        f"the step reads {label}, {kind}, whose changes could not be noticed; take the numbers that the step needs out of it"
    )


def _is_in_its_module(function: types.FunctionType) -> bool:
    module = sys.modules.get(function.__module__)
    return module is not None and function.__globals__ is vars(module)
