"""Where Optuna stores the record of a sweep: a file in its folder, or a database that several machines share."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError, MissingPackageError, RunError
from ostinato.extras import check_installed, needed
from ostinato.recipes.sweep.space import Space

if TYPE_CHECKING:
    from optuna import Study

JOURNAL = "journal.log"  # the record of a sweep that is not shared
STARTUP = 5  # trials that no pruner ends
_SPACE = "space"  # attribute of a study: what is searched
_JOURNALS = ("redis", "rediss", "unix")
_DATABASES = ("postgresql", "mysql", "mariadb", "sqlite")
_TRIES_S = (0.2, 0.5, 1.0)
_EXAMPLES = "redis://host:6379/0, postgresql://user:password@host/database or sqlite:///file"


@dataclass(frozen=True)
class Shared:
    """A record that several machines work on.

    Args:
        url: the address of Redis, PostgreSQL, MySQL or SQLite.
        name: the name of the sweep there.
        lease_s: seconds without a sign of life after which another process takes over a trial.
    """

    url: str
    name: str
    lease_s: float = 60.0

    def __post_init__(self) -> None:
        scheme = self.url.partition(":")[0].partition("+")[0]
        if "://" not in self.url or scheme not in (*_JOURNALS, *_DATABASES):
            raise ConfigError(f"--storage: expected an address, such as {_EXAMPLES}; got {self.url!r}")
        if not self.lease_s > 0:
            raise ConfigError(f"--lease: expected seconds above 0, got {self.lease_s}")


def open_study(space: Space, folder: Path, shared: Shared | None = None) -> Study:
    """Opens the record of the sweep in a folder, or in a database.

    Raises:
        RunError: the database cannot be reached.
        MissingPackageError: the package for this database is not installed.
    """
    with needed():
        import optuna  # imported late, as only a sweep needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(),
        "none": lambda: optuna.pruners.NopPruner(),
    }
    with reached(shared):
        return optuna.create_study(
            study_name="sweep" if shared is None else shared.name,
            storage=_storage(folder, shared),
            direction="minimize",
            load_if_exists=True,
            pruner=pruners[space.pruner](),
        )


def _storage(folder: Path, shared: Shared | None) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalRedisBackend

    if shared is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    if shared.url.partition(":")[0] not in _JOURNALS:
        return _tables_of(RDBStorage, shared.url)
    check_installed("sweep")  # its message is a line; Optuna's own is longer
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ExperimentalWarning
        )  # that its interface may change is our care, not the user's
        return JournalStorage(JournalRedisBackend(shared.url, prefix=f"ostinato-{shared.name}"))


def _tables_of(make: Any, url: str) -> Any:
    """Opens a database; of several processes that make its tables at once, all but one must try again."""
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    for wait_s in (*_TRIES_S, None):
        try:
            # Trials take minutes, so a connection for each query costs nothing, and none is left open or breaks
            # meanwhile.
            return make(url, engine_kwargs={"poolclass": NullPool})
        except SQLAlchemyError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
    raise AssertionError


def check_space(study: Study, space: Space, shared: Shared) -> None:
    """Checks that all processes that work on a study search the same space; the first one writes it down.

    Raises:
        RunError: another space is searched under this name.
    """
    told = space.to_dict()
    del told["trials"]  # may be raised later
    told = json.loads(json.dumps(told))
    if study.user_attrs.get(_SPACE) is None:
        study.set_user_attr(_SPACE, told)
    elif study.user_attrs[_SPACE] != told:
        raise RunError(
            f"{_without_password(shared.url)} has a sweep called {shared.name} over another space; choose another --study, or "
            "leave the space as it was"
        )


@contextmanager
def reached(shared: Shared | None) -> Generator[None]:
    """Within this context, errors of a database become errors of one line.

    Raises:
        RunError: the database cannot be reached, or refuses.
        MissingPackageError: the package for this database is not installed.
    """
    if shared is None:
        yield
        return
    try:
        yield
    except MissingPackageError:
        raise
    except ImportError as error:  # Optuna raises its own ImportError, whose cause names the package
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        raise MissingPackageError(
            f"--storage {shared.url.partition(':')[0]}: needs the package {missing.name}, which is not installed: pip install "
            f"{missing.name}",
            name=missing.name,
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith(("redis.", "sqlalchemy.", "psycopg", "optuna.")):
            raise
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"--storage {_without_password(shared.url)}: cannot be reached ({reason}); check the address, then give the same "
            "command again"
        ) from error


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
