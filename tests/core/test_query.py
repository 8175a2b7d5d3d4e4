"""Queries: which repositories one speaks about, what a pull request lacks, and the search that finds it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, Demands
from mergeq.core.pull import Branch, PullRequest, Result
from mergeq.core.query import (
    Query,
    applicable,
    by_scope,
    closest,
    is_found,
    merged,
    open_pull_searches,
    scope_owner,
    unmet,
    updated_between,
    updated_since_2007,
    updated_term,
)
from mergeq.core.reason import Clause, Reason
from tests.builders import context, green, pr, query, settings

ANYTHING = ContextPolicy()


def lacks(wanted: Query, pull: PullRequest, contexts: ContextPolicy = ANYTHING) -> tuple[Reason, ...]:
    return unmet(wanted, pull, Demands(contexts))


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
    queries = (Query(repos=("acme/rocket",)), Query(orgs=("other",)), Query(orgs=("acme",)))

    assert applicable(queries, by_scope(queries), Branch("acme", "rocket", "main")) == (queries[0], queries[2])


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


def test_a_label_that_is_spelt_like_alternatives_is_none_of_them() -> None:
    assert lacks(query(labels=("lgtm,approved",)), pr(labels=("lgtm,approved",)))


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


def test_the_case_in_which_labels_are_configured_does_not_matter() -> None:
    """D18."""
    assert lacks(query(labels=("LGTM", "Nice,Approved")), pr()) == ()
    assert only(lacks(query(missing_labels=("LGTM",)), pr())).clause is Clause.FORBIDDEN_LABELS


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


@pytest.mark.parametrize("decision", ["CHANGES_REQUESTED", "REVIEW_REQUIRED", "SOMETHING_NEW"])
def test_a_required_review_that_is_not_approved_keeps_out(decision: str) -> None:
    """T6.19: whatever single reviewers say, where GitHub decides."""
    pull = pr(review_decision=decision, approvers=("ben",))
    reason = only(lacks(query(review_approved_required=True), pull))

    assert (reason.clause, reason.weight) == (Clause.REVIEW, 50)
    assert reason.observed == f"GitHub's review decision is {decision.replace('_', ' ').lower()}"


@pytest.mark.parametrize(
    ("approvers", "objectors", "observed"),
    [
        (("ben",), (), None),
        ((), (), "nobody who may write has approved 0000000"),
        (("ben",), ("zoe",), "zoe requested changes"),
    ],
)
def test_where_github_decides_nothing_about_reviews_they_are_counted(
    approvers: tuple[str, ...], objectors: tuple[str, ...], observed: str | None
) -> None:
    """Q88: it says nothing where protection asks for no review. Tide waits for ever."""
    wanted, pull = query(review_approved_required=True), pr(approvers=approvers, objectors=objectors)

    assert [reason.observed for reason in lacks(wanted, pull)] == ([observed] if observed else [])
    (tides,) = unmet(wanted, pull, Demands(compat=Compat.TIDE))
    assert tides.observed == "GitHub's review decision is none"


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
    assert closest([query(labels=("never",)), query()], pr(), Demands()) == ()


def test_the_query_that_lacks_least_is_the_one_told() -> None:
    """T6.21, T11.249."""
    far, near = query(labels=("a", "b", "c")), query(labels=("a", "b"))

    assert only(closest([far, near], pr(labels=()), Demands())).items == ("a", "b")


def test_the_first_of_equally_close_queries_is_told() -> None:
    """T6.21."""
    assert only(closest([query(labels=("a",)), query(labels=("b",))], pr(), Demands())).items == ("a",)


def test_requirements_of_different_queries_are_not_mixed() -> None:
    reasons = closest([query(labels=("a",), milestone="v1"), query(labels=("b",))], pr(), Demands())

    assert only(reasons).items == ("b",)


def test_without_a_query_the_pull_request_stays_out_and_is_told_so() -> None:
    """T6.7."""
    reason = only(closest([], pr(), Demands()))

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

    assert wanted.as_tide_searches() == (
        'is:pr state:open archived:false author:"batman" -base:"dev" base:"main" base:"next" label:"lgtm" '
        'label:"approved" label:"this","or","that" -label:"foo" milestone:"milestone" review:approved '
        'org:"org" -repo:"org/repo"'
    )


def test_several_branches_are_not_sent_as_one_search_that_would_find_nothing() -> None:
    """Q21: what is sent may find too much; the exact ones find each branch by itself."""
    wanted = Query(repos=("org/repo",), included_branches=("main", "next"))
    plain = 'is:pr state:open archived:false {}repo:"org/repo"'

    assert wanted.searches() == (plain.format(""),)
    assert wanted.exact_searches() == (plain.format('base:"main" '), plain.format('base:"next" '))


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


def test_the_search_of_tide_names_all_scopes_org_by_org() -> None:
    """T2.3-T2.5: orgs sorted, within one its repositories as configured, what is excluded last."""
    wanted = Query(
        orgs=("z", "z", "b"),
        repos=("c/two", "c/one", "nonsense", "a/b/c"),
        excluded_repos=("b/x", "d/y"),
        labels=("l",),
    )

    assert wanted.scopes() == {
        "z": ('org:"z"',),
        "b": ('org:"b"', '-repo:"b/x"'),
        "c": ('repo:"c/two"', 'repo:"c/one"'),
        "d": ('-repo:"d/y"',),
    }
    assert wanted.as_tide_searches() == (
        'is:pr state:open archived:false label:"l" org:"b" -repo:"b/x" repo:"c/two" repo:"c/one" -repo:"d/y" org:"z"'
    )


def test_queries_that_demand_the_same_are_merged_and_the_order_is_that_of_tide() -> None:
    """T1.41: by their JSON, in which Go escapes some characters."""
    queries = (
        Query(orgs=("z",), missing_labels=("hold", "a")),
        Query(repos=("a/b",), labels=("lgtm", "approved")),
        Query(repos=("c/d",), labels=("<3",), author="bot"),
        Query(orgs=("b",), repos=("x/y",), excluded_repos=("b/q",), labels=("approved", "lgtm")),
        Query(orgs=("z",), labels=("zzz",)),
        Query(orgs=("z",), labels=("<3",)),
    )

    assert merged(queries) == (
        (Query(repos=("c/d",), labels=("<3",), author="bot"), (2,)),
        (Query(orgs=("z",), labels=("<3",)), (5,)),
        (
            Query(orgs=("b",), repos=("a/b", "x/y"), excluded_repos=("b/q",), labels=("approved", "lgtm")),
            (1, 3),
        ),
        (Query(orgs=("z",), labels=("zzz",)), (4,)),
        (Query(orgs=("z",), missing_labels=("a", "hold")), (0,)),
    )
    assert merged(()) == ()


@pytest.mark.parametrize(
    "other",
    [
        Query(author="bot"),
        Query(labels=("l",)),
        Query(missing_labels=("l",)),
        Query(included_branches=("main",)),
        Query(excluded_branches=("main",)),
        Query(milestone="v1"),
        Query(review_approved_required=True),
    ],
)
def test_queries_that_demand_something_else_are_not_merged(other: Query) -> None:
    assert {query for query, _ in merged((Query(), other))} == {Query(), other}


def test_an_app_of_tide_searches_org_by_org() -> None:
    """T2.4, T11.21, T11.25."""
    wanted = Query(orgs=("org",), repos=("k/one", "k/two"), excluded_repos=("org/not",), labels=("lgtm",))
    terms = 'is:pr state:open archived:false label:"lgtm"'

    assert wanted.searches_by_org() == {
        "org": f'{terms} org:"org" -repo:"org/not"',
        "k": f'{terms} repo:"k/one" repo:"k/two"',
    }


@pytest.mark.parametrize(
    ("search", "owner"),
    [('is:pr org:"acme"', "acme"), ('repo:"acme/rocket" is:pr', "acme"), ("is:pr user:ana", "ana"), ("is:pr", "")],
)
def test_a_search_is_about_one_org(search: str, owner: str) -> None:
    """T10.1: whose token it takes."""
    assert scope_owner(search) == owner


@pytest.mark.parametrize(
    ("changes", "found"),
    [({}, True), ({"contexts": (context("ci/test", Result.FAILURE),)}, True), ({"labels": ()}, False)],
)
def test_a_search_returns_a_pull_request_whatever_its_contexts(changes: dict[str, Any], found: bool) -> None:
    assert is_found([query()], pr(**changes), Demands()) is found


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


def test_tide_writes_the_figures_of_its_own_clock_and_floors_the_instant() -> None:
    """T2.6, T2.7: two hours too late; `updated_between` is the repair."""
    east = timezone(timedelta(hours=2))
    new_year = datetime(2007, 1, 1, tzinfo=east)

    assert updated_since_2007(new_year, datetime(2026, 2, 3, 4, 5, 6, tzinfo=east)) == (
        "updated:2007-01-01T00:00:00Z..2026-02-03T04:05:06Z"
    )
    assert updated_between(0.0, datetime(2026, 2, 3, 4, 5, 6, tzinfo=east).timestamp()) == (
        "updated:2007-01-01T00:00:00Z..2026-02-03T02:05:06Z"
    )


def test_a_window_that_is_not_floored_is_open_before_1970() -> None:
    """T2.6."""
    assert updated_term(datetime(1969, 12, 31, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)) == (
        "updated:*..1970-01-01T00:00:00Z"
    )


# As Tide shows and counts them

FULL = Query(
    orgs=("org",),
    repos=("k/k", "k/t-i"),
    excluded_repos=("org/repo",),
    labels=("lgtm", "approved", "this,or,that"),
    missing_labels=("foo",),
    author="batman",
    milestone="milestone",
    review_approved_required=True,
)


def test_the_search_tide_would_send_holds_every_token_once() -> None:
    """T2.3, T11.20."""
    text = FULL.as_tide_searches()

    assert sorted(text.split(" ")) == sorted(
        [
            "is:pr", "state:open", "archived:false", 'org:"org"', 'repo:"k/k"', 'repo:"k/t-i"', '-repo:"org/repo"',
            'label:"lgtm"', 'label:"approved"', 'label:"this","or","that"', '-label:"foo"', 'author:"batman"',
            'milestone:"milestone"', "review:approved",
        ]
    )  # fmt: skip


def test_the_search_tide_would_send_does_not_depend_on_the_order_of_orgs() -> None:
    """T2.5."""
    assert (
        Query(orgs=("b", "a"), repos=("c/x",)).as_tide_searches()
        == Query(orgs=("a", "b"), repos=("c/x",)).as_tide_searches()
        == 'is:pr state:open archived:false org:"a" org:"b" repo:"c/x"'
    )


def test_the_search_of_one_repository_is_exactly_tide_s() -> None:
    """T11.22."""
    assert Query(repos=("prowapi.netes/test-infra",)).as_tide_searches() == (
        'is:pr state:open archived:false repo:"prowapi.netes/test-infra"'
    )


def test_scopes_are_told_by_org() -> None:
    """T2.4, T11.21."""
    assert FULL.scopes() == {"org": ('org:"org"', '-repo:"org/repo"'), "k": ('repo:"k/k"', 'repo:"k/t-i"')}


@pytest.mark.parametrize("name", ["nobody", "a/b/c"])
def test_a_repository_that_is_not_of_the_form_is_no_scope(name: str) -> None:
    """T2.4."""
    assert Query(repos=(name, "k/k"), excluded_repos=(name,)).scopes() == {"k": ('repo:"k/k"',)}


def test_an_org_that_is_named_twice_is_one_scope() -> None:
    """T1.42: merging may have repeated it."""
    assert Query(orgs=("acme", "acme")).scopes() == {"acme": ('org:"acme"',)}


# Queries that ask for the same


def test_queries_that_ask_for_the_same_are_one_with_the_scopes_of_all() -> None:
    """T1.41, T11.33."""
    found = merged([Query(orgs=("a",), labels=("lgtm",)), Query(orgs=("b",), repos=("c/d",), labels=("lgtm",))])

    assert found == ((Query(orgs=("a", "b"), repos=("c/d",), labels=("lgtm",)), (0, 1)),)


def test_the_order_of_labels_and_branches_does_not_make_queries_differ() -> None:
    """T1.41, T11.34."""
    one = Query(orgs=("a",), labels=("y", "x"), missing_labels=("q", "p"), excluded_branches=("n", "m"))
    other = Query(orgs=("b",), labels=("x", "y"), missing_labels=("p", "q"), excluded_branches=("m", "n"))

    assert merged([one, other]) == (
        (
            Query(orgs=("a", "b"), labels=("x", "y"), missing_labels=("p", "q"), excluded_branches=("m", "n")),
            (0, 1),
        ),
    )
    assert [query.included_branches for query, _ in merged([Query(orgs=("a",), included_branches=("z", "y"))])] == [
        ("y", "z")
    ]


@pytest.mark.parametrize(
    "different",
    [
        {"labels": ("approved",)},
        {"missing_labels": ("hold",)},
        {"author": "ana"},
        {"milestone": "v1"},
        {"included_branches": ("main",)},
        {"excluded_branches": ("main",)},
        {"review_approved_required": True},
    ],
)
def test_queries_that_ask_for_different_things_stay_apart(different: dict[str, Any]) -> None:
    """T1.41, T11.32."""
    assert len(merged([Query(orgs=("a",)), Query(orgs=("a",), **different)])) == 2


def test_excluded_repositories_of_all_are_kept_in_order() -> None:
    """T1.41, T1.42: duplicates too."""
    ((query, _),) = merged(
        [Query(orgs=("a",), excluded_repos=("a/z", "a/y")), Query(orgs=("a",), excluded_repos=("a/z",))]
    )

    assert (query.orgs, query.excluded_repos) == (("a", "a"), ("a/z", "a/y", "a/z"))


def test_a_query_that_is_alone_loses_nothing() -> None:
    """T11.36."""
    ((query, indices),) = merged([FULL])

    assert query == replace(FULL, labels=("approved", "lgtm", "this,or,that"))
    assert indices == (0,)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"author": "z"}, {"labels": ("a",)}, id="the author is written before labels"),
        pytest.param({"labels": ("a",)}, {"labels": ("b",)}, id="by label"),
        pytest.param({"labels": ("z",)}, {"missing_labels": ("a",)}, id="labels before missing labels"),
        pytest.param({"excluded_branches": ("z",)}, {"included_branches": ("a",)}, id="excluded before included"),
        pytest.param({"labels": ("Z",)}, {"labels": ("<",)}, id="as Go writes them: < is escaped"),
        pytest.param({"labels": ("Z",)}, {"labels": ("&",)}, id="as Go writes them: & is escaped"),
        pytest.param({"labels": ("z",)}, {"labels": ("ü",)}, id="by bytes"),
    ],
)
def test_queries_are_numbered_in_the_order_of_their_json(first: dict[str, Any], second: dict[str, Any]) -> None:
    """T1.41, T11.37."""
    one, other = Query(orgs=("a",), **first), Query(orgs=("a",), **second)

    assert merged([other, one]) == ((one, (1,)), (other, (0,)))


def test_no_queries_are_none() -> None:
    assert merged([]) == ()


@pytest.mark.parametrize(
    ("wanted", "login", "is_bot", "admitted"),
    [
        ("app/renovate", "renovate[bot]", True, True),
        ("App/Renovate", "renovate", True, True),
        ("renovate[bot]", "renovate[bot]", True, True),
        ("app/renovate", "renovate", False, False),
        ("renovate", "renovate[bot]", True, False),
        ("@ana", "Ana", False, True),
    ],
)
def test_an_app_is_itself_and_nobody_else_s_name_stands_for_it(
    wanted: str, login: str, is_bot: bool, admitted: bool
) -> None:
    missing = unmet(Query(author=wanted), pr(author=login, is_bot=is_bot), Demands())

    assert [reason.clause for reason in missing] == ([] if admitted else [Clause.AUTHOR])


def test_tide_compares_names_alone() -> None:
    """T6.14."""
    tide = Demands(compat=Compat.TIDE)

    assert unmet(Query(author="app/renovate"), pr(author="renovate", is_bot=True), tide) != ()
    assert unmet(Query(author="renovate"), pr(author="renovate", is_bot=True), tide) == ()


@pytest.mark.parametrize(
    ("contexts", "who", "remedy"),
    [
        ((green("x"),), "whoever runs CI for the repository", "see why ci/test does not report on this commit"),
        ((context("ci/test", Result.PENDING),), "nobody: it is running", "wait for it"),
        (
            (context("ci/test", Result.FAILURE),),
            "the author, or whoever runs that CI",
            "push a fix, or re-run what failed for another reason",
        ),
    ],
)
def test_a_context_that_is_not_green_says_whose_turn_it_is(contexts: tuple[Any, ...], who: str, remedy: str) -> None:
    (reason,) = unmet(Query(), pr(contexts=contexts), Demands(ContextPolicy(required=frozenset({"ci/test"}))))

    assert (reason.who, reason.remedy) == (who, remedy)


def test_where_a_stranger_s_fork_has_no_results_a_maintainer_may_have_to_allow_them() -> None:
    """Q86."""
    silent = Demands(ContextPolicy(required=frozenset({"ci/test"})))

    remedies = [
        unmet(Query(), pr(contexts=(green("x"),), is_fork=True, by_writer=writer), silent)[0].remedy
        for writer in (False, True)
    ]

    silence = "see why ci/test does not report on this commit"
    assert remedies == [f"{silence}; GitHub may be waiting for a maintainer to press Approve and run", silence]


def test_a_check_that_waits_for_consent_is_a_maintainer_s_to_let_run() -> None:
    """Q86."""
    waiting = context("ci/test", Result.FAILURE, app="github-actions", conclusion="action_required")

    (reason,) = unmet(query(), pr(contexts=(waiting,)), settings().demands)

    assert reason.observed == "ci/test waits for a maintainer to let it run"
    assert (reason.who, reason.remedy) == (
        "a maintainer of the repository",
        "read what it changes, then press Approve and run on GitHub",
    )
