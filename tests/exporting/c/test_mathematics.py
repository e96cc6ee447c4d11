"""The functions that are written where no library is wanted: how far they are from the right number, over all of float32."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ostinato.errors import ConfigError
from ostinato.exporting.c.mathematics import OWN_ERRORS, helpers
from tests.exporting.c.compiled import STRICT, compiler

_EXACT = {
    **{op: f"{op}(v)" for op in ("exp", "expm1", "log", "log1p", "tanh", "sqrt")},
    "sigmoid": "1.0 / (1.0 + exp(-v))",
    "rsqrt": "1.0 / sqrt(v)",
}
_CALLS = {op: f"{op}f(v)" for op in _EXACT} | {"sigmoid": "sigmoid(v)", "rsqrt": "inverse_root(v)"}
# Every float whose number is a multiple of a prime; in units of the last place of a float next to the right number.
_MAIN = """\
static double exact(double v) { return EXACT; }

int main(void)
{
    double most = 0.0;
    float at = 0.0f;
    for (uint64_t n = 0; n <= 0xffffffffu; n += STRIDE) {
        const uint32_t bits = (uint32_t)n;
        float v, got;
        double want, unit;
        memcpy(&v, &bits, sizeof v);
        got = function(v);
        want = exact((double)v);
        if (isnan(want) != isnan(got))
            return printf("NaN at %.9g: %.9g\\n", (double)v, (double)got), 1;
        if (isnan(want))
            continue;
        if (fabs(want) > 3.4028235677973366e38 || isinf(got)) {
            if (fabs(want) > 3.4028230e38 && isinf(got) && (got > 0) == (want > 0))
                continue;
            if (fabs(want) > 3.4028230e38 && fabs((double)got) > 3.4028230e38)
                continue;
            return printf("%.9g at %.9g\\n", (double)got, (double)v), 1;
        }
        unit = ldexp(1.0, (fabs(want) < 1.17549435082228751e-38 ? -126 : ilogb(want)) - 23);
        if (fabs((double)got - want) / unit > most) {
            most = fabs((double)got - want) / unit;
            at = v;
        }
    }
    printf("%.3f %.9g\\n", most, (double)at);
    return 0;
}
"""


@pytest.mark.parametrize("op", _EXACT)
def test_it_is_as_near_as_it_says(op: str, tmp_path: Path) -> None:
    defined, (function,) = helpers([f"static float function(float v) {{ return {_CALLS[op]}; }}"], "own", "net")
    includes = ["#include <math.h>", "#include <stdint.h>", "#include <stdio.h>", "#include <string.h>"]
    main = _MAIN.replace("EXACT", _EXACT[op]).replace("STRIDE", "1009")
    (tmp_path / "main.c").write_text("\n".join([*includes, *defined, function, main]))
    command = [compiler(), *STRICT, "-O2", "main.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    error, at = done.stdout.split()
    assert float(error) <= OWN_ERRORS[op], f"{op}({at}) is off by {error} units"


def test_a_function_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"math='own' has .*exp.* and net calls sinf; use math='libm'"):
        helpers(["float f(float v) { return sinf(v); }"], "own", "net")
