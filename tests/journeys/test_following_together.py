"""Real processes follow their configuration: by looking, and at once when SIGHUP asks for it."""

import signal
from pathlib import Path

import pytest
import redis
import requests

from tests.journeys.test_processes_together import CONFIG, PATIENCE, children_of, eventually, knows, running, sandbox

pytestmark = pytest.mark.journey
BROKEN = "tide:\n  queries:\n    - orgs: acme\n"


def rewrite(config: Path, text: str) -> None:
    config.with_suffix(".new").write_text(text)
    config.with_suffix(".new").replace(config)


def test_run_follows_changes_keeps_the_last_good_one_and_survives_hangups(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    with sandbox("--state", str(tmp_path)) as where, requests.Session() as curl:
        environment = {
            "GITHUB_TOKEN": where["token"],
            "GITHUB_API_URL": where["api"],
            "MERGEQ_STATE_DIR": str(tmp_path / "mergeq"),
            "MERGEQ_LISTEN": "127.0.0.1:0",
            "MERGEQ_REDIS_URL": "",
        }
        curl.headers["Authorization"] = f"token {where['token']}"
        with running("run", "--config", str(config), **environment) as child:
            assert child.stderr is not None
            page = child.stderr.readline().split()[1].removesuffix("/tide")
            assert eventually(lambda: knows(page, "acme/rocket", 1))
            family = children_of(child.pid)

            rewrite(config, CONFIG.replace("[lgtm, approved]", "[lgtm, really]"))
            child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "really" in requests.get(f"{page}/pr/acme/rocket/1.json", timeout=PATIENCE).text)

            before = sweeps(page)  # the worker looks when a job begins, so one that ended may have begun before
            assert eventually(lambda: sweeps(page) >= before + 2)

            rewrite(config, BROKEN)
            child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "is not in force" in requests.get(f"{page}/tide", timeout=PATIENCE).text)
            labels = curl.post(f"{where['api']}/repos/acme/rocket/issues/1/labels", json={"labels": ["really"]})

            assert labels.status_code == 200, labels.text
            assert eventually(lambda: curl.get(f"{where['api']}/repos/acme/rocket/pulls/1").json()["merged"])
            rewrite(config, CONFIG)
            assert eventually(lambda: "is not in force" not in requests.get(f"{page}/tide", timeout=PATIENCE).text)
            assert child.poll() is None
            assert len(family & children_of(child.pid)) >= 4
            child.send_signal(signal.SIGINT)
            said = child.communicate(timeout=PATIENCE)[1]
            assert child.returncode == 130, said
            assert "Traceback" not in said
            assert "configuration not taken up" in said
            assert "configuration taken up" in said


@pytest.mark.parametrize("part", ["web", "worker", "tick"])
@pytest.mark.usefixtures("clean_redis")
def test_each_part_by_itself_takes_a_hangup_for_what_it_is(tmp_path: Path, redis_url: str, part: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    environment = {
        "GITHUB_TOKEN": "x",
        "GITHUB_API_URL": "http://127.0.0.1:9",
        "MERGEQ_STATE_DIR": str(tmp_path / "mergeq"),
        "MERGEQ_LISTEN": "127.0.0.1:0",
        "MERGEQ_REDIS_URL": redis_url,
    }
    with running(part, "--config", str(config), **environment) as child:
        assert eventually(lambda: catches(child.pid, signal.SIGHUP) and catches(child.pid, signal.SIGTERM))
        assert part != "worker" or eventually(lambda: waits_for_work(redis_url))
        rewrite(config, BROKEN)

        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGHUP)

        if part != "worker":  # which looks when a job begins
            assert child.stderr is not None
            said = iter(child.stderr.readline, "")
            assert any("configuration not taken up" in line for line in said)
        assert child.poll() is None
        if part == "worker":  # how RQ takes SIGTERM is its own affair, and it may take its time
            child.kill()
        else:
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE) == 0


def sweeps(page: str) -> float:
    """How many sweeps have been finished."""
    lines = requests.get(f"{page}/metrics", timeout=PATIENCE).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tidesyncheartbeat"))


def waits_for_work(redis_url: str) -> bool:
    """Whether a worker has come to the point where it waits for jobs."""
    with redis.Redis.from_url(redis_url) as connection:
        return any(connection.hget(key, "state") == b"idle" for key in connection.scan_iter("rq:worker:*"))


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
