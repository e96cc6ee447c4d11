"""Examples of requests with a body, and of events in answers, for the OpenAPI document and its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SERIES = {"values": [370.0, 371.0, 372.0], "start": "2001-01-06"}
_PICTURE = "iVBORw0KGgo..."

# Bodies of POST requests, by path and by what they show; the first is for a language model if it has the route.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/completions": {
        "write": {"model": "notes", "prompt": "It was", "max_tokens": 40, "temperature": 0.7, "seed": 1},
        "score": {"model": "notes", "prompt": "It was", "max_tokens": 0, "echo": True, "logprobs": 1},
    },
    "/v1/{model}/predict": {
        "classify or tag a text": {"input": "Guten Morgen, wie geht es dir?"},
        "classify an image": {"input": _PICTURE},
        "classify or tag a recording": {"input": {"values": [[0.1, 9.8], [0.2, None], [0.1, 9.7]]}},
        "translate": {"input": "31 May 2024", "options": {"beam": 3}},
        "caption": {"input": _PICTURE, "options": {"beam": 3}},
        "forecast": {"input": _SERIES, "options": {"horizon": 3}},
        "forecast, of rows": {
            "inputs": [{"date": "2001-01-06", "value": 370.0}, {"date": "2001-01-13", "value": 371.0}]
        },
    },
    "/v1/{model}/generate": {
        "language model": {"prompt": "It was", "max_tokens": 40, "seed": 1},
        "translate": {"input": "31 May 2024", "temperature": 0},
        "caption": {"input": _PICTURE, "temperature": 0},
    },
    "/v1/{model}/units": {"language model": {"text": "It was the best"}},
    "/v1/{model}/sessions": {
        "language model": {"text": "It was the "},
        "classify or tag": {},
        "forecast": {"past": _SERIES["values"], "start": _SERIES["start"], "horizon": 3},
        "of a state": {"state": "T1NUUk9XUzE...", "step": 15},
    },
    "/v1/{model}/sessions/{id}/steps": {
        "language model": {"text": "best", "top": 3, "from": 11},
        "classify or tag a text": {"text": "Guten"},
        "classify an image": {"vectors": [[0.0, 0.0, 0.3, 0.9, 0.9, 0.2, 0.0, 0.0]]},
        "tag words": {"words": ["the", "dog"]},
        "forecast": {"values": [372.1, None], "horizon": 2, "levels": [80]},
        "transcribe while frames come": {"values": [[0.1, 9.8], [0.2, None]], "end": True},
        "classify or tag a recording step by step": {"values": [[0.1, 9.8], [0.2, None]], "times": [0.0, 0.1]},
    },
    "/v1/{model}/sessions/{id}/generate": {"language model": {"max_tokens": 40, "stop": ["."], "seed": 1}},
    "/v1/{model}/sessions/{id}/rewind": {"to a mark": {"mark": "here"}},
    "/v1/{model}/sessions/{id}/fork": {"from here": {}, "from a mark": {"mark": "here"}},
}

_END = "data: [DONE]\n\n"
_WRITTEN = (
    'data: {"text":"t","token":84,"logprob":null}\n\n'
    'data: {"finish_reason":"length","usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}\n\n' + _END
)
_CHUNK = (
    'data: {"id":"cmpl-1","object":"text_completion","created":1767225600,"model":"notes","choices":'
    '[{"text":"t","index":0,"logprobs":null,"finish_reason":"length"}]}\n\n' + _END
)
_TOLD = (
    "server-sent events of JSON: of translators first {source}, of captioners {grid}; for each token {text, token, logprob}, with "
    "top_logprobs where logprobs are asked, unit where one is asked, attention of translators and captioners; at the end "
    "{finish_reason, usage}, of a session with step, saved and next; {error} where it fails on the way; then [DONE]"
)
_CHUNKS = "with stream: server-sent events, each a completion with the texts that are new; then [DONE]"

# Events by path: a description and an example.
EVENTS: Mapping[str, tuple[str, str]] = {
    "/v1/completions": (_CHUNKS, _CHUNK),
    "/v1/{model}/generate": (_TOLD, _WRITTEN),
    "/v1/{model}/sessions/{id}/generate": (_TOLD, _WRITTEN),
}
