"""A model's answer about an example: JSON whose parts are fields.

The answers of a task are by default a `Prediction`, whose fields are the parts of the answer. For names, types and a
picture of its own, a task derives a class from it:

    @dataclass(init=False, repr=False, eq=False)
    class NumberPrediction(Prediction):
        number: float

    class Mine(Task):
        prediction = NumberPrediction
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, NoReturn

from typing_extensions import TypeVar, override

from ostinato import notebook

_WIDEST = 60  # characters of a text in `repr`


class Prediction(dict[str, Any]):
    """An answer: a dict, and so JSON, whose parts are fields too: `answer.probability`.

    Attributes:
        renamed: fields whose part has another name, as Python reserves that name, such as {"label": "class"}.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        key = self.renamed.get(name, name)
        if key in self:
            return self[key]
        if name in self._declared():
            return None  # a field of answers to data of another kind
        raise AttributeError(f"{type(self).__name__} has no field {name}; it has {', '.join(self.fields())}")

    @override
    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{name}: an answer stays as it was given; make a dict of it to change it: dict(answer)")

    @override
    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.fields()]

    @classmethod
    def _declared(cls) -> list[str]:
        return [each.name for each in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []

    def fields(self) -> list[str]:
        """The names of the fields that this answer has, in the order of its JSON."""
        back = {key: name for name, key in self.renamed.items()}
        return [back.get(key, key) for key in self]

    @override
    def __repr__(self) -> str:
        parts = []
        for key, name in zip(self, self.fields(), strict=True):
            value = self[key]
            if isinstance(value, str):
                told = repr(value if len(value) <= _WIDEST else f"{value[: _WIDEST - 3]}...")
            else:
                told = notebook.short(value, quoted=True)
            parts.append(f"{name}={told}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_html(self) -> str:
        """HTML for a notebook, without the frame around it."""
        return notebook.table(["", ""], zip(self.fields(), self.values(), strict=True), words=2)

    def _repr_html_(self) -> str:
        return notebook.piece(self.to_html())


P = TypeVar("P", bound=Prediction, default=Prediction)


class Predictions(list[P], Generic[P]):
    """Answers in the order of the data: a list that a notebook shows as a table."""

    def __init__(self, answers: Iterable[P] = ()):
        super().__init__(answers)

    def _repr_html_(self) -> str:
        if not self:
            return notebook.piece(notebook.line("no answers"))
        if len(self) == 1:
            return notebook.piece(self[0].to_html())
        names = [name for name in self[0].fields() if not isinstance(getattr(self[0], name), Mapping)]
        rows = ([at, *(getattr(each, name, None) for name in names)] for at, each in enumerate(self))
        return notebook.piece(notebook.table(["", *names], rows, words=1 + len(names)))
