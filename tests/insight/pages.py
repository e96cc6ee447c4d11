"""Reads a page as a browser would, without one."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_NUMBER = "[\N{MINUS SIGN}-]?[0-9.,]+(e[\N{MINUS SIGN}-]?[0-9]+)?|[\N{MINUS SIGN}-]?∞"
VOID = {"meta", "link", "input", "br", "img", "hr", "path", "use", "rect"}


class Page(HTMLParser):
    """Its text, its ids, its tables, and every address that a browser would fetch.

    Raises AssertionError where a tag is closed that is not open.
    """

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.open, self.ids, self.addresses, self.tags = [], [], [], []
        self.words, self.tables, self._cell = [], [], None
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"
        self.addresses += re.findall(r"(?:@import|url\()\s*['\"]?([^#'\")\s][^'\")]*)", html)
        self.addresses += re.findall(r"\b(?:fetch|XMLHttpRequest|import)\s*\(", html)

    def handle_startendtag(self, tag, attrs):
        self._see(tag, dict(attrs))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._see(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def _see(self, tag, attrs):
        self.tags.append((tag, attrs))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        for name in ("src", "href", "action", "poster", "data", "xlink:href", "srcset"):
            if name in attrs and not (attrs[name] or "").startswith("#"):
                self.addresses.append(attrs[name])

    def handle_endtag(self, tag):
        if tag in VOID:
            if self.open and self.open[-1] == tag:
                self.open.pop()
            return
        assert self.open, f"closes {tag}, which is not open"
        assert self.open[-1] == tag, f"closes {tag} inside {self.open[-1]}"
        self.open.pop()
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.words.append(data)
        if self._cell is not None:
            self._cell += data

    @property
    def text(self):
        return "".join(self.words)

    def check(self):
        """What holds of every page of ours."""
        outside = [address for address in self.addresses if not address.startswith("data:image/png;base64,")]
        assert outside == ["data:,"], "something would be fetched"
        assert len(set(self.ids)) == len(self.ids), "an id occurs twice"
        pointed = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([\w-]+)', self.html)
        assert set(pointed) <= set(self.ids)
        assert ("html", {"lang": "en"}) in self.tags
        for table in self.tables:
            head, *rows = table
            assert all(len(row) == len(head) for row in rows)
            for row in rows:
                for name, value in zip(head, row, strict=True):
                    # A formula counts, and that of a size without a letter is its number.
                    if re.fullmatch(_NUMBER, value) and head[:2] != ["setting", "value"] and name != "formula":
                        assert re.search(r"\(.+\)$", name), f"{value} in the column {name!r} has no unit"


def colours(css):
    """The variables of the page by name: in light, in dark, and in print."""
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", block)) for block in blocks]


def contrast(one, other):
    """By WCAG 2.2, from 1 to 21."""

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
