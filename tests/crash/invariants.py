"""What must hold when all is quiet again, whatever ended before: read from git and GitHub's records, and of mergeq only
what it keeps for people and for itself.
"""

import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile

from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox.records import Pull
from tests.crash.journeys import BRANCH, CONTEXT, REPO
from tests.crash.protecting import unfinished, unprotected, untold
from tests.crash.worlds import World

_KEPT = 3 * 3600.0  # seconds; leftovers are kept for two hours at most
_OURS = ("mergeq/", "mergeq-scratch/")
_FINE = {Outcome.LANDED, Outcome.PARTIAL}


def violations(world: World, statuses: list[tuple[str, str]]) -> list[str]:
    """Everything that does not hold in a world that has become quiet, one line each. `statuses` are those of pull
    requests that stay open when nothing ends.
    """
    found = [*_landings(world), *_tests(world), *_history(world), *_rest(world), *_statuses(world, statuses)]
    repo, start = world.github.world.repo(REPO), world.github.world.now()
    world.pass_time(_KEPT)
    refs = (name for name, tip in repo.git.branches().items() if repo.moved_at.get(tip, 0.0) <= start)
    leftover = sorted(name for name in refs if name.startswith(_OURS))  # what was red may be tried again by then
    found += [f"{name} is still there three hours later" for name in leftover]
    return [*found, *unprotected(world), *unfinished(world), *untold(world), *_failures(world)]


def open_statuses(world: World) -> list[tuple[str, str]]:
    """What our status says of each open pull request: state and description."""
    return sorted(_status(world, pull.head_sha) for pull in _pulls(world) if pull.is_open)


def _pulls(world: World) -> list[Pull]:
    return list(world.github.world.repo(REPO).pulls.values())


def _status(world: World, sha: str) -> tuple[str, str]:
    said = {one.context: one for one in world.github.world.repo(REPO).latest_statuses(sha)}.get("tide")
    return (said.state.value, said.description or "") if said else ("", "")


def _line(world: World, tip: str = f"refs/heads/{BRANCH}") -> list[str]:
    """The first parents that lead to a commit, newest first, without what was on the base before."""
    git = ["git", "-C", str(world.github.world.repo(REPO).git_dir), "rev-list", "--first-parent"]
    listed = subprocess.run([*git, tip], capture_output=True, text=True, check=True).stdout.split()
    return list(takewhile(lambda sha: sha not in world.before, listed))


def _landed_by(world: World) -> dict[str, int | None]:
    """The pull request that each commit of the line has landed, newest first: the one whose head it merges, or whose
    number its message ends with.
    """
    git, found = world.github.world.repo(REPO).git, dict[str, int | None]()
    for sha in _line(world):
        commit = git.commit(sha)
        title = commit.message.partition("\n")[0]
        found[sha] = next(
            (
                one.number
                for one in _pulls(world)
                if one.head_sha in commit.parents[1:] or title.endswith(f"(#{one.number})")
            ),
            None,
        )
    return found


def _landings(world: World) -> Iterator[str]:
    counts = Counter(_landed_by(world).values())
    for pull in _pulls(world):
        if pull.merged == pull.is_open or counts[pull.number] != pull.merged:
            how = "merged" if pull.merged else "open" if pull.is_open else "closed"
            yield f"#{pull.number} is {how}, and {counts[pull.number]} times on the base"
    for group in world.journey.lands:
        if (count := sum(counts[number] for number in group)) != 1:
            said = ", ".join(repr(_status(world, pull.head_sha)[1]) for pull in _pulls(world) if pull.number in group)
            yield f"of {group} {count} landed; {said}"
    if counts[None]:
        yield f"the base has {counts[None]} commits of no pull request"


def _tests(world: World) -> Iterator[str]:
    """The base has a tree that CI tested before, and on the way there were none but those of the members of what it
    tested.
    """
    if not world.journey.is_tested:
        return
    repo = world.github.world.repo(REPO)
    landed_at = {pull.merge_commit_sha: pull.merged_at for pull in _pulls(world) if pull.merged}
    tested = [
        sha
        for sha in repo.statuses
        for one in repo.latest_statuses(sha)
        if one.context == CONTEXT and one.state.value == "success"
        if one.created_at <= (landed_at.get(sha) or one.created_at)
    ]
    trees = {repo.git.commit(sha).tree for sha in tested}
    steps = {repo.git.commit(sha).tree for one in tested for sha in _line(world, one)}
    for index, (sha, number) in enumerate(_landed_by(world).items()):
        if repo.git.commit(sha).tree not in (steps if index else trees):
            yield f"{sha[:7]} (#{number}) has a tree that was not tested"


def _history(world: World) -> Iterator[str]:
    """Each landing is in exactly one record."""
    line = [*reversed(_landed_by(world).items())]
    told = Counter[int | None]()
    for record in world.services.store.history(branch=Branch.parse(f"{REPO}:{BRANCH}")):
        if record.outcome not in {
            *_FINE,
            Outcome.TRIGGERED,
            Outcome.STALE,
            Outcome.REFUSED,
            Outcome.RED,
            Outcome.ABANDONED,
        }:
            yield f"history has {record.outcome.value}: {record.err}"
        elif record.outcome in _FINE:
            told += _of(record, line)
    for pull in _pulls(world):
        if told[pull.number] != pull.merged:
            yield f"history says {told[pull.number]} times that #{pull.number} landed"


def _of(record: HistoryRecord, line: list[tuple[str, int | None]]) -> Counter[int | None]:
    """What a record says to have landed: its targets up to the one that was landed last."""
    last = dict(line).get(record.landed_sha or "")
    numbers = [target.number for target in record.targets]
    return Counter(numbers[: numbers.index(last) + 1] if last in numbers else [None])


def _rest(world: World) -> Iterator[str]:
    """Nothing is held, marked or meant any more."""
    store, branch = world.services.store, Branch.parse(f"{REPO}:{BRANCH}")
    if not store.is_idle():
        yield "the branch is not idle"
    if not world.is_done():
        yield "not all is done"
    if world.is_late:
        yield f"it took {world.took:.0f} s"
    if store.intent(branch) is not None:
        yield "an intent is left"
    if marks := store.marks(branch):
        yield f"marks are left: {', '.join(sorted(marks))}"
    if why := store.halted(branch):
        yield f"the branch is halted: {why}"
    if count := sum(run.ended is None for run in store.runs(branch)):
        yield f"{count} runs are left open"


def _statuses(world: World, statuses: list[tuple[str, str]]) -> Iterator[str]:
    for pull in _pulls(world):
        said = _status(world, pull.head_sha)
        if pull.merged and said[0] != "success":
            yield f"#{pull.number} landed with the status {said[0]}: {said[1]}"
    if (left := open_statuses(world)) != statuses:
        yield f"those that are open have the statuses {left}, not {statuses}"


def _failures(world: World) -> list[str]:
    """Tracebacks: mergeq's own, which nothing may cause, and RQ's, which only Redis may by being away."""
    signs = ("turn failed", "protection failed", *([] if world.without_redis else ["Traceback"]))
    return [f"the log says: {line}" for line in world.log() if any(sign in line for sign in signs)]
