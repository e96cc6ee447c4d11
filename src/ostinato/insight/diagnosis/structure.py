"""Checks that need no run of the model: arguments without effect, and parameters that are not trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import nn

from ostinato.insight.diagnosis.finding import Finding, Number
from ostinato.insight.diagnosis.patient import Patient

# Before that, a row without a gradient may be chance: 100 updates of 20 x 35 tokens have as many tokens as seven times 10,000
# words.
_UPDATES_TO_SEE_ALL_ROWS = 100
# Some rows (<unk>, padding, the rarest words) are rarely used in any vocabulary; a quarter of all rows means a vocabulary of
# another text.
_UNUSED_ROWS = 0.25


def dropout_between_no_layers(patient: Patient) -> Iterator[Finding]:
    """`dropout=` of a recurrent layer acts between layers, and there is one only."""
    for name, layer in patient.layers.items():
        if layer.dropout > 0 and layer.num_layers == 1:
            yield Finding(
                "dropout without effect",
                "warning",
                place(patient, name),
                f"dropout={layer.dropout:g} acts between layers, and num_layers=1: nothing is dropped",
                "put torch.nn.Dropout after the layer, or use variational_dropout= of ostinato's layers; or num_layers=2",
                numbers={"dropout": Number(layer.dropout, "rate"), "num_layers": Number(1, "layers")},
            )


def frozen(patient: Patient) -> Iterator[Finding]:
    """Parameters that do not train although the optimiser has them, or although the rest of their layer trains."""
    held = _held(patient.optimizer)
    for name, part in patient.original.named_modules():
        own = dict(part.named_parameters(recurse=False))
        still = [each for each, p in own.items() if not p.requires_grad]
        in_optimizer = [each for each in still if id(own[each]) in held]
        # Freezing a whole module is common (embeddings that were trained elsewhere); freezing a part of one is not.
        if not in_optimizer and (not still or len(still) == len(own)):
            continue
        shown = in_optimizer or still
        size = sum(own[each].numel() for each in shown)
        why = (
            "the optimizer has them, but they require no gradient"
            if in_optimizer
            else f"they require no gradient, while the layer's other {len(own) - len(still)} parameters do"
        )
        yield Finding(
            "frozen parameters",
            "warning",
            place(patient, name),
            f"{', '.join(shown)} ({size:,} numbers): {why}",
            "call .requires_grad_() on them, or, if it is meant, freeze the whole module and leave it out of the optimizer",
            numbers={"frozen": Number(size, "numbers")},
        )


def not_in_optimizer(patient: Patient) -> Iterator[Finding]:
    """Parameters that get a gradient, but no update."""
    if patient.optimizer is None:
        return
    held = _held(patient.optimizer)
    missing = {name: p for name, p in patient.original.named_parameters() if p.requires_grad and id(p) not in held}
    if missing:
        size = sum(p.numel() for p in missing.values())
        yield Finding(
            "parameters not in the optimizer",
            "fault",
            some(missing),
            f"{len(missing)} parameters ({size:,} numbers) require a gradient, but no group of the optimizer has them: "
            "they stay as they began",
            "make the optimizer after the model is complete and on its device, with model.parameters()",
            numbers={"parameters": Number(len(missing), "parameters"), "size": Number(size, "numbers")},
        )


def tied_layers(patient: Patient) -> Iterator[Finding]:
    """One recurrent layer under several names, as `[layer] * n` makes it."""
    names: dict[nn.Module, list[str]] = defaultdict(list)
    for name, part in patient.original.named_modules(remove_duplicate=False):
        if isinstance(part, nn.RNNBase | nn.RNNCellBase):
            names[part].append(name)
    for part, its in names.items():
        if len(its) > 1:
            size = sum(p.numel() for p in part.parameters())
            yield Finding(
                "one layer under several names",
                "warning",
                ", ".join(its),
                f"{len(its)} names are the same {type(part).__name__}: they share {size:,} weights and train as one",
                "make a layer for each name ([LSTM(...) for _ in range(n)], not [LSTM(...)] * n), or use num_layers=",
                numbers={"names": Number(len(its), "names"), "shared": Number(size, "numbers")},
            )


def unused_rows(patient: Patient) -> Iterator[Finding]:
    """Rows of an embedding that no token has used since training began, as Adam's second moments show."""
    if patient.optimizer is None or patient.updates < _UPDATES_TO_SEE_ALL_ROWS:
        return
    for name, part in patient.original.named_modules():
        if not isinstance(part, nn.Embedding):
            continue
        moments = patient.optimizer.state.get(part.weight, {}).get("exp_avg_sq")
        if moments is None:
            continue
        unused = int((moments == 0).all(1).sum())
        rows = part.num_embeddings
        if unused > _UNUSED_ROWS * rows:
            yield Finding(
                "embedding rows never used",
                "warning",
                place(patient, name),
                f"{unused:,} of {rows:,} rows ({unused / rows:.0%}) have had no gradient in {patient.updates:,} updates: "
                f"{unused * part.embedding_dim:,} weights for tokens that do not come",
                "make the vocabulary from this text (num_embeddings=, or --tokens.vocabulary_size of the recipe), "
                "or look for ids that are shifted",
                numbers={"unused": Number(unused, "rows"), "rows": Number(rows, "rows")},
            )


def place(patient: Patient, name: str) -> str:
    """The name of a module for a reader: "encoder (LSTM)"."""
    part = patient.original.get_submodule(name)
    return f"{name or 'the model'} ({type(part).__name__})"


def some(names: dict[str, nn.Parameter] | list[str], shown: int = 4) -> str:
    """The first few names, and the number of the others, as text."""
    every = list(names)
    return ", ".join(every[:shown]) + (f" and {len(every) - shown} more" if len(every) > shown else "")


def _held(optimizer: torch.optim.Optimizer | None) -> set[int]:
    groups = optimizer.param_groups if optimizer is not None else []
    return {id(p) for group in groups for p in group["params"]}
