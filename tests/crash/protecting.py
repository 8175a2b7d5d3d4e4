"""What GitHub saw of the rules of a world, noted at each write, and what must hold of that in the end: the rules are as
wished, and the audit tells every change once and nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import redis

from mergeq.bootstrap import Services
from mergeq.core.audit import AuditRecord, Result
from mergeq.core.protection import OURS
from mergeq.core.pull import Branch
from mergeq.sandbox.records import Protection, Repo
from mergeq.sandbox.rulesets import Ruleset
from mergeq.sandbox.state import AuditedAct
from mergeq.sandbox.users import BOT
from mergeq.store import WORKING
from mergeq.store.protection import LATER, TAKEN
from tests.crash.journeys import BRANCH, REPO, Rule

if TYPE_CHECKING:
    from tests.crash.worlds import World

_CONTEXTS = "required_status_checks.contexts"
_REVIEWS = "required_pull_request_reviews.required_approving_review_count"
_NAMES = {_CONTEXTS: "contexts", _REVIEWS: "reviews", "enforce_admins": "admins"}


@dataclass(frozen=True, slots=True)
class Change:
    """One write to a rule, by whom: the rule before and after it, None for none, all rules as they were then, and
    whether the queue was kept from landing meanwhile.
    """

    by: str
    about: str
    before: Rule | None
    after: Rule | None
    rules: Mapping[str, Rule]
    is_kept: bool


class Acts(list[AuditedAct]):
    """GitHub's audit log, which also notes what each act has changed."""

    def __init__(self, repo: Repo, services: Services) -> None:
        super().__init__()
        self._repo, self._services = repo, services
        self._before = rules(repo)
        self.changes: list[Change] = []

    def append(self, act: AuditedAct) -> None:
        super().append(act)
        now, about = rules(self._repo), act.name.removeprefix(OURS)
        kept = about != BRANCH or act.by != BOT or self._is_kept()
        self.changes.append(Change(act.by, about, self._before.get(about), now.get(about), now, kept))
        self._before = now

    def _is_kept(self) -> bool:
        """Whether somebody has the queue's lease of the branch, if anything is in its pool (P7.47)."""
        store, branch = self._services.store, Branch.parse(f"{REPO}:{BRANCH}")
        try:
            ends = self._services.queue.connection.zscore(WORKING, str(branch))
            return branch not in store.branches() or (ends or 0.0) > self._services.now()
        except redis.ConnectionError:
            return True


def rules(repo: Repo) -> dict[str, Rule]:
    """What is in force, by pattern."""
    classic = {pattern: _rule(one) for pattern, one in repo.protections.items()}
    return classic | {one.name.removeprefix(OURS): _ruleset(one) for one in repo.rulesets.values()}


def _rule(rule: Protection) -> Rule:
    contexts = sorted(one.context for one in rule.checks) if rule.status else None
    return {"contexts": contexts, "reviews": rule.reviews and rule.reviews.count, "admins": rule.enforce_admins}


def _ruleset(ruleset: Ruleset) -> Rule:
    demanded = next((one.parameters for one in ruleset.rules if one.type == "required_status_checks"), None)
    return {"contexts": sorted(one["context"] for one in demanded["required_status_checks"]) if demanded else None}


def unprotected(world: "World") -> Iterator[str]:
    """Rules that are not as they are wished in the end."""
    found = rules(world.github.world.repo(REPO))
    for about in sorted({*found, *world.journey.rules}):
        if found.get(about) != world.journey.rules.get(about):
            yield f"the rule {about} is {found.get(about)}, not {world.journey.rules.get(about)}"


def unfinished(world: "World") -> Iterator[str]:
    """What is still to be done about rules, or said to be."""
    store, connection = world.services.store.protection, world.services.queue.connection
    left = {
        "marked": not store.is_idle(),
        "taken": connection.zcard(TAKEN),
        "put off": connection.zcard(LATER),
        "held": store.held(),
        "parked": store.parked([REPO]),
        "meant": store.intents(REPO),
        "being written": store.is_writing(REPO, world.clock.now()),
    }
    yield from (f"something about rules is {what} still" for what, is_left in left.items() if is_left)


def untold(world: "World") -> Iterator[str]:
    """Where the audit and what GitHub saw differ, and writes that should not have been then."""
    rows, told, seen = world.services.store.protection.audit()[::-1], dict[str, list[AuditRecord]](), Counter[Result]()
    for row in rows:
        seen[row.result] += 1
        if row.result in {Result.APPLIED, Result.SEEN}:
            told.setdefault(row.target.partition(":")[2], []).append(row)
    for about in sorted({*told, *(one.about for one in world.acts.changes)}):
        ours = [one for one in world.acts.changes if one.about == about]
        for index, (change, row) in enumerate(zip_longest(ours, told.get(about, ())), 1):
            if problem := _differs(change, row):
                yield f"change {index} of the rule {about}: {problem}"
    expected = {Result.FAILED: world.fired, Result.EXPIRED: bool(world.journey.rules)}
    for result in sorted({*seen, *expected} - {Result.APPLIED, Result.SEEN}):
        if seen[result] > expected.get(result, 0) or (result is Result.EXPIRED and seen[result] < expected[result]):
            yield f"the audit has {seen[result]} rows that say {result}"
    for change in world.acts.changes:
        if not change.is_kept:
            yield f"the rule {change.about} was changed while the queue might land there"
        if change.before == change.after:
            yield f"the rule {change.about} was written as it was"
        if change.by == BOT and _is_weaker(change) and (weak := sorted(_weak(world, change))):
            yield f"the rule {change.about} was weakened before {', '.join(weak)} was strengthened"


def _differs(change: Change | None, row: AuditRecord | None) -> str:
    """What the audit says otherwise of a change, or that one of them is missing; empty if they agree."""
    if change is None:
        assert row is not None
        return f"a row says {row.result}, from {row.before} to {row.after}, and GitHub saw nothing"
    what = f"{change.by} changed it from {change.before} to {change.after}"
    if row is None:
        return f"{what}, and no row says so"
    before, after = _values(row.before), _values(row.after)
    is_ours = row.result is Result.APPLIED
    agrees = (
        is_ours == (change.by == BOT)
        and (is_ours or row.by in {change.by, ""})
        and (row.before is None) == (change.before is None)
        and (row.after is None) == (change.after is None)
        and before == {name: (change.before or {}).get(name) for name in before}
        and after == {name: (change.after or {}).get(name) for name in after}
        and ({*before} | {*after}) >= _changed(change)
    )
    return "" if agrees else f"{what}, and the row says {row.result} by {row.by}, from {row.before} to {row.after}"


def _values(told: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {_NAMES[name]: value for name, value in (told or {}).items() if name in _NAMES}
    if found.get("contexts") is not None:
        found["contexts"] = sorted(one["context"] for one in found["contexts"])
    return found


def _changed(change: Change) -> set[str]:
    was, now = change.before or {}, change.after or {}
    return {name for name in {*was, *now} if (was.get(name) or False) != (now.get(name) or False)}


def _is_weaker(change: Change) -> bool:
    """Whether a rule has lost something that it demanded."""
    was, now = change.before or {}, change.after or {}
    lost = {*(was.get("contexts") or ())} - {*(now.get("contexts") or ())}
    return bool(lost) or any((was.get(name) or 0) > (now.get(name) or 0) for name in ("reviews", "admins"))


def _weak(world: "World", change: Change) -> Iterable[str]:
    """The rules that do not require yet what they shall, when another is weakened."""
    for about, wished in world.journey.rules.items():
        there = change.rules.get(about, {}).get("contexts") or ()
        if about != change.about and not {*(wished.get("contexts") or ())} <= {*there}:
            yield about
