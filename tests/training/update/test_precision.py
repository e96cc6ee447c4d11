import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.training.update import precision
from ostinato.training.update.precision import choose_precision, has_fast_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": True}, "32-true"),
        ({"sve_bf16": True}, "bf16-mixed"),
        ({}, "32-true"),
    ],
)
def test_auto_is_bf16_where_the_processor_multiplies_in_it(monkeypatch, capabilities, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", CPU) == chosen


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_on_cuda_it_is_bf16_from_ampere_on(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_fast_bf16(torch.device("cuda")) is fast


def test_other_devices_compute_in_float32():
    assert choose_precision("auto", torch.device("mps")) == "32-true"


def test_what_is_asked_for_is_taken():
    assert choose_precision("64-true", CPU) == "64-true"
    assert choose_precision("16-mixed", torch.device("cuda")) == "16-mixed"


def test_float16_needs_cuda():
    with pytest.raises(ConfigError, match=r"16-mixed needs a CUDA device, this is cpu; choose bf16-mixed or 32-true"):
        choose_precision("16-mixed", CPU)


def test_the_capabilities_are_those_of_this_torch():
    assert isinstance(precision.has_fast_bf16(CPU), bool)
