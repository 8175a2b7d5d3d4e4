"""Who may spend of what GitHub allows in an hour, and who waits: the less it is about landing, the sooner (D12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

STATUS_SECONDS, STATUS_BURST = 1.0, 60
"""The pace of statuses that can wait: one a second, so many of them at once. GitHub asks for a second between writes,
and bears 180 to one endpoint in a minute (docs.github.com, "Rate limits for the REST API").
"""

_BREATH = 1.0  # seconds after GitHub's reset, whose clock need not be ours


class Purpose(StrEnum):
    """What a call to GitHub is for; whoever stands further down may go on for longer."""

    SWEEP = "sweep"
    LOOK_IDLE = "look_idle"
    EXPLAIN = "explain"
    STATUS = "status"
    LOOK = "look"
    STAGING = "staging"
    PROTECTION = "protection"
    LANDING = "landing"


_SPARING: Mapping[Purpose, float] = {
    Purpose.SWEEP: 1.0,
    Purpose.LOOK_IDLE: 0.75,
    Purpose.EXPLAIN: 0.5,
    Purpose.STATUS: 0.5,
}
"""How early a purpose stops between the reserve (1) and the floors (0)."""

_SHARE: Mapping[Purpose, tuple[Purpose, float]] = {
    Purpose.LANDING: (Purpose.LANDING, 1.0),
    Purpose.LOOK: (Purpose.LANDING, 0.5),
    Purpose.STAGING: (Purpose.LANDING, 0.5),
    Purpose.PROTECTION: (Purpose.PROTECTION, 1.0),
}
"""Whose floor a purpose may use, and how much of it: what leads to a landing leaves enough to end it."""


@dataclass(frozen=True, slots=True)
class BudgetValues:
    """`mergeq.budget`: below `reserve`, a share of GitHub's limit, one purpose after the other stops; `floors` are
    points of an hour that are left to a purpose alone.
    """

    reserve: float = 0.2
    floors: Mapping[str, float] = field(
        default_factory=lambda: {Purpose.LANDING.value: 500.0, Purpose.PROTECTION.value: 200.0}
    )


@dataclass(frozen=True, slots=True)
class SweepValues:
    """`mergeq.sweep`: seconds between two looks at everything, without webhooks and where they are seen to work.
    `period` None: what `tide.sync_period` says.
    """

    period: float | None = None
    with_webhooks: float = 3600.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used of one resource (``core``, ``graphql``, ``search``) in the hour that ends at `ends_at` (epoch
    seconds): `points` by purpose.

    `limit` and `remaining` are GitHub's last word; both None where it says nothing, as Enterprise Server may.
    """

    account: str
    resource: str
    ends_at: float
    limit: float | None = None
    remaining: float | None = None
    points: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """GitHub said that an account must not ask anything before `until` (epoch seconds); `strikes` counts how often
    in a row.
    """

    until: float
    why: str
    strikes: int = 0


def line(purpose: Purpose, values: BudgetValues, limit: float) -> float:
    """The points that a purpose must leave: the floors of all others, and of the reserve above them its part.

    Floors never take more than half of a small limit.
    """
    total = sum(values.floors.values())
    scale = min(1.0, limit / 2 / total) if total else 1.0
    whose, share = _SHARE.get(purpose, (purpose, 0.0))
    others = (total - values.floors.get(whose.value, 0.0) * share) * scale
    return others + max(values.reserve * limit - total * scale, 0.0) * _SPARING.get(purpose, 0.0)


def held_until(purpose: Purpose, spent: Spent | None, values: BudgetValues, now: float) -> float | None:
    """When a purpose may spend again (epoch seconds); None when it may now, also where no budget is known."""
    if spent is None or spent.remaining is None or spent.limit is None or spent.ends_at <= now:
        return None
    if spent.remaining - 1 >= line(purpose, values, spent.limit):
        return None
    return spent.ends_at + _BREATH


def stretch(spent: Spent, values: BudgetValues, now: float) -> float:
    """How many times longer than usual to wait between two sweeps: 1 with twice the reserve left, 10 close to it."""
    if spent.remaining is None or spent.limit is None or spent.ends_at <= now:
        return 1.0
    start = line(Purpose.SWEEP, values, spent.limit)
    return min(max(start / max(spent.remaining - start, 1.0), 1.0), 10.0)


def pause(retry_after: float | None, strikes: int) -> float:
    """Seconds to leave GitHub alone: what it asked for, else a minute, doubled with each refusal in a row, up to 16
    minutes (docs.github.com, "Rate limits for the REST API").
    """
    return retry_after if retry_after is not None and retry_after > 0 else 60.0 * float(2 ** min(strikes, 4))
