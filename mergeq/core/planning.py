"""What is to be written so that GitHub has what is wished, what is not written and why, and whether it may go by itself
(P7.1-P7.8).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mergeq.core.lattice import UNPROTECTED, effect, is_as_strong
from mergeq.core.protecting import GateValues
from mergeq.core.protection import (
    ANY_APP,
    OFF,
    OURS,
    WRITES,
    Backend,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    RepoFacts,
    Rule,
    Ruleset,
    Target,
    Trouble,
    Value,
    Values,
    Wish,
    spoken,
)
from mergeq.core.rulesets import (
    MAPPABLE,
    as_rules,
    as_values,
    in_force,
    in_place,
    let_past,
    matches,
    may_begin,
    may_meet,
    rewritten,
    standing,
    targets,
)

DAY = 86_400.0
_LISTS = (Field.PUSHERS, Field.DISMISSERS, Field.BYPASSERS, Field.FORCERS)
_DEPENDENTS: Mapping[Field, tuple[Field, ...]] = {
    Field.CONTEXTS: (Field.STRICT,),
    Field.REVIEWS: (Field.DISMISS_STALE, Field.CODE_OWNERS, Field.LAST_PUSH, Field.DISMISSERS, Field.BYPASSERS),
    Field.PUSHERS: (Field.CREATIONS,),
    Field.LOCK: (Field.FORK_SYNC,),
    Field.FORCE_PUSHES: (Field.FORCERS,),
}
"""What GitHub keeps only while the section that it stands in is on; who may force-push, while not everybody may."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What a wish finds: the rule or ruleset that it is about, `id` empty for none, and what binds the branch today:
    that, else the wildcard rule `cover`, else nothing.
    """

    values: Values
    id: str = ""
    cover: Rule | None = None
    is_steady: bool = True
    """Whether the wildcard rule stays as it is."""

    @property
    def binding(self) -> Values:
        if self.id:
            return {**OFF, **self.values}
        return {**OFF, **self.cover.values} if self.cover else UNPROTECTED


def plan(
    wishes: Iterable[Wish],
    facts: Mapping[str, RepoFacts],
    past: Mapping[Target, Values] = {},
    *,
    parked: Mapping[Target, str] = {},
    reserved: tuple[str, ...] = (),
    config: str = "",
    now: float = 0.0,
) -> Plan:
    """An item for each target that is wished for, and for each that mergeq made and nobody wishes for any more.

    `past` is what mergeq applied last and found to be in force, by target, empty for a rule that it removed: it tells
    drift from a changed configuration, and what is ours. `parked` says why a target is left alone for now. `reserved`
    are the prefixes of staging and scratch refs, which nothing may cover. The order of wishes and facts does not
    matter; what cannot be read is UNKNOWN and never taken for unprotected (P7.3). `now` is epoch seconds.
    """
    wished: dict[str, dict[Target, list[Wish]]] = {}
    for wish in wishes:
        wished.setdefault(wish.target.repo, {}).setdefault(wish.target, []).append(wish)
    items: dict[Target, Item] = {}
    for repo, asked in wished.items():
        for item in _of_repo(asked, facts.get(repo), past, reserved, now):
            is_left = item.kind in WRITES and item.target in parked
            items[item.target] = replace(item, kind=Kind.PARKED, why=parked[item.target]) if is_left else item
    for target in past:
        if target not in items and (orphan := _orphan(target, facts.get(target.repo), past[target], reserved)):
            items[target] = orphan
    return Plan(tuple(items[target] for target in sorted(items)), (), config)


def _of_repo(
    wished: Mapping[Target, list[Wish]],
    facts: RepoFacts | None,
    past: Mapping[Target, Values],
    reserved: tuple[str, ...],
    now: float,
) -> Iterator[Item]:
    """The items of one repository: patterns first, since branches count on wildcard rules that stay as they are."""
    moving: set[str] = set()
    for target in sorted(wished, key=lambda one: (not one.is_glob, one)):
        wish, *others = wished[target]
        item = _unplanned(wish)
        if any(other != wish for other in others):
            places = ", ".join(sorted({one.place for one in wished[target]}))
            yield replace(item, kind=Kind.INVALID, why=f"it is wished for in several ways: {places}")
        elif stop := _obstacle(wish, facts, reserved):
            yield replace(item, kind=stop[0], why=stop[1])
        elif facts is None:
            yield replace(item, kind=Kind.UNKNOWN, why=f"{target.repo} was not read")
        else:
            item = _planned(wish, facts, item, moving)
            if item.kind in WRITES:
                moving.add(target.pattern)
                item = replace(item, cause=_cause(item, wish, past.get(target)))
            yield replace(item, warnings=(*item.warnings, *_warnings(wish, facts, item, wished, now)))


def _unplanned(wish: Wish) -> Item:
    return Item(
        wish.target,
        Kind.NOTHING,
        backend=Backend.CLASSIC if wish.backend is Backend.AUTO else wish.backend,
        place=wish.place,
        sources=wish.sources,
        mode=wish.mode,
        exemptions=wish.exemptions,
    )


def _obstacle(wish: Wish, facts: RepoFacts | None, reserved: tuple[str, ...]) -> tuple[Kind, str] | None:
    """Why nothing can be done for a wish, if so."""
    repo, pattern = wish.target.repo, wish.target.pattern
    if wish.problem:
        return Kind.INVALID, wish.problem
    if prefix := next((one for one in reserved if may_begin(pattern, one)), ""):
        return Kind.INVALID, f"{pattern} covers {prefix}…, where mergeq stages: leave these branches out"
    if twice := _pinned_twice(wish.values.get(Field.CONTEXTS)):
        return Kind.INVALID, f"context {twice} is asked of two apps: keep one"
    if facts is None:
        return None
    if facts.renamed_to and facts.renamed_to.lower() != repo.lower():
        return Kind.INVALID, f"{repo} is {facts.renamed_to} now: write its new name"
    if facts.is_archived:
        return Kind.UNSUPPORTED, f"{repo} is archived, so nothing of it can be changed"
    if facts.problem:
        unsupported = facts.problem.kind in {Trouble.PLAN_LIMIT, Trouble.ARCHIVED}
        return Kind.UNSUPPORTED if unsupported else Kind.UNKNOWN, facts.problem.text
    if facts.rules is None:
        return Kind.UNKNOWN, f"the rules of {repo} could not be read"
    if wish.backend is not Backend.CLASSIC and facts.rulesets is None:
        return Kind.UNKNOWN, f"the rulesets of {repo} could not be read"
    return None


def _pinned_twice(contexts: Value) -> str:
    pins: dict[str, set[str]] = {}
    for one in contexts if isinstance(contexts, frozenset) else ():
        if isinstance(one, Check) and one.app:
            pins.setdefault(one.context, set()).add(one.app)
    return next((context for context in sorted(pins) if len(pins[context]) > 1), "")


def breaches(wish: Wish, floor: Values) -> tuple[str, ...]:
    """What of a wish is below the floor, in words; what it leaves as GitHub has it is no breach (P6.15, P7.6)."""
    if not wish.protect:
        return ("protect is false",) if floor else ()
    return tuple(
        f"{name} is {json.dumps(spoken(wish.values[name]))} where it must be {json.dumps(spoken(floor[name]))}"
        for name in Field
        if name in floor and name in wish.values and not is_as_strong(name, floor[name], wish.values[name])
    )


def _planned(wish: Wish, facts: RepoFacts, item: Item, moving: set[str]) -> Item:
    """The item of a wish that can be seen to."""
    pattern = wish.target.pattern
    ruleset = standing(facts, pattern)
    backend = item.backend
    if wish.backend is Backend.AUTO and ruleset and not facts.rule(pattern) and not as_rules(wish.values)[2]:
        backend = Backend.RULESET
    if backend is Backend.RULESET:
        before = _Before(in_place(ruleset, pattern), str(ruleset.id)) if ruleset else _Before({})
    elif rule := facts.rule(pattern):
        before = _Before(rule.values, rule.id)
    else:
        cover = None if wish.target.is_glob else in_force(facts, pattern)
        before = _Before({}, cover=cover, is_steady=cover is None or cover.pattern not in moving)
    item = replace(item, backend=backend, before=before.values, rule=before.id)
    if backend is Backend.RULESET and ruleset and not ruleset.is_whole:
        return replace(item, kind=Kind.UNKNOWN, why=f"ruleset {ruleset.name} cannot be read as a whole")
    return _kept(wish, facts, item, before) if wish.protect else _lifted(wish, facts, item, before, ruleset)


def _lifted(wish: Wish, facts: RepoFacts, item: Item, before: _Before, ruleset: Ruleset | None) -> Item:
    """The item of a wish for no rule: never a wildcard is removed for one branch (P4.24). Where an exemption has ended,
    the wildcard rule is what the branch was exempt from (P7.11), and to come back to that need not weaken anything.
    """
    if before.id:
        if item.backend is Backend.RULESET and ruleset and (why := _not_ours(ruleset)):
            return replace(item, kind=Kind.BLOCKED, why=why)
        left = replace(facts, rules=tuple(one for one in facts.rules or () if one.id != before.id))
        cover = None if item.target.is_glob or item.backend is Backend.RULESET else in_force(left, item.target.pattern)
        then = {**OFF, **cover.values} if cover else UNPROTECTED
        gone = _changes((name for name in Field if before.binding[name] != then[name]), before.binding, then)
        rest = _others(facts, item)
        told = (f"{' and '.join(rest)} will protect it still",) if rest else ()
        return replace(item, kind=Kind.DELETE, changes=gone, why="protect: false", warnings=told)
    if before.cover and wish.expired:
        return replace(item, why=f"the rule {before.cover.pattern} is in force on it again")
    if before.cover:
        why = f"it is protected by the rule {before.cover.pattern}, which is about other branches too"
        return replace(item, kind=Kind.BLOCKED, why=why)
    rest = _others(facts, item)
    why = f"it has no rule of its own; {' and '.join(rest)} protects it still" if rest else "it is not protected"
    return replace(item, why=why)


def _not_ours(ruleset: Ruleset) -> str:
    """Why a ruleset is not to be removed; empty where it may be."""
    if not ruleset.name.startswith(OURS):
        return f"{ruleset} was not made by mergeq: delete it by hand"
    strange = ", ".join(sorted(ruleset.rules.keys() - MAPPABLE))
    return f"{ruleset} also has what mergeq cannot say, {strange}: delete it by hand" if strange else ""


def _others(facts: RepoFacts, item: Item) -> list[str]:
    """What else binds a branch besides the rule that an item is about."""
    pattern = item.target.pattern
    if item.target.is_glob:
        return []
    found = [one for one in facts.rules or () if one.pattern != pattern and matches(one.pattern, pattern)]
    if item.backend is Backend.RULESET and (own := facts.rule(pattern)):
        found.insert(0, own)
    rules = sorted(f"rule {one.pattern}" for one in found)
    return [*rules, *map(str, _binding(facts, item))]


def _binding(facts: RepoFacts, item: Item) -> list[Ruleset]:
    """The active rulesets about a branch, without that which an item is about."""
    ours = item.rule if item.backend is Backend.RULESET else ""
    about = (one for one in facts.rulesets or () if targets(one, item.target.pattern, facts.default_branch))
    return sorted((one for one in about if one.is_active and str(one.id) != ours), key=lambda one: one.id)


def _kept(wish: Wish, facts: RepoFacts, item: Item, before: _Before) -> Item:
    """The item of a wish for a rule: what it names is as it says, all else as it is (P7.4)."""
    base = before.binding if before.id or before.cover else OFF
    ruleset = standing(facts, wish.target.pattern) if item.backend is Backend.RULESET else None
    after, warnings = _settled(base, wish.values, facts, item.backend, ruleset)
    item = replace(item, warnings=warnings)
    changed = [name for name in Field if after[name] != before.binding[name]]
    if before.id:
        if not changed:
            return replace(item, why="GitHub has it as wished")
        changes = _changes(changed, before.binding, after)
        return replace(item, kind=Kind.UPDATE, changes=changes, why="GitHub has it otherwise")
    if before.cover and before.is_steady and not changed:
        return replace(item, why=f"the rule {before.cover.pattern} covers it with the same values")
    why = f"a rule of its own, in front of {before.cover.pattern}" if before.cover else "it has no rule"
    said = [name for name in Field if name in changed or after[name] != OFF[name]]
    return replace(item, kind=Kind.CREATE, changes=_changes(said, before.binding, after), why=why)


def _changes(names: Iterable[Field], before: Values, after: Values) -> tuple[Change, ...]:
    return tuple(Change(one, before[one], after[one], effect(one, before[one], after[one])) for one in names)


def _settled(
    base: Values, wished: Values, facts: RepoFacts, backend: Backend, ruleset: Ruleset | None
) -> tuple[dict[Field, Value], tuple[str, ...]]:
    """Every field as GitHub will have it once a wish is written over `base`, and what of the wish is lost in that."""
    wished = dict(wished)
    warnings = []
    for name in _LISTS if facts.is_user_owned else ():
        if wished.get(name, OFF[name]) != OFF[name]:
            warnings.append(f"{name} is left as it is: nobody can be named on a repository that no organization owns")
            del wished[name]
    after = {**base, **wished}
    if Field.CONTEXTS in wished:
        after[Field.CONTEXTS] = _pinned(wished[Field.CONTEXTS], base[Field.CONTEXTS])
    if wished.get(Field.STRICT) and after[Field.CONTEXTS] is None:
        after[Field.CONTEXTS] = frozenset[Check]()
    if backend is Backend.RULESET:
        lost = as_rules(after)[2]
        warnings += [f"{name} cannot be said by a ruleset: use backend: classic" for name in Field if name in lost]
        return dict(as_values(rewritten(after, Target(facts.repo, ""), ruleset))), tuple(warnings)
    for section, dependents in _DEPENDENTS.items():
        if _is_on(section, after):
            continue
        for name in dependents:
            if after[name] == OFF[name]:
                continue
            after[name] = OFF[name] if _is_on(section, base) else base[name]
            if wished.get(name, after[name]) != after[name]:
                warnings.append(f"{name} has no effect without {section}, so it is left out")
    return after, tuple(warnings)


def _is_on(section: Field, values: Values) -> bool:
    value = values[section]
    return not value if section is Field.FORCE_PUSHES else value is not None and value is not False


def _pinned(wished: Value, found: Value) -> Value:
    """The contexts with their pins: that of GitHub where none is wished, any app where there is none (P4.28)."""
    if not isinstance(wished, frozenset):
        return wished
    asked = {one for one in wished if isinstance(one, Check)}
    there = {one for one in found if isinstance(one, Check)} if isinstance(found, frozenset) else set()
    said = {one.context for one in asked if one.app}
    pinned: set[Check] = set()
    for one in asked:
        if one.app in {"", ANY_APP}:
            kept = {old for old in there if old.context == one.context and (not one.app or old.app in {"", ANY_APP})}
            pinned |= kept or {Check(one.context, ANY_APP)} if one.app or one.context not in said else set()
        else:
            pinned.add(one)
    return frozenset(pinned)


def _cause(item: Item, wish: Wish, was: Values | None) -> Cause:
    """Why it differs: what mergeq left there is not there any more, or it is not what is wished any more (P7.5)."""
    if was is None:
        return Cause.FIRST_RUN
    then = was or UNPROTECTED
    drifted = any(one.before != then[one.field] for one in item.changes if one.field in then)
    wanted = {one.field for one in item.changes if one.field not in then or one.after != then[one.field]}
    if drifted:
        return Cause.BOTH if wanted else Cause.DRIFT
    return Cause.EXPIRY if wish.expired and wanted <= wish.expired.keys() else Cause.CONFIG


def _warnings(wish: Wish, facts: RepoFacts, item: Item, wished: Mapping[Target, list[Wish]], now: float) -> list[str]:
    """What a person should know of an item besides."""
    pattern, found = wish.target.pattern, []
    if facts.branches is not None and not any(matches(pattern, one) for one in facts.branches):
        found.append("it matches no branch" if wish.target.is_glob else "there is no branch of this name")
    if wish.protect and not wish.target.is_glob:
        found += _told_by_rulesets(wish, facts, item)
    if wish.protect and wish.target.is_glob and item.backend is Backend.CLASSIC:
        place = _line(wish.place)
        found += _shadows(wish, facts, {one.pattern for one in wished if _line(wished[one][0].place) < place}, wished)
    ours = standing(facts, pattern) if wish.protect and item.backend is Backend.RULESET else None
    if ours and (others := let_past(ours)):
        found.append(f"{ours} lets past whom no setting names: {', '.join(others)}")
    if wish.exemptions and 0 < wish.expires_at - now < DAY:
        found.append(f"an exemption ends within a day: {', '.join(wish.exemptions)}")
    return found


def _told_by_rulesets(wish: Wish, facts: RepoFacts, item: Item) -> Iterable[str]:
    """Where an active ruleset asks for more than a line of the configuration does, so that it is the one that counts
    (P6.63), and where GitHub's own merge queue is on (P6.22).
    """
    for one in _binding(facts, item):
        demanded = as_values(one)
        said = {name: wish.values[name] for name in wish.sources if name in wish.values}
        more = [name for name, value in said.items() if not is_as_strong(name, demanded[name], value)]
        if more:
            yield f"{one} asks for more: {', '.join(name for name in Field if name in more)}"
        if "merge_queue" in one.rules:
            yield f"{one} has GitHub's own merge queue on, beside this one"


def _line(place: str) -> tuple[str, int]:
    """Where something stands, in the order of the lines."""
    name, _, line = place.rpartition(":")
    return name, int(line) if line.isdecimal() else 0


def _shadows(wish: Wish, facts: RepoFacts, first: Collection[str], wished: Collection[Target]) -> Iterator[str]:
    """The rules that bind branches in place of that of a pattern: older ones that may match the same names and that the
    configuration does not have first (P7.10), and those for one branch that nobody asks for, where these ask for less.
    """
    own = facts.rule(wish.target.pattern)
    for rule in sorted(facts.rules or (), key=lambda one: one.pattern):
        target = Target(wish.target.repo, rule.pattern)
        if target.is_glob:
            is_older = rule != own and (own is None or rule.serial < own.serial)
            if is_older and rule.pattern not in first and may_meet(wish.target.pattern, rule.pattern):
                yield f"the older rule {rule.pattern} binds what both are about"
        elif target not in wished and matches(wish.target.pattern, rule.pattern):
            less = [name for name in Field if name in wish.values and not _has(rule, name, wish.values[name])]
            if less:
                yield f"the rule {rule.pattern} is in front of it there, and asks for less: {', '.join(less)}"


def _has(rule: Rule, name: Field, wished: Value) -> bool:
    return is_as_strong(name, wished, rule.values[name])


def _orphan(target: Target, facts: RepoFacts | None, was: Values, reserved: tuple[str, ...]) -> Item | None:
    """What mergeq made and nobody wishes for any more: told, and left as it is (P4.36, P6.12)."""
    if facts is None or not was or any(may_begin(target.pattern, one) for one in reserved):
        return None
    why = "mergeq protected it and nothing asks for that any more: say protect: false to have it removed, or keep it"
    if rule := facts.rule(target.pattern):
        return Item(target, Kind.ORPHANED, before=rule.values, rule=rule.id, why=why)
    if ruleset := standing(facts, target.pattern):
        values = in_place(ruleset, target.pattern)
        return Item(target, Kind.ORPHANED, Backend.RULESET, before=values, rule=str(ruleset.id), why=why)
    return None


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a plan would do: the repositories it would change, the targets it would weaken and, of these, those
    whose rule it would remove.
    """

    repos: tuple[str, ...]
    weakened: tuple[str, ...]
    removed: tuple[str, ...]


def extent(plan: Plan) -> Extent:
    """What would be written by a plan, without what is only looked at (D13)."""
    items = [item for item in plan.writes if item.mode is Mode.ENFORCE]
    weakening = [one for one in items if one.effect is Effect.WEAKEN]
    weakened = [str(one.target) for one in weakening]
    removed = [str(one.target) for one in weakening if one.kind is Kind.DELETE]
    return Extent(tuple(sorted({one.target.repo for one in items})), tuple(weakened), tuple(removed))


def gate(plan: Plan, limits: GateValues) -> tuple[str, ...]:
    """Why a plan waits for somebody to agree to it, in words with the figures; empty: it goes (P7.6)."""
    would = extent(plan)
    judged = (
        ("change", would.repos, "repositories", "max_repos_changed", limits.max_repos_changed),
        ("weaken", would.weakened, "branches or patterns", "max_weakening", limits.max_weakening),
        ("remove", would.removed, "rules", "max_removals", limits.max_removals),
    )
    return tuple(
        f"it would {verb} {len(names)} {what}, and {key} is {limit}: {_listed(names)}"
        for verb, names, what, key, limit in judged
        if len(names) > limit
    )


def _listed(names: tuple[str, ...]) -> str:
    shown, more = names[:5], len(names) - 5
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def in_order(plan: Plan) -> tuple[Item, ...]:
    """The items to write, those alone that are enforced: what strengthens before what weakens, and in that what is made
    before what is removed, in the order of the configuration, since of two patterns the older one wins (P6.62). Those
    of one repository are to be written one after the other (P7.7).
    """
    rank = {Kind.CREATE: 0, Kind.UPDATE: 1, Kind.DELETE: 2}
    items = [item for item in plan.writes if item.mode is Mode.ENFORCE]
    weakens = Effect.WEAKEN
    return tuple(sorted(items, key=lambda one: (one.effect is weakens, rank[one.kind], _line(one.place), one.target)))


def applied(items: Iterable[Item], facts: Mapping[str, RepoFacts]) -> dict[str, RepoFacts]:
    """The facts as they are once items are written."""
    after = dict(facts)
    for item in items:
        if item.kind in WRITES:
            seen = after[item.target.repo]
            written = _with_ruleset if item.backend is Backend.RULESET else _with_rule
            after[item.target.repo] = written(seen, item)
    return after


def _with_rule(facts: RepoFacts, item: Item) -> RepoFacts:
    pattern, rules = item.target.pattern, list(facts.rules or ())
    old = facts.rule(pattern)
    if item.kind is Kind.DELETE:
        return replace(facts, rules=tuple(one for one in rules if one != old))
    if old:
        return replace(facts, rules=tuple(replace(one, values=item.after) if one == old else one for one in rules))
    serial = max((one.serial for one in rules), default=0) + 1
    return replace(facts, rules=(*rules, Rule(f"new-{serial}", pattern, item.after, serial)))


def _with_ruleset(facts: RepoFacts, item: Item) -> RepoFacts:
    old = standing(facts, item.target.pattern)
    others = [one for one in facts.rulesets or () if one != old]
    if item.kind is not Kind.DELETE:
        made = rewritten(item.after, item.target, old)
        number = made.id or max((one.id for one in others), default=0) + 1
        others.append(replace(made, id=number))
    return replace(facts, rulesets=tuple(others))


def undone(items: Iterable[Item]) -> tuple[Wish, ...]:
    """The wishes that put back what was there before items were written: their pre-images whole, with the pins that
    contexts had, and nothing where there was nothing (P6.17). A pattern that comes back is younger than it was.
    """
    return tuple(
        Wish(
            item.target,
            protect=item.kind is not Kind.CREATE,
            values={} if item.kind is Kind.CREATE else {**item.before, **_said_pins(item.before)},
            place=item.place,
            backend=item.backend,
            mode=item.mode,
        )
        for item in items
        if item.kind in WRITES
    )


def _said_pins(values: Values) -> dict[Field, Value]:
    found = values.get(Field.CONTEXTS)
    checks = {one for one in found if isinstance(one, Check)} if isinstance(found, frozenset) else None
    pinned = None if checks is None else frozenset(Check(one.context, one.app or ANY_APP) for one in checks)
    return {Field.CONTEXTS: pinned}
