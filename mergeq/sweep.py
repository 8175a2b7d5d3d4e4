"""Find what no event told: list all open pull requests by search, and read again those that changed; whoever is
concerned is then judged by what is known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from mergeq.bootstrap import Services
from mergeq.core.budget import Purpose, stretch
from mergeq.core.marks import Mark
from mergeq.core.pull import Branch, Row
from mergeq.core.query import scope_of, scope_owner
from mergeq.github import HeldBack, Unreadable
from mergeq.store import RUNS, TIP
from mergeq.sync import is_served, readings

_AT_ONCE = 102  # pull requests that are read in one go, by three calls; then it is the turn of others


def due(services: Services) -> Iterator[str]:
    """The searches by which a sweep is to begin now; it counts as begun.

    Every `mergeq.sweep.period`, else `tide.sync_period`; where webhooks are seen to work, every
    `mergeq.sweep.with_webhooks`. Less often when little is left of GitHub's hour.
    """
    now, swept = services.now(), services.store.swept()
    shortest = min(services.config.sweep_period, services.config.sweep.with_webhooks)
    if may_be := [one for one in services.config.open_pull_searches() if now - swept.get(one, 0.0) >= shortest]:
        pace = _pace(services)
        for search in may_be:
            if services.store.begin_sweep(search, now, _period(services, search) * pace):
                yield search


def retry(services: Services, search: str) -> None:
    """Have a sweep that failed come again as soon as if no webhooks were there."""
    late = max(_period(services, search) - services.config.sweep_period, 0.0)
    services.store.set_swept(search, services.now() - late)


def _period(services: Services, search: str) -> float:
    config, store = services.config, services.store
    told = works(store.heard(), store.missed(), scope_of(search))
    return config.sweep.with_webhooks if told else config.sweep_period


def nominated(services: Services, unreadable: dict[str, str]) -> Iterator[Branch]:
    """The branches that somebody wants to reach, and those that are known; for a look at everything that changes
    nothing. A search that fails stops no other (D8): `unreadable` is given why, by its ``ORG`` or ``ORG/REPO``.
    """
    seen: dict[Branch, None] = {}
    for search in services.config.open_pull_searches():
        try:
            seen |= dict.fromkeys(row.branch for row in services.github.on(Purpose.SWEEP).open_pulls(search))
        except (HeldBack, Unreadable) as error:
            unreadable[scope_of(search)] = str(error)
    seen |= dict.fromkeys(services.store.branches())
    return (branch for branch in seen if is_served(services, branch))


def works(heard: Mapping[str, float], missed: Mapping[str, float], scope: str) -> bool:
    """Whether webhooks are seen to work for ``ORG`` or ``ORG/REPO``: one has come since a sweep last found what none
    had told. The webhook of a single repository says nothing about others of its owner.
    """
    scopes = {scope, scope.partition("/")[0]}
    last = max((heard[one] for one in scopes if one in heard), default=0.0)
    return last > max((missed[one] for one in scopes if one in missed), default=0.0)


def silent(services: Services) -> list[str]:
    """The scopes of searches where webhooks came once, and then left something untold."""
    heard, missed = services.store.heard(), services.store.missed()
    scopes = [scope_of(search) for search in services.config.open_pull_searches()]
    return [scope for scope in scopes if scope in missed and not works(heard, missed, scope)]


def watch(services: Services, search: str) -> list[Branch]:
    """Where webhooks do not say what goes on, mark the branches with something in their pools or under test, or that
    could not be read; returns those for whom a job is to be enqueued.
    """
    scope, store = scope_of(search), services.store
    if works(store.heard(), store.missed(), scope):
        return []
    found = store.judged().items()
    busy = [branch for branch, one in found if one.is_busy and scope in {branch.org, branch.full_repo}]
    return store.mark_parts(busy, (TIP, RUNS), services.now())


def sweep(services: Services, search: str) -> list[Branch]:
    """List what a search finds, and leave what of it is new to `read_on`; returns the branches for whom a job is to be
    enqueued already. Raises HeldBack and Unreadable.

    What is known and not listed any more is to be read too, and a branch on which GitHub counts others than were found
    is to be listed itself, for a search may miss what is there (D11).
    """
    store, github = services.store, services.github.on(Purpose.SWEEP)
    scope, now, busy = scope_of(search), services.now(), services.store.all_marked()
    known = {name: row for name, row in store.rows(scope_owner(search)).items() if _is_in(row, scope)}
    found = {str(row): row for row in github.open_pulls(search) if is_served(services, row.branch)}
    listed = Counter(row.branch for row in found.values())
    before = {branch: store.state(branch) for branch in {*listed, *(row.branch for row in known.values())}}
    looks = github.states(before, services.config.blocker_label)
    states = {branch: look.state for branch, look in looks.items() if look is not None}
    touched = store.keep((), states.values(), now)
    changed = [row for name, row in found.items() if row.differs_from(known.get(name))]
    gone = [row for name, row in known.items() if name not in found]
    opinions = [row for name, row in found.items() if name in known and row.thinks_otherwise(known[name])]
    store.keep_rows(opinions)
    store.set_unread(scope, [Mark(row.branch, row.number, row.node) for row in (*changed, *gone)])
    silent = [row for row in changed if str(row) in known]
    moved = [branch for branch, state in states.items() if (was := before[branch]) and was.base_sha != state.base_sha]
    _note_missed(services, scope, {*(row.branch for row in (*silent, *gone)), *moved} - busy)
    store.forget_states(scope, before)
    lost = [Mark(branch) for branch, look in looks.items() if look is None or look.count != listed[branch]]
    ready = {*touched, *(row.branch for row in opinions)} - {row.branch for row in changed}
    return [*store.mark(lost, now), *store.send(ready, now)]


def _note_missed(services: Services, scope: str, branches: Set[Branch]) -> None:
    """Where webhooks were seen to work, remember and say that they did not tell of these."""
    store = services.store
    if branches and works(store.heard(), store.missed(), scope):
        names = [str(branch) for branch in sorted(branches)]
        store.note_missed(scope, services.now())
        store.count("mergeq_sweep_missed_total", len(names), scope=scope)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        services.log.warning("a sweep found what no webhook told", scope=scope, branches=", ".join(names[:5]) + more)


def read_on(services: Services, scope: str) -> tuple[list[Branch], bool]:
    """Read some of what a sweep has left to be read; the branches for whom a job is to be enqueued, and whether there
    may be more. Where it cannot be read, it is for their turns to say so. Raises HeldBack.
    """
    store, at = services.store, services.now()
    marks = store.take_unread(scope, _AT_ONCE)
    try:
        seen = services.github.on(Purpose.SWEEP).pulls(scope.partition("/")[0], [mark.node for mark in marks])
    except Unreadable as error:
        services.log.warning("what changed could not be read", scope=scope, error=str(error))
        return store.mark(marks, at), False
    store.learn_apps({number: slug for one in seen.values() for number, slug in one.apps.items()})
    found = (each for mark in marks for each in readings(mark.branch, mark.number, seen[mark.node]))
    served = [one if one.branch and is_served(services, one.branch) else replace(one, branch=None) for one in found]
    fresh, has_more = store.send(store.keep(served, (), at), services.now()), len(marks) == _AT_ONCE
    if not has_more and not store.is_founded():
        store.note_read_through(scope)
    return fresh, has_more


def _pace(services: Services) -> float:
    """How many times rarer than usual sweeps are, for the sake of what is left of GitHub's hour: what the account that
    has most left bears, for searches of the others are held back by themselves.
    """
    found = (spent for spent in services.store.all_spent() if spent.resource == "graphql")
    return min((stretch(spent, services.config.budget, services.now()) for spent in found), default=1.0)


def _is_in(row: Row, scope: str) -> bool:
    return scope in {row.org, f"{row.org}/{row.repo}"}
