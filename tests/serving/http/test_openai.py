"""OpenAI's own client, against a server that runs."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.serving.http.conftest import ADA
from tests.serving.http.running import Running

PROMPT = "the quick brown "


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [each.id for each in client.models.list()] == ["lm"]
    assert client.models.retrieve("lm").owned_by == "ostinato"
    with pytest.raises(openai.NotFoundError, match="no model of this name"):
        client.models.retrieve("gpt-2")


def test_a_completion_has_text_and_usage(client: openai.OpenAI) -> None:
    found = client.completions.create(model="lm", prompt=PROMPT, max_tokens=7, seed=1)
    (choice,) = found.choices
    assert len(choice.text) == 7
    assert (choice.finish_reason, choice.index, choice.logprobs) == ("length", 0, None)
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (16, 7, 23)


def test_without_a_number_of_tokens_there_are_sixteen_as_at_openai(client: openai.OpenAI) -> None:
    found = client.completions.create(model="lm", prompt=PROMPT, seed=1)
    assert found.usage is not None
    assert found.usage.completion_tokens == 16


def test_the_same_seed_writes_the_same_and_another_another(client: openai.OpenAI) -> None:
    texts = [
        client.completions.create(model="lm", prompt=PROMPT, max_tokens=40, seed=seed).choices[0].text
        for seed in (3, 3, 4)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_stream_is_the_text_in_pieces_with_usage_at_its_end(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="lm", prompt=PROMPT, max_tokens=30, seed=5)
    chunks = list(
        client.completions.create(
            model="lm", prompt=PROMPT, max_tokens=30, seed=5, stream=True, stream_options={"include_usage": True}
        )
    )
    *pieces, last = chunks
    assert "".join(each.choices[0].text for each in pieces) == whole.choices[0].text
    assert len(pieces) > 20
    assert [each.choices[0].finish_reason for each in pieces[-1:]] == ["length"]
    assert not last.choices
    assert last.usage == whole.usage
    assert {each.id for each in chunks} == {chunks[0].id}


def test_a_text_ends_before_what_stops_it(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="lm", prompt=PROMPT, max_tokens=60, seed=5).choices[0].text
    stop = whole[20:23]
    found = client.completions.create(model="lm", prompt=PROMPT, max_tokens=60, seed=5, stop=["\0", stop])
    assert found.choices[0].text == whole[: whole.index(stop)]
    assert found.choices[0].finish_reason == "stop"
    streamed = client.completions.create(model="lm", prompt=PROMPT, max_tokens=60, seed=5, stop=stop, stream=True)
    assert "".join(each.choices[0].text for each in streamed) == whole[: whole.index(stop)]


def test_log_probabilities_are_of_each_token_and_the_most_likely(client: openai.OpenAI) -> None:
    found = client.completions.create(model="lm", prompt=PROMPT, max_tokens=5, seed=5, temperature=0, logprobs=3)
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == found.choices[0].text
    assert logprobs.text_offset == [16, 17, 18, 19, 20]
    for token, p, top in zip(
        logprobs.tokens or [], logprobs.token_logprobs or [], logprobs.top_logprobs or [], strict=True
    ):
        assert len(top) == 3
        assert max(top.values()) == pytest.approx(p)  # without a temperature the most likely token is written
        assert top[token] == pytest.approx(p)
    with pytest.raises(openai.BadRequestError, match="logprobs"):
        client.completions.create(model="lm", prompt=PROMPT, logprobs=6)


def test_echo_gives_the_prompt_too_and_its_log_probabilities(client: openai.OpenAI) -> None:
    found = client.completions.create(model="lm", prompt=PROMPT, max_tokens=3, seed=5, echo=True)
    assert found.choices[0].text.startswith(PROMPT)
    assert len(found.choices[0].text) == 19
    scored = client.completions.create(model="lm", prompt=PROMPT, max_tokens=0, echo=True, logprobs=0)
    logprobs = scored.choices[0].logprobs
    assert scored.choices[0].text == PROMPT
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == PROMPT
    assert logprobs.text_offset == list(range(16))
    first, *others = logprobs.token_logprobs or []
    assert first is None
    assert all(each < 0 for each in others)


def test_echo_and_writing_agree_on_probabilities(client: openai.OpenAI) -> None:
    written = client.completions.create(model="lm", prompt=PROMPT, max_tokens=4, seed=5, logprobs=1).choices[0]
    read = client.completions.create(model="lm", prompt=PROMPT + written.text, max_tokens=0, echo=True, logprobs=1)
    assert written.logprobs is not None
    logprobs = read.choices[0].logprobs
    assert logprobs is not None
    assert (logprobs.token_logprobs or [])[16:] == pytest.approx(written.logprobs.token_logprobs, abs=1e-4)


def test_several_texts_of_one_prompt_differ_and_come_again_by_their_own_seed(client: openai.OpenAI) -> None:
    found = client.completions.create(model="lm", prompt=PROMPT, max_tokens=20, seed=8, n=3)
    texts = [each.text for each in found.choices]
    assert [each.index for each in found.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert client.completions.create(model="lm", prompt=PROMPT, max_tokens=20, seed=10).choices[0].text == texts[2]
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (16, 60)
    streamed = ["", "", ""]
    for chunk in client.completions.create(model="lm", prompt=PROMPT, max_tokens=20, seed=8, n=3, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == texts


def test_many_prompts_and_prompts_of_token_numbers(client: openai.OpenAI) -> None:
    texts = client.completions.create(model="lm", prompt=["the ", "fox "], max_tokens=5, seed=1).choices
    alone = client.completions.create(model="lm", prompt="fox ", max_tokens=5, seed=1).choices[0].text
    assert texts[1].text == alone
    tokens = client.completions.create(model="lm", prompt=[3, 4, 5], max_tokens=5, seed=1)
    assert tokens.usage is not None
    assert tokens.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 2.0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "end"}, "suffix"),
        ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"extra_body": {"wrong": 1}}, "wrong"),
        ({"prompt": [1, "two"]}, "prompt"),
    ],
)
def test_what_is_wrong_is_named(client: openai.OpenAI, given: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**{"model": "lm", "prompt": PROMPT, **given})
    assert str(raised.value.param).startswith(param)
    assert raised.value.type == "invalid_request_error"
    assert raised.value.request_id


def test_more_tokens_than_may_be_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.completions.create(model="lm", prompt=PROMPT, max_tokens=1_000_000)
    assert raised.value.status_code == 413


def test_a_model_that_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.completions.create(model="gpt-2", prompt=PROMPT)
    assert raised.value.code == "model_not_found"


def test_tokens_are_api_keys(guarded: Running) -> None:
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong-" + ADA, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        assert [each.id for each in client.with_options(api_key=ADA).models.list()] == ["lm"]
