"""A fingerprint of the data that a run is trained on, short enough for a checkpoint."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_WHOLE_BYTES = 64 * 2**20
_SAMPLES = 64  # few and long samples, because each access brings a large page of the file into memory
_SAMPLE_IDS = 65_536


def fingerprint(*texts: np.ndarray) -> str:
    """A checksum of token ids, which differs for different texts in the same vocabulary.

    All ids of a text of up to 64 MB count. Of a larger text, which would have to be read from the disk, only the number of ids
    counts, and 64 blocks of 65,536 ids at even distances, the last ids among them: a text that was edited in a few places without
    changing its length can go unnoticed.

    Args:
        *texts: (N,) token ids of any integer type; only the values count, not the type.
    """
    digest = hashlib.sha256()
    for ids in texts:
        _add(digest, ids)
    return digest.hexdigest()


def _add(digest: Any, ids: np.ndarray) -> None:
    digest.update(str(len(ids)).encode())
    if ids.nbytes <= _WHOLE_BYTES:
        starts, length = range(0, len(ids), 2**20), 2**20
    else:
        starts, length = np.linspace(0, len(ids) - _SAMPLE_IDS, _SAMPLES).astype(np.int64).tolist(), _SAMPLE_IDS
    for start in starts:
        digest.update(np.asarray(ids[start : start + length]).astype("<i8").tobytes())
