import subprocess
import sys

import pytest

import ostinato.training


def test_every_public_name_is_there():
    for name in ostinato.training.__all__:
        assert getattr(ostinato.training, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'chnuks'"):
        ostinato.training.chnuks  # noqa: B018


def test_importing_it_loads_no_lightning():
    code = """
import sys, ostinato.training.loop.loop, ostinato.recipes.lm.task
print([name for name in sys.modules if name.split(".")[0] in ("lightning_fabric", "lightning", "tensorboard")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
