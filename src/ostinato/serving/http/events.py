"""Answers in pieces, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson

from ostinato.serving.errors import ServingError
from ostinato.serving.generating import Generating, Piece
from ostinato.serving.http.context import Context
from ostinato.serving.http.errors import error_body, internal
from ostinato.serving.http.request import Request

DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    """Encode a value as an event of JSON."""
    return b"data: " + orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n\n"


def generating(body: dict[str, Any]) -> Generating:
    """Read from a body how to write a text; null means not given."""
    names = ("max_tokens", "temperature", "top_k", "top_p", "seed", "logprobs", "unit")
    given = {name: body[name] for name in names if body.get(name) is not None}
    for name in ("max_tokens", "top_k", "seed", "logprobs"):
        if name in given:
            given[name] = int(given[name])  # 3.0 is an integer to JSON Schema
    stop = body.get("stop")
    if stop:
        given["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    return Generating(**given)


def piece_data(piece: Piece) -> dict[str, Any]:
    """Return the fields of a piece of text for the page and other clients."""
    data: dict[str, Any] = {"text": piece.text, "token": piece.token, "logprob": piece.logprob}
    if piece.top_logprobs is not None:
        data["top_logprobs"] = [{"token": n, "text": text, "logprob": p} for n, text, p in piece.top_logprobs]
    if piece.unit is not None:
        data["unit"] = piece.unit
    if piece.attention is not None:
        data["attention"] = piece.attention
    return data


def finish_data(piece: Piece) -> dict[str, Any]:
    """Return the fields that report the end of a text."""
    data: dict[str, Any] = {"finish_reason": piece.finish, "usage": usage(piece.prompt_tokens, piece.tokens)}
    if piece.step is not None:
        data["step"] = piece.step
    return {**data, **(piece.more or {})}


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Return the counts of tokens that were read and written, under the names of OpenAI."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def generated(app: Context, request: Request, pieces: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Return the events of pieces of text; errors of the request are raised here, before the answer begins."""

    async def data() -> AsyncIterator[dict[str, Any]]:
        async with aclosing(pieces):  # pyright: ignore[reportArgumentType]
            async for piece in pieces:
                if piece.token is not None or piece.text:
                    yield piece_data(piece)
                elif piece.more and piece.finish is None:  # fields before the first token
                    yield piece.more
                if piece.finish is not None:
                    yield finish_data(piece)

    return await begun(app, request, data())


async def begun(app: Context, request: Request, data: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Wait for an iterator's first value and return its events; an error before that gets an answer of its own."""
    try:
        first = await anext(data, None)
    except BaseException:
        await data.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        raise

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(data):  # pyright: ignore[reportArgumentType]
            try:
                if first is not None:
                    yield event(first)
                async for each in data:
                    yield event(each)
            except ServingError as error:
                yield event(error_body(error))
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception:
                app.log.failed(request)
                yield event(error_body(internal()))
            yield DONE

    return events()
