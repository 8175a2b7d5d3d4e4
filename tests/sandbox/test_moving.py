from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from mergeq.sandbox import RefusedError, Sandbox, WsgiAdapter
from mergeq.sandbox.git import clean_environment
from tests.sandbox.conftest import BASE, FILES, GREEN, Query, Rest
from tests.sandbox.test_faults import hits, switch_on
from tests.sandbox.test_webhooks import HOOK, Receiver

OLD = f"{BASE}/repos/acme/rocket"


@pytest.fixture
def receiver(sandbox: Sandbox) -> Receiver:
    made = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(made))
    sandbox.world.add_hook(HOOK, "s3cret")
    return made


def stay(session: requests.Session, method: str, url: str, **json: object) -> requests.Response:
    return session.request(method, url, json=json or None, allow_redirects=False)


def test_a_renamed_repository_sends_readers_on_with_301_and_writers_with_307(
    sandbox: Sandbox, session: requests.Session
) -> None:
    repo = sandbox.world.repo("acme/rocket")
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.rename_repo("acme/rocket", "acme/starship")
    by_id = f"{BASE}/repositories/{repo.id}"

    read = stay(session, "GET", f"{OLD}/pulls?state=all")
    write = stay(session, "PUT", f"{OLD}/pulls/1/merge", merge_method="squash")

    assert (read.status_code, read.headers["Location"]) == (301, f"{by_id}/pulls?state=all")
    assert read.json()["message"] == write.json()["message"] == "Moved Permanently"
    assert read.json()["url"] == f"{by_id}/pulls?state=all"
    assert (write.status_code, write.headers["Location"]) == (307, f"{by_id}/pulls/1/merge")
    assert session.get(OLD).json()["full_name"] == "acme/starship"


def test_who_follows_with_method_and_body_merges_under_the_old_name(
    sandbox: Sandbox, session: requests.Session
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, fork="zoe")
    sandbox.world.rename_repo("acme/rocket", "acme/starship")

    merged = session.put(f"{OLD}/pulls/1/merge", json={"merge_method": "squash", "sha": pull.head_sha})

    assert merged.status_code == 200, merged.text
    assert sandbox.world.pull("acme/starship", 1).merged
    assert len(sandbox.world.repo("acme/starship").git.commit(merged.json()["sha"]).parents) == 1
    assert sandbox.world.repo("zoe/rocket").fork_of is sandbox.world.repo("acme/starship")


def test_graphql_follows_a_rename_and_ids_stay(sandbox: Sandbox, query: Query) -> None:
    text = '{repository(owner: "acme", name: "rocket") { id nameWithOwner }}'
    before = query(text)["data"]["repository"]
    sandbox.world.rename_repo("acme/rocket", "acme/starship")

    assert query(text)["data"]["repository"] == {"id": before["id"], "nameWithOwner": "acme/starship"}


def test_rulesets_and_hooks_go_with_a_renamed_repository(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.add_ruleset("acme/rocket", rules=[{"type": "deletion"}])
    sandbox.world.add_hook(HOOK, "x", repo="acme/rocket")
    sandbox.world.rename_repo("acme/rocket", "acme/starship")

    assert [one["source"] for one in rest("GET", "/rulesets").json()] == ["acme/starship"]
    assert [one["config"]["url"] for one in rest("GET", "/hooks").json()] == [HOOK]
    assert rest("DELETE", "/git/refs/heads/main").status_code == 422


def test_an_old_name_leads_on_until_somebody_takes_it(sandbox: Sandbox, session: requests.Session) -> None:
    world = sandbox.world
    world.rename_repo("acme/rocket", "acme/starship")
    world.rename_repo("acme/starship", "acme/falcon")
    twice = [session.get(f"{BASE}/repos/acme/{name}").json()["full_name"] for name in ("rocket", "starship")]
    world.create_repo("acme/rocket", files=FILES, ci=None)

    assert twice == ["acme/falcon"] * 2
    assert session.get(OLD).json()["full_name"] == "acme/rocket"
    with pytest.raises(RefusedError, match="422"):
        world.rename_repo("acme/rocket", "acme/falcon")


def test_git_is_sent_on_too_and_ci_goes_on(served: Sandbox, tmp_path: Path) -> None:
    world = served.world
    world.create_repo("acme/tested", files=GREEN)
    world.rename_repo("acme/tested", "acme/proven")
    command = ("git", "clone", "--quiet", f"{served.url}/acme/tested.git", str(tmp_path / "clone"))
    subprocess.run(command, check=True, env=clean_environment(), capture_output=True)
    pull = world.open_pull("acme/proven", title="Add", files={"a.txt": "a\n"})

    assert served.settle()
    assert (tmp_path / "clone" / "ci.sh").exists()
    assert [s.state for s in world.repo("acme/proven").latest_statuses(pull.head_sha)] == ["success"]


def test_a_repository_may_be_renamed_between_two_requests(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "repo.rename", match={"repo": "acme/rocket"}, after=1, args={"to": "starship"})

    names = [rest("GET", "").json()["full_name"] for _ in range(3)]

    assert names == ["acme/rocket", "acme/starship", "acme/starship"]
    assert hits(session) == [1]


def test_a_transferred_repository_is_another_installations(
    sandbox: Sandbox, session: requests.Session, receiver: Receiver
) -> None:
    world = sandbox.world
    world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    app = world.register_app("queue", permissions={"contents": "write", "statuses": "write"})
    token, _ = world.registry.issue(world.install_app(app, "acme"), now=world.now())
    session.headers["Authorization"] = f"Bearer {token}"
    tip = world.repo("acme/rocket").git.tip("main")
    for name in ("rocket", "secret"):
        switch_on(session, "repo.transfer", match={"repo": f"acme/{name}"}, args={"to": "elsewhere"})

    statuses = [session.get(f"{BASE}/repos/acme/{name}").status_code for name in ("rocket", "secret")]
    write = session.post(f"{OLD}/statuses/{tip}", json={"state": "success"})
    sandbox.settle()

    assert statuses == [200, 404]
    assert (write.status_code, write.json()["message"]) == (403, "Resource not accessible by integration")
    assert world.repo("elsewhere/rocket").owner == "elsewhere"
    assert receiver.names() == ["repository.transferred"] * 2
    assert receiver.got[0][1]["changes"]["owner"]["from"]["organization"]["login"] == "acme"


def test_an_archived_repository_takes_nothing_but_its_way_back(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query
) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "repo.archive", match={"repo": "acme/rocket"})
    pull = query('{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { id } }}')
    update = "mutation($id: ID!) { updatePullRequestBranch(input: {pullRequestId: $id}) { clientMutationId } }"
    tip = sandbox.world.repo("acme/rocket").git.tip("main")

    refused = [
        rest("PUT", "/pulls/1/merge"),
        rest("POST", "/issues/1/comments", body="x"),
        rest("POST", f"/statuses/{tip}", state="success"),
        rest("POST", "/branches/main/rename", new_name="trunk"),
        rest("PATCH", "", allow_rebase_merge=False),
    ]
    error = query(update, id=pull["data"]["repository"]["pullRequest"]["id"])["errors"][0]

    words = "Repository was archived so is read-only."
    assert [(one.status_code, one.json()["message"]) for one in refused] == [(403, words)] * 5
    assert (error["type"], error["message"]) == ("FORBIDDEN", words)
    assert rest("GET", "").json()["archived"]
    assert rest("PATCH", "", archived=False).json()["archived"] is False
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_deleted_repository_is_gone_and_what_came_from_it_has_no_head(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query, receiver: Receiver
) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Forked", files={"a.txt": "a\n"}, fork="zoe", author="zoe")
    sandbox.settle()
    receiver.got.clear()
    world.add_hook(HOOK, "x", repo="zoe/rocket")
    deleted = session.delete(f"{BASE}/repos/zoe/rocket").status_code
    text = """{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) {
      headRef { name } headRepository { name } headRepositoryOwner { login } } }}"""

    shown = query(text)["data"]["repository"]["pullRequest"]
    pull = rest("GET", "/pulls/1").json()
    sandbox.settle()

    assert (deleted, session.get(f"{BASE}/repos/zoe/rocket").status_code) == (204, 404)
    assert shown["headRef"] is shown["headRepository"] is None
    assert (pull["head"]["repo"], pull["head"]["sha"]) == (None, world.pull("acme/rocket", 1).head_sha)
    assert receiver.names() == ["repository.deleted"]
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_repository_may_be_deleted_between_two_requests(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "repo.delete", match={"repo": "acme/rocket"}, after=1)

    assert [rest("GET", "").status_code for _ in range(2)] == [200, 404]


def test_a_renamed_default_branch_takes_everything_with_it(
    sandbox: Sandbox, rest: Rest, session: requests.Session, receiver: Receiver
) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", ["ci"])
    into = world.open_pull("acme/rocket", title="Into", files={"a.txt": "a\n"})
    sandbox.settle()
    receiver.got.clear()

    renamed = rest("POST", "/branches/main/rename", new_name="trunk")
    sandbox.settle()
    world.unprotect("acme/rocket", "trunk")
    moved = stay(session, "GET", f"{OLD}/branches/main")

    assert (renamed.status_code, renamed.json()["name"], renamed.json()["protected"]) == (201, "trunk", True)
    assert (into.base_ref, into.is_open) == ("trunk", True)
    assert rest("GET", "").json()["default_branch"] == "trunk"
    assert (moved.status_code, moved.json()["message"]) == (301, "Moved Permanently")
    assert moved.headers["Location"] == f"{BASE}/repositories/{world.repo('acme/rocket').id}/branches/trunk"
    assert session.get(f"{OLD}/branches/main").json()["name"] == "trunk"
    assert rest("GET", "/git/ref/heads/main").status_code == 404
    assert receiver.names() == ["create", "push", "pull_request.edited", "delete", "push", "repository.edited"]
    assert receiver.got[2][1]["changes"]["base"]["ref"]["from"] == "main"
    assert rest("PUT", f"/pulls/{into.number}/merge").status_code == 200


def test_renaming_a_branch_closes_pull_requests_from_it(sandbox: Sandbox, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="From", files={"a.txt": "a\n"}, head="feature")

    renamed = rest("POST", "/branches/feature/rename", new_name="better")
    missing = rest("POST", "/branches/nope/rename", new_name="x")
    taken = rest("POST", "/branches/better/rename", new_name="main")

    assert [renamed.status_code, missing.status_code, taken.status_code] == [201, 404, 422]
    assert (pull.state, pull.merged) == ("closed", False)


def test_a_branch_may_be_renamed_between_two_requests(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "branch.rename", match={"repo": "acme/rocket"}, args={"from": "main", "to": "trunk"}, after=1)

    assert [rest("GET", "/branches/main").json()["name"] for _ in range(2)] == ["main", "trunk"]


def test_settings_are_changed_over_rest(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.push("acme/rocket", "trunk", {"a.txt": "a\n"})

    changed = rest("PATCH", "", default_branch="trunk", allow_merge_commit=False, private=True).json()
    nowhere = rest("PATCH", "", default_branch="nope")
    none_left = rest("PATCH", "", allow_squash_merge=False, allow_rebase_merge=False)
    renamed = rest("PATCH", "", name="starship").json()
    transferred = rest("POST", "/transfer", new_owner="other")

    assert (changed["default_branch"], changed["allow_merge_commit"], changed["visibility"]) == (
        "trunk",
        False,
        "private",
    )
    assert [nowhere.status_code, none_left.status_code] == [422, 422]
    assert renamed["full_name"] == "acme/starship"
    assert transferred.status_code == 202
    assert sandbox.world.repo("other/starship").default_branch == "trunk"


def test_an_id_leads_to_every_route_and_an_unknown_one_nowhere(sandbox: Sandbox, session: requests.Session) -> None:
    number = sandbox.world.repo("acme/rocket").id

    assert session.get(f"{BASE}/repositories/{number}/branches/main").json()["name"] == "main"
    assert session.get(f"{BASE}/api/v3/repositories/{number}").json()["url"] == f"{BASE}/api/v3/repos/acme/rocket"
    assert [session.get(f"{BASE}/repositories/1{tail}").status_code for tail in ("", "/pulls")] == [404, 404]


def test_what_somebody_wrote_who_has_left_is_nobodys(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, author="ana")
    sandbox.world.review(pull, "ben")
    sandbox.world.comment(pull, "please", by="ana")
    switch_on(session, "pr.ghost", match={"repo": "acme/rocket", "pr": 1})

    shown = rest("GET", "/pulls/1").json()
    text = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { author { login } } }}'

    assert shown["user"]["login"] == "ghost"
    assert rest("GET", "/issues/1/comments").json()[0]["user"]["login"] == "ghost"
    assert rest("GET", "/pulls/1/reviews").json()[0]["user"]["login"] == "ben"
    assert rest("GET", "/pulls/1/commits").json()[0]["author"] is None
    assert query(text)["data"]["repository"]["pullRequest"]["author"] is None


def test_others_may_act_between_two_requests(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    world = sandbox.world
    world.create_ref("acme/rocket", "refs/heads/release", str(world.repo("acme/rocket").git.tip("main")))
    pulls = [world.open_pull("acme/rocket", title="Add", files={f"{n}.txt": "x\n"}, fork="zoe") for n in range(4)]
    heads, tip = [pull.head_sha for pull in pulls], world.repo("acme/rocket").git.tip("main")
    for switch, more in (
        ("pr.close", {"pr": 1}),
        ("pr.retarget", {"pr": 2}),
        ("pr.force_push", {"pr": 3}),
        ("push.direct", {}),
    ):
        switch_on(session, switch, match={"repo": "acme/rocket", **more}, args={"base": "release"})
    before = rest("GET", "/pulls/1").json()["state"]
    rest("GET", "/pulls/4")
    switch_on(session, "pr.delete_head_repo", match={"repo": "acme/rocket", "pr": 4})
    switch_on(session, "branch.delete", match={"repo": "acme/rocket"}, args={"branch": "release"})
    rest("GET", "")

    assert before == "closed"
    assert (pulls[1].base_ref, pulls[1].state) == ("release", "closed")
    assert pulls[2].head_sha != heads[2]
    assert world.repo("acme/rocket").git.tip("main") != tip
    assert world.find_repo("zoe/rocket") is None
    assert rest("GET", "/pulls/4").json()["head"]["repo"] is None
    assert hits(session) == [1] * 6
