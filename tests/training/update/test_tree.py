import json
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.training.update.tree import is_plain, map_tensors, pack, tensors_of, unpack

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
TENSORS = st.lists(st.integers(0, 9), max_size=3).map(torch.tensor)
TREES = st.recursive(
    LEAVES | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(left, right):
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, tuple | list):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@given(TREES)
def test_what_is_packed_comes_back_through_json(tree):
    tensors: dict[str, torch.Tensor] = {}
    packed = json.loads(json.dumps(pack(tree, "x", tensors)))
    assert same(unpack(packed, tensors), tree)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match=r"x\.a\.1: expected tensors.*got a set"):
        pack({"a": [1, {2}]}, "x", {})


Pair = namedtuple("Pair", "h c")


@dataclass(frozen=True)
class Box:
    content: torch.Tensor
    name: str


def test_map_reaches_every_tensor_and_nothing_else():
    one = torch.ones(1)
    tree = {"a": (one, [one, 3]), "b": Pair(one, None), "c": Box(one, "c")}
    doubled = map_tensors(lambda tensor: tensor * 2, tree)
    two = torch.full((1,), 2.0)
    assert same(doubled["a"], (two, [two, 3]))
    assert isinstance(doubled["b"], Pair)
    assert torch.equal(doubled["b"].h, two)
    assert doubled["b"].c is None
    assert torch.equal(doubled["c"].content, two)
    assert torch.equal(tree["c"].content, one)


def test_several_trees_are_gone_through_together():
    one, two = torch.ones(2), torch.full((2,), 2.0)
    tree = {"a": (one, [two, None]), "b": Pair(two, 3), "c": Box(one, "c")}
    summed = map_tensors(lambda a, b, c: a + b + c, tree, tree, tree)
    assert [float(tensor[0]) for tensor in tensors_of(summed)] == [3, 6, 6, 3]
    assert isinstance(summed["b"], Pair)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        map_tensors(lambda a, b: a, (one, two), (one,))


@given(TREES)
def test_what_is_plain_survives_packing(tree):
    assert is_plain(tree)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors_of(tree))


@pytest.mark.parametrize("tree", [Pair(1, 2), {"a": [Box(torch.ones(1), "b")]}, {(1, 2): 3}, {4}])
def test_what_comes_back_otherwise_is_not_plain(tree):
    assert not is_plain(tree)
