"""Our own `mergeq.protection:` section: what it sets for everybody, and the levels that say what Prow's cannot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mergeq.config.documents import Path_
from mergeq.config.protection import Level, lined
from mergeq.config.queue import Leaf
from mergeq.config.reading import Reading, Spot, seconds_of
from mergeq.core.branchprotector import Policy, applied
from mergeq.core.protecting import Exemption, Fields, FromTide, ProtectionValues
from mergeq.core.protection import Backend, Mode

DEFAULT_BRANCH = "~DEFAULT_BRANCH"
"""The pattern that stands for the name of a repository's default branch."""

EXTENSIONS = frozenset(
    {
        "checks",
        "ownership",
        "required_conversation_resolution",
        "require_last_push_approval",
        "lock_branch",
        "allow_fork_syncing",
        "block_creations",
        "required_deployments",
        "bypass_force_push_allowances",
        "remove",
    }
)
"""The fields of a level that Prow does not know (P7.9)."""

_BELOW = ("orgs", "repos", "branches")
_KINDS: Mapping[str, Any] = {
    "mode": Mode,
    "fields": Fields,
    "period": seconds_of,
    "jitter": seconds_of,
    "backend": Backend,
    "contexts_from_tide": FromTide,
    "policy_owners": tuple,
    "max_exemption": seconds_of,
}


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the section says level by level: `levels` by ``*``, org, ``org/repo`` and ``org/repo:branch``, `patterns` by
    ``org/repo`` in the order of the file, `exempt` by the id of an exemption, `modes` by org, and the `floor`.
    """

    levels: Mapping[str, Level] = field(default_factory=dict)
    spots: Mapping[str, Spot] = field(default_factory=dict)
    patterns: Mapping[str, Mapping[str, Level]] = field(default_factory=dict)
    exempt: Mapping[str, Level] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(default_factory=dict)
    floor: Level = field(default_factory=lambda: Level("floor"))


def extended(parent: Policy, child: Policy) -> Policy:
    """A parent's fields of ours with a child's on top: single values and lists replace, maps are united by key, but
    `checks` are gathered and what is to be removed is united (P7.9, P2.24).
    """
    merged = dict(parent)
    for key, value in child.items():
        above = merged.get(key)
        if key == "remove":
            merged[key] = applied(above or {}, value)
        elif key == "checks":
            merged[key] = [*(above or ()), *value]
        elif isinstance(value, dict):
            merged[key] = {**(above or {}), **value}
        else:
            merged[key] = value
    return merged


_INERT = frozenset({"policy_owners", "breakglass_team"})  # nobody asks for them yet


class ProtectingSection:
    """The section of all documents. It has been checked against its schema, and no leaf stands in two of them."""

    def __init__(self, reading: Reading) -> None:
        self.values = ProtectionValues()
        self._levels: dict[str, Level] = {}
        self._patterns: dict[str, dict[str, Level]] = {}
        self._exempt: dict[str, Level] = {}
        self._modes: dict[str, Mode] = {}
        self._floor = Level("floor")
        self._spots: dict[str, Spot] = {}
        self._reading = reading

    def result(self) -> Extensions:
        """What was read of its levels."""
        return Extensions(self._levels, self._spots, self._patterns, self._exempt, self._modes, self._floor)

    def read(self, section: Mapping[str, Any]) -> None:
        """Read one document's section."""
        path: Path_ = ("mergeq", "protection")
        values: dict[str, Any] = {}
        for key, value in section.items():
            self._spots[key] = self._reading.spot((*path, key))
            if key in _INERT:
                self._reading.warn((*path, key), "is not applied yet", "remove it, or know that it has no effect")
            if key == "gate":
                gate: dict[str, Any] = {name: tuple(one) if name == "ack_by" else one for name, one in value.items()}
                values[key] = replace(self.values.gate, **gate)
            elif key == "floor":
                self._floor = self._floor.joined(self._level("floor", value, (*path, key)))
            elif key == "exemptions":
                found = (self._exemption(one, (*path, key, index)) for index, one in enumerate(value))
                values[key] = tuple(one for one in found if one is not None)
            elif key in _KINDS:
                values[key] = _KINDS[key](value)
            elif key in {"verify_restrictions", "enable_apps_restrictions", "breakglass_team"}:
                values[key] = value
        self.values = replace(self.values, **values)
        self._below("*", {key: value for key, value in section.items() if key in EXTENSIONS or key in _BELOW}, path, 0)

    def _below(self, key: str, node: Mapping[str, Any], path: Path_, depth: int) -> None:
        """A level and those below it."""
        policy = {name: value for name, value in node.items() if name in EXTENSIONS}
        if policy or key != "*":
            level = self._level(key, policy, path)
            self._levels[key] = self._levels[key].joined(level) if key in self._levels else level
        if "mode" in node:
            self._modes[key] = Mode(node["mode"])
        for pattern, inner in node.get("patterns", {}).items():
            level = self._level(f"{key}:{pattern}", inner, (*path, "patterns", pattern))
            of_repo = self._patterns.setdefault(key, {})
            of_repo[pattern] = of_repo[pattern].joined(level) if pattern in of_repo else level
        for below in _BELOW[depth : depth + 1]:
            for name, inner in node.get(below, {}).items():
                joint = ("", "/", ":")[depth]
                self._below(f"{key}{joint}{name}" if joint else name, inner, (*path, below, name), depth + 1)
            if below == "branches":
                self._reading.branch_names(node.get(below, ()), (*path, below))

    def _level(self, key: str, policy: Policy, path: Path_) -> Level:
        places = {leaf: lined(self._reading.spot((*path, *leaf))) for leaf in leaves(policy)}
        return Level(key, policy, places, self._reading.spot(path))

    def _exemption(self, said: Mapping[str, Any], path: Path_) -> Exemption | None:
        name, reading = said["id"], self._reading
        if name in self._exempt:
            reading.problem((*path, "id"), f"the exemption {name!r} is there twice", "name each once")
            return None
        try:
            until = datetime.fromisoformat(said["until"]).timestamp()
        except (ValueError, OverflowError):
            reading.problem((*path, "until"), f"{said['until']} is no time", "write it as 2026-12-01T00:00:00Z")
            return None
        spot = reading.spot(path)
        removal = {key: said[key] for key in ("remove",) if key in said}
        patch, rest = self._level(name, said.get("patch", {}), (*path, "patch")), self._level(name, removal, path)
        self._exempt[name] = Level(name, extended(patch.policy, removal), {**patch.places, **rest.places}, spot)
        texts = {key: said[key] for key in ("id", "target", "owner", "reason", "ticket") if key in said}
        return Exemption(
            **texts, until=until, patch=said.get("patch", {}), remove=said.get("remove", {}), place=lined(spot)
        )


def leaves(policy: Policy) -> Iterator[Leaf]:
    """Every field of a policy that has a value, and every section of it that is empty."""
    for key, value in policy.items():
        if isinstance(value, dict) and value:
            yield from ((key, *leaf) for leaf in leaves(value))
        else:
            yield (key,)
