"""Each number of a shipped recipe against the paper's, in the paper's own units, typed here a second time from the papers."""

import math
from typing import Any

import pytest
import torch
import yaml
from torch.nn import functional as F

from ostinato.data import CharVocabulary, Chunk, WordVocabulary, open_corpus
from ostinato.errors import ConfigError
from ostinato.models import LanguageModel
from ostinato.recipes.lm.settings import LanguageModelSettings
from ostinato.recipes.lm.task import LanguageModelling
from ostinato.recipes.papers import names, path_of, resolve
from ostinato.training.update.schedules import learning_rate_factor

# learning rate, norm and weight decay as printed, for a loss that is summed over the steps of a chunk.
ZAREMBA: dict[str, Any] = {"layers": [200, 200], "embedding": 200, "rows": 20, "steps": 20, "rate": 1.0, "norm": 5.0}
ZAREMBA |= {"decay": 2.0, "full_epochs": 4, "epochs": 13, "range": 0.1, "dropout": 0.0, "words": 10_000}
MEDIUM = ZAREMBA | {"layers": [650, 650], "embedding": 650, "steps": 35, "decay": 1.2, "full_epochs": 6, "epochs": 39}
MEDIUM |= {"range": 0.05, "dropout": 0.5}
LARGE = MEDIUM | {"layers": [1500, 1500], "embedding": 1500, "decay": 1.15, "full_epochs": 14, "epochs": 55}
LARGE |= {"range": 0.04, "dropout": 0.65, "norm": 10.0}
VARIATIONAL = {"dropout": 0.0, "weight_decay": 1e-7}
GAL_MEDIUM = MEDIUM | VARIATIONAL | {"masks": {"word": 0.2, "input": 0.35, "recurrent": 0.2, "output": 0.35}}
GAL_LARGE = LARGE | VARIATIONAL | {"masks": {"word": 0.3, "input": 0.5, "recurrent": 0.3, "output": 0.5}}
GAL_LARGE |= {"full_epochs": 10}  # the authors' script
RHN: dict[str, Any] = {"cell": "rhn", "layers": [830], "embedding": 830, "depth": 10, "rows": 20, "steps": 35}
RHN |= {"rate": 0.2, "norm": 10.0, "decay": 1.02, "full_epochs": 20, "epochs": 500, "range": 0.04, "dropout": 0.0}
RHN |= {"weight_decay": 1e-7, "words": 10_000, "transform_bias": -2.0}
RHN |= {"masks": {"word": 0.25, "input": 0.75, "recurrent": 0.25, "output": 0.75}}
PAPERS: dict[str, dict[str, Any]] = {
    "zaremba-small": ZAREMBA,
    "zaremba-medium": MEDIUM,
    "zaremba-large": LARGE,
    "gal-medium": GAL_MEDIUM,
    "gal-large": GAL_LARGE,
    "rhn": RHN,
    "rhn-tied": RHN | {"tied": True},
}
# By arithmetic on the sizes above; the published ones are 20M and 66M (Zaremba, Gal), 32M and 23M (RHN), 24M and 33M (AWD-LSTM).
PARAMETERS = {
    "zaremba-small": 4_653_200,
    "zaremba-medium": 19_780_400,
    "zaremba-large": 66_034_000,
    "gal-medium": 19_780_400,
    "gal-large": 66_034_000,
    "rhn": 31_784_060,
    "rhn-tied": 23_484_060,
    "awd-lstm-ptb": 24_221_600,
    "awd-lstm-wikitext2": 33_556_078,
    "char-rnn": 281_154,
}
PUBLISHED_MILLIONS = {
    "zaremba-medium": 20,
    "zaremba-large": 66,
    "gal-medium": 20,
    "gal-large": 66,
    "rhn": 32,
    "rhn-tied": 23,
    "awd-lstm-ptb": 24,
    "awd-lstm-wikitext2": 33,
}


def read(name):
    return LanguageModelSettings.from_dict(yaml.safe_load(path_of(name).read_text()))


def build(name):
    """The model without the memory it would take, for a text of the paper's size."""
    settings = read(name)
    if settings.tokens.kind == "char":
        vocabulary = CharVocabulary("".join(map(chr, range(32, 97))))  # 65 characters, as tiny Shakespeare has
    else:
        vocabulary = WordVocabulary(["<unk>", "\n", *(f"w{i}" for i in range(settings.tokens.vocabulary_size - 2))])
    with torch.device("meta"):
        return LanguageModelling().build(settings, vocabulary)


@pytest.mark.parametrize("name", PAPERS)
def test_every_number_is_the_paper_s(name):
    paper, settings = PAPERS[name], read(name)
    model, training, tokens = settings.model, settings.training, settings.tokens
    assert (tokens.kind, tokens.vocabulary_size) == ("word", paper["words"])
    assert model.cell == paper.get("cell", "lstm")
    assert (model.hidden_size, model.num_layers) == (paper["layers"][0], len(paper["layers"]))
    assert model.embedding_size == paper["embedding"]
    assert model.tied == paper.get("tied", False)
    assert model.initial_range == paper["range"]
    assert not model.locked_dropout
    assert (model.dropout, model.input_dropout, model.output_dropout) == (paper["dropout"], paper["dropout"], None)
    masks = paper.get("masks", {"word": 0.0})
    assert model.embedding_dropout == masks["word"]
    expected: dict[str, Any] = {}
    if "input" in masks:
        expected["variational_dropout"] = [masks["input"], masks["recurrent"], masks["output"]]
    if "depth" in paper:
        expected |= {"depth": paper["depth"], "forget_bias": -paper["transform_bias"]}
    assert model.options == expected

    steps = paper["steps"]
    assert (training.batch_size, training.chunk_length, training.backprop_length) == (paper["rows"], steps, None)
    assert not training.vary_length
    assert (training.optimizer, training.momentum, training.accumulate) == ("sgd", 0.0, 1)
    # Summed over steps or averaged over them: with a rate r, a norm c and a decay w of the sum, the same updates.
    assert training.learning_rate == pytest.approx(paper["rate"] * steps)
    assert training.clip_norm == pytest.approx(paper["norm"] / steps)
    decay = paper.get("weight_decay", 0.0)
    by_update = decay if "cell" not in paper else decay * paper["rate"]  # RHN's is in the loss, Gal's outside of it
    assert training.learning_rate * training.weight_decay == pytest.approx(by_update)
    assert training.clip_value is None
    assert training.averaging is None
    assert (training.schedule, training.warmup) == ("epochs", 0.0)
    assert 1 / training.decay == pytest.approx(paper["decay"])
    assert training.decay_after_epochs == paper["full_epochs"]
    assert training.max_epochs == paper["epochs"]
    assert (training.max_steps, training.max_time_s) == (None, None)


@pytest.mark.parametrize("norm", [0.05, 50.0])
def test_summed_over_steps_or_averaged_over_them_the_updates_are_the_same(norm):
    """A rate, norm and decay of the sum against those that a recipe has for the mean, in float64."""
    T, B, rate, decay = 6, 3, 0.7, 0.01
    weights = []
    for steps in (1, T):  # the paper's units, then ours
        torch.manual_seed(0)
        model = LanguageModel(CharVocabulary("abcde"), 4, 5, initial_range=0.5).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate * steps, weight_decay=decay / steps)
        tokens = torch.randint(6, (T + 1, B))
        logits, _ = model(tokens[:-1])
        nats = F.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten(), reduction="none").view(T, B)
        loss = nats.sum(0).mean() if steps == 1 else model.loss(Chunk(tokens[:-1], tokens[1:], None))[0]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), norm / steps)
        optimizer.step()
        weights.append(model.state_dict())
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize(
    ("name", "rows", "words", "input_dropout"),
    [("awd-lstm-ptb", 40, 10_000, 0.4), ("awd-lstm-wikitext2", 80, 33_278, 0.65)],
)
def test_awd_lstm(name, rows, words, input_dropout):
    """Section 5 of the paper, sentence by sentence."""
    settings = read(name)
    model, training = settings.model, settings.training
    assert (model.cell, model.hidden_size, model.num_layers) == ("lstm", [1150, 1150, 400], 3)
    assert (model.embedding_size, model.tied, model.embedding_range) == (400, True, 0.1)
    assert model.initial_range is None
    rates = (model.input_dropout, model.dropout, model.output_dropout, model.embedding_dropout)
    assert rates == (input_dropout, 0.3, 0.4, 0.1)
    assert model.locked_dropout
    assert model.options == {"weight_dropout": 0.5}
    assert (model.activation_regularisation, model.temporal_activation_regularisation) == (2.0, 1.0)
    assert (training.batch_size, training.chunk_length, training.vary_length) == (rows, 70, True)
    assert (training.optimizer, training.momentum, training.learning_rate) == ("sgd", 0.0, 30.0)
    assert (training.schedule, training.warmup, training.weight_decay) == ("constant", 0.0, 1.2e-6)
    assert (training.clip_norm, training.clip_value) == (0.25, None)
    assert (training.averaging, training.averaging_patience, training.evaluate_every_epochs) == ("nt-asgd", 5, 1)
    assert training.max_epochs == 750
    assert (settings.tokens.kind, settings.tokens.vocabulary_size) == ("word", words)


def test_char_rnn():
    """The defaults of train.lua."""
    settings = read("char-rnn")
    model, training = settings.model, settings.training
    assert (model.cell, model.hidden_size, model.num_layers, model.dropout) == ("lstm", 128, 2, 0.0)
    assert model.initial_range == 0.08
    assert model.options == {"forget_bias": 1.0}
    assert (training.batch_size, training.chunk_length) == (50, 50)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("rmsprop", 2e-3, 0.0)
    assert (training.schedule, training.decay, training.decay_after_epochs) == ("epochs", 0.97, 10)
    assert training.clip_value == pytest.approx(5 / 50)
    assert training.clip_norm is None
    assert (training.max_epochs, training.evaluate_every) == (50, 1000)
    assert settings.tokens.kind == "char"
    assert settings.tokens.validation_share == 0.05


@pytest.mark.parametrize("name", names())
def test_the_model_has_the_paper_s_parameters(name):
    count = sum(parameter.numel() for parameter in build(name).parameters())
    assert count == PARAMETERS[name]
    if name in PUBLISHED_MILLIONS:
        assert abs(count / 1e6 - PUBLISHED_MILLIONS[name]) < 0.6


def test_the_learning_rate_falls_after_the_epochs_that_the_paper_says():
    training = read("zaremba-medium").training
    for completed in range(39):
        factor = learning_rate_factor(
            completed / 39,
            training.schedule,
            decay=training.decay,
            decay_after_epochs=training.decay_after_epochs,
            epochs=completed,
        )
        assert factor == pytest.approx(1.2 ** -max(0, completed - 5))


@pytest.mark.parametrize("name", [*PAPERS, "awd-lstm-ptb"])
def test_the_penn_treebank_s_files_are_the_parts(name, tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(f" {part} <unk> N \n" * 9)
    reading, tokens = read(name).reading, read(name).tokens
    corpus = open_corpus(str(tmp_path), kind=tokens.kind, parts_by_name=reading.parts_by_name)
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [36, 36, 36]
    assert "train" in corpus.vocabulary.to_dict()["words"]
    assert not {"valid", "test"} & set(corpus.vocabulary.to_dict()["words"])


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_what_it_is_and_what_to_expect(name):
    comments = [line for line in path_of(name).read_text().splitlines() if line.startswith("#")]
    text = " ".join(line.lstrip("# ") for line in comments)
    assert "Differs:" in text
    if name == "char-rnn":
        assert "github.com/karpathy/char-rnn" in text
    else:
        assert "arXiv 1" in text
        assert "able" in text
        assert "on validation" in text
        assert "on test" in text
    assert math.isclose(PARAMETERS[name] / 1e6, float(text.split(" million parameters")[0].split()[-1]), rel_tol=6e-3)


def test_a_name_is_a_shipped_file_unless_there_is_a_file_of_this_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("rhn") == str(path_of("rhn"))
    (tmp_path / "rhn").write_text("seed: 3")
    assert resolve("rhn") == "rhn"
    assert resolve("missing.yaml") == "missing.yaml"
    assert resolve("folder/rhn") == "folder/rhn"


def test_an_unknown_name_is_answered_with_those_that_ship():
    with pytest.raises(
        ConfigError, match=r"zaremba-smal is no file.*did you mean zaremba-small\?.*char-rnn, .*rhn-tied"
    ):
        path_of("zaremba-smal")
    with pytest.raises(ConfigError, match=r"xyz is no file.*ships\. Expected a YAML file or one of awd-lstm-ptb"):
        path_of("xyz")
