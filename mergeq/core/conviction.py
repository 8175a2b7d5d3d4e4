"""What runs that did not end green mean: who is to blame, who is suspected, when it is CI itself.

Only a pull request that was red with nothing but the base, again when that was repeated, on a base that is green by
itself, is held responsible (D24). Everything else orders the search and convicts nobody.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from mergeq.core.batch import NO_RESULT, Member, Run, RunState, Verdict, landed, members_of, rest, verdict
from mergeq.core.ci import missing_ci
from mergeq.core.pool import BranchSettings, Pool
from mergeq.core.reason import Clause, Reason

_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0  # seconds without new runs while CI does not answer, doubled each time
_FIRST_REST, _LONGEST_REST = 600.0, 21600.0  # seconds that one whose tests never end stands back, doubled each time
_FIRST_TERM, _LONGEST_TERM = 3600.0, 86400.0  # seconds that a conviction outlasts its base, doubled each time
_MEMORY = 604800.0  # seconds for which a run that was not passed is remembered


class Blame(StrEnum):
    """What is to blame for a test that was not passed."""

    ITSELF = "itself"
    BASE = "base"
    NOBODY = "nobody"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Conviction:
    """Why a head is not tested on a base any more. `at` is when that was found, the `times`-th time; `until` when it is
    over by itself at the earliest (epoch seconds).
    """

    reason: Reason
    blame: Blame
    base_sha: str
    base_tree: str
    at: float
    until: float = 0.0
    times: int = 1


class Health(StrEnum):
    """What is known of a base that is tested by itself."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class BaseHealth:
    """The health of a base, and the run that says so: one of the base alone, or one whose members have all landed."""

    health: Health
    run: Run | None = None
    said: Verdict | None = None


def health_of(runs: Iterable[Run], base_sha: str, base_tree: str, settings: BranchSettings, now: float) -> BaseHealth:
    """What runs say about a base itself; one that was red counts as bad when that was repeated (D22, D24). What CI gave
    no result for says nothing.
    """
    about = [run for run in runs if not run.on_head and rest(run, base_sha, base_tree) == ()]
    said = [(run, verdict(run, settings, now)) for run in sorted(about, key=_age)]
    bad: list[tuple[Run, Verdict]] = []
    good = pending = None
    for run, one in said:
        match one.state:
            case RunState.GREEN:
                good, bad = run, []
            case RunState.PENDING:
                pending = run
            case RunState.RED:
                bad.append((run, one))
    if len(bad) > settings.queue.staging.retries:
        return BaseHealth(Health.BAD, *bad[-1])
    if pending is not None and (bad or good is None):
        return BaseHealth(Health.PENDING, pending)
    if good is not None and not bad:
        return BaseHealth(Health.GOOD, good)
    return BaseHealth(Health.UNKNOWN)


def failures(
    runs: Iterable[Run], base_sha: str, base_tree: str, settings: BranchSettings, now: float
) -> dict[str, list[tuple[Run, Verdict]]]:
    """By head, the runs that it did not pass with nothing but a base since it last did, oldest first. One whose other
    members have landed says the same as one of it alone. Bases may differ: they move while others land. What was tested
    on another base that is bad by itself does not count.
    """
    runs = sorted(runs, key=_age)
    bad: dict[str, bool] = {base_sha: False}
    found: dict[str, list[tuple[Run, Verdict]]] = {}
    for run in runs:
        left = run.members
        if len(left) > 1:
            left = rest(run, base_sha, base_tree) or ()
        elif run.on_head and run.base_sha != base_sha:
            continue
        if len(left) == 1:
            said = verdict(run, settings, now)
            if said.state is RunState.GREEN:
                found.pop(left[0].head_sha, None)
            elif run.ended is not None:
                if run.base_sha not in bad:
                    said_of_base = health_of(runs, run.base_sha, run.base_tree, settings, now)
                    bad[run.base_sha] = said_of_base.health is Health.BAD
                if bad[run.base_sha]:
                    continue
                found.setdefault(left[0].head_sha, []).append((run, said))
    return found


def convictions(
    runs: Sequence[Run], base_sha: str, base_tree: str, settings: BranchSettings, now: float
) -> dict[str, Conviction]:
    """The heads that are not tested on this base any more, with the reason (D24).

    What is red alone is repeated `retries` times, and counts when the base is known to be green. What CI never took up,
    or did not finish, is not held against the pull request: after as many tries it stands back for a while, and longer
    each time.
    """
    base = health_of(runs, base_sha, base_tree, settings, now)
    found: dict[str, Conviction] = {}
    for head, tries in failures(runs, base_sha, base_tree, settings, now).items():
        run, said = tries[-1]
        if not run.on_head and rest(run, base_sha, base_tree) is None:
            continue
        of = partial(Conviction, base_sha=base_sha, base_tree=base_tree, at=run.ended_at)
        count = len(tries)
        if said.state is RunState.BEHIND:
            found[head] = of(_left_behind(run), Blame.BEHIND)
        elif not said.contexts:
            continue
        elif said.state in NO_RESULT:
            until = _rests_until(run, count, settings)
            if now < until and (run.on_head or count > settings.queue.staging.retries):
                found[head] = of(_resting(run, said, until - now, settings), Blame.NOBODY, until=until)
        elif count > settings.queue.staging.retries:
            if run.on_head or base.health is Health.GOOD:
                found[head] = of(_convicted(run, said, count), Blame.ITSELF)
            elif base.health is Health.BAD and base.said is not None:
                found[head] = of(_excused(run, said, base.said), Blame.BASE)
    return found


def again(new: Conviction, before: Conviction | None) -> Conviction:
    """A conviction as it is kept: it outlasts the base on which it was found, for twice as long each time."""
    if new.blame is not Blame.ITSELF:
        return new
    times = before.times + 1 if before is not None and before.blame is Blame.ITSELF else 1
    return replace(new, times=times, until=new.at + min(_FIRST_TERM * 2.0 ** min(times - 1, 20), _LONGEST_TERM))


def holds(conviction: Conviction, base_sha: str, base_tree: str, now: float) -> bool:
    """Whether a conviction is still in force: on its own base as long as nothing is pushed, on others until its time is
    over; what nobody is to blame for until then alone.
    """
    is_there = conviction.base_sha == base_sha or bool(base_tree and conviction.base_tree == base_tree)
    match conviction.blame:
        case Blame.ITSELF:
            return is_there or now < conviction.until
        case Blame.NOBODY:
            return now < conviction.until
        case _:
            return False


def pause(runs: Iterable[Run]) -> float:
    """Until when nothing new is put to the test, since CI did not come to a result several times in a row, whatever was
    tested; 0.0 for no pause (epoch seconds).
    """
    ended = sorted((run for run in runs if run.ended is not None and not run.on_head), key=lambda run: run.ended_at)
    silent = 0
    for run in reversed(ended):
        if run.ended not in NO_RESULT:
            break
        silent += 1
    if silent < 2:
        return 0.0
    return ended[-1].ended_at + min(_FIRST_PAUSE * 2.0 ** (silent - 2), _LONGEST_PAUSE)


def ends_of_waiting(
    runs: Sequence[Run], base_sha: str, base_tree: str, settings: BranchSettings, now: float
) -> list[float]:
    """The moments in the future at which something about these runs changes by time alone (epoch seconds)."""
    tries = failures(runs, base_sha, base_tree, settings, now).values()
    rests = (_rests_until(one[-1][0], len(one), settings) for one in tries if one[-1][1].state in NO_RESULT)
    return [at for at in (pause(runs), *rests) if at > now]


def suspects(pool: Pool, runs: Iterable[Run], settings: BranchSettings) -> list[tuple[Member, ...]]:
    """Members of which at least one is probably bad: those of a red run whose others have landed; the fewest first, in
    the order of their run (T12.8).

    A run explains itself by somebody who is open and out of the pool, or was pushed to: then it says nothing about the
    others. One about an older base still makes suspicious. What CI gave no result for counts after `retries`.
    """
    known, open_here = members_of(pool), {standing.pull.number for standing in pool.standings}
    tries: dict[tuple[Member, ...], int] = {}
    found: dict[tuple[Member, ...], None] = {}
    for run in sorted(runs, key=_age):
        if run.on_head or run.ended is None or not run.members:
            continue
        gone = landed(run, pool.base_sha, pool.base_tree) or 0
        left = tuple(one for one in run.members[gone:] if known.get(one.number) == (one.head_sha, one.method))
        if any(one.number in open_here for one in run.members[gone:] if one not in left):
            continue
        if run.ended is RunState.RED:
            found[left] = None
        elif run.ended in NO_RESULT:
            tries[left] = tries.get(left, 0) + 1
            if tries[left] > settings.queue.staging.retries:
                found[left] = None
        elif run.ended is RunState.GREEN:
            found.pop(left, None)
    return _smallest(left for left in found if left)


def _smallest(sets: Iterable[tuple[Member, ...]]) -> list[tuple[Member, ...]]:
    """Those that do not hold another one, which explains them; the fewest first."""
    kept: list[tuple[Member, ...]] = []
    for one in sorted(sets, key=len):
        if not any(set(other) <= set(one) for other in kept):
            kept.append(one)
    return kept


def is_evidence(run: Run, heads: Collection[str], base_sha: str, base_tree: str, keep: float, now: float) -> bool:
    """Whether a run may still say something: one that is under way, or about this base; a green one, whose tree may
    come again, and one of a base alone, for `keep` seconds; any other as long as one of its heads is open.
    """
    if run.ended is None or (not run.on_head and landed(run, base_sha, base_tree) is not None):
        return True
    if run.on_head:
        return run.base_sha == base_sha
    if run.ended is RunState.GREEN or not run.members:
        return now - run.ended_at < keep
    return now - run.ended_at < _MEMORY and not run.heads.isdisjoint(heads)


def _age(run: Run) -> tuple[float, str]:
    return (run.started_at, run.id)


def _rests_until(run: Run, tries: int, settings: BranchSettings) -> float:
    times = max(tries - 1 - settings.queue.staging.retries, 0)
    return run.ended_at + min(_FIRST_REST * 2.0 ** min(times, 20), _LONGEST_REST)


def _left_behind(run: Run) -> Reason:
    return Reason(
        Clause.BEHIND,
        "to contain the tip of its base",
        f"it lacks commits of {run.base_sha[:7]}, and {run.why}",
        "the author",
        "merge the base into the branch, or rebase onto it, and push",
        items=(run.why,),
    )


def _where(run: Run, said: Verdict) -> str:
    """The commit, the ref and the link by which a person finds what CI said."""
    link = next((f", {context.url}" for context in said.contexts if context.url), "")
    ref = f" ({run.ref}{link})" if run.ref else f" ({link.removeprefix(', ')})" if link else ""
    return f"on {run.staged_sha[:7]}{ref}, this pull request on base {run.base_sha[:7]}"


def _names(said: Verdict) -> tuple[str, ...]:
    return tuple(sorted({context.name for context in said.contexts}))


def _convicted(run: Run, said: Verdict, tries: int) -> Reason:
    times = f", {tries} times" if tries > 1 else ""
    return Reason(
        Clause.STAGED,
        f"{', '.join(_names(said))} to be green together with the base",
        f"{said.why} {_where(run, said)}{times}",
        "the author",
        "push a fix, or have mergeq retry it; after a while it is tried again once the base has moved",
        items=_names(said),
    )


def _excused(run: Run, said: Verdict, base: Verdict) -> Reason:
    return Reason(
        Clause.STAGED,
        f"{', '.join(_names(said))} to be green together with the base",
        f"{said.why} {_where(run, said)}, but on the base alone too ({base.why}): it is not its fault",
        "whoever can mend the base",
        "mend the base; mergeq tries again when it moves",
        items=_names(said),
    )


def _resting(run: Run, said: Verdict, seconds: float, settings: BranchSettings) -> Reason:
    waited = {
        RunState.SILENT: f" within {settings.queue.staging.start_timeout:.0f} s",
        RunState.OVERDUE: f" within {settings.queue.staging.timeout:.0f} s",
    }.get(said.state, "")
    apps = {**settings.queue.context_apps, **{one.name: one.app for one in said.contexts if one.app}}
    setting_up = missing_ci(_names(said), settings.queue.staging, apps, on_head=run.on_head)
    return Reason(
        Clause.STAGED,
        f"a result of {', '.join(_names(said))} on the staged commit",
        f"{said.why}{waited} {_where(run, said)}",
        "whoever runs CI for the repository",
        f"{setting_up}; mergeq tries again in {max(1, round(seconds))} s, and at once after a push",
        items=_names(said),
    )
