"""At which writes something ends, and the hooks below a child's clients of GitHub and Redis that count and end it."""

import json
import mmap
import os
import re
import signal
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import redis
from redis.connection import AbstractConnection
from urllib3.connection import HTTPConnection

_READS = re.compile(
    "AUTH|CLIENT|COMMAND|CONFIG|ECHO|EXEC|EXISTS|H?M?GET|HELLO|HEXISTS|HGETALL|HKEYS|HLEN|HMGET|HVALS|INFO|KEYS|LLEN|LRANGE|MULTI|"
    "PING|P?SUBSCRIBE|P?TTL|P?UNSUBSCRIBE|SCAN|SCARD|SCRIPT|SELECT|SISMEMBER|SMEMBERS|TYPE|UNWATCH|WATCH|ZCARD|ZCOUNT|ZRANGE|"
    "ZRANGEBYSCORE|ZREVRANGEBYSCORE|ZSCORE"
)
_IDLE = re.compile(r"(\w+|script) (rq:workers?\b|rq:clean_registries|mergeq:(counters|spent:))")  # nobody acts on that
_MUTATION = re.compile(r'"query": *"(?:\\n|\s)*mutation (\w+)')
_Call = Callable[..., Any]
_TOLD = 120  # characters of what is written
_PAUSE = threading.Event()
_SHA = re.compile(r"\b[0-9a-f]{7,40}\b")


class Part(StrEnum):
    """A process of mergeq."""

    WORKER = "worker"
    TICK = "tick"
    WEB = "web"


class Server(StrEnum):
    """What is written to."""

    GITHUB = "github"
    REDIS = "redis"


class End(StrEnum):
    """What ends: the process that writes and those that it has started, that of one job, Redis, or the connection."""

    PROCESS = "process"
    JOB = "job"
    REDIS = "redis"
    CONNECTION = "connection"


class Moment(StrEnum):
    """Before a write is sent, or after it was carried out and before its answer is read."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Kind:
    """Whose writes to what are counted, and what ends at one of them."""

    part: Part
    server: Server
    end: End

    @property
    def moments(self) -> tuple[Moment, ...]:
        """When it ends. A process that ends after a write to Redis leaves what it leaves if it ends before the next,
        where nobody waits for its answer.
        """
        once = self.end is End.PROCESS and self.server is Server.REDIS and self.part is not Part.WEB
        return (Moment.AFTER,) if once else (Moment.BEFORE, Moment.AFTER)

    def __str__(self) -> str:
        return f"{self.end}-at-{self.part}-{self.server}"


KINDS = (
    Kind(Part.WORKER, Server.GITHUB, End.PROCESS),
    Kind(Part.WORKER, Server.REDIS, End.PROCESS),
    Kind(Part.WORKER, Server.GITHUB, End.JOB),
    Kind(Part.WORKER, Server.GITHUB, End.CONNECTION),
    Kind(Part.WORKER, Server.REDIS, End.REDIS),
    Kind(Part.TICK, Server.REDIS, End.PROCESS),
    Kind(Part.WEB, Server.REDIS, End.PROCESS),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One write, counted from 0, of one kind in one journey, and on which side of it the end comes."""

    journey: str
    kind: Kind
    index: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.journey}/{self.kind}/{self.index}/{self.moment}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        journey, kind, index, moment = text.split("/")
        known = {str(one): one for one in KINDS}
        if kind not in known:
            raise ValueError(f"{kind}: is no kind; they are {', '.join(known)}")
        return cls(journey, known[kind], int(index), Moment(moment))


class Counter:
    """How many writes of a part to a server were begun, and whether what was to end has ended: shared by processes, in
    a file.
    """

    _LAYOUT = struct.Struct("qq")

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(self._LAYOUT.size))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), self._LAYOUT.size)

    def next(self) -> int:
        """Count one more, and say which it is."""
        count, fired = self._LAYOUT.unpack_from(self._map)
        self._LAYOUT.pack_into(self._map, 0, count + 1, fired)
        return int(count)

    def fire(self) -> None:
        """The end has come."""
        count, _ = self._LAYOUT.unpack_from(self._map)
        self._LAYOUT.pack_into(self._map, 0, count, 1)

    @property
    def fired(self) -> bool:
        return bool(self._LAYOUT.unpack_from(self._map)[1])


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child counts and notes down in `folder`, and where something ends, if anywhere. A `wrong` mergeq does not
    write down what it is about to land. A timer that is `new` begins as one does that was started again.
    """

    folder: str
    part: Part
    point: Point | None = None
    redis_pid: int = 0
    wrong: bool = False
    new: bool = False

    def counter(self, server: Server) -> Counter:
        return Counter(Path(self.folder) / f"{self.part}-{server}.count")

    def writes(self, server: Server) -> list[str]:
        """What was written so far, one line each."""
        file = Path(self.folder) / f"{self.part}-{server}.writes"
        return file.read_text().splitlines() if file.exists() else []

    def of(self, part: Part) -> "Plan":
        """The same for another part."""
        return replace(self, part=part)


class Hooks:
    """Sits between a child's clients and their sockets: there every write is counted, and ends what is to end."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._pid = plan, os.getpid()
        self._counters = {server: plan.counter(server) for server in Server}

    def install(self) -> None:
        """From here on, in this process and its forks."""
        self._hook_github()
        self._hook_redis()

    def _begins(self, server: Server, what: str) -> bool:
        """Note a write that is about to be sent, and end what ends before it; whether something ends after it."""
        index = self._counters[server].next()
        with (Path(self._plan.folder) / f"{self._plan.part}-{server}.writes").open("a") as file:
            file.write(what + "\n")
        point = self._plan.point
        if point is None or (point.kind.part, point.kind.server, point.index) != (self._plan.part, server, index):
            return False
        if point.moment is Moment.BEFORE:
            self._end()
        return point.moment is Moment.AFTER

    def _end(self) -> None:
        assert self._plan.point is not None
        self._counters[self._plan.point.kind.server].fire()
        match self._plan.point.kind.end:
            case End.PROCESS:
                os.kill(self._pid, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            case End.JOB:
                os.kill(os.getpid(), signal.SIGKILL)
            case End.REDIS:
                os.kill(self._plan.redis_pid, signal.SIGKILL)
                while _is_alive(self._plan.redis_pid):
                    _PAUSE.wait(0.001)
                raise redis.ConnectionError("Redis was killed")
            case End.CONNECTION:
                raise ConnectionResetError("the connection was cut")

    def _hook_github(self) -> None:
        ends: set[int] = set()

        def send(
            request: _Call, connection: Any, method: str, url: str, body: Any = None, *more: Any, **named: Any
        ) -> Any:
            what = f"{method} {_SHA.sub('SHA', url.partition('?')[0])}"
            if url.endswith("/graphql"):
                mutation = _MUTATION.search(body.decode() if isinstance(body, bytes) else str(body))
                what = f"{what} {mutation[1]}" if mutation else ""
            if method not in {"GET", "HEAD"} and what and self._begins(Server.GITHUB, what):
                ends.add(id(connection))
            return request(connection, method, url, body, *more, **named)

        def receive(getresponse: _Call, connection: Any) -> Any:
            answer = getresponse(connection)
            if id(connection) in ends:
                ends.discard(id(connection))
                connection.close()
                self._end()
            return answer

        _wrap(HTTPConnection, "request", send)
        _wrap(HTTPConnection, "getresponse", receive)

    def _hook_redis(self) -> None:
        left: dict[int, int] = {}  # by connection on which something is to end: answers that come before

        def note(connection: Any, commands: Sequence[Sequence[Any]]) -> None:
            told = (_told(command) for command in commands)
            writes = [one for one in told if not _READS.fullmatch(one.split()[0]) and not _IDLE.match(one)]
            left.pop(id(connection), None)
            if writes and self._begins(Server.REDIS, " + ".join(dict.fromkeys(writes))[:_TOLD]):
                left[id(connection)] = len(commands)

        def send(one: _Call, connection: Any, *command: Any, **named: Any) -> Any:
            note(connection, [command])
            return one(connection, *command, **named)

        def pack(several: _Call, connection: Any, commands: Iterable[Sequence[Any]]) -> Any:
            listed = [*commands]
            note(connection, listed)
            return several(connection, listed)

        def receive(read: _Call, connection: Any, *more: Any, **named: Any) -> Any:
            try:
                return read(connection, *more, **named)
            finally:
                if id(connection) in left:
                    left[id(connection)] -= 1
                    if not left[id(connection)]:
                        connection.disconnect()
                        self._end()

        _wrap(AbstractConnection, "send_command", send)
        _wrap(AbstractConnection, "pack_commands", pack)
        _wrap(AbstractConnection, "read_response", receive)


def _wrap(owner: Any, name: str, around: _Call) -> None:
    """Have `around` be called in place of a method, with the method first."""
    method = getattr(owner, name)

    def wrapped(*more: Any, **named: Any) -> Any:
        return around(method, *more, **named)

    setattr(owner, name, wrapped)


def _is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _told(command: Sequence[Any]) -> str:
    """A command in a few words: its name and key, or the key of a script and what it commits."""
    words = [part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in command]
    name = words[0].upper()
    if name not in {"EVALSHA", "EVAL"}:
        return " ".join([name, *words[1:2]])
    committed = next((word for word in words if word.startswith("[[")), "[]")
    told = [f"{one[0]} {one[1]}" for one in json.loads(committed) if isinstance(one[0], str) and len(one) > 1]
    return f"script {words[3]}" + (f" ({', '.join(told)})" if told else "")
