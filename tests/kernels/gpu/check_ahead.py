"""Kernels compiled for GPUs that are not here. The whole table: python -m benchmarks.gpu --ahead."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.gpu import ahead
from benchmarks.gpu.subjects import built_in

from ostinato import cells
from ostinato.kernels.compiler.plan import plan
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.gpu.ahead import compile_for, signature, usage
from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.code.kernel import emit

RESIDENT = Blocks(16, 16, 64, 4, resident=True)


@pytest.mark.parametrize("part", ["training", "backward"])
def test_an_lstm_keeps_its_weights_in_shared_memory_and_spills_nothing(part: str) -> None:
    emitted = emit(plan(trace(cells.lstm, True, False)), part, {"H": 256}, RESIDENT, dtype=torch.bfloat16)
    found = usage(emitted, torch.bfloat16, RESIDENT, "sm_90")
    assert found.spilled == 0
    assert found.shared == 4 * 16 * 256 * 2 + 16 * 256 * 2  # as the model says
    assert found.products == 32


def test_another_cell_for_another_gpu_with_lengths() -> None:
    emitted = emit(plan(trace(cells.gru_reset_before, True, False)), "training", {"H": 64}, Blocks(), with_lengths=True)
    assert usage(emitted, torch.float32, Blocks(), "sm_80", in_one=False).registers <= 255


def test_for_amd() -> None:
    emitted = emit(plan(trace(cells.rnn_tanh, True, False)), "training", {"H": 64}, Blocks())
    assert "hsaco" in compile_for(emitted, torch.float32, Blocks(), "gfx942").asm


def test_types_of_arguments() -> None:
    emitted = emit(plan(trace(cells.gru, True, False)), "backward", {"H": 64}, Blocks(), with_lengths=True)
    types = signature(emitted, torch.bfloat16)
    assert types["lengths"] == "*i64"
    assert types["state_h"] == types["carry_h"] == "*fp32"
    assert types["gradient_H"] == types["saved_H"] == types["matrix_weight_hh"] == "*bf16"
    assert types["outside_h_t"] == types["outside_h_b"] == "i32"


def test_every_built_in_cell_is_in_the_table_plain_and_with_all_options() -> None:
    assert {
        "lstm",
        "lstm, all",
        "gru",
        "gru_reset_before, all",
        "rnn_tanh",
        "rhn_4, all",
        "min_gru",
    } <= built_in().keys()
    assert built_in()["lstm, all"].options == (
        *("coupled_gates", "peephole", "layer_norm", "recurrent_dropout", "variational_dropout", "zoneout"),
    )


def test_the_table_says_what_does_not_fit(tmp_path: Path) -> None:
    found = list(ahead.rows(["rnn_tanh"], [64], ["bf16"], ["sm_90"], ()))
    assert [row.part for row in found] == ["training", "backward"]
    assert list(ahead.rows(["rnn_tanh"], [64], ["bf16"], ["sm_90"], {row.key for row in found})) == []
    assert "| rnn_tanh | 64 | bf16 | sm_90 | " in ahead.table(found)
    assert ahead.summary(found).startswith("2 kernels; 0 spill in forward, 0 in backward")
    assert ahead.read(tmp_path / "none.jsonl") == []
