from __future__ import annotations

import math

import pytest
import torch
from benchmarks import fewer_bits, streaming

from ostinato.data import CharVocabulary
from ostinato.models import LanguageModel


@pytest.mark.parametrize("dtype", streaming.DTYPES, ids=str)
def test_rows_are_timed_together_and_one_by_one(dtype: torch.dtype | None) -> None:
    found = streaming.together(8, 3, 10, dtype, budget_s=0.01)
    assert found.rows == 3
    assert min(found.together_s, found.single_s, found.product_s) > 0


def test_a_text_is_scored_with_each_dtype() -> None:
    torch.manual_seed(0)
    model = LanguageModel(CharVocabulary("abc"), 4, 8).eval()
    tokens = torch.randint(0, 4, (120,)).tolist()
    exact, *rounded = fewer_bits.measured(model, tokens)
    with torch.no_grad():
        logits = model(torch.tensor(tokens)[:-1, None])[0][:, 0]
    want = float(torch.nn.functional.cross_entropy(logits.double(), torch.tensor(tokens[1:])))
    assert exact.nats == pytest.approx(want, rel=1e-6)
    assert [each.name for each in (exact, *rounded)] == ["float32", "bfloat16", "int8"]
    assert all(math.isclose(each.nats, want, rel_tol=0.01) and each.step_s > 0 for each in rounded)
