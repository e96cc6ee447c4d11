"""The program of a tokenising process, `python -m ostinato.data.tokens.worker`: tasks on stdin, results on stdout.

Every message is its length, in 8 bytes, and then its bytes. The first message is the job in JSON, the others are texts
in UTF-8; each text is answered by a result. The process ends when its input ends, so also when its parent is killed. It
does not load torch.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from ostinato.data.tokens.vocabulary import Vocabulary, vocabulary_from_dict

_LENGTH = struct.Struct("<Q")

Work = Callable[[str], bytes]


def send(file: IO[bytes], *parts: bytes) -> None:
    """Write one message, which consists of `parts` one after the other."""
    file.write(_LENGTH.pack(sum(map(len, parts))))
    for part in parts:
        file.write(part)
    file.flush()


def receive(file: IO[bytes]) -> bytes | None:
    """Read one message; None at the end of the file, also if the last message is incomplete."""
    length = file.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(length)
    message = file.read(size)
    return message if len(message) == size else None


def encoder(vocabulary: Vocabulary) -> Work:
    """Return a function that turns a text into the number of its words, in 8 bytes, and its ids."""
    return lambda text: (
        _LENGTH.pack(len(text.split())) + np.asarray(vocabulary.encode(text), vocabulary.dtype).tobytes()
    )


def encoded(result: bytes, vocabulary: Vocabulary) -> tuple[int, np.ndarray]:
    """Decode a result of `encoder` into the number of words and the ids."""
    return _LENGTH.unpack_from(result)[0], np.frombuffer(result, vocabulary.dtype, offset=_LENGTH.size)


def count_words(text: str) -> bytes:
    """Return how many different words a text has, the count of each (8 bytes each), then the words as lines.

    The words are in the order of their first appearance.
    """
    counts = Counter(text.split())
    return b"".join(
        [_LENGTH.pack(len(counts)), np.array([*counts.values()], "<u8").tobytes(), "\n".join(counts).encode()]
    )


def counted_words(result: bytes) -> dict[str, int]:
    """Decode a result of `count_words`."""
    (different,) = _LENGTH.unpack_from(result)
    counts = np.frombuffer(result, "<u8", different, _LENGTH.size).tolist()
    words = result[_LENGTH.size * (1 + different) :].decode()
    return dict(zip(words.split("\n"), counts, strict=True)) if different else {}


def work_of(job: dict[str, Any]) -> Work:
    """Return the function for each text: encode it in `job["vocabulary"]`, or count its words if there is none."""
    if "vocabulary" not in job:
        return count_words
    return encoder(vocabulary_from_dict(job["vocabulary"]))


def main() -> None:
    """Answer tasks until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent decides
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything that other code prints goes to standard error, not among the results
    job = receive(tasks)
    if job is None:
        return
    work = work_of(json.loads(job))
    try:
        while (text := receive(tasks)) is not None:
            send(results, work(text.decode()))
    except BrokenPipeError:  # the parent does not read any more
        os._exit(0)


if __name__ == "__main__":
    main()
