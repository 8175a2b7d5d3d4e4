from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from graphql import parse, validate

from mergeq.github import documents
from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter, deployments, merging, protecting
from mergeq.sandbox.records import Method, Restrictions
from tests.published import ALLOWED, KIT, Witness, judge_answer, judge_hook, judge_request, nameless, whole_schema
from tests.sandbox.conftest import BASE, GREEN
from tests.sandbox.test_apps import signed

REPO = "/repos/{owner}/{repo}"

pytestmark = pytest.mark.skipif(not KIT.exists(), reason="GitHub's API descriptions are not beside this checkout")


@pytest.fixture(scope="module")
def busy() -> Iterator[Sandbox]:
    """A world in which most things have happened once."""
    with Sandbox(clock=ManualClock()) as sandbox:
        world = sandbox.world
        world.webhooks.session.mount("http://queue.test", WsgiAdapter(accept))
        world.add_hook("http://queue.test/hook", "x")
        world.create_repo("acme/rocket", files=GREEN, labels=["lgtm"])
        world.add_hook("http://queue.test/hook", "x", events=["label"], repo="acme/rocket")
        world.users.join_org("acme", "mergeq-bot", "admin")
        world.users.join_team("acme/owners", "ben")
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
        wish = deployments.Wish("main", "deploy", "qa", None, {}, transient=True, production=False)
        deployments.create(world, world.repo("acme/rocket"), wish, "ben", None)
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
        world.create_repo("acme/movable", files=GREEN, ci=None)
        world.rename_repo("acme/movable", "acme/moved")
        world.rename_repo("acme/moved", "zoe/moved")
        world.rename_branch("zoe/moved", "main", "trunk")
        world.delete_repo("zoe/moved")
        world.create_repo("acme/movable", files=GREEN, ci=None)
        world.rename_repo("acme/movable", "acme/renamed")
        install(sandbox)
        world.push("acme/rocket", "main", {"d.txt": "d\n"})
        sandbox.settle()
        yield sandbox


def install(sandbox: Sandbox) -> None:
    """Register an App, and do to its installation what its owners may do."""
    world = sandbox.world
    held = {"contents": "write", "members": "read", "checks": "write", "issues": "write"}
    app = world.register_app("queue", permissions=held, events=["push"], hook_url="http://queue.test/hook")
    installed = world.install_app(app, "acme", ["acme/rocket"])
    wishes: list[dict[str, Any]] = [
        {"repos": ["acme/renamed", "acme/rocket"]},
        {"repos": ["acme/rocket"]},
        {"suspended": True},
        {"suspended": False},
        {"permissions": installed.permissions},
    ]
    for wish in wishes:
        assert ask(sandbox, "POST", f"/_sim/installations/{installed.id}", wish, "").ok


def accept(_environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("202 Accepted", [])
    return [b""]


PULL, ISSUE, PROTECTION = f"{REPO}/pulls/{{pull}}", f"{REPO}/issues/{{issue}}", f"{REPO}/branches/{{branch}}/protection"
HOOK = f"{REPO}/hooks/{{hook}}"
NOTHING: dict[str, Any] = {}
TEXT = {"path": "lib/new.txt", "mode": "100644", "type": "blob", "content": "new\n"}
RULES: dict[str, Any] = {
    "required_status_checks": {"strict": True, "contexts": ["ci/test"]},
    "enforce_admins": False,
    "required_pull_request_reviews": {"required_approving_review_count": 1},
    "restrictions": {"users": ["ben"], "teams": ["owners"], "apps": ["sandbox-ci"]},
}
SECTIONS = (
    "enforce_admins",
    "required_status_checks",
    "required_status_checks/contexts",
    "restrictions",
    "required_pull_request_reviews",
    "required_signatures",
    "restrictions/users",
    "restrictions/teams",
    "restrictions/apps",
)
DISMISSERS: dict[str, Any] = {
    "dismissal_restrictions": {"users": ["ben"], "teams": ["owners"], "apps": ["sandbox-ci"]},
    "bypass_pull_request_allowances": {"users": ["ben"], "teams": ["owners"], "apps": ["sandbox-ci"]},
}
PUSHED: list[dict[str, Any]] = [
    {"type": "file_path_restriction", "parameters": {"restricted_file_paths": ["secret.txt"]}},
    {"type": "file_extension_restriction", "parameters": {"restricted_file_extensions": ["*.exe"]}},
    {"type": "max_file_path_length", "parameters": {"max_file_path_length": 255}},
    {"type": "max_file_size", "parameters": {"max_file_size": 10}},
]
TOOL = {"tool": "CodeQL", "alerts_threshold": "all", "security_alerts_threshold": "all"}
PROOFS: list[dict[str, Any]] = [
    {"type": "required_deployments", "parameters": {"required_deployment_environments": ["qa"]}},
    {"type": "code_scanning", "parameters": {"code_scanning_tools": [TOOL]}},
    {"type": "copilot_code_review"},
    {"type": "license_compliance_scanning"},
]
PINNED = {
    "type": "required_status_checks",
    "parameters": {
        "strict_required_status_checks_policy": False,
        "required_status_checks": [{"context": "ci", "integration_id": -1}],
    },
}
READS = [
    ("/user", 200),
    ("/rate_limit", 200),
    (REPO, 200),
    ("/repos/{owner}/nowhere", 404),
    (f"{REPO}/pulls?state=all", 200),
    (f"{REPO}/pulls/1", 200),
    (PULL, 200),
    (f"{REPO}/pulls/1/merge", 204),
    (f"{PULL}/merge", 404),
    (f"{PULL}/files", 200),
    (f"{PULL}/commits", 200),
    (f"{REPO}/pulls/1/reviews", 200),
    (f"{REPO}/branches", 200),
    (f"{REPO}/branches/{{branch}}", 200),
    (f"{REPO}/branches/nope", 404),
    (PROTECTION, 200),
    *((f"{PROTECTION}/{section}", 200) for section in SECTIONS),
    (f"{REPO}/rulesets", 200),
    (f"{REPO}/rulesets/{{ruleset}}", 200),
    (f"{REPO}/rules/branches/main", 200),
    (f"{REPO}/rulesets/rule-suites", 200),
    (f"{REPO}/rulesets/{{ruleset}}/history", 200),
    ("/orgs/{owner}/rulesets", 200),
    ("/orgs/{owner}/audit-log", 200),
    ("/orgs/{owner}/installations", 200),
    (f"{REPO}/teams", 200),
    ("/user/1000", 200),
    (f"{REPO}/git/ref/heads/main", 200),
    (f"{REPO}/git/ref/heads/nope", 404),
    (f"{REPO}/git/matching-refs/heads/", 200),
    (f"{REPO}/commits/main", 200),
    (f"{REPO}/commits/nope", 422),
    (f"{REPO}/git/commits/{{tip}}", 200),
    (f"{REPO}/git/trees/main", 200),
    (f"{REPO}/commits/main/status", 200),
    (f"{REPO}/commits/main/statuses", 200),
    (f"{REPO}/commits/{{tip}}/check-runs", 200),
    (f"{REPO}/commits/refs/pull/1/head/check-runs", 200),
    (f"{REPO}/issues/1/labels", 200),
    (f"{REPO}/issues/1/comments", 200),
    (ISSUE, 200),
    (f"{REPO}/compare/main...refs/pull/2/head", 200),
    (f"{REPO}/hooks", 200),
    (f"{HOOK}", 200),
    (f"{HOOK}/deliveries", 200),
    (f"{HOOK}/deliveries/{{delivery}}", 200),
    (f"{REPO}/contents/ci.sh", 200),
    (f"{REPO}/contents/", 200),
    (f"{REPO}/contents/nope.txt", 404),
    (f"{REPO}/readme", 200),
    (f"{REPO}/commits", 200),
    (f"{REPO}/commits/{{head}}/pulls", 200),
    (f"{REPO}/commits/{{tip}}/branches-where-head", 200),
    (f"{REPO}/commits/refs/pull/1/head/check-suites", 200),
    (f"{REPO}/check-suites/{{suite}}", 200),
    (f"{REPO}/check-suites/{{suite}}/check-runs", 200),
    (f"{REPO}/check-runs/{{run}}", 200),
    (f"{REPO}/actions/runs?exclude_pull_requests=true", 200),
    (f"{REPO}/issues?state=all", 200),
    (f"{REPO}/issues/comments/{{comment}}", 200),
    (f"{REPO}/labels", 200),
    (f"{REPO}/labels/lgtm", 200),
    (f"{REPO}/labels/nope", 404),
    (f"{REPO}/pulls/1/reviews/{{review}}", 200),
    (f"{PULL}/requested_reviewers", 200),
    (f"{REPO}/collaborators", 200),
    (f"{REPO}/collaborators/ben", 204),
    (f"{REPO}/collaborators/ben/permission", 200),
    (f"{REPO}/collaborators/stranger/permission", 404),
    ("/search/issues?q=repo:acme/rocket", 200),
    ("/search/issues", 422),
    ("/users/ben", 200),
    ("/users/stranger", 404),
    ("/orgs/{owner}", 200),
    ("/orgs/nowhere", 404),
    ("/orgs/{owner}/repos", 200),
    ("/orgs/{owner}/members", 200),
    ("/orgs/nowhere/members", 404),
    ("/orgs/{owner}/members/ben", 204),
    ("/orgs/{owner}/teams", 200),
    ("/orgs/{owner}/teams/owners", 200),
    ("/orgs/{owner}/teams/owners/members", 200),
    ("/orgs/{owner}/teams/owners/memberships/ben", 200),
    ("/orgs/{owner}/memberships/ben", 200),
    ("/orgs/{owner}/public_members", 200),
    ("/user/orgs", 200),
    ("/user/memberships/orgs", 200),
    ("/user/memberships/orgs/{owner}", 200),
    ("/apps/queue", 200),
    ("/repositories/1", 404),
]
WRITES: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", f"{REPO}/git/commits", {"message": "M", "tree": "{tree}", "parents": ["{tip}"]}, 201),
    ("POST", f"{REPO}/git/commits", {"message": "M", "tree": "1" * 40}, 422),
    ("POST", f"{REPO}/git/refs", {"ref": "refs/heads/one", "sha": "{tip}"}, 201),
    ("POST", f"{REPO}/git/refs", {"ref": "refs/heads/one", "sha": "{tip}"}, 422),
    ("PATCH", f"{REPO}/git/refs/heads/one", {"sha": "{tip}", "force": True}, 200),
    ("DELETE", f"{REPO}/git/refs/heads/one", NOTHING, 204),
    ("DELETE", f"{REPO}/git/refs/heads/one", NOTHING, 422),
    ("PUT", f"{PULL}/update-branch", NOTHING, 202),
    ("PUT", PROTECTION, RULES, 200),
    ("POST", f"{PROTECTION}/required_signatures", NOTHING, 200),
    ("DELETE", f"{PROTECTION}/required_signatures", NOTHING, 204),
    ("POST", f"{PROTECTION}/enforce_admins", NOTHING, 200),
    ("PATCH", f"{PROTECTION}/required_pull_request_reviews", DISMISSERS, 200),
    ("PATCH", f"{PROTECTION}/required_status_checks", {"strict": False}, 200),
    ("POST", f"{PROTECTION}/required_status_checks/contexts", {"contexts": ["lint"]}, 200),
    ("PUT", f"{PROTECTION}/restrictions/users", {"users": ["ben"]}, 200),
    ("POST", f"{REPO}/rulesets", {"name": "new", "enforcement": "active", "rules": [{"type": "deletion"}]}, 201),
    ("POST", f"{REPO}/rulesets", {"name": "odd", "enforcement": "active", "rules": [PINNED]}, 422),
    ("PUT", f"{REPO}/rulesets/{{ruleset}}", {"enforcement": "disabled"}, 200),
    ("DELETE", f"{REPO}/rulesets/{{ruleset}}", NOTHING, 204),
    ("POST", f"{REPO}/merges", {"base": "scratch", "head": "{head}"}, 201),
    ("POST", f"{REPO}/merges", {"base": "nope", "head": "{head}"}, 404),
    ("POST", f"{REPO}/statuses/{{tip}}", {"state": "success", "context": "x"}, 201),
    ("POST", f"{REPO}/statuses/{{tip}}", {"state": "success", "description": "x" * 141}, 422),
    ("POST", f"{REPO}/check-runs", {"name": "lint", "head_sha": "{tip}"}, 403),
    ("PUT", f"{REPO}/contents/new.txt", {"message": "Add", "content": "eA==", "branch": "scratch"}, 201),
    ("PUT", f"{REPO}/contents/new.txt", {"message": "Add", "content": "eA=="}, 409),
    ("DELETE", f"{REPO}/contents/new.txt", {"message": "Drop"}, 422),
    ("POST", f"{REPO}/deployments", {"ref": "{tip}", "environment": "qa", "required_contexts": []}, 201),
    ("POST", f"{REPO}/deployments/{{deployment}}/statuses", {"state": "success"}, 201),
    ("GET", f"{REPO}/deployments", NOTHING, 200),
    ("POST", f"{PULL}/requested_reviewers", {"reviewers": ["ben"], "team_reviewers": ["owners"]}, 201),
    ("POST", f"{PULL}/requested_reviewers", {"reviewers": ["stranger"]}, 422),
    ("GET", f"{PULL}/requested_reviewers", NOTHING, 200),
    ("DELETE", f"{PULL}/requested_reviewers", {"reviewers": ["ben"], "team_reviewers": ["owners"]}, 200),
    ("POST", f"{ISSUE}/assignees", {"assignees": ["ben"]}, 201),
    ("DELETE", f"{ISSUE}/assignees", {"assignees": ["ben"]}, 200),
    ("PATCH", ISSUE, {"assignees": ["ben"]}, 200),
    ("POST", f"{REPO}/issues/1/assignees", {"assignees": ["ben"]}, 201),
    ("PATCH", f"{REPO}/issues/1", {"assignees": []}, 200),
    ("POST", f"{REPO}/rulesets", {"name": "pushes", "target": "push", "enforcement": "active", "rules": PUSHED}, 201),
    ("POST", f"{REPO}/rulesets", {"name": "more", "enforcement": "disabled", "rules": PROOFS}, 201),
    ("POST", f"{ISSUE}/labels", {"labels": ["size/M"]}, 200),
    ("DELETE", f"{ISSUE}/labels/size%2FM", NOTHING, 200),
    ("POST", f"{ISSUE}/labels", {"labels": ["odd"]}, 200),
    ("DELETE", f"{ISSUE}/labels/odd", NOTHING, 204),
    ("POST", f"{ISSUE}/comments", {"body": "hi"}, 201),
    ("PUT", f"{PULL}/merge", {"sha": "1" * 40}, 409),
    ("PUT", f"{REPO}/pulls/1/merge", NOTHING, 405),
    ("PATCH", PULL, {"title": "Once more"}, 200),
    ("PUT", f"{REPO}/pulls/1/reviews/{{review}}/dismissals", {"message": "old"}, 200),
    ("POST", f"{REPO}/git/blobs", {"content": "x"}, 201),
    ("POST", f"{REPO}/git/blobs", {"content": "%", "encoding": "base64"}, 422),
    ("GET", f"{REPO}/actions/permissions/workflow", NOTHING, 200),
    ("GET", "/meta", NOTHING, 200),
    ("GET", f"{REPO}/git/blobs/{{blob}}", NOTHING, 200),
    ("GET", f"{REPO}/git/blobs/{'1' * 40}", NOTHING, 404),
    ("POST", f"{REPO}/git/trees", {"base_tree": "{tree}", "tree": [TEXT]}, 201),
    ("POST", f"{REPO}/git/trees", {"tree": [{**TEXT, "mode": "7"}]}, 422),
    ("PATCH", REPO, {"allow_auto_merge": True, "description": "Flies"}, 200),
    ("PATCH", REPO, {"squash_merge_commit_title": "SHOUTED"}, 422),
    ("POST", f"{REPO}/dispatches", {"event_type": "mergeq"}, 204),
    ("POST", f"{REPO}/dispatches", NOTHING, 422),
    ("POST", f"{REPO}/actions/runs/1/cancel", NOTHING, 409),
    ("POST", f"{REPO}/labels", {"name": "kind/bug", "color": "ff0000"}, 201),
    ("POST", f"{REPO}/labels", {"name": "KIND/bug"}, 422),
    ("PATCH", f"{REPO}/labels/kind/bug", {"description": "it breaks"}, 200),
    ("DELETE", f"{REPO}/labels/kind/bug", NOTHING, 204),
    ("PUT", f"{ISSUE}/labels", {"labels": ["blocker"]}, 200),
    ("DELETE", f"{ISSUE}/labels", NOTHING, 204),
    ("PUT", f"{ISSUE}/lock", {"lock_reason": "spam"}, 204),
    ("DELETE", f"{ISSUE}/lock", NOTHING, 204),
    ("PATCH", f"{REPO}/issues/comments/{{comment}}", {"body": "bye"}, 200),
    ("DELETE", f"{REPO}/issues/comments/{{comment}}", NOTHING, 204),
    ("POST", f"{REPO}/hooks", {"name": "web", "config": {"url": "http://queue.test/two"}}, 201),
    ("POST", f"{HOOK}/pings", NOTHING, 204),
    ("POST", f"{HOOK}/deliveries/{{delivery}}/attempts", NOTHING, 202),
    ("DELETE", HOOK, NOTHING, 204),
    ("GET", "/repos/{owner}/movable", NOTHING, 301),
    ("GET", "/repos/{owner}/movable/rulesets", NOTHING, 301),
    ("PATCH", "/repos/{owner}/movable", {"description": "Here"}, 307),
    ("POST", "/repos/{owner}/renamed/branches/main/rename", {"new_name": "trunk"}, 201),
    ("POST", "/repos/{owner}/renamed/transfer", {"new_owner": "zoe"}, 202),
    ("DELETE", "/repos/zoe/renamed", NOTHING, 204),
]
INSTALLATION = "/app/installations/{installation}"
OF_APPS: list[tuple[str, str, dict[str, Any], str, int]] = [
    ("GET", "/app", NOTHING, "Bearer {jwt}", 200),
    ("GET", "/app", NOTHING, "Bearer wrong", 401),
    ("GET", "/app/installations", NOTHING, "Bearer {jwt}", 200),
    ("GET", INSTALLATION, NOTHING, "Bearer {jwt}", 200),
    ("GET", f"{REPO}/installation", NOTHING, "Bearer {jwt}", 200),
    ("GET", "/orgs/{owner}/installation", NOTHING, "Bearer {jwt}", 200),
    ("GET", "/app/hook/config", NOTHING, "Bearer {jwt}", 200),
    ("PATCH", "/app/hook/config", {"url": "http://queue.test/hook"}, "Bearer {jwt}", 200),
    ("GET", "/app/hook/deliveries", NOTHING, "Bearer {jwt}", 200),
    ("GET", "/app/hook/deliveries/{told}", NOTHING, "Bearer {jwt}", 200),
    ("POST", "/app/hook/deliveries/{told}/attempts", NOTHING, "Bearer {jwt}", 202),
    ("POST", f"{INSTALLATION}/access_tokens", {"repositories": ["rocket"]}, "Bearer {jwt}", 201),
    ("GET", "/installation/repositories", NOTHING, "token {app}", 200),
    ("POST", f"{REPO}/check-runs", {"name": "lint", "head_sha": "{tip}"}, "token {app}", 201),
    ("POST", f"{REPO}/issues", {"title": "By an App"}, "token {app}", 201),
    ("POST", f"{ISSUE}/comments", {"body": "by an App"}, "token {app}", 201),
    ("GET", "/orgs/{owner}/members", NOTHING, "token {app}", 200),
    ("GET", "/orgs/{owner}/members/ben", NOTHING, "token {reader}", 302),
    ("GET", REPO, NOTHING, "token {reader}", 429),
]
EVENTS = {
    "push",
    "create",
    "delete",
    "status",
    "check_run",
    "pull_request",
    "pull_request_review",
    "issues",
    "label",
} | {
    "check_suite",
    "issue_comment",
    "ping",
    "repository_dispatch",
    "repository_ruleset",
    "branch_protection_configuration",
    *(f"branch_protection_rule.{action}" for action in ("created", "edited", "deleted")),
    "pull_request_review_thread",
    "deployment",
    "deployment_status",
    *(f"pull_request.{action}" for action in ("assigned", "unassigned")),
    *(f"pull_request.{action}" for action in ("review_requested", "review_request_removed")),
    *(f"issues.{action}" for action in ("assigned", "unassigned")),
    *(f"repository.{action}" for action in ("archived", "unarchived", "edited", "renamed", "transferred", "deleted")),
    *(f"installation.{action}" for action in ("created", "suspend", "unsuspend", "new_permissions_accepted")),
    *(f"installation_repositories.{action}" for action in ("added", "removed")),
}
ANYBODY = [
    ("POST", f"{ISSUE}/comments", "token wrong", 401),
    ("POST", f"{REPO}/statuses/{{tip}}", "token {reader}", 403),
]


def test_every_answer_is_as_github_describes_it_and_every_exception_is_needed(busy: Sandbox) -> None:
    """A tour of all routes: what it does not need of the list of exceptions has no place there."""
    world, judge = busy.world, Witness()
    git = world.repo("acme/rocket").git
    tip, owner = str(git.tip("main")), f"token {busy.token}"
    world.create_ref("acme/rocket", "refs/heads/scratch", tip)
    world.users.set_role("visitor", "read")
    repo, own = world.repo("acme/rocket"), world.pull("acme/rocket", 1)
    (hook,) = world.webhooks.of_repo("acme/rocket")
    suite = repo.suites[own.head_sha][0]
    app = world.registry.by_slug("queue")
    assert app is not None
    (installed,) = world.registry.installations(app.app.id)
    of_app = world.webhooks.of_app(app.app.id)
    assert of_app is not None
    ids = {
        "hook": hook.id,
        "ruleset": next(iter(repo.rulesets)),
        "delivery": next(one.id for one in world.deliveries if one.hook_id == hook.id),
        "suite": suite.id,
        "run": suite.runs[0].id,
        "comment": own.comments[0].id,
        "deployment": repo.deployments[0].id,
        "review": own.reviews[0].id,
        "blob": git.keep_blob(b"x"),
        "installation": installed.id,
        "told": next(one.id for one in world.deliveries if one.hook_id == of_app.id and one.event == "push"),
    }
    names = {
        **{name: str(number) for name, number in ids.items()},
        "owner": "acme",
        "repo": "rocket",
        "branch": "main",
        "pull": "2",
        "issue": "3",
        "tip": tip,
        "tree": git.commit(tip).tree,
        "head": world.pull("acme/rocket", 2).head_sha,
        "reader": world.users.issue_token("visitor"),
        "jwt": signed(app, world.now()),
        "app": world.registry.issue(installed, now=world.now())[0],
    }
    tour: list[tuple[str, str, dict[str, Any], str, int]] = [
        ("GET", path, NOTHING, owner, code) for path, code in READS
    ]
    tour += [(method, path, sent, owner, code) for method, path, sent, code in WRITES]
    tour += [(method, path, NOTHING, who, code) for method, path, who, code in ANYBODY]
    tour += OF_APPS

    world.delete_repo(world.open_pull("acme/rocket", title="Gone", files={"gone.txt": "x\n"}, fork="eve").head_repo)
    world.faults.add("schema.future")
    world.enterprise, world.audited = "3.14.0", True

    met = []
    for method, path, sent, who, code in tour:
        if code == 429:
            world.faults.add("limit.primary", args={"code": 429})
        if (path, code) == (f"{ISSUE}/labels/odd", 204):
            world.faults.add("labels.remove")
        body = json.loads(filled(json.dumps(sent), names))
        before = busy.hits
        answer = ask(busy, method, filled(path, names), body, filled(who, names))
        ((hit, _),) = busy.hits.items() - before.items()
        met.append((method, path, answer.status_code))
        route, content = nameless(hit.partition(" ")[2]), answer.json() if answer.content else None
        judge.note(f"{method} {route} {answer.status_code}", judge_answer(method, route, answer.status_code, content))
    world.set_draft(own, draft=False)
    other = world.open_pull("acme/rocket", title="Auto", files={"auto.txt": "a\n"})
    merging.enable_auto_merge(world, other, Method.SQUASH, by="ben")
    merging.disable_auto_merge(world, other, by="ben")
    world.protect(repo, "release-*", ["ci/test"], by="ben")
    world.unprotect(repo, "release-*", by="ben")
    protecting.disable_all(world, repo, by="ben")
    busy.settle()
    for delivery in world.deliveries:
        judge.note(
            f"webhook {delivery.event} {delivery.action or ''}".strip(), judge_hook(delivery.event, delivery.payload)
        )

    met_events = {delivery.event for delivery in world.deliveries}
    assert met_events | {f"{one.event}.{one.action}" for one in world.deliveries} >= EVENTS
    assert met == [(method, path, code) for method, path, _, _, code in tour]
    assert "\n".join(judge.deviations) == ""
    assert [one.says for one in ALLOWED if one not in judge.used] == []


def filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def ask(sandbox: Sandbox, method: str, path: str, sent: dict[str, Any], who: str) -> requests.Response:
    with requests.Session() as session:
        session.mount(BASE, WsgiAdapter(sandbox.app))
        return session.request(
            method, BASE + path, json=sent or None, headers={"Authorization": who}, allow_redirects=False
        )


def test_an_answer_github_would_not_give_is_noticed() -> None:
    good = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}

    assert judge_answer("GET", "/repos/{}/{}", 404, good) == []
    assert judge_answer("GET", "/repos/{}/{}", 404, {**good, "message": 7}) != []
    assert judge_answer("GET", "/repos/{}/{}", 404, {**good, "hint": "x"}) == ["$.hint: GitHub knows no such key"]
    assert judge_answer("GET", "/repos/{}/{}", 418, good) == ["the description has no status 418"]
    assert judge_answer("GET", "/repos/{}/{}/nowhere", 200, {}) == ["the description has no such route"]
    assert judge_hook("label", {"action": "sung"}) == ["no webhook label-sung is described"]


def test_a_request_github_does_not_know_is_noticed() -> None:
    merge = "/repos/{}/{}/pulls/{}/merge"

    assert judge_request("PUT", merge, {}, {"sha": "1" * 40, "merge_method": "squash"}) == []
    assert "sqash" in judge_request("PUT", merge, {}, {"merge_method": "sqash"})[0]
    assert judge_request("PUT", merge, {}, {"base": "x"}) == ["$.base: GitHub knows no such key"]
    assert judge_request("GET", "/repos/{}/{}/pulls", {"stat": "open"}, None) == ["?stat: no such parameter"]


def test_what_mergeq_asks_is_judged_whatever_the_answer(busy: Sandbox, witness: Witness) -> None:
    with requests.Session() as session:
        session.mount(BASE, WsgiAdapter(busy.app))
        asks = {"Authorization": f"token {busy.token}", "User-Agent": "mergeq"}
        session.put(f"{BASE}/repos/acme/rocket/pulls/2/merge", json={"squash": True}, headers=asks)

    said, witness.deviations = witness.deviations, []
    assert said == ["mergeq's PUT /repos/{}/{}/pulls/{}/merge: $.squash: GitHub knows no such key"]


SENT = {
    name: text
    for name, text in vars(documents).items()
    if name.isupper() and not name.startswith("_") and isinstance(text, str)
}


@pytest.mark.parametrize(
    "document", [*SENT.values(), documents.staged(2), documents.states_of(2)], ids=[*SENT, "staged", "states"]
)
def test_what_mergeq_sends_is_valid_on_the_whole_schema(document: str) -> None:
    assert validate(whole_schema(), parse(document)) == []


def test_an_answer_the_published_schema_would_not_give_is_noticed(
    busy: Sandbox, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = whole_schema().type_map["Repository"].fields["name"]  # type: ignore[attr-defined]
    monkeypatch.setattr(name, "resolve", lambda *_: "another")

    query = 'query Odd { repository(owner: "acme", name: "rocket") { name } }'
    ask(busy, "POST", "/graphql", {"query": query}, f"token {busy.token}")

    said, witness.deviations = witness.deviations, []
    assert said == ["GraphQL Odd: the published schema answers otherwise"]
