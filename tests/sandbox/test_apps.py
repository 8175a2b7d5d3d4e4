from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from github import Auth, Github

from mergeq.sandbox import Sandbox, WsgiAdapter
from mergeq.sandbox.apps import Installation, Registration
from mergeq.sandbox.permissions import needs_of
from mergeq.sandbox.records import RequiredCheck
from mergeq.sandbox.rest import rest as rest_blueprint
from tests.sandbox.conftest import BASE, FILES
from tests.sandbox.test_faults import switch_on
from tests.sandbox.test_webhooks import HOOK, Receiver

QUEUE = {"contents": "write", "pull_requests": "write", "statuses": "write", "checks": "write"}
EXPIRED = (
    "'Expiration time' claim ('exp') must be a numeric value "
    "representing the future time at which the assertion expires"
)
TOO_FAR = "'Expiration time' claim ('exp') is too far in the future"
NOT_DECODED = "A JSON web token could not be decoded"
NOT_ACCESSIBLE = "Resource not accessible by integration"

Ask = Callable[..., requests.Response]


@pytest.fixture
def app(sandbox: Sandbox) -> Registration:
    return sandbox.world.register_app("queue", permissions=QUEUE, events=["push", "status"], hook_url=HOOK)


@pytest.fixture
def installation(sandbox: Sandbox, app: Registration) -> Installation:
    return sandbox.world.install_app(app, "acme")


@pytest.fixture
def ask(session: requests.Session) -> Ask:
    """``ask(token, "GET", "/repos/acme/rocket")`` as whoever the token stands for."""

    def ask(token: str, method: str, path: str, **json: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return session.request(method, BASE + path, json=json or None, headers=headers)

    return ask


def signed(app: Registration, now: float, **claims: Any) -> str:
    """A JSON web token as clients make it: from a minute ago, for nine minutes; None leaves a claim out."""
    whole = {"iss": app.client_id, "iat": int(now) - 60, "exp": int(now) + 540, **claims}
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, app.pem, algorithm="RS256")


def token_of(sandbox: Sandbox, installation: Installation, ask: Ask, **narrower: Any) -> str:
    bearer = signed(installation.registration, sandbox.clock.now())
    answer = ask(bearer, "POST", f"/app/installations/{installation.id}/access_tokens", **narrower)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def test_an_app_knows_itself_by_its_client_id_or_its_number(
    sandbox: Sandbox, app: Registration, installation: Installation, ask: Ask
) -> None:
    now = sandbox.clock.now()

    shown = [ask(signed(app, now, iss=iss), "GET", "/app").json() for iss in (app.client_id, str(app.app.id))]

    assert [(one["slug"], one["id"], one["client_id"]) for one in shown] == [("queue", app.app.id, app.client_id)] * 2
    assert shown[0]["permissions"] == {"metadata": "read", **QUEUE}
    assert (shown[0]["installations_count"], installation.account) == (1, "acme")


@pytest.mark.parametrize(
    ("claims", "status", "message"),
    [
        ({"exp": 601}, 401, TOO_FAR),
        (
            {"exp": -1},
            401,
            EXPIRED,
        ),
        (
            {"iat": 30},
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ),
        ({"iss": None}, 401, "Missing 'issuer' claim ('iss') in assertion"),
        ({"iss": "1"}, 404, "Integration not found"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_web_token_with_a_wrong_claim_is_refused_in_githubs_words(
    sandbox: Sandbox, app: Registration, ask: Ask, claims: dict[str, Any], status: int, message: str
) -> None:
    now = sandbox.clock.now()
    moved = {k: int(now) + v if k in ("iat", "exp") else v for k, v in claims.items()}

    assert said(ask(signed(app, now, **moved), "GET", "/app")) == (status, message)


def test_ten_minutes_are_not_too_long_for_a_clock_that_agrees(sandbox: Sandbox, app: Registration, ask: Ask) -> None:
    now = sandbox.clock.now()

    assert ask(signed(app, now, exp=int(now) + 600), "GET", "/app").status_code == 200


def test_only_the_apps_own_key_signs_for_it(sandbox: Sandbox, app: Registration, ask: Ask) -> None:
    now = sandbox.clock.now()
    claims = {"iss": app.client_id, "iat": int(now) - 60, "exp": int(now) + 540}
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    public = serialization.load_pem_private_key(app.pem.encode(), None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    shared = public.public_bytes(serialization.Encoding.DER, form).hex()

    tokens = (
        jwt.encode(claims, stranger, algorithm="RS256"),
        jwt.encode(claims, shared, algorithm="HS256"),
        jwt.encode(claims, app.pem, algorithm="RS512"),
        "not.a.token",
        sandbox.token,
    )

    assert [said(ask(token, "GET", "/app")) for token in tokens] == [(401, NOT_DECODED)] * 5


def test_a_clock_that_is_ahead_of_githubs_makes_web_tokens_invalid(
    sandbox: Sandbox, app: Registration, session: requests.Session, ask: Ask
) -> None:
    now = sandbox.clock.now()
    switch_on(session, "clock.skew", times=None, args={"seconds": -120})

    ahead = ask(signed(app, now), "GET", "/app")
    resynced = ask(signed(app, now - 120), "GET", "/app")

    assert said(ahead) == (401, TOO_FAR)
    assert resynced.status_code == 200
    assert ahead.headers["Date"] == "Mon, 05 Jan 2026 08:58:00 GMT"
    assert session.get(f"{BASE}/_sim/faults").json()[0]["hits"] == 2


def test_installations_are_found_by_account_and_by_repository(
    sandbox: Sandbox, app: Registration, installation: Installation, ask: Ask
) -> None:
    sandbox.world.create_repo("other/thing", files=FILES, ci=None)
    bearer = signed(app, sandbox.clock.now())

    def found(path: str) -> int:
        answer = ask(bearer, "GET", path)
        return int(answer.json()["id"]) if answer.ok else answer.status_code

    assert [one["id"] for one in ask(bearer, "GET", "/app/installations").json()] == [installation.id]
    assert found(f"/app/installations/{installation.id}") == installation.id
    assert found("/repos/acme/rocket/installation") == installation.id
    assert found("/orgs/acme/installation") == installation.id
    assert [found(path) for path in ("/repos/other/thing/installation", "/orgs/other/installation")] == [404, 404]


def test_an_installation_token_is_long_and_lives_an_hour_of_the_sandboxs_clock(
    sandbox: Sandbox, app: Registration, installation: Installation, ask: Ask
) -> None:
    bearer = signed(app, sandbox.clock.now())
    issued = ask(bearer, "POST", f"/app/installations/{installation.id}/access_tokens").json()
    token = issued["token"]

    seen = [ask(token, "GET", "/repos/acme/rocket").status_code]
    sandbox.clock.advance(3599)
    seen.append(ask(token, "GET", "/repos/acme/rocket").status_code)
    sandbox.clock.advance(1)

    assert re.fullmatch(rf"ghs_{app.app.id}_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", token)
    assert 500 <= len(token) <= 540
    assert (issued["expires_at"], issued["repository_selection"]) == ("2026-01-05T10:00:00Z", "all")
    assert issued["permissions"] == {"metadata": "read", **QUEUE}
    assert seen == [200, 200]
    assert said(ask(token, "GET", "/repos/acme/rocket")) == (401, "Bad credentials")


def test_a_token_may_be_narrowed_to_repositories_and_permissions(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    world = sandbox.world
    secret = world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    tip = world.repo("acme/rocket").git.tip("main")
    whole = token_of(sandbox, installation, ask)
    narrow = token_of(sandbox, installation, ask, repositories=["rocket"], permissions={"statuses": "write"})
    path = f"/app/installations/{installation.id}/access_tokens"
    bearer = signed(installation.registration, sandbox.clock.now())

    def names(token: str) -> list[str]:
        listed = ask(token, "GET", "/installation/repositories").json()
        return [repo["name"] for repo in listed["repositories"]]

    assert (names(whole), names(narrow)) == (["rocket", "secret"], ["rocket"])
    assert [ask(token, "GET", "/repos/acme/secret").status_code for token in (whole, narrow)] == [200, 404]
    assert ask(narrow, "POST", f"/repos/acme/rocket/statuses/{tip}", state="success").status_code == 201
    assert said(ask(narrow, "POST", "/repos/acme/rocket/git/refs", ref="refs/heads/x", sha=tip))[0] == 403
    assert ask(bearer, "POST", path, repository_ids=[secret.id]).json()["repositories"][0]["name"] == "secret"
    assert ask(bearer, "POST", path, repositories=["nope"]).status_code == 422
    assert ask(bearer, "POST", path, permissions={"administration": "write"}).status_code == 422


def test_what_a_token_was_not_given_is_refused_with_what_it_would_have_taken(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    token = token_of(sandbox, installation, ask, permissions={"pull_requests": "write"})

    merge = ask(token, "PUT", f"/repos/acme/rocket/pulls/{pull.number}/merge")
    label = ask(token, "POST", "/repos/acme/rocket/issues/1/labels", labels=["lgtm"])
    protection = ask(token, "GET", "/repos/acme/rocket/branches/main/protection")
    me = ask(token, "GET", "/user")

    assert said(merge) == (403, NOT_ACCESSIBLE)
    assert merge.headers["X-Accepted-GitHub-Permissions"] == "contents=write"
    assert (label.status_code, label.headers["X-Accepted-GitHub-Permissions"]) == (
        200,
        "issues=write; pull_requests=write",
    )
    assert said(protection) == (403, NOT_ACCESSIBLE)
    assert protection.headers["X-Accepted-GitHub-Permissions"] == "administration=read"
    assert said(me) == (403, NOT_ACCESSIBLE)
    assert pull.is_open


def test_everybody_may_read_what_is_public_and_an_app_no_more_of_what_is_not(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    world = sandbox.world
    world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    world.create_repo("other/public", files=FILES, ci=None)
    world.create_repo("other/hidden", files=FILES, ci=None, private=True)
    token = token_of(sandbox, installation, ask, permissions={"contents": "write"})
    tip = world.repo("other/public").git.tip("main")

    def status(path: str) -> int:
        return ask(token, "GET", f"/repos{path}").status_code

    assert status("/acme/rocket/commits/main/status") == 200
    assert status("/acme/secret/branches/main") == 200
    assert status("/acme/secret/commits/main/status") == 403
    assert [status("/other/public"), status("/other/hidden")] == [200, 404]
    assert said(ask(token, "POST", "/repos/other/public/git/refs", ref="refs/heads/x", sha=tip)) == (
        403,
        NOT_ACCESSIBLE,
    )


def test_graphql_holds_an_app_to_the_same_permissions(sandbox: Sandbox, installation: Installation, ask: Ask) -> None:
    world = sandbox.world
    world.create_repo("other/hidden", files=FILES, ci=None, private=True)
    repo = world.repo("acme/rocket")
    token = token_of(sandbox, installation, ask, permissions={"pull_requests": "write"})
    able = token_of(sandbox, installation, ask)
    update = """mutation($oid: GitObjectID!, $repo: ID!) { createRef(input: {repositoryId: $repo,
      name: "refs/heads/x", oid: $oid}) { ref { name } } }"""
    wanted = {"repo": ask(token, "GET", "/repos/acme/rocket").json()["node_id"], "oid": repo.git.tip("main")}

    hidden = ask(token, "POST", "/graphql", query='{repository(owner: "other", name: "hidden") { id }}').json()
    refused = ask(token, "POST", "/graphql", query=update, variables=wanted).json()["errors"][0]
    made = ask(able, "POST", "/graphql", query=update, variables=wanted).json()
    viewer = ask(able, "POST", "/graphql", query="{viewer{login}}").json()

    assert hidden["errors"][0]["type"] == "NOT_FOUND"
    assert (refused["type"], refused["message"]) == ("FORBIDDEN", NOT_ACCESSIBLE)
    assert made == {"data": {"createRef": {"ref": {"name": "x"}}}}
    assert viewer["data"]["viewer"]["login"] == "queue[bot]"


def test_graphql_withholds_single_fields(sandbox: Sandbox, installation: Installation, ask: Ask) -> None:
    world = sandbox.world
    world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    pull = world.open_pull("acme/secret", title="Add", files={"a.txt": "a\n"})
    world.set_status("acme/secret", pull.head_sha)
    world.protect("acme/secret", "main", ["ci"])
    token = token_of(sandbox, installation, ask, permissions={"contents": "write", "pull_requests": "read"})
    refused = {}
    for field in (
        "branchProtectionRules(first: 1) { totalCount }",
        'ref(qualifiedName: "refs/heads/main") { branchProtectionRule { pattern } }',
        "pullRequest(number: 1) { number statusCheckRollup { state } }",
        f'object(oid: "{pull.head_sha}") {{ ... on Commit {{ statusCheckRollup {{ state }} }} }}',
        f'object(oid: "{pull.head_sha}") {{ ... on Commit {{ status {{ state }} }} }}',
        f'object(oid: "{pull.head_sha}") {{ ... on Commit {{ checkSuites(first: 1) {{ totalCount }} }} }}',
    ):
        query = f'{{repository(owner: "acme", name: "secret") {{ {field} }} }}'
        (error,) = ask(token, "POST", "/graphql", query=query).json()["errors"]
        refused[".".join(error["path"])] = (error["type"], error["message"])

    places = ["branchProtectionRules", "ref.branchProtectionRule", "pullRequest.statusCheckRollup"]
    places += [f"object.{field}" for field in ("statusCheckRollup", "status", "checkSuites")]
    assert refused == dict.fromkeys([f"repository.{place}" for place in places], ("FORBIDDEN", NOT_ACCESSIBLE))


def test_what_an_app_does_bears_its_name(sandbox: Sandbox, installation: Installation, ask: Ask) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    token = token_of(sandbox, installation, ask)
    base = "/repos/acme/rocket"
    tip = world.repo("acme/rocket").git.tip("main")

    status = ask(token, "POST", f"{base}/statuses/{tip}", state="success", context="tide").json()
    run = ask(token, "POST", f"{base}/check-runs", name="e2e", head_sha=tip).json()
    ask(token, "PUT", f"{base}/pulls/{pull.number}/merge")
    merged = ask(token, "GET", f"{base}/pulls/{pull.number}").json()
    commit = ask(token, "GET", f"{base}/commits/main").json()

    assert (status["creator"]["login"], status["creator"]["type"]) == ("queue[bot]", "Bot")
    assert status["creator"]["html_url"] == f"{BASE}/apps/queue"
    assert (run["app"]["slug"], run["app"]["id"]) == ("queue", installation.registration.app.id)
    assert merged["merged_by"]["login"] == "queue[bot]"
    assert commit["author"]["login"] == "queue[bot]"
    assert commit["commit"]["verification"]["verified"]


def test_a_context_pinned_to_an_app_takes_its_statuses_and_nobody_elses(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", [RequiredCheck("ci", installation.registration.app.id)])
    token = token_of(sandbox, installation, ask)
    statuses = f"/repos/acme/rocket/statuses/{pull.head_sha}"

    ask(sandbox.token, "POST", statuses, state="success", context="ci")
    foreign = ask(token, "PUT", "/repos/acme/rocket/pulls/1/merge")
    ask(token, "POST", statuses, state="success", context="ci")

    assert said(foreign) == (405, 'Required status check "ci" was not set by the expected GitHub app.')
    assert ask(token, "PUT", "/repos/acme/rocket/pulls/1/merge").status_code == 200


def test_check_runs_are_started_and_completed_over_rest(sandbox: Sandbox, installation: Installation, ask: Ask) -> None:
    token, runs = token_of(sandbox, installation, ask), "/repos/acme/rocket/check-runs"
    tip = sandbox.world.repo("acme/rocket").git.tip("main")
    started = ask(token, "POST", runs, name="e2e", head_sha=tip, status="in_progress").json()

    output = {"title": "T", "summary": "S"}
    done = ask(token, "PATCH", f"{runs}/{started['id']}", conclusion="timed_out", output=output).json()
    unsaid = ask(token, "POST", runs, name="e2e", head_sha=tip, status="completed")

    assert (started["status"], done["status"], done["conclusion"]) == ("in_progress", "completed", "timed_out")
    assert unsaid.status_code == 422


def test_what_an_app_wrote_or_somebody_by_it_says_so(sandbox: Sandbox, app: Registration, ask: Ask) -> None:
    world, now = sandbox.world, sandbox.clock.now()
    app.permissions["issues"] = "write"
    installed = world.install_app(app, "acme")
    bot, _ = world.registry.issue(installed, now=now)
    ana = str(world.registry.sign_in(app, "ana", (), now)["access_token"])
    issues, graph = (
        "/repos/acme/rocket/issues",
        "mutation($i: CreateIssueInput!) {createIssue(input: $i) {issue {number}}}",
    )
    repo = ask(bot, "GET", "/repos/acme/rocket").json()["node_id"]

    made = [ask(token, "POST", issues, title="Freeze").json() for token in (bot, ana, sandbox.token)]
    said_ = [ask(token, "POST", f"{issues}/1/comments", body="hm").json() for token in (bot, ana, sandbox.token)]
    ask(bot, "POST", "/graphql", query=graph, variables={"i": {"repositoryId": repo, "title": "Thaw"}})
    by_graph = ask(bot, "GET", f"{issues}/4").json()

    for shown in (made, said_):
        assert [(one["user"]["login"], (one["performed_via_github_app"] or {}).get("slug")) for one in shown] == [
            ("queue[bot]", "queue"),
            ("ana", "queue"),
            ("mergeq-bot", None),
        ]
    assert by_graph["performed_via_github_app"]["slug"] == "queue"


def test_an_app_that_signs_its_requests_is_shown_no_limit(sandbox: Sandbox, app: Registration, ask: Ask) -> None:
    shown = ask(signed(app, sandbox.clock.now()), "GET", "/app")

    assert not [name for name in shown.headers if name.lower().startswith("x-ratelimit")]
    assert ask(sandbox.token, "GET", "/user").headers["X-RateLimit-Limit"] == "5000"


def test_a_check_run_is_changed_only_by_the_app_that_made_it(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    tip = str(sandbox.world.repo("acme/rocket").git.tip("main"))
    run = sandbox.world.set_check_run("acme/rocket", tip, name="build", status="in_progress", app="other-ci")
    token = token_of(sandbox, installation, ask)

    answer = ask(token, "PATCH", f"/repos/acme/rocket/check-runs/{run.id}", conclusion="success")

    number = installation.registration.app.id
    words = f"Invalid app_id `{number}` - check run can only be modified by the GitHub App that created it."
    assert said(answer) == (403, words)


def test_a_suspended_installation_gets_no_tokens_and_those_it_has_are_refused(
    sandbox: Sandbox, installation: Installation, session: requests.Session, ask: Ask
) -> None:
    token = token_of(sandbox, installation, ask)
    bearer = signed(installation.registration, sandbox.clock.now())
    switch_on(session, "auth.suspend", match={"repo": "acme/rocket"})

    first = ask(token, "GET", "/repos/acme/rocket")
    new = ask(bearer, "POST", f"/app/installations/{installation.id}/access_tokens")
    shown = ask(bearer, "GET", f"/app/installations/{installation.id}").json()
    session.post(f"{BASE}/_sim/installations/{installation.id}", json={"suspended": False})

    assert [said(first), said(new)] == [(403, "This installation has been suspended")] * 2
    assert shown["suspended_at"] == "2026-01-05T09:00:00Z"
    assert ask(token, "GET", "/repos/acme/rocket").status_code == 200


def test_a_permission_that_was_taken_away_is_missing_from_tokens_at_once(
    sandbox: Sandbox, installation: Installation, session: requests.Session, ask: Ask
) -> None:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")
    token = token_of(sandbox, installation, ask)
    switch_on(session, "auth.perms", match={"repo": "acme/rocket"}, args={"remove": ["statuses"]})

    refused = ask(token, "POST", f"/repos/acme/rocket/statuses/{tip}", state="success")

    assert said(refused) == (403, NOT_ACCESSIBLE)
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "statuses=write"
    assert installation.permissions == {"metadata": "read", **{k: v for k, v in QUEUE.items() if k != "statuses"}}


def test_a_token_may_expire_between_two_requests(
    sandbox: Sandbox, installation: Installation, session: requests.Session, ask: Ask
) -> None:
    token = token_of(sandbox, installation, ask)
    switch_on(session, "auth.expire", after=1, match={"repo": "acme/rocket"})

    seen = [ask(token, "GET", "/repos/acme/rocket").status_code for _ in range(3)]

    assert seen == [200, 401, 401]
    assert ask(token_of(sandbox, installation, ask), "GET", "/repos/acme/rocket").status_code == 200


def test_tokens_are_given_back_and_installations_removed(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    one, two = (token_of(sandbox, installation, ask) for _ in range(2))
    bearer = signed(installation.registration, sandbox.clock.now())

    returned = ask(one, "DELETE", "/installation/token").status_code
    seen = [ask(token, "GET", "/repos/acme/rocket").status_code for token in (one, two)]
    removed = ask(bearer, "DELETE", f"/app/installations/{installation.id}").status_code

    assert (returned, seen, removed) == (204, [401, 200], 204)
    assert said(ask(two, "GET", "/repos/acme/rocket")) == (401, "Bad credentials")
    assert ask(bearer, "GET", "/repos/acme/rocket/installation").status_code == 404


def test_limits_are_an_installations_own_and_grow_with_its_repositories(
    sandbox: Sandbox, installation: Installation, ask: Ask
) -> None:
    token = token_of(sandbox, installation, ask)
    few = ask(token, "GET", "/repos/acme/rocket").headers
    for number in range(22):
        sandbox.world.create_repo(f"acme/r{number}", files={}, ci=None)

    many = ask(token, "GET", "/repos/acme/rocket").headers

    assert (few["X-RateLimit-Limit"], few["X-RateLimit-Used"]) == ("5000", "1")
    assert (many["X-RateLimit-Limit"], many["X-RateLimit-Used"]) == ("5150", "2")


def test_an_apps_hook_gets_the_events_of_its_repositories_and_redelivers_them(
    sandbox: Sandbox, app: Registration, session: requests.Session, ask: Ask
) -> None:
    world = sandbox.world
    receiver = Receiver()
    world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    world.create_repo("acme/other", files=FILES, ci=None)
    installation = world.install_app(app, "acme", ["acme/rocket"])
    world.push("acme/rocket", "main", {"a.txt": "a\n"})
    world.push("acme/other", "main", {"a.txt": "a\n"})
    switch_on(session, "hook.drop", after=1)
    sandbox.settle()
    bearer = signed(app, sandbox.clock.now())

    listed = ask(bearer, "GET", "/app/hook/deliveries").json()
    lost = listed[0]
    again = ask(bearer, "POST", f"/app/hook/deliveries/{lost['id']}/attempts")
    sandbox.settle()
    after = ask(bearer, "GET", "/app/hook/deliveries?per_page=1")
    whole = ask(bearer, "GET", f"/app/hook/deliveries/{after.json()[0]['id']}").json()
    older = session.get(after.links["next"]["url"], headers={"Authorization": f"Bearer {bearer}"}).json()

    assert receiver.names() == ["installation.created", "push"]
    assert receiver.got[1][1]["installation"]["id"] == installation.id
    assert [(one["event"], one["status_code"], one["redelivery"]) for one in listed] == [
        ("push", 0, False),
        ("installation", 202, False),
    ]
    assert again.status_code == 202
    assert (whole["guid"], whole["redelivery"], whole["status"]) == (lost["guid"], True, "OK")
    assert whole["request"]["payload"]["repository"]["full_name"] == "acme/rocket"
    assert whole["request"]["headers"]["X-GitHub-Hook-Installation-Target-ID"] == str(app.app.id)
    assert [one["id"] for one in older] == [lost["id"]]
    sandbox.clock.advance(4 * 86_400)
    late = ask(signed(app, sandbox.clock.now()), "POST", f"/app/hook/deliveries/{lost['id']}/attempts")
    assert late.status_code == 422


def test_an_apps_hook_can_be_pointed_elsewhere(sandbox: Sandbox, app: Registration, ask: Ask) -> None:
    bearer = signed(app, sandbox.clock.now())
    before = ask(bearer, "GET", "/app/hook/config").json()

    changed = ask(bearer, "PATCH", "/app/hook/config", url="http://127.0.0.1:9/new", secret="s3cret").json()

    assert (before["url"], changed["url"], changed["secret"]) == (HOOK, "http://127.0.0.1:9/new", "********")
    assert ask(bearer, "GET", "/app/hook/config").json() == changed


def test_an_app_is_told_when_its_repositories_change(sandbox: Sandbox, app: Registration) -> None:
    receiver = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    sandbox.world.create_repo("acme/other", files=FILES, ci=None)
    installation = sandbox.world.install_app(app, "acme", ["acme/rocket"])
    with requests.Session() as control:
        control.mount(BASE, WsgiAdapter(sandbox.app))
        control.post(f"{BASE}/_sim/installations/{installation.id}", json={"repos": ["acme/other"]})
    sandbox.settle()

    assert receiver.names() == [
        "installation.created",
        "installation_repositories.added",
        "installation_repositories.removed",
    ]
    assert receiver.got[1][1]["repositories_added"][0]["full_name"] == "acme/other"
    assert installation.repos == {sandbox.world.repo("acme/other").id}


def test_git_takes_an_installations_token_as_a_password_for_what_it_may(
    sandbox: Sandbox, installation: Installation, session: requests.Session, ask: Ask
) -> None:
    sandbox.world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    reader = token_of(sandbox, installation, ask, permissions={"contents": "read"})

    def answer(password: str, repo: str, service: str) -> int:
        url = f"{BASE}/{repo}.git/info/refs?service={service}"
        return session.get(url, auth=("x-access-token", password)).status_code

    assert answer(reader, "acme/secret", "git-upload-pack") == 200
    assert answer(reader, "acme/secret", "git-receive-pack") == 403
    assert answer(token_of(sandbox, installation, ask), "acme/secret", "git-receive-pack") == 200
    del session.headers["Authorization"]
    assert session.get(f"{BASE}/acme/secret.git/info/refs?service=git-upload-pack").status_code == 404


def test_pygithub_signs_in_as_an_app_and_works_through_its_installation(served: Sandbox) -> None:
    app = served.world.register_app("queue", permissions=QUEUE)
    installed = served.world.install_app(app, "acme")
    served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    plain: dict[str, Any] = {
        "base_url": f"{served.url}/api/v3",
        "retry": None,
        "seconds_between_requests": None,
        "seconds_between_writes": None,
    }
    auth = Auth.AppAuth(app.client_id, app.pem)
    with Github(**plain) as nobody:
        through = auth.get_installation_auth(installed.id, requester=nobody.requester)
        with Github(auth=through, **plain) as client:
            merged = client.get_repo("acme/rocket").get_pull(1).merge()

    assert merged.merged
    assert served.world.pull("acme/rocket", 1).merged_by == "queue[bot]"


def test_apps_are_registered_and_installed_over_http(sandbox: Sandbox, session: requests.Session, ask: Ask) -> None:
    made = session.post(
        f"{BASE}/_sim/apps",
        json={"slug": "queue", "permissions": {"contents": "write"}, "installations": {"acme": ["acme/rocket"]}},
    )
    again = session.post(f"{BASE}/_sim/apps", json={"slug": "queue"})
    wrong = session.post(f"{BASE}/_sim/apps", json={"slug": "two", "permissions": {"contents": "all"}})
    body = made.json()
    now = int(sandbox.clock.now())
    bearer = jwt.encode({"iss": body["client_id"], "iat": now, "exp": now + 60}, body["pem"], algorithm="RS256")

    assert (made.status_code, body["bot"]) == (201, "queue[bot]")
    assert (
        ask(bearer, "GET", f"/app/installations/{body['installations']['acme']}").json()["account"]["login"] == "acme"
    )
    assert [again.status_code, wrong.status_code] == [422, 422]


def test_every_route_says_which_permission_it_takes() -> None:
    flask = Flask("routes")
    flask.register_blueprint(rest_blueprint)
    names = (rule.endpoint for rule in flask.url_map.iter_rules() if rule.endpoint.startswith("rest."))
    routes = [name.removeprefix("rest.").replace(",", ".") for name in names]
    by_jwt = [r for r in routes if " /app" in r or r.endswith("/installation")]
    ours = [r for r in routes if r not in by_jwt and not r.startswith(("GET /user", "PATCH /user"))]

    for route in ours:
        needs_of(route)
    assert len(ours) > 60
