"""A store filled by hand, for pages that show what no journey brings about quickly."""

from dataclasses import replace
from typing import Any

from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.pool import Pool, Standing
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
