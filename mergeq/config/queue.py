"""Our own `mergeq:` section: checked against its schema, and the values of the queue's levels brought together."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mergeq.config.documents import Path_
from mergeq.config.reading import Reading, Spot, seconds_of
from mergeq.config.schemas import validator
from mergeq.core.budget import BudgetValues, SweepValues
from mergeq.core.contexts import EmptyContexts
from mergeq.core.pull import Branch
from mergeq.core.queue import (
    Drafts,
    Forks,
    Landing,
    Order,
    QueueValues,
    Retest,
    StagingValues,
    Trigger,
    TriggerKind,
    UpdateMethod,
)

Leaf = tuple[str, ...]
"""A key of `mergeq.queue` below its level: ``("slots",)``, ``("staging", "prefix")``, ``("context_apps", "e2e")``."""

_KINDS: Mapping[Leaf, Any] = {
    ("retest",): Retest,
    ("update_method",): UpdateMethod,
    ("landing",): Landing,
    ("order",): Order,
    ("drafts",): Drafts,
    ("empty_contexts",): EmptyContexts,
    ("settle",): seconds_of,
    ("overtake",): tuple,
    ("voided_by_push",): tuple,
    ("head_only_contexts",): frozenset,
    ("staging_contexts",): frozenset,
    ("staging", "start_timeout"): seconds_of,
    ("staging", "timeout"): seconds_of,
    ("staging", "keep"): seconds_of,
    ("staging", "forks"): Forks,
    ("staging", "sensitive_paths"): tuple,
    ("staging", "trigger", "kind"): TriggerKind,
}
_REFUSED = {
    ("read", "members"): "choose public, or keep the pages behind a proxy that asks who is there",
    ("read", "github"): "choose public, or keep the pages behind a proxy that asks who is there",
}
"""Values that ask for more safety than this version can give, by key and value, and what to choose instead."""


class MergeqSection:
    """What the documents say under `mergeq:`. `levels` has the queue's leaves that are set at ``*``, an org,
    ``org/repo`` or ``org/repo:branch``, as written; `spots` has where each stands; `protection` has the leaves of that
    section, `not_applied` those of the sections from which nothing follows yet.
    """

    def __init__(self, reading: Reading) -> None:
        self.status_context = ""
        self.levels: dict[str, dict[Leaf, Any]] = {}
        self.spots: dict[tuple[str, Leaf], Spot] = {}
        self.not_applied: dict[Leaf, Any] = {}
        self.protection: dict[Leaf, Any] = {}
        self.budget, self.sweep = BudgetValues(), SweepValues()
        self._seen: dict[Leaf, Spot] = {}
        self._reading = reading

    def read(self, ours: Any) -> Mapping[str, Any]:
        """Read one document's section, and give it if it is as it must be, else nothing. It may stand in several as
        long as no setting is in two of them.
        """
        if ours is None or not self._is_valid(ours):
            return {}
        for key in sorted(ours.keys() - {"status_context", "queue", "budget", "sweep", "protection"}):
            self._reading.warn(("mergeq", key), "is not applied yet", "remove it, or know that it has no effect")
        for leaf, value in _leaves(ours):
            spot = self._reading.spot(("mergeq", *leaf))
            if (other := self._seen.setdefault(leaf, spot)) is not spot:
                self._reading.problem(spot.path, f"is set in {other.place} too", "keep one")
            elif (instead := _REFUSED.get((leaf[-1], str(value)))) is not None:
                self._reading.problem(spot.path, f"{value!r} is not available in this version", instead)
            elif leaf[-2:] == ("trigger", "url") and (wrong := _objection(value)):
                self._reading.problem(spot.path, *wrong)
            elif leaf[0] == "queue":
                self._queue(*_level_of(leaf[1:]), value, spot)
            elif leaf[0] == "protection":
                self.protection[leaf] = value
            elif leaf[0] == "status_context":
                self.status_context = value
            elif leaf[0] == "sweep":
                values: dict[str, Any] = {leaf[1]: seconds_of(value)}
                self.sweep = replace(self.sweep, **values)
            elif leaf == ("budget", "reserve"):
                self.budget = replace(self.budget, reserve=int(value.removesuffix("%")) / 100)
            elif leaf[0] == "budget":
                self.budget = replace(self.budget, floors={**self.budget.floors, leaf[2]: value})
            else:
                self.not_applied[leaf] = value
        return dict(ours)

    def _is_valid(self, ours: Any) -> bool:
        errors = sorted(validator("mergeq").iter_errors(ours), key=lambda error: [str(part) for part in error.path])
        kinds = {tuple(error.path)[:-1] for error in errors if tuple(error.path)[-1:] == ("kind",)}
        for error in errors:
            path: Path_ = ("mergeq", *error.absolute_path)
            if error.validator != "additionalProperties":
                hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
                self._reading.problem(path, str(error.message), hint.rstrip(".") or "see schemas/README.md")
            elif tuple(error.path) not in kinds:  # else the kind is the complaint
                known = error.schema.get("properties", {})
                for key in (key for key in error.instance if key not in known):
                    what, remedy = "is not a key that is known here", self._reading.guess(key, known)
                    self._reading.problem((*path, key), what, remedy)
        return not errors

    def _queue(self, key: str, leaf: Leaf, value: Any, spot: Spot) -> None:
        if key not in self.levels and ":" in key:
            self._reading.branch_names([key.partition(":")[2]], spot.path[: -len(leaf)])
        self.levels.setdefault(key, {})[leaf] = value
        self.spots[key, leaf] = spot


_UNSET = QueueValues()


def queue_values(levels: Mapping[str, Mapping[Leaf, Any]], branch: Branch) -> QueueValues:
    """The values in force on a branch: the narrowest that is set wins, maps are united by key, lists replace, and so
    does a trigger, whose keys belong together.
    """
    if not any(map(levels.get, keys_of(branch))):
        return _UNSET
    values: dict[str, Any] = {}
    staging: dict[str, Any] = {}
    apps: dict[str, str] = {}
    for key in keys_of(branch):
        trigger: dict[str, Any] = {}
        for leaf, written in levels.get(key, {}).items():
            value = _value(leaf, written)
            if leaf[0] == "context_apps":
                apps[leaf[1]] = value
            elif leaf[0] != "staging":
                values[leaf[0]] = value
            elif leaf[1] == "trigger":
                trigger[leaf[2]] = value
            else:
                staging[leaf[1]] = value
        if trigger:
            staging["trigger"] = Trigger(**trigger)
    return QueueValues(**values, context_apps=apps, staging=StagingValues(**staging))


def _value(leaf: Leaf, written: Any) -> Any:
    kind = _KINDS.get(leaf)
    return written if kind is None else kind(written)


def keys_of(branch: Branch) -> tuple[str, str, str, str]:
    """The keys of the levels that lead to a branch, broadest first."""
    return ("*", branch.org, branch.full_repo, str(branch))


def _objection(url: str) -> tuple[str, str] | None:
    """What is wrong with an address that signed events are to be sent to, and what to do; None when nothing is."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return f"is no address: {error}", "write it as https://HOST/PATH"
    if "@" in parts.netloc:
        return "holds a name or a password", "leave it out; the secret of `secret_env` signs what is sent"
    if parts.scheme != "https" and not _is_near(parts.hostname or ""):
        return "would send what CI is told through the net in the clear", "use https, or a loopback address"
    return None


def _is_near(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _leaves(node: Mapping[str, Any]) -> Iterator[tuple[Leaf, Any]]:
    """Every value of nested mappings, lists as they are, under its path."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from (((key, *leaf), below) for leaf, below in _leaves(value))
        else:
            yield (key,), value


def _level_of(leaf: Leaf) -> tuple[str, Leaf]:
    """The level that a path below `queue` speaks about, and what is left of the path there."""
    key = "*"
    for below, joint in (("orgs", ""), ("repos", "/"), ("branches", ":")):
        if leaf[0] != below:
            break
        key = f"{key}{joint}{leaf[1]}" if joint else leaf[1]
        leaf = leaf[2:]
    return key, leaf
