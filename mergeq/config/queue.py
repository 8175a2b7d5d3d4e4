"""Our own `mergeq:` section: checked against its schema, and the values of its levels brought together."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema

from mergeq import shipped
from mergeq.config.documents import Path_
from mergeq.config.reading import Reading, Spot, guess, seconds_of
from mergeq.core.contexts import EmptyContexts
from mergeq.core.pull import Branch
from mergeq.core.queue import Drafts, Forks, Landing, Order, QueueValues, Retest, StagingValues, UpdateMethod

Leaf = tuple[str, ...]
"""A key of `mergeq.queue` below its level: ``("slots",)``, ``("staging", "prefix")``, ``("context_apps", "e2e")``."""

_BELOW = {"orgs", "repos", "branches"}
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
}
_NOT_YET = {"overtake", "landings_per_cycle", "settle"}
"""Keys that are read and from which nothing follows yet."""


_REFUSED = {
    ("update_method", UpdateMethod.REBASE.value): "choose merge",
    ("landing", Landing.FAST_FORWARD.value): "choose auto, or pull-request",
}
"""Values that ask for more safety than this version can give, by key and value, and what to choose instead."""


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads((shipped("schemas") / "mergeq.schema.json").read_bytes()))


class MergeqSection:
    """What the documents say under `mergeq:`. `levels` has the queue's leaves that are set at ``*``, an org,
    ``org/repo`` or ``org/repo:branch``, as written; `spots` has where each stands.
    """

    def __init__(self, reading: Reading) -> None:
        self.status_context = ""
        self.levels: dict[str, dict[Leaf, Any]] = {}
        self.spots: dict[tuple[str, Leaf], Spot] = {}
        self._reading = reading

    def read(self, ours: Any) -> None:
        """Read one document's section. It may stand in several as long as no setting is in two of them."""
        if ours is None or not self._is_valid(ours):
            return
        if (name := ours.get("status_context")) is not None:
            if self.status_context and self.status_context != name:
                self._reading.problem(("mergeq", "status_context"), "is set in two files", "keep one")
            self.status_context = name
        for key, node, path in _levels_of(ours.get("queue", {})):
            self._level(key, node, path)

    def _is_valid(self, ours: Any) -> bool:
        errors = sorted(_validator().iter_errors(ours), key=lambda error: [str(part) for part in error.path])
        kinds = {tuple(error.path)[:-1] for error in errors if tuple(error.path)[-2:] == ("trigger", "kind")}
        for error in errors:
            path: Path_ = ("mergeq", *error.absolute_path)
            if error.validator != "additionalProperties":
                hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
                self._reading.problem(path, _said(error), hint.rstrip(".") or "see schemas/README.md")
            elif tuple(error.path) not in kinds:  # else the kind of trigger is the complaint
                known = error.schema.get("properties", {})
                for key in (key for key in error.instance if key not in known):
                    self._reading.problem((*path, key), "is not a key that is known here", guess(key, known))
        return not errors

    def _level(self, key: str, node: dict[str, Any], path: Path_) -> None:
        level = self.levels.setdefault(key, {})
        for leaf, value in _leaves(node):
            spot = self._reading.spot((*path, *leaf))
            if leaf in level:
                self._reading.problem(spot.path, f"{leaf[-1]} is set in two files for {key}", "keep one")
            level[leaf] = value
            self.spots[key, leaf] = spot
            if (said := _REFUSED.get((leaf[0], str(value)))) is not None:
                self._reading.problem(spot.path, f"{value!r} is not available in this version", said)
            elif leaf[0] in _NOT_YET and _value(leaf, value) != getattr(QueueValues(), leaf[0]):
                self._reading.warn(spot.path, "is not applied yet", "remove it, or know that it has no effect")


def queue_values(levels: Mapping[str, Mapping[Leaf, Any]], branch: Branch) -> QueueValues:
    """The values in force on a branch: the narrowest that is set wins, maps are united by key, lists replace."""
    values: dict[str, Any] = {}
    staging: dict[str, Any] = {}
    apps: dict[str, str] = {}
    for key in keys_of(branch):
        for leaf, written in levels.get(key, {}).items():
            value = _value(leaf, written)
            if leaf[0] == "context_apps":
                apps[leaf[1]] = value
            elif leaf[0] != "staging":
                values[leaf[0]] = value
            elif leaf[1] != "trigger":
                staging[leaf[1]] = value
    return QueueValues(**values, context_apps=apps, staging=StagingValues(**staging))


def _value(leaf: Leaf, written: Any) -> Any:
    kind = _KINDS.get(leaf)
    return written if kind is None else kind(written)


def keys_of(branch: Branch) -> tuple[str, str, str, str]:
    """The keys of the levels that lead to a branch, broadest first."""
    return ("*", branch.org, branch.full_repo, str(branch))


def _levels_of(queue: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], Path_]]:
    path: Path_ = ("mergeq", "queue")
    yield "*", queue, path
    for org, in_org in queue.get("orgs", {}).items():
        at_org = (*path, "orgs", org)
        yield org, in_org, at_org
        for repo, in_repo in in_org.get("repos", {}).items():
            at_repo = (*at_org, "repos", repo)
            yield f"{org}/{repo}", in_repo, at_repo
            for branch, in_branch in in_repo.get("branches", {}).items():
                yield f"{org}/{repo}:{branch}", in_branch, (*at_repo, "branches", branch)


def _leaves(node: dict[str, Any]) -> Iterable[tuple[Leaf, Any]]:
    for key, value in node.items():
        if key in _BELOW:
            continue
        if isinstance(value, dict):
            yield from (((key, name), below) for name, below in value.items())
        else:
            yield (key,), value


def _said(error: Any) -> str:
    """What a validator found, without the expression it used."""
    if error.validator == "pattern":
        return f"{error.instance!r} is not written as it must be"
    return re.sub(r"\s+", " ", str(error.message))
