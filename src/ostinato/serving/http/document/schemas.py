"""The JSON Schemas of requests and answers, for checking bodies and for the OpenAPI document."""

from __future__ import annotations

from typing import Any

MOST_TOKENS = 1_000_000
_COUNT = {"type": "integer", "minimum": 0}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_NUMBERS = {"type": "array", "items": {"type": "number"}}


def object_of(required: Any = (), *, others: Any = False, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object; unknown properties are an error unless `others`."""
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": others}
    return found | ({"required": list(required)} if required else {})


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts null too, which means not given."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


GENERATING: dict[str, Any] = {
    "max_tokens": or_null(
        {"type": "integer", "minimum": 0, "maximum": MOST_TOKENS, "default": 256, "description": "to write"}
    ),
    "temperature": or_null(
        {"type": "number", "minimum": 0, "maximum": 100, "default": 1, "description": "0 writes the likeliest token"}
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
        {
            "type": "integer",
            "minimum": 0,
            "maximum": 20,
            "description": "tell the log probability of each token, and so many likeliest ones beside it",
        }
    ),
    "unit": or_null(
        {
            "type": "string",
            "maxLength": 100,
            "description": "say the value of this hidden unit at each token, such as 1.c.33",
        }
    ),
}


def _columns(what: str) -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": ["number", "null"]}}
    return {
        "type": "object",
        "additionalProperties": numbers,
        "description": f"of a forecaster: columns {what}, by their names",
    }


STEPS = object_of(
    text={"type": "string", "description": "read by the model's own vocabulary"},
    tokens={
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "description": "of a language model, or a classifier of texts: numbers of tokens",
    },
    values={
        "type": "array",
        "items": {"type": ["number", "null", "array"], "items": {"type": ["number", "null"]}},
        "description": "of a forecaster: what the series went on with; of a model of recordings: steps, each a list with "
        "a number for each channel; null is missing",
    },
    times={
        "type": "array",
        "items": {"type": "number"},
        "description": "of a model of recordings: the time of each step of values, increasing",
    },
    vectors={
        "type": "array",
        "items": _NUMBERS,
        "description": "of a classifier of images: rows of pixels, black 0 and white 1",
    },
    image={"type": "string", "description": "of a classifier of images, in base64: its rows are the steps"},
    words={"type": "array", "items": {"type": "string"}, "description": "of a tagger of words"},
    known=_columns("known ahead of time, beside the values"),
    observed=_columns("observed, beside the values"),
    future=_columns("known ahead of time, for the steps to come"),
    top={
        "type": "integer",
        "minimum": 0,
        "maximum": 1000,
        "default": 10,
        "description": "of a language model: so many likeliest next tokens",
    },
    all={
        "type": "boolean",
        "description": "say something after each step, not after the last alone; taggers always do",
    },
    end={
        "type": ["boolean", "null"],
        "description": "of a transcriber: say the text as if the recording ended here; the session may go on",
    },
    horizon={
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "description": "of a forecaster: steps to come; those of training",
    },
    levels={
        "type": "array",
        "items": {"type": "number", "minimum": 0, "maximum": 100},
        "maxItems": 20,
        "default": [50, 80, 95],
        "description": "of a forecaster: percent of intervals",
    },
    samples={
        "type": "integer",
        "minimum": 2,
        "maximum": 1000,
        "default": 200,
        "description": "of a forecaster: paths that are drawn",
    },
    seed={
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 2**63 - 1,
        "default": 0,
        "description": "of these paths",
    },
    **{"from": {**_COUNT, "description": "the step at which the session is expected to be; 409 where it is not"}},
)

BEGIN = object_of(
    text={"type": ["string", "null"], "description": "read at once"},
    tokens=STEPS["properties"]["tokens"],
    vectors=STEPS["properties"]["vectors"],
    image=STEPS["properties"]["image"],
    past={"type": "array", "items": {"type": ["number", "null"]}, "description": "of a forecaster: values so far"},
    start={
        "type": ["string", "number", "null"],
        "description": "of a forecaster: the time of the first value, where the model reads the calendar",
    },
    series={**_OPTIONAL_TEXT, "description": "of a forecaster: the name of the series, where training had several"},
    state={"type": "string", "description": "base64 of the bytes that GET .../state gave"},
    step={**_COUNT, "default": 0, "description": "that the state is of"},
    **{
        name: STEPS["properties"][name]
        for name in (
            "values",
            "times",
            "words",
            "known",
            "observed",
            "future",
            "top",
            "all",
            "end",
            "horizon",
            "levels",
            "samples",
            "seed",
        )
    },
)

_INPUT = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": ["string", "number", "null", "object", "array"]}},
        {"type": "object"},
    ],
    "description": "what a line for `ostinato predict` holds: text, words, values of a series or a recording, an image in base64",
}
PREDICT = object_of(
    input=_INPUT,
    inputs={"type": "array", "items": _INPUT, "description": "many of them, instead of `input`"},
    options={"type": ["object", "null"], "description": 'those of `ostinato predict --options`, such as {"beam": 5}'},
)
GENERATE = object_of(
    prompt={"type": "string", "description": "of a language model: what the text goes on from"},
    input={"type": "string", "description": "of a translator the text, of a captioner a picture in base64"},
    **GENERATING,
)
SESSION_GENERATE = object_of(prompt={"type": "string", "description": "read first"}, **GENERATING)
MARK = object_of(mark={"type": ["string", "null"], "description": "where it begins; here"})
REWIND = object_of(("mark",), mark={"type": "string", "description": "where to go back to"})
UNITS = object_of(("text",), text={"type": "string", "description": "that is read"})

_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "minItems": 1}
_HOW = ("temperature", "top_k", "top_p", "seed", "stop")
_REFUSED = {"description": "not supported: leave it out"}
COMPLETION = object_of(
    ("model", "prompt"),
    model={"type": "string", "description": "its name"},
    prompt={
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 128},
            _TOKENS,
            {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": 128},
        ],
        "description": "a text or many, or numbers of tokens",
    },
    max_tokens={**GENERATING["max_tokens"], "default": 16},
    **{name: GENERATING[name] for name in _HOW},
    logprobs={**GENERATING["logprobs"], "maximum": 5},
    n=or_null({"type": "integer", "minimum": 1, "maximum": 128, "default": 1, "description": "texts for each prompt"}),
    best_of=or_null({"type": "integer", "minimum": 1, "maximum": 128, "description": "the same as n, or left out"}),
    echo={"type": ["boolean", "null"], "description": "give the prompt too; with `logprobs` it is scored"},
    stream={"type": ["boolean", "null"], "description": "answer with events"},
    stream_options={
        "type": ["object", "null"],
        "properties": {"include_usage": {"type": ["boolean", "null"]}},
        "description": '{"include_usage": true} tells the usage at the end',
    },
    suffix={**_OPTIONAL_TEXT, **_REFUSED},
    user={**_OPTIONAL_TEXT, "description": "is not read"},
    presence_penalty={"type": ["number", "null"], **_REFUSED},
    frequency_penalty={"type": ["number", "null"], **_REFUSED},
    logit_bias={"type": ["object", "null"], **_REFUSED},
)

# answers

ERROR = object_of(
    ("error",),
    error=object_of(
        ("message", "type", "code"),
        others=True,
        message={"type": "string", "description": "what was expected, what came and what to do"},
        type={"type": "string", "description": "as OpenAI's clients know them"},
        code={**_OPTIONAL_TEXT, "description": "of the kind of error, for programs"},
        param={**_OPTIONAL_TEXT, "description": "the part of the request that is wrong"},
        step={**_COUNT, "description": "with 409, the step that the session is at"},
    ),
)
_SPOKEN = object_of(
    others=True,
    text={**_OPTIONAL_TEXT, "description": "what was read; of a transcriber what is written, its last 256 units"},
    added={"type": "string", "description": "of a transcriber: what this request has added to the text"},
    units={**_COUNT, "description": "of a transcriber: how many it has written"},
    token={**_COUNT, "description": "its number"},
    next={
        "type": "array",
        "items": object_of(
            ("token", "text", "p"), token=_COUNT, text={"type": "string"}, p={"type": ["number", "null"]}
        ),
        "description": "of a language model: the likeliest next tokens",
    },
    **{"class": {"type": "string", "description": "of a classifier: the likeliest so far"}},
    probability={"type": "number"},
    probabilities={"type": "object", "description": "of a classifier: of all classes"},
    tag={"type": "string", "description": "of a tagger"},
    expected={
        "type": ["object", "null"],
        "description": "of a forecaster, how the value was expected: `mean`, and the widest interval, `low` and `high`",
    },
)
_SAYS = {
    "said": {"type": "array", "items": _SPOKEN, "description": "what the model says, of the last step or of each"},
    "forecast": {
        "type": ["object", "null"],
        "description": "of a forecaster, the steps to come: `mean`, and `levels` with `low` and `high` by percent",
    },
}
_STEP = {**_COUNT, "description": "inputs read so far"}
_SAVED = {**_COUNT, "description": "the step up to which the state is on the disk"}
VIEW = object_of(
    ("id", "model", "task", "step", "saved"),
    others=True,
    id={"type": "string"},
    model={"type": "string"},
    task={"type": "string"},
    step=_STEP,
    saved=_SAVED,
    marks={"type": "object", "additionalProperties": _COUNT, "description": "the steps of marks by name"},
    created={"type": "number", "description": "Unix seconds"},
    expires={"type": ["number", "null"], "description": "Unix seconds"},
    **_SAYS,
)
SAID = object_of(("step", "saved"), others=True, id={"type": "string"}, step=_STEP, saved=_SAVED, **_SAYS)
SESSIONS = object_of(
    ("sessions", "has_more"),
    sessions={"type": "array", "items": VIEW, "description": "by their ids"},
    has_more={"type": "boolean", "description": "ask again `after` the last id"},
)
OUTPUTS = object_of(
    ("outputs",),
    outputs={
        "type": "array",
        "items": {"type": "object"},
        "description": "the lines of `ostinato predict`, one an input",
    },
)
MODEL = object_of(
    ("id", "object", "created", "owned_by"),
    others=True,
    id={"type": "string"},
    object={"type": "string", "enum": ["model"]},
    created=_COUNT,
    owned_by={"type": "string"},
    ostinato=object_of(
        ("task", "sessions"),
        others=True,
        task={"type": "string"},
        sessions={"type": "boolean", "description": "whether it has any"},
        why_no_sessions=_OPTIONAL_TEXT,
        parameters=_COUNT,
    )
    | {"description": "what Ostinato knows of it; of a task its classes, tags, units or horizon too"},
)
MODELS = object_of(("object", "data"), object={"type": "string"}, data={"type": "array", "items": MODEL})
COMPLETED = object_of(
    ("id", "object", "created", "model", "choices"),
    others=True,
    id={"type": "string"},
    object={"type": "string", "enum": ["text_completion"]},
    created=_COUNT,
    model={"type": "string"},
    choices={
        "type": "array",
        "items": object_of(
            ("text", "index"),
            text={"type": "string"},
            index={**_COUNT, "description": "prompts by their order, `n` texts of each"},
            logprobs={
                "type": ["object", "null"],
                "description": "`tokens`, `token_logprobs`, `top_logprobs`, `text_offset`",
            },
            finish_reason={**_OPTIONAL_TEXT, "description": "stop or length"},
        ),
        "description": "the texts",
    },
    usage={"type": ["object", "null"], "description": "prompt_tokens, completion_tokens, total_tokens"},
)
HEALTH = object_of(("status",), others=True, status={"type": "string"})
ANYTHING = {"type": "object"}
VALUES = object_of(
    ("tokens", "values", "shape", "best"),
    others=True,
    tokens={"type": "array", "items": {"type": "string"}, "description": "the T pieces of the text"},
    values={"type": "string", "description": "base64 of (T, H) int8, row by row, 127 for 1"},
    shape={"type": "array", "items": _COUNT, "description": "T and H"},
    best={"type": "array", "items": {"type": "object"}, "description": "units that mean something, with why"},
)
