"""Explaining: everything that keeps a pull request out, in every query that could take it, and what happens next."""

from typing import Any

import pytest

from mergeq.core.batch import RunState
from mergeq.core.decide import Situation
from mergeq.core.explain import Explanation, explain, lines, said_of
from mergeq.core.pool import Arrival, BranchSettings, Memory
from mergeq.core.pull import Protection, PullRequest, blocker
from mergeq.core.query import Query
from mergeq.core.reason import Clause
from tests.builders import facts, insider, pr, query, run, settings, staging

NOW = 1000.0
COLLEAGUE = """
acme/rocket#1  More thrust
by ana, wants into main, head 0000000, would land by merge

It is not merging: 2 things stand in the way.
  - needs the label approved, but its labels are do-not-merge/hold, lgtm
      a reviewer or member, usually by a command to the review bot: add approved
  - needs not to have the label do-not-merge/hold, but it has
      whoever set the label: remove do-not-merge/hold

1 other query could take it instead:
  - into release-1, with backport, lgtm: needs a base branch this query allows (release-1); needs the label backport

Status on GitHub: pending, Not mergeable. Needs approved label.
Next: when nothing stands in the way any more, it joins the pool of acme/rocket:main by itself, with nobody before it.
"""
RELEASE = Query(orgs=("acme",), labels=("backport", "lgtm"), included_branches=("release-1",))


def situation(*pulls: PullRequest, halted: str = "", runs: tuple[Any, ...] = (), **changes: Any) -> Situation:
    arrivals = {one.number: Arrival(one.head_sha, 0.0, original=True) for one in pulls}
    return Situation(facts(*pulls, **changes), Memory(arrivals=arrivals), runs, halted=halted, now=NOW)


def explained(*pulls: PullRequest, config: BranchSettings | None = None, **changes: Any) -> Explanation:
    found = explain(pulls[0].number, situation(*pulls, **changes), config or settings())
    assert found is not None
    return found


def test_who_is_not_open_on_the_branch_is_not_explained() -> None:
    assert explain(9, situation(pr(1)), settings()) is None


def test_every_query_that_could_take_it_is_named_with_all_that_it_misses_and_the_nearest_is_marked() -> None:
    config = settings(queries=(RELEASE, query()))

    found = explained(pr(1, labels=("lgtm",)), config=config)

    assert [(one.query, one.is_closest, one.distance) for one in found.chances] == [
        (RELEASE, False, 2001),
        (query(), True, 1),
    ]
    assert [reason.clause for reason in found.chances[0].reasons] == [Clause.BRANCH, Clause.LABELS]
    assert found.standing.reasons == found.chances[1].reasons


def test_a_reason_says_when_that_was_seen() -> None:
    """D7."""
    found = explained(pr(1, labels=()))

    assert {reason.observed_at for reason in found.standing.reasons} == {NOW}
    assert {reason.observed_at for chance in found.chances for reason in chance.reasons} == {NOW}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({}, "it is landed now: green and admitted."),
        ({"halted": "by hand"}, "nothing on acme/rocket:main for now: halted until a person resumes it: by hand."),
        ({"blockers": (blocker(7, "Freeze", ""),)}, "nothing on acme/rocket:main for now: blocked by issue #7."),
        (
            {"partial": "page 2"},
            "nothing on acme/rocket:main for now: not everything could be read from GitHub: page 2.",
        ),
    ],
)
def test_what_happens_next_to_a_member_is_said(spoil: dict[str, Any], said: str) -> None:
    found = explained(pr(1), **spoil)

    assert (found.position, found.next) == (1, said)


def test_who_waits_its_turn_is_told_for_whom() -> None:
    found = explained(pr(2), pr(1))

    assert (found.position, found.next) == (2, "it waits its turn: #1 first.")


def test_who_is_outside_is_told_that_it_joins_by_itself_and_behind_whom() -> None:
    joins = "when nothing stands in the way any more, it joins the pool of acme/rocket:main by itself"

    assert explained(pr(1, labels=())).next == f"{joins}, with nobody before it."
    assert explained(pr(1, labels=()), pr(2)).next == f"{joins}, behind 1 other."
    assert explained(pr(1, labels=()), pr(2), pr(3)).next == f"{joins}, behind 2 others."
    assert explained(pr(1, is_open=False)).next == "nothing: it is not open."


def test_who_is_tested_is_told_on_what_and_with_whom() -> None:
    one, two = insider(1), insider(2)
    config = staging()

    assert explained(one, config=config).next == "it is put to the test on bbbbbbb now: ready to be tested alone."
    assert explained(one, two, config=config).next == (
        "it is put to the test on bbbbbbb now, together with #2: ready to be tested together."
    )
    assert explained(two, one, config=config, runs=(run(one, two), run(one))).next == (
        "it is being tested on bbbbbbb, together with #1; if that is green, it lands."
    )
    over = (run(one, ended=RunState.RED), run(two))
    assert explained(one, two, config=staging(batch_size_limit=-1), runs=over).next == (
        "it waits its turn: testing #2."
    )


def test_an_explanation_reads_like_a_colleague() -> None:
    config = settings(queries=(query(), RELEASE))
    pull = pr(1, labels=("lgtm", "do-not-merge/hold"), title="More thrust")

    assert "\n".join(lines(explained(pull, config=config))) == COLLEAGUE.strip()
    assert "It is in the pool, number 1 of 1." in lines(explained(pr(1)))


def test_where_one_query_could_take_it_no_other_is_told() -> None:
    text = list(lines(explained(pr(1, labels=("lgtm",)), config=settings())))

    assert not any("could take it instead" in line for line in text)


def test_queries_are_told_apart_by_what_they_ask_for() -> None:
    everything = Query(
        repos=("acme/rocket",),
        author="@Ana",
        labels=("a,b", "c"),
        missing_labels=("d",),
        milestone="v1",
        excluded_branches=("old",),
        review_approved_required=True,
    )
    config = settings(queries=(query(), everything, Query(orgs=("acme",), labels=("z",))))
    told = list(lines(explained(pr(1, labels=()), config=config)))

    assert "2 other queries could take it instead:" in told
    assert any(
        line.startswith(
            "  - by @Ana, milestone v1, not into old, with a or b, c, without d, with an approving review: "
        )
        for line in told
    )


def test_a_query_that_asks_for_nothing_takes_any_pull_request() -> None:
    assert said_of(Query(orgs=("acme",))) == "any pull request"


def test_how_it_will_land_is_told_where_it_is_staged() -> None:
    """D5."""
    rules = Protection(by_pull=True)
    found = explain(1, Situation(facts(insider(), protection=rules)), staging())
    assert found is not None

    assert found.way == "pull-request: changes have to come through a pull request"
    assert [*lines(found)][-1] == f"Way of landing: {found.way}"
