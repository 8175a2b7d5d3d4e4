"""At which writes things end, and the hooks in a child's clients of GitHub and Redis that count writes and end things."""

import json
import mmap
import os
import re
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import redis
from redis.connection import AbstractConnection
from urllib3.connection import HTTPConnection

_READS = frozenset(
    "AUTH CLIENT COMMAND CONFIG ECHO EXEC EXISTS GET HELLO HEXISTS HGET HGETALL HKEYS HLEN HMGET HVALS INFO KEYS LLEN LRANGE "
    "MGET MULTI PING PSUBSCRIBE PTTL PUNSUBSCRIBE SCAN SCARD SCRIPT SELECT SISMEMBER SMEMBERS SUBSCRIBE TTL TYPE UNSUBSCRIBE "
    "UNWATCH WATCH ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZSCORE".split()
)
_IDLE = re.compile(r"(\w+|script) (rq:workers?\b|rq:clean_registries|mergeq:(counters|spent:))")  # nobody acts on that
_MUTATION = re.compile(rb'"query": *"\s*mutation\b')
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
    """What ends: the process that writes with all that are its own, the process of one job, Redis, or the connection."""

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
        """When it ends. A process that ends after a write to Redis leaves what one leaves that ends before the next."""
        once = self.end is End.PROCESS and self.server is Server.REDIS
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
    """What a child counts and notes down in `folder`, and where something ends, if anywhere. In a `wrong` mergeq landings
    are not written down before they are asked for.
    """

    folder: str
    part: Part
    point: Point | None = None
    redis_pid: int = 0
    wrong: bool = False

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
        self._awaited: dict[int, tuple[int, bool]] = {}  # by connection to Redis: answers to come, and whether to end then

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
            self._end(point.kind)
        return point.moment is Moment.AFTER

    def _end(self, kind: Kind) -> None:
        self._counters[kind.server].fire()
        match kind.end:
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
        request, getresponse = HTTPConnection.request, HTTPConnection.getresponse
        ends: set[int] = set()

        def send(connection: Any, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
            is_query = url.endswith("/graphql") and not _MUTATION.search(_bytes(body))
            if method not in {"GET", "HEAD"} and not is_query:
                what = f"{method} {_SHA.sub('SHA', url.partition('?')[0])}"
                if self._begins(Server.GITHUB, what):
                    ends.add(id(connection))
            request(connection, method, url, body, *args, **kwargs)

        def receive(connection: Any) -> Any:
            answer = getresponse(connection)
            if id(connection) in ends:
                ends.discard(id(connection))
                assert self._plan.point is not None
                connection.close()
                self._end(self._plan.point.kind)
            return answer

        HTTPConnection.request = send  # type: ignore[method-assign]
        HTTPConnection.getresponse = receive  # type: ignore[method-assign]

    def _hook_redis(self) -> None:
        one, several, read = (
            AbstractConnection.send_command,
            AbstractConnection.pack_commands,
            AbstractConnection.read_response,
        )

        def note(connection: Any, commands: Sequence[Sequence[Any]], send: Callable[[], Any]) -> Any:
            told = (_told(command) for command in commands)
            writes = [one for one in told if one.split()[0] not in _READS and not _IDLE.match(one)]
            self._awaited.pop(id(connection), None)
            if writes and self._begins(Server.REDIS, " + ".join(writes)):
                self._awaited[id(connection)] = (len(commands), True)
            return send()

        def send_one(connection: Any, *args: Any, **kwargs: Any) -> None:
            note(connection, [args], lambda: one(connection, *args, **kwargs))

        def pack(connection: Any, commands: Any) -> Any:
            listed = [*commands]
            return note(connection, listed, lambda: several(connection, listed))

        def receive(connection: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return read(connection, *args, **kwargs)
            finally:
                left, ends = self._awaited.pop(id(connection), (0, False))
                if ends and left > 1:
                    self._awaited[id(connection)] = (left - 1, True)
                elif ends:
                    assert self._plan.point is not None
                    connection.disconnect()
                    self._end(self._plan.point.kind)

        AbstractConnection.send_command = send_one  # type: ignore[method-assign]
        AbstractConnection.pack_commands = pack  # type: ignore[method-assign]
        AbstractConnection.read_response = receive  # type: ignore[method-assign]


def _is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()


def _told(command: Sequence[Any]) -> str:
    """A command in a few words: its name and key, or the key of a script and what it commits."""
    words = [part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in command]
    name = words[0].upper()
    if name not in {"EVALSHA", "EVAL"}:
        return " ".join([name, *words[1:2]])
    committed = next((word for word in words if word.startswith("[[")), "[]")
    told = [f"{one[0]} {one[1]}" for one in json.loads(committed) if isinstance(one[0], str) and len(one) > 1]
    return f"script {words[3]}" + (f" ({', '.join(told)})" if told else "")
