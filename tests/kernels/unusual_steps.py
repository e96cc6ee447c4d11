"""Steps as no cell of ours has them. Each must give what the reference gives, or be run there with its line or the name told.

`python -m tests.kernels.unusual_steps` tries all of them, which takes minutes, or those whose names hold one of the words given.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextvars
import copy
import dataclasses
import datetime
import enum
import fractions
import functools
import itertools
import math
import operator
import os
import random
import secrets
import sys
import threading
import time
import types
import uuid
import warnings
import weakref
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato
from ostinato.cells import Cell, State, cell

HERE = "unusual_steps.py:"
SIZES = ((1, 8), (4, 8), (3, 60))  # B, H


@dataclasses.dataclass
class Case:
    """A step and what is to be seen of it.

    Attributes:
        cell: made of it.
        says: in the explanation of why the compiler does not take it, at some size at least; None where it may be compiled.
        change: something that it reads; afterwards what it gives must be another.
        sizes: (B, H) at which it is tried.
        dtypes: in which it is tried.
        compiles: whether it must be compiled, at all sizes.
    """

    cell: Cell
    says: str | None = None
    change: Callable[[], object] | None = None
    sizes: tuple[tuple[int, int], ...] = SIZES
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)
    compiles: bool = False


CASES: dict[str, Case] = {}


def of_one(function: Callable[[Tensor], Tensor]) -> Cell:
    """A cell that puts its one sum through this function."""

    @cell(gates="a", states="h")
    def unusual(x: Any, s: Any, U: Any) -> State:
        return State(h=torch.tanh(function(x.a + U(s.h).a)))

    return unusual


def add(name: str, function: Callable[[Tensor], Tensor], says: str | None = None, **how: Any) -> None:
    """A case of one function."""
    CASES[name] = Case(of_one(function), says, **how)


def fine(name: str, function: Callable[[Tensor], Tensor], **how: Any) -> None:
    """One that the compiler must take."""
    add(name, function, compiles=True, **how)


# Sizes

add("a branch on one row", lambda v: v * 0.5 if len(v) == 1 else v, HERE)
add("a branch on rows by shape", lambda v: v * 0.5 if v.shape[0] > 3 else v, HERE)
add("a branch on rows by size()", lambda v: v * 0.5 if v.size()[0] < 2 else v, HERE)
add("a branch on rows by size(0)", lambda v: v * 0.5 if v.size(0) < 2 else v, HERE)
add("a branch on a width that 4 divides", lambda v: v * 0.5 if v.shape[1] % 4 == 0 else v, HERE)
add("a width of 50 at most", lambda v: v / min(v.shape[1], 50), HERE)
add("a wide layer", lambda v: v * 0.5 if v.size(1) > 256 else v, HERE, sizes=((2, 8), (1, 300)))
add("a count of numbers", lambda v: v * 0.5 if v.numel() > 100 else v, HERE)
add("a count of elements", lambda v: v * 0.5 if v.nelement() > 100 else v, HERE)
add("torch.numel", lambda v: v * 0.5 if torch.numel(v) > 100 else v, HERE)
add("numel of a shape", lambda v: v * 0.5 if v.shape.numel() > 100 else v, HERE)
add("a branch on the root of H", lambda v: v * 0.5 if math.sqrt(v.shape[1]) > 5 else v, HERE)
add("a look-up by a comparison", lambda v: v * [1.0, 0.5][len(v) > 1], HERE)
add("a look-up by rows", lambda v: v * ([1.0] * 3 + [0.5] * 20)[len(v)], HERE)
add("a look-up by width", lambda v: v * {8: 0.5}.get(v.shape[1], 1.0), HERE)
add("a whole shape", lambda v: v * 0.5 if v.shape == (4, 8) else v, HERE)
add("a shape as text", lambda v: v * 0.5 if str(tuple(v.shape)) == "(4, 8)" else v, HERE)
add("a size as text", lambda v: v * len(f"{v.shape[1]}"), HERE)
add("a loop over rows", lambda v: functools.reduce(lambda a, _: a * 1.1, range(len(v)), v), HERE)
add(
    "a loop over a quarter of the units",
    lambda v: functools.reduce(lambda a, _: a * 0.9, range(v.shape[1] // 4), v),
    HERE,
)
add("as many rows as units", lambda v: v * 0.5 if v.shape[0] == v.shape[1] else v, HERE, sizes=((8, 8), (4, 8)))
add("a part of a size", lambda v: v / int(v.shape[1] / 3 + 1), HERE)
add("eps by width", lambda v: v / (v.abs() + (1e-1 if v.shape[1] > 16 else 1e-3)), HERE)
add("the root of H", lambda v: v / math.sqrt(v.shape[-1]), "depends on the sizes")
add("a sign by rows", lambda v: v * (-1) ** len(v), HERE)
add("the greatest of two sizes", lambda v: v / max(v.shape), HERE, sizes=((2, 8), (20, 8)))
add("bits of a size", lambda v: v * 0.5 if v.shape[1] & 4 else v, HERE)
add("a shape taken apart", lambda v: v * 0.5 if [*v.shape][1] == 8 else v, HERE)
add("a size that raises", lambda v: v * _index_or_one(v), HERE)
add("a size by an attribute getter", lambda v: v * 0.5 if operator.attrgetter("shape")(v)[0] == 1 else v, HERE)
add("a size by getattr", lambda v: v * 0.5 if getattr(v, "shape")[0] == 1 else v, HERE)  # noqa: B009
add("a size of what was computed", lambda v: v * 0.5 if len(v.sum(-1)) == 1 else v, HERE)
add("numpy's number of a size", lambda v: torch.mul(v, np.float32(min(v.shape[1], 50))), HERE)  # pyright: ignore[reportCallIssue, reportArgumentType]
add("numpy's least of two", lambda v: v / np.minimum(v.shape[1], 50), HERE)
add("how many parts", lambda v: v * len(v.split(50, -1)), HERE)
add("how many units", lambda v: v * min(20, len(v.unbind(-1))), "the sizes")
add("one dimension less for one row", lambda v: v * 0.5 if v.squeeze(0).ndim == 1 else v, HERE)
add("half of the units", lambda v: torch.cat(v.chunk(2, -1)[::-1], -1), HERE)
fine("a number for each unit", lambda v: v / v.shape[-1])
fine("a float of H", lambda v: v / float(v.shape[-1]))
fine("zeros by len", lambda v: v + torch.zeros(len(v), v.shape[1]))
fine("zeros by a shape", lambda v: v + v.new_zeros(v.shape))
fine("ones by a width", lambda v: v + torch.ones(v.shape[-1]))
fine("a view of rows", lambda v: v.view(len(v), -1) * 0.5)
fine("a reshape of units", lambda v: v.reshape(-1, v.shape[-1]) * 0.5)
fine("a check of a width", lambda v: v if v.shape[-1] > 0 else v * 2)
fine("two dimensions", lambda v: v if v.dim() == 2 and v.ndim == 2 else v * 2)
fine("layer_norm by hand", lambda v: F.layer_norm(v, (v.shape[-1],)))
fine("full of a size", lambda v: v + torch.full((v.shape[0], 1), 0.25))
fine("expand to a size", lambda v: v + v.mean(-1, keepdim=True).expand(v.size(0), v.size(1)))


def _index_or_one(v: Tensor) -> float:
    try:
        v[:, 40]
    except IndexError:
        return 0.5
    return 1.0


def of_product(function: Callable[[Any], float]) -> Cell:
    """A cell that multiplies by what this function makes of the product."""

    @cell(gates="a", states="h")
    def product(x: Any, s: Any, U: Any) -> State:
        return State(h=torch.tanh((x.a + U(s.h).a) * function(U)))

    return product


CASES["the size of the product"] = Case(of_product(lambda U: 0.5 if U.size == 8 else 1.0), HERE)
CASES["the shape of a matrix"] = Case(of_product(lambda U: 0.5 if U.weight.shape[0] == 8 else 1.0), HERE)
CASES["the shape of a bias"] = Case(of_product(lambda U: 0.5 if U.bias is not None and len(U.bias) == 8 else 1.0), HERE)
CASES["whether there is a bias"] = Case(of_product(lambda U: 0.5 if U.bias is None else 1.0), compiles=True)
CASES["the names of gates"] = Case(of_product(lambda U: 0.5 * len(U.gates)), compiles=True)

# Dtypes and other properties

ALL = (torch.float32, torch.float64)
add("eps of a dtype", lambda v: v / (v.abs() + torch.finfo(v.dtype).eps * 1e6), HERE, dtypes=ALL)
add("a branch on a dtype", lambda v: v * 0.5 if v.dtype == torch.float32 else v, HERE, dtypes=ALL)
add(
    "a branch on half",
    lambda v: v * 0.5 if v.dtype == torch.bfloat16 else v,
    HERE,
    dtypes=(torch.float32, torch.bfloat16),
)
add("a dtype as text", lambda v: v * len(str(v.dtype)) * 0.1, HERE, dtypes=ALL)
add("bytes of a dtype", lambda v: v * v.dtype.itemsize * 0.1, HERE, dtypes=ALL)
add("bytes of an element", lambda v: v * v.element_size() * 0.1, HERE, dtypes=ALL)
add("bytes of a tensor", lambda v: v * 0.5 if v.nbytes > 100 else v, HERE)
add("a look-up by dtype", lambda v: v * {torch.float32: 0.5}.get(v.dtype, 1.0), HERE, dtypes=ALL)
add("a type as text", lambda v: v * 0.5 if v.type() == "torch.FloatTensor" else v, HERE, dtypes=ALL)
add("requires_grad", lambda v: v * 0.5 if v.requires_grad else v, HERE)
add("grad_fn", lambda v: v * 0.5 if v.grad_fn is None else v, HERE)
add("is_leaf", lambda v: v * 0.5 if v.is_leaf else v, HERE)
add("is_contiguous", lambda v: v * 0.5 if v.is_contiguous() else v, HERE)
add("stride", lambda v: v * 0.5 if v.stride(0) == 8 else v, HERE)
add("a version", lambda v: v * 0.5 if v._version else v, HERE)
add("an address", lambda v: v * 0.5 if v.data_ptr() % 64 else v, HERE)
add("is_grad_enabled", lambda v: v * 0.5 if torch.is_grad_enabled() else v, "is_grad_enabled")
add("is_autocast_enabled", lambda v: v * 0.5 if torch.is_autocast_enabled("cpu") else v, "is_autocast_enabled")
add("inference mode", lambda v: v * 0.5 if torch.is_inference_mode_enabled() else v, "is_inference_mode_enabled")
add("the default dtype", lambda v: v * 0.5 if torch.get_default_dtype() == torch.float32 else v, "get_default_dtype")
add("threads of torch", lambda v: v * torch.get_num_threads(), "get_num_threads")
add("whether it is compiling", lambda v: v * 0.5 if torch.compiler.is_compiling() else v, "torch.compiler")
add("whether it is traced", lambda v: v * 0.5 if torch.jit.is_scripting() else v, "torch.jit")
add("a setting of a backend", lambda v: v * 0.5 if torch.backends.mkldnn.is_available() else v, "torch.backends")
add("whether there is a GPU", lambda v: v * 0.5 if torch.cuda.is_available() else v, "torch.cuda")
fine("zeros of a dtype", lambda v: v + torch.zeros(1, dtype=v.dtype, device=v.device), dtypes=ALL)
fine("to a dtype", lambda v: v * (v > 0).to(v.dtype), dtypes=ALL)
fine("a device", lambda v: v * 0.5 if v.device.type == "cpu" else v)
fine("a number of a float dtype", lambda v: v * 0.5 if v.is_floating_point() else v)
fine("no gradient inside", lambda v: v * _sigmoid_without_gradient(v))


def _sigmoid_without_gradient(v: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.sigmoid(v)


# Values

add("an item", lambda v: v * v.sum().item(), HERE)
add("a float", lambda v: v * float(v.mean()), HERE)
add("an int", lambda v: v * int(v.sum() > 0), HERE)
add("a branch on values", lambda v: v * 0.5 if v.sum() > 0 else v, HERE)
add("any", lambda v: v * 0.5 if (v > 0).any() else v, HERE)
add("while", lambda v: _halved_until_small(v), HERE)
add("a list", lambda v: v * v.tolist()[0][0], HERE)
add("numpy", lambda v: v * float(v.detach().numpy().mean()), HERE)
add("numpy's tanh", lambda v: v * torch.as_tensor(np.tanh(v.detach().numpy())), HERE)
add("equal", lambda v: v * 0.5 if torch.equal(v, v * 1) else v, HERE)
add("allclose", lambda v: v * 0.5 if torch.allclose(v, v * 1) else v, HERE)
add("is_nonzero", lambda v: v * 0.5 if v.sum().is_nonzero() else v, HERE)
add("a value in a text", lambda v: v * len(f"{v.sum():.1f}"), HERE)
add("repr", lambda v: v * (len(repr(v)) % 7), HERE)
add("an assertion", lambda v: _asserted(v), HERE)
add("a sum over rows", lambda v: v * sum(row.sum() for row in v), HERE)
add("a maximum as a number", lambda v: v / (1 + max(v.abs().flatten().tolist())), HERE)
add("argmax", lambda v: v * v.argmax(-1, keepdim=True), "aten.argmax")
fine("detach", lambda v: v + v.detach() * 0.5)
add("data", lambda v: v + v.data * 0.5)
add("a new tensor of a number", lambda v: v * torch.tensor(0.5))
add("a tensor of numpy", lambda v: v * torch.tensor(np.float64(0.5)))
add("a tensor of a list", lambda v: v * torch.tensor([0.5]))


def _halved_until_small(v: Tensor) -> Tensor:
    while v.abs().max() > 0.1:
        v = v * 0.5
    return v


def _asserted(v: Tensor) -> Tensor:
    assert (v.abs() < 1e6).all()
    return v


# Randomness and clocks

DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "rand_like": lambda v: v * torch.rand_like(v),
    "randn": lambda v: v * torch.randn(v.shape),
    "bernoulli": lambda v: v * torch.bernoulli(torch.full_like(v, 0.5)),
    "dropout": lambda v: F.dropout(v, 0.5),
    "alpha dropout": lambda v: F.alpha_dropout(v, 0.5, training=True),
    "normal": lambda v: v + torch.normal(0.0, 1.0, v.shape),
    "randint": lambda v: v * torch.randint(0, 2, v.shape),
    "randperm": lambda v: v * torch.randperm(v.shape[-1]),
    "uniform_": lambda v: v * torch.empty_like(v).uniform_(),
    "a layer made inside": lambda v: v * nn.Linear(1, 1).weight.mean(),
    "gumbel": lambda v: F.gumbel_softmax(v),
    "rrelu": lambda v: F.rrelu(v, training=True),
    "multinomial": lambda v: v * torch.multinomial(torch.ones(3), 1),
}
for _name, _function in DRAWS.items():
    add(_name, _function, "random numbers")
_generator, _random = torch.Generator(), random.Random(1)
add("a generator", lambda v: v * torch.rand(1, generator=_generator), "_generator")
add("random", lambda v: v * random.random(), "random")
add("choice", lambda v: v * random.choice([0.5, 1.0]), "random")
add("a generator of Python", lambda v: v * _random.random(), "_random")
add("numpy.random", lambda v: v * np.random.rand(), "np.random")  # noqa: NPY002
add("time", lambda v: v * (time.time() % 1), "time")
add("a clock by name", partial(lambda clock, v: v * (clock() % 1), time.monotonic), "function")
add("now", lambda v: v * datetime.datetime.now().microsecond * 1e-6, "datetime")
add("the environment", lambda v: v * len(os.environ), "os")
add("the process", lambda v: v * (os.getpid() % 7), "os")
add("a uuid", lambda v: v * (uuid.uuid4().int % 7), "uuid")
add("a secret", lambda v: v * secrets.randbelow(7), "secrets")
add("the seed", lambda v: v * (torch.initial_seed() % 7), "initial_seed")
add("seeding", lambda v: v * _seeded(), "manual_seed")
add("the state of the generator", lambda v: v * len(torch.get_rng_state()) * 1e-4, "get_rng_state")
add("an identity", lambda v: v * (id(v) % 7), "id")
add("a hash", lambda v: v * (hash("a") % 7), "hash")
add("a thread", lambda v: v * len(threading.current_thread().name), "threading")


def _seeded() -> float:
    torch.manual_seed(0)
    return 1.0


# What lies outside


class Settings:
    """Of a user's own."""

    kind = 0.5

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate

    @property
    def doubled(self) -> float:
        return self.rate * 2

    @staticmethod
    def half(v: Any) -> Any:
        return v * 0.5

    @classmethod
    def of_class(cls, v: Any) -> Any:
        return v * cls.kind

    def scaled(self, v: Any) -> Any:
        return v * self.rate

    def __call__(self, v: Any) -> Any:
        return self.scaled(v)

    def __mul__(self, v: Any) -> Any:
        return v * self.rate


class Slotted:
    """Without a `__dict__`."""

    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate = 0.5


class Dynamic:
    """Computes its attributes."""

    def __init__(self) -> None:
        self.known = {"rate": 0.5}

    def __getattr__(self, name: str) -> float:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.known[name]


class AttributeDict(dict):  # pyright: ignore[reportMissingTypeArgument]
    """As many programs have it."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # pyright: ignore[reportAssignmentType]


@dataclasses.dataclass
class Data:
    """A plain one."""

    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Frozen:
    """One that does not change."""

    rate: float = 0.5


class Pair(NamedTuple):
    """A named tuple."""

    rate: float
    shift: float


class Kind(enum.Enum):
    """Members with values."""

    LOW = 0.5
    HIGH = 2.0


class _Model(nn.Module):
    """With a cell that reads its number, and with tensors that it does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.5
        self.out = nn.Linear(3, 3)

    def step_of(self, v: Any) -> Any:
        return v * self.rate


def _one_row_halved(v: Tensor) -> Tensor:
    return v * 0.5 if v.size(0) == 1 else v


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    _scripted = torch.jit.script(_one_row_halved)


def outside(name: str, value: Any, read: Callable[[Any], Callable[[Any], Any]], change: Any = None, **how: Any) -> None:
    """A step that multiplies by what it reads of `value`, which it closes over."""
    how = {"compiles": "says" not in how, **how}
    says = how.pop("says", None)
    CASES[f"outside: {name}"] = Case(
        of_one(read(value)), says, None if change is None else partial(change, value), **how
    )


def _set(name: str, value: Any) -> Callable[[Any], None]:
    return lambda owner: setattr(owner, name, value)


def _put(key: Any, value: Any) -> Callable[[Any], None]:
    return lambda owner: operator.setitem(owner, key, value)


outside("an attribute", types.SimpleNamespace(rate=0.5), lambda o: lambda v: v * o.rate, _set("rate", 0.9))
outside("an object", Settings(), lambda o: lambda v: v * o.rate, _set("rate", 0.9))
outside("a property", Settings(), lambda o: lambda v: v * o.doubled, _set("rate", 0.9))
outside("a method", Settings(), lambda o: lambda v: o.scaled(v), _set("rate", 0.9))
outside("a bound method", Settings(), lambda o: o.scaled, _set("rate", 0.9))
outside("an object that is called", Settings(), lambda o: o, _set("rate", 0.9))
outside("an object that multiplies", Settings(), lambda o: lambda v: o * v, _set("rate", 0.9))
outside("an object's class", Settings(), lambda o: lambda v: v * o.kind, _set("kind", 0.9))
outside("a class", type("Own", (Settings,), {}), lambda o: lambda v: v * o.kind, _set("kind", 0.9))
outside("a method of a class", type("Own", (Settings,), {}), lambda o: lambda v: o.of_class(v), _set("kind", 0.9))
outside("a static method", Settings(), lambda o: lambda v: o.half(v))
outside("slots", Slotted(), lambda o: lambda v: v * o.rate, _set("rate", 0.9))
outside("computed attributes", Dynamic(), lambda o: lambda v: v * o.rate, lambda o: _put("rate", 0.9)(o.known))
outside("a dictionary by attributes", AttributeDict(rate=0.5), lambda o: lambda v: v * o.rate, _put("rate", 0.9))
outside("a data class", Data(), lambda o: lambda v: v * o.rate, _set("rate", 0.9))
outside("a frozen data class", Frozen(), lambda o: lambda v: v * o.rate)
outside("a named tuple", Pair(0.5, 0.1), lambda o: lambda v: v * o.rate + o.shift)
outside("a member", Kind.LOW, lambda o: lambda v: v * o.value)
outside("members", Kind, lambda o: lambda v: v * o.HIGH.value)
outside("a list", [0.5], lambda o: lambda v: v * o[0], _put(0, 0.9))
outside("a longer list", [0.5], lambda o: lambda v: v * sum(o), lambda o: o.append(0.4))
outside("a dictionary", {"rate": 0.5}, lambda o: lambda v: v * o["rate"], _put("rate", 0.9))
outside(
    "a dictionary in another", {"a": {"b": 0.5}}, lambda o: lambda v: v * o["a"]["b"], lambda o: _put("b", 0.9)(o["a"])
)
outside("a dictionary's get", {"rate": 0.5}, lambda o: lambda v: v * o.get("rate", 1.0), lambda o: o.pop("rate"))
outside("a bound get", {"rate": 0.5}.get, lambda o: lambda v: v * o("rate"))
outside("a view of a dictionary", types.MappingProxyType({"rate": 0.5}), lambda o: lambda v: v * o["rate"])
outside(
    "a default dictionary",
    collections.defaultdict(lambda: 0.5, {"a": 0.5}),
    lambda o: lambda v: v * o["a"],
    _put("a", 0.9),
)
outside("an ordered dictionary", collections.OrderedDict(a=0.5), lambda o: lambda v: v * o["a"], _put("a", 0.9))
outside("a deque", collections.deque([0.5]), lambda o: lambda v: v * o[0], _put(0, 0.9))
outside("a set", {0.5}, lambda o: lambda v: v * max(o), lambda o: o.add(0.9))
outside("a frozen set", frozenset({0.5}), lambda o: lambda v: v * max(o))
outside("a tuple of lists", ([0.5],), lambda o: lambda v: v * o[0][0], lambda o: _put(0, 0.9)(o[0]))
outside("a function in a list", [lambda v: v * 0.5], lambda o: lambda v: o[0](v), _put(0, lambda v: v * 0.9))
outside("a function in a dictionary", {"f": torch.sigmoid}, lambda o: lambda v: o["f"](v), _put("f", torch.relu))
outside("a fraction", fractions.Fraction(1, 2), lambda o: lambda v: v * float(o))
outside("numpy's number", np.float64(0.5), lambda o: lambda v: v * float(o))
outside("numpy's array", np.array([0.5]), lambda o: lambda v: v * float(o[0]), _put(0, 0.9), says="reads o")
outside("an array", array.array("d", [0.5]), lambda o: lambda v: v * o[0], _put(0, 0.9), says="reads o")
outside("a decimal", Decimal("0.5"), lambda o: lambda v: v * float(o), says=" o")
outside("a tensor", torch.tensor(0.5), lambda o: lambda v: v * o, lambda o: o.fill_(0.9), says="reads o, a tensor")
outside(
    "a tensor in a list",
    [torch.tensor(0.5)],
    lambda o: lambda v: v * o[0],
    lambda o: o[0].fill_(0.9),
    says="o[0], a tensor",
)
outside(
    "a tensor's item",
    torch.tensor(0.5),
    lambda o: lambda v: v * o.item(),
    lambda o: o.fill_(0.9),
    says="reads o, a tensor",
)
outside("a parameter", nn.Parameter(torch.tensor(0.5)), lambda o: lambda v: v * o, says="reads o, a tensor")
outside("a context variable", contextvars.ContextVar("rate", default=0.5), lambda o: lambda v: v * o.get(), says="o")
outside("a counter", itertools.count(), lambda o: lambda v: v * next(o), says="reads o, a count")
outside("an iterator", iter([0.5] * 999), lambda o: lambda v: v * next(o), says="reads o")
outside("a generator function", (x for x in [0.5] * 999), lambda o: lambda v: v * next(o), says="reads o")
outside("a thread's own", threading.local(), lambda o: lambda v: v * getattr(o, "rate", 0.5), says="o")
outside("a weak reference", weakref.ref(Settings), lambda o: lambda v: v * o().kind, says="reads o")
outside("bytes that change", bytearray(b"\x02"), lambda o: lambda v: v * o[0], _put(0, 3), says="reads o")
outside("a partial", partial(operator.mul, 0.5), lambda o: lambda v: o(v))
outside("a cached function", functools.cache(lambda: 0.5), lambda o: lambda v: v * o(), says="calls o")
outside("an attribute getter", operator.attrgetter("rate"), lambda o: lambda v: v * o(Frozen()))
outside("a copy", Data(), lambda o: lambda v: v * copy.copy(o).rate, _set("rate", 0.9))
outside("all attributes", Data(), lambda o: lambda v: v * vars(o)["rate"], _set("rate", 0.9))
outside("all fields", Data(), lambda o: lambda v: v * dataclasses.asdict(o)["rate"], _set("rate", 0.9))
outside("an attribute by name", Data(), lambda o: lambda v: v * getattr(o, "rate"), _set("rate", 0.9))  # noqa: B009
outside("an attribute by parts", Data(), lambda o: lambda v: v * getattr(o, "ra" + "te"), _set("rate", 0.9))
outside("whether there is one", Data(), lambda o: lambda v: v if hasattr(o, "more") else v * 0.5, _set("more", 0.9))
outside("a module of torch", nn.Tanh(), lambda o: lambda v: o(v))
outside("softplus", nn.Softplus(2.0), lambda o: lambda v: o(v), _set("beta", 1.0))
outside("modules one after another", nn.Sequential(nn.Tanh(), nn.Sigmoid()), lambda o: lambda v: o(v))
outside("dropout in evaluation", nn.Dropout(0.5).eval(), lambda o: lambda v: o(v))
outside("dropout in training", nn.Dropout(0.5), lambda o: lambda v: o(v), says="random numbers")
outside("a linear layer", nn.Linear(1, 1), lambda o: lambda v: v * o.weight.sum(), says="o")
outside("PReLU", nn.PReLU(), lambda o: lambda v: o(v), says="a tensor")
outside(
    "a model",
    nn.ModuleDict({"other": nn.Linear(2, 2)}),
    lambda o: lambda v: v * (0.5 if o.training else 1.0),
    _set("training", False),
)
outside("a script", _scripted, lambda o: lambda v: o(v), says="reads o")
outside("arguments", argparse.Namespace(rate=0.5), lambda o: lambda v: v * o.rate, _set("rate", 0.9))
outside(
    "many numbers", {str(n): 0.5 for n in range(5000)}, lambda o: lambda v: v * o["7"], _put("7", 0.9), says="places"
)
outside("itself", _Model(), lambda o: o.step_of, _set("rate", 0.9))
outside("a function of torch", torch.tanh, lambda o: lambda v: o(v))
outside("an operator", torch.ops.aten.tanh.default, lambda o: lambda v: o(v))
outside("a method of tensors", Tensor.sigmoid, lambda o: lambda v: o(v))
outside("a default", None, lambda o: lambda v, by=0.5: v * by)
outside(
    "a module",
    types.ModuleType("settings"),
    lambda o: lambda v: v * getattr(o, "rate", 0.5),
    _set("rate", 0.9),
    says=None,
)


def _defaulting(v: Tensor, *, by: float = 0.5) -> Tensor:
    return v * by


def _attributed(v: Tensor) -> Tensor:
    return v * _attributed.by  # pyright: ignore[reportFunctionMemberAccess]


def _exchanged(v: Tensor) -> Tensor:
    return v * 0.5


def _another(v: Tensor) -> Tensor:
    return v * 0.9


_attributed.by = 0.5  # pyright: ignore[reportFunctionMemberAccess]
_space = globals()
SCALE, NOTHING, FACTORS, LATER = 0.5, None, (0.5, 0.25), 0.5
fine("a default that changes", _defaulting, change=partial(setattr, _defaulting, "__kwdefaults__", {"by": 0.9}))
fine("an attribute of a function", _attributed, change=partial(setattr, _attributed, "by", 0.9))
fine("other code", _exchanged, change=lambda: setattr(_exchanged, "__code__", _another.__code__))
fine("a global", lambda v: v * SCALE, change=partial(_put("SCALE", 0.9), _space))
fine(
    "a global that is set",
    lambda v: v * (0.5 if NOTHING is None else NOTHING),
    change=partial(_put("NOTHING", 0.9), _space),
)
fine("a global tuple", lambda v: v * FACTORS[0], change=partial(_put("FACTORS", (0.9, 0.1)), _space))
fine("a builtin's place is taken", lambda v: v * abs(-0.5), change=partial(_put("abs", lambda n: 0.9), _space))
fine("a global of a global function", lambda v: _helped(v), change=partial(_put("LATER", 0.9), _space))
fine("an import inside", lambda v: v * _imported())
fine("a name of math", lambda v: v * math.pi * math.exp(-1))
fine("a function of numpy", lambda v: v * float(np.exp(-0.5) * np.pi))
add("globals()", lambda v: v * globals()["SCALE"], "globals")
add("eval", lambda v: v * eval("SCALE"), "eval")
add("sys.modules", lambda v: v * sys.modules[__name__].SCALE, "sys")
add("__globals__", lambda v: v * _another.__globals__["SCALE"], "__globals__")
add("an import of a generator", lambda v: v * _drawn(), "random")
add("print", lambda v: print(end="") or v * 0.5, "print")
add("a file", lambda v: v * _read(), "open")


def _read() -> float:
    with open(os.devnull) as file:
        return len(file.read()) + 0.5


def _helped(v: Tensor) -> Tensor:
    return v * LATER


def _imported() -> float:
    from math import pi

    return pi / 4


def _drawn() -> float:
    import random

    return random.random()


def _closed() -> tuple[Callable[[Tensor], Tensor], Callable[[], None]]:
    rate = 0.5

    def change() -> None:
        nonlocal rate
        rate = 0.9

    return lambda v: v * rate, change


_reads, _changes = _closed()
fine("a variable that is closed over", _reads, change=_changes)

# What a step changes

_counts: dict[str, Any] = {"n": 0.0}
_log: list[Any] = []
_memory: dict[Any, Any] = {}
CALLS = 0.0


def _counting(v: Tensor) -> Tensor:
    _counts["n"] += 0.1
    return v * _counts["n"]


def _global_counting(v: Tensor) -> Tensor:
    global CALLS
    CALLS += 0.1
    return v * CALLS


def _nonlocal_counting() -> Callable[[Tensor], Tensor]:
    calls = 0.0

    def function(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 0.1
        return v * calls

    return function


def _remembering(v: Tensor, log: list[Any] = []) -> Tensor:  # noqa: B006
    log.append(0.1)
    return v * len(log) * 0.01


class Calls:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0.0

    def __call__(self, v: Tensor) -> Tensor:
        self.calls += 0.1
        return v * self.calls


class Last:
    """Keeps what it saw."""

    def __init__(self) -> None:
        self.last: Any = 0.0

    def __call__(self, v: Tensor) -> Tensor:
        v = v + self.last
        self.last = float(len(_log) + 1)
        return v


add("counts in a dictionary", _counting, "_counts")
add("counts in a global", _global_counting, "CALLS")
add("counts in a closure", _nonlocal_counting(), "calls")
add("appends to a list", lambda v: _log.append(1) or v * 0.5, "_log")
add("appends to a default", _remembering, "the step changes")
add("counts in itself", Calls(), "calls")
add("keeps the last", Last(), "last")
add("remembers by size", lambda v: v * _memory.setdefault(len(_memory), 0.5), "_memory")
fine("changes what it made", lambda v: (v * 2).mul_(0.5).add_(1))
fine("relu in place", lambda v: F.relu(v * 0.5, inplace=True))


def try_one(case: Case, seed: int = 0) -> list[str]:
    """What is wrong with a case; raises nothing."""
    wrong, told = [], []
    for dtype in case.dtypes:
        for rows, hidden in case.sizes:
            torch.manual_seed(seed)
            layer = ostinato.Recurrent(case.cell, 3, hidden).to(dtype)
            x = torch.randn(3, rows, 3, dtype=dtype)
            for changed in (False, True) if case.change is not None else (False,):
                if changed and (rows, hidden, dtype) == (*case.sizes[0], case.dtypes[0]):
                    assert case.change is not None
                    before = layer(x)[0]
                    case.change()
                    if torch.equal(before, layer(x)[0]):
                        wrong.append("a change was not noticed")
                explained = str(ostinato.explain(layer, x))
                is_compiled = ": compiled" in explained
                told.append("" if is_compiled else explained)
                if is_compiled:
                    wrong += _compared(layer, x)
                if case.compiles and not is_compiled:
                    wrong.append(f"not compiled: {explained}")
    if case.says is not None and not any(case.says in text for text in told):
        wrong.append(f"expected {case.says!r} in {told}")
    return list(dict.fromkeys(wrong))


def _compared(layer: ostinato.Recurrent, x: Tensor) -> list[str]:
    found = []
    for name in ("auto", "reference"):
        with ostinato.backend(name):
            layer.zero_grad()
            output = layer(x)[0]
            output.square().sum().backward()
        found.append([output.detach(), *(p.grad for p in layer.parameters())])
    tolerance = 1e-4 if x.dtype is torch.float32 else 0.05 if x.dtype is torch.bfloat16 else 1e-9
    off = [(a - b).abs().max().item() / (1 + b.abs().max().item()) for a, b in zip(*found, strict=True)]
    return [f"off by {max(off):.2g} at {tuple(x.shape)}"] if not max(off) < tolerance else []


def main() -> None:
    """Try all cases, or those whose names hold a word of the command line."""
    words, failed, tried = sys.argv[1:], 0, 0
    for name, case in CASES.items():
        if words and not any(word in name for word in words):
            continue
        tried += 1
        try:
            wrong = try_one(case)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            failed += 1
            print(f"{name}: {'; '.join(wrong)}", flush=True)
    print(f"{tried} steps, {failed} wrong", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
