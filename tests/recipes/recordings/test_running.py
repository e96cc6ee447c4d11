"""What is said while a recording is still coming, against the model on its beginning."""

import dataclasses

import numpy as np
import pytest
import torch

from ostinato.data.recordings.recording import Recordings
from ostinato.errors import ConfigError
from ostinato.models.classifying.classifier import Classifier
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.running import Sureness, looks, running_logits, scale_after
from ostinato.recipes.classify.settings import ClassifierSettings
from ostinato.recipes.recordings.live import Live
from ostinato.recipes.recordings.settings import RecordingSettings
from tests.recipes.recordings.breaths import FEW, breaths, small, write


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_after_some_steps_are_those_of_the_beginning(pooling, bidirectional):
    torch.manual_seed(0)
    model = Classifier(3, input_size=2, hidden_size=4, pooling=pooling, bidirectional=bidirectional).eval()
    input, lengths, after = torch.randn(7, 4, 2), torch.tensor([7, 3, 5, 1]), [1, 2, 4, 7]
    found = running_logits(model, input, lengths, after)
    for k, said in zip(after, found, strict=True):
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(said[row], model(input[: min(k, length), row : row + 1])[0])


def test_where_it_is_looked_and_which_scale_is_taken():
    assert looks(3) == [1, 2, 3]
    assert looks(1000, 4) == [250, 500, 750, 1000]
    assert [scale_after((1.0, 2.0, 3.0), k, 9.0) for k in (1, 2, 3, 4, 7, 8, 100)] == [1, 2, 2, 3, 3, 3, 3]
    assert scale_after((), 5, 9.0) == 9.0


def test_it_is_sure_since_the_class_is_the_same():
    sureness, memory = Sureness(0.8), Sureness.fresh(2)
    p = [[0.9, 0.1], [0.7, 0.3], [0.85, 0.15], [0.9, 0.1], [0.1, 0.9], [0.15, 0.85]]
    assert [sureness.go_on(memory, 1, each, at) for at, each in enumerate(p, start=1)] == [1, None, 3, 3, 5, 5]
    assert memory[0].tolist() == [-1, -1]


@pytest.fixture(scope="module", params=[(False, 1), (True, 1), (False, 3)])
def run(request, tmp_path_factory):
    bidirectional, stack = request.param
    folder = tmp_path_factory.mktemp("running")
    model = ClassifierSettings(hidden_size=8, dropout=0.0, bidirectional=bidirectional)
    data = write(folder / "a.csv", breaths(60))
    recording = RecordingSettings(stack=stack)
    train(small(folder / "run", data, model=model, recording=recording))
    return open_run(folder / "run")


def test_answers_have_probabilities_after_every_step_on_request(run):
    data = run.settings.data
    plain = run.predict(data=data)
    assert set(plain[0]) == {"id", "class", "probability", "probabilities"}
    part = run.task.read_part(run.settings, run.known, data, labelled=True)
    stack = run.known.scaling.stack
    for confidence in (0.6, 0.95):
        found = open_run(run.folder).answer_with({"running": True, "confidence": confidence}).predict(data=data)
        for answer, each, before in zip(found, part.items, plain, strict=True):
            assert answer["class"] == before["class"]
            steps = [step for step, _ in answer["running"]]
            assert steps == [min(k, len(each)) for k in range(stack, len(each) + stack, stack)]
            # By hand: from the last step back, as long as the class is the same and sure.
            sure = None
            last = max(answer["running"][-1][1], key=answer["running"][-1][1].get)
            for step, p in reversed(answer["running"]):
                if max(p, key=p.get) != last or p[last] < confidence:
                    break
                sure = step
            assert answer["sure_after"] == sure
    at = answer["running"][0]
    beginning = dataclasses.replace(each, values=each.values[: at[0]], times=None, labels=None)
    z = run.model(*[torch.from_numpy(run.known.scaling.apply(beginning))[:, None]])[0] / run.model.scales[0]
    p = (z * run.known.running[0]).softmax(-1).tolist()
    assert list(at[1].values()) == pytest.approx(p, abs=1e-5)


def test_the_confidence_of_the_first_steps_is_fitted_to_validation(run):
    """Of a class that cannot be known yet nobody is sure, whatever the network says."""
    assert len(run.known.running) == (3 if run.known.scaling.stack > 1 else 5)
    part = run.task.read(run.settings).validation
    found = open_run(run.folder).answer_with({"running": True}).predict(part)
    first = [max(answer["running"][0][1].values()) for answer in found]
    right = np.mean(
        [max(a["running"][0][1], key=a["running"][0][1].get) == e.label for a, e in zip(found, part.items, strict=True)]
    )
    assert np.mean(first) <= max(0.75, right + 0.15)


def test_a_stream_is_sure_when_the_answer_says(run):
    if run.model.recurrent.bidirectional:
        with pytest.raises(ConfigError):
            Live(run)
        return
    part = run.task.read_part(run.settings, run.known, run.settings.data, labelled=True)
    found = open_run(run.folder).answer_with({"running": True, "confidence": 0.7}).predict(part)
    live = Live(run, confidence=0.7)
    if run.known.scaling.stack > 1:  # then a stream looks more often
        return
    for answer, each in zip(found[:10], part.items, strict=False):
        live.reset()
        for values in each.values.tolist():
            said = live(values)
        assert said["sure_after"] == answer["sure_after"]


def test_others_have_no_running_probabilities(tmp_path):
    rows = [(*row[:-1], f"{at % 7 + 0.5 + at / 1000}") for at, row in enumerate(breaths(20))]
    ids = {}
    rows = [(*row[:-1], ids.setdefault(row[0], row[-1])) for row in rows]
    training = dataclasses.replace(FEW, max_steps=2, evaluate_every=2)
    train(small(tmp_path / "run", write(tmp_path / "a.csv", rows), training=training))
    run = open_run(tmp_path / "run").answer_with({"running": True})
    with pytest.raises(ConfigError, match="running: expected a model that tells classes of recordings apart"):
        run.predict(Recordings(("acc", "pressure"), run.task.read(run.settings).test.items))
    with pytest.raises(ConfigError, match=r"confidence: expected a number above 0 and below 1, got 1\.5"):
        run.answer_with({"confidence": 1.5})
