"""The files, what is told of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import ostinato
from ostinato import Recurrent, State, cell
from ostinato.errors import ConfigError
from ostinato.exporting.c import write_c
from tests.exporting.c.compiled import SANITIZED, compiled

GRU = ostinato.GRU(3, 4).eval()


def test_both_files_are_there_and_say_what_they_need(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = ostinato.GRU(6, 32).eval()
    done = write_c(layer, "net", tmp_path / "made" / "here")
    assert done.header == tmp_path / "made" / "here" / "net.h"
    assert sorted(file.name for file in done.header.parent.iterdir()) == ["net.c", "net.h"]
    assert (done.state_bytes, done.work_bytes, done.error) == (128, 128, None)
    assert done.constant_bytes == 4 * sum(p.numel() for p in layer.parameters())
    header, body = done.header.read_text(), done.body.read_text()
    assert "n = tanh(x_n + r (U_n h + b_n))" in body, "the equations"
    assert "void net_step(net_state *s, const float *x, float *y);" in header
    assert str(tmp_path) not in header + body


def test_the_memory_that_is_told_is_that_of_the_state(tmp_path: Path) -> None:
    layer = ostinato.LSTM(3, [5, 4], layer_norm=True).eval()
    done = write_c(layer, "net", tmp_path, work="state")
    run = compiled(layer, tmp_path / "b", work="state", after="y[0] = (float)sizeof(net_state);")
    assert run(torch.randn(1, 3))[0, 0] == done.state_bytes
    assert done.state_bytes == 4 * 2 * (5 + 4) + done.work_bytes


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_two_networks_live_in_one_program(weights: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    a, b = ostinato.GRU(3, 4).eval(), ostinato.LSTM(3, 4).eval()
    write_c(b, "other", tmp_path, weights=weights)
    flags = [*SANITIZED, "other.c", "-include", "other.h"]
    run = compiled(
        a, tmp_path, weights=weights, flags=flags, after="{ other_state o; other_reset(&o); other_step(&o, a0, y); }"
    )
    x = torch.randn(1, 3)
    alone = compiled(b, tmp_path / "alone", name="other", weights=weights)
    torch.testing.assert_close(run(x), alone(x), atol=0.0, rtol=0.0)


def test_a_sequence_begins_anew(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = ostinato.GRU(3, 4, initial_state="learned").eval()
    torch.nn.init.normal_(layer.get_parameter("initial_h_l0"))
    x = torch.randn(1, 3).expand(3, 3)
    found = compiled(layer, tmp_path, after="net_reset(&s);")(x)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_words_of_c_in_names_of_python(tmp_path: Path) -> None:
    @cell(gates="int switch", states="double ß", extras="s work", source="a */ source \\")
    def troublesome(x: Any, state: Any, U: Any, s: Any, work: Any) -> State:
        """Ends a comment */ and begins /* one. ??/"""
        u = U(state.double)
        ß = torch.sigmoid(x.int + u.int) * state.ß + s
        return State(double=torch.tanh(x.switch + ß * work), ß=ß)

    torch.manual_seed(0)
    layer = Recurrent(troublesome, 3, 4).eval()
    x, more = torch.randn(5, 3), {"s": torch.randn(5), "work": torch.randn(5)}
    with torch.no_grad():
        want = layer(x, **more)[0]
    torch.testing.assert_close(compiled(layer, tmp_path)(x, more), want, atol=1e-5, rtol=1e-5)
    header = (tmp_path / "net.h").read_text()
    assert "float s_, float work_, float *y" in header


def test_files_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "net.c").write_text("mine")
    with pytest.raises(ConfigError, match=r"net\.c is there already; .*force"):
        write_c(GRU, "net", tmp_path)
    assert (tmp_path / "net.c").read_text() == "mine"
    assert not (tmp_path / "net.h").exists()
    write_c(GRU, "net", tmp_path, force=True)
    assert "void net_step" in (tmp_path / "net.c").read_text()


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ostinato.exporting.c.write.os.replace", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_c(GRU, "net", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a folder to write into"):
        write_c(GRU, "net", tmp_path / "file")


def test_a_cell_that_has_no_c_is_named_with_its_operation(tmp_path: Path) -> None:
    @cell(gates="a", states="h")
    def adding_up(x: Any, s: Any, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a).cumsum(-1))

    with pytest.raises(ConfigError, match=r"no C for cell 'adding_up': .*cumsum"):
        write_c(Recurrent(adding_up, 3, 4).eval(), "net", tmp_path)
    with pytest.raises(ConfigError, match=r"no C for cell 'mlstm': its state C has the shape \(B, N, d, d\)"):
        write_c(ostinato.catalogue.make("mlstm", 3, 4).eval(), "net", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "2"}, "C identifier"),
        ({"weights": "int4"}, "weights expected float32 or int8, got 'int4'"),
        ({"math": "fast"}, "math expected libm or own"),
        ({"work": "heap"}, "work expected stack or state"),
        ({"inputs": torch.zeros(3, 3)}, "inputs expected none with weights='float32'"),
        (
            {"weights": "int8", "inputs": torch.zeros(3, 4)},
            r"inputs expected sequences of the shape \(T, 3\), got \(3, 4\)",
        ),
        ({"weights": "int8", "inputs": torch.zeros(0, 3)}, "T at least 1"),
        ({"weights": "int8", "inputs": []}, "at least one sequence"),
        ({"weights": "int8", "inputs": {"x": torch.zeros(3, 3), "dt": torch.zeros(3)}}, "expected x; got x, dt"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        write_c(GRU, **{"name": "net", "folder": tmp_path, **arguments})
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_written_or_told(tmp_path: Path) -> None:
    layer = ostinato.RNN(2, 3).eval()
    with torch.no_grad():
        layer.bias_ih_l0[1] = torch.nan
        layer.bias_ih_l0[2] = torch.inf
    found = compiled(layer, tmp_path)(torch.zeros(1, 2))[0]
    assert found.isnan().tolist() == [False, True, False]
    assert found[2] == 1
    with pytest.raises(ConfigError, match="math='own' expected weights that are finite"):
        write_c(layer, "other", tmp_path, math="own")


def test_the_error_of_eight_bits_is_that_of_the_inputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = ostinato.LSTM(3, 8).eval()
    sequences = [torch.randn(9, 3), 0.1 * torch.randn(20, 3)]
    done = write_c(layer, "net", tmp_path, weights="int8", inputs=sequences)
    assert done.error is not None
    run = compiled(layer, tmp_path / "again", weights="int8")
    with torch.no_grad():
        apart = [float((run(x) - layer(x)[0]).abs().max()) for x in sequences]
        most = max(float(layer(x)[0].abs().max()) for x in sequences)
    assert done.error.largest == pytest.approx(max(apart), abs=1e-5)
    assert done.error.share == pytest.approx(max(apart) / most, abs=1e-5)
    assert (done.error.steps, done.error.of, done.error.same) == (29, "inputs", None)
    assert "29 steps of the inputs that were given" in str(done.error)


def test_the_error_without_inputs_is_that_of_random_ones(tmp_path: Path) -> None:
    layer = ostinato.catalogue.make("grud", 3, 4).eval()
    done = write_c(layer, "net", tmp_path, weights="int8")
    assert done.error is not None
    assert (done.error.steps, done.error.of) == (100, "probe")
    assert 0 < done.error.largest < 0.1
