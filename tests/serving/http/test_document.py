"""The OpenAPI document and its page say what the server does."""

from __future__ import annotations

import importlib
import json
import pkgutil

import jsonschema_rs
import pytest

import ostinato.serving
from ostinato.serving.errors import ServingError
from ostinato.serving.http.document import docs, examples, openapi
from ostinato.serving.http.document.faults import FAULTS
from ostinato.serving.http.routes import ROUTES

DOCUMENT = json.loads(openapi.document(["notes"], tokens=True))
BODIES = [route for route in ROUTES if route.body is not None]


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.path)
def test_examples_are_requests_that_are_taken(route) -> None:
    judge = jsonschema_rs.validator_for(route.body)
    for body in examples.BODIES[route.path].values():
        judge.validate(body)
        assert route.check
        route.check(body, "")


def test_every_error_is_told() -> None:
    for found in pkgutil.walk_packages(ostinato.serving.__path__, "ostinato.serving."):
        importlib.import_module(found.name)
    kinds, seen = [ServingError], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        seen.add((kind.status, kind.code))
    told = {(status, code) for status, fault in FAULTS.items() for code in fault.codes}
    assert {each for each in seen if each[1]} == told


def test_only_keyed_requests_find_a_key_used() -> None:
    keyed = {route.path for route in ROUTES if route.keyed}
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert ("422" in operation["responses"]) == (path in keyed and "requestBody" in operation)
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert answer == {"$ref": f"#/components/responses/Error{status}"}
                    assert f"Error{status}" in DOCUMENT["components"]["responses"]


def test_the_document_says_how_tokens_are_sent() -> None:
    assert DOCUMENT["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert DOCUMENT["paths"]["/v1/models"]["get"]["security"] == [{"token": []}]
    assert "security" not in DOCUMENT["paths"]["/healthz"]["get"]


def test_the_page_has_a_request_of_every_route_and_no_schema() -> None:
    page = docs.page().decode()
    for route in ROUTES:
        assert route.path in page
    assert page.count("curl ") >= len(ROUTES)
    assert "additionalProperties" not in page
    for fault in FAULTS.values():
        for code in fault.codes:
            assert code in page
