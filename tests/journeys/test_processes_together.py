"""Whole journeys through real processes: sandbox, web, worker, tick and Redis, over HTTP and git."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from mergeq import shipped

pytestmark = pytest.mark.journey

MERGEQ = [sys.executable, "-c", "from mergeq.cli import main; main()"]
PAUSE = threading.Event()
PATIENCE = 180  # seconds that nothing needs, unless the machine is very busy
CONFIG = """
tide:
  sync_period: 1s
  queries:
    - orgs: [acme]
      labels: [lgtm, approved]
"""


def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MERGEQ_", "GITHUB_"))}
    return subprocess.run(
        [*MERGEQ, *arguments], env={**environment, **env}, capture_output=True, text=True, check=False, timeout=600
    )


@contextmanager
def running(*arguments: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [*MERGEQ, *arguments], env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        for pipe in (child.stdout, child.stderr):  # nobody reads while a journey goes on, and a full pipe would stop it
            if pipe is not None and sys.platform == "linux":
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
            try:
                print(*child.communicate(timeout=PATIENCE))  # noqa: T201 -- shown with a journey that failed
            except subprocess.TimeoutExpired:
                child.kill()
                raise


@contextmanager
def sandbox(*arguments: str) -> Iterator[dict[str, str]]:
    with running("sandbox", *arguments) as child:
        assert child.stdout is not None
        where: dict[str, str] = json.loads(child.stdout.readline())
        jsonschema.validate(where, json.loads((shipped("schemas") / "sandbox.schema.json").read_bytes()))
        yield where


def eventually(true: Callable[[], Any]) -> Any:
    """What is true at last; what it still is after more looks than a machine that does anything else needs."""
    for _ in range(PATIENCE * 10):
        if found := true():
            return found
        PAUSE.wait(0.1)
    return true()


def git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        ["git", *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def children_of(pid: int) -> set[int]:
    """Every living descendant of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


@pytest.mark.parametrize("hooked", [True, False], ids=["by webhook", "by the sweep alone"])
def test_run_lands_what_somebody_labels_with_curl_in_another_process(tmp_path: Path, hooked: bool) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("1s", "1h") if hooked else CONFIG)
    with sandbox("--state", str(tmp_path)) as where, requests.Session() as curl:
        curl.headers["Authorization"] = f"token {where['token']}"
        secret = "a secret of ours"
        environment = {
            "GITHUB_TOKEN": where["token"],
            "GITHUB_API_URL": where["api"],
            "MERGEQ_STATE_DIR": str(tmp_path / "mergeq"),
            "MERGEQ_LISTEN": "127.0.0.1:0",
            "MERGEQ_WEBHOOK_SECRET": secret,
            "MERGEQ_REDIS_URL": "",
        }
        with running("run", "--config", str(config), **environment) as child:
            assert child.stderr is not None
            page = child.stderr.readline().split()[1].removesuffix("/tide")
            assert eventually(lambda: knows(page, "acme/rocket", 1))
            if hooked:
                hook = {
                    "config": {"url": f"{page}/webhooks/github", "secret": secret, "content_type": "json"},
                    "events": ["*"],
                }
                assert curl.post(f"{where['api']}/repos/acme/rocket/hooks", json=hook).status_code == 201

            labels = curl.post(f"{where['api']}/repos/acme/rocket/issues/1/labels", json={"labels": ["approved"]})

            assert labels.status_code == 200, labels.text
            assert eventually(lambda: curl.get(f"{where['api']}/repos/acme/rocket/pulls/1").json()["merged"])
            pull = curl.get(f"{where['api']}/repos/acme/rocket/pulls/1").json()
            git("clone", "--quiet", f"{where['url']}/acme/rocket.git", str(tmp_path / "clone"))
            assert git("-C", str(tmp_path / "clone"), "rev-parse", "HEAD") == pull["merge_commit_sha"]
            assert (tmp_path / "clone" / "shield.txt").exists()
            assert eventually(lambda: requests.get(f"{page}/tide-history.json", timeout=PATIENCE).json()["History"])
            assert where["token"] not in requests.get(f"{page}/tide", timeout=PATIENCE).text

            family = children_of(child.pid)
            assert len(family) >= 5
            child.send_signal(signal.SIGINT)
            said = child.communicate(timeout=PATIENCE)[1]
            assert child.returncode == 130, said
            assert eventually(lambda: not {pid for pid in family if is_alive(pid)})
            assert where["token"] not in said
            assert "Traceback" not in said


def knows(page: str, repo: str, number: int) -> bool:
    try:
        return requests.get(f"{page}/pr/{repo}/{number}.json", timeout=PATIENCE).status_code == 200
    except requests.RequestException:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_killing_run_ends_everything_it_started(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    with sandbox() as where:
        environment = {
            "GITHUB_TOKEN": where["token"],
            "GITHUB_API_URL": where["api"],
            "MERGEQ_STATE_DIR": str(tmp_path / "mergeq"),
            "MERGEQ_LISTEN": "127.0.0.1:0",
            "MERGEQ_REDIS_URL": "",
        }
        with running("run", "--config", str(config), **environment) as child:
            assert child.stderr is not None
            page = child.stderr.readline().split()[1].removesuffix("/tide")
            assert eventually(lambda: knows(page, "acme/rocket", 2))
            family = children_of(child.pid)

            child.kill()

            assert eventually(lambda: not {pid for pid in family if is_alive(pid)}), "a child outlived its parent"


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_what_is_missing_is_said_in_one_line_each_and_nothing_starts(tmp_path: Path) -> None:
    nothing = run("run", MERGEQ_STATE_DIR=str(tmp_path), MERGEQ_LISTEN="127.0.0.1:0")
    broken = tmp_path / "broken.yaml"
    broken.write_text("tide:\n  queries:\n  - labels: [a\n")
    invalid = run("worker", "--config", str(broken), GITHUB_TOKEN="x", MERGEQ_REDIS_URL="unix:///nowhere")

    assert nothing.returncode == 1
    assert [line.split(":")[0] for line in nothing.stderr.splitlines()] == ["GITHUB_TOKEN", "MERGEQ_CONFIG"]
    assert invalid.returncode == 1
    assert len(invalid.stderr.splitlines()) == 1
    assert "Traceback" not in nothing.stderr + invalid.stderr


def test_a_broken_configuration_is_named_by_its_line(tmp_path: Path, redis_url: str) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("tide:\n  queries:\n  - orgs: acme\n")

    done = run("worker", "--config", str(broken), GITHUB_TOKEN="x", MERGEQ_REDIS_URL=redis_url)

    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0]
        == f'{broken}:3:11: tide.queries.0.orgs: must be a list, but is "acme"; mend the value'
    )


@pytest.mark.parametrize("arguments", [("sing",), ("demo", "--json"), ("sandbox", "--port", "x")])
def test_wrong_usage_exits_64(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode == 64
    assert "Usage" in done.stderr or "Error" in done.stderr


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with sandbox() as where:
        port = where["url"].rsplit(":", 1)[1]

        done = run("demo", "--once", "--port", port, "--state", str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"127.0.0.1:{port}: cannot listen there (Address already in use); choose another by MERGEQ_LISTEN or --port"
    ]
