"""The results of the doctor: findings, and the diagnosis that contains them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, overload

from rich.console import Console
from rich.text import Text

from ostinato import notebook

Severity: TypeAlias = Literal["fault", "warning"]

_ORDER: dict[Severity, int] = {"fault": 0, "warning": 1}
_STYLES: dict[Severity, str] = {"fault": "bold red", "warning": "bold yellow"}
_WIDTH = 100  # characters of a line if the width of the page is not known


@dataclass(frozen=True)
class Number:
    """A measured value.

    Attributes:
        value: the number.
        unit: "nats", "steps", "rows", ...; "" for a ratio.
    """

    value: float
    unit: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: the kind of finding, such as "vanishing gradient"; a row of the table in docs/doctor.md.
        severity: "fault" (the model does not compute what was intended) or "warning" (it learns badly, or an argument has no
            effect).
        where: the module, parameter or argument.
        evidence: the observation, with its numbers and their units.
        remedy: what to do; names the argument to change.
        effect: the effect of the remedy, tried on a copy; None if it was not tried.
        numbers: the numbers of the evidence and the effect, by name.
    """

    name: str
    severity: Severity
    where: str
    evidence: str
    remedy: str
    effect: str | None = None
    numbers: Mapping[str, Number] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "severity": self.severity,
            "where": self.where,
            "evidence": self.evidence,
            "remedy": self.remedy,
            "effect": self.effect,
            "numbers": {name: {"value": n.value, "unit": n.unit} for name, n in self.numbers.items()},
        }


class Diagnosis(Sequence[Finding]):
    """The findings, the worst first; `str` gives a text for a terminal.

    Attributes:
        findings: all of them.
        checked: the names of the findings that were looked for.
        unchecked: the names of the checks that were not possible, each with the reason.
    """

    def __init__(self, findings: Iterable[Finding], checked: Iterable[str], unchecked: Mapping[str, str]):
        self.findings = sorted(findings, key=lambda each: _ORDER[each.severity])
        self.checked = list(checked)
        self.unchecked = dict(unchecked)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def names(self) -> list[str]:
        """The names of the findings."""
        return [each.name for each in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the report."""
        return {
            "findings": [each.to_dict() for each in self.findings],
            "checked": self.checked,
            "unchecked": self.unchecked,
        }

    def __rich__(self) -> Text:
        text = Text()
        for each in self.findings:
            text.append(f"{each.severity:<8}", _STYLES[each.severity])
            text.append(f"{each.name}", "bold")
            text.append(f"  {each.where}\n")
            lines = [("seen", each.evidence), ("do", each.remedy)]
            if each.effect:
                lines.append(("tried", each.effect))
            for label, said in lines:
                text.append(f"  {label:<6}", "dim")
                text.append(f"{said}\n")
        found = f"{len(self)} finding{'' if len(self) == 1 else 's'}" if self.findings else "nothing found"
        text.append(f"{found} in {len(self.checked)} checks\n", "dim")
        for reason in dict.fromkeys(self.unchecked.values()):
            names = ", ".join(name for name, why in self.unchecked.items() if why == reason)
            text.append(f"not checked ({reason}): {names}\n", "dim")
        text.rstrip()
        return text

    def __str__(self) -> str:
        page = io.StringIO()
        Console(file=page, width=_WIDTH, color_system=None, highlight=False, force_jupyter=False).print(self)
        return page.getvalue().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts: list[str] = []
        for each in self.findings:
            parts.append(notebook.heading(f"{each.severity}: {each.name}", each.where))
            said = [("seen", each.evidence), ("do", each.remedy), *([("tried", each.effect)] if each.effect else [])]
            parts.append(notebook.table(["", ""], [(label, notebook.Whole(text)) for label, text in said], words=2))
        found = f"{len(self)} finding{'' if len(self) == 1 else 's'}" if self.findings else "nothing found"
        parts.append(notebook.line(f"{found} in {len(self.checked)} checks"))
        return notebook.piece(*parts)
