"""Pull requests that a configuration is about: one that each query wants, and others that lack one thing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from mergeq.config.policy import Configuration
from mergeq.core.pull import Branch
from mergeq.core.query import Query


@dataclass(frozen=True, slots=True)
class Proposed:
    """A pull request to be opened: everything its query asks for, less what `lacking` names (``nothing`` for none).

    `contexts` are those that must be green on its head; with ``a green context`` lacking, the first of them is red.
    """

    branch: Branch
    author: str
    labels: tuple[str, ...]
    milestone: str
    approved: bool
    contexts: tuple[str, ...]
    lacking: str


def sample(config: Configuration, count: int) -> list[Proposed]:
    """`count` pull requests, spread over the queries, their repositories and what may be lacking; none if no query can
    match.
    """
    return list(islice(_interleaved([_of_query(config, query, n) for n, query in enumerate(config.queries)]), count))


def exact_searches(config: Configuration) -> list[str]:
    """Every search that finds just what a query admits, but for contexts."""
    return [search for query in config.queries for search in query.exact_searches()]


def _interleaved(sources: list[Iterator[Proposed]]) -> Iterator[Proposed]:
    while sources:
        left = []
        for source in sources:
            if (found := next(source, None)) is not None:
                yield found
                left.append(source)
        sources = left


def _of_query(config: Configuration, query: Query, offset: int) -> Iterator[Proposed]:
    """Proposals for one query; what they lack differs from query to query, so that a small sample shows all kinds."""
    kinds = ["nothing", "nothing", "a label", "a green context", "a clean label"]
    repos = [*query.repos, *(f"{org}/{name}" for org in query.orgs for name in ("example", "sample"))]
    served = [repo for repo in repos if repo not in query.excluded_repos]
    for number, repo in enumerate(cycle(served)):
        org, name = repo.split("/")
        base = next(iter(query.included_branches), "main")
        if base in query.excluded_branches:
            base = "trunk"
        lacking = kinds[(number + offset) % len(kinds)]
        labels = [entry.split(",")[0] for entry in query.labels]
        if lacking == "a label" and labels:
            labels.pop()
        elif lacking == "a clean label" and query.missing_labels:
            labels.append(query.missing_labels[0])
        elif lacking in {"a label", "a clean label"}:
            lacking = "nothing"
        branch = Branch(org, name, base)
        contexts = config.for_branch(branch).contexts
        required = sorted(contexts.required) or ["ci/example"]
        if lacking == "a green context" and not contexts.counts(required[0]):
            lacking = "nothing"
        yield Proposed(
            branch=branch,
            author=query.author.removeprefix("@") or "ana",
            labels=tuple(labels),
            milestone=query.milestone,
            approved=query.review_approved_required,
            contexts=tuple(required),
            lacking=lacking,
        )
