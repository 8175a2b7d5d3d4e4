"""A sandbox in a process of its own, and clients that nobody here wrote; where one is missing its tests are skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.journeys.test_processes_together import running

NODE_MODULES = Path(__file__).parents[2] / ".venv" / "foreign" / "node_modules"
SEED: dict[str, Any] = {
    "repos": {
        "acme/rocket": {
            "files": {"README.md": "# Rocket\n", "engine.txt": "one engine\n", "ci.sh": "true\n"},
            "labels": ["lgtm", "do-not-merge/hold"],
        }
    },
    "prs": [
        {
            "pr": {
                "title": title,
                "body": "why",
                "author": {"login": "ana"},
                "headRefName": head,
                "repository": "acme/rocket",
            }
        }
        | {"files": {f"{head}.txt": f"{head}\n"}, "checks": [{"name": "lint", "conclusion": "success"}]}
        for title, head in (("Add a window", "window"), ("Add a wing", "wing"))
    ],
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sandbox is, and a token that may do everything there."""

    url: str
    token: str

    def rest(self, method: str, path: str, **fields: Any) -> Any:
        """Ask about acme/rocket, in place of the client under test."""
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.url}/api/v3/repos/acme/rocket{path}"
        answer = requests.request(method, url, json=fields or None, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps(SEED))
    with running("sandbox", "--seed", str(seed)) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        yield Place(said["url"], said["token"])


def ran(*command: str, at: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A program's end, in an environment that knows nothing of this machine but its PATH."""
    whole = {"PATH": os.environ["PATH"], "HOME": str(at), "LC_ALL": "C", **env}
    return subprocess.run(command, cwd=at, env=whole, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def gh(place: Place, tmp_path: Path) -> Callable[..., str]:
    """GitHub's command line, which finds the sandbox by way of its host's name and a proxy."""
    if shutil.which("gh") is None:
        pytest.skip("gh is not installed")

    def ask(*arguments: str) -> str:
        done = ran(
            "gh",
            *arguments,
            at=tmp_path,
            GH_HOST="github.localhost",
            GH_TOKEN=place.token,
            GH_ENTERPRISE_TOKEN=place.token,
            GH_REPO="github.localhost/acme/rocket",
            GH_PROMPT_DISABLED="1",
            GH_NO_UPDATE_NOTIFIER="1",
            HTTP_PROXY=place.url,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


@pytest.fixture
def node(place: Place, tmp_path: Path) -> Callable[[str], Any]:
    """Runs a module of JavaScript that has ``octokit`` and ``graphql``, and returns the JSON it prints."""
    if shutil.which("node") is None or not NODE_MODULES.exists():
        pytest.skip("node or the octokit packages are not installed")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    opening = f"""
    import {{ Octokit }} from "@octokit/rest";
    import {{ graphql }} from "@octokit/graphql";
    const octokit = new Octokit({{ auth: "{place.token}", baseUrl: "{place.url}/api/v3" }});
    const headers = {{ authorization: "token {place.token}" }};
    const query = graphql.defaults({{ baseUrl: "{place.url}/api", headers }});
    const where = {{ owner: "acme", repo: "rocket" }};
    """

    def run(text: str) -> Any:
        (tmp_path / "test.mjs").write_text(opening + text)
        done = ran("node", "test.mjs", at=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
