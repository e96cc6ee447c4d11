"""Built-in data: nothing to download, the same on every machine, in fixed parts. All but the simulated data are real.

| data | from | parts |
| --- | --- | --- |
| `digits` | scikit-learn: 1,797 digits, 8 x 8 pixels, of 13 people (Alpaydin & Kaynak 1998) | drawn, each digit in its share |
| `digits_in_words` | these digits, with their names in a language of Unicode's CLDR | as `digits` |
| `syntax.python_source` | Python's standard library, characters labelled by `tokenize` | by file, in the order of a hash |
| `dates.dates_to_iso` | days from 1900 to 2099, written by Babel from the CLDR in 38 languages | by day, by a hash |
| `carbon_dioxide` | CO2 in the air of Mauna Loa, weekly from 1958 to 2001, ppm (Keeling & Whorf 2004) | by time |
| `simulated.gestures` | a simulator: sensors of a hand that moves, a gesture each; the Bayes error is known | by person |
| `drawn.drawn_lines` | lines of Python's reference, drawn in matplotlib's typefaces | by page, in the order of a hash |
| `digit_rows.digit_rows` | the digits of scikit-learn, in rows | by sheet, so by handwriting |
| `simulated.gestures_in_a_row` | the same: several gestures with rests between, each step labelled | by person |
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ostinato.data.records.captions import Captioned
from ostinato.data.records.images import Images
from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.series.series import SeriesTable, read_series
from ostinato.errors import ConfigError
from ostinato.extras import needed

_VALIDATION_SHARE = 0.1
_TEST_SHARE = 0.2


def digits() -> Splits[Images]:
    """Read handwritten digits, 8 x 8 pixels, 16 is white: 1,261 for training, 179 for validation, 357 for test."""
    pixels, labels = all_digits()
    images = Images(pixels, labels, tuple("0123456789"), 16.0)
    parts = stratified_split(labels.tolist(), _VALIDATION_SHARE, _TEST_SHARE)
    return Splits("handwritten digits of scikit-learn", *map(images.take, parts))


def all_digits() -> tuple[np.ndarray, np.ndarray]:
    """Read all digits in the order of the file, (1797, 8, 8) uint8 with white 16, and their labels, (1797,) int64."""
    rows = np.loadtxt(folder_of("sklearn") / "datasets" / "data" / "digits.csv.gz", dtype=np.int64, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8), rows[:, -1]


def folder_of(package: str) -> Path:
    """Find the folder of a package without importing it, as importing scikit-learn for one file would take seconds."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        with needed():
            raise ModuleNotFoundError(name=package)
    return Path(spec.origin).parent


def digits_in_words(language: str = "en") -> Splits[Captioned]:
    """Read the handwritten digits, each with its name: "seven", in German "sieben".

    Args:
        language: A code of Unicode's CLDR, for example en, de, fr, ko, sw; `number_words` lists them in its error.

    Raises:
        ConfigError: The number words of that language are not known.
    """
    words = number_words(language)
    parts = digits()

    def described(images: Images) -> Captioned:
        assert images.labels is not None
        return Captioned(images, tuple((words[int(label)],) for label in images.labels))

    return Splits(f"{parts.name}, in words ({language})", *map(described, (parts.train, parts.validation, parts.test)))


def number_words(language: str, count: int = 10) -> tuple[str, ...]:
    """Return the names of the numbers 0 to `count` - 1, by the spell-out rules of Unicode's CLDR.

    Raises:
        ConfigError: The CLDR has no rules for the language.
    """
    with needed():
        from unicode_rbnf import RbnfEngine

    known = RbnfEngine.get_supported_languages()
    if language not in known:
        raise ConfigError(f"language must be one whose number words are known, {', '.join(known)}; got {language!r}")
    engine = RbnfEngine.for_language(language)
    return tuple(engine.format_number(number).text for number in range(count))


def carbon_dioxide() -> SeriesTable:
    """Read the carbon dioxide in the air of Mauna Loa, Hawaii: 2,284 weeks, 59 of them missing, in parts per million.

    The series has a growing trend, a yearly season and little noise. The measurements are in the public domain: C. D.
    Keeling and T. P. Whorf, *Atmospheric CO2 concentrations derived from flask air samples at sites in the SIO
    network*, CDIAC, Oak Ridge 2004. No library that we need has a series with a season in its wheel, so this file of 39
    kB is beside this module.
    """
    return read_series(Path(__file__).with_name("mauna_loa_co2.csv"), ["co2"], time="date")
