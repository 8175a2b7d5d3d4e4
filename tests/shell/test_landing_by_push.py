"""Landing the tested commit itself: one push for all that was tested together, or the reason why not (D5)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from mergeq import execute, operators, sync
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.landing import Way
from mergeq.core.pull import Branch, Method
from mergeq.sandbox import ManualClock, Sandbox, refs
from mergeq.sandbox.records import Pull, Restrictions
from mergeq.store import ALL, Intent, Lease, SavedPool
from tests.conftest import Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import MERGED, REQUIRED, STAGED, read, ready, reasons, status_of, warned, work
from tests.shell.test_rulesets import by_pull

MAIN = Branch("acme", "rocket", "main")
ONLY_BY_PUSH = REQUIRED + "mergeq: {queue: {retest: staging, landing: fast-forward}}\n"
BETWEEN = 2  # requests after the decision to push: the last look and the rules of the branch; the next is the push


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(STAGED)


def tip(github: Sandbox) -> str:
    return str(github.world.repo("acme/rocket").git.tip("main"))


def outcomes(mergeq: Mergeq) -> list[str]:
    """How every attempt to land ended, oldest first."""
    return [record.outcome.value for record in reversed(mergeq.history()) if "MERGE" in record.action]


def landed(mergeq: Mergeq) -> HistoryRecord:
    """The newest record of something that landed."""
    return next(record for record in mergeq.history() if record.landed_sha)


def move_on(github: Sandbox) -> None:
    """Have heads lack the tip of the base, so that no result of theirs is one of what would land."""
    github.world.push("acme/rocket", "main", {f"after-{tip(github)[:7]}.txt": "x\n"})


def decided(github: Sandbox, mergeq: Mergeq) -> tuple[Lease, SavedPool]:
    """What is to land now that everything staged is green, with the lease of its branch; nothing is landed yet."""
    move_on(github)
    mergeq.sweep_and_work()
    github.settle()
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease is not None
    return lease, sync.sync(mergeq.services, lease)


def test_what_was_tested_together_lands_by_one_push_as_the_very_commit(github: Sandbox, mergeq: Mergeq) -> None:
    pulls = [ready(github, f"Part {n}") for n in range(3)]
    lease, saved = decided(github, mergeq)

    record = execute.land(mergeq.services, lease, saved)

    staged = next(run.staged_sha for run in saved.runs if run.id == saved.run)
    assert (record.outcome, record.landed_sha, tip(github)) == (Outcome.LANDED, staged, staged)
    assert [target.number for target in record.targets] == [1, 2, 3]
    assert record.tested_tree == record.landed_tree == github.world.repo("acme/rocket").git.commit(staged).tree
    assert record.way == "fast-forward: no rule keeps the staged commit itself from being pushed"
    assert all(pull.merged for pull in pulls)
    assert mergeq.store.unnoticed(MAIN) == {}


def test_the_way_and_its_reason_are_shown_before_and_after(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github)
    github.world.add_ruleset("acme/rocket", rules=[by_pull()])
    move_on(github)
    mergeq.sweep_and_work()
    before = read(mergeq)
    github.settle()
    with capture_logs() as log:
        mergeq.sweep_and_work()

    said = "pull-request: changes have to come through a pull request"
    assert f"lands by {said}" in before
    assert f"landed as tested, by {said}" in read(mergeq, "/tide-history")
    assert mergeq.web.get("/api/history").get_json()["records"][0]["way"] == said
    told = [(one["way"], one["why"]) for one in log if one["event"] == "landing"]
    assert told == [(Way.PULL_REQUEST, "changes have to come through a pull request")]


def test_pull_requests_are_merged_one_by_one_where_that_is_asked_for(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(MERGED)
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    move_on(github)

    work(github, mergeq, 2)

    assert all(pull.merged for pull in pulls)
    assert pulls[0].merge_commit_sha != landed(mergeq).landed_sha == tip(github)
    assert landed(mergeq).way == "pull-request: `landing: pull-request` is configured"


@pytest.mark.quirk("Q77")
def test_a_squash_is_never_pushed_for_github_would_leave_it_open(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.shown_by("{pull_number}/merge")
    pull = ready(github, labels=("lgtm", "approved", "tide/squash"))

    work(github, mergeq, 2)

    assert pull.merged
    assert quirk.requests("graphql:Push") == 0
    assert (
        landed(mergeq).way == "pull-request: GitHub would not notice what lands otherwise than by merge: #1 by squash"
    )


def test_where_only_a_push_may_land_what_cannot_be_pushed_is_not_even_staged(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(ONLY_BY_PUSH)
    github.world.add_ruleset("acme/rocket", rules=[by_pull()])
    pull = ready(github)

    work(github, mergeq, 3)

    assert pull.is_open
    assert mergeq.history() == []
    said = "changes have to come through a pull request"
    assert status_of(github, pull) == f"Not mergeable. It is not landed: by fast-forward it cannot, since {said}."
    assert reasons(mergeq, pull) == [f"needs to be able to land by fast-forward, as `landing` asks, but {said}"]


def test_a_rule_that_comes_after_the_test_is_seen_before_the_push(github: Sandbox, mergeq: Mergeq) -> None:
    """D23: the choice is made once more of what is read right before the write."""
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    github.world.add_ruleset("acme/rocket", rules=[by_pull()])

    record = execute.land(mergeq.services, lease, saved)

    assert record.way == "pull-request: changes have to come through a pull request"
    assert (record.outcome, pull.merged) == (Outcome.LANDED, True)


def test_where_only_a_push_may_land_a_rule_that_comes_after_the_test_stops_it(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(ONLY_BY_PUSH)
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    github.world.add_ruleset("acme/rocket", rules=[by_pull()])

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.is_open) == (Outcome.STALE, True)
    assert "needs to be able to land by fast-forward, as `landing` asks, but changes have to come" in record.err


@pytest.mark.quirk("Q53")
def test_a_refusal_falls_back_and_is_remembered_until_protection_changes(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    first = ready(github, "First")
    lease, saved = decided(github, mergeq)
    quirk.on("refs.opaque422")
    record = execute.land(mergeq.services, lease, saved)
    mergeq.store.release(lease)
    second = ready(github, "Second")
    work(github, mergeq, 3)
    asked = quirk.requests("graphql:Push")
    github.world.protect("acme/rocket", "main", required_contexts=["ci/test"])
    third = ready(github, "Third")
    move_on(github)
    work(github, mergeq, 3)

    said = "pull-request: GitHub refused it under these rules: Reference update failed"
    assert (first.merged, second.merged, third.merged) == (True, True, True)
    assert record.way == said
    ways = [one.way for one in mergeq.history() if one.outcome is Outcome.LANDED]
    assert ways[1:] == [said, said]
    assert ways[0].startswith("fast-forward: ")
    assert (asked, quirk.requests("graphql:Push")) == (1, 2)


@pytest.mark.quirk("Q53")
def test_a_refusal_that_names_no_rule_is_asked_about_again_after_a_while(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(ONLY_BY_PUSH)
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    quirk.on("refs.opaque422")
    record = execute.land(mergeq.services, lease, saved)
    mergeq.store.release(lease)

    work(github, mergeq, 3)
    before = pull.merged
    work(github, mergeq, 8)

    assert (record.outcome, before, pull.merged) == (Outcome.REFUSED, False, True)
    assert quirk.requests("graphql:Push") == 2


@pytest.mark.quirk("Q54")
@pytest.mark.parametrize(("times", "ended", "asked"), [(2, Outcome.LANDED, 3), (9, Outcome.STALE, 3)])
def test_a_fast_forward_that_is_called_none_is_asked_for_again_and_not_for_ever(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, times: int, ended: Outcome, asked: int
) -> None:
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    quirk.on("refs.false_nonff", times=times)
    before = clock.now()

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.merged) == (ended, ended is Outcome.LANDED)
    assert quirk.requests("graphql:Push") == asked
    assert clock.now() - before >= 4 + 8


@pytest.mark.quirk("Q47")
def test_a_base_that_moves_right_before_the_push_is_not_overwritten(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    quirk.on("push.direct", after=BETWEEN)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.is_open) == (Outcome.STALE, True)
    assert "not at the tested" in record.err
    assert quirk.requests("graphql:Push") == 1
    assert mergeq.store.halted(MAIN) == ""


def test_a_base_that_was_put_back_is_not_moved_on_from_there(github: Sandbox, mergeq: Mergeq) -> None:
    """D5: what was staged would bring back all that was taken away, and is a fast-forward of it."""
    before = tip(github)
    github.world.push("acme/rocket", "main", {"secret.txt": "x\n"})
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    github.world.update_ref("acme/rocket", "refs/heads/main", before, force=True)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.is_open, tip(github)) == (Outcome.STALE, True, before)


@pytest.mark.parametrize("retest", ["staging", "update"])
def test_a_rewound_base_voids_what_was_tested_and_halts_the_branch(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], retest: str
) -> None:
    mergeq = start_mergeq(REQUIRED + f"mergeq: {{queue: {{retest: {retest}}}}}\n")
    before, pull = tip(github), ready(github)
    github.world.push("acme/rocket", "main", {"secret.txt": "x\n"})
    lost = tip(github)
    mergeq.sweep_and_work()
    github.world.update_ref("acme/rocket", "refs/heads/main", before, force=True)

    work(github, mergeq, 3)

    assert (pull.is_open, mergeq.store.runs(MAIN)) == (True, [])
    assert mergeq.store.halted(MAIN).startswith(
        f"the base was rewound: {before[:7]} lacks {lost[:7]}, which was its tip"
    )
    assert "resume the branch" in read(mergeq)
    operators.resume(mergeq.services, MAIN, "ana@desk", "looked at")
    work(github, mergeq, 4)
    assert pull.merged
    assert not github.world.repo("acme/rocket").git.files_at(tip(github), ["secret.txt"])


def test_an_answer_that_is_older_than_what_is_known_is_not_taken_for_a_rewound_base(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    before, pull = tip(github), ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    known = tip(github)
    mergeq.sweep_and_work()
    github.world.update_ref("acme/rocket", "refs/heads/main", before, force=True)
    clock.call_later(62, lambda: github.world.update_ref("acme/rocket", "refs/heads/main", known, force=True))

    work(github, mergeq)

    assert (mergeq.store.halted(MAIN), pull.is_open) == ("", True)
    assert "do not agree on whether acme/rocket:main is at" in read(mergeq)
    work(github, mergeq, 3)
    assert (mergeq.store.halted(MAIN), pull.merged) == ("", True)


def test_a_base_that_moves_on_is_not_taken_for_rewound(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github)
    mergeq.sweep_and_work()
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})

    work(github, mergeq, 3)

    assert (pull.merged, mergeq.store.halted(MAIN)) == (True, "")


@pytest.mark.parametrize(
    ("switch", "args", "landed"),
    [
        pytest.param("graphql.untyped", {}, True, marks=pytest.mark.quirk("Q5")),
        pytest.param("graphql.5xx", {"code": 502}, False, marks=pytest.mark.quirk("Q1")),
        pytest.param("graphql.timeout", {}, False, marks=pytest.mark.quirk("Q2")),
    ],
)
def test_an_answer_that_says_nothing_is_found_out_by_reading_and_never_sent_again(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str, args: dict[str, Any], landed: bool
) -> None:
    """D6."""
    pull = ready(github)
    lease, saved = decided(github, mergeq)
    quirk.on(switch, route="graphql:Push", **args)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.merged) == ((Outcome.LANDED, True) if landed else (Outcome.STALE, False))
    assert quirk.requests("graphql:Push") == 1
    assert landed or record.err.endswith("GitHub did not move the base")
    mergeq.store.release(lease)
    work(github, mergeq, 2)
    assert (pull.merged, outcomes(mergeq)) == (True, ["LANDED"] if landed else ["STALE", "LANDED"])


@pytest.mark.parametrize(
    ("config", "switch", "route"),
    [
        pytest.param(MERGED, "merge.5xx_nop", None, marks=pytest.mark.quirk("Q10")),
        pytest.param(STAGED, "graphql.5xx", "graphql:Push", marks=pytest.mark.quirk("Q1")),
    ],
)
def test_what_github_still_does_after_an_answer_that_says_nothing_is_recorded(
    github: Sandbox,
    start_mergeq: Callable[..., Mergeq],
    quirk: Quirk,
    clock: ManualClock,
    config: str,
    switch: str,
    route: str | None,
) -> None:
    """D6: a request may go on for ten seconds, whatever became of its connection."""
    mergeq, pull = start_mergeq(config), ready(github)
    lease, saved = decided(github, mergeq)
    quirk.on(switch, route=route)

    def go_on() -> None:
        if route:
            github.world.update_ref("acme/rocket", "refs/heads/main", saved.runs[0].staged_sha)
        else:
            github.world.merge_pull(pull)

    clock.call_later(5, go_on)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, pull.merged, record.landed_tree) == (Outcome.LANDED, True, record.tested_tree)
    assert record.landed_sha == tip(github)


@pytest.mark.parametrize("sent", [True, False])
def test_a_push_whose_worker_died_is_found_and_recorded_once(github: Sandbox, mergeq: Mergeq, sent: bool) -> None:
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    lease, saved = decided(github, mergeq)
    run, first = next(one for one in saved.runs if one.id == saved.run), pulls[0]
    now = mergeq.services.now()
    intent = Intent(
        saved, first.number, first.head_sha, Method.MERGE, run.base_sha, now, run.staged_sha, "fast-forward"
    )
    mergeq.store.intend(lease, intent)
    if sent:
        github.world.update_ref("acme/rocket", "refs/heads/main", run.staged_sha)

    record = execute.settle_intent(mergeq.services, lease)

    assert record is not None
    assert mergeq.store.intent(MAIN) is None
    assert (record.outcome, [pull.merged for pull in pulls]) == (
        (Outcome.LANDED, [True, True]) if sent else (Outcome.STALE, [False, False])
    )
    mergeq.store.release(lease)
    work(github, mergeq, 2)
    assert (outcomes(mergeq), [pull.merged for pull in pulls]) == (
        ["LANDED"] if sent else ["STALE", "LANDED"],
        [True, True],
    )


@pytest.mark.quirk("Q76")
def test_what_github_does_not_mark_as_merged_is_told_so_once_and_closed(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull, other = ready(github, "First"), ready(github, "Second")
    quirk.on("detect.merge_never", pr=pull.number, times=None)
    move_on(github)

    work(github, mergeq, 2)
    landed, waiting = tip(github), status_of(github, pull)
    work(github, mergeq, 3)

    assert (other.merged, pull.merged, pull.is_open) == (True, False, False)
    assert waiting == f"Not mergeable. It has landed as {landed[:7]}."
    assert [comment.body for comment in pull.comments] == [
        f"This has landed on `main` as {landed}. GitHub did not mark it as merged, so it is closed here."
    ]
    assert (outcomes(mergeq), mergeq.store.unnoticed(MAIN), tip(github)) == (["LANDED"], {}, landed)


@pytest.mark.quirk("Q76")
def test_what_github_marks_late_is_left_alone(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github)
    quirk.on("detect.merge_delay", pr=pull.number, ms=40_000)
    move_on(github)

    work(github, mergeq, 5)

    assert (pull.merged, pull.comments, outcomes(mergeq)) == (True, [], ["LANDED"])
    assert mergeq.store.unnoticed(MAIN) == {}


@pytest.mark.quirk("Q76")
def test_a_worker_that_died_between_comment_and_close_says_it_once(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    pull = ready(github)
    quirk.on("detect.merge_never", pr=pull.number, times=None)
    move_on(github)
    work(github, mergeq, 2)
    known = mergeq.store.unnoticed(MAIN)
    clock.advance(100)
    mergeq.store.mark_parts([MAIN], [ALL], clock.now())
    lease = mergeq.store.claim(MAIN, clock.now())
    assert lease is not None
    execute.see_off(mergeq.services, lease)
    github.world.reopen_pull(pull)
    mergeq.store.note_unnoticed(lease, known)

    execute.see_off(mergeq.services, lease)

    assert (len(pull.comments), pull.is_open) == (1, False)


@pytest.mark.quirk("Q76")
def test_what_is_pushed_to_after_it_landed_is_a_pull_request_again(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    quirk.on("detect.merge_never", pr=pull.number, times=1)
    move_on(github)
    work(github, mergeq, 2)

    github.world.push_to_pull(pull, {"more.txt": "x\n"})
    github.settle()
    work(github, mergeq, 2)

    assert (pull.is_open, pull.comments, mergeq.store.unnoticed(MAIN)) == (True, [], {})
    assert "lgtm was given to an earlier head" in status_of(github, pull)


@pytest.mark.quirk("Q75")
def test_the_landed_commit_is_the_one_that_we_pushed_whatever_github_calls_it(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    quirk.shown_by("graphql:Landing")
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    move_on(github)

    work(github, mergeq, 2)

    assert (landed(mergeq).landed_sha, pulls[0].merged) == (tip(github), True)
    assert pulls[0].merge_commit_sha != tip(github)
    assert f"Landed as one of 2 up to {tip(github)[:7]}" in read(mergeq, "/pr/acme/rocket/1")


@pytest.mark.quirk("Q82")
def test_a_pull_request_on_top_of_another_lands_with_it_by_one_push(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    quirk.shown_by("graphql:Push")
    lower = ready(github, "Lower")
    github.world.create_ref("acme/rocket", "refs/heads/upper", lower.head_sha)
    upper = ready(github, "Upper", head="upper")

    work(github, mergeq, 4)

    assert (lower.merged, upper.merged) == (True, True)
    assert {*outcomes(mergeq)} == {"LANDED"}
    assert mergeq.store.unnoticed(MAIN) == {}


@pytest.mark.parametrize(
    ("switch", "args"),
    [
        pytest.param("pr.close", {}, marks=pytest.mark.quirk("Q45")),
        pytest.param("pr.retarget", {"base": "next"}, marks=pytest.mark.quirk("Q43")),
    ],
)
def test_what_is_withdrawn_between_the_last_look_and_the_push_is_said_to_have_landed(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str, args: dict[str, Any]
) -> None:
    """D23."""
    github.world.create_ref("acme/rocket", "refs/heads/next", tip(github))
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    lease, saved = decided(github, mergeq)
    quirk.on(switch, pr=1, after=BETWEEN, **args)

    with capture_logs() as log:
        execute.land(mergeq.services, lease, saved)

    late, whole = sorted(mergeq.history()[:2], key=lambda record: len(record.targets))
    assert (late.outcome, [target.number for target in late.targets]) == (Outcome.LANDED_AFTER_CLOSE, [1])
    assert (whole.outcome, whole.landed_sha, late.landed_sha) == (Outcome.LANDED, tip(github), tip(github))
    assert [pull.merged for pull in pulls] == [False, True]
    assert [text for text in warned(log) if text.startswith("landed after it was closed")] != []
    counted = mergeq.web.get("/metrics").text
    assert 'mergeq_actions_total{branch="main",org="acme",outcome="LANDED_AFTER_CLOSE",repo="rocket"} 1' in counted


def test_our_own_context_is_posted_to_the_staged_commit_where_github_requires_it(
    github: Sandbox, mergeq: Mergeq
) -> None:
    github.world.users.set_role("mergeq-bot", "write")
    github.world.protect("acme/rocket", "main", required_contexts=["tide", "ci/test"])
    pull = ready(github)
    move_on(github)

    work(github, mergeq, 2)

    assert (pull.merged, landed(mergeq).way.partition(":")[0]) == (True, "fast-forward")
    posted = {one.context: one.state.value for one in github.world.repo("acme/rocket").latest_statuses(tip(github))}
    assert posted["tide"] == "success"


@pytest.mark.quirk("Q49")
def test_a_context_that_heads_alone_have_and_github_requires_lets_pull_requests_land_alone(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    quirk.shown_by("graphql:LastLook")
    mergeq = start_mergeq(STAGED.replace("retest: staging", "retest: staging, head_only_contexts: [dco]"))
    github.world.protect("acme/rocket", "main", required_contexts=["dco", "ci/test"])
    pull = ready(github)
    github.world.set_status("acme/rocket", pull.head_sha, context="dco")
    move_on(github)

    work(github, mergeq, 3)

    assert pull.merged
    assert landed(mergeq).way == "pull-request: GitHub requires dco on what is pushed, and heads alone have it"
    assert quirk.requests("graphql:Push") == 0


@pytest.mark.quirk("Q48")
def test_signatures_are_asked_of_every_commit_that_a_push_brings(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    """What is staged GitHub signs; what people pushed, they have to."""
    quirk.on("policy.signatures")
    unsigned, repo = ready(github, "Unsigned"), github.world.repo("acme/rocket")
    github.world.create_ref("acme/rocket", "refs/heads/signed", tip(github))
    refs.commit_on(github.world, repo, "signed", {"a.txt": "x\n"}, "Sign", "ana", expected=tip(github))
    signed = ready(github, "Signed", head="signed", files=None)

    work(github, mergeq, 5)

    assert (unsigned.is_open, signed.merged) == (True, True)
    assert landed(mergeq).way.partition(":")[0] == "fast-forward"
    (said,) = {text for text in reasons(mergeq, unsigned) if "signatures" in text}
    assert said.endswith(f"commits must have verified signatures, and {unsigned.head_sha[:7]} has none")


@pytest.mark.parametrize("named", [Restrictions(users=("mergeq-bot",)), Restrictions(teams=("release",))])
def test_pushes_restricted_to_us_by_name_or_by_team_are_ours(
    github: Sandbox, mergeq: Mergeq, named: Restrictions
) -> None:
    github.world.protect("acme/rocket", "main", restrictions=named)
    github.world.users.set_role("mergeq-bot", "write")
    github.world.users.join_team("acme/release", "mergeq-bot")
    pull = ready(github)

    work(github, mergeq, 2)

    assert (pull.merged, landed(mergeq).way.partition(":")[0]) == (True, "fast-forward")


def test_the_beginning_of_a_run_that_landed_was_not_tested_and_its_base_is_doubted(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    """D22."""
    mergeq = start_mergeq(MERGED)
    pulls = [ready(github, f"Part {n}") for n in range(3)]
    lease, saved = decided(github, mergeq)
    body = {"id": "merge.base_modified", "match": {"repo": "acme/rocket", "pr": 3}, "times": 3}
    github.app.test_client().post("/_sim/faults", json=body)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, [pull.merged for pull in pulls]) == (Outcome.PARTIAL, [True, True, False])
    assert (record.tested_tree, record.landed_sha) == (None, tip(github))
    doubt = mergeq.store.doubted(MAIN)
    assert doubt is not None
    assert (doubt.base_sha, doubt.why) == (tip(github), "PARTIAL: what is on the base was not tested as it is")
    mergeq.store.clear_doubt(lease)
    assert mergeq.store.doubted(MAIN) is None


def test_the_first_of_a_batch_that_was_green_alone_too_was_tested(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(MERGED)
    pulls = [ready(github, f"Part {n}") for n in range(2)]
    lease, saved = decided(github, mergeq)
    body = {"id": "merge.base_modified", "match": {"repo": "acme/rocket", "pr": 2}, "times": 3}
    github.app.test_client().post("/_sim/faults", json=body)

    record = execute.land(mergeq.services, lease, saved)

    assert (record.outcome, [pull.merged for pull in pulls]) == (Outcome.PARTIAL, [True, False])
    assert record.tested_tree == record.landed_tree
    assert mergeq.store.doubted(MAIN) is None


def merged_of(pulls: list[Pull]) -> list[bool]:
    return [pull.merged for pull in pulls]


def test_the_rest_of_a_run_lands_by_push_where_its_beginning_landed_as_staged(github: Sandbox, mergeq: Mergeq) -> None:
    """A run's members may land in two steps; the second starts from the commit that was staged for the first."""
    pulls = [ready(github, f"Part {n}") for n in range(3)]
    lease, saved = decided(github, mergeq)
    run = next(one for one in saved.runs if one.id == saved.run)
    first = run.commits[0]
    github.world.update_ref("acme/rocket", "refs/heads/main", first)
    rest = replace(saved, targets=(2, 3), runs=(run,), pool=replace(saved.pool, base_sha=first, base_tree=run.trees[0]))

    record = execute.land(mergeq.services, lease, rest)

    assert (record.outcome, record.landed_sha, tip(github)) == (Outcome.LANDED, run.staged_sha, run.staged_sha)
    assert record.way.startswith("fast-forward: ")
    assert merged_of(pulls) == [True, True, True]


def test_the_rest_of_a_run_is_merged_where_its_beginning_landed_as_another_commit(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pulls = [ready(github, f"Part {n}") for n in range(3)]
    lease, saved = decided(github, mergeq)
    run = next(one for one in saved.runs if one.id == saved.run)
    github.world.merge_pull(pulls[0], method="merge", by="mergeq-bot")
    now_at = replace(saved.pool, base_sha=tip(github), base_tree=run.trees[0])
    rest = replace(saved, targets=(2, 3), runs=(run,), pool=now_at)

    record = execute.land(mergeq.services, lease, rest)

    assert (record.outcome, record.tested_tree) == (Outcome.LANDED, record.landed_tree)
    assert record.way == f"pull-request: it was staged on {run.commits[0][:7]}, not on the tip {rest.pool.base_sha[:7]}"
    assert merged_of(pulls) == [True, True, True]
