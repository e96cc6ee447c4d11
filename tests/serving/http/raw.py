"""Connections byte by byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.serving.http.running import Running


@contextmanager
def connection(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as found:
        yield found


def post(path: str, body: Any, *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"POST {path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(data)}",
    ]
    return "\r\n".join([*head, *headers, "", ""]).encode() + data


def answers(sock: socket.socket, count: int) -> list[tuple[int, Any]]:
    """So many whole answers: statuses and bodies."""
    data, found = b"", []
    while len(found) < count:
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += _more(sock)
        head, data = data[:end].decode().lower(), data[end + 4 :]
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
        while len(data) < length:
            data += _more(sock)
        found.append((int(head[9:12]), json.loads(data[:length] or b"null")))
        data = data[length:]
    return found


def rest(sock: socket.socket) -> bytes:
    """What comes until the server closes."""
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def _more(sock: socket.socket) -> bytes:
    part = sock.recv(65536)
    assert part, "the server closed the connection"
    return part
