"""Run PyTorch's own tests of recurrent layers with ours in torch.nn's place, as they are and on the reference loop.

`python -m tests.contracts.run_torch_tests PYTORCH_CHECKOUT`, with a checkout of the installed version of PyTorch. Exits with 1 if
a test passes with torch.nn's classes, in the same run, and not with ours. Nothing of PyTorch's tests is in this repository.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

FILES = (
    "test_nn.py",
    "test_modules.py",
    "nn/test_packed_sequence.py",
    "nn/test_parametrization.py",
    "nn/test_pruning.py",
    "nn/test_module_hooks.py",
    "nn/test_load_state_dict.py",
    "nn/test_lazy_modules.py",
    "nn/test_init.py",
)
WHOSE = ("torch", "ours", "reference")
ABOUT_US = "rnn or lstm or gru or cell or packed or sequence or cudnn or projections or flat_weights"


def put_in_place() -> None:
    """Make `torch.nn.LSTM` and its kin ours, for whoever looks them up from now on."""
    import torch

    import ostinato

    for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
        for home in (torch.nn, torch.nn.modules, torch.nn.modules.rnn):
            setattr(home, name, getattr(ostinato, name))


def run_one(checkout: Path, whose: str, only: str, report: Path) -> int:
    """Run PyTorch's tests in this process."""
    import pytest

    if whose != "torch":
        put_in_place()
    tests = checkout / "test"
    files = [str(tests / name) for name in FILES if (tests / name).exists()]
    os.chdir(tests)
    sys.path.insert(0, str(tests))
    arguments = ["-q", "-k", only, "-c", os.devnull, "--rootdir", str(tests), "-p", "no:cacheprovider", "--tb=short"]
    import ostinato

    with ostinato.backend("reference" if whose == "reference" else "auto"):
        return pytest.main([*arguments, f"--junitxml={report}", *files])


def outcomes(report: Path) -> dict[str, str]:
    """Test to "passed", "failed" or "skipped"."""
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a checkout of PyTorch")
    parser.add_argument("-k", default=ABOUT_US, help="which tests, as pytest's -k")
    parser.add_argument("--whose", choices=WHOSE, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    if not any((checkout / "test" / name).exists() for name in FILES):
        parser.error(f"expected a checkout of PyTorch with one of test/{', test/'.join(FILES)}, got {checkout}")
    if options.whose:
        return run_one(checkout, options.whose, options.k, options.report)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for whose in WHOSE:
            report = Path(folder) / f"{whose}.xml"
            command = [sys.executable, "-m", "tests.contracts.run_torch_tests", str(checkout), "-k", options.k]
            subprocess.run([*command, "--whose", whose, "--report", str(report)], check=False)
            found[whose] = outcomes(report)
    for whose, tests in found.items():
        print(f"{whose}: {dict(Counter(tests.values()))}")
    passed = [test for test, outcome in found["torch"].items() if outcome == "passed"]
    worse = [(whose, test) for whose in WHOSE for test in passed if found[whose].get(test) != "passed"]
    for whose, test in worse:
        print(f"passes with torch.nn's classes, {found[whose].get(test, 'missing')} with {whose}: {test}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
