"""What differs in effect between two configurations: queries, and the values that hold for everyone, an org, a
repository or a branch that either of them names.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mergeq.config.documents import ConfigError, Document
from mergeq.config.policy import Configuration, configuration_of, documents_of
from mergeq.config.presubmits import Job
from mergeq.config.queue import keys_of
from mergeq.config.resolve import Places, aligned, query_json, settings_of, spoken
from mergeq.config.tide import QUERY_KEYS
from mergeq.config.wishes import branch_of
from mergeq.core.query import Query

_SCOPE = ("orgs", "repos", "excluded_repos")


@dataclass(frozen=True, slots=True)
class Value:
    """One value that is another now at a `scope` (``*``, org, ``org/repo`` or ``org/repo:branch``), as JSON has it, and
    where either stands; None where there is none.
    """

    scope: str
    key: str
    old: Any
    new: Any
    old_places: tuple[str, ...]
    new_places: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "key": self.key,
            "old": self.old,
            "new": self.new,
            "old_from": list(self.old_places),
            "new_from": list(self.new_places),
        }

    def delta(self) -> str:
        """What a person would say of it: what a list gained and lost, or both values."""
        if isinstance(self.old, list | None) and isinstance(self.new, list | None):
            gained = [f"+ {spoken(item)}" for item in _gained(self.old, self.new)]
            lost = [f"- {spoken(item)}" for item in _gained(self.new, self.old)]
            if gained or lost:
                return ", ".join((*gained, *lost))
            if self.old and self.new:
                return "in another order"
        return f"{spoken(self.old)} → {spoken(self.new)}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs between two configurations, in the form of JSON documents for queries."""

    added: tuple[dict[str, Any], ...]
    removed: tuple[dict[str, Any], ...]
    changed: tuple[dict[str, Any], ...]
    values: tuple[Value, ...]

    @property
    def pending(self) -> bool:
        """Whether there is any."""
        return bool(self.added or self.removed or self.changed or self.values)

    def as_json(self) -> dict[str, Any]:
        """The document of `config diff --json`."""
        return {
            "pending": self.pending,
            "queries": {"added": list(self.added), "removed": list(self.removed), "changed": list(self.changed)},
            "values": [value.as_json() for value in self.values],
        }

    def lines(self) -> Iterator[str]:
        """The same for a person."""
        if not self.pending:
            yield "no change in effect"
            return
        if self.added or self.removed or self.changed:
            yield "queries"
        for sign, queries in (("-", self.removed), ("+", self.added)):
            for query in queries:
                yield f"  {sign} {query['search']}"
                yield f"      {', '.join(query['from'])}"
        for query in self.changed:
            yield f"  ~ {query['new']['search']}"
            for field in query["fields"]:
                yield f"      {field['key']}: {Value('', field['key'], field['old'], field['new'], (), ()).delta()}"
            yield f"      {_moved(query['old']['from'], query['new']['from'])}"
        for scope in dict.fromkeys(value.scope for value in self.values):
            yield ""
            yield "for everyone" if scope == "*" else scope
            rows = [
                (value.key, value.delta(), _moved(value.old_places, value.new_places))
                for value in self.values
                if value.scope == scope
            ]
            yield from (f"  {line}" for line in aligned(rows))
        yield ""
        yield (
            f"queries: {len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed; "
            f"values changed: {len(self.values)}"
        )


def changes(old: Iterable[Path], new: Iterable[Path]) -> Changes:
    """What takes effect when `new` takes the place of `old`. Raises ConfigError with what is wrong in either."""
    problems: list[str] = []
    sides = []
    for paths in (tuple(old), tuple(new)):
        documents, unread = documents_of(paths)
        try:
            found = configuration_of(documents, unread, ", ".join(map(str, paths)))
            sides.append(_Side(found, [document for document, _ in documents]))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    before, after = sides
    removed, added, changed = _queries(before.found, after.found)
    return Changes(
        tuple(query_json(after.found, index) for index in added),
        tuple(query_json(before.found, index) for index in removed),
        tuple(changed),
        tuple(_values(before, after)),
    )


def _queries(old: Configuration, new: Configuration) -> tuple[list[int], list[int], list[dict[str, Any]]]:
    """The indices of queries that are gone and that are new, and those that differ in what they demand or in whom they
    are about, but not in both.
    """
    gone = [index for index, query in enumerate(old.queries) if query not in new.queries]
    come = [index for index, query in enumerate(new.queries) if query not in old.queries]
    changed = []
    for same in (_demands, _scope):
        for before in tuple(gone):
            after = next((one for one in come if same(old.queries[before]) == same(new.queries[one])), None)
            if after is not None:
                gone.remove(before)
                come.remove(after)
                was, is_ = old.queries[before], new.queries[after]
                pairs = (
                    (key, _json(getattr(was, name)), _json(getattr(is_, name))) for key, name in QUERY_KEYS.items()
                )
                differing = [{"key": key, "old": one, "new": other} for key, one, other in pairs if one != other]
                changed.append(
                    {"old": query_json(old, before), "new": query_json(new, after), "fields": differing},
                )
    return gone, come, changed


def _demands(query: Query) -> tuple[Any, ...]:
    return tuple(getattr(query, one.name) for one in fields(query) if one.name not in _SCOPE)


def _scope(query: Query) -> tuple[Any, ...]:
    return tuple(frozenset(getattr(query, name)) for name in _SCOPE)


class _Side:
    """One of two configurations, asked for the values of scopes."""

    def __init__(self, found: Configuration, documents: list[Document]) -> None:
        self.found = found
        self._documents = documents

    def scopes(self) -> set[str]:
        """Every org, repository and branch that anything is said about."""
        found = self.found
        methods = (key.replace("@", ":", 1) for key in (*found.methods.flat, *found.methods.nested))
        nested = (
            f"{org}/{repo}" for org, entry in found.methods.nested.items() for repo in (*entry.whole, *entry.by_branch)
        )
        maps: tuple[Mapping[str, Any], ...] = (
            found.context_options.narrower,
            found.protection.levels,
            found.presubmits,
            found.queue,
            found.blocks_policies,
            found.target_urls,
            found.pr_status_base_urls,
            found.batch_size_limits,
            found.prioritize_existing_batches,
            found.commit_templates,
        )
        return {"*", *methods, *nested, *(key for one in maps for key in one)}

    def values(self, scope: str, *, placed: bool = False) -> dict[str, tuple[Any, dict[Any, tuple[str, ...]]]]:
        """The values of a scope under their keys, and where each item of them stands if they are to be `placed`."""
        places = Places(self._documents if placed else (), branch_of(scope))
        values: dict[str, tuple[Any, dict[Any, tuple[str, ...]]]] = {}
        for section, settings in settings_of(self.found, places).items():
            for setting in settings:
                key = f"{section}.{setting.key}"
                if section == "contexts" and isinstance(setting.value, str):
                    listed, where = values.setdefault(key, ([], {}))
                    listed.append(setting.value)
                    where[setting.value] = setting.places
                elif section == "protection" and isinstance(setting.value, list):
                    base, leaf = ("branch-protection",), setting.key.split(".")
                    values[key] = setting.value, {item: places.everywhere(item, base, *leaf) for item in setting.value}
                else:
                    values[key] = setting.value, {None: setting.places}
        if not places.branch.name:
            values |= {key: (value, {}) for key, value in self._by_expression(scope)}
        return values

    def _by_expression(self, scope: str) -> Iterator[tuple[str, Any]]:
        """What holds on the branches that an expression matches, whichever these are."""
        org, _, repo = scope.partition("/")
        nested = self.found.methods.nested.get(org)
        for pattern, method in nested.by_branch.get(repo or "*", ()) if nested else ():
            yield f"tide.merge_method.{pattern.pattern}", method.value
        if jobs := self.found.presubmits.get(scope):
            yield "presubmits", sorted(map(_job, jobs))


def _job(job: Job) -> str:
    demand = "optional" if job.optional else "required" if job.always else "on demand" if job.manual else "conditional"
    only = f" on {' '.join(pattern.pattern for pattern in job.branches)}" if job.branches else ""
    but = f" but on {' '.join(pattern.pattern for pattern in job.skip_branches)}" if job.skip_branches else ""
    return f"{job.context} ({demand}{only}{but})"


def _values(old: _Side, new: _Side) -> Iterator[Value]:
    """Every value that differs, broadest scope first; one that differs just as the one it inherits from does is not
    named again.
    """
    told: set[tuple[str, str, str]] = set()
    scopes = old.scopes() | new.scopes()
    for scope in sorted(scopes, key=_as_parts):
        before, after = old.values(scope), new.values(scope)
        keys = [
            key for key in dict.fromkeys((*before, *after)) if before.get(key, (None,))[0] != after.get(key, (None,))[0]
        ]
        if not keys:
            continue
        before, after = old.values(scope, placed=True), new.values(scope, placed=True)
        for key in keys:
            was, is_ = before.get(key, (None, {})), after.get(key, (None, {}))
            value = Value(scope, key, was[0], is_[0], _places(was, is_), _places(is_, was))
            broader = [one for one in keys_of(branch_of(scope)) if one in scopes and one != scope]
            if not broader or (broader[-1], key, value.delta()) not in told:
                yield value
            told.add((scope, key, value.delta()))


def _places(
    one: tuple[Any, dict[Any, tuple[str, ...]]], other: tuple[Any, dict[Any, tuple[str, ...]]]
) -> tuple[str, ...]:
    """Where a value stands; of a list the items that the other has not."""
    value, where = one
    items = where if None in where else _gained(other[0], value)
    return tuple(dict.fromkeys(place for item in items for place in where.get(item, ())))


def _as_parts(scope: str) -> tuple[str, str, str]:
    branch = branch_of(scope)
    return branch.org, branch.repo, branch.name


def _gained(old: list[Any] | None, new: list[Any] | None) -> list[Any]:
    return [item for item in new or () if item not in (old or ())]


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _moved(old: Iterable[str], new: Iterable[str]) -> str:
    return " → ".join(side for side in (", ".join(old), ", ".join(new)) if side)
