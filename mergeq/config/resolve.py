"""What `mergeq config` tells: whether a configuration can be used, the searches it makes, and everything that is in
force on one branch with the place it comes from.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mergeq.config.documents import ConfigError, Document, Path_
from mergeq.config.policy import Configuration, configuration_of, documents_of
from mergeq.config.protection import Policy
from mergeq.config.tide import CONTEXT_KEYS
from mergeq.core.pull import Branch

_FLAGS = {"skip-unknown-contexts": "skip_unknown", "from-branch-protection": "from_branch_protection"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in force, as JSON has it, and where it stands: nowhere for a default, several places for what several
    levels say together.
    """

    key: str
    value: Any
    places: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "value": self.value, "from": list(self.places)}


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everything in force on one branch, in sections as the configuration has them."""

    branch: Branch
    queries: tuple[dict[str, Any], ...]
    sections: Mapping[str, tuple[Setting, ...]]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The document of `config resolve --json`."""
        sections = {name: [setting.as_json() for setting in settings] for name, settings in self.sections.items()}
        return {
            "branch": str(self.branch),
            "queries": list(self.queries),
            **sections,
            "problems": list(self.problems),
        }

    def lines(self) -> Iterator[str]:
        """The same for a person."""
        yield str(self.branch)
        yield from (f"  problem: {problem}" for problem in self.problems)
        yield "queries:" if self.queries else "queries: none speaks about this repository, so nothing will merge"
        for query in self.queries:
            forbids = "" if query["admits_branch"] else "  (not for this branch)"
            yield f"  {query['index']}: {query['search']}{forbids}  [{', '.join(query['from'])}]"
        for name, settings in self.sections.items():
            yield f"{name}:" if settings else f"{name}: nothing"
            for setting in settings:
                yield f"  {setting.key}: {_spoken(setting.value)}  [{', '.join(setting.places) or 'default'}]"


def check(paths: Iterable[Path]) -> dict[str, Any]:
    """Whether the files can be used: the document of `config check --json`."""
    paths = tuple(paths)
    documents, problems = documents_of(paths)
    warnings: tuple[str, ...] = ()
    queries = 0
    try:
        found = configuration_of(documents, problems, _named(paths))
        warnings, queries = found.warnings, len(found.queries)
    except ConfigError as error:
        problems = list(error.problems)
    return {
        "ok": not problems,
        "files": [document.file for document, _ in documents],
        "queries": queries,
        "problems": [_placed(line) for line in problems],
        "warnings": [_placed(line) for line in warnings],
    }


def queries_of(configuration: Configuration) -> dict[str, Any]:
    """Every query with its searches: the document of `config queries --json`."""
    return {
        "queries": [_query_json(configuration, index) for index in range(len(configuration.queries))],
        "open_pulls": list(configuration.open_pull_searches()),
    }


def resolve(paths: Iterable[Path], branch: Branch) -> Resolved:
    """Everything in force on a branch. Raises ConfigError."""
    paths = tuple(paths)
    documents, problems = documents_of(paths)
    found = configuration_of(documents, problems, _named(paths))
    places = _Places([document for document, _ in documents], branch)
    jobs = found.job_contexts(branch)
    said = (found.contexts(branch).overlap(), found.protection.of(branch, jobs)[1])
    return Resolved(
        branch,
        tuple(
            {**_query_json(found, index), "admits_branch": query.admits_branch(branch.name)}
            for index, query in enumerate(found.queries)
            if query.covers(branch.org, branch.full_repo)
        ),
        {
            "contexts": tuple(_contexts(found, places)),
            "tide": tuple(_tide(found, places)),
            "mergeq": tuple(_ours(found, places)),
            "protection": tuple(_protection(found.protection.merged(branch), places, ())),
        },
        tuple(problem for problem in said if problem),
    )


class _Places:
    """Where the values of one branch stand in the documents."""

    def __init__(self, documents: list[Document], branch: Branch) -> None:
        self.branch = branch
        self._documents = documents

    def of(self, *path: str | int) -> tuple[str, ...]:
        """Where there is something under a path."""
        return tuple(document.where(path) for document in self._documents if document.at(path) is not None)

    def of_item(self, item: str, *path: str | int) -> tuple[str, ...]:
        """Where an item of a list stands."""
        lists = ((document, document.at(path)) for document in self._documents)
        return tuple(
            document.where((*path, found.index(item)))
            for document, found in lists
            if isinstance(found, list) and item in found
        )

    def levels(self, *base: str) -> tuple[Path_, ...]:
        """The paths of the levels that lead to the branch, broadest first."""
        org: Path_ = (*base, "orgs", self.branch.org)
        repo: Path_ = (*org, "repos", self.branch.repo)
        return (base, org, repo, (*repo, "branches", self.branch.name))

    def narrowest(self, base: tuple[str, ...], *leaf: str) -> tuple[str, ...]:
        """Where the narrowest level sets a leaf."""
        found = (self.of(*level, *leaf) for level in reversed(self.levels(*base)))
        return next((places for places in found if places), ())

    def everywhere(self, item: str, base: tuple[str, ...], *leaf: str) -> tuple[str, ...]:
        """Where any level has an item in the list under a leaf."""
        return tuple(place for level in self.levels(*base) for place in self.of_item(item, *level, *leaf))

    def most_specific(self, *path: str) -> tuple[str, ...]:
        """Where a map with the keys ``*``, org and ``org/repo`` speaks about the branch."""
        found = (self.of(*path, key) for key in (self.branch.full_repo, self.branch.org, "*"))
        return next((places for places in found if places), ())


def _contexts(found: Configuration, places: _Places) -> Iterator[Setting]:
    branch = places.branch
    base = ("tide", "context_options")
    options = found.context_options.for_branch(branch.org, branch.repo, branch.name)
    policy = found.contexts(branch)
    demanded = found.job_contexts(branch)
    jobs = [job for job in found.presubmits.get(branch.full_repo, ()) if job.runs_on(branch.name)]
    for key, name in CONTEXT_KEYS.items():
        for context in sorted(getattr(policy, name)):
            by_jobs = [job.spot.place for job in jobs if job.context == context and context in getattr(demanded, name)]
            by_protection = (
                places.everywhere(context, ("branch-protection",), "required_status_checks", "contexts")
                if name == "required" and options.from_branch_protection
                else ()
            )
            yield Setting(key, context, (*places.everywhere(context, base, key), *by_protection, *by_jobs))
    for pattern in policy.optional_patterns:
        key = "optional-regex-contexts"
        yield Setting(key, pattern.pattern, places.everywhere(pattern.pattern, base, key))
    for key, name in _FLAGS.items():
        yield Setting(key, bool(getattr(options, name)), places.narrowest(base, key))


def _tide(found: Configuration, places: _Places) -> Iterator[Setting]:
    branch = places.branch
    method, keys = found.methods.configured(branch)
    yield Setting("merge_method", method.value, places.of("tide", "merge_method", *keys) if keys else ())
    for key in ("squash_label", "rebase_label", "merge_label"):
        yield Setting(key, getattr(found.methods, key), places.of("tide", key))
    template = found.commit_template(branch)
    speaks = next((key for key in (branch.full_repo, branch.org) if key in found.commit_templates), "")
    for part in ("title", "body"):
        where = places.of("tide", "merge_commit_template", speaks, part)
        chosen = getattr(template, part)
        yield Setting(f"merge_commit_template.{part}", chosen.source if chosen else "", where)
    for key, value in (
        ("batch_size_limit", found.batch_size_limit(branch)),
        ("prioritize_existing_batches", found.prioritizes_existing_batches(branch)),
        ("github_merge_blocks_policy", found.for_branch(branch).blocks_policy.value),
    ):
        where = places.most_specific("tide", key)
        if key == "batch_size_limit":
            where = places.narrowest(("mergeq", "queue"), key) or where
        yield Setting(key, value, where)
    for single, value in (
        ("target_url", found.target_url(branch)),
        ("pr_status_base_url", found.pr_status_base_url(branch)),
    ):
        yield Setting(f"{single}s", value, places.most_specific("tide", f"{single}s") or places.of("tide", single))
    yield Setting("priority", [list(labels) for labels in found.priority], places.of("tide", "priority"))
    for key in (
        "blocker_label",
        "sync_period",
        "status_update_period",
        "max_goroutines",
        "display_all_tide_queries_in_status",
    ):
        yield Setting(key, getattr(found, key), places.of("tide", key))


def _ours(found: Configuration, places: _Places) -> Iterator[Setting]:
    yield Setting("status_context", found.status_context, places.of("mergeq", "status_context"))
    base = ("mergeq", "queue")
    for leaf, value in _leaves(found.queue_values(places.branch)):
        yield Setting(f"queue.{'.'.join(leaf)}", value, places.narrowest(base, *leaf))


def _protection(policy: Policy, places: _Places, path: tuple[str, ...]) -> Iterator[Setting]:
    """The fields of the merged levels; what lists hold may come from several of them."""
    base = ("branch-protection",)
    for key, value in policy.items():
        leaf = (*path, key)
        if isinstance(value, dict) and value:
            yield from _protection(value, places, leaf)
        elif isinstance(value, list):
            where = (place for level in places.levels(*base) for place in places.of(*level, *leaf))
            yield Setting(".".join(leaf), value, tuple(where))
        else:
            yield Setting(".".join(leaf), value, places.narrowest(base, *leaf))


def _leaves(values: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The fields of nested dataclasses and mappings, each with a value as JSON has it."""
    named = {one.name: getattr(values, one.name) for one in fields(values)} if is_dataclass(values) else dict(values)
    for name, value in named.items():
        if is_dataclass(value) or (isinstance(value, Mapping) and value):
            yield from (((name, *leaf), below) for leaf, below in _leaves(value))
        elif isinstance(value, frozenset | tuple):
            yield (name,), sorted(value) if isinstance(value, frozenset) else list(value)
        else:
            yield (name,), value.value if isinstance(value, StrEnum) else value


def _query_json(found: Configuration, index: int) -> dict[str, Any]:
    query = found.queries[index]
    return {
        "index": index,
        "search": query.as_tide_searches(),
        "searches": list(query.searches()),
        "from": list(found.query_places[index]),
    }


def _placed(line: str) -> dict[str, str]:
    """A complaint in two parts: where, as `file:line:column`, and what it says."""
    where, _, says = line.partition(": ")
    return {"where": where, "says": says}


def _named(paths: tuple[Path, ...]) -> str:
    return ", ".join(map(str, paths)) or "no configuration"


def _spoken(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_spoken, value)) or "none"
        case float() | int():
            return f"{value:g}"
        case None:
            return "not set"
    return str(value or "none")
