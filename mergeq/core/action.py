"""What can be done with a branch, each with the reason why."""

from dataclasses import dataclass
from typing import assert_never

from mergeq.core.pull import Blocker, Method


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing, because of `why`. `failed`: something was to be done and cannot be (T4.8)."""

    why: str
    failed: bool = False


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


@dataclass(frozen=True, slots=True)
class Stage:
    """Test these together on the base, in this order; without any, the base alone."""

    numbers: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Update:
    """See that the own branch of one pull request, at exactly this head, contains the tip of the base."""

    number: int
    head_sha: str
    why: str


@dataclass(frozen=True, slots=True)
class Land:
    """Land the members of a green run, in its order; without a `run` several that are green on their own heads."""

    run: str
    numbers: tuple[int, ...]
    why: str


Action = Wait | Blocked | Merge | Stage | Update | Land


def targets_of(action: Action) -> tuple[int, ...]:
    """The pull requests that an action is about, by number."""
    match action:
        case Merge() | Update():
            return (action.number,)
        case Stage() | Land():
            return action.numbers
        case _:
            return ()


def wire_name(action: Action) -> str:
    """Tide's name of an action (T4)."""
    match action:
        case Wait():
            return "WAIT"
        case Blocked():
            return "BLOCKED"
        case Merge():
            return "MERGE"
        case Update():
            return "TRIGGER"
        case Stage():
            return "TRIGGER_BATCH" if len(action.numbers) > 1 else "TRIGGER"
        case Land():
            return "MERGE" if len(action.numbers) == 1 else "MERGE_BATCH"
        case _:
            assert_never(action)
