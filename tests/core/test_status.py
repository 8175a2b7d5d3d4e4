"""The commit status: Tide's words for where a pull request stands."""

from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.batch import Conflict, Run, RunState, Told
from mergeq.core.contexts import ContextPolicy
from mergeq.core.conviction import convictions
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import Arrival, BlocksPolicy, BranchSettings, Memory, Refusal, divide
from mergeq.core.pull import Blocker, Context, Mergeable, Method, Protection, PullRequest, Repository, Result, blocker
from mergeq.core.query import Query
from mergeq.core.queue import Retest
from mergeq.core.reason import Clause, Reason
from mergeq.core.status import Status, blocked_phrase, describe, phrase, shown
from tests.builders import BASE, clash, context, facts, green, insider, pool, pr, query, run, settings, staging

LONG = "need-a-very-super-duper-extra-not-short-at-all-label-name,need-3"
Q1 = Query(
    orgs=("acme",),
    labels=("need-1", "need-2", LONG),
    missing_labels=("forbidden-1", "forbidden-2"),
    milestone="v1.0",
    author="batman",
)
Q2 = Query(orgs=("acme",), labels=tuple("1234567"), milestone="v1.0", author="batman")
NEEDED = ("need-1", "need-2", "need-3")


def told(
    pull: PullRequest,
    config: BranchSettings | None = None,
    *,
    blockers: tuple[Blocker, ...] = (),
    repository: Repository | None = None,
    refusals: dict[int, Refusal] | None = None,
) -> Status:
    """The status of one pull request, alone in its pool."""
    config = config or settings()
    judged = pool(pull, config=config, blockers=blockers, repository=repository or Repository(), refusals=refusals)
    return describe(judged.standings[0], judged, config)


def theirs(*labels: str, **changes: Any) -> PullRequest:
    """A pull request that has all that Q1 and Q2 ask for but labels."""
    return pr(**{"author": "batman", "milestone": "v1.0", "labels": labels, **changes})


def under(*queries: Query) -> BranchSettings:
    return settings(queries=queries)


# In the pool


def test_a_member_of_the_pool_is_told_so() -> None:
    """T11.231, T11.248."""
    assert told(pr()) == Status("success", "In merge pool.")
    assert told(pr(contexts=(green(), green("foreign")))) == Status("success", "In merge pool.")


def test_our_own_status_does_not_change_what_it_says() -> None:
    """T11.243."""
    assert told(pr(contexts=(green(), context("tide", Result.ERROR)))) == Status("success", "In merge pool.")


def test_a_member_that_github_calls_blocked_is_told_where_that_is_permitted() -> None:
    """T6.25, T11.256."""
    permitted = settings(blocks_policy=BlocksPolicy.PERMIT)

    assert told(pr(merge_state="BLOCKED"), permitted) == Status("success", "In merge pool (despite BLOCKED).")


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (BlocksPolicy.PERMIT, "CLEAN"),
        (BlocksPolicy.PERMIT, "BEHIND"),
        (BlocksPolicy.IGNORE, "BLOCKED"),
        (BlocksPolicy.BLOCK, "CLEAN"),
    ],
)
def test_other_verdicts_of_github_are_not_mentioned(policy: BlocksPolicy, state: str) -> None:
    """T6.25, T11.256."""
    assert told(pr(merge_state=state), settings(blocks_policy=policy)) == Status("success", "In merge pool.")


# Not in the pool: the queries


@pytest.mark.parametrize(
    ("pull", "queries", "text"),
    [
        pytest.param(theirs(), (Q1,), "Needs need-1, need-2 labels.", id="T11.232 the third does not fit"),
        pytest.param(
            theirs("need-1", "need-2"),
            (Q1,),
            "Needs need-a-very-super-duper-extra-not-short-at-all-label-name or need-3 label.",
            id="T11.233 alternatives, and at least one however long",
        ),
        pytest.param(
            theirs(*NEEDED, "forbidden-1", "forbidden-2"),
            (Q1,),
            "Should not have forbidden-1, forbidden-2 labels.",
            id="T11.235 two forbidden labels",
        ),
        pytest.param(
            theirs(*NEEDED, "forbidden-1"),
            (Q1,),
            "Should not have forbidden-1 label.",
            id="T11.235 one forbidden label",
        ),
        pytest.param(
            theirs("need-2", "need-3", "forbidden-1"),
            (Q1,),
            "Needs need-1 label.",
            id="T11.236 missing labels go first",
        ),
        pytest.param(
            pr(base="bad"),
            (query(excluded_branches=("bad",)),),
            "Merging to branch bad is forbidden.",
            id="T11.241 excluded",
        ),
        pytest.param(
            pr(base="bad"),
            (query(included_branches=("good",)),),
            "Merging to branch bad is forbidden.",
            id="T11.241 not included",
        ),
        pytest.param(
            theirs(base="bad"),
            (query(included_branches=("good",)), Q2),
            "Needs 1, 2, 3, 4, 5, 6, 7 labels.",
            id="T11.242 the query for the right branch speaks",
        ),
        pytest.param(
            pr(contexts=(context("job-name", Result.ERROR),)),
            (query(),),
            "Job job-name has not succeeded.",
            id="T11.244 a failed status",
        ),
        pytest.param(
            pr(contexts=(context("job-name", Result.FAILURE, app="actions"),)),
            (query(),),
            "Job job-name has not succeeded.",
            id="T11.244 a failed check run",
        ),
        pytest.param(
            pr(
                contexts=(
                    context("other-job-name", Result.FAILURE, app="actions"),
                    context("job-name", Result.PENDING),
                )
            ),
            (query(),),
            "Jobs job-name, other-job-name have not succeeded.",
            id="T11.245 one of each",
        ),
        pytest.param(
            pr(contexts=(context("ci", Result.ERROR), context("ci", Result.ERROR, app="actions"))),
            (query(),),
            "Job ci has not succeeded.",
            id="T11.272 a name is told once",
        ),
        pytest.param(pr(author="robin"), (query(author="Batman"),), "Must be by author batman.", id="T11.246 author"),
        pytest.param(
            pr(labels=()),
            (query(author="joker", labels=("a", "b")), query(author="batman", labels=("a",))),
            "Must be by author batman.",
            id="T11.246 the closer of two wrong authors",
        ),
        pytest.param(
            theirs(*NEEDED, milestone="v2.0"), (Q1,), "Must be in milestone v1.0.", id="T11.247 another milestone"
        ),
        pytest.param(theirs("3", "4", "5", "6", "7"), (Q1, Q2), "Needs 1, 2 labels.", id="T11.249 the closest query"),
        pytest.param(
            pr(review_decision=None),
            (query(review_approved_required=True),),
            "PullRequest is missing sufficient approving GitHub review(s)",
            id="T11.255 a review",
        ),
        pytest.param(
            pr(labels=()), (query(labels=("approved", "lgtm")),), "Needs approved, lgtm labels.", id="T11.263 sorted"
        ),
        pytest.param(
            pr(labels=()), (query(labels=("a" * 60, "b")),), f"Needs {'a' * 60} label.", id="T6.20a the first"
        ),
        pytest.param(
            pr(labels=()),
            (query(labels=("a" * 25, "b" * 25, "c")),),
            f"Needs {'a' * 25}, {'b' * 25} labels.",
            id="T6.20a fit",
        ),
        pytest.param(
            pr(labels=()), (query(labels=("a" * 25, "b" * 26)),), f"Needs {'a' * 25} label.", id="T6.20a one too long"
        ),
    ],
)
def test_what_the_closest_query_misses_is_pending(pull: PullRequest, queries: tuple[Query, ...], text: str) -> None:
    """T6.7, T6.12-T6.21."""
    assert told(pull, under(*queries)) == Status("pending", f"Not mergeable. {text}")


def test_an_approved_review_lets_in() -> None:
    """T11.255."""
    config = under(query(review_approved_required=True))

    assert told(pr(review_decision="APPROVED"), config) == Status("success", "In merge pool.")


def test_without_a_query_there_is_nothing_to_ask_for() -> None:
    """T6.7."""
    assert told(pr(), under()) == Status("pending", "Not mergeable.")


def test_a_draft_is_told_that_it_is_one() -> None:
    """T3.16."""
    assert told(pr(is_draft=True, labels=())) == Status("pending", "Not mergeable. PR is a draft.")


@pytest.mark.parametrize(
    ("contexts", "text"),
    [
        pytest.param((), "No CI has reported on this commit.", id="nothing reported"),
        pytest.param(None, "The CI results of this commit could not be read.", id="unreadable"),
    ],
)
def test_a_head_whose_ci_is_not_known_is_pending(contexts: tuple[Context, ...] | None, text: str) -> None:
    assert told(pr(contexts=contexts)) == Status("pending", f"Not mergeable. {text}")


# Not mergeable at all


@pytest.mark.parametrize(
    ("changes", "repository", "text"),
    [
        pytest.param({"mergeable": Mergeable.CONFLICTING}, None, "PR has a merge conflict.", id="T11.254 conflict"),
        pytest.param(
            {"labels": ("m/squash", "m/merge")},
            None,
            "PR has conflicting merge method override labels",
            id="T11.234 method labels",
        ),
        pytest.param(
            {"labels": ("m/rebase",), "can_be_rebased": False}, None, "PR can't be rebased", id="T3.9 cannot be rebased"
        ),
        pytest.param(
            {},
            Repository(frozenset({Method.SQUASH})),
            'Merge type "merge" disallowed by repo settings',
            id="T3.10a method not allowed",
        ),
        pytest.param(
            {"merge_state": "BLOCKED"},
            None,
            "PR is blocked from merging by GitHub (check branch protection, required reviews, or rulesets)",
            id="T3.10 blocked by GitHub",
        ),
        pytest.param(
            {"in_merge_queue": True}, None, "GitHub's own merge queue serves this branch.", id="T12.30 another queue"
        ),
        pytest.param({}, Repository(is_archived=True), "The repository is archived.", id="archived"),
        pytest.param(
            {"paths": ("a.py", ".github/workflows/ci.yml")},
            Repository(withholds_workflows=True),
            "mergeq may not change workflow files, and PR changes .github/workflows/ci.yml.",
            id="workflow files (Q58)",
        ),
        pytest.param({"is_open": False}, None, "PR is not open.", id="closed"),
    ],
)
def test_what_makes_merging_impossible_is_an_error_and_goes_before_the_queries(
    changes: dict[str, Any], repository: Repository | None, text: str
) -> None:
    """T6.4: whatever else is missing (here every label of the query)."""
    config = settings(
        queries=(query(labels=("never",)),),
        blocks_policy=BlocksPolicy.BLOCK,
        methods=MergeMethods(squash_label="m/squash", rebase_label="m/rebase", merge_label="m/merge"),
    )

    assert told(pr(**changes), config, repository=repository) == Status("error", f"Not mergeable. {text}")


def test_a_refusal_by_github_is_told_in_github_s_words() -> None:
    """T12.7."""
    refusals = {1: Refusal(pr().head_sha, "Required status check is expected.", until=2000.0)}

    assert told(pr(), refusals=refusals) == Status(
        "error", "Not mergeable. GitHub refused: Required status check is expected."
    )


# What staging, approvals and protection add


def test_an_approval_of_another_head_is_told_with_the_head_that_needs_one() -> None:
    """D17."""
    pull = pr(head_sha="9f8e7d6" + "0" * 33)
    pushed = Memory(arrivals={1: Arrival(pull.head_sha, 100.0)})
    judged = divide(facts(pull), settings(), pushed, 1000.0)

    assert describe(judged.standings[0], judged, settings()) == Status(
        "pending", "Not mergeable. lgtm was given to an earlier head, head is now 9f8e7d6."
    )


@pytest.mark.parametrize(
    ("demand", "changes", "text"),
    [
        pytest.param(Protection(reviews=True), {}, "Protection requires approving reviews.", id="reviews"),
        pytest.param(
            Protection(conversations=True),
            {"unresolved_threads": 2},
            "Protection requires every conversation to be resolved.",
            id="conversations",
        ),
        pytest.param(
            Protection(up_to_date=True),
            {"merge_state": "BEHIND"},
            "Protection requires it to be up to date with main.",
            id="up to date",
        ),
        pytest.param(
            Protection(linear_history=True),
            {},
            "Protection requires a linear history, which merge would break.",
            id="linear history",
        ),
        pytest.param(
            Protection(signatures=True),
            {"labels": ("lgtm", "approved", "m/rebase")},
            "Protection requires signatures, which rebase would lose.",
            id="signatures",
        ),
        pytest.param(
            Protection(required=(("build", "actions"),)), {}, "Job build has not succeeded.", id="a required context"
        ),
    ],
)
def test_what_protection_demands_is_told(demand: Protection, changes: dict[str, Any], text: str) -> None:
    """D19."""
    config = settings(methods=MergeMethods(rebase_label="m/rebase"))
    judged = pool(pr(**changes), config=config, protection=demand)

    assert describe(judged.standings[0], judged, config) == Status("pending", f"Not mergeable. {text}")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param(
            {"is_fork": True, "labels": ("approved",), "paths": ()},
            "PR comes from a fork and is not cleared for staging.",
            id="a fork",
        ),
        pytest.param(
            {"paths": (".github/x.yml",)}, "PR touches sensitive paths and needs ok-to-stage label.", id="sensitive"
        ),
    ],
)
def test_whose_code_may_not_be_staged_is_told_so(changes: dict[str, Any], text: str) -> None:
    """D21."""
    config = staging(queries=(query(labels=("approved",)),))

    assert told(pr(**changes), config) == Status("pending", f"Not mergeable. {text}")


# Tested with the base

REQUIRED = ContextPolicy(required=frozenset({"foo", "bar"}))
ONE = insider(1, contexts=(green("foo"), green("bar"), green("baz")))
TWO = insider(2, contexts=ONE.contexts)


def said_in_staging(
    *runs: Run,
    pulls: tuple[PullRequest, ...] = (ONE, TWO),
    conflicts: tuple[Conflict, ...] = (),
    number: int = 1,
    halted: str = "",
    untestable: str = "",
    blockers: tuple[Blocker, ...] = (),
    **changes: Any,
) -> Status:
    """The status of a pull request of a branch that stages, with the runs that are known."""
    config = staging(**{"contexts": REQUIRED, **changes})
    judged = replace(pool(*pulls, config=config, blockers=blockers), halted=halted, untestable=untestable)
    standing = judged.standing(number)
    assert standing is not None
    return describe(standing, judged, config, runs=runs, conflicts=conflicts)


def results(*passed: str, pending: tuple[str, ...] = (), failed: tuple[str, ...] = ()) -> tuple[Context, ...]:
    return (
        *(green(name) for name in passed),
        *(context(name, Result.PENDING) for name in pending),
        *(context(name, Result.FAILURE) for name in failed),
    )


PROVED = results("foo", "bar")


def test_a_member_that_was_not_tested_with_the_base_is_retested() -> None:
    """T6.9, T11.280."""
    assert said_in_staging() == Status("pending", "Not mergeable. Retesting: bar foo")


def test_a_member_whose_test_github_does_not_let_be_set_up_is_told_why() -> None:
    """Q52; one that is under test already is not concerned."""
    why = "the ruleset all covers refs/heads/mergeq/**"

    assert said_in_staging(untestable=why) == Status("pending", f"Not mergeable. It cannot be tested: {why}")
    assert said_in_staging(run(ONE, contexts=None), untestable=why).description == "Not mergeable. Retesting: bar foo"


@pytest.mark.parametrize(
    ("run_contexts", "text"),
    [
        pytest.param(results("foo", pending=("bar",)), "bar", id="T11.251"),
        pytest.param(results("foo"), "bar", id="T11.251 bar has not even appeared"),
        pytest.param(results(pending=("foo", "bar")), "bar foo", id="T11.252 sorted"),
        pytest.param(None, "bar foo", id="unread"),
    ],
)
def test_only_what_is_not_green_with_the_base_yet_is_said_to_be_retested(
    run_contexts: tuple[Context, ...] | None, text: str
) -> None:
    """T6.9, T6.10: the evidence is that of the decision."""
    assert said_in_staging(run(ONE, contexts=run_contexts)) == Status("pending", f"Not mergeable. Retesting: {text}")


def test_a_member_of_whose_run_ci_was_not_told_says_why_until_it_passes_all_the_same() -> None:
    untold = run(ONE, contexts=None, told=Told(1000.0, 1, "https://ci.test/ answered 403"))

    assert said_in_staging(untold).description == ("Not mergeable. CI could not be told: https://ci.test/ answered 403")
    assert said_in_staging(untold, number=2).description == "Not mergeable. Retesting: bar foo"
    assert said_in_staging(replace(untold, contexts=PROVED)).description == "In merge pool."


def test_a_member_that_passed_with_the_base_is_in_the_pool() -> None:
    """T6.11."""
    assert said_in_staging(run(ONE, contexts=PROVED)) == Status("success", "In merge pool.")
    assert said_in_staging(run(TWO, ONE, contexts=PROVED)) == Status("success", "In merge pool.")
    assert said_in_staging(run(ONE, contexts=PROVED, ended=RunState.GREEN)) == Status("success", "In merge pool.")


def test_one_green_run_is_enough_whatever_else_is_under_way() -> None:
    assert said_in_staging(run(ONE, TWO, contexts=()), run(ONE, contexts=PROVED)) == Status("success", "In merge pool.")


def test_a_member_that_github_calls_blocked_is_told_when_it_has_passed() -> None:
    """T6.25."""
    blocked = replace(ONE, merge_state="BLOCKED")

    assert said_in_staging(pulls=(blocked,)).description == "Not mergeable. Retesting: bar foo"
    assert said_in_staging(run(blocked, contexts=PROVED), pulls=(blocked,)) == Status(
        "success", "In merge pool (despite BLOCKED)."
    )


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(run(ONE, contexts=PROVED, base_sha="c" * 40), id="green on another base"),
        pytest.param(run(TWO, contexts=PROVED), id="green without it"),
        pytest.param(run(ONE, insider(3), contexts=PROVED), id="green with one that has left"),
        pytest.param(run(replace(ONE, head_sha="9" * 40), contexts=PROVED), id="green with an earlier head"),
        pytest.param(run(ONE, contexts=results("foo", failed=("bar",)), ended=RunState.RED), id="red"),
    ],
)
def test_what_is_no_evidence_for_this_pool_does_not_count(evidence: Run) -> None:
    """T4.21, T6.10."""
    assert said_in_staging(evidence).state == "pending"


def test_a_context_of_heads_alone_is_not_said_to_be_retested_and_one_of_staging_is() -> None:
    """T0.6."""
    assert said_in_staging(
        head_only_contexts=frozenset({"foo"}), staging_contexts=frozenset({"e2e"})
    ).description == "Not mergeable. Retesting: bar e2e"  # fmt: skip


@pytest.mark.parametrize(
    ("names", "text"),
    [
        pytest.param(("a" * 57, "b" * 56), f"Retesting: {'a' * 57} {'b' * 56}", id="T6.9 exactly 140 characters"),
        pytest.param(("a" * 57, "b" * 57), "Retesting 2 jobs.", id="T6.9 one too many"),
        pytest.param(("a" * 136, "b" * 136), "Retesting 2 jobs.", id="T11.253"),
        pytest.param(("a" * 136,), "Retesting 1 job.", id="T6.9 one"),
    ],
)
def test_what_is_retested_is_counted_where_the_names_do_not_fit(names: tuple[str, ...], text: str) -> None:
    pull = insider(1, contexts=tuple(green(name) for name in names))
    policy = ContextPolicy(required=frozenset(names))

    assert said_in_staging(pulls=(pull,), contexts=policy) == Status("pending", f"Not mergeable. {text}")


def test_who_conflicts_with_one_that_goes_first_is_told_with_whom() -> None:
    """D4."""
    assert said_in_staging(conflicts=(clash((ONE,), TWO),), number=2) == Status(
        "pending", "Not mergeable. It conflicts with #1, which is tested first."
    )
    assert said_in_staging(conflicts=(clash((ONE,), TWO),), number=1).description == "Not mergeable. Retesting: bar foo"


def test_who_passed_alone_is_in_the_pool_though_it_conflicts_with_another() -> None:
    assert said_in_staging(run(TWO, contexts=PROVED), conflicts=(clash((ONE,), TWO),), number=2).state == "success"


def test_who_does_not_merge_into_the_base_is_not_said_to_be_retested() -> None:
    """D7: it never will be on this base. GitHub may call it mergeable still, where it is to be rebased."""
    status = said_in_staging(conflicts=(clash((), ONE),))

    assert status.state == "pending"
    assert "conflict" in status.description
    assert "Retesting" not in status.description


def test_where_nothing_is_required_of_staged_commits_nobody_is_said_to_be_retested() -> None:
    """D3, D7: the branch is stuck, and its authors should see why."""
    status = said_in_staging(contexts=ContextPolicy())

    assert status.state == "pending"
    assert "Retesting" not in status.description
    assert len(status.description) > len("Not mergeable. ")


def test_who_did_not_pass_with_the_base_is_told_which_context_failed() -> None:
    """D24."""
    red = run(ONE, contexts=results("foo", failed=("bar",)), ended=RunState.RED)
    tries = (red, replace(red, id="again", started_at=2000.0), run(contexts=results("foo", "bar")))
    config = staging(contexts=REQUIRED)
    memory = Memory(
        arrivals={1: Arrival(ONE.head_sha, 0.0, original=True)},
        convictions={head: one.reason for head, one in convictions(tries, BASE, "", config, 3000.0).items()},
    )
    judged = divide(facts(ONE), config, memory, 3000.0)

    assert describe(judged.standings[0], judged, config, runs=tries) == Status(
        "pending", "Not mergeable. Job bar is not green together with the base."
    )


def test_several_contexts_that_failed_together_with_the_base_are_told() -> None:
    text = phrase(Reason(Clause.STAGED, "", "", "", "", items=("bar", "foo")))

    assert text == " Jobs bar, foo are not green together with the base."


def test_where_heads_decide_nobody_is_retested() -> None:
    """D3."""
    assert said_in_staging(retest=Retest.HEAD) == Status("success", "In merge pool.")


# A halted branch


@pytest.mark.parametrize("pull", [ONE, replace(ONE, is_draft=True)])
@pytest.mark.parametrize("blockers", [(), (blocker(7, "Outage", ""),)])
def test_everybody_on_a_halted_branch_is_told_of_the_halt(pull: PullRequest, blockers: tuple[Blocker, ...]) -> None:
    """D22: it goes before blockers, because a person must act."""
    assert said_in_staging(
        run(ONE, contexts=PROVED), pulls=(pull,), halted="#3 landed another tree", blockers=blockers
    ) == Status("error", "Not mergeable. The queue of this branch is halted: #3 landed another tree")


def test_what_makes_merging_impossible_goes_before_the_halt() -> None:
    """T6.4."""
    conflicting = replace(ONE, mergeable=Mergeable.CONFLICTING)

    assert said_in_staging(pulls=(conflicting,), halted="x").description == "Not mergeable. PR has a merge conflict."


def test_a_long_reason_of_a_halt_is_cut() -> None:
    assert len(said_in_staging(halted="x" * 300).description) == 140


# A blocked branch


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1,), "Not mergeable. Merging is blocked by issue 1."),
        ((2, 1), "Not mergeable. Merging is blocked by issues 1, 2."),
    ],
)
def test_who_is_not_in_the_pool_of_a_blocked_branch_is_told_of_the_block(numbers: tuple[int, ...], text: str) -> None:
    """T6.5, T11.250."""
    issues = tuple(blocker(number, "Outage", "") for number in numbers)

    assert told(pr(labels=()), blockers=issues) == Status("error", text)


def test_a_member_of_a_blocked_branch_is_told_of_the_block_and_pends() -> None:
    """T12.25, against T6.6."""
    assert told(pr(), blockers=(blocker(7, "Outage", ""),)) == Status(
        "pending", "Not mergeable. Merging is blocked by issue 7."
    )


def test_what_makes_merging_impossible_goes_before_the_block() -> None:
    """T6.4 before T6.5."""
    conflicting = pr(mergeable=Mergeable.CONFLICTING)

    assert (
        told(conflicting, blockers=(blocker(7, "Outage", ""),)).description == "Not mergeable. PR has a merge conflict."
    )


def test_blocking_issues_are_counted_in_words() -> None:
    assert blocked_phrase([7]) == " Merging is blocked by issue 7."
    assert blocked_phrase([7, 8]) == " Merging is blocked by issues 7, 8."


# What GitHub shows


def test_our_own_status_is_found_on_a_head_whatever_the_case_of_its_name() -> None:
    """T6.26."""
    mine = context("Tide", Result.PENDING, description="Not mergeable.")

    assert shown([green(), mine], "tide") == shown([mine], "TIDE") == Status("pending", "Not mergeable.")


def test_where_we_have_not_spoken_there_is_no_status_of_ours() -> None:
    assert shown([green()], "tide") is None


def test_a_check_run_of_our_name_is_not_our_status() -> None:
    """T12.41: any app may use the name."""
    assert shown([green("tide", app="actions")], "tide") is None


def test_what_we_said_last_is_what_is_shown() -> None:
    said, before = green("tide", at=2.0, description="In merge pool."), context("Tide", Result.ERROR, at=1.0)

    assert shown([said, before], "tide") == shown([before, said], "tide") == Status("success", "In merge pool.")


# What GitHub takes


def test_a_description_that_is_too_long_is_cut_by_character() -> None:
    """T6.24 repaired."""
    description = told(pr(base="ü" * 200), under(query(included_branches=("main",)))).description

    assert description == f"Not mergeable. Merging to branch {'ü' * 104}..."
    assert len(description) == 140


def test_a_description_of_exactly_the_limit_is_not_cut() -> None:
    name = "b" * (140 - len("Not mergeable. Merging to branch  is forbidden."))

    description = told(pr(base=name), under(query(included_branches=("main",)))).description

    assert description == f"Not mergeable. Merging to branch {name} is forbidden."


def test_characters_that_github_refuses_are_replaced() -> None:
    """Q74."""
    dragon = pr(contexts=(context("format code 🐲", Result.ERROR),))

    assert told(dragon).description == "Not mergeable. Job format code \N{REPLACEMENT CHARACTER} has not succeeded."


@pytest.mark.parametrize("clause", [clause for clause in Clause if clause not in {Clause.NO_QUERY, Clause.UNPOOLED}])
def test_every_reason_has_words_that_follow_a_sentence(clause: Clause) -> None:
    text = phrase(Reason(clause, "", "", "", "", items=("thing",)))

    assert text.startswith(" ")
    assert text.strip()
