"""What requests and answers look like, as JSON Schema: for checking bodies and for the OpenAPI document."""

from __future__ import annotations

from typing import Any

MOST_TOKENS = 1_000_000
_COUNT = {"type": "integer", "minimum": 0}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_NUMBERS = {"type": "array", "items": {"type": "number"}}


def object_of(required: Any = (), *, others: Any = False, **properties: Any) -> dict[str, Any]:
    """The schema of an object; properties that nobody knows are a mistake unless `others`."""
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": others}
    return found | ({"required": list(required)} if required else {})


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that takes null too, which is as if it were not given."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


GENERATING: dict[str, Any] = {
    "max_tokens": or_null({"type": "integer", "minimum": 0, "maximum": MOST_TOKENS, "description": "tokens to write"}),
    "temperature": or_null(
        {"type": "number", "minimum": 0, "maximum": 100, "description": "0 writes the most likely token"}
    ),
    "top_k": or_null(
        {
            "type": "integer",
            "minimum": 1,
            "maximum": 2**31 - 1,
            "description": "draw from so many most likely tokens only",
        }
    ),
    "top_p": or_null({"type": "number", "minimum": 0, "maximum": 1, "description": "draw from this likeliest share"}),
    "seed": or_null(
        {
            "type": "integer",
            "minimum": -(2**63),
            "maximum": 2**63 - 1,
            "description": "the same seed writes the same text",
        }
    ),
    "stop": {
        "anyOf": [
            {"type": ["string", "null"], "maxLength": 1000},
            {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 1000}, "maxItems": 16},
        ],
        "description": "texts that end it; they are not given",
    },
    "logprobs": or_null(
        {"type": "integer", "minimum": 0, "maximum": 20, "description": "so many most likely tokens beside each"}
    ),
    "unit": or_null(
        {
            "type": "string",
            "maxLength": 100,
            "description": "say the value of this hidden unit at each token, such as 1.c.33",
        }
    ),
}

_COLUMNS = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": ["number", "null"]}},
    "description": "of a forecaster: covariates by their names",
}
STEPS = object_of(
    text={"type": "string", "description": "read by the model's own vocabulary"},
    tokens={"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}},
    values={"type": "array", "items": {"type": ["number", "null"]}, "description": "of a series; null is missing"},
    vectors={"type": "array", "items": _NUMBERS, "description": "one a step"},
    image={"type": "string", "description": "of a classifier of images, in base64: its rows are the steps"},
    words={"type": "array", "items": {"type": "string"}, "description": "of a sentence"},
    known=_COLUMNS,
    observed=_COLUMNS,
    future=_COLUMNS,
    top={"type": "integer", "minimum": 0, "maximum": 1000, "description": "next tokens to tell; 10"},
    all={"type": "boolean", "description": "say something after each step, not after the last alone"},
    horizon={"type": "integer", "minimum": 1, "maximum": 10_000},
    levels={"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 100}, "maxItems": 20},
    samples={"type": "integer", "minimum": 1, "maximum": 10_000},
    seed={"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
    **{"from": {**_COUNT, "description": "the step at which the session is expected to be; 409 where it is not"}},
)

BEGIN = object_of(
    text={"type": ["string", "null"], "description": "read at once"},
    tokens=STEPS["properties"]["tokens"],
    vectors=STEPS["properties"]["vectors"],
    image=STEPS["properties"]["image"],
    past={"type": "array", "items": {"type": ["number", "null"]}, "description": "of a forecaster: values so far"},
    start={"type": ["string", "number", "null"], "description": "when the past begins"},
    series=_OPTIONAL_TEXT,
    state={"type": "string", "description": "base64 of the bytes that GET .../state gave"},
    step={**_COUNT, "description": "that the state is of"},
    **{
        name: STEPS["properties"][name]
        for name in ("words", "known", "observed", "future", "top", "all", "horizon", "levels", "samples", "seed")
    },
)

_INPUT = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": ["string", "number", "null", "object", "array"]}},
        {"type": "object"},
    ],
    "description": "what a line for `ostinato predict` holds: text, words, values of a series, an image in base64",
}
PREDICT = object_of(
    input=_INPUT,
    inputs={"type": "array", "items": _INPUT},
    options={"type": ["object", "null"], "description": "how to answer, where the task can be told, as {beam: 5}"},
)
GENERATE = object_of(
    prompt={"type": "string"},
    input={"type": "string", "description": "translate: the text; caption: an image in base64"},
    **GENERATING,
)
SESSION_GENERATE = object_of(prompt={"type": "string", "description": "read first"}, **GENERATING)
MARK = object_of(mark={"type": ["string", "null"]})
REWIND = object_of(("mark",), mark={"type": "string"})
UNITS = object_of(("text",), text={"type": "string"})

_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "minItems": 1}
COMPLETION = object_of(
    ("model", "prompt"),
    model={"type": "string"},
    prompt={
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 128},
            _TOKENS,
            {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": 128},
        ]
    },
    **{name: GENERATING[name] for name in ("max_tokens", "temperature", "top_k", "top_p", "seed", "stop", "logprobs")},
    n=or_null({"type": "integer", "minimum": 1, "maximum": 128}),
    best_of=or_null({"type": "integer", "minimum": 1, "maximum": 128}),
    echo={"type": ["boolean", "null"]},
    stream={"type": ["boolean", "null"]},
    stream_options={"type": ["object", "null"], "properties": {"include_usage": {"type": ["boolean", "null"]}}},
    suffix=_OPTIONAL_TEXT,
    user=_OPTIONAL_TEXT,
    presence_penalty={"type": ["number", "null"]},
    frequency_penalty={"type": ["number", "null"]},
    logit_bias={"type": ["object", "null"]},
)

# answers

ERROR = object_of(
    ("error",),
    error=object_of(
        ("message", "type", "code"),
        others=True,
        message={"type": "string"},
        type={"type": "string"},
        code=_OPTIONAL_TEXT,
        param=_OPTIONAL_TEXT,
    ),
)
VIEW = object_of(
    ("id", "model", "task", "step", "saved"),
    others=True,
    id={"type": "string"},
    model={"type": "string"},
    task={"type": "string"},
    step={**_COUNT, "description": "inputs read so far"},
    saved={**_COUNT, "description": "the step up to which the state is on the disk"},
    marks={"type": "object", "additionalProperties": _COUNT},
    created={"type": "number"},
    expires={"type": ["number", "null"]},
)
SAID = object_of(("step", "saved"), others=True, step=_COUNT, saved=_COUNT, said={"type": "array"})
SESSIONS = object_of(
    ("sessions", "has_more"),
    sessions={"type": "array", "items": VIEW, "description": "by their ids"},
    has_more={"type": "boolean", "description": "ask again `after` the last id"},
)
OUTPUTS = object_of(("outputs",), outputs={"type": "array", "items": {"type": "object"}})
MODEL = object_of(
    ("id", "object", "created", "owned_by"),
    others=True,
    id={"type": "string"},
    object={"type": "string", "enum": ["model"]},
    created=_COUNT,
    owned_by={"type": "string"},
    ostinato={"type": "object"},
)
MODELS = object_of(("object", "data"), object={"type": "string"}, data={"type": "array", "items": MODEL})
COMPLETED = object_of(
    ("id", "object", "created", "model", "choices"),
    others=True,
    id={"type": "string"},
    object={"type": "string", "enum": ["text_completion"]},
    created=_COUNT,
    model={"type": "string"},
    choices={"type": "array", "items": {"type": "object"}},
    usage={"type": ["object", "null"]},
)
HEALTH = object_of(("status",), others=True, status={"type": "string"})
ANYTHING = {"type": "object"}
