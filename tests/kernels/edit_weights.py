"""Edits weights in every way that PyTorch has, at random, and sees whether layers and streams go on with old ones.

    python -m tests.kernels.edit_weights 100000

Small layers of all cells, in float32 and float64, as they are made, and with weights that parametrizations or hooks make. After
each edit the layer must give what the reference gives, and bit for bit what it gives with all weights packed anew; and so must a
stream. What leaves no trace that a stream could notice, as its documentation says, is followed by `refresh()`.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.weak import WeakIdKeyDictionary

import ostinato
from ostinato import GRU, LSTM, RHN, RNN, MinGRU, MinLSTM, Recurrent, State, Stream, cell
from ostinato.kernels.cpu.run import packing

Tensor = torch.Tensor
Draw = random.Random


@cell(gates="a b", states="h m", parameters={"decay": "H", "shift": "G"})
def own_cell(x: Any, s: Any, U: Any, *, decay: Any, shift: Any) -> State:
    """Multiplies twice, and has vectors of its own."""
    m = torch.tanh(x.b + U.only("b")(s.h).b + shift[: x.b.shape[1]])
    return State(h=torch.sigmoid(x.a + U.only("a")(m).a) * m, m=decay * s.m + m)


MAKE: dict[str, Callable[..., Recurrent]] = {
    "rnn_tanh": lambda **more: RNN(5, 5, **more),
    "rnn_relu": lambda **more: RNN(3, 17, nonlinearity="relu", **more),
    "rnn_sigmoid": lambda **more: RNN(3, 8, nonlinearity="sigmoid", **more),
    "lstm": lambda **more: LSTM(3, 16, **more),
    "lstm_stack": lambda **more: LSTM(4, 7, 2, **more),
    "lstm_both_ways": lambda **more: LSTM(4, 7, bidirectional=True, **more),
    "lstm_projected": lambda **more: LSTM(3, 9, proj_size=4, **more),
    "lstm_peephole": lambda **more: LSTM(3, 9, peephole=True, **more),
    "lstm_normalised": lambda **more: LSTM(3, 9, layer_norm=True, **more),
    "lstm_coupled": lambda **more: LSTM(3, 9, coupled_gates=True, **more),
    "gru": lambda **more: GRU(3, 16, **more),
    "gru_reset_before": lambda **more: GRU(3, 6, reset_after=False, **more),
    "rhn": lambda **more: RHN(3, 8, depth=2, **more),
    "min_gru": lambda **more: MinGRU(6, 6, **more),
    "min_lstm": lambda **more: MinLSTM(3, 9, **more),
    "own": lambda **more: Recurrent(own_cell, 3, 8, **more),
}


class _Doubled(torch.nn.Module):
    def forward(self, v: Tensor) -> Tensor:
        return 2 * v


class _Scaled(torch.nn.Module):
    """A parametrization with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, v: Tensor) -> Tensor:
        return v * self.scale


def _own_hook(layer: Any, *_: Any) -> None:
    layer.weight_ih_l0 = 0.5 * layer.hooked


def _hooked(layer: Any) -> None:
    layer.hooked = layer.weight_ih_l0
    del layer.weight_ih_l0
    _own_hook(layer)
    layer.register_forward_pre_hook(_own_hook)


VARIANTS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda layer: None,
    "inference": lambda layer: None,  # made under torch.inference_mode()
    "weight_norm": lambda layer: parametrizations.weight_norm(layer, "weight_ih_l0"),
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, "weight_ih_l0"),
    "two parametrizations": lambda layer: [
        parametrize.register_parametrization(layer, "bias_ih_l0", each) for each in (_Doubled(), _Scaled())
    ],
    "old weight_norm": lambda layer: torch.nn.utils.weight_norm(layer, "weight_ih_l0"),  # pyright: ignore[reportDeprecated]
    "old spectral_norm": lambda layer: torch.nn.utils.spectral_norm(layer, "weight_ih_l0"),
    "pruned": lambda layer: [prune.random_unstructured(layer, name, 0.3) for name in ("weight_ih_l0", "bias_ih_l0")],
    "a hook": _hooked,
}


@dataclass
class Subject:
    """A layer, with a stream where it has one direction."""

    name: str
    layer: Any
    stream: Stream | None
    x: Tensor
    settled: dict[str, Tensor]  # what it began with, for when weights have grown too large

    @property
    def inference(self) -> bool:
        return self.name.endswith(" inference")


def subjects(names: list[str] | None = None, seed: int = 0) -> list[Subject]:
    """Every cell in both dtypes as it is, and in one of them with each of `VARIANTS`."""
    found = []
    torch.manual_seed(seed)
    for at, name in enumerate(names or MAKE):
        for turn, variant in enumerate(["plain", *VARIANTS]):
            dtype = (torch.float32, torch.float64)[turn if turn < 2 and variant == "plain" else (at + turn) % 2]
            with torch.inference_mode(variant == "inference"), warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of the old weight_norm
                layer = MAKE[name](dtype=dtype)
                VARIANTS[variant](layer)
                layer.to(dtype).eval()
                stream = None if layer.bidirectional else Stream(layer)
                x = torch.randn(2, 2, layer.input_size, dtype=dtype)
                settled = {key: v.clone() for key, v in layer.state_dict().items()}
            found.append(Subject(f"{name} {dtype} {variant}", layer, stream, x, settled))
    return found


# The edits: each gets a subject, some of its tensors, and a source of chance.


def like(v: Tensor) -> Tensor:
    return torch.randn_like(v) * 0.5


def bits(v: Tensor) -> Tensor:
    return v.view(torch.int32 if v.dtype is torch.float32 else torch.int64)


def some_of(v: Tensor, draw: Draw) -> Tensor:
    flat = v.view(-1)
    begin = draw.randrange(flat.numel())
    return flat[begin : begin + draw.choice([1, 2, 8, 64, 4096]) : draw.choice([1, 1, 2, 16])]


def swap_halves(v: Tensor) -> None:
    flat = v.view(-1)
    half = flat.numel() // 2
    flat[: 2 * half] = flat[: 2 * half].roll(half)


# On numbers where they lie; each is done in place, through `.data`, through numpy, through DLPack, and through a view.
PATTERNS: dict[str, Callable[[Tensor, Draw], Any]] = {
    "neg": lambda v, draw: v.neg_(),
    "neg of some": lambda v, draw: some_of(v, draw).neg_(),
    "by a power of two": lambda v, draw: v.mul_(2.0 ** draw.choice([-2, -1, 1])),
    "some by a power of two": lambda v, draw: some_of(v, draw).mul_(2.0 ** draw.choice([-3, -1, 1])),
    "by a number": lambda v, draw: v.mul_(draw.uniform(0.8, 1.1)),
    "fill": lambda v, draw: v.fill_(draw.choice([0.0, 0.25, -0.5, 0.1])),
    "fill some": lambda v, draw: some_of(v, draw).fill_(draw.choice([0.0, 1.0, -1.0])),
    "signs": lambda v, draw: v.copy_(torch.where(v >= 0, 0.25, -0.25)),
    "one bit": lambda v, draw: bits(v).view(-1)[draw.randrange(v.numel()) :][:1].bitwise_xor_(1 << draw.randrange(22)),
    "permuted": lambda v, draw: v.view(-1).copy_(v.view(-1)[torch.randperm(v.numel())]),
    "rows permuted": lambda v, draw: v.copy_(v[torch.randperm(len(v))]),
    "backwards": lambda v, draw: v.copy_(v.flip(0)),
    "rolled": lambda v, draw: v.copy_(v.roll(draw.choice([1, 2, 16]))),
    "halves swapped": lambda v, draw: swap_halves(v),
    "anew": lambda v, draw: v.copy_(like(v)),
    "clamped": lambda v, draw: v.clamp_(-0.2, 0.2),
    "nothing": lambda v, draw: v.mul_(1),
}
TRACELESS: dict[str, Callable[[Tensor], Tensor]] = {
    "data": lambda v: v.data,
    "a view of data": lambda v: v.data.view(-1).view(v.shape),
    "numpy": lambda v: torch.from_numpy(v.detach().numpy()),
    "dlpack": lambda v: torch.from_dlpack(v.detach()),
    "its storage": lambda v: torch.empty(0, dtype=v.dtype).set_(
        v.untyped_storage(), v.storage_offset(), v.shape, v.stride()
    ),
}
TRACED: dict[str, Callable[[Tensor], Tensor]] = {
    "in place": lambda v: v,
    "detached": lambda v: v.detach(),
    "a view": lambda v: v.view(-1).view(v.shape),
}


def _set_data(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        for _ in range(draw.choice([1, 2, 3])):  # a later one may lie where an earlier one lay
            v.data = v.data * 0.9 + 0.01


def _swap_data(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    pairs = [(a, b) for a in vs for b in vs if a is not b and a.shape == b.shape]
    if pairs:
        a, b = draw.choice(pairs)
        a.data, b.data = b.data, a.data


def _turn_over(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        if v.dim() == 2 and v.shape[0] == v.shape[1]:
            v.data = v.data.t()


def _strided(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        v.data = like(v).repeat_interleave(2, -1)[..., ::2]


def _set(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        v.set_(like(v))


def _optimiser(kind: Callable[..., torch.optim.Optimizer], **options: Any) -> Callable[..., None]:
    def step(s: Subject, vs: list[Tensor], draw: Draw) -> None:
        parameters = [v for v in s.layer.parameters() if v.is_leaf and not v.is_inference()]
        for v in parameters:
            v.grad = torch.randn_like(v)
        kind(parameters, lr=0.01, **options).step()
        for v in parameters:
            v.grad = None

    return step


def _foreach(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    draw.choice(
        [torch._foreach_neg_, lambda vs: torch._foreach_mul_(vs, 0.5), lambda vs: torch._foreach_add_(vs, 0.1)]
    )(vs)


def _vector(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    parameters = list(s.layer.parameters())
    vector = torch.cat([v.reshape(-1) for v in parameters])
    torch.nn.utils.vector_to_parameters(vector.roll(draw.randrange(5)) * 0.99, parameters)


def _load(assign: bool) -> Callable[..., None]:
    def load(s: Subject, vs: list[Tensor], draw: Draw) -> None:
        s.layer.load_state_dict({name: like(v) for name, v in s.layer.state_dict().items()}, assign=assign)

    return load


def _new_parameters(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for name, v in list(s.layer.named_parameters(recurse=False)):
        setattr(s.layer, name, torch.nn.Parameter(like(v)))


def _swapped_names(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    own = s.layer._parameters
    if "bias_ih_l0" in own and "bias_hh_l0" in own and own["bias_ih_l0"].shape == own["bias_hh_l0"].shape:
        s.layer.bias_ih_l0, s.layer.bias_hh_l0 = own["bias_hh_l0"], own["bias_ih_l0"]


def _swap_tensors(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        try:
            torch.utils.swap_tensors(v, torch.nn.Parameter(like(v)) if isinstance(v, torch.nn.Parameter) else like(v))
        except RuntimeError as error:  # a weight of torch.nn's layers cannot be swapped either
            if "weakref" not in str(error) and "AccumulateGrad" not in str(error):
                raise


def _shared(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        v.share_memory_()
        v.neg_()


def _reset(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    for v in vs:
        draw.choice([torch.nn.init.normal_, torch.nn.init.zeros_, torch.nn.init.uniform_])(v)


def _there_and_back(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    dtype = s.x.dtype
    s.layer.to(draw.choice([torch.bfloat16, torch.float16])).to(dtype)


def _prune(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    own = [name for name in s.layer._flat_weights_names if name in s.layer._parameters]
    own = [name for name in own if getattr(s.layer, name).is_contiguous()]  # torch's method wants a view
    masks = [name for name, _ in s.layer.named_buffers() if name.endswith("_mask")]
    if masks and draw.random() < 0.5:
        prune.remove(s.layer, draw.choice(masks).removesuffix("_mask"))
    elif own:
        prune.random_unstructured(s.layer, draw.choice(own), 0.2)


def _parametrize(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    layer = s.layer
    if parametrize.is_parametrized(layer) and draw.random() < 0.7:
        parametrize.remove_parametrizations(layer, next(iter(layer.parametrizations)))
    elif own := [name for name in layer._flat_weights_names if name in layer._parameters]:
        parametrize.register_parametrization(layer, draw.choice(own), _Scaled().to(s.x.dtype))


def _under_inference(s: Subject, vs: list[Tensor], draw: Draw) -> None:
    with torch.inference_mode():
        for v in vs:
            v.mul_(-1)


# What changes which tensors a layer has is kept from layers whose weights others make, or that were made in inference mode.
OTHERS: dict[str, Callable[[Subject, list[Tensor], Draw], None]] = {
    **{f.__name__.lstrip("_"): f for f in (_set_data, _swap_data, _turn_over, _strided, _vector, _foreach, _reset)},
    **{f.__name__.lstrip("_"): f for f in (_swap_tensors, _under_inference)},
    "load": _load(assign=False),
}
FOR_PLAIN: dict[str, Callable[[Subject, list[Tensor], Draw], None]] = {
    **{f.__name__.lstrip("_"): f for f in (_set, _new_parameters, _swapped_names, _shared, _there_and_back)},
    "load and assign": _load(assign=True),
    "sgd": _optimiser(torch.optim.SGD),
    "adam": _optimiser(torch.optim.Adam),
    "adam foreach": _optimiser(torch.optim.AdamW, foreach=True),
    "rmsprop": _optimiser(torch.optim.RMSprop),
    "adam fused": _optimiser(torch.optim.Adam, fused=True),
}
WITHOUT_TRACE = {"adam fused"}
FOR_HOOKED = {"prune": _prune}
FOR_PARAMETRIZED = {"parametrize": _parametrize}


@torch.no_grad()
def edit(s: Subject, draw: Draw) -> str:
    """One edit; its name, which ends in a star where a stream has to be told of it."""
    tensors = [*s.layer.parameters(), *(v for v in s.layer.buffers() if v.dim())]
    vs = draw.sample(tensors, draw.choice([1, 1, 2, len(tensors)]) % (len(tensors) + 1) or 1)
    kinds = {"pattern": None, **OTHERS}
    variant = s.name.split(" ", 2)[2]
    if variant == "plain":
        kinds |= FOR_PLAIN
    kinds |= FOR_HOOKED if variant == "pruned" else FOR_PARAMETRIZED if variant == "two parametrizations" else {}
    name = draw.choice([*kinds, *["pattern"] * len(kinds)])
    change = kinds[name]
    if change is not None:
        change(s, vs, draw)
        return name + "*" * (name in WITHOUT_TRACE)
    how = draw.choice([*TRACED, *TRACELESS])
    pattern = draw.choice(list(PATTERNS))
    for v in vs:
        if v.is_contiguous():  # after `_strided` and `_turn_over` it may not be
            PATTERNS[pattern]((TRACED.get(how) or TRACELESS[how])(v), draw)
    return f"{pattern}, {how}" + "*" * (how in TRACELESS)


@torch.no_grad()
def settle(s: Subject) -> None:
    """Put ordinary weights in the place of what has grown too large, has become nothing, or is no number (a direction of zeros)."""
    finite = all(getattr(s.layer, name).isfinite().all() for name in s.layer._flat_weights_names)
    for v in (*s.layer.parameters(), *s.layer.buffers()):
        if not (finite and 1e-3 < v.abs().max() < 4):
            v.copy_(torch.rand_like(v) - 0.4)


def same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


@contextlib.contextmanager
def everything_anew(layer: Recurrent) -> Iterator[None]:
    """Without what is kept of weights; it comes back afterwards."""
    kept, bound, by_cell = packing._panels, layer._bound, vars(layer.cell).pop("_bound", None)
    packing._panels, layer._bound = WeakIdKeyDictionary(), type(bound)()
    try:
        yield
    finally:
        packing._panels, layer._bound = kept, bound
        if by_cell is not None:
            vars(layer.cell)["_bound"] = by_cell


def _is_off_in_float64(s: Subject, in_stream: bool) -> bool:
    """Whether the same weights in float64 are off, too, in the layer or in a stream.

    A normalisation of numbers that are all the same, as weights of one number make them, divides what was rounded by what is left.
    """
    made = [
        v for m in s.layer.modules() for each in vars(m).values() for v in (each if isinstance(each, list) else [each])
    ]
    # What hooks have made is no leaf, which nobody may copy.
    memo = {id(v): v.detach().clone() for v in made if isinstance(v, Tensor) and not v.is_leaf}
    copied, x = copy.deepcopy(s.layer, memo).double(), s.x.double()
    with ostinato.backend("reference"):
        want = copied(x)[0]
    if in_stream:
        stream = Stream(copied)
        got, want = torch.stack([stream(row) for row in x[:, 0]]), want[:, 0]
    else:
        with ostinato.backend("compiled"):
            got = copied(x)[0]
    return not torch.allclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)


@torch.no_grad()
def wrong(s: Subject, told: bool, closely: bool) -> str | None:
    """What of the layer and its stream is not what its weights say.

    With `told`, the stream is told of a change; `closely`, it must be bit for bit what a new one is, which takes longer to make.
    """
    layer, x = s.layer, s.x
    with ostinato.backend("compiled"):
        got = layer(x)[0]
        with everything_anew(layer):
            anew = layer(x)[0]
    if not same(got, anew):
        return "the layer is not what it is with weights packed anew"
    with ostinato.backend("reference"):
        want = layer(x)[0]
    tolerance = 2e-4 if x.dtype is torch.float32 else 1e-9
    if not torch.allclose(got, want, rtol=tolerance, atol=tolerance, equal_nan=True) and _is_off_in_float64(s, False):
        return "the layer is not the reference"
    if s.stream is None:
        return None
    if told:
        s.stream.refresh()
    s.stream.reset()
    steps = [s.stream(row) for row in x[:, 0]]
    if closely:
        other = Stream(layer)
        if not all(map(same, steps, [other(row) for row in x[:, 0]])):
            return "the stream is not what a new one is"
    is_off = not torch.allclose(torch.stack(steps), want[:, 0], rtol=tolerance, atol=tolerance, equal_nan=True)
    if is_off and _is_off_in_float64(s, True):
        return "the stream is not the reference"
    return None


def run(edits: int, seed: int = 0, names: list[str] | None = None) -> tuple[Counter[str], list[str]]:
    """So many edits; how often each was done, and what was wrong after which."""
    draw, every = Draw(seed), subjects(names, seed)
    done: Counter[str] = Counter()
    failures: list[str] = []
    for number in range(edits):
        s = draw.choice(every)
        with torch.inference_mode(s.inference):
            history = [edit(s, draw) for _ in range(draw.choice([1, 1, 1, 2, 3]))]
            settle(s)
            told = any(name.endswith("*") for name in history)
            found = wrong(s, told, closely=draw.random() < 0.2)
            for _ in range(draw.choice([0, 0, 1, 2])):  # from the second use on the bits are looked at
                with torch.no_grad():
                    s.layer(s.x)
        done.update(history)
        if found is not None:
            failures.append(f"edit {number}, {s.name}, after {'; '.join(history)}: {found}")
    return done, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("edits", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    done, failures = run(given.edits, given.seed)
    for line in failures[:20]:
        print(line)
    layers = len(MAKE) * (1 + len(VARIANTS))
    print(f"{done.total()} edits of {len(done)} kinds on {layers} layers in {time.monotonic() - began:.0f} s")
    print(f"after {given.edits} of {given.edits} looks, {len(failures)} found old weights")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
