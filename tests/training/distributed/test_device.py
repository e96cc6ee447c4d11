import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.training.distributed.device import choose_device, make_fabric


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == torch.device("cuda")


@pytest.mark.parametrize("name", ["cuda:7", "mps:3", "xla"])
def test_a_device_that_is_not_here_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=f"{name} is not on this machine; choose auto or cpu"):
        choose_device(name)
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_a_device_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda, cuda:N or mps, got gpu0"):
        choose_device("gpu0")


def test_fabric_computes_as_told():
    fabric = make_fabric("cpu", "64-true")
    assert fabric.device == torch.device("cpu")
    assert fabric.setup_module(torch.nn.Linear(1, 1)).weight.dtype == torch.float64


def test_several_processes_have_a_device_each(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="cpu:0 is one device, but there are 2 processes; give cpu"):
        make_fabric("cpu:0", "32-true")
    with pytest.raises(ConfigError, match=r"strategy fsdp in 64-true: .*Choose a different precision"):
        make_fabric("cpu", "64-true", strategy="fsdp")
