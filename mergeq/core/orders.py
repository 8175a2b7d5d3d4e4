"""What operators have said: that a branch, or everything, does nothing, and that a head stays out of its pool."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mergeq.core.pull import Branch

EVERYTHING = Branch("*", "*", "*")
"""Stands for all branches, those that nobody has seen yet too; GitHub gives none such a name."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Why nothing may be done to a branch until a person says so: `who` paused it, empty where mergeq stopped it
    itself, and since when in epoch seconds, 0.0 where that is not known.
    """

    why: str
    who: str = ""
    at: float = 0.0

    @property
    def said(self) -> str:
        """All of it in one phrase, what matters most first: a status has room for its beginning alone."""
        if self.who:
            return f"paused by {self.who} since {moment(self.at)}: {self.why}"
        return f"{self.why} (since {moment(self.at)})" if self.at else self.why


@dataclass(frozen=True, slots=True)
class Eviction:
    """A head that `who` took out of its pool, `at` epoch seconds, until it is pushed to or tried again by a person's
    word.
    """

    head_sha: str
    why: str
    who: str
    at: float


def moment(at: float) -> str:
    """Epoch seconds for a person, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
