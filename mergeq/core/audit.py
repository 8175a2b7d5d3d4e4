"""What is written down of protection: each change with its cause and its author, what a look found, what is held."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mergeq.core.lattice import UNPROTECTED, effect, is_as_strong
from mergeq.core.protection import (
    OFF,
    OURS,
    Effect,
    Field,
    Item,
    RepoFacts,
    Ruleset,
    Target,
    Values,
    Wish,
    heard_values,
    spoken,
    spoken_values,
)
from mergeq.core.rulesets import as_values, matches


class Result(StrEnum):
    """How a change ended, or what was seen of it."""

    APPLIED = "applied"
    FAILED = "failed"
    NOT_EFFECTIVE = "not-effective"
    HELD = "held"
    ACKNOWLEDGED = "acknowledged"
    SEEN = "seen"
    """Somebody else changed it on GitHub."""
    EXPIRED = "expired"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One row of the audit, never changed afterwards (P7.8).

    `time` is epoch seconds; `run` names the run of the reconciler, `plan` is the hash of what was carried out, `config`
    the digest of the configuration. `target` is ORG/REPO:PATTERN, ORG/REPO for what is about all of it. `before` and
    `after` are fields as `spoken_values` gives them, those that differ alone. `by` is who did it: a login for what
    GitHub told of, the operator who asked, or ``mergeq``; `why` the cause in words, `executor` the identity that wrote.
    """

    id: str
    time: float
    run: str
    target: str
    result: Result
    cause: str = ""
    effect: str = ""
    kind: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    by: str = ""
    why: str = ""
    executor: str = ""
    plan: str = ""
    config: str = ""
    place: str = ""
    problem: str = ""
    calls: int = 0

    @property
    def repo(self) -> str:
        """ORG/REPO."""
        return self.target.partition(":")[0]


@dataclass(frozen=True, slots=True)
class SeenRepo:
    """What the last look at a repository found: an item per target, `error` where it could not be read. `by` is who
    changed it last, as far as GitHub told, and `at` when it was looked at, in epoch seconds.
    """

    repo: str
    at: float
    items: tuple[Item, ...] = ()
    error: str = ""
    warnings: tuple[str, ...] = ()
    config: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A plan that waits for a person: its hash, since when, why, and what it would do, in counts. `scope` is what was
    looked at when it was made: ``*``, ORG or ORG/REPO; the next look at the same puts another in its place.
    """

    hash: str
    at: float
    reasons: tuple[str, ...]
    repos: int
    weakened: int
    removed: int
    items: tuple[Item, ...] = ()
    scope: str = "*"


@dataclass(frozen=True, slots=True)
class Announced:
    """What an event said of protection: when it came, who did it, and the pattern or the name of the ruleset that it is
    about, empty where it does not say. A hint at whom to name for what is then found (P7.8).
    """

    at: float
    by: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """What mergeq last saw in force as it was wished, which makes the next difference drift or a wish of another kind
    (P7.5): the values that were wished, under which exemptions, and since when.
    """

    values: Values
    exemptions: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Parked:
    """A target that is left alone: what was written had no effect twice, or a person rolled it back.

    `about` names what was without effect, or what is not to be put back: until that is another thing, and until `until`
    at most, in epoch seconds, 0.0 for ever. `strikes` counts how often in a row the same was without effect; with one
    alone it is tried once more.
    """

    why: str
    about: str
    strikes: int = 1
    until: float = 0.0

    def holds(self, item: Item, wish: Wish, now: float) -> bool:
        """Whether it is still this that is to be left alone."""
        is_same = self.about in {difference_of(item), wish_of(wish)}
        return is_same and self.strikes > 1 and not 0.0 < self.until <= now


def difference_of(item: Item) -> str:
    """Names what differs and what it is to be: another when the configuration or the live rule changes."""
    changes = [[change.field, spoken(change.before), spoken(change.after)] for change in item.changes]
    return _digest(["difference", str(item.target), item.kind, changes])


def wish_of(wish: Wish) -> str:
    """Names what is wished, whatever is there: another when the configuration says something else of it."""
    return _digest(["wish", str(wish.target), wish.protect, spoken_values(wish.values)])


def _digest(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()


_Told = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of one rule between two looks: `before` and `after` have what differs alone, None for a rule that
    was not there. `about` is its pattern, or the name of the ruleset that it is.
    """

    about: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    effect: Effect
    is_ruleset: bool = False

    def is_of(self, target: Target) -> bool:
        """Whether it is of the rule or the ruleset that a target has of mergeq."""
        return self.about == (OURS + target.pattern if self.is_ruleset else target.pattern)


def spoken_facts(facts: RepoFacts) -> dict[str, Any]:
    """What protects a repository, as JSON: all that a later look is compared with. What cannot be read is None, which
    is never taken for a change: of a ruleset that is not shown as a whole, its rules and whom it lets past.
    """
    return {
        "rules": None if facts.rules is None else {one.pattern: spoken_values(one.values) for one in facts.rules},
        "rulesets": None if facts.rulesets is None else {str(one.id): _spoken_ruleset(one) for one in facts.rulesets},
    }


def merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What is known after a look: what it could not read is as it was."""

    def kept(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if now is None or was is None:
            return was if now is None else now
        return {name: was.get(name) if one is None else one for name, one in now.items()}

    rulesets = kept(before["rulesets"], after["rulesets"])
    if before["rulesets"] is not None and rulesets is not None:
        rulesets = {name: kept(before["rulesets"].get(name), one) for name, one in rulesets.items()}
    return {"rules": kept(before["rules"], after["rules"]), "rulesets": rulesets}


def patched(before: Mapping[str, Any], after: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """What is known of a repository with what is about one target as it is now: whatever else has changed meanwhile is
    still to be told.
    """

    def with_part(was: _Told, now: _Told, names: set[str]) -> _Told:
        if was is None or now is None:
            return was
        kept = {name: one for name, one in was.items() if name not in names}
        return kept | {name: now[name] for name in names if name in now}

    ours = {
        name
        for side in (before["rulesets"], after["rulesets"])
        for name, one in (side or {}).items()
        if one is not None and one["name"] == OURS + target.pattern
    }
    return {
        "rules": with_part(before["rules"], after["rules"], {target.pattern}),
        "rulesets": with_part(before["rulesets"], after["rulesets"], ours),
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What somebody changed between two looks, each as `spoken_facts` gives it, in the order of the patterns."""
    now = merged(before, after)
    found = [
        Difference(
            pattern, *_parts(was, one), _effect(_binding(pattern, before["rules"]), _binding(pattern, now["rules"]))
        )
        for pattern, was, one in _beside(before["rules"], now["rules"])
    ]
    found += [
        Difference((one or was or {})["name"], *_parts(was, one), _ruleset_effect(was, one), is_ruleset=True)
        for _, was, one in _beside(*_comparable(before["rulesets"], now["rulesets"]))
    ]
    return tuple(found)


def _comparable(before: _Told, after: _Told) -> tuple[_Told, _Told]:
    """Rulesets of two looks, without what was not shown in either."""
    if before is None or after is None:
        return before, after

    def shown(one: _Told, other: _Told) -> _Told:
        hidden = {key for side in (one, other) for key, value in (side or {}).items() if value is None}
        return None if one is None else {key: value for key, value in one.items() if key not in hidden}

    was = {name: shown(one, after.get(name)) for name, one in before.items()}
    return was, {name: shown(one, before.get(name)) for name, one in after.items()}


def _beside(before: _Told, after: _Told) -> list[tuple[str, _Told, _Told]]:
    """What is different on both sides, where both are known."""
    if before is None or after is None:
        return []
    unread = {name for side in (before, after) for name, one in side.items() if one is None}
    pairs = [(name, before.get(name), after.get(name)) for name in sorted({*before, *after} - unread)]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _parts(was: _Told, now: _Told) -> tuple[_Told, _Told]:
    """What differs, on both sides."""
    names = [name for name in {**(was or {}), **(now or {})} if (was or {}).get(name) != (now or {}).get(name)]
    sides = [{name: side[name] for name in names if name in side} if side is not None else None for side in (was, now)]
    return sides[0], sides[1]


def _binding(pattern: str, rules: Mapping[str, Mapping[str, Any]]) -> list[Values]:
    """What binds a branch of that name or pattern: its rule, else those that may in place of it, else nothing."""
    told = [rules[pattern]] if pattern in rules else [one for name, one in rules.items() if matches(name, pattern)]
    return [{**OFF, **heard_values(one)} for one in told] or [UNPROTECTED]


def _effect(was: list[Values], now: list[Values]) -> Effect:
    """The worst that it may do to any field."""
    found = {
        effect(name, old[name], new[name]) for old in was for new in now for name in Field if old[name] != new[name]
    }
    return next((one for one in (Effect.WEAKEN, Effect.STRENGTHEN) if one in found), Effect.NEUTRAL)


def _ruleset_effect(was: _Told, now: _Told) -> Effect:
    """What binds nobody any more weakens, and so does one that asks for less, of fewer, or lets more people past."""
    bound, binds = ((one or {}).get("enforcement") == "active" for one in (was, now))
    if not (was and now and bound and binds):
        return Effect.NEUTRAL if bound == binds else Effect.STRENGTHEN if binds else Effect.WEAKEN
    if _is_looser(was, now):
        return Effect.WEAKEN
    return Effect.STRENGTHEN if _is_looser(now, was) else Effect.NEUTRAL


def _is_looser(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a ruleset has lost anything of what it was, as `spoken_facts` has both."""
    lost = [{*was.get(kind, ())} - {*now.get(kind, ())} for kind in ("include", "rules")]
    lost += [{*now.get(kind, ())} - {*was.get(kind, ())} for kind in ("exclude", "bypassers")]
    asked, asks = (as_values(Ruleset(0, "", "", "active", (), (), one.get("rules", {}))) for one in (was, now))
    return any(lost) or not all(is_as_strong(name, asked[name], asks[name]) for name in Field)


def _spoken_ruleset(ruleset: Ruleset) -> dict[str, Any]:
    let = sorted(f"{one.kind} {one.name or one.id} {one.mode}" for one in ruleset.bypassers)
    return {
        "name": ruleset.name,
        "owner": ruleset.owner,
        "enforcement": ruleset.enforcement,
        "include": sorted(ruleset.include),
        "exclude": sorted(ruleset.exclude),
        "rules": {name: dict(ruleset.rules[name]) for name in sorted(ruleset.rules)} if ruleset.is_whole else None,
        "bypassers": let if ruleset.is_whole else None,
    }
