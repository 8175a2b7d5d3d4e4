"""Which way tested content lands, and what is said of it (D5)."""

from dataclasses import replace

import pytest

from mergeq.core.landing import Choice, Staged, Way, choose, obstacles, obstacles_of
from mergeq.core.pull import Context, Method, Protection, Result
from mergeq.core.queue import Landing, QueueValues, Retest
from tests.builders import BASE, context, green

FREE = Protection()
QUEUE = QueueValues(retest=Retest.STAGING)
STAGED = "5" * 40
FINE = Staged(STAGED, BASE, (green(),), speaks_as="mergeq[bot]")


def against(protection: Protection = FREE, queue: QueueValues = QUEUE, method: Method = Method.MERGE) -> str:
    return "; ".join(obstacles([(1, Method.MERGE), (2, method)], protection, queue))


def against_staged(protection: Protection = FREE, staged: Staged = FINE, tip: str = BASE) -> str:
    return "; ".join(obstacles_of(staged, tip, protection, "tide"))


def required(*names: str, app: str | None = None) -> Protection:
    return Protection(required=tuple((name, app) for name in names))


def test_nothing_in_the_way_is_pushed_unless_pull_requests_are_asked_for() -> None:
    assert choose(Landing.AUTO, ()).way is Way.FAST_FORWARD
    assert choose(Landing.FAST_FORWARD, ()).way is Way.FAST_FORWARD
    assert choose(Landing.PULL_REQUEST, ()) == Choice(Way.PULL_REQUEST, "`landing: pull-request` is configured")


def test_what_is_in_the_way_is_told_and_lands_nothing_where_only_a_push_may() -> None:
    assert str(choose(Landing.AUTO, ["it is locked", "it is red"])) == "pull-request: it is locked; it is red"
    assert str(choose(Landing.FAST_FORWARD, ["it is locked"])) == "nothing lands: it is locked"


@pytest.mark.parametrize("retest", [Retest.HEAD, Retest.UPDATE])
def test_nothing_can_be_pushed_where_nothing_is_staged(retest: Retest) -> None:
    found = against(Protection(is_locked=True), replace(QUEUE, retest=retest), Method.SQUASH)

    assert found == f"with `retest: {retest}` no commit is made that could be pushed"


@pytest.mark.parametrize("method", [Method.SQUASH, Method.REBASE])
def test_github_would_not_notice_another_method_than_merge(method: Method) -> None:
    """Q77."""
    assert against(method=method) == f"GitHub would not notice what lands otherwise than by merge: #2 by {method}"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Protection(by_pull=True), "changes have to come through a pull request"),
        (Protection(linear_history=True), "a linear history is required, and merges are what was tested"),
        (Protection(is_locked=True), "the branch is locked"),
        (Protection(no_updates=True), "a ruleset restricts updates"),
        (Protection(reserved_for=("ana", "@acme/release")), "only ana, @acme/release may push"),
        (Protection(unjudged=("workflows",)), "only GitHub can judge its rules: workflows"),
    ],
)
def test_a_rule_that_a_push_would_break_is_named(rule: Protection, said: str) -> None:
    """D19."""
    assert against() == ""
    assert against(rule) == said


@pytest.mark.parametrize(
    "rule",
    [
        Protection(reviews=True),
        Protection(conversations=True),
        Protection(up_to_date=True),
        Protection(dismisses_stale=True),
        Protection(last_push_approval=True),
    ],
)
def test_a_rule_about_pull_requests_alone_is_for_the_last_look(rule: Protection) -> None:
    assert against(rule) == against_staged(rule) == ""


def test_a_context_that_heads_alone_have_cannot_be_required_of_a_push() -> None:
    """Q49."""
    queue = replace(QUEUE, head_only_contexts=frozenset({"DCO"}))

    assert against(required("dco", "ci/test"), queue) == (
        "GitHub requires dco on what is pushed, and heads alone have it"
    )
    assert against(required("ci/test"), queue) == ""


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (None, "e2e is missing"),
        (context("e2e", Result.PENDING), "e2e is still running"),
        (context("e2e", Result.FAILURE), "e2e failed"),
    ],
)
def test_what_github_requires_has_to_be_green_on_the_staged_commit(one: Context | None, said: str) -> None:
    staged = replace(FINE, contexts=(green(), *([one] if one else [])))

    assert against_staged(required("ci/test"), staged) == ""
    found = against_staged(required("ci/test", "e2e"), staged)
    assert found == f"GitHub requires on what is pushed what 5555555 does not have: {said}"


def test_what_github_does_not_require_does_not_count_against_a_push() -> None:
    assert against_staged(staged=replace(FINE, contexts=(context("lint", Result.FAILURE),))) == ""


def test_a_required_context_counts_from_its_app_alone() -> None:
    staged = replace(FINE, contexts=(green("ci", app="elsewhere"), green("lint", app="ci-app")))

    assert against_staged(required("lint", app="ci-app"), staged) == ""
    assert "ci is missing" in against_staged(required("ci", app="ci-app"), staged)


def test_our_own_context_is_posted_by_us_and_no_obstacle_unless_it_is_anothers() -> None:
    assert against_staged(required("Tide")) == ""
    assert against_staged(required("tide", app="mergeq")) == ""
    assert against_staged(required("tide", app="prow")) == "tide has to be written by prow"


@pytest.mark.parametrize(
    ("staged", "said"),
    [
        (replace(FINE, onto="a" * 40), "it was staged on aaaaaaa, not on the tip bbbbbbb"),
        (replace(FINE, sha=""), "no commit of its own was made"),
        (replace(FINE, onto=""), "it was staged on another commit, not on the tip bbbbbbb"),
        (
            replace(FINE, unsigned=("1" * 40, "2" * 40, "3" * 40, "4" * 40)),
            "signatures are required, and GitHub verifies none of 1111111, 2222222, 3333333 and 1 more",
        ),
        (
            replace(FINE, hidden=("max file size",)),
            "only GitHub can judge its rules, and would let mergeq pass: max file size",
        ),
    ],
)
def test_the_staged_commit_itself_may_be_in_the_way(staged: Staged, said: str) -> None:
    assert against_staged(staged=staged) == said


def test_contexts_that_could_not_be_read_are_not_taken_for_green() -> None:
    staged = replace(FINE, contexts=None)

    assert against_staged(staged=staged) == ""
    assert "the contexts of 5555555 could not be read" in against_staged(required("ci/test"), staged)
