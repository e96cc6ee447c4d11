"""Handlers of requests without a session; their docstrings are shown in the OpenAPI document."""

from __future__ import annotations

from ostinato.serving.http.context import Context
from ostinato.serving.http.events import generated, generating
from ostinato.serving.http.refusals import InvalidError, NoModelError
from ostinato.serving.http.request import Reply, Request, as_events, as_json, while_there


async def models(app: Context, request: Request) -> Reply:
    """List the served models, in OpenAI's form, with further facts about each."""
    return as_json({"object": "list", "data": [_model(app, name) for name in app.service.models]})


async def model(app: Context, request: Request) -> Reply:
    """Return one of the models."""
    return as_json(_model(app, served(app, request.names[0])))


async def predict(app: Context, request: Request) -> Reply:
    """Answer one input or many: the lines of `ostinato predict`."""
    name = served(app, request.names[0])
    body = await request.json()
    if ("input" in body) == ("inputs" in body):
        raise InvalidError("input", "expected either input, or inputs with many")
    inputs = [body["input"]] if "input" in body else body["inputs"]
    outputs = await while_there(request, app.service.predict(name, inputs, body.get("options") or {}))
    return as_json({"outputs": outputs})


async def generate(app: Context, request: Request) -> Reply:
    """Write text, as events: after a prompt, or for a text or an image."""
    name = served(app, request.names[0])
    body = await request.json()
    how = generating(body)
    if app.service.models[name].task == "lm":
        if "input" in body:
            raise InvalidError("input", "expected prompt, as this is a language model")
        return as_events(await generated(app, request, app.service.generate(name, body.get("prompt", ""), how)))
    if "input" not in body:
        raise InvalidError("input", "expected it to be given: what to write a text for")
    return as_events(await generated(app, request, app.service.generate(name, body["input"], how)))


async def units(app: Context, request: Request) -> Reply:
    """Return the values of the hidden units while a language model reads a text, and which of them mean something."""
    name = served(app, request.names[0])
    body = await request.json()
    return as_json(await while_there(request, app.service.units(name, body["text"])))


def served(app: Context, name: str) -> str:
    """Return the name of a model, after checking that it exists.

    Raises:
        NoModelError: there is no such model.
    """
    if name not in app.service.models:
        raise NoModelError(f"there is no model of this name; expected {_names(app)}")
    return name


def _names(app: Context) -> str:
    return "one of " + ", ".join(app.service.models) if len(app.service.models) > 1 else next(iter(app.service.models))


def _model(app: Context, name: str) -> dict[str, object]:
    found = app.service.models[name]
    return {
        "id": name,
        "object": "model",
        "created": found.created,
        "owned_by": "ostinato",
        "ostinato": getattr(found, "info", {"task": found.task, "sessions": found.sessions}),
    }
