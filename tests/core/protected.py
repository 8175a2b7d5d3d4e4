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


names = st.sampled_from(["ana", "bo"])
slugs = st.frozensets(st.sampled_from(["core", "ops"]), max_size=2)
actors = st.builds(Actors, users=st.frozensets(names, max_size=2), teams=slugs, apps=slugs)
pins = st.sampled_from([ANY_APP, "actions", "buildkite"])
checks = st.dictionaries(st.sampled_from(["build", "lint", "e2e"]), pins, max_size=3).map(
    lambda found: frozenset(Check(context, app) for context, app in found.items())
)
unpinned = st.frozensets(st.sampled_from(["build", "lint", "e2e"]), max_size=3).map(
    lambda found: frozenset(Check(context) for context in found)
)


def value_of(field: Field) -> st.SearchStrategy[Value]:
    """Whatever a field can be, as GitHub has it."""
    match field:
        case Field.CONTEXTS:
            return st.none() | checks
        case Field.REVIEWS:
            return st.none() | st.integers(0, 3)
        case Field.PUSHERS | Field.DISMISSERS:
            return st.none() | actors
        case Field.BYPASSERS | Field.FORCERS:
            return actors
        case Field.DEPLOYMENTS:
            return st.none() | st.frozensets(st.sampled_from(["staging", "prod"]), max_size=2)
    return st.booleans()


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


rule_values = st.fixed_dictionaries({field: value_of(field) for field in Field}).map(as_kept)
wished_values = st.fixed_dictionaries(
    {}, optional={field: value_of(field) | unpinned if field is Field.CONTEXTS else value_of(field) for field in Field}
)
PATTERNS = ("main", "release-1", "release/1.x", "a#b", "with space", "Straße", "release-*", "**/*", "*")
