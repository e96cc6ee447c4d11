from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.kernels.unusual_steps import CASES, Case, of_one, try_one

# What is compiled takes a second each, so some stand for all; those that are refused at every size take none.
COMPILED = (
    *(
        "a branch on one row",
        "a width of 50 at most",
        "a size that raises",
        "zeros by len",
        "to a dtype",
        "no gradient inside",
        "numpy's number of a size",
        "how many parts",
        "one dimension less for one row",
    ),
    *("outside: an object that is called", "outside: softplus", "outside: a list", "a variable that is closed over"),
    "outside: a frozen data class",
)
CHEAP = [name for name, case in CASES.items() if case.says not in (None, "unusual_steps.py:", "the step")]


@pytest.mark.parametrize("name", [*COMPILED, *CHEAP])
def test_a_step_gives_what_the_reference_gives_or_is_run_there_with_the_reason_told(name: str) -> None:
    assert try_one(CASES[name]) == []


def test_there_are_two_hundred() -> None:
    assert len(CASES) >= 200


def test_a_look_at_a_size_counts_in_a_folder_whose_name_begins_as_torchs() -> None:
    space: dict[str, Any] = {}
    file = f"{Path(torch.__file__).parent}_of_mine/steps.py"
    # A number of its own: steps that are the same share what was seen of one of them, and so its line.
    exec(compile("def scaled(v):\n    return v * 0.4375 if len(v) == 1 else v", file, "exec"), space)
    assert try_one(Case(of_one(space["scaled"]), "steps.py:2")) == []
