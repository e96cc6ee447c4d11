"""Handlers for operating the server: health, metrics, documents."""

from __future__ import annotations

from ostinato.serving.errors import UnavailableError
from ostinato.serving.http.context import Context
from ostinato.serving.http.metrics import CONTENT_TYPE
from ostinato.serving.http.request import Reply, Request, as_json

RETRY_S = 1.0


async def health(app: Context, request: Request) -> Reply:
    """Report that the process answers."""
    return as_json({"status": "ok"})


async def ready(app: Context, request: Request) -> Reply:
    """Report that requests are taken; 503 while the server starts, drains, or does not reach its store."""
    if not app.takes_requests:
        raise UnavailableError("the server starts or ends; try another one, or again", retry_after=RETRY_S)
    if not await app.service.reaches_store():
        raise UnavailableError(
            "the store of sessions cannot be reached; try another server, or again", retry_after=RETRY_S
        )
    return as_json({"status": "ready", "models": list(app.service.models)})


async def metrics(app: Context, request: Request) -> Reply:
    """Return the metrics for Prometheus."""
    return Reply(200, app.metrics.page(app.service.stats(), app.connections()), CONTENT_TYPE)


async def openapi(app: Context, request: Request) -> Reply:
    """Return this document: OpenAPI 3.1."""
    return Reply(200, app.document)


async def docs(app: Context, request: Request) -> Reply:
    """Return the same document as an HTML page."""
    return Reply(200, app.docs, b"text/html; charset=utf-8", ((b"content-security-policy", _POLICY),))


_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
