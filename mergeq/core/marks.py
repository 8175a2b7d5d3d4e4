"""What may have changed and is to be read again, and whether what was then read can be what was announced: GitHub's
events come before its API shows what they are about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from mergeq.core.pull import Branch, BranchFacts, Context, PullRequest, Result


class Announced(StrEnum):
    """What an event says has happened."""

    UPDATED = "updated"
    LEFT = "left"
    REPORTED = "reported"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Hint:
    """What an event said. A reading that does not show it came too early; it is no fact by itself (D12).

    UPDATED: the pull request was changed at `at` (GitHub's clock, epoch seconds). LEFT: it is not open on this branch
    any more, or has come back after `at`. REPORTED: the context `name` has a result, `ended` or not: the status that
    was posted at `at`, or the check run `serial`. MOVED: the tip of the branch is not `name` any more.
    """

    what: Announced
    at: float = 0.0
    name: str = ""
    serial: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to be read again: the pull request `number` of a branch, whose GraphQL id is `node` where an event told
    it; or with `number` 0 the branch itself: its tip, its rules, its blockers and who is open on it.
    """

    branch: Branch
    number: int = 0
    node: str = ""
    hint: Hint | None = None


def are_shown(hints: Iterable[Hint], facts: BranchFacts, pull: PullRequest | None) -> bool:
    """Whether what was read of a branch, and of a pull request on it (None: not open there), is as new as all events.
    Whoever left, and is not there, need not show what happened before.
    """
    told = tuple(hints)
    if pull is None and any(hint.what is Announced.LEFT for hint in told):
        return True
    return all(is_shown(hint, facts, pull) for hint in told)


def is_shown(hint: Hint, facts: BranchFacts, pull: PullRequest | None) -> bool:
    """Whether what was read of a branch, and of a pull request on it (None: not open there), is as new as the event."""
    match hint.what:
        case Announced.UPDATED:
            return pull is not None and pull.updated_at >= hint.at
        case Announced.LEFT:
            return pull is None or 0.0 < hint.at < pull.updated_at
        case Announced.MOVED:
            return facts.base_sha != hint.name
        case Announced.REPORTED:
            if pull is None or pull.contexts is None:
                return True
            return any(_is_reported(hint, one) for one in pull.contexts if one.name == hint.name)
        case _:
            assert_never(hint.what)


def _is_reported(hint: Hint, context: Context) -> bool:
    """Whether a context is what was announced or came after it: statuses by their time, check runs by their ids, for
    a run that ends keeps its own. Where two came within a second, the one that has ended is the later.
    """
    if bool(context.serial) != bool(hint.serial):
        return False
    shown, announced = (context.serial, hint.serial) if hint.serial else (context.at, hint.at)
    return shown > announced or (shown == announced and not (hint.ended and context.result is Result.PENDING))
