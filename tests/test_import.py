"""What importing the package loads, and what it does not."""

import subprocess
import sys

import pytest

import ostinato

HEAVY = (
    "llvmlite",
    "numba",
    "triton",
    "matplotlib",
    "fastapi",
    "lightning",
    "lightning_fabric",
    "tensorboard",
    "tokenizers",
    "orjson",
    "prometheus_client",
    "redis",
    "starlette",
    "uvicorn",
)


def loaded_after(code: str) -> set[str]:
    program = f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_does_not_wait_for_torch() -> None:
    assert "torch" not in loaded_after("import ostinato")


def test_using_a_layer_loads_nothing_heavy() -> None:
    with_torch = loaded_after("import torch")  # torch itself may load some, if they are installed
    assert not (loaded_after("import ostinato; ostinato.LSTM(1, 1)") - with_torch) & set(HEAVY)


def test_every_public_name_is_there() -> None:
    for name in ostinato.__all__:
        assert getattr(ostinato, name) is not None
    assert set(ostinato.__all__) <= set(dir(ostinato))


@pytest.mark.parametrize(
    "name",
    ["data.Streams", "insight.doctor", "lab.find", "models.Classifier", "recipes.load", "training.chunks"],
)
def test_a_floor_of_the_house_need_not_be_imported_by_itself(name: str) -> None:
    assert "ostinato" in loaded_after(f"import ostinato; ostinato.{name}")
    assert name.split(".")[0] in dir(ostinato)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(ostinato, "LSTN")
