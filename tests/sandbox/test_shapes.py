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
from mergeq.sandbox.records import Restrictions
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
        world.users.join_team("owners", "ben")
        only = Restrictions(("ben",), ("owners",), ("sandbox-ci",))
        world.protect("acme/rocket", "main", ["ci/test"], restrictions=only, required_reviews=0)
        own = world.open_pull(
            "acme/rocket", title="Own", files={"a.txt": "a\n"}, labels=["lgtm"], milestone="v1", head="feature/a"
        )
        forked = world.open_pull("acme/rocket", title="Forked", files={"b.txt": "b\n"}, fork="zoe", draft=True)
        world.set_draft(forked, False)
        world.set_check_run("acme/rocket", own.head_sha, name="lint", conclusion="neutral")
        world.review(own, "ben", "APPROVED", "fine")
        world.comment(own, "hello")
        world.rename_label("acme/rocket", "lgtm", "LGTM")
        thread = world.open_thread(own, "ben")
        world.resolve_thread(own, thread)
        world.resolve_thread(own, thread, resolved=False)
        world.edit_title(forked, "Forked again")
        world.close_issue(world.open_issue("acme/rocket", "Freeze", labels=["blocker"]))
        sandbox.settle()
        world.push_to_pull(forked, {"c.txt": "c\n"})
        reviews = {
            "required_approving_review_count": 1,
            "dismiss_stale_reviews_on_push": True,
            "require_code_owner_review": False,
            "require_last_push_approval": False,
            "required_review_thread_resolution": False,
        }
        admins = [{"actor_id": 5, "actor_type": "RepositoryRole"}]
        rules: list[dict[str, Any]] = [{"type": "deletion"}, {"type": "pull_request", "parameters": reviews}]
        world.add_ruleset("acme/rocket", rules=rules, bypass=admins)
        world.add_ruleset("acme", "all", rules=[{"type": "non_fast_forward"}])
        world.merge_pull(own)
        world.delete_branch("acme/rocket", "feature/a")
        world.archive("acme/rocket")
        world.archive("acme/rocket", archived=False)
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
    (f"{REPO}/branches/main/protection", f"{REPO}/branches/{{branch}}/protection"),
    (
        f"{REPO}/branches/main/protection/required_signatures",
        f"{REPO}/branches/{{branch}}/protection/required_signatures",
    ),
    *(
        (f"{REPO}/branches/main/protection/{section}", f"{REPO}/branches/{{branch}}/protection/{section}")
        for section in (
            "enforce_admins",
            "required_status_checks",
            "required_status_checks/contexts",
            "required_pull_request_reviews",
            "restrictions",
            "restrictions/users",
            "restrictions/teams",
            "restrictions/apps",
        )
    ),
    (f"{REPO}/rulesets", f"{REPO}/rulesets"),
    (f"{REPO}/rulesets/{{ruleset}}", f"{REPO}/rulesets/{{ruleset_id}}"),
    (f"{REPO}/rules/branches/main", f"{REPO}/rules/branches/{{branch}}"),
    (f"{REPO}/rulesets/rule-suites", f"{REPO}/rulesets/rule-suites"),
    ("/orgs/acme/rulesets", "/orgs/{org}/rulesets"),
    (f"{REPO}/git/ref/heads/main", f"{REPO}/git/ref/{{ref}}"),
    (f"{REPO}/git/matching-refs/heads/", f"{REPO}/git/matching-refs/{{ref}}"),
    (f"{REPO}/commits/main", f"{REPO}/commits/{{ref}}"),
    (f"{REPO}/git/commits/{{main}}", f"{REPO}/git/commits/{{commit_sha}}"),
    (f"{REPO}/git/trees/main", f"{REPO}/git/trees/{{tree_sha}}"),
    (f"{REPO}/commits/main/status", f"{REPO}/commits/{{ref}}/status"),
    (f"{REPO}/commits/main/statuses", f"{REPO}/commits/{{ref}}/statuses"),
    (f"{REPO}/commits/refs/pull/1/head/check-runs", f"{REPO}/commits/{{ref}}/check-runs"),
    (f"{REPO}/issues/1/labels", f"{REPO}/issues/{{issue_number}}/labels"),
    (f"{REPO}/issues/1/comments", f"{REPO}/issues/{{issue_number}}/comments"),
    (f"{REPO}/compare/main...refs/pull/2/head", f"{REPO}/compare/{{basehead}}"),
    (f"{REPO}/hooks", f"{REPO}/hooks"),
]


@pytest.mark.parametrize(("path", "route"), ANSWERS, ids=[path for path, _ in ANSWERS])
def test_answers_have_the_shape_github_describes(described: Any, busy: Sandbox, path: str, route: str) -> None:
    if route not in described["paths"]:
        pytest.skip("the description was cut without this route")
    answer = ask(busy, "GET", path)

    assert answer.status_code == 200
    assert answer.json() not in ([], {})
    assert misshapen(described, "GET", route, answer) == []


def ask(sandbox: Sandbox, method: str, path: str, **json: Any) -> requests.Response:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")
    with requests.Session() as session:
        session.mount(BASE, WsgiAdapter(sandbox.app))
        ruleset = next(iter(sandbox.world.repo("acme/rocket").rulesets))
        url = BASE + path.format(owner="acme", repo="rocket", branch="main", main=tip, ruleset=ruleset)
        return session.request(method, url, json=json or None, headers={"Authorization": f"token {sandbox.token}"})


def misshapen(described: Any, method: str, route: str, answer: requests.Response) -> list[str]:
    """Where an answer is not what the description says of its route and status."""
    said = described["paths"][route][method.lower()]["responses"][str(answer.status_code)]
    if "$ref" in said:
        said = described["components"]["responses"][said["$ref"].rpartition("/")[2]]
    schema = said["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**schema, "components": described["components"]})
    return [error for error in errors_of(validator, answer.json()) if not KNOWN.fullmatch(error)]


PROTECTION: dict[str, Any] = {
    "required_status_checks": {"strict": True, "contexts": ["ci/test"]},
    "enforce_admins": False,
    "required_pull_request_reviews": {"required_approving_review_count": 1},
    "restrictions": {"users": ["ben"], "teams": ["owners"], "apps": []},
}


DISMISSERS: dict[str, Any] = {
    "dismissal_restrictions": {"users": ["ben"], "teams": ["owners"], "apps": ["sandbox-ci"]},
    "bypass_pull_request_allowances": {"users": ["ben"], "teams": ["owners"], "apps": ["sandbox-ci"]},
}


def test_answers_to_writes_have_the_shape_github_describes(described: Any, busy: Sandbox) -> None:
    world = busy.world
    git = world.repo("acme/rocket").git
    tip = str(git.tip("main"))
    world.create_ref("acme/rocket", "refs/heads/scratch", tip)
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"{REPO}/git/commits", {"message": "M", "tree": git.commit(tip).tree, "parents": [tip]}),
        ("POST", f"{REPO}/git/commits", {"message": "M", "tree": "1" * 40}),
        ("POST", f"{REPO}/git/refs", {"ref": "refs/heads/one", "sha": tip}),
        ("POST", f"{REPO}/git/refs", {"ref": "refs/heads/one", "sha": tip}),
        ("PUT", f"{REPO}/pulls/2/update-branch", {}),
        ("PUT", f"{REPO}/branches/{{branch}}/protection", PROTECTION),
        ("POST", f"{REPO}/branches/{{branch}}/protection/required_signatures", {}),
        ("POST", f"{REPO}/branches/{{branch}}/protection/enforce_admins", {}),
        ("PATCH", f"{REPO}/branches/{{branch}}/protection/required_pull_request_reviews", DISMISSERS),
        ("PATCH", f"{REPO}/branches/{{branch}}/protection/required_status_checks", {"strict": False}),
        ("POST", f"{REPO}/branches/{{branch}}/protection/required_status_checks/contexts", {"contexts": ["lint"]}),
        ("PUT", f"{REPO}/branches/{{branch}}/protection/restrictions/users", {"users": ["ben"]}),
        ("POST", f"{REPO}/rulesets", {"name": "new", "enforcement": "active", "rules": [{"type": "deletion"}]}),
        ("POST", f"{REPO}/merges", {"base": "scratch", "head": world.pull("acme/rocket", 2).head_sha}),
    ]

    wrong = []
    for method, path, fields in writes:
        answer = ask(busy, method, path, **fields)
        route = path.replace("/pulls/2/", "/pulls/{pull_number}/")
        wrong += [(route, answer.status_code, error) for error in misshapen(described, method, route, answer)]

    assert wrong == []


@pytest.fixture(scope="module")
def told(busy: Sandbox) -> None:
    """Rulesets made, changed and deleted, which hooks hear of."""
    made = ask(busy, "POST", "/repos/acme/rocket/rulesets", name="told", enforcement="active")
    path = f"/repos/acme/rocket/rulesets/{made.json()['id']}"
    assert ask(busy, "PUT", path, enforcement="disabled").status_code == 200
    assert ask(busy, "DELETE", path).status_code == 204
    busy.settle()


@pytest.mark.usefixtures("told")
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
    assert seen >= {f"repository-ruleset-{action}" for action in ("created", "edited", "deleted")}
    assert seen >= {"label-edited", "repository-archived", "repository-unarchived"}
    assert seen >= {"pull-request-review-thread-resolved", "pull-request-review-thread-unresolved"}
