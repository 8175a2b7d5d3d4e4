"""The searches that Tide sends beside its queries, and their scope: for comparison (D20), mergeq sends none of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mergeq.core.query import Query

_OPEN_PULLS = "is:pr state:open sort:updated-asc archived:false "


@dataclass(frozen=True, slots=True)
class Scope:
    """All organisations and repositories that any query names (T6.33): orgs with what no query wants of them."""

    exceptions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    repos: frozenset[str] = frozenset()

    def terms(self) -> Mapping[str, str]:
        """The scope terms of each org, orgs sorted; a blank comes first where only repositories are named."""
        terms = {
            org: " ".join((f'org:"{org}"', *(f'-repo:"{repo}"' for repo in sorted(but))))
            for org, but in self.exceptions.items()
        }
        for repo in sorted(self.repos):
            org, slash, name = repo.partition("/")
            if slash and "/" not in name:
                terms[org] = f'{terms.get(org, "")} repo:"{repo}"'
        return dict(sorted(terms.items()))


def scope_of(queries: Sequence[Query]) -> Scope:
    """The scope of all queries: an exception is one when every query that names the org makes it, and none names that
    repository.
    """
    repos = frozenset(repo for query in queries for repo in query.repos)
    orgs = dict.fromkeys(org for query in queries for org in query.orgs)
    return Scope(
        {
            org: frozenset[str].intersection(
                *(_within(org, query.excluded_repos) for query in queries if org in query.orgs)
            )
            - repos
            for org in orgs
        },
        repos,
    )


def open_pulls_by_org(scope: Scope) -> Mapping[str, str]:
    """The status controller's searches as a GitHub App."""
    return {org: _OPEN_PULLS + terms for org, terms in scope.terms().items()}


def open_pulls(scope: Scope) -> str:
    """The one search of the status controller with a personal token; empty without any scope (T11.288)."""
    return "".join(f" {search}" for search in open_pulls_by_org(scope).values())


def blocker_issues_by_org(scope: Scope, label: str) -> Mapping[str, str]:
    """The searches for blockers as a GitHub App (T7.2); none without a label."""
    return {org: _blocker_issues([terms], label) for org, terms in scope.terms().items()} if label else {}


def blocker_issues(scope: Scope, label: str) -> str:
    """The one search for blockers with a personal token; empty without a label or any scope."""
    terms = scope.terms().values()
    return _blocker_issues(terms, label) if label and terms else ""


def _blocker_issues(terms: Iterable[str], label: str) -> str:
    tokens = {token for some in terms for token in some.split(" ")}
    return " ".join(sorted({"is:issue", "state:open", f'label:"{label}"', *tokens}))


def _within(org: str, repos: Iterable[str]) -> frozenset[str]:
    return frozenset(repo for repo in repos if repo.startswith(f"{org}/"))
