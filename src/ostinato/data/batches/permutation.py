"""Permutations that are computed and not stored: an order of hundreds of millions of examples takes no memory.

A Feistel network, whose rounds are keyed by the seed and the number of the epoch, enciphers a place in the order; cycle
walking keeps the result in range (Black & Rogaway 2002, *Ciphers with arbitrary finite domains*).
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 6


def key_of(seed: int, epoch: int) -> int:
    """Compute the key of the permutation of an epoch, for `permuted`."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])


def permuted(places: np.ndarray, count: int, key: int) -> np.ndarray:
    """Return (N,) int64, the numbers at some places of a permutation of 0 to count - 1.

    Args:
        places: (N,) int64, from 0 to count - 1.
        count: at least 1.
        key: which permutation, from 0 to 2^64 - 1.
    """
    half = max(1, -(-int(count - 1).bit_length() // 2))
    found = places.astype(np.uint64)
    out = np.ones(len(found), dtype=bool)  # not enciphered yet, or beyond the end: enciphered again
    while out.any():
        found[out] = _enciphered(found[out], half, key)
        out = found >= count
    return found.astype(np.int64)


def _enciphered(v: np.ndarray, half: int, key: int) -> np.ndarray:
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    left, right = v >> shift, v & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (_mixed(right, key + number * 0x632BE59BD9B4E019) & mask)
    return (left << shift) | right


def _mixed(v: np.ndarray, key: int) -> np.ndarray:
    """Mix the bits of `v` by the function of SplitMix (Steele, Lea & Flood 2014)."""
    z = v * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
