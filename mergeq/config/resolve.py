"""What `mergeq config` tells: whether a configuration can be used, the searches it makes, and everything that is in
force on one branch with the place it comes from.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mergeq.config.documents import ConfigError, Document, Path_, one_line
from mergeq.config.policy import Configuration, configuration_of, documents_of
from mergeq.config.tide import CONTEXT_KEYS
from mergeq.core.branchprotector import Policy
from mergeq.core.protection import Field, RepoFacts, Wish, spoken_values
from mergeq.core.pull import Branch
from mergeq.core.query import updated_between
from mergeq.core.rulesets import matches

_FLAGS = {
    "skip-unknown-contexts": "skip_unknown",
    "from-branch-protection": "from_branch_protection",
    "overwrite-pending-contexts": "overwrite_pending",
}


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
        yield ""
        yield "queries" if self.queries else "queries: none speaks about this repository, so nothing will merge"
        for query in self.queries:
            forbids = "" if query["admits_branch"] else "not for this branch: "
            yield f"  {query['index']}  {forbids}{query['search']}"
            yield f"     {', '.join(query['from'])}"
        for name, settings in self.sections.items():
            yield ""
            yield name if settings else f"{name}: nothing"
            rows = [(one.key, spoken(one.value), ", ".join(one.places) or "default") for one in settings]
            yield from (f"  {line}" for line in aligned(rows))


def check(paths: Iterable[Path], now: float) -> dict[str, Any]:
    """Whether the files can be used at `now`, in seconds since the epoch: the document of `config check --json`."""
    paths = tuple(paths)
    documents, problems = documents_of(paths)
    warnings: tuple[str, ...] = ()
    queries = 0
    try:
        found = configuration_of(documents, problems, _named(paths))
        warnings, queries = found.warnings, len(found.queries)
        problems = list(found.exemption_problems(now))
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
        "compat": None,
        "queries": [query_json(configuration, index) for index in range(len(configuration.queries))],
        "open_pulls": list(configuration.open_pull_searches()),
    }


def queries_of_tide(configuration: Configuration, now: float) -> dict[str, Any]:
    """The same with the searches that Tide itself sends at `now`, in seconds since the epoch: all scopes in one with a
    token, one for each org as a GitHub App, both with their window of time (T2.3-T2.6, D20).
    """
    window = updated_between(0, now)
    queries = []
    for index, query in enumerate(configuration.queries):
        by_org = [f"{search} {window}" for _, search in sorted(query.searches_by_org().items())]
        queries.append(
            query_json(configuration, index) | {"search": f"{query.as_tide_searches()} {window}", "searches": by_org}
        )
    return {"compat": "tide", "queries": queries, "open_pulls": []}


def resolve(paths: Iterable[Path], branch: Branch) -> Resolved:
    """Everything in force on a branch. Raises ConfigError."""
    paths = tuple(paths)
    documents, problems = documents_of(paths)
    found = configuration_of(documents, problems, _named(paths))
    jobs = found.job_contexts(branch)
    wish = _wish(found, branch)
    said = (found.contexts(branch).overlap(), found.protection.of(branch, jobs)[1], wish.problem if wish else "")
    return Resolved(
        branch,
        tuple(
            {**query_json(found, index), "admits_branch": query.admits_branch(branch.name)}
            for index, query in enumerate(found.queries)
            if query.covers(branch.org, branch.full_repo)
        ),
        {
            **settings_of(found, Places([document for document, _ in documents], branch)),
            "wished": tuple(_wished(found, branch)),
        },
        tuple(dict.fromkeys(problem for problem in said if problem)),
    )


def settings_of(found: Configuration, places: "Places") -> dict[str, tuple[Setting, ...]]:
    """Every value in force on the branch of `places`, by the section that sets it."""
    return {
        "contexts": tuple(_contexts(found, places)),
        "tide": tuple(_tide(found, places)),
        "mergeq": tuple(_ours(found, places)),
        "protection": tuple(_protection(found, places)),
    }


class Places:
    """Where the values of one branch stand in the documents; nowhere when there are none."""

    def __init__(self, documents: Sequence[Document], branch: Branch) -> None:
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


def _contexts(found: Configuration, places: Places) -> Iterator[Setting]:
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


def _tide(found: Configuration, places: Places) -> Iterator[Setting]:
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
        where = places.of("tide", key) or (places.of("tide", "sync_period") if key == "status_update_period" else ())
        yield Setting(key, getattr(found, key), where)


def _ours(found: Configuration, places: Places) -> Iterator[Setting]:
    yield Setting("status_context", found.status_context, places.of("mergeq", "status_context"))
    yield Setting("budget.reserve", f"{found.budget.reserve:.0%}", places.of("mergeq", "budget", "reserve"))
    for purpose, points in found.budget.floors.items():
        yield Setting(f"budget.floors.{purpose}", points, places.of("mergeq", "budget", "floors", purpose))
    yield Setting("sweep.period", found.sweep.period, places.of("mergeq", "sweep", "period"))
    yield Setting("sweep.with_webhooks", found.sweep.with_webhooks, places.of("mergeq", "sweep", "with_webhooks"))
    base = ("mergeq", "queue")
    for leaf, value in _leaves(found.queue_values(places.branch)):
        yield Setting(f"queue.{'.'.join(leaf)}", value, places.narrowest(base, *leaf))
    values = dict(_leaves(found.protection_values))
    for leaf, value in values.items():
        if leaf[0] not in {"floor", "exemptions"}:
            yield Setting(f"protection.{'.'.join(leaf)}", value, places.of("mergeq", "protection", *leaf))
    said = {leaf: value for leaf, value in found.protection_said.items() if leaf[1:] not in values}
    for leaf, value in (said | dict(found.not_applied)).items():
        if places.branch.org == "" or _is_about(places.branch, leaf):
            yield Setting(".".join(leaf), value, places.of("mergeq", *leaf))


def _is_about(branch: Branch, leaf: tuple[str, ...]) -> bool:
    """Whether a path below `mergeq` speaks about a branch, or about everybody."""
    rest = leaf if leaf[0] == "orgs" else leaf[1:]
    for level, name in (("orgs", branch.org), ("repos", branch.repo), ("branches", branch.name)):
        if rest[:1] == (level,):
            if rest[1] != name:
                return False
            rest = rest[2:]
    return True


def _protection(found: Configuration, places: Places) -> Iterator[Setting]:
    for key, value in found.protection.flags.items():
        yield Setting(key, value, places.of("branch-protection", key))
    yield from _policy(found.protection.merged(places.branch), places, ())


def _policy(policy: Policy, places: Places, path: tuple[str, ...]) -> Iterator[Setting]:
    """The fields of the merged levels; what lists hold may come from several of them."""
    base = ("branch-protection",)
    for key, value in policy.items():
        leaf = (*path, key)
        if isinstance(value, dict) and value:
            yield from _policy(value, places, leaf)
        elif isinstance(value, list):
            where = (place for level in places.levels(*base) for place in places.of(*level, *leaf))
            yield Setting(".".join(leaf), value, tuple(where))
        else:
            yield Setting(".".join(leaf), value, places.narrowest(base, *leaf))


def _wish(found: Configuration, branch: Branch) -> Wish | None:
    facts = RepoFacts(branch.full_repo, branches=frozenset({branch.name}))
    return next((one for one in found.wishes(facts, math.inf) if matches(one.target.pattern, branch.name)), None)


def _wished(found: Configuration, branch: Branch) -> Iterator[Setting]:
    """What protection comes to on a branch, all levels and jobs together, without what is exempt for a time."""
    wish = _wish(found, branch)
    if wish and not wish.problem:
        yield Setting("protect", wish.protect, (wish.place,))
        for name, value in spoken_values(wish.values).items():
            yield Setting(name, value, tuple(source.place for source in wish.sources.get(Field(name), ())))


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


def query_json(found: Configuration, index: int) -> dict[str, Any]:
    """One query as the documents of `mergeq config` have it."""
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


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, their columns under each other; what is much too wide pushes only its own line."""
    widths = [min(max(len(row[column]) for row in rows), 44) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def spoken(value: Any) -> str:
    """A value for a person; numbers with a fraction are seconds."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return (
                ", ".join(f"[{spoken(item)}]" if isinstance(item, list | dict) else spoken(item) for item in value)
                or "none"
            )
        case dict():
            return ", ".join(f"{key}: {spoken(item)}" for key, item in value.items() if item) or "none"
        case float():
            return _duration(value)
        case None:
            return "not set"
    return one_line(str(value)) if isinstance(value, int) or value else "none"


def _duration(seconds: float) -> str:
    """Seconds as Go writes a duration, without the parts that are zero."""
    whole = math.floor(abs(seconds))
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "m"), (abs(seconds) - whole + whole % 60, "s")]
    text = "".join(f"{number:g}{unit}" for number, unit in parts if number) or "0s"
    return f"-{text}" if seconds < 0 else text
