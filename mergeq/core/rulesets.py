"""Rulesets beside classic rules: which branches they are about, what both demand together, and each in the
other's words (P6.62-P6.66).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mergeq.core.lattice import UNPROTECTED, effect
from mergeq.core.protection import (
    ANY_APP,
    OFF,
    OURS,
    Bypasser,
    Check,
    Effect,
    Field,
    RepoFacts,
    Rule,
    Ruleset,
    Target,
    Value,
    Values,
)

ALL = "~ALL"
DEFAULT_BRANCH = "~DEFAULT_BRANCH"
HEADS = "refs/heads/"
Rules = Mapping[str, Mapping[str, Any]]

_ADMINS = Bypasser("RepositoryRole", 5, "admin", "always")
_PLAIN = {
    "required_linear_history": (Field.LINEAR, True),
    "required_signatures": (Field.SIGNATURES, True),
    "non_fast_forward": (Field.FORCE_PUSHES, False),
    "deletion": (Field.DELETIONS, False),
    "creation": (Field.CREATIONS, True),
}
"""The rules without parameters, and the switch that each is."""
_OF_REVIEWS = {
    Field.REVIEWS: "required_approving_review_count",
    Field.DISMISS_STALE: "dismiss_stale_reviews_on_push",
    Field.CODE_OWNERS: "require_code_owner_review",
    Field.LAST_PUSH: "require_last_push_approval",
    Field.CONVERSATIONS: "required_review_thread_resolution",
}
MAPPABLE = frozenset({*_PLAIN, "pull_request", "required_status_checks", "required_deployments", "update"})
"""The types of rules that fields can say; those of other types are left as they are."""
_TOKEN = re.compile(
    r"(?P<deep>(?:(?<=/)|^)(?:\*\*/)+)|(?P<star>\*+)|(?P<one>\?)|\[(?P<negated>!?)(?P<set>[^\]]+)\]|.", re.DOTALL
)


def matches(pattern: str, branch: str) -> bool:
    """Whether a pattern of a rule is about a branch: Ruby's fnmatch as GitHub has it, within segments.

    ``*``, ``**`` and ``?`` stay within a segment, only ``**/`` stands for any number of them; there is no quoting, no
    ``[^a]`` and no ``{a,b}`` (P6.62).
    """
    return _expression(pattern).fullmatch(branch) is not None


def may_begin(pattern: str, prefix: str) -> bool:
    """Whether a pattern can match a name that begins so."""
    parts = _parts(pattern)
    tried = ("".join(whole for whole, _ in parts[:at]) + parts[at][1] for at in range(len(parts)))
    return any(re.fullmatch(one, prefix) for one in tried) or matches(pattern, prefix)


def may_meet(one: str, other: str) -> bool:
    """Whether there may be a name that both patterns match; it is not looked at what is in a set, nor where a segment
    begins.
    """
    ours, theirs = ([(token.lastgroup, token[0]) for token in _TOKEN.finditer(each)] for each in (one, other))
    seen, todo = set[tuple[int, int]](), [(0, 0)]
    while todo:
        if (at := todo.pop()) in seen:
            continue
        seen.add(at)
        i, j = at
        mine, its = ours[i : i + 1], theirs[j : j + 1]
        grows, grows_too = (bool(here) and here[0][0] in {"deep", "star"} for here in (mine, its))
        todo += [(i + 1, j)] * grows + [(i, j + 1)] * grows_too
        if mine and its and _may_be_one(mine[0], its[0]):
            todo.append((i + (not grows), j + (not grows_too)))
    return (len(ours), len(theirs)) in seen


def _may_be_one(token: tuple[str | None, str], other: tuple[str | None, str]) -> bool:
    """Whether one character can be what two signs of patterns stand for."""
    (kind, sign), (its, mark) = token, other
    if kind is None and its is None:
        return sign == mark
    return "deep" in {kind, its} or "/" not in {sign, mark}


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    """The expression for all that a pattern matches. Whoever names rules and branches must not be able to have it tried
    for ever: what stands between two stars, or two ``**/``, is looked for once, where it comes first (``(?>…)``).
    """
    whole, group, piece, has_star, has_deep = "", "", "", False, False
    for token, (sign, _) in zip(_TOKEN.finditer(pattern), _parts(pattern), strict=True):
        kind = token.lastgroup
        if kind not in {"star", "deep"} and sign != "/":
            piece += sign
            continue
        group += piece if not has_star else f"(?>[^/]*?{piece})" if kind == "star" else f"[^/]*{piece}"
        has_star, piece = kind == "star", "/" if kind is None else ""
        if kind == "deep":
            whole += f"(?>(?:[^/]+/)*?{group})" if has_deep else group
            has_deep, group = True, ""
    group += f"[^/]*{piece}" if has_star else piece
    return re.compile(whole + (f"(?:[^/]+/)*{group}" if has_deep else group))


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[tuple[str, str], ...]:
    """Each sign of a pattern as an expression for what it matches, and for what begins so."""
    return tuple(map(_part, _TOKEN.finditer(pattern)))


def _part(token: re.Match[str]) -> tuple[str, str]:
    match token.lastgroup:
        case "deep":
            return "(?:[^/]+/)*", "(?:[^/]+/)*[^/]*"
        case "star":
            return "[^/]*", "[^/]*"
        case "one":
            return "[^/]", ""
        case "set":
            forward = re.sub(r"(.)-(.)", lambda ends: ends[0] if ends[1] <= ends[2] else "", token["set"])
            inside = re.sub(r"([\\\[&~|^])", r"\\\1", forward)
            negated = "^" if token["negated"] else ""
            return (f"(?!/)[{negated}{inside}]" if inside else f"[{negated}/]" if negated else "(?!)"), ""
    return re.escape(token[0]), ""


def targets(ruleset: Ruleset, branch: str, default_branch: str) -> bool:
    """Whether a ruleset is about a branch, be it active or not: one of its `include` names it and no `exclude` does."""

    def is_named(by: Iterable[str]) -> bool:
        return any(
            one == ALL
            or (one == DEFAULT_BRANCH and branch == default_branch)
            or (one.startswith(HEADS) and matches(one.removeprefix(HEADS), branch))
            for one in by
        )

    return is_named(ruleset.include) and not is_named(ruleset.exclude)


def standing(facts: RepoFacts, pattern: str) -> Ruleset | None:
    """The repository's own ruleset for just this branch or pattern, the oldest: what `backend: ruleset` keeps; else the
    one that mergeq made for it, whatever somebody has switched it to: GitHub takes no second one of its name.
    """
    own = sorted((one for one in facts.rulesets or () if one.owner == facts.repo), key=lambda one: one.id)
    fitting = next((one for one in own if _binds_just(one, pattern)), None)
    return fitting or next((one for one in own if one.name == OURS + pattern), None)


def _binds_just(ruleset: Ruleset, pattern: str) -> bool:
    return ruleset.include == (HEADS + pattern,) and not ruleset.exclude and ruleset.is_active


def in_place(ruleset: Ruleset, pattern: str) -> Values:
    """What a ruleset that is `standing` for a pattern demands of it: nothing where it is switched off, or to others."""
    return as_values(ruleset) if _binds_just(ruleset, pattern) else UNPROTECTED


def in_force(facts: RepoFacts, branch: str) -> Rule | None:
    """The one classic rule that binds a branch: its own, else the oldest whose pattern matches."""
    matching = [one for one in facts.rules or () if one.pattern != branch and matches(one.pattern, branch)]
    return facts.rule(branch) or min(matching, key=lambda one: (one.serial, one.pattern), default=None)


@dataclass(frozen=True, slots=True)
class Demand:
    """Something that has to be fulfilled, and who demands it: ``rule PATTERN``, ``ruleset NAME of OWNER``. `field` is a
    field, or the type of a rule that none can say. Of contexts and deployments each is a demand of its own.
    """

    field: str
    value: Value | Check | str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effective:
    """All that binds a branch. `unknown` says what could not be read: then more may be demanded than is told here."""

    demands: tuple[Demand, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def contexts(self) -> frozenset[Check]:
        """The contexts that have to be green, with who has to report them."""
        return frozenset(one.value for one in self.demands if isinstance(one.value, Check))


def effective(branch: str, facts: RepoFacts) -> Effective:
    """What the classic rule in force and every active ruleset demand of a branch together: the strictest wins, and who
    may push must be let by each of them (P6.63, P6.67).
    """
    unknown = [name for name, read in (("classic rules", facts.rules), ("rulesets", facts.rulesets)) if read is None]
    demanding: list[tuple[str, Values]] = []
    if rule := in_force(facts, branch):
        demanding.append((f"rule {rule.pattern}", rule.values))
    others: dict[str, list[str]] = {}
    for ruleset in sorted(facts.rulesets or (), key=lambda one: one.id):
        if ruleset.is_active and targets(ruleset, branch, facts.default_branch):
            demanding.append((str(ruleset), as_values(ruleset)))
            unknown += [] if ruleset.is_whole else [str(ruleset)]
            for kind in sorted(ruleset.rules.keys() - MAPPABLE):
                others.setdefault(kind, []).append(str(ruleset))
    found: list[Demand] = []
    for field in Field:
        found += _strictest(field, [(who, values.get(field, UNPROTECTED[field])) for who, values in demanding])
    found += [Demand(kind, "", tuple(who)) for kind, who in others.items()]
    return Effective(tuple(found), tuple(unknown))


def _strictest(field: Field, said: list[tuple[str, Value]]) -> list[Demand]:
    demanded = [(who, value) for who, value in said if effect(field, UNPROTECTED[field], value) is Effect.STRENGTHEN]
    by: dict[Any, list[str]] = {}
    for who, value in demanded:
        each = sorted(value) if isinstance(value, frozenset) else (value,)
        beaten = any(effect(field, value, other) is Effect.STRENGTHEN for _, other in demanded)
        if isinstance(value, frozenset) or not beaten:
            for one in each:
                by.setdefault(one, []).append(who)
    return [Demand(field, value, tuple(who)) for value, who in by.items()]


def as_rules(values: Values) -> tuple[Rules, tuple[Bypasser, ...], frozenset[Field]]:
    """Fields as the rules of one ruleset, who passes them by, and the fields that a ruleset cannot say (P6.66).

    A check has the slug of its app under ``app``: whoever sends it puts in the number. Who passes a ruleset by passes
    all of it, so who may push and who needs no pull request cannot be said: to let them past that would let them past
    the contexts too.
    """
    said: dict[Field, Any] = {**OFF, **values}
    rules: dict[str, dict[str, Any]] = {name: {} for name, (field, asked) in _PLAIN.items() if said[field] is asked}
    lost = {
        name for name in (Field.PUSHERS, Field.DISMISSERS, Field.BYPASSERS, Field.FORCERS) if said[name] != OFF[name]
    }
    if said[Field.CONTEXTS] is not None:
        checks = [
            {"context": one.context, **({} if one.app in {"", ANY_APP} else {"app": one.app})}
            for one in sorted(said[Field.CONTEXTS])
        ]
        rules["required_status_checks"] = {
            "strict_required_status_checks_policy": said[Field.STRICT],
            "required_status_checks": checks,
        }
    if said[Field.REVIEWS] is not None:
        rules["pull_request"] = {parameter: said[field] for field, parameter in _OF_REVIEWS.items()}
    elif said[Field.CONVERSATIONS]:
        lost.add(Field.CONVERSATIONS)
    if said[Field.DEPLOYMENTS] is not None:
        rules["required_deployments"] = {"required_deployment_environments": sorted(said[Field.DEPLOYMENTS])}
    if said[Field.LOCK]:
        rules["update"] = {"update_allows_fetch_and_merge": said[Field.FORK_SYNC]}
    return rules, () if said[Field.ENFORCE_ADMINS] else (_ADMINS,), frozenset(lost)


def rewritten(values: Values, target: Target, old: Ruleset | None) -> Ruleset:
    """The ruleset that has a target's fields, in place of an old one if there is one: of that, all that fields cannot
    say stays as it is, but whom it binds. A new one has the number 0.
    """
    (rules, bypassers, _), include = as_rules(values), (HEADS + target.pattern,)
    if old is None:
        return Ruleset(0, OURS + target.pattern, target.repo, "active", include, (), rules, bypassers)
    kept = {name: rule for name, rule in old.rules.items() if name not in MAPPABLE}
    kept |= {name: {**old.rules.get(name, {}), **rule} for name, rule in rules.items()}
    others = tuple(one for one in old.bypassers if not _is_admins(one))
    shown = replace(old, enforcement="active", include=include, exclude=())
    return replace(shown, rules=kept, bypassers=(*others, *bypassers))


def as_values(ruleset: Ruleset) -> Values:
    """What a ruleset demands, as every field of a classic rule; what no field can say is not in it (P6.66).

    Updates that are restricted are a lock for all but who passes the ruleset by.
    """
    rules = {name: ruleset.rules[name] for name in sorted(ruleset.rules.keys() & MAPPABLE)}
    values: dict[Field, Value] = {**OFF, Field.FORCE_PUSHES: True, Field.DELETIONS: True}
    values |= {field: asked for name, (field, asked) in _PLAIN.items() if name in rules}
    values[Field.ENFORCE_ADMINS] = not any(_is_admins(one) for one in ruleset.bypassers)
    if (checks := rules.get("required_status_checks")) is not None:
        values[Field.STRICT] = bool(checks.get("strict_required_status_checks_policy"))
        values[Field.CONTEXTS] = frozenset(
            Check(one["context"], str(one.get("app") or one.get("integration_id") or ANY_APP))
            for one in checks.get("required_status_checks", ())
        )
    if (reviews := rules.get("pull_request")) is not None:
        values |= {
            field: reviews.get(parameter, 0 if field is Field.REVIEWS else False)
            for field, parameter in _OF_REVIEWS.items()
        }
    if (deployed := rules.get("required_deployments")) is not None:
        values[Field.DEPLOYMENTS] = frozenset(deployed.get("required_deployment_environments", ()))
    if (update := rules.get("update")) is not None:
        values |= {Field.LOCK: True, Field.FORK_SYNC: bool(update.get("update_allows_fetch_and_merge"))}
    return values


def let_past(ruleset: Ruleset) -> tuple[str, ...]:
    """Who passes a ruleset by besides administrators, in words: no field says that (P6.66)."""
    return tuple(f"{one.kind} {one.name or one.id} ({one.mode})" for one in ruleset.bypassers if not _is_admins(one))


def _is_admins(one: Bypasser) -> bool:
    return one.kind == "RepositoryRole" and (one.id == _ADMINS.id or one.name == _ADMINS.name)
