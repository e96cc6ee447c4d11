"""The routes of the page's files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# Only the server's own files may run, and browsers refuse `innerHTML`, so that no text becomes markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
FOLDER = Path(__file__).parent / "files"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    etag: str


def routes() -> list[Route]:
    """Return the routes `/` and `/page/{name}`, for `GET` and `HEAD`; the files are read once, here.

    A browser asks each time whether a file has changed, and gets its content only then (`ETag`).
    """
    found = {each.name: _read(each) for each in FOLDER.iterdir() if each.suffix in _KINDS}

    async def root(request: Request) -> Response:
        return _answer(found["index.html"], request)

    async def one(request: Request) -> Response:
        file = found.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("the page has no such file\n", 404)
        return _answer(file, request)

    return [
        Route("/", root, methods=["GET"], include_in_schema=False),
        Route("/page/{name}", one, methods=["GET"], include_in_schema=False),
    ]


def _read(file: Path) -> _File:
    content = file.read_bytes()
    return _File(content, _KINDS[file.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _answer(file: _File, request: Request) -> Response:
    headers = {
        "ETag": file.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    asked = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if file.etag in asked or asked == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.kind)
