"""Staging: what is tested together on the base is what lands, and nothing else does."""

from collections.abc import Callable

import pytest

from mergeq import operators
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import CiConfig, ManualClock, Sandbox
from mergeq.sandbox.records import Pull
from tests.conftest import CONFIG, READY, Mergeq

MAIN = Branch("acme", "rocket", "main")
STAGED = (
    CONFIG.replace(
        "  merge_method:",
        "  context_options: {required-contexts: [ci/test]}\n  merge_method:",
    )
    + "mergeq: {queue: {retest: staging, landing: pull-request, staging: {forks: approved}}}\n"
)


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(STAGED)


def ready(github: Sandbox, title: str, files: dict[str, str], *labels: str) -> Pull:
    """A pull request whose head lacks the tip of the base, so that its own CI proves nothing."""
    pull = github.world.open_pull("acme/rocket", title=title, files=files, labels=(*READY, *labels))
    github.world.push("acme/rocket", "main", {f"elsewhere-{pull.number}.txt": "x\n"})
    return pull


def work(github: Sandbox, mergeq: Mergeq, minutes: int = 1) -> None:
    for _ in range(minutes):
        mergeq.sweep_and_work()
        github.settle()


def outcomes(mergeq: Mergeq) -> list[tuple[str, str, list[int]]]:
    """The history, oldest first: action, outcome, numbers."""
    return [(r.action, r.outcome.value, [t.number for t in r.targets]) for r in reversed(mergeq.history())]


def status_of(github: Sandbox, pull: Pull) -> str:
    found = {s.context: s.description or "" for s in github.world.repo(pull.repo).latest_statuses(pull.head_sha)}
    return found["tide"]


def staging_refs(github: Sandbox) -> list[str]:
    return sorted(name for name in github.world.repo("acme/rocket").git.branches() if name.startswith("mergeq"))


def test_one_pull_request_is_tested_on_the_base_and_then_lands_as_tested(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()

    work(github, mergeq)
    staged = staging_refs(github)
    said = status_of(github, pull)
    work(github, mergeq)

    assert len(staged) == 1
    assert staged[0].startswith("mergeq/main-")
    assert said == "Not mergeable. Retesting: ci/test"
    assert pull.merged
    record = mergeq.history()[0]
    assert record.outcome is Outcome.LANDED
    assert record.tested_tree == record.landed_tree
    assert record.landed_tree == github.world.repo("acme/rocket").git.commit(str(pull.merge_commit_sha)).tree
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED", [1]), ("MERGE", "LANDED", [1])]


@pytest.mark.parametrize("label", ["tide/squash", "tide/rebase", "tide/none"])
def test_a_batch_lands_in_order_by_each_ones_own_method(github: Sandbox, mergeq: Mergeq, label: str) -> None:
    pulls = [
        github.world.open_pull(
            "acme/rocket", title=f"Part {n}", commits=[{f"a{n}": "1\n"}, {f"b{n}": "2\n"}], labels=(*READY, label)
        )
        for n in range(3)
    ]
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()

    work(github, mergeq, 2)

    assert all(pull.merged for pull in pulls)
    assert ("MERGE_BATCH", "LANDED", [1, 2, 3]) in outcomes(mergeq)
    landed = next(record for record in mergeq.history() if record.outcome is Outcome.LANDED)
    assert landed.tested_tree == landed.landed_tree


def test_ci_runs_once_for_a_batch_and_never_on_scratch_merges(github: Sandbox, mergeq: Mergeq) -> None:
    for n in range(3):
        ready(github, f"Part {n}", {f"part{n}.txt": "x\n"})
    github.settle()
    before = len(github.world.ci.logs)

    work(github, mergeq)

    assert len(github.world.ci.logs) - before == 2  # the batch, and the first one alone beside it
    assert not [name for name in staging_refs(github) if name.startswith("mergeq-scratch/")]


def test_two_that_are_green_alone_and_red_together_do_not_both_land(github: Sandbox, mergeq: Mergeq) -> None:
    first = ready(github, "Use the engine", {"ci.sh": "! test -f a -a -f b\n", "a": "1\n"})
    second = ready(github, "Drop the engine", {"b": "2\n"})
    github.settle()

    work(github, mergeq, 8)

    assert [first.merged, second.merged] == [True, False]
    assert ("TRIGGER_BATCH", "RED", [1, 2]) in outcomes(mergeq)
    assert [outcome for outcome in outcomes(mergeq) if outcome == ("TRIGGER", "RED", [2])] == [("TRIGGER", "RED", [2])]
    assert status_of(github, second) == "Not mergeable. Job ci/test is not green together with the base."
    page = mergeq.web.get("/pr/acme/rocket/2.json").get_json()
    assert "2 times" in page["reasons"][0]["observed"]


def test_one_that_conflicts_with_another_is_named_and_comes_after_it(github: Sandbox, mergeq: Mergeq) -> None:
    first = ready(github, "Two engines", {"engine.txt": "two\n"})
    second = ready(github, "Three engines", {"engine.txt": "three\n"})
    third = ready(github, "Fins", {"fins.txt": "four\n"})
    github.settle()

    work(github, mergeq)
    said = status_of(github, second)
    work(github, mergeq, 3)

    assert said == "Not mergeable. It conflicts with #1, which is tested first."
    tip = github.world.repo("acme/rocket").git.tip("main")
    assert {fact.base_sha for fact in mergeq.store.conflicts(MAIN)} <= {tip}  # those about the old base are forgotten
    assert [first.merged, second.merged, third.merged] == [True, False, True]
    assert status_of(github, second) == "Not mergeable. PR has a merge conflict."


def test_a_head_that_moves_after_the_test_is_not_landed_and_its_run_is_given_up(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq)

    github.world.push_to_pull(pull, {"fins.txt": "BROKEN\n"})
    github.settle()
    work(github, mergeq, 2)

    assert pull.is_open
    assert ("TRIGGER", "ABANDONED", [1]) in outcomes(mergeq)
    assert staging_refs(github) == []


def test_a_base_that_moves_voids_what_was_tested_on_the_old_one(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq)

    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    work(github, mergeq, 2)

    assert pull.merged
    assert [outcome for _, outcome, _ in outcomes(mergeq)] == ["TRIGGERED", "ABANDONED", "TRIGGERED", "LANDED"]
    assert mergeq.history()[0].tested_tree == mergeq.history()[0].landed_tree


def test_a_push_in_the_last_moment_is_seen_and_said(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq)
    github.app.test_client().post("/_sim/faults", json={"id": "merge.race_push", "times": 1})

    work(github, mergeq)

    assert pull.merged
    base, record = mergeq.history()[:2]
    assert record.outcome is Outcome.RACED
    assert "somebody pushed in between" in record.err
    assert record.tested_tree != record.landed_tree
    assert (base.action, base.outcome, base.targets) == ("TRIGGER", Outcome.TRIGGERED, ())
    assert base.tested_tree is None  # D22: the base as it is now is tested by itself


@pytest.mark.parametrize("label", ["tide/squash", "tide/none"])
def test_a_title_cannot_keep_ci_from_running(github: Sandbox, mergeq: Mergeq, label: str) -> None:
    pull = ready(github, "Wings", {"wings.txt": "two\n"}, label)
    github.settle()
    github.world.edit_title(pull, "Wings [ci skip]")

    work(github, mergeq, 3)

    assert pull.merged
    message = github.world.repo("acme/rocket").git.commit(str(pull.merge_commit_sha)).message
    assert "[ci skip]" not in message
    assert "Wings (ci skip)" in message


def test_ci_that_never_takes_up_a_staging_ref_is_said_so_and_held_against_nobody(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    github.world.repo("acme/rocket").ci = CiConfig(branches=("main",))
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq)

    for _ in range(2):
        clock.advance(600)
        work(github, mergeq, 2)

    assert pull.is_open
    assert outcomes(mergeq)[-1] == ("TRIGGER", "ABANDONED", [1])
    page = mergeq.web.get("/pr/acme/rocket/1.json").get_json()
    assert page["reasons"][0]["remedy"].startswith(
        "have whatever reports ci/test build pushes to mergeq/** and report on the commit; "
    )


def test_a_fork_is_staged_only_once_somebody_answers_for_this_head(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull(
        "acme/rocket", title="From afar", files={"far.txt": "x\n"}, labels=("approved",), fork="eve", author="eve"
    )
    github.settle()
    work(github, mergeq)
    github.world.add_label(pull, "lgtm", by="ben")
    github.settle()

    work(github, mergeq, 2)

    assert pull.merged


def test_a_pull_request_that_edits_its_own_workflow_from_a_fork_waits_for_a_persons_word(
    github: Sandbox, mergeq: Mergeq
) -> None:
    github.world.users.set_role("eve", "read")
    pull = github.world.open_pull(
        "acme/rocket",
        title="Trust me",
        files={".github/workflows/ci.yml": "on: push\n"},
        labels=READY,
        fork="eve",
        author="eve",
    )
    github.settle()
    work(github, mergeq)
    said = status_of(github, pull)
    refs = staging_refs(github)
    github.world.add_label(pull, "ok-to-stage", by="ben")
    github.settle()
    work(github, mergeq, 2)

    assert said == "Not mergeable. PR touches sensitive paths and needs ok-to-stage label."
    assert refs == []
    assert pull.merged


def test_lgtm_given_before_a_push_does_not_count_after_it(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"}, "do-not-merge/hold")
    github.settle()
    work(github, mergeq)
    github.world.push_to_pull(pull, {"fins.txt": "five\n"})
    github.world.remove_label(pull, "do-not-merge/hold")
    github.settle()
    work(github, mergeq, 3)
    said = status_of(github, pull)
    github.world.remove_label(pull, "lgtm")
    clock.advance(5)
    github.world.add_label(pull, "lgtm", by="ben")
    github.settle()
    work(github, mergeq, 3)

    assert said.startswith("Not mergeable. lgtm was given to an earlier head, head is now")
    assert pull.merged


def test_another_tree_than_the_tested_one_halts_the_branch_until_a_person_resumes_it(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq)
    github.app.test_client().post("/_sim/faults", json={"id": "merge.wrong_tree", "times": 1})
    work(github, mergeq)
    next_one = ready(github, "Add wings", {"wings.txt": "two\n"})
    github.settle()
    work(github, mergeq, 3)
    said, waiting = status_of(github, next_one), next_one.is_open
    operators.resume(mergeq.services, MAIN, "ana@desk", "looked at")
    work(github, mergeq, 3)

    assert pull.merged
    wrong = next(record for record in mergeq.history() if record.outcome is Outcome.WRONG_TREE)
    assert wrong.tested_tree != wrong.landed_tree
    assert said.startswith("Not mergeable. The queue of this branch is halted:")
    assert waiting
    assert next_one.merged


def test_on_a_paused_branch_nothing_is_staged(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, "ana@desk", "release week")

    work(github, mergeq, 3)

    assert pull.is_open
    assert staging_refs(github) == []


def test_refs_that_were_left_behind_are_swept_and_no_others(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    tip = str(github.world.repo("acme/rocket").git.tip("main"))
    for name in (
        "mergeq/main-0123456789ab",
        "mergeq-scratch/main-0123456789ab",
        "mergeq/mine",
        "mergeq/other-0123456789ab",
    ):
        github.world.create_ref("acme/rocket", f"refs/heads/{name}", tip)
    pull = ready(github, "Add fins", {"fins.txt": "four\n"}, "do-not-merge/hold")
    github.settle()
    work(github, mergeq)
    clock.advance(25 * 3600)
    github.world.add_label(pull, "x")
    work(github, mergeq, 2)

    assert staging_refs(github) == ["mergeq/mine", "mergeq/other-0123456789ab"]


@pytest.mark.parametrize("made", [False, True], ids=["before the ref was made", "after it was made"])
def test_what_may_not_have_been_pushed_to_be_tested_is_staged_again(
    github: Sandbox, mergeq: Mergeq, made: bool
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    github.world.faults.add("http.reset", route="POST /repos/{owner}/{repo}/git/refs", after=1, args={"handled": made})

    work(github, mergeq, 5)

    assert pull.merged
    assert mergeq.history()[0].outcome is Outcome.LANDED


@pytest.mark.parametrize("is_staged", [True, False], ids=["staged still", "not staged any more"])
def test_the_ref_of_what_has_landed_is_swept_though_nothing_happens_on_its_branch_any_more(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], mergeq: Mergeq, clock: ManualClock, is_staged: bool
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    work(github, mergeq, 3)
    tested = staging_refs(github)

    clock.advance(25 * 3600)
    work(github, mergeq if is_staged else start_mergeq(CONFIG), 2)

    assert pull.merged
    assert len(tested) == 1
    assert staging_refs(github) == []


def test_lgtm_does_not_count_for_a_commit_that_was_known_elsewhere_and_pushed_after_it(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    """D17: the traces of a commit may be older than its coming to this pull request."""
    elsewhere = github.world.open_pull("acme/rocket", title="Prepared", files={"evil.txt": "x\n"}, author="eve")
    github.settle()
    clock.advance(60)
    pull = github.world.open_pull("acme/rocket", title="Harmless", files={"fins.txt": "four\n"}, labels=("approved",))
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    work(github, mergeq)
    clock.advance(5)
    github.world.add_label(pull, "lgtm", by="ben")
    github.settle()
    work(github, mergeq)
    clock.advance(5)
    github.world.update_ref("acme/rocket", f"refs/heads/{pull.head_ref}", elsewhere.head_sha, force=True)
    github.settle()

    work(github, mergeq, 3)

    assert pull.is_open
    assert pull.head_sha == elsewhere.head_sha
    assert "lgtm was given to an earlier head" in status_of(github, pull)
