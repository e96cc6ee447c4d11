"""Cells compiled once: in this process, in a later one, with a cache that is damaged or not there, in several at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import ostinato
from ostinato import cells
from ostinato.cells import Gates, State, cell, options
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code import cache
from ostinato.kernels.cpu.code import kernel as module
from ostinato.kernels.cpu.code.kernel import PARTS, Description, Kernel, kernel

PACKAGE = Path(ostinato.__file__).parent
SCRIPT = """
import json, sys, torch
import ostinato
from ostinato.kernels.cpu.code import kernel
from ostinato.kernels.cpu.run import library
if "--found" in sys.argv:
    def fail(*given): raise AssertionError("compiled again")
    kernel.machine_code = library.machine_code = fail
    sys.modules["ostinato.kernels.compiler.trace"] = sys.modules["ostinato.kernels.cpu.code.loops"] = None
torch.manual_seed(0)
layer = ostinato.RNN(3, 5, backend="compiled")
output, _ = layer(torch.randn(4, 2, 3), lengths=[4, 2])
output.square().sum().backward()
print(json.dumps([output.tolist(), [p.grad.tolist() for p in layer.parameters()]]))
"""


def start(folder: Path | str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OSTINATO_CACHE_DIR": str(folder)}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_a_second_process_neither_traces_nor_compiles_and_several_at_once_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    at_once = [start(tmp_path / "cache") for _ in range(2)]
    one, two = (printed(process) for process in at_once)
    assert one == two == printed(start(tmp_path / "cache", "--found"))


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled, in a test with a cache of its own."""
    names: list[str] = []
    compile = module.machine_code

    def recorded(made: Any) -> bytes:
        names.append(str(made.name))
        return compile(made)

    monkeypatch.setattr(module, "machine_code", recorded)
    monkeypatch.setenv("OSTINATO_CACHE_DIR", str(tmp_path / "cache"))
    return names


def made(double: bool = True) -> Kernel:
    """All parts of a small cell, as a new process would get them."""
    found = Kernel(cells.rnn_tanh, True, False, double)
    for part in PARTS:
        found.part(part)
    return found


def test_each_part_is_compiled_once_and_then_found(compiled: list[str]) -> None:
    first = made()
    assert compiled == [f"rnn_tanh_{part}" for part in PARTS]
    second = made()
    assert len(compiled) == 3
    assert second.description == first.description
    assert [second.part(p).fields for p in PARTS] == [first.part(p).fields for p in PARTS]
    assert first.part("backward") is first.part("backward")


def test_every_dtype_bias_and_cell_has_code_of_its_own(compiled: list[str]) -> None:
    made()
    made(False)
    Kernel(cells.rnn_tanh, False, False, True).part("inference")
    Kernel(cells.rnn_relu, True, False, True).part("inference")
    assert Counter(compiled)["rnn_tanh_inference"] == 3
    assert Counter(compiled)["rnn_relu_inference"] == 1


def test_who_trains_compiles_no_inference_and_a_later_process_finds_what_is_there(compiled: list[str]) -> None:
    first = Kernel(cells.rnn_tanh, True, False, True)
    assert compiled == []
    first.part("training")
    first.part("backward")
    assert compiled == ["rnn_tanh_training", "rnn_tanh_backward"]
    later = Kernel(cells.rnn_tanh, True, False, True)
    assert later.description == first.description
    assert "_plan" not in vars(later)  # it was not traced
    later.part("inference")
    assert compiled[2:] == ["rnn_tanh_inference"]


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "another's"])
def test_a_damaged_entry_is_compiled_again(damage: str, compiled: list[str], tmp_path: Path) -> None:
    made()
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 3
    contents = [file.read_bytes() for file in files]
    for n, (file, content) in enumerate(zip(files, contents, strict=True)):
        middle = len(content) // 2
        file.write_bytes(
            {
                "cut": content[:-10],
                "a bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "empty": b"",
                "another's": contents[n - 1],
            }[damage]
        )
    made()
    assert len(compiled) == 6
    made()
    assert len(compiled) == 6


@pytest.mark.parametrize("folder", ["", "a file/beyond it", "open to all"])
def test_without_a_cache_it_is_compiled_every_time(
    folder: str, compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    (tmp_path / "open to all").mkdir(0o777)
    (tmp_path / "open to all").chmod(0o777)  # where others may write, nothing is kept
    monkeypatch.setenv("OSTINATO_CACHE_DIR", folder and str(tmp_path / folder))
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(RuntimeWarning, match="every process compiles") if folder else contextlib.nullcontext():
        made()
    made()
    assert len(compiled) == 6


def test_other_sources_find_nothing_of_what_was_made_by_these(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made()
    monkeypatch.setattr(module, "_made_by", lambda: "something else")
    made()
    assert len(compiled) == 6


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's sources."""
    copied = tmp_path / "ostinato"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def test_every_source_that_takes_part_is_part_of_the_key(package: Path) -> None:
    made_by = module._made_by.__wrapped__
    before = made_by(package)
    assert before == module._made_by()  # it does not matter where the package lies
    every = [file for pattern in module._SOURCES for file in package.glob(pattern)]
    files = [file for file in every if "gpu" not in file.parts]  # which writes code of its own
    assert len(files) > 50
    seen = {before}
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"\n")
        seen.add(made_by(package))
        file.write_bytes(content)
    assert len(seen) == 1 + len(files)
    (package / "cells" / "masks.py").rename(package / "cells" / "masks_.py")
    assert made_by(package) not in seen


WHOSE = """
import sys, threading
import ostinato
from ostinato import cells
from ostinato.cells import options
from ostinato.kernels.cpu.code.kernel import PARTS, Kernel
from ostinato.kernels.cpu.stream.kernel import StreamKernel
ran = set()
def note(frame, event, _):
    ran.add(frame.f_code.co_filename)  # and gives nothing back: its lines are not followed
threading.settrace(note)
sys.settrace(note)
kernel = Kernel(options.layer_norm(options.zoneout(cells.rnn_tanh, {"h": 0.1})), True, False, False)
for part in PARTS:
    kernel.part(part)
StreamKernel(cells.min_gru, True, False, None)
sys.settrace(None)
print(*sorted(ran), sep="\\n")
"""


def test_every_source_that_runs_while_a_cell_is_compiled_is_part_of_the_key() -> None:
    environment = {**os.environ, "OSTINATO_CACHE_DIR": ""}
    done = subprocess.run([sys.executable, "-c", WHOSE], env=environment, capture_output=True, text=True, check=True)
    ran = {Path(line) for line in done.stdout.splitlines() if Path(line).is_relative_to(PACKAGE)}
    assert {PACKAGE / "cells" / "product.py", PACKAGE / "kernels" / "compiler" / "trace.py"} <= ran
    assert ran <= {file for pattern in module._SOURCES for file in PACKAGE.glob(pattern)}


def test_the_makers_and_their_versions_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = module._made_by.__wrapped__
    seen = {made_by()}
    for owner, name, value in (
        (torch, "__version__", "9.9"),
        (torch.version, "git_version", "0" * 40),
        (module.llvmlite, "__version__", "9.9"),
        (module, "llvm_version_info", (99, 0, 0)),
        (module, "__version__", "9.9"),
        (module.platform, "python_version", lambda: "9.9"),
        (module, "host", lambda: "another machine"),
    ):
        with monkeypatch.context() as other:
            other.setattr(owner, name, value)
            seen.add(made_by())
    assert len(seen) == 8


def test_the_default_dtype_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that makes a tensor of 0.1 has another constant in float64."""
    key = module.key_of("", module.shape(True))
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    assert module.key_of("", module.shape(True)) != key


def test_a_cell_that_cannot_be_identified_is_not_compiled(compiled: list[str], tmp_path: Path) -> None:
    factor = torch.ones(())

    @cell(gates="a", states="h")
    def scaled(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a) * factor)

    with pytest.raises(Unsupported, match="reads factor, a tensor"):
        Kernel(scaled, True, False, True)
    assert not compiled
    assert not (tmp_path / "cache").exists()


def test_cells_that_compute_the_same_share_a_kernel() -> None:
    found = kernel(options.zoneout(cells.gru, {"h": 0.1}), True, False, True)
    assert isinstance(found, Kernel)
    assert kernel(options.zoneout(cells.gru, {"h": 0.7}), True, False, True) is found
    assert kernel(options.zoneout(cells.gru, {"h": 0.1}), False, False, True) is not found


def test_why_a_cell_is_not_taken_is_remembered() -> None:
    @cell(gates="a", states="h")
    def sorted_state(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.sort(x.a + U(s.h).a).values)

    found = kernel(sorted_state, True, False, True)
    assert isinstance(found, Unsupported)
    assert "aten.sort" in str(found)
    assert kernel(sorted_state, True, False, True) is found


def test_threads_that_ask_at_once_get_the_same(compiled: list[str]) -> None:
    @cell(gates="a", states="h")
    def asked(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a * 0.123 + U(s.h).a))

    found: list[object] = []

    def ask() -> None:
        one = kernel(asked, True, False, True)
        assert isinstance(one, Kernel)
        found.append((one, one.part("backward")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sorted(compiled) == ["asked_backward", "asked_inference"]


def test_the_generated_code_can_be_read() -> None:
    found = kernel(cells.lstm, True, False, False)
    assert isinstance(found, Kernel)
    program = found.listing()
    assert "u0 = weight_hh[0 1 2 3] h" in program
    assert program.count("sigmoid(") == 3
    for part in PARTS:
        llvm = found.listing("llvm", part)
        assert f'define void @"{part}"(' in llvm
        assert f"<{found.shape.lanes} x float>" in llvm
        assert f"{part}:" in found.listing("assembly", part)


def test_a_description_survives_being_written_as_text() -> None:
    found = Kernel(options.projection(options.layer_norm(cells.lstm)), True, True, True)
    written = json.dumps(asdict(found.description))
    assert Description.read(json.loads(written)) == found.description
