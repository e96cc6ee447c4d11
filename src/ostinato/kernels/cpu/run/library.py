"""The functions in machine code that all cells share: products, the copies around them, and the barrier of the threads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from llvmlite import ir

from ostinato.kernels.cpu.code import cache, product, tiles, weight_gradients
from ostinato.kernels.cpu.code.kernel import key_of, shape
from ostinato.kernels.cpu.code.target import Loaded, load
from ostinato.kernels.cpu.code.target import compile as machine_code
from ostinato.kernels.cpu.run import checksum, gather_rows, jobs
from ostinato.kernels.cpu.threads import meeting
from ostinato.locks import compiling

_LIBRARY = (
    *("multiply", "weight_gradients", "meet", "region", "pieces", "meetings", "nth_share", "in_turn_share"),
    *("pack_share", "pack_transposed_share", "checksum_share", "move_share", "add_share", "tell_share", "place_share"),
)


@functools.cache
def library(double: bool) -> Mapping[str, int]:
    """Addresses of the functions that all cells share."""

    def module() -> ir.Module:
        made = product.module(shape(double))
        weight_gradients.write(made, shape(double))
        gather_rows.write(made, shape(double))
        checksum.write(made)
        meeting.write(made)
        jobs.write(made)
        return made

    return _shared(key_of("library", shape(double)), module, _LIBRARY)


@functools.cache
def tile_library() -> Mapping[str, int]:
    """Addresses of the functions of `tiles`; to be called only if `has_tiles`."""
    return _shared(key_of("tiles", shape(False)), lambda: tiles.module(shape(False)), ("multiply_tiles", "pair_share"))


def _shared(key: str, module: Callable[[], ir.Module], names: tuple[str, ...]) -> Mapping[str, int]:
    with compiling:
        code = cache.load(key)
        if code is None:
            code = machine_code(module(), shared=True)
            cache.store(key, code)
        loaded = load(code, names)
    _alive.append(loaded)
    return {name: loaded.address(name) for name in names}


_alive: list[Loaded] = []
