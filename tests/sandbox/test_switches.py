"""The quirks of merging, refs and protection, each switched on by its name and seen to happen."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from tests.sandbox.conftest import BASE, Query, Rest

MERGED = "Pull Request successfully merged"


def switch_on(session: requests.Session, name: str, **more: Any) -> dict[str, Any]:
    answer = session.post(f"{BASE}/_sim/faults", json={"id": name, **more})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def do(session: requests.Session, name: str, pr: int | None = None, **args: Any) -> None:
    """An act, which has happened when the answer comes."""
    match = {"repo": "acme/rocket"} | ({} if pr is None else {"pr": pr})
    assert switch_on(session, name, match=match, args=args)["hits"] == 1


def hits(session: requests.Session) -> list[int]:
    return [fault["hits"] for fault in session.get(f"{BASE}/_sim/faults").json()]


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def let_pass(sandbox: Sandbox, seconds: float) -> None:
    assert isinstance(sandbox.clock, ManualClock)
    sandbox.clock.advance(seconds)


@pytest.fixture
def pull(sandbox: Sandbox) -> Pull:
    return sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, head="feature")


def test_a_landed_merge_may_stay_open_for_a_while(
    sandbox: Sandbox, session: requests.Session, rest: Rest, pull: Pull
) -> None:
    before = tip(sandbox)
    switch_on(session, "merge.landed_pr_open", match={"pr": 1}, args={"delay": 60_000, "code": 502})

    answer = rest("PUT", "/pulls/1/merge")
    let_pass(sandbox, 59)
    while_held = rest("GET", "/pulls/1").json()
    let_pass(sandbox, 1)

    assert (answer.status_code, "nginx" in answer.text) == (502, True)
    assert tip(sandbox) != before
    assert (while_held["state"], while_held["merged"]) == ("open", False)
    assert (pull.merged, pull.merge_commit_sha, hits(session)) == (True, tip(sandbox), [1])


def test_a_refused_merge_does_not_use_the_fault_up(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Draft", files={"a.txt": "a\n"}, draft=True)
    switch_on(session, "merge.landed_pr_open")

    assert rest("PUT", "/pulls/1/merge").status_code == 405
    assert hits(session) == [0]


@pytest.mark.parametrize("landed", [True, False])
def test_a_merge_may_end_in_a_reset(
    sandbox: Sandbox, session: requests.Session, rest: Rest, pull: Pull, landed: bool
) -> None:
    switch_on(session, "merge.reset", args={"landed": landed})

    with pytest.raises(requests.ConnectionError):
        rest("PUT", "/pulls/1/merge")

    assert (pull.merged, hits(session)) == (landed, [1])
    assert sandbox.settle()


def test_a_reset_is_one_on_a_real_connection_too(served: Sandbox) -> None:
    pull = served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    served.world.faults.add("merge.reset")
    headers = {"Authorization": f"Bearer {served.token}"}

    with pytest.raises(requests.ConnectionError):
        requests.put(f"{served.url}/repos/acme/rocket/pulls/1/merge", headers=headers, timeout=30)

    assert pull.merged


def test_mergeability_may_take_more_reads_and_more_time(
    sandbox: Sandbox, session: requests.Session, rest: Rest, pull: Pull
) -> None:
    assert pull.is_open
    switch_on(session, "mergeable.lazy", match={"pr": 1}, args={"reads": 2, "ms": 5000})

    shown = [rest("GET", "/pulls/1").json()["mergeable"] for _ in range(4)]
    let_pass(sandbox, 5)

    assert (shown, rest("GET", "/pulls/1").json()["mergeable"], hits(session)) == ([None] * 4, True, [1])


def test_mergeability_may_never_be_known(session: requests.Session, rest: Rest, pull: Pull) -> None:
    switch_on(session, "mergeable.stuck", match={"pr": 1}, times=None)

    assert [rest("GET", "/pulls/1").json()["mergeable"] for _ in range(5)] == [None] * 5
    assert (pull.mergeable, hits(session)) == (None, [5])


def test_the_merge_state_may_be_wrong(session: requests.Session, rest: Rest, query: Query, pull: Pull) -> None:
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { mergeStateStatus }}}'
    for _ in range(2):
        rest("GET", "/pulls/1")
    switch_on(session, "mergestate.wrong", match={"pr": pull.number}, times=2)

    wrong = rest("GET", "/pulls/1").json()["mergeable_state"], query(look)["data"]["repository"]["pullRequest"]
    right = rest("GET", "/pulls/1").json()["mergeable_state"]

    assert (wrong, right) == (("blocked", {"mergeStateStatus": "BLOCKED"}), "clean")


def test_bringing_a_branch_up_to_date_may_take_long(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    before = pull.head_sha
    sandbox.world.push("acme/rocket", "main", {"b.txt": "b\n"})
    switch_on(session, "update_branch.async", args={"ms": 30_000})

    asked = rest("PUT", "/pulls/1/update-branch")
    let_pass(sandbox, 29)
    waiting = pull.head_sha
    let_pass(sandbox, 1)

    assert (asked.status_code, waiting, pull.head_sha != before) == (202, before, True)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sha", "expected head sha didn’t match current head ref."),  # noqa: RUF001 - GitHub's own apostrophe
        ("conflict", "merge conflict between base and head"),
        ("up_to_date", "There are no new commits on the base branch."),
    ],
)
def test_bringing_a_branch_up_to_date_may_be_refused(
    session: requests.Session, rest: Rest, pull: Pull, kind: str, words: str
) -> None:
    switch_on(session, "update_branch.422", match={"pr": pull.number}, args={"kind": kind})

    assert said(rest("PUT", "/pulls/1/update-branch")) == (422, words)
    assert hits(session) == [1]


def test_a_fast_forward_may_be_called_none(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    ahead = sandbox.world.push("acme/rocket", "next", {"a.txt": "a\n"})
    switch_on(session, "refs.false_nonff", match={"repo": "acme/rocket"}, times=2)

    answers = [rest("PATCH", "/git/refs/heads/main", sha=ahead) for _ in range(3)]

    assert [said(answer) for answer in answers[:2]] == [(422, "Update is not a fast forward")] * 2
    assert (answers[2].status_code, hits(session)) == (200, [2])


def test_merging_branches_may_be_called_unauthorized_for_a_moment(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    sandbox.world.push("acme/rocket", "next", {"a.txt": "a\n"})
    switch_on(session, "merges.409_auth")

    refused = rest("POST", "/merges", base="main", head="next")

    assert (refused.status_code, refused.json()["message"][:45]) == (
        409,
        "You're not authorized to push to this branch.",
    )
    assert rest("POST", "/merges", base="main", head="next").status_code == 201


def test_a_replica_may_not_have_what_was_just_pushed(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    switch_on(session, "git.replica_lag", args={"ms": 2000}, times=None)
    pushed = sandbox.world.push("acme/rocket", "next", {"a.txt": "a\n"})

    early = [said(rest("POST", "/merges", base="main", head=head)) for head in ("next", pushed)]
    let_pass(sandbox, 2)

    assert early == [(404, "Head does not exist")] * 2
    assert (rest("POST", "/merges", base="main", head="next").status_code, hits(session)) == (201, [2])


def test_workflow_files_may_be_out_of_reach(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    world = sandbox.world
    files = {".github/workflows/ci.yml": "on: push\n"}
    pull = world.open_pull("acme/rocket", title="CI", files=files, head="ci")
    other = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "policy.no_workflows", times=None)
    path = ".github/workflows/ci.yml"
    words = f"refusing to allow a GitHub App to create or update workflow `{path}` without `workflows` permission"

    assert said(rest("PUT", f"/pulls/{pull.number}/merge")) == (403, words)
    no_access = (403, "Resource not accessible by integration")
    assert said(rest("POST", "/merges", base="main", head="ci")) == no_access
    assert said(rest("PATCH", "/git/refs/heads/main", sha=pull.head_sha)) == no_access
    assert rest("PUT", f"/pulls/{other.number}/merge").status_code == 200
    root = world.create_repo("acme/other", files={"b.txt": "b\n"}, ci=None).git
    world.repo("acme/rocket").git.fetch(root.git_dir, str(root.tip("main")), "refs/tags/unrelated")
    assert rest("PATCH", "/git/refs/heads/main", sha=root.tip("main"), force=True).status_code == 200
    assert hits(session) == [3]


def test_an_indirect_merge_may_be_noticed_late_or_never(
    sandbox: Sandbox, session: requests.Session, pull: Pull
) -> None:
    world = sandbox.world
    other = world.open_pull("acme/rocket", title="Two", files={"b.txt": "b\n"})
    merged = world.repo("acme/rocket").git.commit_tree(
        str(world.repo("acme/rocket").git.merge_tree(pull.head_sha, other.head_sha)),
        (pull.head_sha, other.head_sha),
        "Both",
        author=world.repo("acme/rocket").git.commit(pull.head_sha).author,
        when=world.now(),
    )
    switch_on(session, "detect.merge_never", match={"pr": other.number})
    switch_on(session, "detect.merge_delay", match={"pr": pull.number}, args={"ms": 10_000})

    world.update_ref("acme/rocket", "refs/heads/main", merged)
    at_once = (pull.merged, other.merged)
    let_pass(sandbox, 10)

    assert (at_once, pull.merged, other.merged, hits(session)) == ((False, False), True, False, [1, 1])


def test_rules_of_a_kind_nobody_knows_may_turn_up(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    sandbox.world.add_ruleset("acme/rocket", rules=[{"type": "deletion"}])
    switch_on(session, "schema.future")

    shown = [[rule["type"] for rule in rest("GET", "/rules/branches/main").json()] for _ in range(2)]

    assert shown == [["deletion", "phase_of_the_moon"], ["deletion"]]


def test_people_push_close_retarget_and_rewrite_meanwhile(
    sandbox: Sandbox, session: requests.Session, pull: Pull
) -> None:
    world = sandbox.world
    world.push("acme/rocket", "next", {"n.txt": "n\n"})
    before, head = tip(sandbox), pull.head_sha

    do(session, "push.direct", files={"hot.txt": "fix\n"})
    do(session, "pr.force_push", pr=1)
    do(session, "pr.retarget", pr=1, base="next")
    do(session, "pr.draft", pr=1)
    do(session, "pr.maintainer_can_modify", pr=1, value=False)
    do(session, "pr.close", pr=1)
    was_closed = not pull.is_open
    do(session, "pr.reopen", pr=1)
    do(session, "repo.archive")

    assert world.repo("acme/rocket").git.commit(tip(sandbox)).parents == (before,)
    assert (pull.head_sha != head, pull.base_ref, pull.draft, pull.maintainer_can_modify) == (True, "next", True, False)
    assert (was_closed, pull.is_open, world.repo("acme/rocket").archived) == (True, True, True)


@pytest.mark.parametrize(("via", "state", "base"), [("api", "closed", "feature"), ("merge", "open", "main")])
def test_a_base_goes_away_and_takes_its_pull_requests_along_or_hands_them_on(
    sandbox: Sandbox, session: requests.Session, pull: Pull, via: str, state: str, base: str
) -> None:
    world = sandbox.world
    stacked = world.open_pull("acme/rocket", title="On top", files={"b.txt": "b\n"}, base="feature")
    world.merge_pull(pull)

    do(session, "branch.delete", branch="feature", via=via)

    assert (stacked.state, stacked.base_ref) == (state, base)


@pytest.mark.parametrize(
    ("switch", "args", "words"),
    [
        ("branch.enable_mq", {}, "Changes must be made through the merge queue"),
        ("policy.linear", {}, "This branch must not contain merge commits."),
        ("policy.signatures", {}, "Commits must have verified signatures."),
        ("policy.last_push", {}, "At least 1 approving review is required by reviewers with write access."),
        (
            "ruleset.all",
            {"contexts": ["e2e"]},
            'Repository rule violations found\n\nRequired status check "e2e" is expected.\n\n',
        ),
    ],
)
def test_admins_tighten_a_branch_meanwhile(
    sandbox: Sandbox, session: requests.Session, rest: Rest, pull: Pull, switch: str, args: dict[str, Any], words: str
) -> None:
    do(session, switch, **args)

    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    assert pull.is_open
    if switch == "ruleset.all":
        assert said(rest("POST", "/git/refs", ref="refs/heads/mergeq/1", sha=tip(sandbox))) == (422, words)


def test_admins_restrict_pushes_meanwhile(sandbox: Sandbox, session: requests.Session, rest: Rest, pull: Pull) -> None:
    do(session, "policy.restrict", apps=["queue"])
    sandbox.world.users.set_role("mergeq-bot", "write")

    assert said(rest("PUT", f"/pulls/{pull.number}/merge"))[1].startswith(
        "You're not authorized to push to this branch."
    )


def test_approvals_are_taken_away_by_a_push_a_retarget_and_an_update(
    sandbox: Sandbox, session: requests.Session, pull: Pull
) -> None:
    world = sandbox.world
    world.push("acme/rocket", "next", {"n.txt": "n\n"})
    do(session, "policy.dismiss_stale")
    do(session, "policy.dismiss_stale", branch="next")
    acts = (
        lambda: world.push_to_pull(pull, {"b.txt": "b\n"}),
        lambda: world.retarget(pull, "next"),
    )

    for act in acts:
        world.review(pull, "ben")
        act()

    assert [review.state for review in pull.reviews] == ["DISMISSED", "DISMISSED"]


def test_an_act_on_nothing_is_refused(session: requests.Session) -> None:
    for name, match in (
        ("pr.close", {"repo": "acme/rocket"}),
        ("pr.close", {"repo": "acme/rocket", "pr": 9}),
        ("push.direct", {}),
    ):
        answer = session.post(f"{BASE}/_sim/faults", json={"id": name, "match": match})
        assert answer.status_code == 422
        assert answer.json()["message"].startswith(f"{name}: ")


def test_the_native_queue_is_shown_on_the_pull_request(session: requests.Session, query: Query, pull: Pull) -> None:
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { isMergeQueueEnabled }}}'
    before = query(look)["data"]["repository"]["pullRequest"]
    do(session, "branch.enable_mq")

    assert (before, query(look)["data"]["repository"]["pullRequest"], pull.is_open) == (
        {"isMergeQueueEnabled": False},
        {"isMergeQueueEnabled": True},
        True,
    )


def test_a_fork_may_be_gone_and_its_pull_request_still_merge(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query
) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, fork="zoe")
    look = """{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) {
      headRef {name} headRepository {name} headRefOid }}}"""

    do(session, "pr.delete_head_repo", pr=1)

    assert rest("GET", "/pulls/1").json()["head"]["repo"] is None
    assert query(look)["data"]["repository"]["pullRequest"] == {
        "headRef": None,
        "headRepository": None,
        "headRefOid": pull.head_sha,
    }
    assert rest("PUT", "/pulls/1/update-branch").status_code == 403
    world.close_pull(pull)
    assert rest("PATCH", "/pulls/1", state="open").status_code == 422
    pull.state = "open"
    assert said(rest("PUT", "/pulls/1/merge")) == (200, MERGED)
