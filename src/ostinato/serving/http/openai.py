"""OpenAI's completions for language models, as its official client sends and reads them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ostinato.serving.errors import TooLargeError
from ostinato.serving.generating import Generating, Piece
from ostinato.serving.http.context import Context
from ostinato.serving.http.events import begun, generating, usage
from ostinato.serving.http.refusals import InvalidError
from ostinato.serving.http.request import Reply, Request, as_events, as_json, while_there
from ostinato.serving.http.stateless import served
from ostinato.serving.kinds.language import LanguageKind

MAX_TOKENS = 16  # OpenAI's default
MOST_CHOICES = 128
MOST_LOGPROBS = 5
IN_ALL = 4  # all prompts together, and all texts together, may have so many times the tokens of one request
_NOT_DONE = {"suffix": None, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": None}


@dataclass
class _Choice:
    """One of the requested texts, as far as it is written."""

    index: int
    prompt: Any
    read: list[int]
    how: Generating
    offset: int
    text: list[str] = field(default_factory=list)
    finish: str | None = None
    logprobs: dict[str, list[Any]] | None = None
    tokens: int = 0
    prompt_tokens: int = 0

    def take(self, piece: Piece) -> None:
        self.text.append(piece.text)
        if self.how.logprobs is not None and piece.token is not None:
            self.logprobs = _joined(self.logprobs, self.logprobs_of(piece))
        self.offset += len(piece.text)
        self.end(piece)

    def end(self, piece: Piece) -> None:
        if piece.finish is not None:
            self.finish, self.tokens, self.prompt_tokens = piece.finish, piece.tokens, piece.prompt_tokens

    def logprobs_of(self, piece: Piece) -> dict[str, list[Any]]:
        top = None if piece.top_logprobs is None else {text: p for _, text, p in piece.top_logprobs}
        return {
            "tokens": [piece.text],
            "token_logprobs": [piece.logprob],
            "top_logprobs": [top or None],
            "text_offset": [self.offset],
        }

    def data(self) -> dict[str, Any]:
        text = "".join(self.text)
        return {"text": text, "index": self.index, "logprobs": self.logprobs, "finish_reason": self.finish}


async def completions(app: Context, request: Request) -> Reply:
    """Complete texts as OpenAI's POST /v1/completions does; with `stream`, as events."""
    body = await request.json()
    name = served(app, body["model"])
    if app.service.models[name].task != "lm":
        raise InvalidError("model", f"expected a language model; ask this one at /v1/{name}/predict")
    for param, neutral in _NOT_DONE.items():
        if body.get(param) not in (neutral, None, {}):
            raise InvalidError(param, "is not supported; leave it out")
    choices = _choices(app, name, body)
    head = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": name,
    }
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return as_events(
            await begun(app, request, _streamed(app, name, head, choices, bool(body.get("echo")), with_usage))
        )
    await while_there(request, _all(app, name, choices, bool(body.get("echo"))))
    return as_json({**head, "choices": [each.data() for each in choices], "usage": _usage(choices)})


def _choices(app: Context, name: str, body: dict[str, Any]) -> list[_Choice]:
    given, count = body["prompt"], int(body.get("n") or 1)
    if (body.get("best_of") or count) != count:
        raise InvalidError("best_of", "expected the same as n; more are not drawn")
    if (body.get("logprobs") or 0) > MOST_LOGPROBS:
        raise InvalidError("logprobs", f"expected from 0 to {MOST_LOGPROBS}")
    how = generating({**body, "max_tokens": MAX_TOKENS if body.get("max_tokens") is None else body["max_tokens"]})
    prompts = [given] if isinstance(given, str) or isinstance(given[0], int | float) else given
    if len(prompts) * count > MOST_CHOICES:
        raise InvalidError(
            "n", f"expected at most {MOST_CHOICES} texts in all, got {len(prompts)} prompts times {count}"
        )
    kind, most = app.service.models[name].kind, app.service.limits.max_tokens
    if how.max_tokens * len(prompts) * count > IN_ALL * most and len(prompts) * count > 1:
        raise TooLargeError(
            f"max_tokens: expected at most {IN_ALL * most} tokens of all texts, got {len(prompts) * count} times "
            f"{how.max_tokens}; ask for less at once",
            param="max_tokens",
        )
    if not isinstance(kind, LanguageKind):
        raise InvalidError("model", f"cannot write: {app.service.models[name].why_no_sessions}")
    left = IN_ALL * most
    found = []
    for prompt in prompts:
        if not isinstance(prompt, str):
            prompt = [int(token) for token in prompt]
        read = kind.given(prompt, most)
        left -= len(read) * count
        if left < 0:
            raise TooLargeError(
                f"prompt: expected at most {IN_ALL * most} tokens of all prompts, each {count} times; send less at once",
                param="prompt",
            )
        for number in range(count):
            # Each choice has a seed of its own, so that choices differ and each can be reproduced.
            seed = how.seed if how.seed is None else (how.seed + number + 2**63) % 2**64 - 2**63
            offset = len(prompt) if isinstance(prompt, str) else 0
            found.append(_Choice(len(found), prompt, read, replace(how, seed=seed), offset))
    return found


def _usage(choices: list[_Choice]) -> dict[str, int]:
    """Return the usage of all choices; a prompt counts once, even if several texts continue it."""
    prompts = {id(each.prompt): each.prompt_tokens for each in choices}
    return usage(sum(prompts.values()), sum(each.tokens for each in choices))


async def _all(app: Context, name: str, choices: list[_Choice], echo: bool) -> None:
    async def write(choice: _Choice) -> None:
        async for piece in _pieces(app, name, choice, echo):
            choice.take(piece)

    if len(choices) == 1:
        return await write(choices[0])
    async with asyncio.TaskGroup() as group:  # if one fails, the others stop
        for choice in choices:
            group.create_task(write(choice))
    return None


async def _pieces(app: Context, name: str, choice: _Choice, echo: bool) -> AsyncIterator[Piece]:
    """Give the pieces of a text, after those of the prompt if `echo`."""
    if echo:
        choice.offset = 0
        if choice.how.logprobs is None and isinstance(choice.prompt, str):
            yield Piece(choice.prompt)
        else:
            for piece in await app.service.score(name, choice.read, choice.how.logprobs or 0):
                yield piece
    pieces = app.service.generate(name, choice.read, choice.how)
    async with aclosing(pieces):  # pyright: ignore[reportArgumentType]
        async for piece in pieces:
            yield piece


async def _streamed(
    app: Context, name: str, head: dict[str, Any], choices: list[_Choice], echo: bool, with_usage: bool
) -> AsyncIterator[dict[str, Any]]:
    none = {"usage": None} if with_usage else {}
    texts = _merged([_pieces(app, name, each, echo) for each in choices])
    async with aclosing(texts):  # pyright: ignore[reportArgumentType]
        async for number, piece in texts:
            choice = choices[number]
            found = None
            if choice.how.logprobs is not None and piece.token is not None:
                found = choice.logprobs_of(piece)
            choice.offset += len(piece.text)
            choice.end(piece)
            data = {"text": piece.text, "index": number, "logprobs": found, "finish_reason": piece.finish}
            yield {**head, "choices": [data], **none}
    if with_usage:
        yield {**head, "choices": [], "usage": _usage(choices)}


async def _merged(texts: list[AsyncIterator[Piece]]) -> AsyncIterator[tuple[int, Piece]]:
    """Merge several iterators: give their pieces with the number of the iterator, in the order of their arrival."""
    if len(texts) == 1:
        async with aclosing(texts[0]):  # pyright: ignore[reportArgumentType]
            async for piece in texts[0]:
                yield 0, piece
        return
    ready: asyncio.Queue[tuple[int, Piece | BaseException | None]] = asyncio.Queue(maxsize=len(texts))

    async def feed(number: int) -> None:
        try:
            async with aclosing(texts[number]):  # pyright: ignore[reportArgumentType]
                async for piece in texts[number]:
                    await ready.put((number, piece))
        except Exception as error:
            await ready.put((number, error))
        else:
            await ready.put((number, None))

    tasks = [asyncio.create_task(feed(number)) for number in range(len(texts))]
    try:
        left = len(texts)
        while left:
            number, found = await ready.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
            else:
                yield number, found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _joined(before: dict[str, list[Any]] | None, more: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if before is None:
        return more
    for name, values in more.items():
        before[name] += values
    return before
