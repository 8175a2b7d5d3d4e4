"""Configuration files are followed: what is valid on disk comes into force, else the last good one stays."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mergeq.config.documents import ConfigError
from mergeq.config.policy import Configuration, load

# What tells one state of the files from another: path, mtime_ns, ctime_ns, size, inode, device; the path alone for a
# file that cannot be seen. Links are followed, so a swapped link is another inode.
_Stat = tuple[str, int, int, int, int, int] | tuple[str]


@dataclass(frozen=True, slots=True)
class _InForce:
    configuration: Configuration
    loaded_at: float
    problem: str


class Followed:
    """The configuration that some paths hold, read again when the files behind them change.

    `current` is always a valid one. Construction raises ConfigError, unless `lenient`: then one that says nothing is in
    force, with the problem. Afterwards nothing here raises. Any thread may call anything; `force` may be called from a
    signal handler too.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        loader: Callable[[tuple[Path, ...]], Configuration] = load,
        *,
        now: Callable[[], float] = time.time,  # noqa: TID251 -- services pass their own
        lenient: bool = False,
    ) -> None:
        self._paths = tuple(paths)
        self._loader = loader
        self._now = now
        self._lock = threading.Lock()
        self._forced = False
        self._looked_at = 0.0
        before = self._stats()
        try:
            self._in_force = _InForce(loader(self._paths), now(), "")
        except ConfigError as error:
            if not lenient:
                raise
            self._in_force = _InForce(loader(()), now(), str(error))
        self._seen = before if self._stats() == before else None

    @property
    def current(self) -> Configuration:
        """The last good configuration."""
        return self._in_force.configuration

    @property
    def loaded_at(self) -> float:
        """When `current` was read, in seconds since the epoch."""
        return self._in_force.loaded_at

    @property
    def problem(self) -> str:
        """Why what the files hold now is not in force, a line per problem; empty when it is."""
        return self._in_force.problem

    def force(self) -> None:
        """Have the next `refresh` read the files even if they look as they did."""
        self._forced = True  # no lock: a signal handler may run while this very thread holds it

    def refresh(self, max_age: float = 0.0) -> bool:
        """Look whether the files changed, and read them if so; True when `current.digest` or `problem` is now another.

        Costs a stat per file while nothing changes, and nothing where the last look is less than `max_age` seconds old.
        Files that change while they are read are left for the next call, so that a file caught half-written says
        nothing; one that is replaced in place and looks finished and valid halfway is taken at its word, which is why
        files should be replaced by renaming. A file rewritten within the clock tick of its file system, at the same
        length, needs `force`.
        """
        with self._lock:
            if self._forced:
                self._forced, self._seen = False, None
            elif max_age:
                age = self._now() - self._looked_at
                if 0 <= age < max_age:
                    return False
                self._looked_at += age
            before = self._stats()
            if before == self._seen:
                return False
            read = self._read()
            if self._stats() != before:
                self._seen = None
                return False
            was, self._in_force, self._seen = self._in_force, read, before
            return (was.configuration.digest, was.problem) != (read.configuration.digest, read.problem)

    def _read(self) -> _InForce:
        """What the files hold, or what is in force already and why they are not."""
        try:
            return _InForce(self._loader(self._paths), self._now(), "")
        except ConfigError as error:
            return replace(self._in_force, problem=str(error))
        except Exception as error:  # noqa: BLE001 -- whatever a file brings about, the last good one stays in force
            what = f"{type(error).__name__}: {error}"
            problem = f"the configuration cannot be read ({what}); put the last good files back"
            return replace(self._in_force, problem=problem)

    def _stats(self) -> tuple[_Stat, ...]:
        return tuple(_stat(file) for path in self._paths for file in _files(path))


def _files(path: Path) -> Iterator[str]:
    """A path and, when it is a folder, every YAML file under it; sorted, so that equal states compare equal.

    Kubernetes' `..data` and its like are left out: files lead there by links that are followed.
    """
    yield str(path)
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith("..")]
        found += [str(Path(folder, name)) for name in names if name.endswith((".yaml", ".yml"))]
    yield from sorted(found)


def _stat(file: str) -> _Stat:
    try:
        seen = Path(file).stat()
    except OSError:
        return (file,)
    if stat.S_ISDIR(seen.st_mode):  # what stands in it is listed; that something else was put there is no change
        return (file, 0, 0, 0, seen.st_ino, seen.st_dev)
    return (file, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_dev)
