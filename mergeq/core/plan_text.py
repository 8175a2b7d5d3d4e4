"""A plan in words, for whoever has to agree to it: what protects less first, then each repository in turn, every field
with what it is, what it is to be, and the line that asks for it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from itertools import groupby
from textwrap import wrap
from typing import Any

from mergeq.core.protection import (
    WRITES,
    Actors,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    Source,
    Value,
    heard_values,
)

_SIGNS = {Kind.CREATE: "+", Kind.UPDATE: "~", Kind.DELETE: "-"}
CAUSES: Mapping[str, str] = {
    Cause.CONFIG: "the configuration changed",
    Cause.DRIFT: "changed on GitHub",
    Cause.BOTH: "changed on GitHub, and the configuration changed too",
    Cause.EXPIRY: "an exemption has ended",
    Cause.ROLLBACK: "what a run changed is put back",
}
_WIDTH = 60  # of names beside what is said of them
_NONE: Mapping[Field, str] = {
    Field.REVIEWS: "no pull request needed",
    Field.PUSHERS: "whoever may write",
    Field.DISMISSERS: "whoever may write",
}


def said(name: Field | str, value: Value | Check | str) -> str:
    """A value in a few words, as the YAML would have it where that is short."""
    if value is None:
        return _NONE.get(Field(name), "none")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Check):
        return _context(value)
    if isinstance(value, Actors):
        return ", ".join(_names(value)) or "nobody"
    if isinstance(value, frozenset):
        return ", ".join(_each(value)) or "none"
    return str(value)


def changed(change: Change) -> str:
    """What a change does to a field: of lists what comes and what goes, else the value before and after."""
    before, after = (_parts(value) for value in (change.before, change.after))
    if before is None or after is None:
        return f"{said(change.field, change.before)} → {said(change.field, change.after)}"
    told = [f"{sign}{one}" for sign, some in (("+", after - before), ("-", before - after)) for one in sorted(some)]
    return ", ".join(told)


def sides(was: Mapping[str, Any] | None, became: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    """Each setting that a row of the audit has, in the order of `Field`, with what it was and became in words, empty
    where it was not there; last, by their own names, those of rulesets that no field stands for.
    """
    was, became = was or {}, became or {}
    before, after = heard_values(was), heard_values(became)
    for name in Field:
        if name in before or name in after:
            there = (
                said(name, before[name]) if name in before else "",
                said(name, after[name]) if name in after else "",
            )
            yield name, *there
    for other in sorted({*was, *became} - {*Field}):
        yield other, _plainly(was.get(other)), _plainly(became.get(other))


def _plainly(told: Any) -> str:
    return told if isinstance(told, str) else json.dumps(told) if told else ""


def _parts(value: Value) -> frozenset[str] | None:
    if isinstance(value, Actors):
        return frozenset(_names(value))
    return frozenset(_each(value)) if isinstance(value, frozenset) else None


def _each(value: frozenset[Check] | frozenset[str]) -> list[str]:
    return sorted(_context(one) if isinstance(one, Check) else str(one) for one in value)


def _context(check: Check) -> str:
    return f"{check.context} ({check.app or 'as it was'})" if check.app != "any" else check.context


def _names(actors: Actors) -> list[str]:
    kinds = (("@", actors.users), ("team ", actors.teams), ("app ", actors.apps))
    return [f"{kind}{name}" for kind, names in kinds for name in sorted(names)]


def summary(plan: Plan) -> str:
    """How much a plan would do, in one line."""
    writes, repos = plan.writes, {item.target.repo for item in plan.writes}
    unknown = sum(item.kind is Kind.UNKNOWN for item in plan.items)
    if not writes:
        told = counted(len(plan.items), "branch or pattern", "branches and patterns")
        return f"not known: {unknown} of {told} could not be read" if unknown else f"nothing to do: {told} looked at"
    weaker = sum(item.effect is Effect.WEAKEN for item in writes)
    parts = [counted(len(writes), "change"), f"in {counted(len(repos), 'repository', 'repositories')}"]
    parts += [f"of which {weaker} protect{'s' * (weaker == 1)} less"] if weaker else []
    watched = sum(item.mode is Mode.OBSERVE for item in writes)
    parts += [f"of which {watched} only observed"] if watched else []
    parts += [f"{unknown} more not known"] if unknown else []
    return f"plan {plan.hash[:12]}: {' '.join(parts[:2])}{''.join(f', {one}' for one in parts[2:])}"


def counted(count: int, one: str, many: str = "") -> str:
    """So many of something, in words."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def visible(text: str) -> str:
    """Text of one line in which nothing moves a cursor, or turns the direction of what follows: whoever names a branch
    or a context may put that in.
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def lines(plan: Plan) -> list[str]:
    """A plan for a terminal."""
    weaker = [item for item in plan.writes if item.effect is Effect.WEAKEN]
    told = [summary(plan)]
    if weaker:
        told += ["", "protects less:"]
        told += [f"  {item.target}: {_shortly(item)}" for item in weaker]
    for repo, items in groupby(_shown(plan), key=lambda item: item.target.repo):
        told += ["", repo]
        for names, rest in _alike(items, _item_lines):
            told += [f"  {line}" for line in _headed(names, *rest)]
    told += ["", *(f"warning: {one}" for one in plan.warnings)] if plan.warnings else []
    return list(map(visible, told))


def _shown(plan: Plan) -> list[Item]:
    """The items that a person should see: all but those about which nothing is to be said."""
    return [item for item in plan.items if item.kind is not Kind.NOTHING or item.warnings]


def _shortly(item: Item) -> str:
    if item.kind is Kind.DELETE:
        return "its rule is removed"
    weaker = (change for change in item.changes if change.effect is Effect.WEAKEN)
    return "; ".join(f"{change.field} {changed(change)}" for change in weaker)


def _alike(
    items: Iterable[Item], lines_of: Callable[[Item], Iterable[str]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The patterns of one repository about which the same is to be said, and that."""
    found: dict[tuple[str, ...], list[str]] = {}
    for item in items:
        found.setdefault(tuple(lines_of(item)), []).append(item.target.pattern)
    return ((tuple(names), rest) for rest, names in found.items())


def _headed(names: tuple[str, ...], sign: str, why: str, *rest: str) -> Iterator[str]:
    """What is said of patterns below their names: beside the first word of it, or on lines of their own if many."""
    told = ", ".join(names)
    if len(told) <= _WIDTH:
        yield f"{sign} {told}  {why}"
    else:
        yield f"{sign} {counted(len(names), 'branch or pattern', 'branches and patterns')}  {why}"
        yield from (f"    {line}" for line in wrap(told, 2 * _WIDTH, break_long_words=False, break_on_hyphens=False))
    yield from rest


def _item_lines(item: Item) -> Iterator[str]:
    yield _SIGNS.get(item.kind, "!" if item.kind is not Kind.NOTHING else " ")
    yield _why(item)
    if item.kind in WRITES:
        names = [change.field for change in item.changes]
        width = max(map(len, names), default=0)
        for change in item.changes:
            mark = " (less)" if change.effect is Effect.WEAKEN else ""
            place = _place(item, change.field)
            yield f"    {change.field:<{width}}  {changed(change)}{mark}{f'  [{place}]' if place else ''}"
    for warning in item.warnings:
        yield f"    warning: {warning}"


def _why(item: Item) -> str:
    told = [item.kind.value if item.kind in WRITES else f"{item.kind.value}: {item.why}"]
    if item.kind in WRITES:
        told += [CAUSES.get(item.cause, item.why) if item.cause else item.why]
        told += ["only observed"] if item.mode is Mode.OBSERVE else []
        told += [f"exempt by {', '.join(item.exemptions)}"] if item.exemptions else []
    return ", ".join(told)


def _place(item: Item, name: Field) -> str:
    lines: Iterable[Source] = item.sources.get(name, ())
    return ", ".join(dict.fromkeys(one.place for one in lines)) or item.place


def markdown(plan: Plan) -> list[str]:
    """A plan for a comment on a pull request: what protects less is open, the rest of it folded away."""
    told = [f"**{summary(plan)}**", ""]
    weaker = [item for item in plan.writes if item.effect is Effect.WEAKEN]
    if weaker:
        told += ["Protects less:", ""]
        told += ["- " + _plain(f"{item.target}: {_shortly(item)}") for item in weaker] + [""]
    for repo, items in groupby(_shown(plan), key=lambda item: item.target.repo):
        told += [f"<details><summary>{escape(repo)}</summary>", ""]
        for names, (why, *rest) in _alike(items, _markdown_lines):
            told += [f"- {', '.join(f'**{_plain(name)}**' for name in names)} {why}", *rest]
        told += ["", "</details>", ""]
    return [*told, *(f"⚠ {_plain(one)}" for one in plan.warnings)]


def _markdown_lines(item: Item) -> Iterator[str]:
    yield _plain(_why(item))
    for change in item.changes if item.kind in WRITES else ():
        place = _place(item, change.field)
        yield f"  - `{change.field}`: {_plain(changed(change))}{f' ({_plain(place)})' if place else ''}"
    for warning in item.warnings:
        yield f"  - ⚠ {_plain(warning)}"


def _plain(text: str) -> str:
    """Text in which nothing is markup, and nobody is mentioned."""
    marks = {sign: f"\\{sign}" for sign in "\\`*_[]<>|#~&"}
    return "".join(marks.get(sign, sign) for sign in visible(text)).replace("@", "@\u200b")
