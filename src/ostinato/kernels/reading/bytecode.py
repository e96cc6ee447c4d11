"""What a function's code looks up, read from its bytecode without running it."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_FROM_OUTSIDE = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_CLOSED_OVER = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_VARIABLE = frozenset({"LOAD_FAST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"})
# One of `names`: the code may look up attributes, of classes too, by names that are not in it.
ANY_NAME = "<any>"
_ANY_NAME_OF_CLASSES = frozenset(
    {"vars", "dir", "__dict__", "__getattribute__", "__match_args__", "attrgetter", "methodcaller"}
)
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
# Names of functions and attributes that look up attributes which the code does not name.
_BY_ANY_NAME = frozenset(
    {
        *(
            "vars",
            "dir",
            "__dict__",
            "asdict",
            "astuple",
            "fields",
            "replace",
            "copy",
            "deepcopy",
            "getattr",
            "repr",
            "str",
        ),
        *("__getattribute__", "attrgetter", "methodcaller", "__match_args__"),
        *("children", "named_children", "modules", "named_modules", "parameters", "named_parameters", "buffers"),
        *("named_buffers", "get_submodule", "get_parameter", "get_buffer", "state_dict"),
    }
)


@dataclass(frozen=True)
class Looked:
    """What a code object, and those within it, look up.

    Attributes:
        globals: the names that are looked up in the module, then in the builtins, in the order in which they appear.
        chains: for each such name, or variable that is closed over, the attributes that directly follow it: `("nn", "functional")`
            for `torch.nn.functional`. An empty chain, (), means that the value itself is used.
        names: everything that may be the name of an attribute, texts among the constants included.
        imports: modules that are imported while the code runs: (name, level).
        by_any_name: whether attributes may be looked up that are not among `names`.
        catches: whether errors are caught, so that the result may depend on what raises.
    """

    globals: tuple[str, ...]
    chains: Mapping[str, frozenset[tuple[str, ...]]]
    names: frozenset[str]
    imports: tuple[tuple[str, int], ...]
    by_any_name: bool
    catches: bool


@functools.lru_cache(maxsize=1024)
def looked_up(code: types.CodeType) -> Looked:
    """Find what the code looks up."""
    globals_: dict[str, None] = {}
    chains: dict[str, set[tuple[str, ...]]] = {}
    names: set[str] = set()
    imports: dict[tuple[str, int], None] = {}
    handlers = 0
    for each in _nested(code):
        names |= {*each.co_names, *_texts(each.co_consts)}
        instructions = [i for i in dis.get_instructions(each) if i.opname != "EXTENDED_ARG"]
        handlers += sum(i.opname == "PUSH_EXC_INFO" for i in instructions)
        handlers -= sum(i.opname == "WITH_EXCEPT_START" for i in instructions)  # those of `with` do not count
        for at, instruction in enumerate(instructions):
            if instruction.opname in _FROM_OUTSIDE:
                globals_[str(instruction.argval)] = None
            if instruction.opname in _FROM_OUTSIDE | _CLOSED_OVER:
                chains.setdefault(str(instruction.argval), set()).add(_attributes(instructions, at + 1))
            if instruction.opname.startswith("FORMAT_"):
                names.add("format")
            if instruction.opname == "MATCH_CLASS" and instruction.argval:
                names.add("__match_args__")
            by_name = instruction.opname in _FROM_OUTSIDE and instruction.argval in ("getattr", "hasattr")
            if by_name and not _says_which(instructions, at + 1):
                names.add(ANY_NAME)
            if instruction.opname == "IMPORT_NAME":
                level = instructions[at - 2].argval  # the instruction between them loads the names that are imported
                imports[str(instruction.argval), level if isinstance(level, int) else 0] = None
    if not names.isdisjoint(_ANY_NAME_OF_CLASSES):
        names.add(ANY_NAME)
    frozen = {name: frozenset(found) for name, found in chains.items()}
    catches = handlers > 0 or "suppress" in names
    return Looked(
        tuple(globals_), frozen, frozenset(names), tuple(imports), not names.isdisjoint(_BY_ANY_NAME), catches
    )


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _texts(constants: tuple[object, ...]) -> Iterator[str]:
    """Every part of each text that could be a path of attributes, such as `attrgetter` takes."""
    for constant in constants:
        if isinstance(constant, str) and len(constant) < 100:
            yield from constant.split(".")
        elif isinstance(constant, tuple):
            yield from _texts(constant)


def _says_which(instructions: list[dis.Instruction], start: int) -> bool:
    """Whether the call of `getattr` names its attribute: a variable (or attributes of one), then the name as a constant."""
    if instructions[start].opname not in _VARIABLE:
        return False
    at = start + 1 + len(_attributes(instructions, start + 1))
    return instructions[at].opname == "LOAD_CONST" and isinstance(instructions[at].argval, str)


def _attributes(instructions: list[dis.Instruction], start: int) -> tuple[str, ...]:
    found: list[str] = []
    for instruction in instructions[start:]:
        if instruction.opname not in _ATTRIBUTE:
            break
        found.append(str(instruction.argval))
    return tuple(found)
