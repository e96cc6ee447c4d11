"""Turning frames and columns of other libraries into frames of polars, without importing those libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars


def is_frame(given: Any) -> bool:
    """Whether it is a table with named columns: of polars, pandas, or anything that gives its columns as Arrow."""
    if _is_of(given, "pandas", "DataFrame") or _is_of(given, "polars", "LazyFrame"):
        return True
    # A column of polars has this attribute too.
    return hasattr(given, "__arrow_c_stream__") and not is_column(given) and not isinstance(given, type)


def is_column(given: Any) -> bool:
    """Whether it is a Series of polars or pandas, or an index of pandas."""
    return _is_of(given, "polars", "Series") or _is_of(given, "pandas", "Series", "Index")


def cells_of(column: Any) -> list[Any]:
    """The values of a column, None for missing ones."""
    if _is_of(column, "polars", "Series"):
        return list(column.to_list())
    missing: list[bool] = column.isna().tolist()
    return [None if gone else cell for cell, gone in zip(column.tolist(), missing, strict=True)]


def as_frame(given: Any) -> polars.DataFrame:
    """Turns a table into a frame of polars.

    From pandas, levels of the index that have a name or are times become columns; NaN is a missing value. Contents of
    cells stay unchanged, but if a column has several types, such as texts and numbers, all become texts.

    Args:
        given: what `is_frame` takes; a column; or the columns of a table by name, sequences of one length.

    Raises:
        DataError: columns have several lengths, or cells contain what no table can.
    """
    with needed():
        import polars

    if _is_of(given, "polars", "LazyFrame"):
        return given.collect()
    if _is_of(given, "pandas", "DataFrame"):
        return _of_pandas(given)
    if is_column(given):
        name = "value" if given.name in (None, "") else str(given.name)
        if _is_of(given, "polars", "Series"):
            return polars.DataFrame({name: given})
        return _of_pandas(given.to_frame(name))
    if isinstance(given, Mapping):
        return _of_columns(given)
    return given if isinstance(given, polars.DataFrame) else polars.DataFrame(given)


def _is_of(given: Any, package: str, *names: str) -> bool:
    """Whether an object is of a class of a package, or of a class derived from it."""
    return any(each.__name__ in names and each.__module__.partition(".")[0] == package for each in type(given).__mro__)


def _of_pandas(frame: Any) -> polars.DataFrame:
    index = frame.index
    levels = [index.get_level_values(at) for at in range(index.nlevels)]
    columns: dict[str, Any] = {}
    for level in levels:
        is_time = str(level.dtype).startswith(("datetime64", "period"))
        if level.name is not None or is_time:
            columns["time" if level.name is None else str(level.name)] = level.to_series()
    for at, name in enumerate(frame.columns):
        columns[str(name)] = frame.iloc[:, at]
    return _of_columns({name: _of_pandas_column(column) for name, column in columns.items()})


def _of_pandas_column(column: Any) -> Any:
    kind = str(column.dtype)
    if kind.startswith("period"):
        return _of_pandas_column(column.dt.to_timestamp())
    if kind.startswith("datetime64"):
        zone = getattr(column.dt, "tz", None)
        if zone is None:
            return column.to_numpy()
        with needed():
            import polars

        moments = polars.Series(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
        try:
            return moments.dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone))
        except polars.exceptions.PolarsError:
            # A fixed offset, such as pandas' "+02:00", or a zone of dateutil: polars has no name for it, so write it
            # like in a file.
            return [None if moment != moment else moment.isoformat() for moment in column]
    if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    return cells_of(column)


def _of_columns(columns: Mapping[Any, Any]) -> polars.DataFrame:
    with needed():
        import polars

    found: dict[str, polars.Series] = {str(name): _column(str(name), cells) for name, cells in columns.items()}
    lengths = {name: len(cells) for name, cells in found.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DataError(f"the columns: expected as many cells in each, got {told}")
    return polars.DataFrame(list(found.values()))


def _column(name: str, cells: Any) -> polars.Series:
    with needed():
        import polars

    if isinstance(cells, polars.Series):
        return cells.alias(name)
    if hasattr(cells, "detach"):  # a tensor of torch
        cells = cells.detach().cpu().numpy()
    if is_column(cells):
        cells = _of_pandas_column(cells)
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "iufbM":
        column = polars.Series(name, cells)
        return column.fill_nan(None) if cells.dtype.kind == "f" and cells.ndim == 1 else column
    if isinstance(cells, str) or not isinstance(cells, Sequence | np.ndarray | polars.Series):
        raise DataError(
            f"column {name!r}: expected a sequence of cells, got {type(cells).__name__}; give a list of them"
        )
    plain = [_cell(each) for each in cells]
    kinds = {type(each) for each in plain if each is not None}
    if len(kinds) > 1 and not kinds <= {int, float}:
        plain = [None if each is None else str(each) for each in plain]
    try:
        column = polars.Series(name, plain, strict=False)
        if column.dtype == polars.Object:
            raise TypeError(f"got {type(plain[0]).__name__}")
        return column
    except (TypeError, ValueError, polars.exceptions.PolarsError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"column {name!r}: expected texts, numbers, times, or lists of these; {told}") from error


def _cell(given: Any) -> Any:
    if isinstance(given, np.generic):
        given = given.item()
    if isinstance(given, np.ndarray):
        return given.tolist()
    if hasattr(given, "detach"):
        return given.detach().cpu().tolist()
    if hasattr(given, "to_pydatetime"):
        return given.to_pydatetime()
    return None if isinstance(given, float) and given != given else given
