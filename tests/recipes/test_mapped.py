"""Training on a text that is mapped and read ahead is training on the same text in memory."""

import json

import pytest

from ostinato import recipes
from ostinato.data.tokens import corpus
from ostinato.recipes.lm.settings import LanguageModelSettings

TEXT = "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or eye,\n" * 40


@pytest.fixture
def train(tmp_path, monkeypatch):
    (tmp_path / "poem.txt").write_text(TEXT)
    monkeypatch.setattr("ostinato.recipes.lm.task.SAMPLE_END", 2)

    def call(run, *, resume=False, stop=False):
        settings = {
            "data": str(tmp_path / "poem.txt"),
            "run": str(tmp_path / run),
            "device": "cpu",
            "precision": "32-true",
            "quiet": True,
            "resume": resume,
            "model": {"embedding_size": 4, "hidden_size": 8, "dropout": 0.2},
            "training": {"max_steps": 70, "batch_size": 4, "chunk_length": 16, "evaluate_every": 35, "log_every": 10},
            "baselines": {"markov_orders": 0, "window": 0},
        }
        return recipes.train(LanguageModelSettings.from_dict(settings), on_evaluation=lambda step, loss: stop)

    return call


def test_weights_and_losses_are_those_of_the_text_in_memory(train, tmp_path, monkeypatch):
    train("memory")
    monkeypatch.setattr(corpus, "IN_MEMORY_BYTES", 100)
    train("mapped")  # 70 steps are more than one epoch
    assert (tmp_path / "mapped" / "corpus.tokens").exists()
    assert train("stopped", stop=True).outcome.ending == "pruned"
    train("stopped", resume=True)
    models, losses = [], []
    for run in ("memory", "mapped", "stopped"):
        models.append((tmp_path / run / "model.safetensors").read_bytes())
        lines = [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["loss"] for line in lines if "loss" in line])
        shares = [line["waiting_share"] for line in lines if "waiting_share" in line]
        assert len(shares) == 7
        assert all(0 < share < 1 for share in shares)
    assert models[0] == models[1] == models[2]
    assert losses[0] == losses[1] == losses[2]
