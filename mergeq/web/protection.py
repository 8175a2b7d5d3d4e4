"""Branch protection as pages and JSON show it: what is in force, what differs and whose doing that is."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergeq.core.audit import AuditRecord, Held, Result, SeenRepo
from mergeq.core.plan_text import CAUSES, said, sides
from mergeq.core.protecting import Exemption
from mergeq.core.protection import (
    OFF,
    WRITES,
    Cause,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Source,
    spoken_item,
)
from mergeq.web.shown import fitting
from mergeq.web.views import when

_ROWS = 200  # targets that the page shows whole
_LINES = 200  # repositories that are named besides
_OPEN = 20  # repositories up to which all that are shown whole are unfolded
_TOLD = 50  # targets of a plan that waits, more of which are only counted
_NAMES = {
    Field.CONTEXTS: "required contexts",
    Field.STRICT: "branches must be up to date",
    Field.ENFORCE_ADMINS: "administrators are bound too",
    Field.REVIEWS: "required approvals",
    Field.DISMISS_STALE: "a push dismisses approvals",
    Field.CODE_OWNERS: "code owners must approve",
    Field.LAST_PUSH: "the last push needs another's approval",
    Field.DISMISSERS: "who may dismiss reviews",
    Field.BYPASSERS: "who needs no pull request",
    Field.PUSHERS: "who may push",
    Field.LINEAR: "linear history",
    Field.FORCE_PUSHES: "force pushes allowed",
    Field.FORCERS: "who may force-push",
    Field.DELETIONS: "deletion allowed",
    Field.SIGNATURES: "signed commits",
    Field.CONVERSATIONS: "conversations must be resolved",
    Field.LOCK: "read-only",
    Field.FORK_SYNC: "forks may sync while it is read-only",
    Field.CREATIONS: "creating such branches is restricted",
    Field.DEPLOYMENTS: "required deployments",
}
_SAID = {
    Kind.NOTHING: "as wished",
    Kind.CREATE: "there is no rule yet",
    Kind.UPDATE: "differs from what is wished",
    Kind.DELETE: "is protected, but is not to be",
    Kind.ORPHANED: "is protected, though nothing asks for it any more; left alone",
}
_CHIPS = {
    Kind.NOTHING: ("kept", "go"),
    Kind.ORPHANED: ("orphaned", "hold"),
    Kind.UNSUPPORTED: ("unsupported", "rest"),
    Kind.UNKNOWN: ("unknown", "hold"),
    Kind.BLOCKED: ("blocked", "hold"),
    Kind.INVALID: ("invalid", "stop"),
    Kind.PARKED: ("parked", "stop"),
}
_DRIFTED = frozenset({Cause.DRIFT, Cause.BOTH})
_CALLED = {Result.SEEN: "changed", Result.NOT_EFFECTIVE: "not effective", Result.ROLLED_BACK: "rolled back"}
_TONES = {
    Result.APPLIED: "go",
    Result.ROLLED_BACK: "now",
    Result.ACKNOWLEDGED: "now",
    Result.EXPIRED: "now",
    Result.HELD: "hold",
    Result.SEEN: "hold",
    Result.FAILED: "stop",
    Result.NOT_EFFECTIVE: "stop",
}
_IS_NOW = frozenset({Result.APPLIED, Result.SEEN, Result.ROLLED_BACK, Result.EXPIRED})
_WORST_FIRST = (Effect.STRENGTHEN, Effect.WEAKEN, Effect.NEUTRAL)


@dataclass(frozen=True, slots=True)
class SettingView:
    """One setting of a branch in words: `now` is what GitHub has, `wished` what it is to be, empty where that is the
    same or nobody asks. `effect` is what putting it right would do: what would strengthen is too weak now. `places`
    are the lines that ask for it, `since` and `by` its last change as far as the audit knows.
    """

    key: str
    name: str
    now: str
    wished: str = ""
    effect: str = ""
    places: tuple[Source, ...] = ()
    since: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class RuleView:
    """One target: what its chip and its sentence say, what differs, the too weak first, and who changed it when, as far
    as that is known.
    """

    repo: str
    pattern: str
    chip: str
    tone: str
    says: str
    next: str
    differs: tuple[SettingView, ...]
    settings: tuple[SettingView, ...]
    untouched: tuple[SettingView, ...]
    backend: str
    by: str
    at: str
    warnings: tuple[str, ...]
    exemptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepoLine:
    """One repository of many, in a line, with how many of its targets are as wished, differ (of these: because somebody
    changed them on GitHub, or protecting less than is wished), are orphaned, and cannot be told or brought about.
    """

    repo: str
    at: str
    error: str
    kept: int
    differing: int
    drifted: int
    weak: int
    unknown: int
    orphaned: int

    @property
    def is_quiet(self) -> bool:
        """Whether all of it is known and as wished."""
        return not (self.error or self.differing or self.unknown or self.orphaned)


@dataclass(frozen=True, slots=True)
class RepoView:
    """One repository whole: what is not as wished first, and how many `more` targets there are than are shown."""

    line: RepoLine
    mode: Mode
    warnings: tuple[str, ...]
    rules: tuple[RuleView, ...]
    more: int


@dataclass(frozen=True, slots=True)
class RecordView:
    """One row of the audit, in words. `run` is what `mergeq protect rollback` takes, empty for what wrote nothing."""

    time: str
    result: str
    tone: str
    repo: str
    pattern: str
    changes: tuple[SettingView, ...]
    by: str
    why: str
    problem: str
    place: str
    run: str


@dataclass(frozen=True, slots=True)
class HeldView:
    """A plan that waits, and the command that lets it go."""

    hash: str
    at: str
    reasons: tuple[str, ...]
    repos: int
    weakened: int
    removed: int
    rules: tuple[RuleView, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ExemptionView:
    """What is allowed for a time: `until` is its end, `is_over` whether that has come."""

    id: str
    target: str
    until: str
    owner: str
    reason: str
    ticket: str
    is_over: bool


@dataclass(frozen=True, slots=True)
class ProtectionView:
    """The page: the `found` repositories that `asked` leaves of `known`, and the sums over their targets. `repos` are
    shown whole, `lines` named, `unlisted` only counted; `oldest` is since when everything has been looked at.
    """

    repos: tuple[RepoView, ...]
    lines: tuple[RepoLine, ...]
    unlisted: int
    asked: str
    known: int
    found: int
    kept: int
    differing: int
    weak: int
    unknown: int
    oldest: str
    is_open: bool


class Views:
    """Makes the values of the pages about protection: out of what was seen, what is held, and the newest `records` of
    the audit, in which it is looked up who changed what.
    """

    def __init__(
        self,
        mode_of: Callable[[str], Mode],
        held: Sequence[Held],
        records: Sequence[AuditRecord],
    ) -> None:
        self._mode_of, self._records = mode_of, dict[str, list[AuditRecord]]()
        for one in records:
            self._records.setdefault(one.target, []).append(one)
        self._held = {str(item.target) for plan in held for item in plan.items}

    def page(self, seen: Iterable[SeenRepo], asked: str) -> ProtectionView:
        """The page about all repositories; `asked` is looked for in ``ORG/REPO:PATTERN``. What is not as wished comes
        first; where not all fits, the rest is named or counted.
        """
        wanted, known, oldest = asked.strip().lower(), 0, 0.0

        def told() -> Iterator[tuple[RepoLine, SeenRepo]]:
            nonlocal known, oldest
            for one in seen:
                known += 1
                oldest = min(oldest or one.at, one.at)
                if any(wanted in text.lower() for text in (one.repo, *(str(item.target) for item in one.items))):
                    yield _line(one), one

        def rank(line: RepoLine) -> tuple[Any, ...]:
            return (
                line.repo.lower() != wanted,
                line.is_quiet,
                not line.drifted,
                not line.weak,
                not line.differing,
                line.repo,
            )

        whole, lines = fitting(told(), rank, lambda line: 1 + line.differing + line.unknown + line.orphaned, _ROWS)
        is_meant = bool(asked) and len(whole) + len(lines) == 1
        shown = [(line, one) for line, one in whole if is_meant or not line.is_quiet]
        lines = sorted([*lines, *(line for line, one in whole if line.is_quiet and not is_meant)], key=rank)
        found = [*(line for line, _ in shown), *lines]

        def shows(item: Item) -> bool:
            return bool(asked) or item.kind is not Kind.NOTHING

        return ProtectionView(
            repos=tuple(self._repo(line, one, shows) for line, one in shown),
            lines=tuple(lines[:_LINES]),
            unlisted=len(lines[_LINES:]),
            asked=asked,
            known=known,
            found=len(found),
            kept=sum(line.kept for line in found),
            differing=sum(line.differing for line in found),
            weak=sum(line.weak for line in found),
            unknown=sum(line.unknown for line in found),
            oldest=when(oldest) if oldest else "",
            is_open=len(shown) <= _OPEN,
        )

    def repo(self, one: SeenRepo, asked: str) -> RepoView:
        """The page about one repository, with every setting of every target whose pattern contains what is asked."""
        wanted = asked.strip().lower()
        return self._repo(_line(one), one, lambda item: wanted in item.target.pattern.lower())

    def held(self, plan: Held) -> HeldView:
        """A plan that waits, its targets those that it would weaken first."""
        items = sorted(plan.items, key=lambda item: item.effect is not Effect.WEAKEN)
        return HeldView(
            hash=plan.hash,
            at=when(plan.at),
            reasons=plan.reasons,
            repos=plan.repos,
            weakened=plan.weakened,
            removed=plan.removed,
            rules=tuple(self._rule(item) for item in items[:_TOLD]),
            more=len(items[_TOLD:]),
        )

    def _repo(self, line: RepoLine, one: SeenRepo, shows: Callable[[Item], bool]) -> RepoView:
        items = sorted(filter(shows, one.items), key=lambda item: (item.kind is Kind.NOTHING, item.target))
        rules = tuple(self._rule(item) for item in items[:_ROWS])
        return RepoView(line, self._mode_of(one.repo.partition("/")[0]), one.warnings, rules, len(items[_ROWS:]))

    def _rule(self, item: Item) -> RuleView:
        mine = self._records.get(str(item.target), ())
        seen = next((record for record in mine if record.result is Result.SEEN), None)
        settings = tuple(_settings(item, mine))
        chip, tone = self._chip(item)
        drifted = seen if item.kind in WRITES and item.cause in _DRIFTED else None
        return RuleView(
            repo=item.target.repo,
            pattern=item.target.pattern,
            chip=chip,
            tone=tone,
            says=_says(item),
            next=self._next(item),
            differs=tuple(sorted((one for one in settings if one.effect), key=_too_weak_first)),
            settings=tuple(one for one in settings if one.places or one.effect),
            untouched=tuple(one for one in settings if not one.places and not one.effect),
            backend=item.backend.value,
            by=drifted.by if drifted else "",
            at=when(drifted.time) if drifted else "",
            warnings=item.warnings,
            exemptions=item.exemptions,
        )

    def _chip(self, item: Item) -> tuple[str, str]:
        if item.kind not in WRITES:
            return _CHIPS[item.kind]
        if str(item.target) in self._held:
            return "held", "hold"
        return ("drift", "stop") if item.cause in _DRIFTED else ("to be changed", "now")

    def _next(self, item: Item) -> str:
        """What becomes of a difference; empty where nothing is to be done."""
        if item.kind not in WRITES:
            return ""
        if str(item.target) in self._held:
            return "Waits until somebody agrees to the plan."
        if item.mode is Mode.OBSERVE:
            return "Only looked at: mergeq writes nothing here."
        return "mergeq puts it right."


def exemption(one: Exemption, now: float) -> ExemptionView:
    """An exemption as the page lists it."""
    return ExemptionView(
        one.id, one.target, when(one.until), one.owner, one.reason, one.ticket, is_over=one.until <= now
    )


def record(one: AuditRecord) -> RecordView:
    """A row of the audit as the page lists it, with the settings that it changed."""
    changes = [
        SettingView(name, _NAMES[Field(name)] if name in {*Field} else name, was, became)
        for name, was, became in sides(one.before, one.after)
    ]
    return RecordView(
        time=when(one.time),
        result=_CALLED.get(one.result, "repaired" if _is_repair(one) else one.result.value),
        tone=_TONES[one.result],
        repo=one.repo,
        pattern=one.target.partition(":")[2],
        changes=tuple(changes),
        by=one.by,
        why=one.why or CAUSES.get(one.cause, ""),
        problem=one.problem,
        place=one.place,
        run=one.run if one.result is Result.APPLIED else "",
    )


def page_json(
    orgs: Mapping[str, Mode], held: Iterable[Held], exemptions: Iterable[Exemption], seen: Iterable[SeenRepo]
) -> Iterator[str]:
    """All that was seen, as JSON in pieces, a repository each."""
    head = {
        "orgs": [{"org": org, "mode": mode.value} for org, mode in sorted(orgs.items())],
        "held": [held_json(plan) for plan in held],
        "exemptions": [exemption_json(one) for one in exemptions],
    }
    yield f'{json.dumps(head)[:-1]}, "repos": ['
    for index, one in enumerate(seen):
        yield (", " if index else "") + json.dumps(repo_json(one))
    yield "]}"


def repo_json(one: SeenRepo) -> dict[str, Any]:
    """What the last look at a repository found."""
    return {
        "repo": one.repo,
        "at": when(one.at),
        "error": one.error or None,
        "warnings": list(one.warnings),
        "config": one.config,
        "items": [spoken_item(item) for item in one.items],
    }


def held_json(plan: Held) -> dict[str, Any]:
    """A plan that waits for a person."""
    return {
        "hash": plan.hash,
        "scope": plan.scope,
        "at": when(plan.at),
        "reasons": list(plan.reasons),
        "repos": plan.repos,
        "weakened": plan.weakened,
        "removed": plan.removed,
        "items": [spoken_item(item) for item in plan.items],
    }


def exemption_json(one: Exemption) -> dict[str, Any]:
    """What is allowed for a time."""
    return {
        "id": one.id,
        "target": one.target,
        "until": when(one.until),
        "owner": one.owner,
        "reason": one.reason,
        "ticket": one.ticket or None,
    }


def record_json(one: AuditRecord) -> dict[str, Any]:
    """A row of the audit that stands by itself."""
    return {
        "id": one.id,
        "time": when(one.time),
        "run": one.run,
        "repo": one.repo,
        "target": one.target,
        "result": one.result.value,
        "kind": one.kind or None,
        "cause": one.cause or None,
        "effect": one.effect or None,
        "before": dict(one.before) if one.before is not None else None,
        "after": dict(one.after) if one.after is not None else None,
        "by": one.by or None,
        "why": one.why or None,
        "executor": one.executor or None,
        "plan": one.plan or None,
        "config": one.config or None,
        "place": one.place or None,
        "problem": one.problem or None,
        "calls": one.calls,
    }


def _line(one: SeenRepo) -> RepoLine:
    differing = [item for item in one.items if item.kind in WRITES]
    kept = sum(item.kind is Kind.NOTHING for item in one.items)
    orphaned = sum(item.kind is Kind.ORPHANED for item in one.items)
    unknown = len(one.items) - len(differing) - kept - orphaned + bool(one.error and not one.items)
    return RepoLine(
        repo=one.repo,
        at=when(one.at),
        error=one.error,
        kept=kept,
        differing=len(differing),
        drifted=sum(item.cause in _DRIFTED for item in differing),
        weak=sum(_is_weak(item) for item in differing),
        unknown=unknown,
        orphaned=orphaned,
    )


def _is_weak(item: Item) -> bool:
    """Whether GitHub protects less than is wished."""
    return any(change.effect is Effect.STRENGTHEN for change in item.changes)


def _is_repair(one: AuditRecord) -> bool:
    return one.result is Result.APPLIED and one.cause in _DRIFTED


def _says(item: Item) -> str:
    because = CAUSES.get(item.cause) if item.cause else None
    if item.kind is Kind.UPDATE and because:
        return because
    told = _SAID.get(item.kind) or item.why
    return f"{told}: {because}" if because and item.kind in WRITES else told


def _settings(item: Item, records: Sequence[AuditRecord]) -> Iterator[SettingView]:
    """Every setting that somebody asks for or that is on, in the order of `Field`."""
    changes = {change.field: change for change in item.changes}
    for name in Field:
        places, change = item.sources.get(name, ()), changes.get(name)
        now = item.before.get(name, OFF[name])
        if not (places or change or now != OFF[name]):
            continue
        last = next((one for one in records if one.result in _IS_NOW and _is_about(one, name)), None)
        yield SettingView(
            key=name.value,
            name=_NAMES[name],
            now=said(name, now) if item.before else "",
            wished=said(name, change.after) if change else "",
            effect=change.effect.value if change else "",
            places=places,
            since=when(last.time) if last else "",
            by=last.by if last else "",
        )


def _is_about(one: AuditRecord, name: Field) -> bool:
    return name in (one.before or ()) or name in (one.after or ())


def _too_weak_first(setting: SettingView) -> int:
    return _WORST_FIRST.index(Effect(setting.effect))
