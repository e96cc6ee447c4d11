import pytest

from tests.kernels import edit_weights
from tests.kernels.edit_weights import run


@pytest.mark.parametrize("name", ["rnn_tanh", "lstm"])
def test_no_edit_leaves_old_weights_in_use(name: str) -> None:
    """`python -m tests.kernels.edit_weights 100000` does it on all cells."""
    done, failures = run(60, names=[name])
    assert failures == []
    assert len(done) > 40


def test_old_weights_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a checksum that sees nothing, to know that the edits are such that it matters."""
    monkeypatch.setattr(edit_weights.packing.Checksum, "taken", lambda self: b"")
    _, failures = run(60, names=["rnn_tanh"])
    assert any("the layer is not what it is with weights packed anew" in line for line in failures)
