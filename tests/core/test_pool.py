"""The pool: what keeps a pull request out of it, and who is served first."""

import re
from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.contexts import ContextPolicy, EmptyContexts
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import (
    Arrival,
    BlocksPolicy,
    BranchSettings,
    Landed,
    Memory,
    Refusal,
    Standing,
    Unproved,
    applicable_blockers,
    assess,
    ranked,
    under_protection,
    unproved_now,
    voided,
)
from mergeq.core.pull import (
    Blocker,
    Branch,
    Context,
    Mergeable,
    Method,
    Protection,
    PullRequest,
    Repository,
    Result,
    blocker,
)
from mergeq.core.queue import Drafts, Forks, Landing, Order, StagingValues
from mergeq.core.reason import Clause, Reason
from tests.builders import BASE, MAIN, context, facts, green, insider, pool, pr, query, settings, staging

ANY = Repository()
FREE = Protection()
LABELLED = MergeMethods(squash_label="m/squash", rebase_label="m/rebase")


def judge(
    pull: PullRequest,
    repository: Repository = ANY,
    config: BranchSettings | None = None,
    refusal: Refusal | None = None,
    *,
    protection: Protection = FREE,
    arrival: Arrival | None = None,
    convicted: dict[str, Reason] | None = None,
    now: float = 0.0,
) -> Standing:
    """One pull request, judged; its head is the one that it was opened with, and nothing protects the branch."""
    memory = Memory(
        refusals={pull.number: refusal} if refusal else {},
        convictions=convicted or {},
        arrivals={pull.number: arrival or Arrival(pull.head_sha, 0.0, original=True)},
    )
    return assess(pull, repository, protection, config or settings(), memory, now)


def reasons(
    pull: PullRequest, config: BranchSettings | None = None, repository: Repository = ANY
) -> tuple[Reason, ...]:
    return judge(pull, repository, config).reasons


def clauses(pull: PullRequest, config: BranchSettings | None = None, repository: Repository = ANY) -> list[Clause]:
    return [reason.clause for reason in reasons(pull, config, repository)]


def outage(number: int, title: str = "Outage") -> Blocker:
    return blocker(number, title, "")


# What keeps a pull request out


def test_a_pull_request_that_has_everything_is_in_the_pool() -> None:
    standing = judge(pr(), ANY, settings())

    assert standing.in_pool
    assert standing.reasons == ()
    assert standing.method is Method.MERGE


def test_a_closed_pull_request_stays_out() -> None:
    assert clauses(pr(is_open=False)) == [Clause.CLOSED]


def test_a_draft_stays_out_until_it_is_ready() -> None:
    """T3.16 repaired."""
    assert clauses(pr(is_draft=True)) == [Clause.DRAFT]


def test_a_draft_may_be_admitted_by_configuration() -> None:
    assert clauses(pr(is_draft=True), settings(drafts=Drafts.INCLUDE)) == []


def test_a_conflict_keeps_out() -> None:
    """T3.6, T11.134."""
    assert clauses(pr(mergeable=Mergeable.CONFLICTING)) == [Clause.CONFLICT]


def test_a_merge_verdict_that_github_has_not_computed_keeps_nobody_out() -> None:
    """T3.6, T11.143."""
    assert clauses(pr(mergeable=Mergeable.UNKNOWN, merge_state="UNKNOWN", can_be_rebased=False)) == []


def test_contradicting_method_labels_keep_out() -> None:
    """T3.8, T11.149: and then no method is chosen."""
    standing = judge(pr(labels=("lgtm", "approved", "m/squash", "m/rebase")), ANY, settings(methods=LABELLED))

    assert [reason.clause for reason in standing.reasons] == [Clause.METHOD_LABELS]
    assert standing.method is None
    assert "m/squash, m/rebase" in standing.reasons[0].remedy


def test_a_pull_request_that_cannot_be_rebased_stays_out_when_it_is_to_be_rebased() -> None:
    """T3.9, T11.151."""
    rebased = settings(methods=MergeMethods({"acme": Method.REBASE}))

    assert clauses(pr(can_be_rebased=False), rebased) == [Clause.REBASE]
    assert clauses(pr(can_be_rebased=True), rebased) == []
    assert clauses(pr(can_be_rebased=False)) == []


def test_whether_it_can_be_rebased_is_not_known_before_github_has_computed_it() -> None:
    """GitHub says false while it does not know."""
    rebased = settings(methods=MergeMethods({"acme": Method.REBASE}))

    assert clauses(pr(can_be_rebased=False, mergeable=Mergeable.UNKNOWN), rebased) == []


@pytest.mark.parametrize(
    ("labels", "methods", "allowed", "refused"),
    [
        pytest.param(("m/squash",), LABELLED, Method.MERGE, "squash", id="a squash label where merge alone is allowed"),
        pytest.param((), MergeMethods({"acme": Method.REBASE}), Method.MERGE, "rebase", id="rebase is configured"),
        pytest.param((), MergeMethods(), Method.SQUASH, "merge", id="nothing is configured, squash alone is allowed"),
    ],
)
def test_a_method_the_repository_does_not_allow_keeps_out(
    labels: tuple[str, ...], methods: MergeMethods, allowed: Method, refused: str
) -> None:
    """T3.10a, T11.150."""
    found = reasons(
        pr(labels=("lgtm", "approved", *labels)), settings(methods=methods), Repository(frozenset({allowed}))
    )

    assert [(reason.clause, reason.items) for reason in found] == [(Clause.METHOD_DISALLOWED, (refused,))]
    assert allowed in found[0].observed


def test_a_repository_that_allows_no_method_is_told_so() -> None:
    assert reasons(pr(), repository=Repository(frozenset()))[0].observed == "it allows none"


def test_github_s_verdict_blocked_keeps_out_when_configured() -> None:
    """T3.10, T11.152."""
    assert clauses(pr(merge_state="BLOCKED"), settings(blocks_policy=BlocksPolicy.BLOCK)) == [Clause.GITHUB_BLOCKED]


@pytest.mark.parametrize("policy", [BlocksPolicy.PERMIT, BlocksPolicy.IGNORE])
def test_github_s_verdict_blocked_is_only_an_opinion_otherwise(policy: BlocksPolicy) -> None:
    """T11.153."""
    assert clauses(pr(merge_state="BLOCKED"), settings(blocks_policy=policy)) == []


@pytest.mark.parametrize("state", ["CLEAN", "BEHIND", "UNSTABLE", "DRAFT", "SOMETHING_NEW"])
def test_other_merge_states_are_not_looked_at(state: str) -> None:
    """T3.10, T11.155."""
    assert clauses(pr(merge_state=state), settings(blocks_policy=BlocksPolicy.BLOCK)) == []


def test_what_github_s_own_merge_queue_serves_stays_out() -> None:
    """T12.30."""
    assert clauses(pr(in_merge_queue=True)) == [Clause.MERGE_QUEUE]


def test_what_somebody_told_github_to_merge_by_itself_is_not_tested_together_with_others() -> None:
    """Q46: GitHub would merge it as soon as its statuses are green, whatever the queue is about."""
    armed = insider(auto_merge_by="alice")

    (reason,) = reasons(armed, staging())

    assert (reason.clause, reason.who, reason.remedy) == (
        Clause.AUTO_MERGE,
        "alice",
        "disable auto-merge; the queue merges it",
    )
    assert clauses(armed) == []


def test_nothing_enters_the_pool_of_an_archived_repository() -> None:
    assert clauses(pr(), repository=Repository(is_archived=True)) == [Clause.ARCHIVED]


def test_mergeability_is_checked_in_the_order_of_tide() -> None:
    """T3.7."""
    hopeless = pr(
        mergeable=Mergeable.CONFLICTING, can_be_rebased=False, merge_state="BLOCKED", labels=("lgtm", "approved")
    )
    config = settings(methods=MergeMethods({"acme": Method.REBASE}), blocks_policy=BlocksPolicy.BLOCK)

    assert clauses(hopeless, config, Repository(frozenset({Method.MERGE}))) == [
        Clause.CONFLICT,
        Clause.REBASE,
        Clause.METHOD_DISALLOWED,
        Clause.GITHUB_BLOCKED,
    ]


def test_contexts_that_could_not_be_read_keep_out() -> None:
    """D8, T3.11."""
    assert clauses(pr(contexts=None)) == [Clause.CONTEXTS_UNREADABLE]
    assert clauses(pr(contexts=None), settings(empty_contexts=EmptyContexts.ALLOW)) == [Clause.CONTEXTS_UNREADABLE]


@pytest.mark.parametrize(
    "contexts",
    [
        pytest.param((), id="nothing has reported"),
        pytest.param((context("tide", Result.PENDING),), id="mergeq alone has reported"),
        pytest.param((green("Tide"),), id="mergeq alone has reported, in another case"),
    ],
)
def test_a_head_on_which_no_ci_has_reported_is_not_green(contexts: tuple[Context, ...]) -> None:
    """D3."""
    assert clauses(pr(contexts=contexts)) == [Clause.NO_CONTEXTS]


def test_a_repository_without_ci_may_be_configured_to_merge() -> None:
    """D3, T11.52 as Tide does."""
    assert clauses(pr(contexts=()), settings(empty_contexts=EmptyContexts.ALLOW)) == []


def test_where_required_contexts_are_absent_they_are_named_instead() -> None:
    """T3.13."""
    required = settings(contexts=ContextPolicy(required=frozenset({"ci/test"})))

    found = reasons(pr(contexts=()), required)

    assert [(reason.clause, reason.items) for reason in found] == [(Clause.CONTEXTS, ("ci/test",))]


@pytest.mark.parametrize("result", [Result.PENDING, Result.FAILURE, Result.ERROR, Result.EXPECTED])
def test_a_context_that_is_not_green_keeps_out(result: Result) -> None:
    """T3.12-T3.14, T11.135, T11.137."""
    assert clauses(pr(contexts=(green(), context("ci/lint", result)))) == [Clause.CONTEXTS]


def test_without_a_query_for_the_branch_everybody_stays_out() -> None:
    assert clauses(pr(), settings(queries=())) == [Clause.NO_QUERY]


def test_one_query_that_admits_is_enough() -> None:
    assert clauses(pr(), settings(queries=(query(labels=("never",)), query()))) == []


def test_every_reason_is_told_at_once() -> None:
    """D7."""
    found = clauses(
        pr(is_draft=True, mergeable=Mergeable.CONFLICTING, labels=(), contexts=(context("a", Result.ERROR),))
    )

    assert found == [Clause.CONFLICT, Clause.DRAFT, Clause.LABELS, Clause.CONTEXTS]


def test_every_reason_says_what_is_needed_what_was_seen_who_can_help_and_how() -> None:
    refused = Refusal(pr().head_sha, "no", until=10.0)
    worst = pr(
        is_open=False, is_draft=True, mergeable=Mergeable.CONFLICTING, can_be_rebased=False, merge_state="BLOCKED",
        in_merge_queue=True, contexts=(), labels=("lgtm", "approved", "m/squash"),
    )  # fmt: skip
    config = settings(blocks_policy=BlocksPolicy.BLOCK, methods=LABELLED, queries=())

    found = judge(worst, Repository(frozenset(), is_archived=True), config, refused, now=0.0).reasons

    assert len(found) == 10
    for reason in found:
        assert all((reason.needed, reason.observed, reason.who, reason.remedy)), reason


# After a refusal


def test_a_refused_pull_request_stands_back_and_says_why() -> None:
    """T12.7."""
    refusal = Refusal(pr().head_sha, "405 Required status check is expected", until=60.0)

    standing = judge(pr(), ANY, settings(), refusal, now=18.0)

    assert [(reason.clause, reason.items) for reason in standing.reasons] == [
        (Clause.REFUSED, ("405 Required status check is expected",))
    ]
    assert "in 42 s" in standing.reasons[0].remedy


def test_a_refusal_that_is_about_to_end_never_says_zero_seconds() -> None:
    refusal = Refusal(pr().head_sha, "no", until=60.0)

    assert "in 1 s" in judge(pr(), ANY, settings(), refusal, now=59.9).reasons[0].remedy


def test_a_push_ends_a_refusal() -> None:
    refusal = Refusal("0" * 40, "no", until=60.0)

    assert judge(pr(), ANY, settings(), refusal, now=0.0).in_pool


def test_a_refusal_ends_with_its_time() -> None:
    refusal = Refusal(pr().head_sha, "no", until=60.0)

    assert judge(pr(), ANY, settings(), refusal, now=60.0).in_pool


# After a run that did not pass


def test_who_did_not_pass_with_the_base_stays_out_and_says_why() -> None:
    """D24."""
    verdict = Reason(Clause.STAGED, "ci/test to be green", "ci/test failed", "the author", "push", items=("ci/test",))
    known = {insider().head_sha: verdict}

    assert judge(insider(), config=staging(), convicted=known).reasons == (verdict,)
    assert judge(insider(head_sha="9" * 40), config=staging(), convicted=known).in_pool
    assert judge(insider(), convicted=known).in_pool, "where nothing is staged, what was staged does not count"


# An approval is for a head

HEAD, EARLIER = "9f8e7d6" + "0" * 33, "1a2b3c4" + "0" * 33
PUSHED = Arrival(HEAD, 100.0)


def voiding(
    arrival: Arrival | None, *labels: str, by: tuple[str, ...] = ("lgtm",), at: dict[str, float] | None = None
) -> list[str]:
    """The labels that do not count, as the reasons name them."""
    pull = pr(head_sha=HEAD, labels=labels or ("lgtm", "approved"), label_times=tuple((at or {}).items()))
    found = voided(pull, settings(voided_by_push=by), arrival)
    assert {reason.clause for reason in found} <= {Clause.VOIDED}
    return [reason.needed.split(" ")[0] for reason in found]


@pytest.mark.parametrize(
    ("arrival", "given", "counts"),
    [
        pytest.param(PUSHED, 99.0, False, id="before the head arrived"),
        pytest.param(PUSHED, 100.0, False, id="in the second in which it arrived: not certain"),
        pytest.param(PUSHED, 101.0, True, id="after the head arrived"),
        pytest.param(PUSHED, None, False, id="at a time that is not known"),
        pytest.param(None, 101.0, False, id="the arrival is not known"),
        pytest.param(None, None, False, id="nothing is known"),
        pytest.param(Arrival(EARLIER, 100.0), 101.0, False, id="what is known is of another head"),
        pytest.param(Arrival(EARLIER, 100.0, original=True), 101.0, False, id="the original head was another"),
        pytest.param(Arrival(HEAD, 100.0, original=True), 99.0, True, id="the head is the original: no label is older"),
        pytest.param(Arrival(HEAD, 100.0, original=True), None, True, id="the head is the original, no time known"),
    ],
)
def test_an_approval_counts_only_if_it_was_given_to_this_head(
    arrival: Arrival | None, given: float | None, counts: bool
) -> None:
    """D17: unknown does not count."""
    times = {} if given is None else {"lgtm": given}

    assert voiding(arrival, at=times) == ([] if counts else ["lgtm"])


def test_only_configured_labels_are_voided_by_a_push() -> None:
    assert voiding(PUSHED, "approved", at={"approved": 1.0}) == []
    assert voiding(PUSHED, "lgtm", by=(), at={"lgtm": 1.0}) == []


def test_each_label_is_judged_by_its_own_time() -> None:
    both = ("lgtm", "approved")

    assert voiding(PUSHED, *both, by=both, at={"lgtm": 99.0, "approved": 101.0}) == ["lgtm"]
    assert voiding(PUSHED, *both, by=both, at={"lgtm": 101.0, "approved": 99.0}) == ["approved"]
    assert voiding(PUSHED, *both, by=both, at={"lgtm": 1.0, "approved": 2.0}) == ["lgtm", "approved"]
    assert voiding(PUSHED, *both, by=both, at={"lgtm": 101.0, "approved": 102.0}) == []


def test_the_case_of_a_voided_label_does_not_matter_and_its_spelling_is_kept() -> None:
    """D18."""
    assert voiding(PUSHED, "LGTM", by=("Lgtm",), at={"lgtm": 99.0}) == ["LGTM"]
    assert voiding(PUSHED, "LGTM", by=("Lgtm",), at={"lgtm": 101.0}) == []


def test_a_voided_approval_keeps_out_and_says_for_which_head_it_is_needed() -> None:
    """D17."""
    found = judge(pr(head_sha=HEAD), arrival=PUSHED).reasons

    assert [reason.clause for reason in found] == [Clause.VOIDED]
    assert found[0].needed == "lgtm for 9f8e7d6"
    assert all((found[0].observed, found[0].who, found[0].remedy, found[0].items))


def test_without_memory_no_approval_counts() -> None:
    """D17, D14: losing what was known costs a review, never a wrong merge."""
    standing = assess(pr(), ANY, FREE, settings(), Memory(), 0.0)

    assert [reason.clause for reason in standing.reasons] == [Clause.VOIDED]


# GitHub's own rules


@pytest.mark.parametrize(
    ("demand", "unmet", "met", "methods"),
    [
        pytest.param(
            Protection(reviews=True),
            {"review_decision": "REVIEW_REQUIRED"},
            {"review_decision": "APPROVED"},
            MergeMethods(),
            id="reviews",
        ),
        pytest.param(
            Protection(reviews=True),
            {"review_decision": None},
            {"review_decision": "APPROVED"},
            MergeMethods(),
            id="reviews, no decision",
        ),
        pytest.param(
            Protection(conversations=True),
            {"unresolved_threads": 2},
            {"unresolved_threads": 0},
            MergeMethods(),
            id="conversations",
        ),
        pytest.param(
            Protection(up_to_date=True),
            {"merge_state": "BEHIND"},
            {"merge_state": "CLEAN"},
            MergeMethods(),
            id="up to date",
        ),
        pytest.param(
            Protection(linear_history=True),
            {"labels": ("lgtm", "approved")},
            {"labels": ("lgtm", "approved", "m/squash")},
            LABELLED,
            id="linear history, by merge",
        ),
        pytest.param(
            Protection(signatures=True),
            {"labels": ("lgtm", "approved", "m/rebase")},
            {"labels": ("lgtm", "approved", "m/squash")},
            LABELLED,
            id="signatures, by rebase",
        ),
        pytest.param(
            Protection(unjudged=("workflows",)),
            {"merge_state": "BLOCKED"},
            {"merge_state": "CLEAN"},
            MergeMethods(),
            id="rules that only GitHub can judge",
        ),
        pytest.param(
            Protection(unjudged=("workflows",)),
            {"merge_state": "UNKNOWN"},
            {"merge_state": "UNSTABLE"},
            MergeMethods(),
            id="rules that only GitHub can judge, before it has",
        ),
    ],
)
def test_what_protection_demands_keeps_out_until_it_is_met(
    demand: Protection, unmet: dict[str, Any], met: dict[str, Any], methods: MergeMethods
) -> None:
    """D19: whether or not our token could pass it by."""
    config = settings(methods=methods)

    found = judge(pr(**unmet), config=config, protection=demand).reasons

    assert [reason.clause for reason in found] == [Clause.PROTECTION]
    assert all((found[0].needed, found[0].observed, found[0].who, found[0].remedy, found[0].items))
    assert judge(pr(**unmet), config=config).in_pool, "where nothing demands it"
    assert judge(pr(**met), config=config, protection=demand).in_pool


def test_nothing_lands_on_a_locked_branch() -> None:
    assert [reason.clause for reason in judge(pr(), protection=Protection(is_locked=True)).reasons] == [
        Clause.PROTECTION
    ]


@pytest.mark.parametrize("label", ["m/squash", "m/rebase"])
def test_a_linear_history_is_kept_by_squash_and_by_rebase(label: str) -> None:
    pull = pr(labels=("lgtm", "approved", label))

    assert judge(pull, config=settings(methods=LABELLED), protection=Protection(linear_history=True)).in_pool


def test_signatures_are_kept_by_merge() -> None:
    assert judge(pr(), protection=Protection(signatures=True)).in_pool


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (Protection(no_updates=True), "a ruleset restricts updates to those who may pass it by"),
        (Protection(reserved_for=("@acme/release", "ana")), "only @acme/release, ana may"),
    ],
    ids=["updates", "pushes"],
)
def test_a_branch_that_others_alone_may_change_keeps_out_whoever_our_token_is(demand: Protection, said: str) -> None:
    """D19."""
    (found,) = judge(pr(), protection=demand).reasons

    assert (found.clause, found.observed) == (Clause.PROTECTION, said)


def test_only_a_pull_request_that_can_be_pushed_waits_to_be_where_nothing_else_may_land_it() -> None:
    """D5."""
    config, rules = staging(landing=Landing.FAST_FORWARD), Protection(by_pull=True)

    (found,) = judge(insider(), config=config, protection=rules).reasons

    assert (found.clause, found.observed) == (Clause.LANDING, "changes have to come through a pull request")
    assert judge(insider(), config=config).in_pool
    assert judge(insider(), config=staging(), protection=rules).in_pool


def test_what_has_landed_stays_out_though_github_shows_it_as_open_until_it_is_pushed_to() -> None:
    """Q76."""
    memory = Memory(
        arrivals={1: Arrival(pr().head_sha, 0.0, original=True)}, landed={1: Landed(pr().head_sha, "c" * 40, 5.0)}
    )

    (found,) = assess(pr(), ANY, FREE, settings(), memory, 0.0).reasons

    assert (found.clause, found.observed) == (Clause.LANDED, "it has landed as ccccccc, which GitHub does not show yet")
    pushed = replace(memory, landed={1: Landed("d" * 40, "c" * 40, 5.0)})
    assert assess(pr(), ANY, FREE, settings(), pushed, 0.0).in_pool


def test_what_we_would_not_land_ourselves_is_not_said_to_be_githubs_refusal() -> None:
    refusal = Refusal(pr().head_sha, "only GitHub can judge its rules", 100.0, is_ours=True)

    (found,) = judge(pr(), refusal=refusal, now=40.0).reasons

    assert (found.clause, found.observed) == (Clause.LANDING, refusal.text)
    assert found.remedy == "mergeq tries again in 60 s, or at once when it is pushed to"


def test_every_demand_of_protection_is_told_at_once() -> None:
    """D7."""
    everything = Protection(reviews=True, conversations=True, up_to_date=True, linear_history=True, signatures=True)

    found = judge(pr(merge_state="BEHIND", unresolved_threads=1), protection=everything).reasons

    assert [reason.clause for reason in found] == [Clause.PROTECTION] * 4


def held(
    *contexts: Context, required: tuple[tuple[str, str | None], ...], **changes: Any
) -> list[tuple[Clause, tuple[str, ...]]]:
    """What keeps a pull request out where GitHub requires these contexts."""
    found = judge(pr(contexts=contexts), config=settings(**changes), protection=Protection(required=required)).reasons
    return [(reason.clause, reason.items) for reason in found]


def test_what_github_requires_is_required_here_too() -> None:
    """D19."""
    assert held(green(), required=(("build", None),)) == [(Clause.CONTEXTS, ("build",))]
    assert held(green(), green("build"), required=(("build", None),)) == []


@pytest.mark.parametrize("app", [None, "evil"])
def test_what_github_requires_of_an_app_counts_from_that_app_alone(app: str | None) -> None:
    """D18, D19."""
    pinned = (("build", "actions"),)

    assert held(green("build", app=app), required=pinned) == [(Clause.CONTEXTS, ("build",))]
    assert held(green("build", app="actions"), required=pinned) == []
    assert held(green("build", app="actions"), required=pinned, context_apps={"build": "any"}) == []
    assert held(green("build", app=app), required=pinned, context_apps={"build": "any"}) != []


def test_a_context_that_github_requires_of_several_apps_must_come_from_each() -> None:
    """D19: classic protection and a ruleset may pin one name to different apps; both hold."""
    both = (("build", "actions"), ("build", "jenkins"))

    assert held(green("build", app="actions"), required=both) != []
    assert held(green("build", app="jenkins"), required=both) != []
    assert held(green("build", app="actions"), green("build", app="jenkins"), required=both) == []


def test_a_pin_of_ours_stays_where_github_asks_for_any_app() -> None:
    """D18."""
    apps = {"build": "actions"}

    assert held(green("build"), required=(("build", None),), context_apps=apps) != []
    assert held(green("build", app="actions"), required=(("build", None),), context_apps=apps) == []


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(ContextPolicy(optional=frozenset({"build"})), id="optional"),
        pytest.param(ContextPolicy(optional_patterns=(re.compile("bu"),)), id="optional by pattern"),
        pytest.param(ContextPolicy(required_if_present=frozenset({"build"})), id="required if present"),
        pytest.param(ContextPolicy(skip_unknown=True), id="unknown contexts are skipped"),
    ],
)
@pytest.mark.parametrize("contexts", [(green(),), (green(), context("build", Result.FAILURE))])
def test_what_github_requires_is_required_whatever_the_configuration_calls_it(
    policy: ContextPolicy, contexts: tuple[Context, ...]
) -> None:
    """D19."""
    assert held(*contexts, required=(("build", None),), contexts=policy) == [(Clause.CONTEXTS, ("build",))]


@pytest.mark.parametrize("name", ["tide", "Tide"])
def test_our_own_context_is_never_required_of_ourselves(name: str) -> None:
    """T3.15: a branch that requires it would wait for itself."""
    protection = Protection(required=((name, "mergeq"),))

    assert held(green(), required=protection.required) == []
    assert under_protection(settings(), protection).contexts.required == frozenset()


def test_settings_without_required_contexts_are_as_they_were() -> None:
    config = settings()

    assert under_protection(config, Protection(reviews=True)) is config


def test_a_required_context_that_is_absent_is_named_instead_of_no_contexts_at_all() -> None:
    assert held(required=(("build", None),)) == [(Clause.CONTEXTS, ("build",))]


# Whose code may be staged


def stranger(**changes: Any) -> PullRequest:
    """A pull request from a fork, by somebody without write access, that touches nothing sensitive."""
    return pr(**{"is_fork": True, "by_writer": False, "paths": ("src/engine.py",), **changes})


def forbidden(pull: PullRequest, arrival: Arrival | None = None, **values: Any) -> list[Reason]:
    """Why a pull request may not be staged; its approval by label is not needed to be in the pool."""
    config = staging(queries=(query(labels=()),), staging=StagingValues(**values))
    found = judge(pull, config=config, arrival=arrival).reasons
    return [reason for reason in found if reason.clause is Clause.STAGING_FORBIDDEN]


@pytest.mark.parametrize(
    ("forks", "changes", "may"),
    [
        pytest.param(Forks.NEVER, {"labels": ()}, False, id="never"),
        pytest.param(Forks.NEVER, {"labels": (), "approvers": ("bo",)}, False, id="never, approved by review"),
        pytest.param(Forks.NEVER, {"labels": ("lgtm",)}, False, id="never, approved by label"),
        pytest.param(Forks.APPROVED, {"labels": ()}, False, id="approved, but nobody did"),
        pytest.param(Forks.APPROVED, {"labels": ("approved",)}, False, id="approved, by a label that outlives a push"),
        pytest.param(Forks.APPROVED, {"labels": (), "approvers": ("bo",)}, True, id="approved by review"),
        pytest.param(Forks.APPROVED, {"labels": ("LGTM",)}, True, id="approved by label"),
        pytest.param(Forks.APPROVED, {"labels": ("ok-to-stage",)}, True, id="approved, cleared by the allow label"),
        pytest.param(Forks.ALWAYS, {"labels": ()}, True, id="always"),
        pytest.param(Forks.NEVER, {"labels": (), "is_fork": False}, True, id="never, but not from a fork"),
        pytest.param(Forks.APPROVED, {"labels": (), "is_fork": False}, True, id="not approved, but not from a fork"),
    ],
)
def test_code_from_a_fork_is_staged_as_configured(forks: Forks, changes: dict[str, Any], may: bool) -> None:
    """D21."""
    found = forbidden(stranger(**changes), forks=forks)

    assert [reason.items for reason in found] == (
        [] if may else [("PR comes from a fork and is not cleared for staging.",)]
    )


def test_never_means_never_whatever_its_label() -> None:
    """D21: the allow label is about sensitive paths and approval; a fork that is never staged is never staged."""
    assert forbidden(stranger(labels=("ok-to-stage",)), forks=Forks.NEVER) != []


def test_an_approval_by_label_of_an_earlier_head_does_not_clear_a_fork() -> None:
    """D21, D17: given to this head."""
    pull = stranger(labels=("lgtm",), head_sha=HEAD, label_times=(("lgtm", 99.0),))
    reviewed = stranger(labels=("lgtm",), head_sha=HEAD, label_times=(("lgtm", 101.0),))

    assert forbidden(pull, PUSHED) != []
    assert forbidden(reviewed, PUSHED) == []


@pytest.mark.parametrize("given", [99.0, 100.0, None])
def test_an_allow_label_of_an_earlier_head_clears_nothing(given: float | None) -> None:
    """D21, D17: or a stranger has harmless code cleared, and pushes another."""
    times = () if given is None else (("ok-to-stage", given),)
    evil = stranger(
        labels=("ok-to-stage",), head_sha=HEAD, label_times=times, paths=(".github/workflows/ci.yml",)
    )  # fmt: skip

    assert len(forbidden(evil, PUSHED)) == 2
    assert forbidden(replace(evil, label_times=(("ok-to-stage", 101.0),)), PUSHED) == []


@pytest.mark.parametrize(
    ("paths", "writer", "may"),
    [
        pytest.param(("src/a.py",), False, True, id="nothing sensitive"),
        pytest.param((), False, True, id="no files at all"),
        pytest.param((".github/workflows/ci.yml",), False, False, id="a workflow"),
        pytest.param(("src/a.py", ".github/CODEOWNERS"), False, False, id="a file among others"),
        pytest.param((".github/a\nb/c.yml",), False, False, id="a name with a line break"),
        pytest.param(("docs/.github/x.yml",), False, True, id="a folder of that name elsewhere"),
        pytest.param((".githubx/x.yml",), False, True, id="a name that only begins alike"),
        pytest.param((".github/workflows/ci.yml",), True, True, id="a workflow, by a writer"),
        pytest.param(None, False, False, id="files that could not all be read"),
        pytest.param(None, True, True, id="unread files, by a writer"),
    ],
)
def test_who_may_not_write_may_not_touch_sensitive_paths(
    paths: tuple[str, ...] | None, writer: bool, may: bool
) -> None:
    """D21, D8: also without a fork."""
    pull = pr(paths=paths, by_writer=writer)

    found = forbidden(pull)

    assert [reason.items for reason in found] == (
        [] if may else [("PR touches sensitive paths and needs ok-to-stage label.",)]
    )
    assert forbidden(replace(pull, labels=("OK-to-Stage",))) == []


def test_an_approval_does_not_clear_sensitive_paths() -> None:
    """D21: they also need the allow label."""
    assert forbidden(pr(paths=(".github/x.yml",), approvers=("bo",))) != []


@pytest.mark.parametrize("forks", list(Forks))
def test_sensitive_paths_are_looked_at_whatever_is_said_about_forks(forks: Forks) -> None:
    evil = stranger(paths=(".github/x.yml",), approvers=("bo",))

    assert ("PR touches sensitive paths and needs ok-to-stage label.",) in [
        reason.items for reason in forbidden(evil, forks=forks)
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "sensitive"),
    [
        ("Makefile", "Makefile", True),
        ("Makefile", "src/Makefile", False),
        ("*.yml", "ci.yml", True),
        ("*.yml", "deep/ci.yml", False),
        ("**/*.yml", "deep/er/ci.yml", True),
        ("ci/*", "ci/a", True),
        ("ci/*", "ci/a/b", False),
        ("ci/**", "ci/a/b", True),
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
    ],
)
def test_sensitive_paths_are_patterns(pattern: str, path: str, sensitive: bool) -> None:
    assert bool(forbidden(pr(paths=(path,)), sensitive_paths=(pattern,))) == sensitive


def test_the_allow_label_is_configured() -> None:
    pull = pr(paths=(".github/x.yml",), labels=("ok-to-stage",))

    found = forbidden(pull, allow_label="ci/cleared")

    assert [reason.items for reason in found] == [("PR touches sensitive paths and needs ci/cleared label.",)]
    assert forbidden(replace(pull, labels=("ci/cleared",)), allow_label="ci/cleared") == []


def test_what_may_not_be_staged_says_who_could_allow_it_and_how() -> None:
    """D7."""
    fork, paths = forbidden(stranger(labels=(), paths=(".github/a", ".github/b", ".github/c", ".github/d")))

    assert fork.observed == "it comes from a fork and this head is not approved"
    assert fork.remedy == "add ok-to-stage, or approve 0000000"
    assert paths.observed == "it touches .github/a, .github/b, .github/c, and ana has no write access"
    assert paths.remedy == "read it, then add ok-to-stage"
    assert forbidden(pr(paths=None))[0].observed.startswith("its changed files could not all be read")
    assert "never staged here" in forbidden(stranger(labels=()), forks=Forks.NEVER)[0].observed


def test_where_nothing_is_staged_anybody_s_code_may_be_in_the_pool() -> None:
    assert judge(stranger(paths=(".github/x.yml",))).in_pool


# The pool as a whole


def test_the_pool_holds_every_open_pull_request_by_number_and_says_who_is_in() -> None:
    judged = pool(pr(3), pr(1, is_draft=True), pr(2))

    assert [standing.pull.number for standing in judged.standings] == [1, 2, 3]
    assert [standing.pull.number for standing in judged.members] == [2, 3]
    assert (judged.branch, judged.base_sha) == (MAIN, BASE)


def test_one_bad_pull_request_does_not_keep_out_another() -> None:
    """T11.140."""
    judged = pool(pr(1, contexts=(context("other-a", Result.FAILURE),)), pr(2))

    assert [standing.pull.number for standing in judged.members] == [2]


def test_a_pull_request_is_found_in_its_pool_by_number() -> None:
    judged = pool(pr(1), pr(2))

    standing = judged.standing(2)

    assert standing is not None
    assert standing.pull == pr(2)
    assert judged.standing(3) is None


def test_a_gap_in_the_facts_stays_visible_in_the_pool() -> None:
    assert pool(pr(1), partial="page 2 of the pull requests").partial == "page 2 of the pull requests"


def test_each_pull_request_is_judged_under_its_own_refusal() -> None:
    judged = pool(pr(1), pr(2), refusals={2: Refusal(pr(2).head_sha, "no", until=2000.0)})

    assert [standing.pull.number for standing in judged.members] == [1]


def test_a_member_enters_now_unless_this_head_was_in_the_pool_before() -> None:
    known = {(1, pr(1).head_sha): 10.0, (2, "an older head"): 20.0}

    judged = pool(pr(1), pr(2), pr(3, is_draft=True), entered=known, now=1000.0)

    assert [standing.entered_at for standing in judged.standings] == [10.0, 1000.0, None]


@pytest.mark.parametrize(
    ("titles", "branch", "stopped_by"),
    [
        pytest.param({5: "all"}, "main", [5], id="T11.294 the whole repository"),
        pytest.param({6: "all", 5: "all"}, "main", [5, 6], id="T11.295 ascending"),
        pytest.param({5: "all", 6: "branch:feature"}, "feature", [5, 6], id="T11.296 the named branch"),
        pytest.param({5: "all", 6: "branch:feature"}, "main", [5], id="T11.296 another branch"),
        pytest.param({6: "branch:feature"}, "main", [], id="T11.297 nothing"),
        pytest.param(
            {9: "branch:feature branch:main branch:foo", 5: "all", 8: "branch:main", 7: "branch:feature", 6: "all"},
            "main",
            [5, 6, 8, 9],
            id="T11.298 several",
        ),
    ],
)
def test_a_branch_is_stopped_by_the_blockers_that_apply_to_it(
    titles: dict[int, str], branch: str, stopped_by: list[int]
) -> None:
    """T7.7."""
    issues = tuple(outage(number, title) for number, title in titles.items())

    applying = applicable_blockers(facts(branch=Branch("acme", "rocket", branch), blockers=issues))

    assert [issue.number for issue in applying] == stopped_by


def test_tide_lists_a_blocker_once_for_each_time_that_it_names_the_branch() -> None:
    """T7.4: on its statuses and pages."""
    assert outage(5).times_listed("main") == 1
    assert outage(6, "branch:main branch:next branch:main").times_listed("main") == 2
    assert outage(6, "branch:next").times_listed("main") == 0


def test_a_pool_carries_the_blockers_that_apply() -> None:
    judged = pool(pr(), blockers=(outage(7), outage(6, "branch:next")))

    assert [issue.number for issue in judged.blockers] == [7]


# Who is first


def served(*pulls: PullRequest, config: BranchSettings, entered: dict[int, float] | None = None) -> list[int]:
    known = {(number, pr(number).head_sha): at for number, at in (entered or {}).items()}
    judged = pool(*pulls, config=config, entered=known)
    return [standing.pull.number for standing in ranked(judged.members, config)]


def test_the_longest_in_the_pool_is_served_first() -> None:
    """T12.16."""
    assert served(pr(1), pr(2), pr(3), config=settings(), entered={1: 30.0, 2: 10.0, 3: 20.0}) == [2, 3, 1]


def test_those_who_entered_together_are_served_by_number() -> None:
    assert served(pr(3), pr(1), pr(2), config=settings()) == [1, 2, 3]


def test_the_lowest_number_may_be_configured_to_be_first() -> None:
    """T4.12."""
    assert served(pr(1), pr(2), config=settings(order=Order.NUMBER), entered={1: 30.0, 2: 10.0}) == [1, 2]


def test_an_earlier_priority_entry_is_served_before_a_later_one_and_both_before_the_rest() -> None:
    """T1.23, T4.12."""
    config = settings(priority=(("urgent",), ("queued-fix",)))
    ready = ("lgtm", "approved")

    assert served(
        pr(1), pr(2, labels=(*ready, "queued-fix")), pr(3, labels=(*ready, "Urgent")), config=config
    ) == [3, 2, 1]  # fmt: skip


def test_a_priority_entry_wants_all_of_its_labels() -> None:
    """T1.23."""
    config = settings(priority=(("urgent", "small"),))
    ready = ("lgtm", "approved")

    assert served(pr(1, labels=(*ready, "urgent")), pr(2, labels=(*ready, "urgent", "small")), config=config) == [2, 1]


def test_a_priority_label_may_have_alternatives() -> None:
    """T1.23."""
    config = settings(priority=(("p0,p1",),))

    assert served(pr(1), pr(2, labels=("lgtm", "approved", "p1")), config=config) == [2, 1]


def test_an_empty_priority_entry_means_everybody() -> None:
    config = settings(priority=((), ("urgent",)))

    assert served(pr(1), pr(2, labels=("lgtm", "approved", "urgent")), config=config) == [1, 2]


SEEN_RED = Unproved(pr().head_sha, frozenset({"e2e"}))


def awaiting(pull: PullRequest, seen: Unproved, config: BranchSettings | None = None) -> list[Clause]:
    arrivals = {pull.number: Arrival(pull.head_sha, 0.0, original=True)}
    memory = Memory(arrivals=arrivals, unproved={pull.number: seen})
    judged = assess(pull, Repository(), Protection(), config or settings(), memory, 0.0)
    return [reason.clause for reason in judged.reasons]


def test_a_context_that_was_red_and_is_gone_for_a_moment_is_still_awaited() -> None:
    """D18, T12.20: a re-run takes it away."""
    assert awaiting(pr(), SEEN_RED) == [Clause.CONTEXTS]
    assert awaiting(pr(contexts=(green(), green("e2e"))), SEEN_RED) == []


def test_what_was_red_on_another_head_or_does_not_count_is_not_awaited() -> None:
    optional = settings(contexts=ContextPolicy(optional=frozenset({"e2e"})))

    assert awaiting(pr(), Unproved("f" * 40, frozenset({"e2e"}))) == []
    assert awaiting(pr(), SEEN_RED, optional) == []


@pytest.mark.parametrize(
    ("contexts", "left"),
    [
        ((green("e2e"),), set()),
        ((context("e2e", Result.FAILURE),), {"e2e"}),
        ((green("e2e"), context("lint", Result.PENDING), context("Tide", Result.PENDING)), {"lint"}),
        ((), {"e2e"}),
        (None, {"e2e"}),
        ((green("e2e", app="a"), context("e2e", Result.FAILURE, app="b")), {"e2e"}),
    ],
    ids=["green now", "still red", "another one pending", "gone", "not readable", "green from one of two apps"],
)
def test_only_a_green_result_ends_the_wait(contexts: tuple[Context, ...] | None, left: set[str]) -> None:
    """T12.20."""
    assert unproved_now(pr(contexts=contexts), SEEN_RED, "tide").names == left


def test_a_push_ends_the_wait() -> None:
    assert unproved_now(pr(head_sha="f" * 40), SEEN_RED, "tide") == Unproved("f" * 40, frozenset())


def test_what_github_requires_and_nothing_has_ever_reported_is_named_once_ci_has_reported_anything() -> None:
    """P7.47."""
    asked = Protection(required=(("ci/test", None), ("ci/tset", None), ("tide", None)))
    silent, told = (
        pool(pr(1, contexts=found), protection=asked) for found in ((green("tide"),), (green("CI/test"), green("tide")))
    )

    assert (silent.never_reported("tide"), told.never_reported("Tide")) == ((), ("ci/tset",))
