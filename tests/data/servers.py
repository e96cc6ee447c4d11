"""Small HTTP servers, for data far away: good ones, and those that fail in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What a server has and how it behaves.

    Args:
        files: Content by path.
        ranges: Whether an answer can begin in the middle of a file.
        fail_at: Byte of a file at which an answer breaks off; None for never.
        failures: How many answers break off before the server is well; None for all.
        gone: Whether it hangs up at once.
        status: What it answers in place of each file, such as 503; None for the file.
        refusals: How many answers have that status before the server is well; None for all.
        location: Where it sends those who ask, with a status of 3xx.
        asked: For each answer, the byte it was asked to begin at.
    """

    files: dict[str, bytes]
    ranges: bool = True
    fail_at: int | None = None
    failures: int | None = None
    gone: bool = False
    status: int | None = None
    refusals: int | None = None
    location: str | None = None
    requests: int = 0
    asked: list[int] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """The site, at `site.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def log_message(self, format, *args):
            pass

        def _answer(self, body):
            if site.gone:
                self.close_connection = True
                return
            site.requests += 1
            if site.status is not None and site.refusals != 0:
                site.refusals = None if site.refusals is None else site.refusals - 1
                self.send_response(site.status)
                if site.location is not None:
                    self.send_header("Location", site.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            wanted = self.headers.get("Range", "bytes=0-")
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            if body:
                site.asked.append(begin)
            partial = site.ranges and begin > 0
            begin = begin if partial else 0
            self.send_response(206 if partial else 200)
            if partial:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            if not body:
                return
            fails = site.fail_at is not None and site.failures != 0 and begin < site.fail_at
            if fails and site.failures is not None:
                site.failures -= 1
            self.wfile.write(content[begin : site.fail_at if fails else None])
            if fails:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
