"""Queries: which repositories one speaks about, what a pull request lacks, and the search that finds it."""

from datetime import UTC, datetime

import pytest

from mergeq.core.contexts import ContextPolicy
from mergeq.core.pull import Branch, PullRequest, Result
from mergeq.core.query import Query, applicable, closest, open_pull_searches, unmet, updated_between
from mergeq.core.reason import Clause, Reason
from tests.builders import context, green, pr, query

ANYTHING = ContextPolicy()


def lacks(wanted: Query, pull: PullRequest, contexts: ContextPolicy = ANYTHING) -> tuple[Reason, ...]:
    return unmet(wanted, pull, contexts, "tide")


def only(reasons: tuple[Reason, ...]) -> Reason:
    assert len(reasons) == 1, reasons
    return reasons[0]


def weight(reasons: tuple[Reason, ...]) -> int:
    return sum(reason.weight for reason in reasons)


# Which repositories


def test_a_query_covers_every_repository_of_its_orgs_but_the_excluded() -> None:
    """T1.43."""
    wanted = Query(orgs=("acme",), excluded_repos=("acme/attic",))

    assert wanted.covers("acme", "acme/rocket")
    assert not wanted.covers("acme", "acme/attic")
    assert not wanted.covers("other", "other/rocket")


def test_a_query_covers_the_repositories_it_lists() -> None:
    """T1.43."""
    assert Query(repos=("acme/rocket",)).covers("acme", "acme/rocket")
    assert not Query(repos=("acme/rocket",)).covers("acme", "acme/launchpad")


def test_listing_a_repository_does_not_bring_it_back_from_the_excluded() -> None:
    """T1.43."""
    wanted = Query(orgs=("acme",), repos=("acme/attic",), excluded_repos=("acme/attic",))

    assert not wanted.covers("acme", "acme/attic")


def test_the_queries_of_a_branch_keep_their_configured_order() -> None:
    first, other, last = Query(repos=("acme/rocket",)), Query(orgs=("other",)), Query(orgs=("acme",))

    assert applicable([first, other, last], Branch("acme", "rocket", "main")) == (first, last)


# What is missing


def test_a_pull_request_that_has_everything_lacks_nothing() -> None:
    full = query(
        author="ana", milestone="v1", included_branches=("main",), review_approved_required=True, labels=("lgtm", "a,b")
    )

    assert lacks(full, pr(milestone="v1", review_decision="APPROVED", labels=("lgtm", "b"))) == ()


@pytest.mark.parametrize(
    "branches",
    [
        pytest.param({"excluded_branches": ("main",)}, id="excluded"),
        pytest.param({"included_branches": ("next", "stable")}, id="not included"),
    ],
)
def test_a_base_branch_outside_the_query_keeps_out(branches: dict[str, tuple[str, ...]]) -> None:
    """T6.13, T11.260."""
    reason = only(lacks(query(**branches), pr()))

    assert (reason.clause, reason.weight, reason.items) == (Clause.BRANCH, 2000, ("main",))


def test_a_wrong_base_branch_is_told_which_branches_are_right() -> None:
    assert "next, stable" in only(lacks(query(included_branches=("next", "stable")), pr())).needed
    assert "any but main" in only(lacks(query(excluded_branches=("main",)), pr())).needed


def test_branch_names_compare_exactly() -> None:
    """T1.4, T1.34."""
    assert lacks(query(included_branches=("Main",)), pr())
    assert lacks(query(included_branches=("ma*",)), pr())


def test_another_author_keeps_out() -> None:
    """T6.14, T11.261."""
    reason = only(lacks(query(author="@Batman"), pr(author="robin")))

    assert (reason.clause, reason.weight, reason.items) == (Clause.AUTHOR, 1000, ("batman",))


@pytest.mark.parametrize("author", ["batman", "Batman", "@batman"])
def test_authors_compare_without_case_and_at_sign(author: str) -> None:
    """T6.14."""
    assert lacks(query(author=author), pr(author="BATMAN")) == ()


@pytest.mark.parametrize("milestone", [None, "v2", "V1"])
def test_another_milestone_or_none_keeps_out(milestone: str | None) -> None:
    """T6.15, T11.262."""
    reason = only(lacks(query(milestone="v1"), pr(milestone=milestone)))

    assert (reason.clause, reason.weight, reason.items) == (Clause.MILESTONE, 100, ("v1",))
    assert (milestone or "not set") in reason.observed


@pytest.mark.parametrize(
    ("labels", "items"),
    [
        pytest.param(("lgtm",), ("approved",), id="T11.263 one"),
        pytest.param((), ("approved", "lgtm"), id="T11.263 two, sorted"),
    ],
)
def test_each_missing_label_counts_one(labels: tuple[str, ...], items: tuple[str, ...]) -> None:
    reason = only(lacks(query(labels=("lgtm", "approved")), pr(labels=labels)))

    assert (reason.clause, reason.weight, reason.items) == (Clause.LABELS, len(items), items)


def test_a_pull_request_without_labels_is_told_so() -> None:
    assert only(lacks(query(), pr(labels=()))).observed == "its labels are none"


@pytest.mark.parametrize("label", ["lgtm", "approved", "Approved"])
def test_one_of_alternative_labels_suffices(label: str) -> None:
    """T1.32, T11.264."""
    assert lacks(query(labels=("lgtm,approved",)), pr(labels=(label,))) == ()


def test_missing_alternative_labels_are_spoken_with_or_and_count_once() -> None:
    """T6.16, T11.264."""
    reason = only(lacks(query(labels=("lgtm,approved",)), pr(labels=("other",))))

    assert (reason.items, reason.weight) == (("lgtm or approved",), 1)


def test_alternative_labels_are_not_trimmed() -> None:
    """T2.3: ` approved` is another label than `approved`."""
    assert lacks(query(labels=("lgtm, approved",)), pr(labels=("approved",)))


def test_each_forbidden_label_keeps_out_and_counts_one() -> None:
    """T6.17."""
    reason = only(
        lacks(query(missing_labels=("wip", "hold", "frozen")), pr(labels=("lgtm", "approved", "WIP", "hold")))
    )

    assert (reason.clause, reason.weight, reason.items) == (Clause.FORBIDDEN_LABELS, 2, ("hold", "wip"))


def test_a_forbidden_label_has_no_alternatives() -> None:
    """T1.33."""
    assert lacks(query(missing_labels=("wip,hold",)), pr(labels=("lgtm", "approved", "hold"))) == ()


@pytest.mark.parametrize("result", [Result.PENDING, Result.FAILURE, Result.ERROR, Result.EXPECTED])
def test_a_context_that_is_not_green_keeps_out_and_counts_one(result: Result) -> None:
    """T6.18, T11.265, T11.273: only a required context that is absent counts two."""
    required = ContextPolicy(required=frozenset({"ci/test"}))

    reason = only(lacks(query(), pr(contexts=(context("ci/test", result),)), required))

    assert (reason.clause, reason.weight, reason.items) == (Clause.CONTEXTS, 1, ("ci/test",))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Result.PENDING, "ci/test is still running"),
        (Result.FAILURE, "ci/test failed"),
        (Result.ERROR, "ci/test ended with an error"),
        (Result.EXPECTED, "ci/test has not reported yet"),
    ],
)
def test_a_context_that_is_not_green_is_told_in_words(result: Result, said: str) -> None:
    assert only(lacks(query(), pr(contexts=(context("ci/test", result),)))).observed == said


@pytest.mark.parametrize(
    ("required", "present", "items", "counted"),
    [
        pytest.param({"ci/required"}, (), ("ci/required",), 2, id="T11.269 one absent"),
        pytest.param({"a", "b"}, (), ("a", "b"), 4, id="T11.270 two absent"),
        pytest.param(
            {"ci/required"},
            (context("ci/test", Result.FAILURE),),
            ("ci/required", "ci/test"),
            3,
            id="T11.271 and a failed one",
        ),
        pytest.param(
            set(),
            (context("ci", Result.FAILURE), context("ci", Result.FAILURE, app="actions")),
            ("ci",),
            2,
            id="T11.272 a status and a check run of one name, listed once",
        ),
        pytest.param(
            {"ci/required"},
            (
                context("ci/build", Result.FAILURE),
                context("ci/build", Result.FAILURE, app="actions"),
                context("ci/lint", Result.FAILURE, app="actions"),
                green("ci/test"),
            ),
            ("ci/build", "ci/lint", "ci/required"),
            5,
            id="T11.274 everything at once",
        ),
    ],
)
def test_an_absent_required_context_counts_two_and_a_bad_one_counts_one(
    required: set[str], present: tuple[object, ...], items: tuple[str, ...], counted: int
) -> None:
    reason = only(lacks(query(), pr(contexts=present), ContextPolicy(required=frozenset(required))))

    assert (reason.items, reason.weight) == (items, counted)


def test_contexts_that_could_not_be_read_say_nothing_here() -> None:
    """T6.23: the pool holds such a pull request back (D8)."""
    assert lacks(query(), pr(contexts=None), ContextPolicy(required=frozenset({"ci/test"}))) == ()


@pytest.mark.parametrize("decision", [None, "CHANGES_REQUESTED", "REVIEW_REQUIRED", "SOMETHING_NEW"])
def test_a_required_review_that_is_not_approved_keeps_out(decision: str | None) -> None:
    """T6.19."""
    reason = only(lacks(query(review_approved_required=True), pr(review_decision=decision)))

    assert (reason.clause, reason.weight) == (Clause.REVIEW, 50)
    assert (decision or "none").replace("_", " ").lower() in reason.observed


def test_reviews_do_not_matter_unless_the_query_asks() -> None:
    assert lacks(query(), pr(review_decision="CHANGES_REQUESTED")) == ()


@pytest.mark.parametrize(
    ("pull", "total", "first"),
    [
        pytest.param(
            pr(base="bad", author="robin", milestone="v1", labels=("lgtm",), contexts=(context("ci", Result.FAILURE),)),
            3002,
            Clause.BRANCH,
            id="branch, author, label, context",
        ),
        pytest.param(
            pr(author="robin", milestone="v1", labels=("lgtm",), contexts=(context("ci", Result.FAILURE),)),
            1002,
            Clause.AUTHOR,
            id="author, label, context",
        ),
        pytest.param(
            pr(author="batman", labels=("lgtm",), contexts=(context("ci", Result.FAILURE),)),
            102,
            Clause.MILESTONE,
            id="milestone, label, context",
        ),
        pytest.param(
            pr(author="batman", milestone="v1", labels=("lgtm",), contexts=(context("ci", Result.FAILURE),)),
            2,
            Clause.LABELS,
            id="label, context",
        ),
        pytest.param(
            pr(
                author="batman",
                milestone="v1",
                labels=("lgtm", "approved", "hold"),
                contexts=(context("ci", Result.FAILURE),),
            ),
            2,
            Clause.FORBIDDEN_LABELS,
            id="forbidden label, context",
        ),
    ],
)
def test_weights_add_up_and_the_gravest_comes_first(pull: PullRequest, total: int, first: Clause) -> None:
    """T6.12, T11.266."""
    reasons = lacks(query(author="batman", milestone="v1", excluded_branches=("bad",), missing_labels=("hold",)), pull)

    assert (weight(reasons), reasons[0].clause) == (total, first)


def test_every_clause_that_is_not_met_is_told_in_the_order_of_tide() -> None:
    """T6.13-T6.19: all of them (D7), where Tide shows the first."""
    demanding = query(
        author="batman",
        milestone="v1",
        included_branches=("next",),
        missing_labels=("hold",),
        review_approved_required=True,
    )

    reasons = lacks(demanding, pr(labels=("hold",), contexts=(context("ci", Result.ERROR),)))

    assert [reason.clause for reason in reasons] == [
        Clause.BRANCH,
        Clause.AUTHOR,
        Clause.MILESTONE,
        Clause.LABELS,
        Clause.FORBIDDEN_LABELS,
        Clause.CONTEXTS,
        Clause.REVIEW,
    ]


def test_every_reason_says_who_can_change_it_and_how() -> None:
    demanding = query(author="x", milestone="v1", included_branches=("next",), review_approved_required=True)

    for reason in lacks(demanding, pr(labels=("do-not-merge/hold",), contexts=(context("ci", Result.ERROR),))):
        assert all((reason.needed, reason.observed, reason.who, reason.remedy)), reason


# Which query is closest


def test_a_pull_request_that_one_query_admits_lacks_nothing() -> None:
    """T6.21."""
    assert closest([query(labels=("never",)), query()], pr(), ANYTHING, "tide") == ()


def test_the_query_that_lacks_least_is_the_one_told() -> None:
    """T6.21, T11.249."""
    far, near = query(labels=("a", "b", "c")), query(labels=("a", "b"))

    assert only(closest([far, near], pr(labels=()), ANYTHING, "tide")).items == ("a", "b")


def test_the_first_of_equally_close_queries_is_told() -> None:
    """T6.21."""
    assert only(closest([query(labels=("a",)), query(labels=("b",))], pr(), ANYTHING, "tide")).items == ("a",)


def test_requirements_of_different_queries_are_not_mixed() -> None:
    reasons = closest([query(labels=("a",), milestone="v1"), query(labels=("b",))], pr(), ANYTHING, "tide")

    assert only(reasons).items == ("b",)


def test_without_a_query_the_pull_request_stays_out_and_is_told_so() -> None:
    """T6.7."""
    reason = only(closest([], pr(), ANYTHING, "tide"))

    assert reason.clause is Clause.NO_QUERY
    assert "acme/rocket" in reason.observed


# Searches


def test_a_search_spells_every_requirement_once_in_the_order_of_tide() -> None:
    """T2.3, T11.20."""
    wanted = Query(
        orgs=("org",),
        excluded_repos=("org/repo",),
        labels=("lgtm", "approved", "this,or,that"),
        missing_labels=("foo",),
        included_branches=("main", "next"),
        excluded_branches=("dev",),
        author="batman",
        milestone="milestone",
        review_approved_required=True,
    )

    (search,) = wanted.searches()

    assert search == (
        'is:pr state:open archived:false author:"batman" -base:"dev" base:"main" base:"next" label:"lgtm" '
        'label:"approved" label:"this","or","that" -label:"foo" milestone:"milestone" review:approved '
        'org:"org" -repo:"org/repo"'
    )


def test_a_search_of_one_repository_is_spelt_out() -> None:
    """T11.22."""
    assert Query(repos=("prowapi.netes/test-infra",)).searches() == (
        'is:pr state:open archived:false repo:"prowapi.netes/test-infra"',
    )


def test_each_scope_is_a_search_of_its_own() -> None:
    """D11: GitHub reads several scopes as AND. Each org brings its own exceptions only."""
    wanted = Query(orgs=("a", "b"), repos=("k/k", "k/t-i"), excluded_repos=("a/x", "b/y", "a/z"))

    assert [search.removeprefix("is:pr state:open archived:false ") for search in wanted.searches()] == [
        'org:"a" -repo:"a/x" -repo:"a/z"',
        'org:"b" -repo:"b/y"',
        'repo:"k/k"',
        'repo:"k/t-i"',
    ]


def test_a_query_without_scope_searches_nothing() -> None:
    assert Query(labels=("lgtm",)).searches() == ()


def test_open_pull_requests_are_searched_once_per_scope_whatever_the_labels() -> None:
    """T6.33."""
    queries = [Query(orgs=("acme",), labels=("a",)), Query(orgs=("acme",), repos=("k/k",)), Query(repos=("k/k",))]

    assert open_pull_searches(queries) == (
        'is:pr state:open archived:false org:"acme"',
        'is:pr state:open archived:false repo:"k/k"',
    )


def test_without_queries_nothing_is_searched() -> None:
    """T11.288."""
    assert open_pull_searches([]) == ()


def test_a_search_window_is_in_utc() -> None:
    """T2.6, T2.7."""
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()

    assert updated_between(start, start + 60) == "updated:2026-01-02T03:04:05Z..2026-01-02T03:05:05Z"


def test_a_search_window_never_starts_before_2007() -> None:
    """T11.29."""
    assert updated_between(0, 0) == "updated:2007-01-01T00:00:00Z..2007-01-01T00:00:00Z"
