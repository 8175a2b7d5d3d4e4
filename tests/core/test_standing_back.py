"""Who stands back for a while: what GitHub refused, what CI reported only just now, what operators took out."""

from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.orders import Eviction, Halt
from mergeq.core.pool import Arrival, Memory, Refusal, Standing, assess, binding, circumstances, settled_at, stands_back
from mergeq.core.pull import Method, Protection, PullRequest, Repository, Result
from mergeq.core.reason import Clause
from mergeq.core.status import phrase
from tests.builders import BASE, context, green, pr, settings

FREE, ANY = Protection(), Repository()
NOW = 1000.0


def judged(pull: PullRequest, protection: Protection = FREE, now: float = NOW, **remembered: Any) -> Standing:
    return assess(pull, ANY, protection, settings(), knowing(pull, **remembered), now)


def knowing(pull: PullRequest, **remembered: Any) -> Memory:
    """What is remembered of a pull request whose head is the one that it was opened with."""
    return Memory(arrivals={pull.number: Arrival(pull.head_sha, 0.0, original=True)}, **remembered)


def refused(pull: PullRequest, **changes: Any) -> Refusal:
    known = circumstances(pull, ANY, FREE, "tide")
    return Refusal(**{"head_sha": pull.head_sha, "text": "no", "until": NOW + 60, "circumstances": known, **changes})


# What GitHub refused (T12.7)


@pytest.mark.parametrize(
    "changed",
    [
        pr(labels=("lgtm", "approved", "urgent")),
        pr(contexts=(green(at=500.0),)),
        pr(contexts=(green(), green("ci/other"))),
        pr(review_decision="APPROVED"),
        pr(approvers=("ben",)),
        pr(unresolved_threads=1),
        pr(head_sha="9" * 40),
    ],
    ids=["a label", "a result again", "another result", "a decision", "a review", "a conversation", "a push"],
)
def test_what_could_change_githubs_mind_ends_a_refusal(changed: PullRequest) -> None:
    refusals = {1: refused(pr())}

    assert not judged(pr(), refusals=refusals).in_pool
    assert judged(changed, refusals=refusals).in_pool


def test_other_rules_end_a_refusal() -> None:
    assert judged(pr(), Protection(conversations=True), refusals={1: refused(pr())}).in_pool


def test_other_merge_methods_end_a_refusal() -> None:
    squashing = Repository(frozenset({Method.MERGE, Method.SQUASH}))

    assert circumstances(pr(), squashing, FREE, "tide") != circumstances(pr(), ANY, FREE, "tide")


@pytest.mark.parametrize(
    "changed",
    [
        pr(title="Another title", updated_at=5.0),
        pr(merge_state="UNKNOWN", can_be_rebased=False),
        pr(contexts=(green(), context("tide", Result.PENDING))),
        pr(labels=("APPROVED", "LGTM")),
    ],
    ids=["a title", "an opinion", "our own status", "the spelling of labels"],
)
def test_what_could_not_leaves_a_refusal_as_it_is(changed: PullRequest) -> None:
    (reason,) = judged(changed, refusals={1: refused(pr())}).reasons

    assert reason.clause is Clause.REFUSED


def test_a_refusal_about_the_base_ends_when_the_base_moves() -> None:
    about_base, other = refused(pr(), base_sha=BASE), refused(pr(2))

    assert binding({1: about_base, 2: other}, BASE) == {1: about_base, 2: other}
    assert binding({1: about_base, 2: other}, "c" * 40) == {2: other}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (refused(pr(), circumstances=""), "or at once when it is pushed to"),
        (refused(pr()), "or at once when it is pushed to, or its labels, reviews, results or rules change"),
        (refused(pr(), base_sha=BASE), "when it is pushed to, its base moves, or its labels"),
    ],
)
def test_a_refusal_says_what_ends_it(refusal: Refusal, said: str) -> None:
    assert said in judged(pr(), refusals={1: refusal}).reasons[0].remedy


@pytest.mark.parametrize(("tries", "seconds"), [(1, 300.0), (2, 600.0), (4, 2400.0), (5, 3600.0), (90, 3600.0)])
def test_each_refusal_of_a_head_is_believed_for_twice_as_long_up_to_an_hour(tries: int, seconds: float) -> None:
    assert stands_back(tries, 300.0) == seconds
    assert stands_back(tries, 86400.0) == 86400.0


# What CI reported only just now (D18)

SETTLING = settings(settle=60.0)


def settling(pull: PullRequest, now: float, **remembered: Any) -> Standing:
    return assess(pull, ANY, FREE, SETTLING, knowing(pull, **remembered), now)


def test_a_head_is_admitted_once_its_newest_report_is_old_enough() -> None:
    pull = pr(contexts=(green(at=100.0), green("ci/late", at=130.0, ended_at=150.0)))

    (reason,) = settling(pull, 160.0).reasons

    assert reason.clause is Clause.SETTLING
    assert (reason.needed, reason.observed) == ("CI to have been quiet for 60 s", "ci/late reported 10 s ago")
    assert reason.remedy == "wait 50 s more"
    assert settled_at(pull, SETTLING) == 210.0
    assert not settling(pull, 209.9).in_pool
    assert settling(pull, 210.0).in_pool


def test_what_does_not_count_does_not_keep_a_head_from_settling() -> None:
    ours = context("tide", Result.PENDING, at=155.0)

    assert settling(pr(contexts=(green(at=50.0), ours)), 160.0).in_pool
    assert settled_at(pr(contexts=()), SETTLING) == 0.0


def test_a_head_that_is_kept_out_by_something_else_is_not_told_to_settle() -> None:
    red = pr(contexts=(context("ci/test", Result.FAILURE, at=155.0),))

    assert {reason.clause for reason in settling(red, 160.0).reasons} == {Clause.CONTEXTS}


def test_a_head_that_was_admitted_is_not_held_by_one_more_green_result() -> None:
    pull = pr(contexts=(green(at=50.0), green("ci/again", at=155.0)))

    assert settling(pull, 160.0, entered={(1, pull.head_sha): 120.0}).in_pool


def test_without_settle_a_green_head_is_admitted_at_once() -> None:
    assert judged(pr(contexts=(green(at=NOW),))).in_pool


# What operators said


def test_an_eviction_is_about_one_head() -> None:
    evicted = {1: Eviction(pr().head_sha, "it breaks the telescope", "ana@desk", 900.0)}

    (reason,) = judged(pr(), evictions=evicted).reasons

    assert reason.clause is Clause.EVICTED
    assert reason.observed == "ana@desk took it out of the queue at 1970-01-01 00:15 UTC: it breaks the telescope"
    assert phrase(reason) == " Taken out of the queue by ana@desk: it breaks the telescope"
    assert judged(replace(pr(), head_sha="9" * 40), evictions=evicted).in_pool


@pytest.mark.parametrize(
    ("halt", "said"),
    [
        (Halt("another tree landed"), "another tree landed"),
        (Halt("another tree landed", at=900.0), "another tree landed (since 1970-01-01 00:15 UTC)"),
        (Halt("release", "ana@desk", 900.0), "paused by ana@desk since 1970-01-01 00:15 UTC: release"),
    ],
)
def test_a_halt_says_who_since_when_and_why_as_far_as_it_is_known(halt: Halt, said: str) -> None:
    assert halt.said == said
