"""Processes of mergeq that can be killed: forks of one that has loaded everything, on the clock of the sandbox."""

import gc
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import rq
from rq import utils
from werkzeug.serving import make_server

from mergeq import jobs
from mergeq.bootstrap import Services, services
from mergeq.config import Settings
from mergeq.processes import die_with_parent
from mergeq.sandbox import ManualClock
from mergeq.sandbox.clock import MANUAL_START
from mergeq.store import Store
from mergeq.web import create_app
from tests.crash.points import End, Hooks, Kind, Moment, Part, Plan, Point, Server

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds that no burst needs, unless the machine is very busy
_LOOK = threading.Event()
_TIME = struct.Struct("d")


class SharedClock(ManualClock):
    """Virtual time that other processes can read: it stands in a file."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(_TIME.pack(MANUAL_START))
        self._shared = _mapped(file)
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_now":
            _TIME.pack_into(self._shared, 0, value)


def _mapped(file: Path) -> mmap.mmap:
    with file.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), _TIME.size)


@dataclass(frozen=True, slots=True)
class Where:
    """All that a process of mergeq has to know to work in a world."""

    folder: str
    url: str
    token: str
    secret: str
    redis_url: str
    port: int

    def services(self) -> Services:
        """The services of a process, on the sandbox's clock."""
        folder, time = Path(self.folder), _mapped(Path(self.folder) / "time")
        settings = Settings(
            github_token=self.token,
            github_api_url=f"{self.url}/api/v3",
            redis_url=self.redis_url,
            state_dir=folder,
            config_paths=(folder / "config.yaml",),
            public_url="https://mergeq.test",
            webhook_secrets=(self.secret,),
        )
        return services(settings, now=lambda: float(_TIME.unpack_from(time)[0]), sleep=self._advance)

    def _advance(self, seconds: float) -> None:
        connection = HTTPConnection(urlsplit(self.url).netloc)
        connection.request("POST", "/_sim/clock", json.dumps({"advance": f"{seconds:.6f}"}))
        connection.getresponse().read()
        connection.close()


def keep_time_of_rq(now: Callable[[], float]) -> None:
    """Have RQ, whose clock is the machine's, live in virtual time too: what it holds to be abandoned depends on it."""
    real = utils.now

    def virtual() -> datetime:
        return datetime.fromtimestamp(now(), UTC)

    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == rq.__name__ and getattr(module, "now", None) is real:
            setattr(module, "now", virtual)  # noqa: B010 -- modules have no such attribute for mypy


class Nursery:
    """A process that has loaded all of mergeq and forks what is asked for: one command a line, answered by one."""

    def __init__(self) -> None:
        program = [sys.executable, "-m", "tests.crash.processes"]
        self._child = subprocess.Popen(
            program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate(timeout=PATIENCE)

    def start(self, part: Part, where: Where, plan: Plan) -> int:
        """Start a part of mergeq; its process id."""
        return int(self._ask(do="start", part=part, where=asdict(where), plan=asdict(plan.of(part))))

    def wait(self, pid: int, meanwhile: Callable[[], object]) -> None:
        """Wait until a process has ended, by whatever. Raises TimeoutError, and then it is killed."""
        for _ in range(int(PATIENCE / 0.005)):
            if self._ask(do="look", pid=pid):
                return
            meanwhile()
            _LOOK.wait(0.003)
        self.kill(pid)
        raise TimeoutError(f"process {pid} did not end by itself")

    def has_ended(self, pid: int) -> bool:
        return bool(self._ask(do="look", pid=pid))

    def kill(self, pid: int) -> None:
        """End a process and wait for it."""
        self._ask(do="kill", pid=pid)

    def _ask(self, **command: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps(command), file=self._child.stdin, flush=True)
        return json.loads(self._child.stdout.readline())


def _nurse() -> None:
    ended: set[int] = set()
    gc.collect()
    gc.freeze()  # or each fork would copy what it shares with this one
    for line in sys.stdin:
        answer: Any
        match json.loads(line):
            case {"do": "start", "part": part, "where": where, "plan": plan}:
                answer = _fork(Part(part), Where(**where), _plan(plan))
            case {"do": "look", "pid": pid}:
                if pid not in ended and os.waitpid(pid, os.WNOHANG)[0]:
                    ended.add(pid)
                answer = pid in ended
            case {"do": "kill", "pid": pid}:
                if pid not in ended:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    ended.add(pid)
                answer = True
            case other:
                raise ValueError(other)
        print(json.dumps(answer), flush=True)  # noqa: T201 -- the answer


def _plan(raw: dict[str, Any]) -> Plan:
    point = raw["point"]
    if point is not None:
        kind = point["kind"]
        kind = Kind(Part(kind["part"]), Server(kind["server"]), End(kind["end"]))
        point = Point(point["journey"], kind, point["index"], Moment(point["moment"]))
    return replace(Plan(**{**raw, "part": Part(raw["part"])}), point=point)


def _fork(part: Part, where: Where, plan: Plan) -> int:
    if child := os.fork():
        return child
    status = 1
    try:
        die_with_parent()
        os.close(0)
        with (Path(where.folder) / f"{part}.log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        _be(part, where, plan)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _be(part: Part, where: Where, plan: Plan) -> None:
    made = where.services()
    keep_time_of_rq(made.now)
    Hooks(plan).install()
    if plan.wrong:
        Store.intend = lambda *_: None  # type: ignore[method-assign]
    match part:
        case Part.WORKER:
            jobs.work(made)
        case Part.TICK:
            if plan.new:
                jobs.look_at_everything(made)
            jobs.tick_once(made)
        case Part.WEB:
            make_server("127.0.0.1", where.port, create_app(made), threaded=True).serve_forever()


if __name__ == "__main__":
    _nurse()
