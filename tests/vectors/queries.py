"""Vectors about queries: whether one is valid, the searches it becomes, and which repositories it speaks about."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mergeq.config.tide import QUERY_KEYS, query_problems
from mergeq.core import tide_search
from mergeq.core.query import Query, updated_since_2007, updated_term
from tests.vectors.frame import Line, Op, configuration

JSON = dict[str, Any]


def as_json(query: Query) -> JSON:
    """A query under Tide's names, what is empty being left out."""
    values = {key: getattr(query, name) for key, name in QUERY_KEYS.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items() if value}


def query_of(node: Mapping[str, Any]) -> Query:
    """A query as the vectors write it."""
    values: JSON = {QUERY_KEYS[key]: tuple(value) if isinstance(value, list) else value for key, value in node.items()}
    return Query(**values)


def described(query: Query) -> JSON:
    """Everything that the vectors say about a query."""
    return {
        "query": as_json(query),
        "validate_error": next(iter(query_problems(query)), None),
        "base": " ".join(query.search_terms()),
        "identifiers_by_org": {org: list(terms) for org, terms in query.scopes().items()},
        "org_queries": query.searches_by_org(),
        "query_canonical": query.as_tide_searches(),
    }


def configured(line: Line) -> JSON:
    """Everything that the vectors say about the queries of a configuration."""
    found = configuration(line)
    scope = tide_search.scope_of(found.queries)
    return {
        "queries": [described(query) for query in found.queries],
        **_scope_json(scope),
        "for_repo": {
            repo: [index for index, query in enumerate(found.queries) if query.covers(repo.partition("/")[0], repo)]
            for repo in line["input"]["repos"]
        },
        "searches_apps_auth": {
            "pool": _sorted(
                [
                    {"org": org, "query": text}
                    for query in found.queries
                    for org, text in query.searches_by_org().items()
                ]
            ),
            "blockers": _by_org(tide_search.blocker_issues_by_org(scope, found.blocker_label)),
            "status": _by_org(tide_search.open_pulls_by_org(scope)),
        },
        "searches_token_auth": {
            "pool": _sorted(
                [{"tokens_sorted": " ".join(sorted(query.as_tide_searches().split()))} for query in found.queries]
            ),
            "blockers": _whole(tide_search.blocker_issues(scope, found.blocker_label)),
            "status": _whole(tide_search.open_pulls(scope)),
        },
    }


def dated(line: Line) -> JSON:
    """A search with its window of time."""
    asked = line["input"]
    window = [
        datetime.fromisoformat(asked[end]) if asked[end] else datetime.min.replace(tzinfo=UTC)
        for end in ("Start", "End")
    ]
    return {
        "dated": f"{asked['query']} {updated_since_2007(*window)}",
        "dated_without_floor": f"{asked['query']} {updated_term(*window)}",
    }


def _scope_json(scope: tide_search.Scope) -> JSON:
    return {
        "org_exceptions": {org: sorted(repos) for org, repos in scope.exceptions.items()},
        "repos": sorted(scope.repos),
    }


def _by_org(searches: Mapping[str, str]) -> list[JSON]:
    return [{"org": org, "query": text} for org, text in searches.items()]


def _whole(search: str) -> list[JSON]:
    return [{"query": search}] if search else []


def _sorted(searches: list[JSON]) -> list[JSON]:
    return sorted(searches, key=lambda one: sorted(one.items()))


def _open_pulls(line: Line) -> Mapping[str, str]:
    asked = line["input"]
    exceptions = {org: frozenset(asked["org_exceptions"].get(org) or ()) for org in asked["orgs"] or ()}
    return tide_search.open_pulls_by_org(tide_search.Scope(exceptions, frozenset(asked["repos"] or ())))


def _asked(line: Line) -> Query:
    return query_of(line["input"]["query"])


OPS: Mapping[str, Op] = {
    "query": Op(lambda line: described(query_of(line["input"]))),
    "queries": Op(configured),
    "dated": Op(dated),
}
GO: Mapping[str, Op] = {
    "TideQuery.Validate": Op(lambda line: described(_asked(line))["validate_error"]),
    "TideQuery.ForRepo": Op(
        lambda line: _asked(line).covers(line["input"]["org"], f"{line['input']['org']}/{line['input']['repo']}")
    ),
    "TideQuery.Query": Op(lambda line: {key: described(_asked(line))[key] for key in ("base", "identifiers_by_org")}),
    "TideQuery.OrgQueries": Op(lambda line: {"org_queries": _asked(line).searches_by_org()}),
    "TideQueries.OrgExceptionsAndRepos": Op(
        lambda line: _scope_json(tide_search.scope_of([query_of(query) for query in line["input"]["queries"] or ()]))
    ),
    "openPRsQueries": Op(_open_pulls),
}
