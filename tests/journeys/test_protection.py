"""Protection kept by real processes: put right within seconds, and by hand from a terminal that is left any time."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.journeys.test_processes_together import PATIENCE, eventually, run, running, sandbox

pytestmark = pytest.mark.journey

SECRET = "a secret of ours"
HEAD = "branch-protection:\n  orgs:\n    acme:\n      repos:\n"
MAIN = "{branches: {main: {protect: true, enforce_admins: true, required_status_checks: {contexts: [ci/test]}}}}"
TAIL = "mergeq: {protection: {mode: enforce}}\n"


@contextmanager
def acme(folder: Path, *repos: str) -> Iterator[tuple[requests.Session, str, dict[str, str]]]:
    """A GitHub with repositories of acme, a session and its API, and the environment of whoever protects them."""
    seed = folder / "seed.json"
    seed.write_text(json.dumps({"repos": {f"acme/{name}": {"files": {"README.md": "# It\n"}} for name in repos}}))
    lines = [f"        {name}: {MAIN}\n" for name in repos]
    (folder / "config.yaml").write_text("".join([HEAD, *lines, TAIL]))
    with sandbox("--state", str(folder), "--seed", str(seed)) as where, requests.Session() as curl:
        curl.headers["Authorization"] = f"token {where['token']}"
        yield (
            curl,
            where["api"],
            {
                "GITHUB_TOKEN": where["token"],
                "GITHUB_API_URL": where["api"],
                "MERGEQ_STATE_DIR": str(folder / "mergeq"),
                "MERGEQ_CONFIG": str(folder / "config.yaml"),
                "MERGEQ_LISTEN": "127.0.0.1:0",
                "MERGEQ_REDIS_URL": "",
                "MERGEQ_WEBHOOK_SECRET": SECRET,
            },
        )


def protection(curl: requests.Session, api: str, repo: str) -> Any:
    """What GitHub has in force on main; None for nothing."""
    answer = curl.get(f"{api}/repos/acme/{repo}/branches/main/protection")
    return answer.json() if answer.ok else None


def test_what_somebody_loosens_with_curl_is_put_right_and_told_to_whoever_asks(tmp_path: Path) -> None:
    with acme(tmp_path, "rocket") as (curl, api, environment), running("run", **environment) as child:
        assert child.stderr is not None
        page = next(line for line in child.stderr if "/tide" in line).split()[1].removesuffix("/tide")
        hook = {"config": {"url": f"{page}/webhooks/github", "content_type": "json", "secret": SECRET}, "events": ["*"]}
        assert curl.post(f"{api}/repos/acme/rocket/hooks", json=hook).status_code == 201
        assert eventually(lambda: protection(curl, api, "rocket"))
        assert eventually(lambda: requests.get(f"{page}/healthz", timeout=PATIENCE).json()["idle"])

        assert curl.delete(f"{api}/repos/acme/rocket/branches/main/protection").status_code == 204

        assert eventually(lambda: protection(curl, api, "rocket"))
        rows = eventually(lambda: len(found := audit(environment)) >= 3 and found)
        assert [row["result"] for row in rows] == ["applied", "seen", "applied"]
        assert (rows[1]["by"], rows[1]["kind"], rows[0]["cause"]) == ("mergeq-bot", "delete", "drift")
        assert run("protect", "plan", **environment).returncode == 0
        told = run("protect", "explain", "acme/rocket:main", **environment).stdout
        assert "by mergeq" in told
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=PATIENCE)[1]
        assert child.returncode == 130, said
        assert "Traceback" not in said


def test_whoever_interrupts_an_apply_finds_what_was_done_on_record_and_the_rest_undone(tmp_path: Path) -> None:
    repos = [f"r{n}" for n in range(8)]
    with acme(tmp_path, *repos) as (curl, api, environment):
        with running("protect", "apply", "--confirm", **environment) as child:
            assert child.stdout is not None
            assert any("done" in line for line in child.stdout)

            child.send_signal(signal.SIGINT)

            _, said = child.communicate(timeout=PATIENCE)
            assert child.returncode == 130, said
            assert "Traceback" not in said
        there = [name for name in repos if protection(curl, api, name)]
        assert 0 < len(there) < len(repos)
        assert sorted(row["target"] for row in audit(environment)) == [f"acme/{name}:main" for name in there]

        again = run("protect", "apply", "--confirm", **environment)

        assert again.returncode == 0, again.stdout
        assert all(protection(curl, api, name) for name in repos)


def audit(environment: dict[str, str]) -> list[dict[str, Any]]:
    """Every row, newest first."""
    lines = run("protect", "audit", "--json", **environment).stdout.splitlines()
    return [json.loads(line) for line in lines]
