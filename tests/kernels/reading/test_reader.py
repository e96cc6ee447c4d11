"""What a step reads in ways that its code does not spell out: each is looked at again, or refused."""

from __future__ import annotations

import collections
import enum
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from ostinato.kernels.reading.fingerprint import read
from tests.kernels.unusual_steps import of_one

KEY = "kind"
_rate, _go = operator.attrgetter("rate"), operator.methodcaller("go")


class Bare:
    __match_args__ = ("rate",)
    rate: float


class Plain:
    kind = 0.5

    def __init__(self) -> None:
        self.rate = 0.5

    def go(self) -> float:
        return self.rate

    def __str__(self) -> str:
        return str(self.rate)


class Other(Plain):
    pass


class OwnSequential(nn.Sequential):
    pass


class OwnSoftplus(nn.Softplus):
    pass


class OwnDict(collections.UserDict[str, float]):
    pass


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Softplus(2.0)

    def forward(self, v: Any) -> Any:
        for child in self.children():
            v = child(v)
        return v


def _matched(o: Any) -> Callable[[Any], Any]:
    def step(v: Any) -> Any:
        match o:
            case Bare(rate):
                return v * rate

    return step


def _shadowed(o: Any) -> None:
    del o.rate
    o.kind = 0.9


def _put(name: str, value: Any) -> Callable[[Any], None]:
    return lambda o: setattr(o, name, value)


def _own_class() -> Any:
    return type("Own", (Plain,), {"kind": 0.5})


def _bare() -> Bare:
    bare = Bare()
    bare.rate = 0.5
    return bare


def _own_member() -> Any:
    class Kind(enum.Enum):
        LOW = 0.5

        def applied(self, v: Any) -> Any:
            return v * self.value

    return Kind.LOW


def _other_method(member: Any) -> None:
    type(member).applied = lambda self, v: v


CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], object]]] = {
    "a method of a member": (_own_member, lambda o: lambda v: o.applied(v), _other_method),
    "a class attribute by key": (_own_class, lambda o: lambda v: v * getattr(o, KEY), _put("kind", 0.9)),
    "an attribute getter": (Plain, lambda o: lambda v: v * _rate(o), _put("rate", 0.9)),
    "a method caller": (Plain, lambda o: lambda v: v * _go(o), _put("rate", 0.9)),
    "a positional pattern": (_bare, _matched, _put("rate", 0.9)),
    "a text": (Plain, lambda o: lambda v: v * float(f"{o}"), _put("rate", 0.9)),
    "modules in a class of one's own": (
        lambda: OwnSequential(nn.Softplus(2.0)),
        lambda o: o,
        lambda o: setattr(o[0], "beta", 1.0),
    ),
    "settings of torch's class": (lambda: OwnSoftplus(2.0), lambda o: o, _put("beta", 1.0)),
    "children": (Parent, lambda o: o, lambda o: setattr(o.inside, "beta", 1.0)),
    "what a class of Python keeps": (
        lambda: OwnDict(rate=0.5),
        lambda o: lambda v: v * o["rate"],
        lambda o: o.update(rate=0.9),
    ),
    "numpy's record": (
        lambda: np.array([(0.5,)], dtype=[("a", "f8")])[0],
        lambda o: lambda v: v * float(o["a"]),
        lambda o: operator.setitem(o, "a", 0.9),
    ),
    "another class": (Plain, lambda o: lambda v: v * o.go(), _put("__class__", Other)),
    "another namespace": (Plain, lambda o: lambda v: v * o.rate, _put("__dict__", {"rate": 0.9})),
    "other bases": (_own_class, lambda o: lambda v: v * o.kind, _put("__bases__", (Other,))),
    "an attribute in front of the class's": (Plain, lambda o: lambda v: v * o.kind, _shadowed),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_noticed_or_what_may_change_is_refused(name: str) -> None:
    make, step, change = CASES[name]
    value = make()
    reading = read(of_one(step(value)))
    assert reading.refusal or reading.watch.holds()
    change(value)
    assert reading.refusal or not reading.watch.holds()


def test_modules_in_a_class_of_ones_own_are_told_apart() -> None:
    one, other = (of_one(OwnSequential(inside)) for inside in (nn.Tanh(), nn.Sigmoid()))
    assert read(one).digest != read(other).digest


def test_a_module_that_is_imported_inside_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    package, inside = types.ModuleType("outer_one"), types.ModuleType("outer_one.inner")
    package.inner, inside.RATE = inside, 0.5  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "outer_one", package)
    monkeypatch.setitem(sys.modules, "outer_one.inner", inside)
    reading = read(of_one(_imports))
    monkeypatch.setattr(inside, "RATE", 0.9)
    assert reading.refusal is None
    assert not reading.watch.holds()


def _imports(v: Any) -> Any:
    from outer_one.inner import RATE  # pyright: ignore[reportMissingImports]

    return v * RATE


def test_a_function_that_is_put_in_the_place_of_torchs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(cell := of_one(lambda v: F.softplus(v)))
    monkeypatch.setattr(F, "softplus", lambda v: v * 0.9)
    assert not before.watch.holds()
    assert read(cell).digest not in (None, before.digest)


def test_an_attribute_that_the_code_names_asks_for_no_other() -> None:
    class Saved(Plain):
        def save(self) -> None:
            print(self.rate)

    saved = Saved()
    assert read(of_one(lambda v: v * getattr(saved, "rate", 1.0))).refusal is None
