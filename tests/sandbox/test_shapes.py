from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter
from tests.sandbox.conftest import BASE, GREEN

KIT = Path(__file__).parents[2].parent / "shared" / "github-kit"
REPO = "/repos/{owner}/{repo}"


KNOWN = re.compile(r"\$\[\d+\]\.labels\[\d+\]\.description: None is not of type 'string'")
"""Where the description is wrong about GitHub: labels of listed pull requests may lack a description."""


def errors_of(validator: jsonschema.Draft202012Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


def load(name: str) -> Any:
    path = KIT / name
    if not path.exists():
        pytest.skip("GitHub's API descriptions are not beside this checkout")
    return json.loads(path.read_text(encoding="utf-8"))


def plain(node: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` as JSON Schema says it."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: plain(value) for key, value in node.items() if key not in ("nullable", "example", "examples")}
    return {"anyOf": [{"type": "null"}, kept]} if node.get("nullable") is True else kept


@pytest.fixture(scope="module")
def described() -> Any:
    return plain(load("rest-api.github.com.trim.json"))


@pytest.fixture(scope="module")
def described_hooks() -> Any:
    return load("webhooks.openapi31.trim.json")


@pytest.fixture(scope="module")
def busy() -> Iterator[Sandbox]:
    """A world in which most things have happened once."""
    with Sandbox(clock=ManualClock()) as sandbox:
        world = sandbox.world
        world.webhooks.session.mount("http://queue.test", WsgiAdapter(accept))
        world.add_hook("http://queue.test/hook", "x")
        world.create_repo("acme/rocket", files=GREEN, labels=["lgtm"])
        world.add_hook("http://queue.test/hook", "x", events=["ping"], repo="acme/rocket")
        world.protect("acme/rocket", "main", required_contexts=["ci/test"])
        own = world.open_pull(
            "acme/rocket", title="Own", files={"a.txt": "a\n"}, labels=["lgtm"], milestone="v1", head="feature/a"
        )
        forked = world.open_pull("acme/rocket", title="Forked", files={"b.txt": "b\n"}, fork="zoe", draft=True)
        world.set_draft(forked, False)
        world.set_check_run("acme/rocket", own.head_sha, name="lint", conclusion="neutral")
        world.review(own, "ben", "APPROVED", "fine")
        world.comment(own, "hello")
        world.edit_title(forked, "Forked again")
        world.close_issue(world.open_issue("acme/rocket", "Freeze", labels=["blocker"]))
        sandbox.settle()
        world.push_to_pull(forked, {"c.txt": "c\n"})
        world.merge_pull(own, by="ben")
        world.delete_branch("acme/rocket", "feature/a")
        sandbox.settle()
        yield sandbox


def accept(_environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("202 Accepted", [])
    return [b""]


ANSWERS = [
    ("/user", "/user"),
    ("/rate_limit", "/rate_limit"),
    (REPO, REPO),
    (f"{REPO}/pulls?state=all", f"{REPO}/pulls"),
    (f"{REPO}/pulls/1", f"{REPO}/pulls/{{pull_number}}"),
    (f"{REPO}/pulls/2", f"{REPO}/pulls/{{pull_number}}"),
    (f"{REPO}/pulls/2/files", f"{REPO}/pulls/{{pull_number}}/files"),
    (f"{REPO}/pulls/2/commits", f"{REPO}/pulls/{{pull_number}}/commits"),
    (f"{REPO}/pulls/1/reviews", f"{REPO}/pulls/{{pull_number}}/reviews"),
    (f"{REPO}/branches", f"{REPO}/branches"),
    (f"{REPO}/branches/main", f"{REPO}/branches/{{branch}}"),
    (f"{REPO}/git/ref/heads/main", f"{REPO}/git/ref/{{ref}}"),
    (f"{REPO}/git/matching-refs/heads/", f"{REPO}/git/matching-refs/{{ref}}"),
    (f"{REPO}/commits/main", f"{REPO}/commits/{{ref}}"),
    (f"{REPO}/commits/main/status", f"{REPO}/commits/{{ref}}/status"),
    (f"{REPO}/commits/main/statuses", f"{REPO}/commits/{{ref}}/statuses"),
    (f"{REPO}/commits/refs/pull/1/head/check-runs", f"{REPO}/commits/{{ref}}/check-runs"),
    (f"{REPO}/issues/1/labels", f"{REPO}/issues/{{issue_number}}/labels"),
    (f"{REPO}/issues/1/comments", f"{REPO}/issues/{{issue_number}}/comments"),
    (f"{REPO}/hooks", f"{REPO}/hooks"),
]


@pytest.mark.parametrize(("path", "route"), ANSWERS, ids=[path for path, _ in ANSWERS])
def test_answers_have_the_shape_github_describes(described: Any, busy: Sandbox, path: str, route: str) -> None:
    described_route = described["paths"].get(route)
    if described_route is None:
        pytest.skip("the description was cut without this route")
    answer_schema = described_route["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    with requests.Session() as session:
        session.mount(BASE, WsgiAdapter(busy.app))
        url = BASE + path.format(owner="acme", repo="rocket")
        answer = session.get(url, headers={"Authorization": f"token {busy.token}"})

    validator = jsonschema.Draft202012Validator({**answer_schema, "components": described["components"]})

    assert answer.status_code == 200
    assert answer.json() not in ([], {})
    assert [error for error in errors_of(validator, answer.json()) if not KNOWN.fullmatch(error)] == []


def test_webhooks_have_the_shape_github_describes(described_hooks: Any, busy: Sandbox) -> None:
    seen = set()
    for delivery in busy.world.deliveries:
        event = delivery.event.replace("_", "-")
        name = f"{event}-{delivery.action.replace('_', '-')}" if delivery.action else event
        if name in ("create", "delete"):
            continue  # the description was cut without these two
        schema = described_hooks["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": described_hooks["components"]})
        assert (name, errors_of(validator, delivery.payload)) == (name, [])
        seen.add(name)

    assert seen >= {"push", "status", "pull-request-opened", "pull-request-synchronize"}
    assert seen >= {"check-run-created", "check-run-completed", "pull-request-review-submitted", "issues-opened"}
