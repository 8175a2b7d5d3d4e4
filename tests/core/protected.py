"""Rules, repositories and wishes about them, whole worlds of them drawn too."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mergeq.core.protection import (
    ANY_APP,
    NOBODY,
    OFF,
    Actors,
    Check,
    Field,
    Item,
    Mode,
    Plan,
    RepoFacts,
    Rule,
    Ruleset,
    Target,
    Value,
    Values,
    Wish,
)

REPO = "acme/rocket"
MAIN = Target(REPO, "main")
BUILD = frozenset({Check("build", ANY_APP)})


def values(**fields: Value) -> dict[Field, Value]:
    """Fields by their names in code: ``REVIEWS=2``."""
    return {Field[name]: value for name, value in fields.items()}


def rule(pattern: str = "main", serial: int = 1, **fields: Value) -> Rule:
    return Rule(f"BPR_{serial}", pattern, {**OFF, **values(**fields)}, serial)


def repo(*rules: Rule, **changes: Any) -> RepoFacts:
    return replace(RepoFacts(REPO, rules=rules, default_branch="main"), **changes)


def wish(pattern: str = "main", *, protect: bool = True, about: dict[str, Any] | None = None, **fields: Value) -> Wish:
    """A wish that is enforced; `about` has what else there is to say of it."""
    known = {"place": "policy.yaml:1", "mode": Mode.ENFORCE, **(about or {})}
    return Wish(Target(REPO, pattern), protect, values(**fields), **known)


def ruleset(name: str = "org", *, include: Iterable[str] = ("refs/heads/main",), **changes: Any) -> Ruleset:
    return replace(Ruleset(7, name, "acme", "active", tuple(include), (), {}), **changes)


def one(plan: Plan) -> Item:
    """The only item of a plan."""
    (item,) = plan.items
    return item


def written(plan: Plan) -> dict[str, str]:
    """What a plan would write: the kind by pattern."""
    return {item.target.pattern: str(item.kind) for item in plan.writes}


_LISTS = (NOBODY, Actors(frozenset({"ana"})), Actors(frozenset({"ana"}), frozenset({"core"}), frozenset({"bot"})))
_CONTEXTS = (
    None,
    frozenset[Check](),
    BUILD,
    frozenset({Check("build", "actions")}),
    frozenset({Check("build", "buildkite"), Check("lint", ANY_APP)}),
)
_UNPINNED = (frozenset({Check("build")}), frozenset({Check("build"), Check("lint"), Check("e2e")}))


def values_of(field: Field) -> tuple[Value, ...]:
    """What a field can be, as GitHub has it."""
    match field:
        case Field.CONTEXTS:
            return _CONTEXTS
        case Field.REVIEWS:
            return (None, 0, 1, 2)
        case Field.PUSHERS | Field.DISMISSERS:
            return (None, *_LISTS)
        case Field.BYPASSERS | Field.FORCERS:
            return _LISTS
        case Field.DEPLOYMENTS:
            return (None, frozenset[str](), frozenset({"prod"}), frozenset({"prod", "staging"}))
    return (False, True)


def as_kept(found: Values) -> dict[Field, Value]:
    """Fields as GitHub keeps them: nothing of a section that is off."""
    kept = dict(found)
    if kept[Field.CONTEXTS] is None:
        kept[Field.STRICT] = False
    if kept[Field.REVIEWS] is None:
        kept |= dict.fromkeys((Field.DISMISS_STALE, Field.CODE_OWNERS, Field.LAST_PUSH), False)
        kept |= {Field.DISMISSERS: None, Field.BYPASSERS: NOBODY}
    if kept[Field.PUSHERS] is None:
        kept[Field.CREATIONS] = False
    if not kept[Field.LOCK]:
        kept[Field.FORK_SYNC] = False
    if kept[Field.FORCE_PUSHES]:
        kept[Field.FORCERS] = NOBODY
    return kept


_SETTINGS = [(field, value) for field in Field for value in values_of(field)]
_WISHED = [*_SETTINGS, *((Field.CONTEXTS, value) for value in _UNPINNED)]
rule_values = st.lists(st.sampled_from(_SETTINGS), max_size=8).map(lambda drawn: as_kept({**OFF, **dict(drawn)}))
wished_values = st.lists(st.sampled_from(_WISHED), max_size=6).map(dict)
PATTERNS = ("main", "release-1", "release/1.x", "a#b", "with space", "Straße", "release-*", "r*/**/*", "*")
