"""A store filled by hand, for pages that show what no journey brings about quickly."""

from dataclasses import replace
from typing import Any

from mergeq.core.audit import AuditRecord, SeenRepo
from mergeq.core.audit import Result as Audited
from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.pool import Pool, Standing
from mergeq.core.protection import (
    OFF,
    Cause,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Mode,
    Source,
    Values,
    target_of,
)
from mergeq.core.pull import Branch, BranchFacts, Method, PullRequest
from mergeq.core.reason import Clause, Reason
from mergeq.store import ALL, Lease, Reading, SavedPool, Store
from tests import builders

MAIN = Branch("acme", "rocket", "main")
ODD = Branch("acme", "rocket", "fix/#7-100%&é?")
LABEL = Reason(Clause.LABELS, "the label lgtm", "its labels are none", "a reviewer", "add lgtm", items=("lgtm",))


def claim(store: Store, branch: Branch, now: float = 1.0) -> Lease:
    """The lease of a branch, for as long as the test lives."""
    store.mark_parts([branch], [ALL], now)
    lease = store.claim(branch, now)
    assert lease is not None
    return lease


def standing(number: int, *reasons: Reason, entered: float = 1.0, **changes: Any) -> Standing:
    """A pull request on the pull's own base, in the pool exactly when nothing is said against it."""
    pull: PullRequest = builders.pr(number, **changes)
    return Standing(pull, Method.MERGE, reasons, None if reasons else entered)


def save(store: Store, branch: Branch, *standings: Standing, lease: Lease | None = None, **changes: object) -> Lease:
    """Save a pool of these; returns the lease, for the next save."""
    lease = lease or claim(store, branch)
    moved = tuple(
        replace(s, pull=replace(s.pull, org=branch.org, repo=branch.repo, base=branch.name)) for s in standings
    )
    pool = Pool(branch, "b" * 40, moved)
    read = [Reading(branch.full_repo, s.pull.number, branch, s.pull.head_sha, s.pull) for s in moved]
    store.keep(read, [BranchFacts(branch, "b" * 40)], 1_767_603_600.0)
    saved = SavedPool(store.new_id(), pool, "WAIT", (), "nothing is ready", 1_767_603_600.0, "digest")
    store.save_pool(lease, replace(saved, **changes))  # type: ignore[arg-type]
    return lease


def save_many(store: Store, count: int) -> list[Lease]:
    """Save as many branches, each with one pull request, which in every tenth is in the pool; returns their leases."""
    return [
        save(
            store,
            Branch("acme", f"part-{number:03}", "main"),
            standing(number, *(() if number % 10 == 0 else (LABEL,))),
        )
        for number in range(1, count + 1)
    ]


def record(store: Store, lease: Lease, at: float, number: int = 7, **changes: object) -> HistoryRecord:
    """Record a landing of #7 by ana; `author` and `title` change its target."""
    target = Target(
        number, str(changes.pop("author", "ana")), f"{number:040x}", str(changes.pop("title", "Add fins")), "fins"
    )
    done = HistoryRecord(store.new_id(), str(lease.branch), at, "MERGE", "b" * 40, (target,), Outcome.LANDED)
    done = replace(done, **{"landed_sha": "c" * 40, **changes})  # type: ignore[arg-type]
    store.record(lease, done)
    return done


POLICY = """
branch-protection:
  orgs:
    acme:
      protect: true
      enforce_admins: true
    beta: {protect: true}
mergeq:
  protection:
    orgs: {acme: {mode: enforce}}
"""
RULE: Values = {
    **OFF,
    Field.CONTEXTS: frozenset({Check("ci/test", "any")}),
    Field.REVIEWS: 1,
    Field.ENFORCE_ADMINS: True,
}
LOOSE: Values = {**RULE, Field.REVIEWS: None, Field.FORCE_PUSHES: True}


def line(number: int) -> tuple[Source, ...]:
    """A line of the configuration that asks for something of all of acme."""
    return (Source("acme", f"policy.yaml:{number}"),)


def item(target: str, kind: Kind = Kind.NOTHING, before: Values = RULE, **changes: Any) -> Item:
    """What a plan says of a target, where admins are bound and reviews are asked for; to be enforced."""
    sources = {Field.ENFORCE_ADMINS: line(6), Field.REVIEWS: line(9), Field.FORCE_PUSHES: line(12)}
    values = {"mode": Mode.ENFORCE, "sources": sources, "before": before, **changes}
    return Item(target_of(target), kind, **values)


def drifted(target: str, **changes: Any) -> Item:
    """A target of which somebody has taken the reviews away and to which anybody may force-push now."""
    turns = (
        Change(Field.REVIEWS, None, 1, Effect.STRENGTHEN),
        Change(Field.FORCE_PUSHES, True, False, Effect.STRENGTHEN),
    )
    return item(target, Kind.UPDATE, LOOSE, **{"changes": turns, "cause": Cause.DRIFT, **changes})


def look(*items: Item, **changes: Any) -> SeenRepo:
    """What a look at the repository of these found."""
    return SeenRepo(**{"repo": items[0].target.repo, "at": 1_767_603_600.0, "items": items, **changes})


def seen(store: Store, *items: Item, **changes: Any) -> None:
    """Save what a look found."""
    store.protection.note_seen([look(*items, **changes)])


def row(store: Store, at: float, target: str = "acme/rocket:main", **changes: Any) -> AuditRecord:
    """Add to the audit that somebody let everybody force-push."""
    values: dict[str, Any] = {
        "result": Audited.SEEN,
        "cause": "drift",
        "effect": "weaken",
        "before": {str(Field.FORCE_PUSHES): False},
        "after": {str(Field.FORCE_PUSHES): True},
        "by": "oscar",
    }
    made = AuditRecord(store.protection.new_id(at), at, "run-1", target, **{**values, **changes})
    store.protection.append([made])
    return made
