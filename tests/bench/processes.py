"""The parts of mergeq and its GitHub as the real processes that they are, and what they take of the machine."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from mergeq.processes import start, stop
from mergeq.store import Store
from tests.bench.worlds import ROOT
from tests.journeys.test_processes_together import MERGEQ, children_of

_LOOK = threading.Event()
_PATIENCE = 300.0  # seconds
_PAGE = re.compile(r"mergeq: (http://\S+)/tide")


def until(true: Callable[[], bool], every: float = 0.1) -> None:
    """Look until something is true. Raises AssertionError after five minutes."""
    for _ in range(int(_PATIENCE / every)):
        if true():
            return
        _LOOK.wait(every)
    assert true()


class GitHub:
    """The sandbox of `tests.bench.github`; `ask` has it do something and returns what it answers."""

    def __init__(self) -> None:
        program = [sys.executable, "-m", "tests.bench.github"]
        self._child = subprocess.Popen(
            program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate(timeout=60)

    @property
    def pid(self) -> int:
        return self._child.pid

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps({"do": do, **arguments}), file=self._child.stdin, flush=True)
        return json.loads(self._child.stdout.readline())


@dataclass(frozen=True, slots=True)
class Parts:
    """A running `mergeq run`, its pages, and the Redis it has started."""

    pid: int
    page: str
    redis_url: str

    def until_known(self, branches: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until so many branches are judged."""

        def are_known() -> bool:
            meanwhile()
            return len(store.branches()) == branches

        with redis.Redis.from_url(self.redis_url) as connection:
            store = Store(connection)
            until(are_known, every=0.5)

    def memory(self) -> dict[str, tuple[float, float]]:
        """Megabytes of web, worker, tick and redis: the largest resident set of one process of theirs, and what all of
        them hold together, with what several share counted once.
        """
        found: dict[str, tuple[float, float]] = {}
        for name, family in self._families():
            largest, held = found.get(name, (0.0, 0.0))
            found[name] = max(largest, *map(_resident, family)), held + sum(map(_share, family))
        return found

    def cpu(self) -> dict[str, float]:
        """CPU seconds that each has used, by itself and by processes of its own."""
        used = defaultdict[str, float](float)
        for name, family in self._families():
            used[name] += sum(map(cpu_of, family))
        return used

    def _families(self) -> Iterator[tuple[str, set[int]]]:
        for child in children_of(self.pid):
            line = _read(child, "cmdline").replace("\0", " ").split()
            if line and _fields(child)[1] == str(self.pid):
                is_rq = line[0].startswith("rq:worker")  # which says in its title what it is at
                name = "worker" if is_rq else "redis" if "unixsocket" in line[1] else line[-1]
                yield name, {child} | children_of(child)


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended."""
    return sum(map(int, _fields(pid)[11:15])) / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """What /proc/PID/stat says after the name; as many noughts where there is no such process any more."""
    return _read(pid, "stat").rpartition(")")[2].split() or ["0"] * 50


def _resident(pid: int) -> float:
    """Megabytes of a process's resident set."""
    pages = _read(pid, "statm").split() or ["0", "0"]
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _share(pid: int) -> float:
    """Megabytes of a process, of what it shares its part."""
    found = re.search(r"^Pss: +(\d+) kB", _read(pid, "smaps_rollup"), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return ""


@contextmanager
def run(folder: Path, where: dict[str, str], config: str) -> Iterator[Parts]:
    """`mergeq run` with a Redis of its own, its files and its log in a new folder of that name."""
    folder.mkdir()
    (folder / "config.yaml").write_text(config)
    with (folder / "log").open("ab") as log:
        child = start([*MERGEQ, "run"], env=environment(folder, where), output=log.fileno())
    try:
        until(lambda: bool(_PAGE.search((folder / "log").read_text())))
        page = _PAGE.search((folder / "log").read_text())
        assert page
        parts = Parts(child.pid, page[1], f"unix://{folder / 'redis' / 'redis.sock'}")
        with redis.Redis.from_url(parts.redis_url) as connection:
            # else the statuses that were planted would be an earlier store's
            Store(connection).found(time.time())  # noqa: TID251 -- real processes, whose clock is the real one
        yield parts
    finally:
        stop([child])


@contextmanager
def worker(folder: Path, where: dict[str, str], redis_url: str) -> Iterator[None]:
    """One more `mergeq worker`, its files where `run` or somebody else has put them."""
    with (folder / "log").open("ab") as log:
        told = environment(folder, where) | {"MERGEQ_REDIS_URL": redis_url}
        child = start([*MERGEQ, "worker"], env=told, output=log.fileno())
    try:
        yield
    finally:
        stop([child])


def environment(folder: Path, where: dict[str, str]) -> dict[str, str]:
    """What tells a process of mergeq who its GitHub is."""
    return {
        **os.environ,
        "GITHUB_TOKEN": where["token"],
        "GITHUB_API_URL": where["api"],
        "MERGEQ_WEBHOOK_SECRET": where["secret"],
        "MERGEQ_STATE_DIR": str(folder),
        "MERGEQ_CONFIG": str(folder / "config.yaml"),
        "MERGEQ_LISTEN": "127.0.0.1:0",
        "MERGEQ_REDIS_URL": "",
    }
