"""What PyTorch itself asks of its recurrent modules, asked of ours: the database of inputs and errors that ships in its wheel.

`torch.testing._internal.common_modules` holds, for every module of torch.nn, how it is built and called, a reference to compare
with, and wrong input with the error that is due. PyTorch's own test/test_modules.py runs over it; these tests do that for ours.
The rest of PyTorch's tests are not in the wheel: `python -m tests.contracts.run_torch_tests PYTORCH_CHECKOUT` runs them.
"""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

import ostinato
from tests.support import assert_same, tensors

NAMES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
FEWEST = {"RNN": 32, "LSTM": 32, "GRU": 16, "RNNCell": 3, "LSTMCell": 2, "GRUCell": 2}


@pytest.fixture(scope="module")
def common_modules() -> Any:
    from torch.testing._internal import common_modules

    # Importing it forbids setting `torch.backends` flags from then on, for all tests of the process.
    torch.backends.disable_global_flags.__globals__["__allow_nonbracketed_mutation_flag"] = True
    return common_modules


@pytest.fixture(params=NAMES)
def info(request: pytest.FixtureRequest, common_modules: Any) -> Any:
    """The entry of the database with our class in place of torch's."""
    (found,) = [i for i in common_modules.module_db if i.module_cls is getattr(torch.nn, request.param)]
    ours = copy.copy(found)
    ours.module_cls = getattr(ostinato, request.param)
    return ours


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(params=["auto", "vendor", "reference"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with ostinato.backend(request.param):
        yield request.param


pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
    pytest.mark.usefixtures("backend"),
]


def samples(info: Any, dtype: torch.dtype, requires_grad: bool = False, training: bool = True) -> list[Any]:
    """The module inputs of an entry."""
    found = list(
        info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training)
    )
    if "with_packed_sequence" in inspect.signature(info.module_inputs_func).parameters:
        packed = info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training, with_packed_sequence=True
        )
        found += [s for s in packed if isinstance(s.forward_input.args[0], PackedSequence)]
    return found


def is_packed(sample: Any) -> bool:
    return isinstance(sample.forward_input.args[0], PackedSequence)


def build(info: Any, sample: Any, dtype: torch.dtype, training: bool = True) -> Any:
    arguments = sample.constructor_input
    return info.module_cls(*arguments.args, **arguments.kwargs, dtype=dtype).train(training)


def call(module: Any, sample: Any) -> Any:
    return module(*sample.forward_input.args, **sample.forward_input.kwargs)


def close(dtype: torch.dtype) -> float:
    return 1e-10 if dtype is torch.float64 else 1e-5


def test_the_database_has_what_it_had(info: Any) -> None:
    found = samples(info, torch.float32)
    assert len(found) >= FEWEST[info.module_cls.__name__]
    assert info.module_error_inputs_func is not None


@pytest.mark.cross
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_forward(info: Any, dtype: torch.dtype, training: bool) -> None:
    for sample in samples(info, dtype, training=training):
        module = build(info, sample, dtype, training)
        output = tensors(call(module, sample))
        theirs = info.module_cls.torch_class(
            *sample.constructor_input.args, **sample.constructor_input.kwargs, dtype=dtype
        )
        theirs.load_state_dict(module.state_dict())
        assert_same(output, tensors(call(theirs.train(training), sample)), atol=close(dtype))
        if sample.reference_fn is not None and not is_packed(sample):
            expected = sample.reference_fn(module, *sample.forward_input.args, **sample.forward_input.kwargs)
            assert_same(output, tensors(expected), atol=close(dtype))


@pytest.mark.cross
def test_factory_kwargs(info: Any, dtype: torch.dtype) -> None:
    for sample in samples(info, dtype):
        for device in ("cpu", "meta"):
            arguments = sample.constructor_input
            module = info.module_cls(*arguments.args, **arguments.kwargs, device=device, dtype=dtype)
            assert {(v.device.type, v.dtype) for v in module.state_dict().values()} == {(device, dtype)}


def test_repr(info: Any) -> None:
    for sample in samples(info, torch.float32):
        module = build(info, sample, torch.float32)
        theirs = info.module_cls.torch_class(*sample.constructor_input.args, **sample.constructor_input.kwargs)
        assert repr(module) == str(module) == repr(theirs)


@pytest.mark.cross
def test_pickle_and_save(info: Any, dtype: torch.dtype) -> None:
    for sample in samples(info, dtype):
        module = build(info, sample, dtype)
        expected = tensors(call(module, sample))
        buffer = io.BytesIO()
        torch.save(module, buffer)
        buffer.seek(0)
        for twin in (pickle.loads(pickle.dumps(module)), torch.load(buffer, weights_only=False)):
            assert_same(tensors(call(twin, sample)), expected, atol=0.0)


def test_to_and_to_empty(info: Any) -> None:
    for sample in samples(info, torch.float64):
        module = build(info, sample, torch.float32)
        expected = {name: (v.shape, v.requires_grad) for name, v in module.named_parameters()}
        for moved in (module.to(torch.float64), copy.deepcopy(module).to("meta").to_empty(device="cpu")):
            assert {name: (v.shape, v.requires_grad) for name, v in moved.named_parameters()} == expected
            assert {v.dtype for v in tensors(call(moved, sample)).values()} == {torch.float64}


def strided(value: Any) -> Any:
    """The same numbers with gaps between them."""
    if isinstance(value, torch.Tensor):
        wide = torch.empty(*value.shape, 2, dtype=value.dtype)
        wide[..., 0] = value
        return wide[..., 0]
    return tuple(strided(v) for v in value)


@pytest.mark.cross
def test_non_contiguous_tensors(info: Any, dtype: torch.dtype) -> None:
    for sample in samples(info, dtype):
        if is_packed(sample):
            continue
        module = build(info, sample, dtype)
        arguments = [strided(v) for v in sample.forward_input.args]
        assert not all(v.is_contiguous() for v in tensors(arguments).values())
        assert_same(tensors(module(*arguments)), tensors(call(module, sample)), atol=close(dtype))


@pytest.mark.cross
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(info: Any, order: int) -> None:
    check = torch.autograd.gradcheck if order == 1 else torch.autograd.gradgradcheck
    chosen = samples(info, torch.float64, requires_grad=True)[:: order**2]  # the second order is slow: every fourth
    for sample in chosen:
        if is_packed(sample):
            continue
        module = build(info, sample, torch.float64)
        inputs = tuple(tensors(sample.forward_input.args).values())
        count, parameters = len(inputs), dict(module.named_parameters())

        def run(*leaves: torch.Tensor, sample: Any = sample, module: Any = module, count: int = count) -> Any:
            given = dict(zip(dict(module.named_parameters()), leaves[count:], strict=True))
            x, *states = leaves[:count]
            hx = () if not states else (tuple(states),) if len(states) > 1 else (states[0],)
            return tuple(tensors(torch.func.functional_call(module, given, (x, *hx))).values())

        assert check(run, (*inputs, *(p.detach().requires_grad_() for p in parameters.values())), fast_mode=True)


def test_errors(info: Any, dtype: torch.dtype, common_modules: Any) -> None:
    found = info.module_error_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=True)
    assert found
    for wrong in found:
        sample = wrong.module_error_input
        constructor = sample.constructor_input
        if wrong.error_on is common_modules.ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(wrong.error_type, match=wrong.error_regex):
                info.module_cls(*constructor.args, **constructor.kwargs)
        else:
            module = info.module_cls(*constructor.args, **constructor.kwargs)
            with pytest.raises(wrong.error_type, match=wrong.error_regex):
                call(module, sample)
