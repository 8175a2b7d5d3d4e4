"""What to do with a branch now, and why."""

from dataclasses import dataclass
from typing import assert_never

from mergeq.core.pool import BranchSettings, Pool, Standing, priority_of, ranked
from mergeq.core.pull import Blocker, Method


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing, because of `why`."""

    why: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Do nothing, because open issues stop the branch (T4.2)."""

    blockers: tuple[Blocker, ...]

    @property
    def why(self) -> str:
        """The blocking issues, named."""
        return "blocked by " + ", ".join(f"issue #{blocker.number}" for blocker in self.blockers)


@dataclass(frozen=True, slots=True)
class Merge:
    """Land one pull request with exactly this head by this method."""

    number: int
    head_sha: str
    method: Method
    why: str


Action = Wait | Blocked | Merge


def decide(pool: Pool, settings: BranchSettings) -> Action:
    """The one action for a pool in `head` mode, in Tide's order (T4.3): blockers, then the first green member, else
    wait.

    A pool with a gap in its facts waits and says what could not be read (D8).
    """
    if pool.partial:
        return Wait(f"not everything could be read from GitHub: {pool.partial}")
    if pool.blockers:
        return Blocked(pool.blockers)
    for member in ranked(pool.members, settings):
        if member.method is not None:
            return Merge(member.pull.number, member.pull.head_sha, member.method, _why(member, pool, settings))
    return Wait("no pull request is ready" if pool.standings else "no pull request is open")


def wire_name(action: Action) -> str:
    """Tide's name of an action (T4)."""
    match action:
        case Wait():
            return "WAIT"
        case Blocked():
            return "BLOCKED"
        case Merge():
            return "MERGE"
        case _:
            assert_never(action)


def _why(chosen: Standing, pool: Pool, settings: BranchSettings) -> str:
    others = len(pool.members) - 1
    if not others:
        return "green and admitted"
    urgent = priority_of(chosen.pull, settings) < len(settings.priority)
    place = "highest priority" if urgent else f"first by {settings.queue.order.value}"
    return f"green and admitted; {place} of {others + 1}"
