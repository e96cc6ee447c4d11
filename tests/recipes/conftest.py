import pytest

from ostinato.recipes import train
from ostinato.recipes.lm.settings import BaselineSettings, LanguageModelSettings, ModelSettings
from ostinato.training.run.settings import TrainingSettings

TEXT = "the quick brown fox jumps over the lazy dog\n" * 60


def small(folder, data, **arguments):
    training = TrainingSettings(
        batch_size=4, chunk_length=16, max_steps=30, learning_rate=0.02, max_validation_tokens=200
    )
    return LanguageModelSettings(
        **{
            "data": str(data),
            "run": str(folder),
            "device": "cpu",
            "precision": "32-true",
            "quiet": True,
            "model": ModelSettings(embedding_size=8, hidden_size=16),
            "training": training,
            "baselines": BaselineSettings(markov_orders=2, window=2, window_time_s=0.1),
            **arguments,
        }
    )


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def result(tmp_path_factory, text):
    """A finished run."""
    return train(small(tmp_path_factory.mktemp("recipe") / "run", text))
