"""Make the layer class and the step class of a named cell; what all of them share is in `Recurrent` and `Step`."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import torch

from ostinato.cells.registry import NamedCell
from ostinato.cells.spec import Cell
from ostinato.errors import CellError
from ostinato.nn.options import LayerOptions, StepOptions, check_names

# The place of a cell's own arguments: that of `nonlinearity` in torch.nn's RNN and RNNCell, after two sizes and
# `num_layers` or `bias`.
_OWN_PLACE = 3


def named_class(named: NamedCell, base: Any, name: str, module: str) -> type[Any]:
    """Make the class of a named cell's layer or single step.

    Its signature and its docstring are those of `base`, without `cell` and with the cell's own arguments, which become attributes;
    the docstring explains each option too.
    If torch's kernels compute the default cell, torch.nn's class of the same name is a base class.

    Args:
        named: the cell, or the choice of cells.
        base: `Recurrent` or `Step`.
        name: the name of the class.
        module: the name of the module that the class belongs to.
    """
    cell = named.choose()
    torch_class = getattr(torch.nn, name, None) if cell.vendor else None
    shared = dict(inspect.signature(base.__init__).parameters)
    del shared["cell"]
    takes_projection = "proj_size" in shared
    options_of = (LayerOptions if takes_projection else StepOptions).__annotations__
    if takes_projection and len(cell.states) == 1:
        del shared["proj_size"]

    def initialise(self: Any, given: dict[str, Any], options: dict[str, Any]) -> None:
        if torch_class is not None and takes_projection and "proj_size" in options:
            torch_class(1, 1, proj_size=options["proj_size"])  # raises torch.nn's own error
        check_names(options.keys() - {"proj_size"}, {*options_of, *named.arguments})  # `base` rejects `proj_size`
        own = {argument: given.pop(argument) for argument in named.arguments}
        base.__init__(self, _chosen(named, own, torch_class), **given, **options)
        for argument, value in own.items():
            setattr(self, argument, value)

    signature = _signature(shared, named)
    attributes = {
        "__doc__": _docstring(
            named, base, list(signature.parameters), torch_class, _example(cell, name, module, takes_projection)
        ),
        "__init__": _with_signature(signature, initialise, f"{name}.__init__", base.__init__.__globals__),
        "__module__": module,
        "torch_class": torch_class,
    }
    return type(name, (base, torch_class) if torch_class else (base,), attributes)


def _chosen(named: NamedCell, own: dict[str, Any], torch_class: type[Any] | None) -> Cell:
    try:
        return named.choose(**own)
    except CellError:
        if torch_class is not None:
            # Raise torch.nn's own error; a single step of torch.nn raises it only when it is called.
            refusing = torch_class(1, 1, **own, device="meta")
            refusing(torch.empty(1, 1, device="meta"))
        raise


def _signature(shared: dict[str, inspect.Parameter], named: NamedCell) -> inspect.Signature:
    own = list(named.arguments.values())
    positional = [each for each in own if each.kind is each.POSITIONAL_OR_KEYWORD]
    keyword = [each for each in own if each.kind is each.KEYWORD_ONLY]
    self, *arguments, options = shared.values()
    return inspect.Signature(
        [self, *arguments[:_OWN_PLACE], *positional, *arguments[_OWN_PLACE:], *keyword, options],
        return_annotation="None",
    )


def _with_signature(
    signature: inspect.Signature, call: Callable[..., None], qualified_name: str, namespace: dict[str, Any]
) -> Callable[..., None]:
    """Make a function that passes three things to `call`: its first argument, a dict of the others, a dict of the options.

    It is compiled from source, as a dataclass's `__init__` is, so that Python itself reports what is wrong with a call.
    `namespace` holds the names that the annotations use.
    """
    self, *names, options = signature.parameters
    given = ", ".join(f"{name!r}: {name}" for name in names)
    source = f"def __init__{signature}:\n    _call({self}, {{{given}}}, {options})"
    scope = {**namespace, "_call": call}
    exec(compile(source, f"<{qualified_name}>", "exec", dont_inherit=True), scope)
    made = scope["__init__"]
    made.__qualname__ = qualified_name
    return made


def _example(cell: Cell, name: str, module: str, is_layer: bool) -> str:
    """The shapes of a call, and an example; empty for the catalogue, whose cells may need more arguments."""
    if not module.startswith("ostinato.nn."):
        return ""
    several = len(cell.states) > 1
    after = [f"{state}_n" if is_layer else state for state in cell.states]
    states = f"({', '.join(after)})" if several else after[0]
    if is_layer:
        told = (
            "A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,\n"
            f"`(T, B, D H)`, and the states after the last, `{', '.join(after)}`, `(L D, B, H)`{' each' * several}.\n"
            "`lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`."
        )
        made, given = "10, 20, num_layers=2, zoneout=0.1", "torch.randn(35, 4, 10), lengths=[35, 12, 0, 20]"
        shown, sizes = f"output.shape, {after[0]}.shape", "(torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))"
        taken = f"output, {states}"
    else:
        told = (
            "A call takes `(B, I)` and the states before, and gives those after: "
            f"`{', '.join(after)}`, `(B, H)`{' each' * several}."
        )
        made, given, shown, sizes = "10, 20", "torch.randn(4, 10)", f"{after[0]}.shape", "torch.Size([4, 20])"
        taken = ", ".join(after)
    kind = "layer" if is_layer else "step"
    lines = [f"{kind} = ostinato.{name}({made})", f"{taken} = {kind}({given})", shown]
    return told + "\n\nExample:\n" + "\n".join(f"    >>> {line}" for line in lines) + f"\n    {sizes}\n\n"


def _docstring(
    named: NamedCell, base: type[Any], arguments: list[str], torch_class: type[Any] | None, example: str
) -> str:
    """The docstring of the class: the named cell's text, an example, then the arguments and the errors as `base` documents them."""
    text, own, _ = _parts(named.choose)
    _, shared, errors = _parts(base)
    if issubclass(base, torch.nn.RNNCellBase):
        text = f"One step of `{named.name}`.\n\n{text}"
    if torch_class is not None:
        first, _, rest = text.partition("\n")
        text = f"{first} Drops in for `torch.nn.{torch_class.__name__}`.\n{rest}".rstrip()
    told = {argument.lstrip("*"): said for argument, said in (shared | own).items()}
    told["options"] = _options_told(LayerOptions if "num_layers" in arguments else StepOptions)
    lines = "\n".join(told[argument] for argument in arguments if argument in told)
    return f"{text}\n\n{example}Args:\n{lines}\n\n{errors}"


@functools.cache
def _options_told(options: type[Any]) -> str:
    """The docstring's entry for `**options`: every keyword-only option and its meaning."""
    kinds = [StepOptions] if options is StepOptions else [StepOptions, LayerOptions]
    every = "\n".join(inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")[2].rstrip() for kind in kinds)
    return f"    **options: by keyword, `{options.__name__}`:\n{textwrap.indent(every, '    ')}"


def _parts(documented: Any) -> tuple[str, dict[str, str], str]:
    """Split a docstring into its text, the lines of each argument by the argument's name, and the rest."""
    text, _, rest = inspect.cleandoc(documented.__doc__ or "").partition("\nArgs:\n")
    arguments, _, errors = rest.partition("\n\n")
    entries = re.split(r"^(?=    \S)", arguments, flags=re.MULTILINE)[1:]
    return text.strip(), {each.strip().partition(":")[0]: each.rstrip() for each in entries}, errors
