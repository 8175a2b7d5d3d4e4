"""What GitHub allows, accounted for across processes: every call is let through or held back by purpose, paid for, and
what GitHub says of its limits is believed (D12).
"""

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from mergeq.core.budget import BudgetValues, Hold, Purpose, Spent, held_until, pause

_PAGE_SECONDS = 3600.0  # how long a smaller page is believed to be needed
_FORGOTTEN = 600.0  # seconds after a hold from which another refusal is the first again
_LIMITS = ("api rate limit exceeded", "secondary rate limit", "abuse detection mechanism")

_WORD = ("limit", "remaining", "reset")

Headers = Mapping[str, str]
"""The headers of an answer by their names in lower case, or in any case where the mapping takes any."""


class Kind(StrEnum):
    """Whether a call may be repeated (D6)."""

    READ = "read"
    WRITE = "write"


class HeldBack(Exception):
    """GitHub's limits, or ours, hold a call back: it was not sent, or GitHub refused and did nothing of it. `until`
    (epoch seconds) is when it may go on.
    """

    def __init__(self, why: str, until: float) -> None:
        super().__init__(why)
        self.until = until


class Ledger(Protocol):
    """Where what was spent is kept, for all processes together."""

    def spend(
        self,
        account: str,
        resource: str,
        purpose: str,
        kind: str,
        points: float,
        now: float,
        told: tuple[float, float, float] | None,
    ) -> None: ...

    def allowance(self, account: str, resource: str) -> tuple[Hold | None, Spent | None]: ...

    def hold_off(self, account: str, hold: Hold) -> None: ...

    def hold(self, account: str) -> Hold | None: ...

    def remember(self, what: str, answer: str, until: float) -> None: ...

    def recall(self, what: Sequence[str], now: float) -> list[str | None]: ...

    def is_news(self, what: str) -> bool: ...

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None: ...


class Alone:
    """A ledger for one command, which is forgotten with it."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}
        self._known: dict[str, tuple[str, float]] = {}

    def spend(self, *_: object) -> None:
        """GitHub counts by itself."""

    def allowance(self, account: str, _resource: str) -> tuple[Hold | None, None]:
        return self._holds.get(account), None

    def hold_off(self, account: str, hold: Hold) -> None:
        self._holds[account] = hold

    def hold(self, account: str) -> Hold | None:
        return self._holds.get(account)

    def remember(self, what: str, answer: str, until: float) -> None:
        self._known[what] = (answer, until)

    def recall(self, what: Sequence[str], now: float) -> list[str | None]:
        known = (self._known.get(one, (None, 0.0)) for one in what)
        return [answer if until > now else None for answer, until in known]

    def is_news(self, _what: str) -> bool:
        return False

    def count(self, _name: str, _amount: float = 1.0, /, **_labels: str) -> None:
        """Nobody asks for figures."""


class Meter:
    """Lets calls through and accounts for them. `account` is whose limit it is: an organization with the App installed,
    or ``*`` for the bearer of one token; `resource` is GitHub's name of the limit.
    """

    def __init__(
        self,
        ledger: Ledger,
        values: Callable[[], BudgetValues],
        now: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self.ledger, self.now = ledger, now
        self._values, self._tell = values, tell

    def set_most(self, what: str, most: int) -> None:
        """Ask for no more than so many of something at once, for an hour."""
        self.ledger.remember(f"most {what}", str(most), self.now() + _PAGE_SECONDS)

    def most(self, what: str) -> int | None:
        """How many of something to ask for at once at most; None where it is not known to be too many."""
        (told,) = self.ledger.recall([f"most {what}"], self.now())
        return int(told) if told else None

    def admit(self, account: str, resource: str, purpose: Purpose) -> None:
        """Let a call through, or raise HeldBack."""
        now = self.now()
        hold, spent = self.ledger.allowance(account, resource)
        if hold is not None and hold.until > now:
            raise HeldBack(f"GitHub is left alone for a while: {hold.why}", hold.until)
        until = held_until(purpose, spent, self._values(), now)
        if until is not None and spent is not None and spent.remaining is not None:
            self.ledger.count("mergeq_github_held_total", owner=account, resource=resource, purpose=purpose.value)
            raise HeldBack(
                f"{spent.remaining:.0f} of {spent.limit:.0f} {resource} points are left, too few for {purpose.value}",
                until,
            )

    def charge(
        self,
        account: str,
        resource: str,
        purpose: Purpose,
        kind: Kind,
        points: float,
        told: tuple[float, float, float] | None,
    ) -> None:
        """Account for a call that was sent; `told` is limit, remaining and the end of the hour, if GitHub said so."""
        self.ledger.spend(account, resource, purpose.value, kind.value, points, self.now(), told)

    def note_silence(self, account: str, resource: str) -> None:
        """Say once that GitHub tells nothing of a limit, as Enterprise Server may: nothing is held back then (Q84)."""
        if self.ledger.is_news(f"no limit is known: {account} {resource}"):
            self._tell(f"GitHub tells of no limit for {resource}, so no budget is kept there")

    def told(self, headers: Headers) -> tuple[float, float, float] | None:
        """GitHub's last word in the headers of an answer, by our clock; None where they do not say."""
        try:
            limit, remaining, ends_at = (float(headers[f"x-ratelimit-{name}"]) for name in _WORD)
        except (KeyError, ValueError):
            return None
        return limit, remaining, self.by_our_clock(headers, ends_at)

    def by_our_clock(self, headers: Headers, at: float) -> float:
        """A moment by GitHub's clock, which an answer's Date shows, by ours (Q61)."""
        now = self.now()
        return at + now - clock_of(headers, now)

    def hold_for(self, account: str, status: int, headers: Headers, text: str) -> HeldBack | None:
        """What is to be raised for a refusal, if a limit is its reason: from here on every process leaves the account
        alone, until GitHub's own word or for a minute and more (Q59-Q62, docs.github.com "Rate limits for the REST
        API").
        """
        said = text.lower()
        is_empty = headers.get("x-ratelimit-remaining") == "0"
        is_hinted = is_empty or "retry-after" in headers or any(one in said for one in _LIMITS)
        if status != HTTPStatus.TOO_MANY_REQUESTS and not (status == HTTPStatus.FORBIDDEN and is_hinted):
            return None
        now, wait = self.now(), seconds_in(headers)
        told = self.told(headers)
        is_primary = wait is None and told is not None and (is_empty or _LIMITS[0] in said)
        if is_primary and told is not None:
            wait = told[2] - now + 1
        before = self.ledger.hold(account)
        recent = before is not None and now - before.until < _FORGOTTEN
        strikes = before.strikes + (before.until <= now) if before and recent else 0
        hold = Hold(now + pause(wait, strikes), text, strikes)
        self.ledger.hold_off(account, hold)
        self.ledger.count("mergeq_github_pauses_total", owner=account, limit="primary" if is_primary else "secondary")
        return HeldBack(f"GitHub refused: {text}", hold.until)


def seconds_in(headers: Headers) -> float | None:
    """The seconds of a Retry-After header; None where there is none."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def clock_of(headers: Headers, fallback: float) -> float:
    """The time of the Date header, in epoch seconds."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return fallback
