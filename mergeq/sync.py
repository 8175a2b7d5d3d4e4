"""Gather the facts of a branch, let the core decide, and save what it decided; and find the branches that need that."""

from collections.abc import Iterator, Mapping

from mergeq.bootstrap import Services
from mergeq.core import decide, status
from mergeq.core.decide import Action, Merge
from mergeq.core.pool import Pool, divide
from mergeq.core.pull import Branch
from mergeq.core.query import updated_between
from mergeq.github import Unreadable
from mergeq.store import Lease, SavedPool

_SLACK = 60.0  # seconds by which a window of update times overlaps the one before: GitHub's index lags


def sweep(services: Services, since: float) -> Iterator[Branch]:
    """The branches that may need a look: those the queries nominate, those with a pull request updated since, those
    with a pool.

    `since` is when the sweep before began (epoch seconds; 0.0 for none). A search that fails is logged and stops no
    other (D8).
    """
    config = services.config
    window = updated_between(since - _SLACK if since else 0.0, services.now() + _SLACK)
    seen: dict[Branch, None] = {}
    for search in (*config.searches(), *(f"{search} {window}" for search in config.open_pull_searches())):
        try:
            for branch in services.github.nominate(search):
                if branch not in seen and config.covers(branch):
                    seen[branch] = None
                    yield branch
        except Unreadable as error:
            services.log.warning("search failed", search=search, error=str(error))
    yield from (branch for branch in services.store.branches() if branch not in seen)


def sync(services: Services, lease: Lease) -> SavedPool:
    """Look at one branch and save its pool with the action chosen for it. Raises LeaseLost.

    A branch that cannot be read is saved as it was known, with the error and no action, so that the page says why
    nothing happens.
    """
    branch, store, now = lease.branch, services.store, services.now()
    settings = services.config.for_branch(branch)
    before = store.pool(branch)
    try:
        facts = services.github.read_branch(branch, services.config.blocker_label)
    except Unreadable as error:
        services.log.warning("branch not readable", branch=str(branch), error=str(error))
        known = before.pool if before else Pool(branch, "")
        saved = SavedPool(
            store.new_id(),
            known,
            "WAIT",
            (),
            "the branch could not be read",
            now,
            services.config.digest,
            str(error),
        )
    else:
        pool = divide(facts, settings, entered=_entered(before), refusals=store.refusals(branch), now=now)
        action = decide.decide(pool, settings)
        saved = SavedPool(
            store.new_id(), pool, decide.wire_name(action), _targets(action), action.why, now, services.config.digest
        )
        _measure(services, saved)
    store.save_pool(lease, saved)
    return saved


def report(services: Services, lease: Lease, saved: SavedPool) -> int:
    """Bring the status context of every pull request of a branch up to date; returns how many were written.

    Written only where it differs from what GitHub showed at the sync (T6.26), members of the pool first. A status that
    cannot be written is logged and tried again at the next sync.
    """
    settings = services.config.for_branch(lease.branch)
    written = 0
    for standing in sorted(saved.pool.standings, key=lambda standing: not standing.in_pool):
        wanted = status.describe(standing, saved.pool, settings)
        if standing.pull.contexts is None or status.shown(standing.pull.contexts, settings.status_context) == wanted:
            continue
        url = services.link(lease.branch, standing.pull.number)
        if problem := services.github.set_status(
            lease.branch, standing.pull.head_sha, settings.status_context, wanted, url
        ):
            services.log.warning("status not written", pull=str(standing.pull), error=problem)
        else:
            written += 1
    return written


def _entered(before: SavedPool | None) -> Mapping[tuple[int, str], float]:
    if before is None:
        return {}
    members = before.pool.members
    return {(m.pull.number, m.pull.head_sha): m.entered_at for m in members if m.entered_at is not None}


def _targets(action: Action) -> tuple[int, ...]:
    return (action.number,) if isinstance(action, Merge) else ()


def _measure(services: Services, saved: SavedPool) -> None:
    """Tide's gauges of a pool (T9.1, T9.2)."""
    branch = saved.pool.branch
    labels = {"org": branch.org, "repo": branch.repo, "branch": branch.name}
    services.store.set_gauge("pooledprs", len(saved.pool.members), **labels)
    services.store.set_gauge("updatetime", saved.at, **labels)
