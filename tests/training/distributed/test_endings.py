import signal

import pytest

from ostinato.errors import RunError
from ostinato.training.distributed.endings import End, cause_of, verdict
from ostinato.training.distributed.launch import OF_A_PEER, OF_MEMORY


def ends(codes, first):
    return [End(rank, code, rank in first) for rank, code in enumerate(codes) if code]


@pytest.mark.parametrize(
    ("codes", "first", "expected"),
    [
        ((130, 130), (0, 1), 130),
        ((2, OF_A_PEER), (0,), 2),
        ((OF_A_PEER, 2), (0,), 2),
        ((0, 1), (1,), 1),
        ((OF_MEMORY, OF_A_PEER), (0,), 2),
        ((OF_A_PEER, -signal.SIGKILL), (0,), "process 1 of 2 was killed by SIGKILL"),
        ((-signal.SIGTERM, -signal.SIGSEGV), (1,), "process 1 of 2 was killed by SIGSEGV;"),
        ((1, -signal.SIGKILL), (1,), "process 1 of 2 was killed by SIGKILL"),
        ((OF_A_PEER, OF_A_PEER), (0,), "a process on another machine is gone"),
        ((OF_A_PEER, 130), (0,), "a process on another machine is gone"),  # 130: the agent has asked it to stop
    ],
)
def test_the_cause_is_told_and_not_what_it_led_to(codes, first, expected):
    if isinstance(expected, int):
        assert verdict(ends(codes, first), 2, str) == expected
    else:
        with pytest.raises(RunError, match=expected):
            verdict(ends(codes, first), 2, str)


def test_what_the_first_has_said_is_not_said_again(capfd):
    assert verdict(ends((2, 2), (1,)), 2, lambda rank: "the same") == 2
    assert capfd.readouterr().err == ""
    assert verdict(ends((OF_A_PEER, 2), (0,)), 2, lambda rank: f"only {rank}") == 2
    assert capfd.readouterr().err == "only 1"


def test_of_those_that_failed_together_the_lowest_is_the_cause():
    assert cause_of(ends((0, -9, -9), (1, 2))).rank == 1
