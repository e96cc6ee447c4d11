from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato.errors import StateError
from ostinato.models import Classifier
from ostinato.models.classifying.class_stream import ClassStream
from ostinato.serving.stepping.bank import Bank


@pytest.mark.parametrize("naive_bayes", [None, [7, 5]], ids=["states of one size", "states of any size"])
def test_a_state_that_is_none_changes_no_row(naive_bayes: list[int] | None) -> None:
    torch.manual_seed(0)
    model = Classifier(3, vocabulary_size=9, embedding_size=4, hidden_size=6, naive_bayes=naive_bayes).eval()
    bank = Bank(ClassStream(model, rows=2), {"count": np.arange(2)}, "")
    rows = np.arange(2)
    for tokens in ([1, 2], [3, 4]):
        bank.stream(torch.tensor(tokens))
    before = bank.pack(rows)
    bank.reset(rows)
    fresh = bank.pack(rows)
    assert before != fresh
    with pytest.raises(StateError):
        bank.unpack(rows, [before[1], before[0][:-3]])
    assert bank.pack(rows) == fresh
    bank.unpack(rows, before)
    assert bank.pack(rows) == before
