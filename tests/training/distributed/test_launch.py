import os
import sys

import pytest

from ostinato.training.distributed.launch import is_launched, is_watched, launch_name, rank

NAMES = (
    *("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "RANK", "LOCAL_RANK", "WORLD_SIZE"),
    *("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_STEP_ID", "OSTINATO_WATCHED"),
)


@pytest.fixture(autouse=True)
def nobody_launched_this(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_slurm_and_torchrun_are_known(monkeypatch):
    assert not is_launched()
    assert not is_watched()
    assert rank() == 0
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert not is_launched()  # a batch script, not one of srun's tasks
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert is_launched()
    assert rank() == 3
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "1")
    assert rank() == 1


def test_so_are_those_who_set_all_the_variables_that_torch_reads(monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "node0", "MASTER_PORT": "1234"}.items():
        monkeypatch.setenv(name, value)
    assert not is_launched()  # a machine of Kubeflow's, on which processes are still to be started
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert is_launched()
    assert rank() == 1


def test_a_launch_has_a_name_where_somebody_gave_it_one(monkeypatch):
    assert launch_name() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun's word for none
    assert launch_name() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "node0:29500")
    assert launch_name() == "node0:29500"


def test_planning_needs_no_torch():
    code = "import sys, ostinato.training.distributed.plan, ostinato.training.distributed.launch; sys.exit('torch' in sys.modules)"
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0
