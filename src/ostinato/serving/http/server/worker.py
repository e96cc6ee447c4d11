"""`python -m ostinato.serving.http.server.worker`: one of several processes of a server, started by `Workers`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from ostinato.errors import OstinatoError
from ostinato.serving.http.server.settings import Settings


def main(words: list[str]) -> int:
    """Serve at a socket that is open already.

    Args:
        words: the file numbers of the socket and of the pipe that ends with its parent, and the settings.
    """
    listening, alive, settings = int(words[0]), int(words[1]), Settings.from_json(words[2])
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()

    from ostinato.serving.http.server.run import run

    try:
        run(settings, socket.socket(fileno=listening))
    except OstinatoError as error:
        print(f"ostinato: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _end_with_parent(alive: int) -> None:
    while os.read(alive, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
