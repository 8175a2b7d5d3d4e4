from __future__ import annotations

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import Query, Rest

STATE = """query State($number: Int!) { repository(owner: "acme", name: "rocket") { pullRequest(number: $number) {
  mergeable mergeStateStatus canBeRebased } } }"""


def state(query: Query, number: int = 1) -> tuple[str, str, bool]:
    pull = query(STATE, number=number)["data"]["repository"]["pullRequest"]
    return pull["mergeable"], pull["mergeStateStatus"], pull["canBeRebased"]


def test_the_first_read_says_unknown_and_the_next_one_knows(sandbox: Sandbox, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})

    assert state(query) == ("UNKNOWN", "UNKNOWN", False)
    assert state(query) == ("MERGEABLE", "CLEAN", True)


def test_rest_and_graphql_share_one_answer(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})

    first = rest("GET", "/pulls/1").json()

    assert (first["mergeable"], first["rebaseable"], first["mergeable_state"]) == (None, None, "unknown")
    assert first["merge_commit_sha"] is None
    assert state(query) == ("MERGEABLE", "CLEAN", True)


def test_how_lazy_github_is_can_be_set(sandbox: Sandbox, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.lazy_reads = 3

    assert [state(query)[0] for _ in range(4)] == ["UNKNOWN", "UNKNOWN", "UNKNOWN", "MERGEABLE"]

    sandbox.world.lazy_reads = 0
    sandbox.world.push("acme/rocket", "main", {"b.txt": "b\n"})
    assert state(query)[0] == "MERGEABLE"


def test_a_push_to_the_base_makes_it_unknown_again_and_leaves_a_stale_test_merge(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    rest("GET", "/pulls/1")
    test_merge = rest("GET", "/pulls/1").json()["merge_commit_sha"]

    sandbox.world.push("acme/rocket", "main", {"b.txt": "b\n"})

    shown = rest("GET", "/pulls/1").json()
    assert test_merge is not None
    assert (shown["mergeable"], shown["merge_commit_sha"]) == (None, test_merge)
    assert rest("GET", "/pulls/1").json()["merge_commit_sha"] != test_merge


def test_a_push_to_the_head_makes_it_unknown_again(sandbox: Sandbox, query: Query) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    state(query)
    assert state(query)[0] == "MERGEABLE"

    sandbox.world.push_to_pull(pull, {"a.txt": "b\n"})

    assert state(query)[0] == "UNKNOWN"


def test_a_conflict_is_dirty(sandbox: Sandbox, query: Query) -> None:
    sandbox.world.open_pull("acme/rocket", title="Change", files={"engine.py": "ana\n"})
    sandbox.world.push("acme/rocket", "main", {"engine.py": "ben\n"})
    state(query)

    assert state(query) == ("CONFLICTING", "DIRTY", False)


def test_what_merges_as_a_whole_may_still_not_rebase(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.open_pull(
        "acme/rocket", title="There and back", commits=[{"engine.py": "ana\n"}, {"engine.py": "one\ntwo\nthree\n"}]
    )
    world.push("acme/rocket", "main", {"engine.py": "ben\n"})
    state(query)

    assert state(query)[0::2] == ("MERGEABLE", False)


def test_draft_blocked_behind_and_unstable_show_in_that_order(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, draft=True)
    world.set_status("acme/rocket", pull.head_sha, context="lint", state="failure")
    world.protect("acme/rocket", "main", required_contexts=["ci/test"], strict=True)
    world.push("acme/rocket", "main", {"b.txt": "b\n"})
    state(query)

    assert state(query)[1] == "DRAFT"
    world.set_draft(pull, False)
    assert state(query)[1] == "BLOCKED"
    world.set_status("acme/rocket", pull.head_sha, context="ci/test")
    assert state(query)[1] == "BEHIND"
    world.unprotect("acme/rocket", "main")
    assert state(query)[1] == "UNSTABLE"
    world.set_status("acme/rocket", pull.head_sha, context="LINT")
    assert state(query)[1] == "CLEAN"


def test_a_merged_pull_request_is_unknown_for_good(sandbox: Sandbox, query: Query, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    state(query)
    assert state(query)[0] == "MERGEABLE"

    sandbox.world.merge_pull(pull)

    assert [state(query)[0] for _ in range(3)] == ["UNKNOWN"] * 3
    assert rest("GET", "/pulls/1").json()["mergeable"] is None
