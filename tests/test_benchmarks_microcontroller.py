"""What `benchmarks.microcontroller` reads of its tools. They themselves are large, and not where the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks import microcontroller
from benchmarks.microcontroller import Sections, instructions, measure, missing_tools

from ostinato.errors import ConfigError

SIZE = """\
   text\t   data\t    bss\t    dec\t    hex\tfilename
   8004\t    104\t    148\t   8256\t   2040\tmain.elf
"""
LOG = """\
Trace 0: 0x7f02eea000c0 [00800480/000081d4/00000000/00000201] _start
Trace 0: 0x7f02eea00200 [00800480/000081d6/00000000/00000201] _start
Linking TBs 0x7f02eea00200 index 0 -> 0x7f02eea00300
Trace 0: 0x7f02eea00300 [00800480/000081d8/00000000/00000201] net_step
"""


def test_sections_are_read_from_what_size_prints() -> None:
    assert Sections.read(SIZE) == Sections(text=8004, data=104, bss=148)


@pytest.mark.parametrize("printed", ["", "main.elf: no such file\n", SIZE + SIZE])
def test_anything_else_is_told(printed: str) -> None:
    with pytest.raises(ConfigError, match="size expected a line of text, data and bss"):
        Sections.read(printed)


def test_instructions_are_the_lines_of_the_trace() -> None:
    assert instructions(LOG) == 3


def test_what_is_missing_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = {"qemu-arm"}
    monkeypatch.setattr(microcontroller.shutil, "which", lambda tool: tool if tool in there else None)
    assert missing_tools() == "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    with pytest.raises(ConfigError, match="needs arm-none-eabi-gcc, qemu-arm; apt-get install gcc-arm-none-eabi"):
        measure(torch.nn.Identity(), torch.zeros(1, 1), tmp_path)
    there.add("arm-none-eabi-gcc")
    assert missing_tools() is None
