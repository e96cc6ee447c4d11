import pytest

from ostinato.errors import ConfigError
from ostinato.training import Budget


def test_the_limit_that_is_used_up_most_counts():
    budget = Budget(max_steps=100, max_epochs=2, max_time_s=50.0)
    assert budget.used(10, 0.1, 1.0) == 0.1
    assert budget.used(10, 1.0, 1.0) == 0.5
    assert budget.used(10, 0.1, 45.0) == 0.9
    assert Budget(max_steps=10).used(5, 1000, 1000) == 0.5


def test_a_schedule_follows_the_clock_only_where_that_ends_the_training():
    both = Budget(max_epochs=20, max_time_s=300.0)
    assert both.scheduled(1, 0.1, 5.0) == 0.005  # compiling took 5 s
    assert both.scheduled(1, 10.0, 5.0) == both.scheduled(1, 10.0, 149.0) == 0.5
    assert both.scheduled(1, 0.1, 29.9) == 0.005
    assert both.scheduled(1, 1.0, 60.0) == 0.2  # at this pace, 20 epochs would take 1,200 s
    assert both.scheduled(1, 20.0, 1.0) == 1.0
    assert Budget(max_time_s=50.0).scheduled(3, 0.1, 1.0) == 0.02
    assert Budget(max_steps=10, max_epochs=2).scheduled(5, 1.5, 1e6) == 0.75


@pytest.mark.parametrize("limits", [{"max_steps": 0}, {"max_epochs": -1.0}, {"max_time_s": 0.0}])
def test_a_limit_must_be_above_zero(limits):
    with pytest.raises(ConfigError, match=f"{next(iter(limits))}: expected a number above 0, got"):
        Budget(**limits)


def test_there_must_be_a_limit():
    with pytest.raises(ConfigError, match="max_steps, max_epochs, max_time_s, got none"):
        Budget()


def test_the_limits_that_are_reached_are_named():
    budget = Budget(max_steps=100, max_epochs=2, max_time_s=50.0)
    assert budget.used_up(99, 1.9, 49.0) == {}
    assert budget.used_up(100, 1.0, 51.0) == {"max_steps": 100, "max_time_s": 50.0}
    assert str(budget) == "100 steps or 2 epochs or 50 s, whichever is over first"
    assert str(Budget(max_epochs=15.0)) == "15 epochs"
