"""What a tokenising process runs: `python -m ostinato.data.tokens.worker`, tasks on standard input, results on standard output.

Every message is its length in bytes, 8 of them, and the bytes. The first message is the job in JSON, the others are
texts in UTF-8; each text is answered by a result. The process ends when its input does, so also when its parent is
killed. It loads no torch.
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
    """Write one message, the parts of it one after the other."""
    file.write(_LENGTH.pack(sum(map(len, parts))))
    for part in parts:
        file.write(part)
    file.flush()


def receive(file: IO[bytes]) -> bytes | None:
    """Read one message; None at the end, and where a message is cut off."""
    length = file.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(length)
    message = file.read(size)
    return message if len(message) == size else None


def encoder(vocabulary: Vocabulary) -> Work:
    """Text to the number of its words, in 8 bytes, and its ids."""
    return lambda text: (
        _LENGTH.pack(len(text.split())) + np.asarray(vocabulary.encode(text), vocabulary.dtype).tobytes()
    )


def encoded(result: bytes, vocabulary: Vocabulary) -> tuple[int, np.ndarray]:
    """What `encoder` gave: words, ids."""
    return _LENGTH.unpack_from(result)[0], np.frombuffer(result, vocabulary.dtype, offset=_LENGTH.size)


def count_words(text: str) -> bytes:
    """Text to its different words, one a line in the order of first appearance, after 8 bytes each for how often."""
    counts = Counter(text.split())
    return b"".join(
        [_LENGTH.pack(len(counts)), np.array([*counts.values()], "<u8").tobytes(), "\n".join(counts).encode()]
    )


def counted_words(result: bytes) -> dict[str, int]:
    """What `count_words` gave."""
    (different,) = _LENGTH.unpack_from(result)
    counts = np.frombuffer(result, "<u8", different, _LENGTH.size).tolist()
    words = result[_LENGTH.size * (1 + different) :].decode()
    return dict(zip(words.split("\n"), counts, strict=True)) if different else {}


def work_of(job: dict[str, Any]) -> Work:
    """What to do with each text: encode it in `job["vocabulary"]`, or count its words."""
    if "vocabulary" not in job:
        return count_words
    return encoder(vocabulary_from_dict(job["vocabulary"]))


def main() -> None:
    """Answers until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent decides
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything else prints is not a result
    job = receive(tasks)
    if job is None:
        return
    work = work_of(json.loads(job))
    try:
        while (text := receive(tasks)) is not None:
            send(results, work(text.decode()))
    except BrokenPipeError:  # nobody waits for the result any more
        os._exit(0)


if __name__ == "__main__":
    main()
