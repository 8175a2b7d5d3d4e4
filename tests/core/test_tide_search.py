"""The searches that Tide sends for statuses and blockers (T6.33, T7.2), by which the two can be compared."""

from mergeq.core.tide_search import (
    Scope,
    blocker_issues,
    blocker_issues_by_org,
    open_pulls,
    open_pulls_by_org,
    scope_of,
)
from tests.builders import query

ORGS = Scope({f"org-{one}": frozenset({f"org-{one}/repo-{one}"}) for one in "abc"})


def test_the_scope_is_of_all_queries_and_an_exception_is_one_that_all_of_an_org_make() -> None:
    """T11.23."""
    scope = scope_of(
        [
            query(orgs=("k8s",), excluded_repos=("k8s/k8s",)),
            query(orgs=("kuber",), repos=("foo/bar", "baz/bar"), excluded_repos=("kuber/netes",)),
            query(orgs=("k8s",), excluded_repos=("k8s/k8s", "k8s/t-i")),
            query(orgs=("org", "org2"), excluded_repos=("org2/repo", "org2/repo2", "org2/repo3")),
            query(orgs=("foo",), repos=("org2/repo3",)),
        ]
    )

    assert scope.exceptions == {
        "k8s": {"k8s/k8s"},
        "kuber": {"kuber/netes"},
        "org": set(),
        "org2": {"org2/repo", "org2/repo2"},
        "foo": set(),
    }
    assert scope.repos == {"foo/bar", "baz/bar", "org2/repo3"}


def test_open_pull_requests_are_searched_org_by_org_without_the_exceptions() -> None:
    """T11.24: two blanks stand where an org has only repositories."""
    scope = Scope(
        {"org": frozenset({"org/repo2", "org/repo1"}), "kuber": frozenset()}, frozenset({"k8s/t-i", "k8s/k8s"})
    )
    opened = "is:pr state:open sort:updated-asc archived:false"

    assert open_pulls_by_org(scope) == {
        "k8s": f'{opened}  repo:"k8s/k8s" repo:"k8s/t-i"',
        "kuber": f'{opened} org:"kuber"',
        "org": f'{opened} org:"org" -repo:"org/repo1" -repo:"org/repo2"',
    }


def test_with_a_personal_token_one_search_repeats_itself_org_by_org() -> None:
    """T6.33, T11.286."""
    by_org = open_pulls_by_org(ORGS)

    assert open_pulls(ORGS) == "".join(f" {by_org[org]}" for org in ("org-a", "org-b", "org-c"))


def test_blockers_are_searched_org_by_org_with_sorted_terms() -> None:
    """T11.38."""
    assert blocker_issues_by_org(ORGS, "tide/merge-blocker") == {
        f"org-{one}": f'-repo:"org-{one}/repo-{one}" is:issue label:"tide/merge-blocker" org:"org-{one}" state:open'
        for one in "abc"
    }


def test_with_a_personal_token_blockers_are_searched_at_once() -> None:
    """T11.39."""
    assert blocker_issues(ORGS, "tide/merge-blocker") == (
        '-repo:"org-a/repo-a" -repo:"org-b/repo-b" -repo:"org-c/repo-c" is:issue label:"tide/merge-blocker" '
        'org:"org-a" org:"org-b" org:"org-c" state:open'
    )


def test_without_a_label_or_a_query_nothing_is_searched() -> None:
    """T7.1, T11.288."""
    assert (blocker_issues(ORGS, ""), blocker_issues_by_org(ORGS, "")) == ("", {})
    nothing = scope_of([])
    assert (open_pulls(nothing), open_pulls_by_org(nothing), blocker_issues(nothing, "x")) == ("", {}, "")


def test_what_is_no_repository_is_no_scope() -> None:
    """T2.4."""
    assert Scope(repos=frozenset({"alone", "a/b/c", "acme/web"})).terms() == {"acme": ' repo:"acme/web"'}
