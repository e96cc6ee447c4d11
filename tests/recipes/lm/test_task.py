import dataclasses
import io
import json
import math

import pytest
import torch
import yaml
from rich.console import Console

from ostinato.data import open_corpus
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.models import Markov
from ostinato.recipes import load, open_run, train
from ostinato.recipes.lm.evaluating import evaluate_run
from ostinato.recipes.lm.settings import (
    BaselineSettings,
    LanguageModelSettings,
    ModelSettings,
    TextReadingSettings,
    TokenSettings,
)
from ostinato.training.run.settings import TrainingSettings
from tests.recipes.conftest import TEXT, small


def test_the_folder_holds_what_the_issue_lists(result):
    names = {path.name for path in result.run.path.iterdir()}
    assert names == {
        "config.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "report.json",
        "state",
        "tensorboard",
        "vocabulary.json",
    }


def test_the_network_is_scored_in_every_unit(result, text):
    """By the model that was loaded, over the tokens of every stream of the validation text."""
    corpus = open_corpus(str(text))
    model = load(result.run.path)
    score = model.score(corpus.vocabulary.decode(corpus.validation.ids))
    network = result.network
    assert network.nats_per_token == pytest.approx(result.outcome.counters.best)
    # One stream of 264 tokens in chunks of 16, of which 200 tokens hold 12.
    assert network.tokens == 192
    part = model.score(corpus.vocabulary.decode(corpus.validation.ids[:193]))
    assert network.nats_per_token == pytest.approx(part.nats_per_token, rel=1e-4)
    assert network.bits_per_character == pytest.approx(network.nats_per_token / math.log(2))
    words = len(corpus.vocabulary.decode(corpus.validation.ids).split())
    assert network.perplexity_per_word == pytest.approx(
        math.exp(network.nats_per_token * len(corpus.validation) / words)
    )
    assert score.tokens == len(corpus.validation) - 1


def test_markov_models_see_what_the_network_has_seen(result, text):
    corpus = open_corpus(str(text))
    assert result.outcome.counters.epoch == 0
    ids, B, steps = corpus.train.ids, 4, result.outcome.counters.step * 16
    length = (len(ids) - 1) // B
    seen = [ids[b * length : b * length + steps + 1] for b in range(B)]
    for order in (1, 2):
        expected = Markov(order, len(corpus.vocabulary)).fit(seen).score(corpus.validation.ids[:193]).mean()
        assert result.baselines[f"Markov, order {order}"].nats_per_token == pytest.approx(expected)
    assert list(result.baselines) == ["Markov, order 1", "Markov, order 2", "fixed window of 2"]


def test_the_settings_come_back_with_paths_and_budget_spelled_out(result, text):
    config = yaml.safe_load(result.run.config_file.read_text())
    expected = small(result.run, text, quiet=False)
    assert LanguageModelSettings.from_dict(config) == expected
    report = json.loads((result.run.path / "report.json").read_text())
    assert report["network"] == dataclasses.asdict(result.network)
    assert report["outcome"]["ending"] == "budget"


def test_the_loaded_model_is_the_one_that_was_best(result):
    model = load(result.run.path)
    assert not model.training
    weights = result.run.read_model()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert result.sample == model.generate(length=600, temperature=0.8, seed=0)


def test_a_second_run_in_the_folder_is_refused(result, text):
    with pytest.raises(RunError, match="already holds a run; add --resume"):
        train(small(result.run, text))


def test_a_run_goes_on(tmp_path, text):
    settings = small(tmp_path / "run", text)
    train(settings)
    more = dataclasses.replace(settings, resume=True, training=dataclasses.replace(settings.training, max_steps=33))
    assert train(more).outcome.counters.step == 33


def test_a_run_does_not_go_on_with_another_text(tmp_path):
    data, other = tmp_path / "text.txt", tmp_path / "other.txt"
    data.write_text(TEXT)
    settings = small(tmp_path / "run", data)
    result = train(settings)
    before = result.run.config_file.read_bytes()
    other.write_text(TEXT.replace("quick", "quack", 1))
    with pytest.raises(RunError, match=r"the text is not the one that .* was trained on so far; give it that one back"):
        train(dataclasses.replace(settings, resume=True, data=str(other)))
    assert result.run.config_file.read_bytes() == before
    data.write_text(TEXT.upper())
    with pytest.raises(RunError, match="the text is not the one"):
        train(dataclasses.replace(settings, resume=True))
    data.write_text(TEXT)
    assert train(dataclasses.replace(settings, resume=True)).outcome.ending == "budget"


def test_one_who_listens_to_the_evaluations_can_end_the_run(tmp_path, text):
    heard = []

    def enough(step, loss):
        heard.append((step, loss))
        return len(heard) == 2

    result = train(small(tmp_path / "run", text), on_evaluation=enough)
    assert (result.outcome.ending, result.network) == ("pruned", None)
    assert [step for step, _ in heard] == [5, 10]
    assert result.outcome.counters.best == min(loss for _, loss in heard)
    assert result.run.checkpoints.read().step == 10


@pytest.mark.parametrize("kind", ["byte", "word", "bpe"])
def test_other_tokens(tmp_path, text, kind):
    training = TrainingSettings(batch_size=2, chunk_length=8, max_steps=3)
    result = train(
        small(tmp_path / "run", text, tokens=TokenSettings(kind=kind, vocabulary_size=300), training=training)
    )
    corpus = open_corpus(str(text), kind=kind, vocabulary_size=300)
    ratio = len(corpus.validation) / corpus.validation.characters
    assert result.network.nats_per_character == pytest.approx(result.network.nats_per_token * ratio)
    assert result.sample


def test_nothing_is_left_behind_by_a_mistake(tmp_path, text):
    folder = tmp_path / "run"
    with pytest.raises(DataError, match="no such file"):
        train(small(folder, tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="zonout"):
        train(small(folder, text, model=ModelSettings(options={"zonout": 0.1})))
    with pytest.raises(ConfigError, match="16-mixed needs a CUDA device"):
        train(small(folder, text, precision="16-mixed"))
    with pytest.raises(DataError, match="too few"):
        train(small(folder, text, training=TrainingSettings(batch_size=64, chunk_length=1000)))
    assert not folder.exists()


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory):
    """A finished run on a folder with three parts."""
    folder = tmp_path_factory.mktemp("parts")
    for part, lines in (("train", 60), ("valid", 9), ("test", 12)):
        (folder / f"fox.{part}.txt").write_text(f"the quick {part} fox jumps over the lazy dog\n" * lines)
    (folder / "README").write_text("of the fox\n")
    data = {"tokens": TokenSettings(kind="word"), "quiet": False}
    with io.StringIO() as out:
        console = Console(file=out, width=200, highlight=False, color_system=None)
        result = train(small(folder / ".run", folder, **data), console)
        return folder, result, out.getvalue()


def test_the_test_part_is_neither_trained_on_nor_chosen_with(in_parts):
    _, result, said = in_parts
    assert "trains on fox.train.txt, validates with fox.valid.txt, tests with fox.test.txt, leaves out README" in said
    words = result.run.path.joinpath("vocabulary.json").read_text()
    assert ("train" in words, "valid" in words, "test" in words) == (True, False, False)
    assert "not in the vocabulary, and so <unk>: 9 (10.00%) of validation and 12 (10.00%) of test tokens" in said
    assert f"{result.network.tokens + 1:,} to validate, 120 to test" in said


def test_the_test_figures_are_those_of_the_kept_weights(in_parts):
    folder, result, _ = in_parts
    text = (folder / "fox.test.txt").read_text()
    score = load(result.run.path).score(text)
    assert result.test.tokens == score.tokens == 119
    assert result.test.perplexity_per_token == pytest.approx(math.exp(score.nats_per_token), rel=1e-4)
    name, again = evaluate_run(result.run.path)  # without data, on the test part
    assert name.endswith(", test")
    assert again.nats_per_token == pytest.approx(result.test.nats_per_token, rel=1e-6)
    report = json.loads((result.run.path / "report.json").read_text())
    assert report["test"] == dataclasses.asdict(result.test)
    seen, ids = [open_corpus(str(folder), kind="word").train.ids], load(result.run.path).vocabulary.encode(text)
    expected = Markov(2, len(load(result.run.path).vocabulary)).fit(seen).score(ids).mean()
    assert report["test_baselines"]["Markov, order 2"]["nats_per_token"] == pytest.approx(expected)


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_run_goes_on_with_the_files_it_began_with(in_parts, tmp_path, part):
    folder, result, _ = in_parts
    other = tmp_path / "other.txt"
    other.write_text("the quick fox\n" * 40)
    named = {"data": str(other)} if part == "train" else {"reading": TextReadingSettings(validation=str(other))}
    before = result.run.config_file.read_text()
    settings = small(result.run.path, folder, tokens=TokenSettings(kind="word"), resume=True)
    with pytest.raises(RunError, match="the text is not the one"):
        train(dataclasses.replace(settings, **named))
    assert result.run.config_file.read_text() == before


def test_parts_are_named_and_recorded_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(TEXT)
    reading = TextReadingSettings(validation="b.txt", test="c.txt")
    result = train(small("run", "a.txt", reading=reading, baselines=BaselineSettings(markov_orders=0, window=0)))
    assert result.test.nats_per_token == pytest.approx(evaluate_run("run", "c.txt")[1].nats_per_token)
    assert yaml.safe_load(result.run.config_file.read_text())["reading"]["test"] == str(tmp_path / "c.txt")
    monkeypatch.chdir("/")
    assert evaluate_run(tmp_path / "run")[1].nats_per_token == pytest.approx(result.test.nats_per_token)


def test_a_test_text_of_one_token_is_told_before_training(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.txt").write_text("x")
    reading = TextReadingSettings(test=str(tmp_path / "b.txt"))
    with pytest.raises(DataError, match="at least 2 tokens"):
        train(small(tmp_path / "run", tmp_path / "a.txt", reading=reading))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_from_python_too_it_says_that_there_are_no_answers(result, text):
    with pytest.raises(ConfigError, match="is a language model: let it write with `ostinato generate`"):
        open_run(result.run.path).predict(data=str(text))
