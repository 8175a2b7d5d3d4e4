"""What Tide's own tests say about pools, actions and statuses, held against the core with Tide's reading; and of each
difference of ours both sides.
"""

from dataclasses import replace
from typing import Any

import pytest

from mergeq.core import evidence
from mergeq.core.action import Action, Blocked, Land, Merge, Stage, Wait, wire_name
from mergeq.core.batch import Progress, RunState
from mergeq.core.batch import Tested as Proof
from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, EmptyContexts, Presubmit, best, latest, unsuccessful
from mergeq.core.conviction import convictions
from mergeq.core.decide import decide
from mergeq.core.evidence import Evidence
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import Arrival, BlocksPolicy, BranchSettings, Memory, Pool, Refusal, Standing, divide
from mergeq.core.pull import Context, Mergeable, Method, PullRequest, Repository, Result, blocker
from mergeq.core.query import Query
from mergeq.core.queue import Order
from mergeq.core.reason import Clause
from mergeq.core.status import Status, cut, difference, told
from tests.builders import (
    BASE,
    MAIN,
    clash,
    context,
    facts,
    green,
    insider,
    job,
    pr,
    query,
    run,
    settings,
    staging,
    tide,
)
from tests.core.test_status import Q1, Q2, theirs

S, P, F, E = Result.SUCCESS, Result.PENDING, Result.FAILURE, Result.ERROR


def judged(*pulls: PullRequest, config: BranchSettings | None = None, **changes: Any) -> Pool:
    """A branch as Tide sees it."""
    return divide(facts(*pulls, **changes), config or tide(), Memory(), 0.0)


def ours(*pulls: PullRequest, config: BranchSettings | None = None, **changes: Any) -> Pool:
    """A branch as we see it, every head being the one its pull request was opened with."""
    arrivals = {pull.number: Arrival(pull.head_sha, 0.0, original=True) for pull in pulls}
    return divide(facts(*pulls, **changes), config or settings(), Memory(arrivals=arrivals), 0.0)


def members(found: Pool) -> list[int]:
    return [member.pull.number for member in found.members]


# The pool (T3)

FILTER = ContextPolicy(
    required=frozenset({"pj-a", "pj-b", "other-a"}), optional=frozenset({"tide", "pj-c"}), skip_unknown=True
)
GREEN = (green("pj-a"), green("pj-b"), green("other-a"))


def check(result: Result, name: str = "other-a") -> Context:
    """A check run of some app."""
    return context(name, result, app="ci")


@pytest.mark.parametrize(
    ("contexts", "jobs", "stays"),
    [
        pytest.param(GREEN, "pj-a", True, id="T11.130 the optional one is absent"),
        pytest.param((*GREEN[:2], check(S)), "pj-a", True, id="T11.131 a check run passed"),
        pytest.param((*GREEN[:2], check(P)), "pj-a", False, id="T11.132 a check run has not ended"),
        pytest.param((*GREEN[:2], check(F)), "pj-a", False, id="T11.133 a check run failed"),
        pytest.param((*GREEN[:2], context("other-a", P)), "pj-a pj-b", False, id="T11.135 pending, and no job"),
        pytest.param((GREEN[0], context("pj-b", P), GREEN[2]), "pj-a pj-b", True, id="T11.136 pending by its job"),
        pytest.param((GREEN[0], context("pj-b", F), GREEN[2]), "pj-a pj-b", False, id="T11.137 red"),
        pytest.param(GREEN[1:], "pj-a pj-b", False, id="T11.138 absent"),
        pytest.param((*GREEN, context("unknown", F)), "pj-a pj-b", True, id="T11.139 an unknown one is red"),
    ],
)
def test_who_is_in_tide_s_pool_has_all_that_counts_green_or_run_again(
    contexts: tuple[Context, ...], jobs: str, stays: bool
) -> None:
    found = judged(pr(1, contexts=contexts), config=tide(*jobs.split(), contexts=FILTER))

    assert bool(found.members) is stays


def test_what_is_pending_may_be_run_again_by_tide_and_is_awaited_by_us() -> None:
    """T3.14 replaced (T13.3)."""
    waiting = pr(1, contexts=(context("ci/test", P),))

    assert members(judged(waiting, config=tide("ci/test"))) == [1]
    assert members(ours(waiting)) == []


@pytest.mark.parametrize(
    ("pulls", "numbers"),
    [
        pytest.param((pr(1, mergeable=Mergeable.CONFLICTING),), [], id="T11.134, T11.144 alone"),
        pytest.param((pr(1, mergeable=Mergeable.CONFLICTING), pr(2)), [2], id="T11.144 with another"),
        pytest.param((pr(1, contexts=(context("ci", F),)), pr(2)), [2], id="T11.140 one is red"),
        pytest.param((pr(1), pr(2)), [1, 2], id="T11.141 both are fine"),
        pytest.param((pr(1, contexts=(context("ci", F),)), pr(2, contexts=None)), [], id="T11.142, T3.11 nobody"),
        pytest.param((pr(1, mergeable=Mergeable.UNKNOWN),), [1], id="T11.143 not known yet"),
        pytest.param((pr(1, was_found=False), pr(2)), [2], id="one was not found"),
    ],
)
def test_one_that_stays_out_leaves_the_others_in(pulls: tuple[PullRequest, ...], numbers: list[int]) -> None:
    assert members(judged(*pulls)) == numbers


def test_one_that_several_queries_admit_is_in_the_pool_once() -> None:
    """T11.145."""
    assert members(judged(pr(1), config=tide(queries=(query(), query(labels=()))))) == [1]


def test_where_blockers_cannot_be_read_nobody_is_in_tide_s_pool_and_we_wait() -> None:
    """T11.146, T7.3."""
    gap: dict[str, Any] = {"partial": "the issues that may block it"}

    assert members(judged(pr(1), **gap)) == []
    assert decide(judged(pr(1), **gap), tide()).action == Wait("no pull request is ready")
    assert decide(ours(pr(1), **gap), settings()).action == Wait(
        "not everything could be read from GitHub: the issues that may block it"
    )


def test_a_policy_that_contradicts_itself_stops_tide_alone() -> None:
    """T1.61: Tide does not act and sets no status; of ours the required side holds."""
    both = ContextPolicy(required=frozenset({"ci/test"}), optional=frozenset({"ci/test"}))
    refusing = tide(contexts=both, refusal=both.refusal())
    found = judged(pr(1), config=refusing)

    assert members(found) == []
    assert told(found.standings[0], found, refusing) == Status("", both.refusal())
    assert members(ours(pr(1), config=settings(contexts=both))) == [1]


@pytest.mark.parametrize(
    ("config", "method"),
    [
        pytest.param({}, Method.MERGE, id="T11.148 by default"),
        pytest.param({"squash_label": "m/squash"}, Method.SQUASH, id="T11.148 by label"),
        pytest.param({"flat": {"acme": Method.SQUASH}}, Method.SQUASH, id="T11.148 as configured"),
        pytest.param(
            {"flat": {"acme": Method.SQUASH}, "rebase_label": "m/squash"}, Method.REBASE, id="T11.148 the label wins"
        ),
    ],
)
def test_the_method_of_a_member_is_the_same_in_both_readings(config: dict[str, Any], method: Method) -> None:
    pull, methods = pr(1, labels=("lgtm", "approved", "m/squash")), MergeMethods(**config)

    for found in (judged(pull, config=tide(methods=methods)), ours(pull, config=settings(methods=methods))):
        assert found.standings[0].method is method


def test_what_the_repository_does_not_allow_stays_out() -> None:
    """T11.150, T11.151."""
    merge_only = Repository(frozenset({Method.MERGE}))
    rebasing = tide(methods=MergeMethods(flat={"acme": Method.REBASE}))
    unrebasable = pr(1, can_be_rebased=False)

    assert members(judged(pr(1), config=rebasing, repository=merge_only)) == []
    assert members(judged(unrebasable, config=rebasing)) == []
    assert members(judged(pr(1), config=rebasing)) == [1]


def test_tide_believes_that_it_cannot_be_rebased_also_while_github_does_not_know() -> None:
    """T3.9; we wait for GitHub's opinion, and the merge itself says no."""
    unsure = pr(1, mergeable=Mergeable.UNKNOWN, can_be_rebased=False)
    methods = MergeMethods(flat={"acme": Method.REBASE})

    assert members(judged(unsure, config=tide(methods=methods))) == []
    assert members(ours(unsure, config=settings(methods=methods))) == [1]


# Contexts of a head (T3.18, T3.19)


@pytest.mark.parametrize(
    ("results", "kept"),
    [
        pytest.param((F, E, F, S), S, id="T11.120 one passed"),
        pytest.param((S, F, E), S, id="T11.120 the first passed"),
        pytest.param((F, E, F, P), P, id="T11.121 one runs"),
        pytest.param((F, F), F, id="T11.122 all failed"),
        pytest.param((S,), S, id="T11.124 there is one"),
    ],
)
def test_of_check_runs_of_one_name_tide_takes_the_best(results: tuple[Result, ...], kept: Result) -> None:
    runs = [context("ci", result, app="some", description="said", url="u") for result in results]

    assert best(runs) == (replace(runs[0], result=kept),)


def test_check_runs_of_two_names_are_two_contexts() -> None:
    """T11.123."""
    assert [one.name for one in best((check(S, "a"), check(S, "b")))] == ["a", "b"]


def test_a_failure_after_a_success_counts_for_us_and_not_for_tide() -> None:
    """D18, T12.21."""
    runs = (context("ci", S, app="some", at=1.0), context("ci", F, app="some", at=2.0))

    assert [one.result for one in best(runs)] == [S]
    assert [one.result for one in latest(runs)] == [F]
    assert members(judged(pr(1, contexts=runs))) == [1]
    assert members(ours(pr(1, contexts=runs))) == []


def test_runs_of_two_apps_must_both_pass_for_us_and_the_best_does_for_tide() -> None:
    """D18."""
    runs = (context("ci", S, app="one"), context("ci", F, app="other"))

    assert unsuccessful(runs, tide().demands) == ()
    assert [one.app for one in unsuccessful(runs, settings().demands)] == ["other"]


def test_a_status_and_a_check_run_of_one_name_must_both_pass_in_both_readings() -> None:
    """T11.129, T3.18."""
    both = (context("ci", S), context("ci", F, app="some"))

    assert len(unsuccessful(both, tide().demands)) == 1
    assert len(unsuccessful(both, settings().demands)) == 1


def test_our_own_context_may_be_required_and_is_never_awaited_by_us() -> None:
    """T3.15: Tide asks for it until it is there, whatever it says."""
    asked = ContextPolicy(required=frozenset({"tide"}))

    assert [one.name for one in unsuccessful((), tide(contexts=asked).demands)] == ["tide"]
    assert unsuccessful((context("tide", F),), tide(contexts=asked).demands) == ()
    assert unsuccessful((), settings(contexts=asked).demands) == ()


def test_labels_differ_by_case_for_tide_alone() -> None:
    """D18, T1.4."""
    shouting = pr(1, labels=("LGTM", "Approved"))

    assert difference(query(), shouting, tide()) == (" Needs approved, lgtm labels.", 2)
    assert difference(query(), shouting, settings()) == ("", 0)


# The action (T4.3)


def chosen(
    *numbers: int,
    success: tuple[int, ...] = (),
    pending: tuple[int, ...] = (),
    missing: tuple[int, ...] = (),
    merge: tuple[int, ...] = (),
    batch: tuple[int, ...] = (),
    demanded: bool = True,
    config: BranchSettings | None = None,
    labels: dict[int, tuple[str, ...]] | None = None,
) -> tuple[str, tuple[int, ...]]:
    """What Tide does with these, by name and numbers."""
    pulls = [pr(number, labels=(labels or {}).get(number, ())) for number in numbers]
    pool = Pool(MAIN, BASE, tuple(Standing(pull, Method.MERGE, ()) for pull in pulls))
    found = Progress(
        passed=tuple(Proof((number,)) for number in success),
        passed_batches=(Proof(merge),) if merge else (),
        pending=tuple(Proof((number,)) for number in pending),
        pending_batches=(Proof(batch),) if batch else (),
        missing=missing,
        is_demanded=demanded,
    )
    action = evidence.choose(pool, config or tide("foo"), found)
    return wire_name(action), action.numbers if isinstance(action, Stage | Land) else ()


@pytest.mark.parametrize(
    ("numbers", "found", "action"),
    [
        pytest.param((), {"batch": (0,)}, ("WAIT", ()), id="T11.204"),
        pytest.param((0, 1, 2), {"batch": (0,), "pending": (1,), "missing": (0, 2)}, ("WAIT", ()), id="T11.205"),
        pytest.param((0, 1, 2), {"batch": (0,), "success": (1,), "missing": (0, 2)}, ("WAIT", ()), id="T11.206"),
        pytest.param((0, 1, 2), {"batch": (0,), "missing": (0, 1, 2)}, ("TRIGGER", (0,)), id="T11.207"),
        pytest.param(
            (0, 1, 2, 3), {"pending": (0,), "missing": (1, 2, 3)}, ("TRIGGER_BATCH", (0, 1, 2, 3)), id="T11.208"
        ),
        pytest.param((0,), {"missing": (0,)}, ("TRIGGER", (0,)), id="T11.209"),
        pytest.param((0, 1, 2, 3), {"success": (0,), "missing": (1, 2, 3)}, ("MERGE", (0,)), id="T11.210"),
        pytest.param(
            tuple(range(9)),
            {"success": (0, 1), "pending": (2, 3), "missing": (4, 5), "merge": (6, 7, 8)},
            ("MERGE_BATCH", (6, 7, 8)),
            id="T11.211",
        ),
        pytest.param((100,), {"missing": (100,)}, ("TRIGGER", (100,)), id="T11.212"),
        pytest.param((4, 5), {"success": (5, 4), "demanded": False}, ("MERGE", (4,)), id="T11.213"),
        pytest.param((), {"demanded": False}, ("WAIT", ()), id="T11.214"),
        pytest.param((1, 2, 3), {"missing": (1, 2, 3)}, ("TRIGGER_BATCH", (1, 2, 3)), id="T11.215, T11.216"),
    ],
)
def test_tide_s_action_follows_from_how_far_its_pool_was_tested(
    numbers: tuple[int, ...], found: dict[str, Any], action: tuple[str, tuple[int, ...]]
) -> None:
    assert chosen(*numbers, **found) == action


PRIORITY = (("failing-test",), ("deflake",), ("bug", "critical-urgent"), ("feature,enhancement,undefined",))


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({5: (), 3: ()}, 3),
        ({5: (), 3: (), 7: ("deflake",)}, 7),
        ({7: ("deflake",), 6: ("deflake",), 1: ("deflake",)}, 1),
        ({5: (), 3: (), 6: ("bug",)}, 3),
        ({3: ("enhancement", "undefined"), 1: ("enhancement",)}, 1),
        ({5: (), 6: ("bug",), 7: ("deflake",), 9: ("failing-test",), 10: ("bug", "critical-urgent")}, 9),
    ],
)
def test_the_first_priority_that_somebody_has_goes_first(labels: dict[int, tuple[str, ...]], number: int) -> None:
    """T11.220."""
    numbers = tuple(sorted(labels))
    config = tide("foo", priority=PRIORITY)

    assert chosen(*numbers, success=numbers, labels=labels, config=config) == ("MERGE", (number,))


def test_one_whose_head_went_red_after_its_tests_is_not_merged() -> None:
    """T4.3, T11.200: the other is, and where there is none both are tested together."""
    red, fine = pr(1, contexts=(context("odd", F),)), pr(2)
    pool = Pool(MAIN, BASE, tuple(Standing(pull, Method.MERGE, ()) for pull in (red, fine)))

    def action(*success: int) -> Action:
        return evidence.choose(pool, tide("foo"), Progress(passed=tuple(Proof((number,)) for number in success)))

    assert action(1, 2) == Land("", (2,), "green on this base")
    assert isinstance(action(1), Wait)


def test_a_pool_that_nobody_tests_and_that_is_not_green_waits() -> None:
    """T4.3."""
    red = Pool(MAIN, BASE, (Standing(pr(1, contexts=(context("odd", F),)), Method.MERGE, ()),))

    assert evidence.choose(red, tide(), Progress(passed=(Proof((1,)),), is_demanded=False)) == Wait(
        "nothing is to be tested, and nobody is green"
    )


def test_who_may_not_be_tested_again_is_waited_for() -> None:
    """T4.14."""
    red = Pool(MAIN, BASE, (Standing(pr(1, contexts=(context("odd", F),)), Method.MERGE, ()),))

    assert evidence.choose(red, tide("foo"), Progress(missing=(1,))) == Wait(
        "every ready pull request conflicts with the base or with one that goes first"
    )


def test_a_batch_in_which_nobody_merges_into_the_base_is_an_error_for_tide() -> None:
    """T4.8, T4.15."""
    config = tide("foo")
    found = judged(pr(1), pr(2), config=config)
    conflicts = [clash((), pull) for pull in (pr(1), pr(2))]

    assert decide(found, config, conflicts=conflicts).action == Wait("no PRs are provided", failed=True)


def test_evidence_of_jobs_lands_for_tide_and_says_nothing_to_us() -> None:
    """T13.3, T11.227: what a job or a description says is believed by Tide alone."""
    rows: list[Evidence] = [job("ci/test", S, pull) for pull in (insider(1), insider(2))]
    theirs_, mine = tide("ci/test"), staging()

    assert decide(judged(insider(1), config=theirs_), theirs_, rows=rows).action == Land("", (1,), "green on this base")
    assert decide(ours(insider(1), config=mine), mine, rows=rows).action == Stage((1,), "ready to be tested alone")


# Both sides of what we repair (T13.2)


def test_a_draft_is_in_tide_s_pool_alone() -> None:
    """T3.16."""
    draft = pr(1, is_draft=True)

    assert members(judged(draft)) == [1]
    assert members(ours(draft)) == []


def test_of_several_green_batches_the_largest_lands_and_tide_takes_whichever_comes_first() -> None:
    """T4.24."""
    small, large = (insider(1), insider(2)), (insider(3), insider(4), insider(5))
    config, green_one = staging(), {"contexts": (green("ci/test"),)}
    runs = [run(*small, **green_one), run(*large, **green_one)]
    rows = [job("ci/test", S, *pulls, batch=True) for pulls in (small, large)]
    asked = tide("ci/test")

    mine = decide(ours(*small, *large, config=config), config, runs=runs).action
    their = decide(judged(*small, *large, config=asked), asked, rows=rows).action

    assert isinstance(mine, Land)
    assert isinstance(their, Land)
    assert (mine.numbers, their.numbers) == ((3, 4, 5), (1, 2))


def test_one_that_github_refused_is_tried_again_at_once_by_tide_alone() -> None:
    """T5.17."""
    memory = Memory(
        refusals={1: Refusal(pr(1).head_sha, "no", until=300.0)},
        arrivals={n: Arrival(pr(n).head_sha, 0.0, original=True) for n in (1, 2)},
    )
    here = facts(pr(1), pr(2))

    assert members(divide(here, tide(), memory, 0.0)) == [1, 2]
    assert members(divide(here, settings(), memory, 0.0)) == [2]


def test_a_member_of_a_blocked_branch_is_told_so_by_us_alone() -> None:
    """T6.6, T4.2: neither merges."""
    frozen: dict[str, Any] = {"blockers": (blocker(7, "Freeze", ""),)}
    by_tide, by_us = judged(pr(1), **frozen), ours(pr(1), **frozen)

    assert told(by_tide.standings[0], by_tide, tide()) == Status("success", "In merge pool.")
    assert told(by_us.standings[0], by_us, settings()) == Status(
        "pending", "Not mergeable. Merging is blocked by issue 7."
    )
    assert isinstance(decide(by_tide, tide()).action, Blocked)
    assert isinstance(decide(by_us, settings()).action, Blocked)


def test_what_proves_a_landing_is_what_the_status_goes_by_for_us_alone() -> None:
    """T6.10: Tide merges on the word of a description and says that it retests."""
    proved = insider(1, contexts=(green("ci/test", description=f"ok BaseSHA:{BASE}"),))
    config, mine = tide("ci/test"), staging()
    by_tide, by_us = judged(proved, config=config), ours(insider(1), config=mine)
    runs = [run(insider(1), contexts=(green("ci/test"),))]

    assert isinstance(decide(by_tide, config).action, Land)
    assert told(by_tide.standings[0], by_tide, config).description == "Not mergeable. Retesting: ci/test"
    assert isinstance(decide(by_us, mine, runs=runs).action, Land)
    assert told(by_us.standings[0], by_us, mine, runs=runs).description == "In merge pool."


def test_a_head_on_which_nothing_has_reported_is_green_for_tide_alone() -> None:
    """D3, T0.7."""
    silent = pr(1, contexts=())

    assert members(judged(silent)) == [1]
    assert members(ours(silent)) == []
    assert members(ours(silent, config=settings(empty_contexts=EmptyContexts.ALLOW))) == [1]


def test_without_anything_to_test_tide_merges_and_so_do_we_by_the_head() -> None:
    """D3, T4.9."""
    assert decide(judged(pr(1)), tide()).action == Land("", (1,), "green on this base")
    assert decide(ours(pr(1)), settings()).action == Merge(1, pr(1).head_sha, Method.MERGE, "green and admitted")


def test_an_approval_of_another_head_counts_for_tide_alone() -> None:
    """D17."""
    pushed = Memory(arrivals={1: Arrival(pr(1).head_sha, 50.0)})

    assert members(divide(facts(pr(1)), tide(), pushed, 0.0)) == [1]
    assert members(divide(facts(pr(1)), settings(), pushed, 0.0)) == []


def test_tide_goes_by_number_and_we_by_who_came_first() -> None:
    """T12.16."""
    memory = Memory(
        entered={(1, pr(1).head_sha): 9.0, (2, pr(2).head_sha): 5.0},
        arrivals={n: Arrival(pr(n).head_sha, 0.0, original=True) for n in (1, 2)},
    )
    here = facts(pr(1), pr(2))

    def first(config: BranchSettings) -> Any:
        action = decide(divide(here, config, memory, 10.0), config).action
        return action.numbers[0] if isinstance(action, Land) else getattr(action, "number", None)

    assert (first(tide()), first(settings()), first(settings(order=Order.NUMBER))) == (1, 2, 1)


def test_a_batch_that_failed_is_formed_again_by_tide_alone() -> None:
    """T4.6, T12.8."""
    pair, config, asked = (insider(1), insider(2)), staging(), tide("ci/test")
    failed = run(*pair, ended=RunState.RED, contexts=(context("ci/test", F),))
    rows = [job("ci/test", F, *pair, batch=True)]

    by_us = decide(ours(*pair, config=config), config, runs=[failed]).action
    by_tide = decide(judged(*pair, config=asked), asked, rows=rows).action

    assert by_tide == Stage((1, 2), "ready to be tested together")
    assert by_us == Stage((1,), "looking for what is wrong in #1, #2")
    assert convictions([failed], BASE, "", config, 2000.0) == {}


# The status, as T6 has it


def of(pull: PullRequest, config: BranchSettings) -> str:
    """What Tide's status says of one that no search has found."""
    found = judged(replace(pull, was_found=False), config=config)
    return told(found.standings[0], found, config).description


BAD = ("bad",)
SHOWING = {"tells_all_queries": True}


@pytest.mark.parametrize(
    ("pull", "queries", "text"),
    [
        pytest.param(
            theirs("need-2", "need-3", "forbidden-1"),
            (Q1, Q2),
            " Needs need-1 label OR Needs 1, 2, 3, 4, 5, 6, 7 labels.",
            id="T11.237 two queries",
        ),
        pytest.param(theirs("need-2", "need-3", "forbidden-1"), (Q1,), " Needs need-1 label.", id="T11.238 one query"),
        pytest.param(
            theirs(base="bad"),
            (replace(Q1, excluded_branches=BAD), replace(Q2, excluded_branches=BAD)),
            " No Tide query for branch bad found.",
            id="T11.239 none is for its branch",
        ),
        pytest.param(
            theirs(base="bad"),
            (
                replace(Q1, excluded_branches=BAD),
                replace(Q2, excluded_branches=BAD),
                Query(orgs=("acme",), labels=("good-to-go",)),
            ),
            " Needs good-to-go label.",
            id="T11.240 one is for its branch",
        ),
    ],
)
def test_what_every_query_for_its_branch_misses_is_told(
    pull: PullRequest, queries: tuple[Query, ...], text: str
) -> None:
    assert of(pull, tide(queries=queries, **SHOWING)) == f"Not mergeable.{text}"
    found = ours(pull, config=settings(queries=queries, **SHOWING))
    assert told(found.standings[0], found, settings(queries=queries, **SHOWING)).description == f"Not mergeable.{text}"


def test_one_that_no_search_found_though_it_fits_is_in_the_pool_by_its_status() -> None:
    """T6.8, T11.248."""
    assert of(pr(1), tide()) == "In merge pool."
    assert of(pr(1, labels=()), tide(queries=())) == "Not mergeable."


def test_who_waits_for_jobs_is_told_which() -> None:
    """T11.251, T11.107: each name once, whoever asks for it."""
    config = tide("bar", "foo", contexts=ContextPolicy(required=frozenset({"foo"})))
    pull = pr(1, contexts=(green("foo"), context("bar", P)))
    found = judged(pull, config=config)

    status = told(found.standings[0], found, config, rows=[job("foo", S, pull), job("bar", P, pull)])

    assert status == Status("pending", "Not mergeable. Retesting: bar")


# How far a query is away (T6.12-T6.20)

BLOCKED = {"merge_state": "BLOCKED"}
REVIEWED = Query(orgs=("acme",), review_approved_required=True)


@pytest.mark.parametrize(
    ("wanted", "changes", "answer"),
    [
        pytest.param(
            Query(), BLOCKED, (" Blocked by GitHub (branch rulesets or protection)", 100), id="T11.257 blocked alone"
        ),
        pytest.param(
            REVIEWED,
            {**BLOCKED, "review_decision": "CHANGES_REQUESTED"},
            (" PullRequest is missing sufficient approving GitHub review(s)", 150),
            id="T11.258 and not approved",
        ),
        pytest.param(Query(), {"merge_state": "CLEAN"}, ("", 0), id="T11.259 nothing is missing"),
        pytest.param(
            Query(
                author="authorized",
                labels=("lgtm", "approved"),
                missing_labels=("hold",),
                excluded_branches=("main",),
                milestone="v1.0",
                review_approved_required=True,
            ),
            {
                **BLOCKED,
                "labels": ("hold",),
                "contexts": (context("a", F), context("b", E), check(F, "c")),
                "review_decision": "CHANGES_REQUESTED",
            },
            (" Merging to branch main is forbidden.", 3256),
            id="T11.267 everything is",
        ),
        pytest.param(
            Query(author="batman", labels=("a", "b", "c"), missing_labels=("x", "y"), milestone="v1.0"),
            {"labels": ("x", "y"), "contexts": (context("a", F), context("b", P))},
            (" Must be by author batman.", 1107),
            id="T11.268 all but the branch",
        ),
    ],
)
def test_the_weight_of_a_query_sums_up_and_its_text_is_about_the_first(
    wanted: Query, changes: dict[str, Any], answer: tuple[str, int]
) -> None:
    pull = pr(1, **{"labels": (), **changes})

    assert difference(wanted, pull, tide(blocks_policy=BlocksPolicy.BLOCK)) == answer
    assert difference(wanted, pull, settings(blocks_policy=BlocksPolicy.BLOCK)) == answer


@pytest.mark.parametrize("policy", [BlocksPolicy.PERMIT, BlocksPolicy.IGNORE])
def test_what_github_calls_blocked_is_no_distance_where_it_is_let_pass(policy: BlocksPolicy) -> None:
    """T11.275."""
    assert difference(Query(), pr(1, **BLOCKED), tide(blocks_policy=policy)) == ("", 0)


def test_a_long_text_is_cut_by_byte_for_tide_and_by_character_for_us() -> None:
    """T6.24."""
    fits, long = "x" * 140, "é" * 100

    assert cut(fits, Compat.TIDE) == fits
    assert cut(long, Compat.TIDE) == "é" * 68 + "\N{REPLACEMENT CHARACTER}..."
    assert cut(long) == long


def test_what_keeps_one_out_of_tide_s_pool_alone_is_no_reason_of_its_own() -> None:
    found = judged(pr(1, was_found=False))

    assert [reason.clause for reason in found.standings[0].reasons] == [Clause.UNPOOLED]


def test_a_job_that_files_ask_for_is_demanded_of_those_that_change_them() -> None:
    """T3.25."""

    class Docs:
        pattern = "docs"

        def search(self, text: str, /) -> object:
            return "docs" in text

    runs = Presubmit("spell", always=False, run_if_changed=Docs())
    skips = Presubmit("unit", always=False, skip_if_only_changed=Docs())

    assert (runs.is_demanded(["docs/a"]), runs.is_demanded(["main.go"]), runs.is_demanded([])) == (True, False, False)
    assert (skips.is_demanded(["docs/a"]), skips.is_demanded(["docs/a", "main.go"])) == (False, True)
    assert Presubmit("always").is_demanded([])
