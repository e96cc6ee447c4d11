import pytest

from ostinato.errors import ConfigError
from ostinato.training.distributed.plan import Plan, machines, plan
from tests.training.distributed.test_launch import NAMES


@pytest.fixture(autouse=True)
def nobody_launched_this(monkeypatch):
    for name in (*NAMES, "PET_RDZV_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_one_machine_needs_to_be_told_nothing():
    assert plan(2) == Plan(2)
    assert plan(2, elastic="1:4", max_restarts=5) == Plan(2, 1, 1, 5, is_elastic=True)  # nobody could find it


def test_several_machines_have_to_find_each_other(monkeypatch):
    with pytest.raises(ConfigError, match="expected MASTER_ADDR, MASTER_PORT, NODE_RANK in the environment"):
        plan(2, 2)
    for name, value in {"MASTER_ADDR": "node0", "MASTER_PORT": "1234", "NODE_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="NODE_RANK: expected a number from 0 to 1, got 2"):
        plan(2, 2)
    assert plan(2, 3) == Plan(2, 3, 3, place="node0:1234", node=2)


def test_elastic_ones_need_a_place_to_meet_and_no_numbers(monkeypatch):
    with pytest.raises(
        ConfigError, match="expected MASTER_ADDR and MASTER_PORT in the environment, where 2 machines meet"
    ):
        plan(1, elastic="2:4")
    monkeypatch.setenv("PET_RDZV_ENDPOINT", "job-worker-0:29400")
    assert plan(1, elastic="2:4") == Plan(1, 2, 4, 3, is_elastic=True, place="job-worker-0:29400")
    monkeypatch.setenv("MASTER_ADDR", "node0")
    monkeypatch.setenv("MASTER_PORT", "1234")
    assert plan(1, elastic="2:4").place == "node0:1234"


def test_machines_are_a_range():
    assert machines("1:4") == (1, 4)
    assert machines("2") == (2, 2)
    for wrong in ("", "4:1", "0:2", "1:", ":3", "a:b", "1:2:3", "-1:2"):
        with pytest.raises(ConfigError, match="expected machines as MIN:MAX, such as 1:4, got"):
            machines(wrong)


def test_any_number_of_machines_that_may_come_can_share_the_rows():
    planned = Plan(2, 1, 3, is_elastic=True)
    planned.check_rows(12)
    with pytest.raises(ConfigError, match="the 6 processes of 3 machines can share evenly, got 8; take 12, or fewer"):
        planned.check_rows(8)
    Plan(2, 1, 2, is_elastic=True).check_rows(8)
