"""What people do between the decision and the merge, and while something is being tested."""

from collections.abc import Callable
from typing import Any

import pytest

from mergeq import execute, sync
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.merging import disable_auto_merge
from mergeq.sandbox.records import Settings
from mergeq.store import ALL
from tests.conftest import Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import STAGED, ready, status_of, work

MAIN = Branch("acme", "rocket", "main")


@pytest.mark.parametrize(
    ("switch", "args", "said"),
    [
        pytest.param("checks.flip", {"at": 1000}, "ci/test failed", marks=pytest.mark.quirk("Q39")),
        pytest.param("branch.delete", {"branch": "main"}, "does not exist on GitHub", marks=pytest.mark.quirk("Q42")),
        pytest.param("pr.retarget", {"base": "next"}, "its base is now next", marks=pytest.mark.quirk("Q43")),
        pytest.param("pr.force_push", {}, "its head is now", marks=pytest.mark.quirk("Q44")),
        pytest.param("pr.close", {}, "it is closed or merged", marks=pytest.mark.quirk("Q45")),
        pytest.param("pr.draft", {}, "it is a draft", marks=pytest.mark.quirk("Q45")),
        pytest.param("branch.enable_mq", {}, "merge queue", marks=pytest.mark.quirk("Q46")),
        pytest.param("policy.linear", {}, "without merge commits", marks=pytest.mark.quirk("Q50")),
        pytest.param("policy.last_push", {}, "approving review", marks=pytest.mark.quirk("Q90")),
    ],
)
def test_what_happens_after_the_decision_is_seen_by_the_last_look(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, switch: str, args: dict[str, Any], said: str
) -> None:
    github.world.create_ref("acme/rocket", "refs/heads/next", str(github.world.repo("acme/rocket").git.tip("main")))
    pull = ready(github)
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    saved = sync.sync(mergeq.services, lease)
    quirk.on(switch, pr=pull.number, **args)
    clock.advance(1)

    record = execute.land(mergeq.services, lease, saved)

    assert (saved.action, record.outcome) == ("MERGE", Outcome.STALE)
    assert said in record.err
    assert (pull.merged, quirk.requests("{pull_number}/merge")) == (False, 0)


@pytest.mark.quirk("Q46")
def test_what_somebody_told_github_to_merge_by_itself_is_left_alone_until_that_is_taken_back(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    github.world.repo("acme/rocket").settings = Settings(allow_auto_merge=True)
    github.world.protect("acme/rocket", "main", ["tide"])
    mergeq = start_mergeq(STAGED)
    pull = ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    quirk.on("pr.auto_merge", pr=pull.number)

    work(github, mergeq, 2)

    assert (pull.merged, mergeq.history()) == (False, [])
    assert status_of(github, pull).endswith("enabled auto-merge; disable it, the queue merges.")
    disable_auto_merge(github.world, pull, by="alice")
    work(github, mergeq, 3)
    assert pull.merged
    assert mergeq.history()[0].landed_tree == mergeq.history()[0].tested_tree


@pytest.mark.quirk("Q47")
def test_a_push_to_the_base_has_what_was_staged_tested_again_on_it(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    pull = ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    mergeq.sweep_and_work()
    quirk.on("push.direct")

    work(github, mergeq, 3)

    record = mergeq.history()[0]
    assert (pull.merged, record.outcome, record.tested_tree) == (True, Outcome.LANDED, record.landed_tree)
    assert github.world.repo("acme/rocket").git.files_at(str(record.landed_sha), ["direct.txt"])
    assert [one.action for one in mergeq.history()].count("TRIGGER") >= 2


@pytest.mark.quirk("Q51")
def test_a_branch_that_only_others_may_push_to_is_not_asked_and_says_who_may(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pulls = [ready(github, "One"), ready(github, "Two")]
    quirk.on("policy.restrict", apps=["queue"])
    github.world.users.set_role("mergeq-bot", "write")

    mergeq.sweep_and_work()

    assert [pull.is_open for pull in pulls] == [True, True]
    assert quirk.requests("{pull_number}/merge") == 0
    assert status_of(github, pulls[1]) == "Not mergeable. Only queue[bot] may push to the branch."


@pytest.mark.parametrize(
    ("switch", "args"),
    [
        pytest.param("merges.409_auth", {}, marks=pytest.mark.quirk("Q56")),
        pytest.param("git.replica_lag", {"ms": 90_000}, marks=pytest.mark.quirk("Q57")),
    ],
)
def test_a_merge_of_branches_that_is_refused_for_a_moment_is_no_conflict(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, switch: str, args: dict[str, Any]
) -> None:
    mergeq = start_mergeq(STAGED)
    quirk.on(switch, **args)
    pull = ready(github)

    work(github, mergeq, 4)

    assert pull.merged
    assert mergeq.store.conflicts(MAIN) == []
