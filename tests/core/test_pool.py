"""The pool: what keeps a pull request out of it, and who is served first."""

import pytest

from mergeq.core.contexts import ContextPolicy, EmptyContexts
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BlocksPolicy, BranchSettings, Refusal, applicable_blockers, assess, ranked
from mergeq.core.pull import Branch, Context, Mergeable, Method, PullRequest, Repository, Result, blocker
from mergeq.core.queue import Drafts, Order
from mergeq.core.reason import Clause, Reason
from tests.builders import BASE, MAIN, context, facts, green, pool, pr, query, settings

ANY = Repository()
LABELLED = MergeMethods(squash_label="m/squash", rebase_label="m/rebase")


def reasons(
    pull: PullRequest, config: BranchSettings | None = None, repository: Repository = ANY
) -> tuple[Reason, ...]:
    return assess(pull, repository, config or settings()).reasons


def clauses(pull: PullRequest, config: BranchSettings | None = None, repository: Repository = ANY) -> list[Clause]:
    return [reason.clause for reason in reasons(pull, config, repository)]


def outage(number: int, title: str = "Outage") -> object:
    return blocker(number, title, "")


# What keeps a pull request out


def test_a_pull_request_that_has_everything_is_in_the_pool() -> None:
    standing = assess(pr(), ANY, settings())

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
    standing = assess(pr(labels=("lgtm", "approved", "m/squash", "m/rebase")), ANY, settings(methods=LABELLED))

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

    found = assess(worst, Repository(frozenset(), is_archived=True), config, refused, now=0.0).reasons

    assert len(found) == 10
    for reason in found:
        assert all((reason.needed, reason.observed, reason.who, reason.remedy)), reason


# After a refusal


def test_a_refused_pull_request_stands_back_and_says_why() -> None:
    """T12.7."""
    refusal = Refusal(pr().head_sha, "405 Required status check is expected", until=60.0)

    standing = assess(pr(), ANY, settings(), refusal, now=18.0)

    assert [(reason.clause, reason.items) for reason in standing.reasons] == [
        (Clause.REFUSED, ("405 Required status check is expected",))
    ]
    assert "in 42 s" in standing.reasons[0].remedy


def test_a_refusal_that_is_about_to_end_never_says_zero_seconds() -> None:
    refusal = Refusal(pr().head_sha, "no", until=60.0)

    assert "in 1 s" in assess(pr(), ANY, settings(), refusal, now=59.9).reasons[0].remedy


def test_a_push_ends_a_refusal() -> None:
    refusal = Refusal("0" * 40, "no", until=60.0)

    assert assess(pr(), ANY, settings(), refusal, now=0.0).in_pool


def test_a_refusal_ends_with_its_time() -> None:
    refusal = Refusal(pr().head_sha, "no", until=60.0)

    assert assess(pr(), ANY, settings(), refusal, now=60.0).in_pool


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
