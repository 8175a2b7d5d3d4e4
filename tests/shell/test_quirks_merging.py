"""What GitHub says about merging and mergeability when it is wrong, late or silent: what lands, and how often it is
asked.
"""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from mergeq.core.history import Outcome
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import MERGED, STAGED, foreign, read, ready, reasons, status_of, warned


def outcomes(mergeq: Mergeq) -> list[str]:
    """How every attempt ended, oldest first."""
    return [record.outcome.value for record in reversed(mergeq.history())]


@pytest.mark.quirk("Q6")
def test_base_was_modified_is_asked_again_after_a_pause(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock, quirk: Quirk
) -> None:
    quirk.on("merge.base_modified", times=2)
    pull = ready(github)
    before = clock.now()

    mergeq.sweep_and_work()

    assert pull.merged
    assert clock.now() - before >= 60 + 4 + 8
    assert (outcomes(mergeq), quirk.requests("/merge"), quirk.hits) == (["LANDED"], 3, 2)
    assert "Landed as" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q6")
def test_base_was_modified_without_end_holds_up_that_pull_request_alone(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    stuck, fine = ready(github, "Stuck"), ready(github, "Fine")
    quirk.on("merge.base_modified", pr=stuck.number, times=None)

    mergeq.sweep_and_work()

    assert (stuck.is_open, fine.merged) == (True, True)
    assert (outcomes(mergeq), quirk.requests("/merge")) == (["REFUSED", "LANDED", "REFUSED"], 7)
    said = "GitHub answered: Base branch was modified. Review and try the merge again."
    assert reasons(mergeq, stuck) == [f"needs GitHub to accept the merge, but {said}"]
    assert status_of(github, stuck) == f"Not mergeable. {said.replace('answered', 'refused')}"


@pytest.mark.quirk("Q7")
def test_a_push_between_the_last_look_and_the_merge_is_found_out_where_content_was_tested(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(MERGED)
    quirk.on("merge.race_push")
    first, second = ready(github, "First"), ready(github, "Second")

    for _ in range(5):
        mergeq.sweep_and_work()
        github.settle()

    raced = [record for record in mergeq.history() if record.outcome is Outcome.RACED]
    assert (first.merged, second.merged, len(raced)) == (True, True, 1)
    assert "somebody pushed in between" in raced[0].err
    last = next(record for record in mergeq.history() if record.landed_sha)
    assert (last.outcome, last.tested_tree) == (Outcome.LANDED, last.landed_tree)
    assert "raced-1.txt" in github.world.repo("acme/rocket").git.files_at(str(last.landed_sha), ["raced-1.txt"])


@pytest.mark.quirk("Q8")
@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_merge_that_failed_and_landed_counts_once_and_is_not_sent_again(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, code: int
) -> None:
    quirk.on("merge.lie_merged", code=code)
    pull = ready(github)

    mergeq.sweep_and_work(2)

    assert pull.merged
    assert (outcomes(mergeq), mergeq.history()[0].landed_sha) == (["LANDED"], pull.merge_commit_sha)
    assert quirk.requests("/merge") == 1
    assert f"Landed as {str(pull.merge_commit_sha)[:7]}" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q9")
def test_a_merge_that_landed_while_the_pull_request_reads_as_open_is_not_sent_again(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    quirk.on("merge.landed_pr_open", delay=120_000, code=502)
    pull = ready(github)

    mergeq.sweep_and_work(5)

    assert (pull.merged, outcomes(mergeq), quirk.requests("/merge")) == (True, ["LANDED"], 1)


@pytest.mark.quirk("Q10")
def test_a_merge_that_failed_and_did_nothing_is_sent_again_only_after_two_readings_agree(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    quirk.on("merge.5xx_nop")
    pull = ready(github)

    mergeq.sweep_and_work()

    assert pull.merged
    assert (outcomes(mergeq), quirk.requests("/merge")) == (["STALE", "LANDED"], 2)
    assert mergeq.history()[1].err.endswith("GitHub answered 502; GitHub did not merge it")
    assert quirk.requests("graphql:Landing") >= 2
    assert "GitHub answered 502; GitHub did not merge it" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q11")
@pytest.mark.parametrize(("landed", "ended", "sent"), [(True, ["LANDED"], 1), (False, ["STALE", "LANDED"], 2)])
def test_a_connection_that_breaks_under_a_merge_says_nothing(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, landed: bool, ended: list[str], sent: int
) -> None:
    quirk.on("merge.reset", landed=landed)
    pull = ready(github)

    mergeq.sweep_and_work(2)

    page = read(mergeq, f"/pr/acme/rocket/{pull.number}")
    assert (pull.merged, outcomes(mergeq), quirk.requests("/merge")) == (True, ended, sent)
    assert ("Landed as" in page, "the connection to GitHub broke" in page) == (True, not landed)


@pytest.mark.quirk("Q12")
def test_a_merge_that_was_confirmed_is_believed_though_the_pull_request_still_reads_as_open(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    quirk.on("read.lag", pr=pull.number, delay=50_000)

    with capture_logs() as log:
        mergeq.sweep_and_work(3)

    assert (pull.merged, outcomes(mergeq), quirk.requests("/merge")) == (True, ["LANDED"], 1)
    assert ("Landed as" in read(mergeq, f"/pr/acme/rocket/{pull.number}"), warned(log)) == (True, [])
    assert mergeq.history()[0].landed_sha == pull.merge_commit_sha


@pytest.mark.quirk("Q13")
def test_a_push_right_before_the_merge_is_caught_by_the_sha(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.on("merge.head_push")
    pull = ready(github)
    judged = pull.head_sha

    mergeq.sweep_and_work()

    assert pull.is_open
    assert pull.head_sha != judged
    assert mergeq.history()[0].outcome is Outcome.STALE
    assert "PR was modified: Head branch was modified" in mergeq.history()[0].err


@pytest.mark.quirk("Q14")
def test_mergeability_that_takes_its_time_holds_nothing_up(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.on("mergeable.lazy", reads=4, ms=5000)
    pull, other = ready(github), ready(github, "Other", labels=("lgtm",))

    mergeq.sweep_and_work()

    assert (pull.merged, outcomes(mergeq), quirk.requests("/merge")) == (True, ["LANDED"], 1)
    assert status_of(github, other) == "Not mergeable. Needs approved label."


@pytest.mark.quirk("Q14")
def test_a_conflict_that_is_known_late_is_told_once_it_is(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.on("mergeable.lazy", pr=1, reads=1, ms=1000)
    pull = ready(github, files={"engine.txt": "two\n"})
    github.world.push("acme/rocket", "main", {"engine.txt": "three\n"})

    mergeq.sweep_and_work(4)

    assert (pull.is_open, status_of(github, pull)) == (True, "Not mergeable. PR has a merge conflict.")


@pytest.mark.quirk("Q15")
def test_mergeability_that_is_never_known_holds_up_nobody(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    stuck, other = ready(github, "Stuck"), ready(github, "Other")
    unlabelled = ready(github, "Unlabelled", labels=("lgtm",))
    quirk.on("mergeable.stuck", pr=stuck.number, times=None)
    quirk.on("mergeable.stuck", pr=unlabelled.number, times=None)

    mergeq.sweep_and_work()

    assert (stuck.merged, other.merged, quirk.requests("/merge")) == (True, True, 2)
    assert reasons(mergeq, unlabelled) == ["needs the label approved, but its labels are lgtm"]


@pytest.mark.quirk("Q16")
def test_a_state_that_says_blocked_for_no_reason_does_not_decide(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull, other = ready(github), ready(github, "Other", labels=("lgtm",))
    for one in (pull, other):
        quirk.on("mergestate.wrong", pr=one.number, times=None)

    mergeq.sweep_and_work()

    assert (pull.merged, outcomes(mergeq), quirk.requests("/merge")) == (True, ["LANDED"], 1)
    assert status_of(github, other) == "Not mergeable. Needs approved label."
    assert reasons(mergeq, other) == ["needs the label approved, but its labels are lgtm"]


@pytest.mark.quirk("Q17")
def test_what_is_staged_is_built_from_the_base_and_the_head_never_from_a_stale_test_merge(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    pull = ready(github)
    for _ in range(2):
        foreign(github, "/repos/acme/rocket/pulls/1")
    base = github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})
    github.settle()
    stale, known = pull.merge_commit_sha, pull.mergeable
    quirk.shown_by("graphql:Pulls")

    mergeq.sweep_and_work()
    git = github.world.repo("acme/rocket").git
    staged = next(sha for name, sha in git.branches().items() if name.startswith("mergeq/"))

    assert (stale is not None, known) == (True, None)
    assert git.commit(staged).parents == (base, pull.head_sha)
    assert git.files_at(staged, ["moved.txt"]).keys() == {"moved.txt"}
    assert staged != stale
    assert f"#1 Add fins as {staged[:7]}" in read(mergeq)


@pytest.mark.quirk("Q78")
def test_a_wrong_tree_halts_the_branch(github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk) -> None:
    mergeq = start_mergeq(MERGED)
    quirk.on("merge.wrong_tree")
    first, second = ready(github, "First"), ready(github, "Second")

    for _ in range(4):
        mergeq.sweep_and_work()
        github.settle()

    assert [first.merged, second.merged].count(True) == 1
    assert "WRONG_TREE" in outcomes(mergeq)
    assert quirk.requests("{pull_number}/merge") == 1
