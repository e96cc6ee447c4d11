"""Dates as people write them in many languages, and in the form of ISO 8601: pairs to translate.

The words, orders and signs are those of Unicode's CLDR, by Babel. A form with figures only is used if all languages
that write dates with its signs have the same order: 3.4.2001 is never the fourth of March, but 3/4/2001 may be, and is
left out.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.records.splits import Splits
from ostinato.errors import ConfigError
from ostinato.extras import needed

if TYPE_CHECKING:
    from babel import Locale

# fmt: off
LANGUAGES = (
    "bg", "cs", "da", "de", "el", "en", "en_GB", "es", "et", "fi", "fr", "he", "hi",
    "hr", "hu", "id", "is", "it", "ja", "ko", "lt", "lv", "nb", "nl", "pl", "pt",
    "ro", "ru", "sk", "sl", "sr_Latn", "sv", "sw", "th", "tr", "uk", "vi", "zh",
)
# fmt: on
_FIRST, _LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
_SHARE_HELD = 0.1


def dates_to_iso(
    train: int = 20_000,
    validation: int = 1_000,
    test: int = 1_000,
    *,
    languages: Sequence[str] = LANGUAGES,
    seed: int = 0,
) -> Splits[Pairs]:
    """Make pairs such as "Donnerstag, 15. November 2001" and "2001-11-15", from 1900 to 2099.

    Each day belongs to a fixed part: a day of validation or test is not in training in any language or form, and no
    text is in two pairs.

    Args:
        train: Pairs for training; at most 30,000 for each form of each language, and 1,500 for the other parts.
        validation: Pairs for validation.
        test: Pairs for test.
        languages: Codes that Babel knows.
        seed: The seed of the random days, languages and forms.

    Raises:
        ConfigError: A language is not known, or a size is out of range.
    """
    writers = [writer for language in dict.fromkeys(languages) for writer in date_writers(language)]
    if not writers:
        raise ConfigError("languages must name at least one language")
    # About half of the possible pairs, so that drawing without replacement stays quick.
    for name, size, most in (("train", train, 30_000), ("validation", validation, 1_500), ("test", test, 1_500)):
        if not 1 <= size <= most * len(writers):
            raise ConfigError(f"{name} must be 1 to {most * len(writers):,} pairs in these languages; got {size}")
    draw = random.Random(seed).random
    sizes = {"train": train, "validation": validation, "test": test}
    found: dict[str, dict[str, str]] = {part: {} for part in sizes}
    while any(len(found[part]) < size for part, size in sizes.items()):
        day = _FIRST + datetime.timedelta(days=int(draw() * ((_LAST - _FIRST).days + 1)))
        write = writers[int(draw() * len(writers))]
        part = _part(day)
        if len(found[part]) < sizes[part]:
            found[part].setdefault(write(day), day.isoformat())
    name = f"dates in {len(languages)} languages"
    parts = {part: _pairs(f"{name}, {part}", pairs) for part, pairs in found.items()}
    return Splits(name, parts["train"], parts["validation"], parts["test"])


def date_writers(language: str) -> list[Callable[[datetime.date], str]]:
    """Return the ways in which a language writes a day, all with the full year: "Thursday, November 15, 2001", ...

    Raises:
        ConfigError: Babel does not know the language.
    """
    with needed():
        from babel.dates import format_date

    locale = _locale(language)
    writers: list[Callable[[datetime.date], str]] = []
    for pattern in _patterns(locale):

        def write(day: datetime.date, pattern: str = pattern) -> str:
            return format_date(day, pattern, locale)

        writers.append(write)
    return writers


def _patterns(locale: Locale) -> list[str]:
    forms = [locale.date_formats[form].pattern for form in ("full", "long", "medium")]
    forms += [
        locale.datetime_skeletons[name].pattern for name in ("yMMMEd", "yMMMd") if name in locale.datetime_skeletons
    ]
    unique = dict.fromkeys(forms)
    return [form for form in unique if "MMM" in form or form.startswith("y") or "/" not in form]


@cache
def _locale(language: str) -> Locale:
    with needed():
        from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise ConfigError(
            f"language must be a code of Unicode's CLDR such as en, de or pt_BR; got {language!r}"
        ) from error


def _part(day: datetime.date) -> str:
    share = hashlib.blake2b(day.isoformat().encode(), digest_size=4).digest()[0] / 256
    return "train" if share >= _SHARE_HELD else "validation" if share < _SHARE_HELD / 2 else "test"


def _pairs(name: str, pairs: dict[str, str]) -> Pairs:
    return Pairs(name, tuple(Pair(text, iso) for text, iso in pairs.items()), (), 0)
