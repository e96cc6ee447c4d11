import shutil

import pytest

from ostinato.recipes import load


def test_it_writes_what_the_model_generates_after_the_prompt(ostinato, run):
    words = [
        "--prompt",
        "the ",
        "--length",
        "30",
        "--temperature",
        "0.9",
        "--top-k",
        "5",
        "--top-p",
        "0.9",
        "--seed",
        "3",
    ]
    status, out, error = ostinato("generate", run, *words)
    expected = load(run).generate("the ", 30, temperature=0.9, top_k=5, top_p=0.9, seed=3)
    assert (status, out, error) == (0, f"the {expected}\n", "")
    assert len(expected) == 30


def test_the_latest_run_is_taken_where_none_is_named(ostinato, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = ostinato("generate")
    assert (status, error) == (
        2,
        "ostinato: no run in runs/ here; name its folder, or make one with `ostinato train lm`\n",
    )
    shutil.copytree(run, tmp_path / "runs" / "a")
    assert ostinato("generate", "--length", "5", "--seed", "1")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lenght", "3"], "unknown argument --lenght; did you mean --length?"),
        (["--length", "-1"], "length: expected at least 0 tokens, got -1"),
        (["--length", "x"], "length: expected an integer, got x"),
        (["--top-k", "x"], "top_k: expected an integer, or null, got x"),
        (["--top-p", "2"], "top_p: expected a share above 0 and up to 1, got 2.0; leave it out to allow every token"),
        (["--temperature", "-1"], "temperature: expected 0 (the most likely token) or above, got -1.0"),
        (["--seed", str(2**64)], f"--seed: expected an integer from -2^63 to 2^64 - 1, as torch takes, got {2**64}"),
        (["extra"], "unknown argument extra; see ostinato generate --help"),
    ],
)
def test_a_mistake_is_answered_in_one_line(ostinato, run, words, message):
    assert ostinato("generate", run, *words) == (2, "", f"ostinato: {message}\n")


def test_what_is_no_run_is_answered_in_one_line(ostinato, tmp_path, run):
    missing = tmp_path / "missing"
    status, _, error = ostinato("generate", str(missing))
    assert (status, error) == (
        2,
        f"ostinato: no run folder at {missing}; check the name, or make one with `ostinato train TASK --run {missing}`\n",
    )
    status, _, error = ostinato("generate", str(tmp_path))
    assert (status, error) == (2, f"ostinato: {tmp_path} is not a run: it has no config.yaml\n")
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\xff" * 50)
    status, _, error = ostinato("generate", str(damaged))
    assert status == 2
    assert error.startswith(f"ostinato: {damaged}/model.safetensors is damaged")
    assert error.count("\n") == 1
