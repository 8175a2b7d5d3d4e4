"""GitHub's issue search as a pure function: the qualifiers Tide and merge queues use, under the rules of 2025.

Several tokens of one qualifier all have to match, ``repo:`` and ``org:`` included (Q21); commas inside
``label:`` mean "any of". What is not understood is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mergeq.sandbox.refusals import NotSimulatedError

MAX_RESULTS = 1000
MAX_LENGTH = 256
"""Characters of a search over REST."""
_TOKEN = re.compile(r'\S*?"[^"]*"(?:,(?:"[^"]*"|[^\s",]+))*|\S+')
_VALUE = re.compile(r'"([^"]*)"|([^",]+)')
_SCOPES = frozenset({"repo", "org", "user"})
_NEGATABLE = frozenset(
    {*_SCOPES, "base", "head", "label", "author", "milestone", "assignee", "mentions", "review-requested"}
)
_CHOICES = {
    "is": {"pr", "issue", "open", "closed", "merged", "draft"},
    "type": {"pr", "issue"},
    "state": {"open", "closed"},
    "archived": {"true", "false"},
    "draft": {"true", "false"},
    "review": {"none", "required", "approved", "changes_requested"},
    "status": {"success", "failure", "pending"},
    "sort": {f"{field}{way}" for field in ("updated", "created") for way in ("", "-asc", "-desc")},
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What search knows of one issue or pull request; times are whole epoch seconds.

    ``reviews`` holds every value of ``review:`` that fits; ``status`` is None where nothing has reported.
    """

    repo: str
    number: int
    is_pull: bool
    state: str
    author: str
    created_at: int
    updated_at: int
    labels: frozenset[str] = frozenset()
    base: str | None = None
    head: str | None = None
    milestone: str | None = None
    draft: bool = False
    merged: bool = False
    archived: bool = False
    assignees: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    """Who is asked for a review, by themselves or as one of a team."""
    reviews: frozenset[str] = frozenset()
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One qualifier; any of ``values`` will do."""

    name: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` up to but not including ``end``, in epoch seconds."""

    start: float
    end: float

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end


NOTHING = Span(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search that has been read."""

    terms: tuple[Term, ...]
    sort: str = "created"
    descending: bool = True

    @property
    def scopes(self) -> tuple[Term, ...]:
        """Where it looks."""
        return tuple(term for term in self.terms if term.name in _SCOPES and not term.negated)


def parse(text: str) -> SearchQuery:
    """Read a search; raises NotSimulatedError for free text, boolean operators and unknown qualifiers."""
    terms = []
    sort, descending = "created", True
    for token in _TOKEN.findall(text):
        term = _term(token)
        if term.name == "sort":
            sort, _, way = term.values[0].partition("-")
            descending = way != "asc"
        else:
            terms.append(term)
    return SearchQuery(tuple(terms), sort, descending)


def _term(token: str) -> Term:
    negated = token.startswith("-")
    name, colon, rest = token.removeprefix("-").partition(":")
    if not colon or not re.fullmatch(r"[a-z-]+", name):
        raise NotSimulatedError(f"free text in a search: {token}")
    known = name in _CHOICES or name in _NEGATABLE or name in ("created", "updated")
    if not known or (negated and name not in _NEGATABLE):
        raise NotSimulatedError(f"qualifier {'-' if negated else ''}{name}:")
    values = tuple(quoted or bare for quoted, bare in _VALUE.findall(rest))
    if not values or (len(values) > 1 and name != "label"):
        raise NotSimulatedError(f"value in a search: {token}")
    if name in _CHOICES and values[0] not in _CHOICES[name]:
        raise NotSimulatedError(f"value in a search: {token}")
    return Term(name, values, negated)


def matches(query: SearchQuery, item: Candidate, *, either: bool = False) -> bool:
    """Whether an issue or pull request is a hit; with ``either`` one of several scopes will do, as before 2025."""
    scopes = query.scopes if either else ()
    others = (term for term in query.terms if term not in scopes)
    return (not scopes or any(_fits(term, item) for term in scopes)) and all(
        _fits(term, item) != term.negated for term in others
    )


def order(query: SearchQuery, items: Iterable[Candidate]) -> list[Candidate]:
    """Newest first unless the query says otherwise; what is equally old is ordered by number."""
    if query.sort == "updated":
        return sorted(items, key=lambda item: (item.updated_at, item.number), reverse=query.descending)
    return sorted(items, key=lambda item: (item.created_at, item.number), reverse=query.descending)


def _fits(term: Term, item: Candidate) -> bool:
    """Whether one term, taken as not negated, applies."""
    return _TESTS[term.name](term.values[0], item) if term.name != "label" else _has_label(term, item)


def _has_label(term: Term, item: Candidate) -> bool:
    return bool({value.casefold() for value in term.values} & {label.casefold() for label in item.labels})


def _same(value: str, other: str | None) -> bool:
    return other is not None and value.casefold() == other.casefold()


def _is_among(value: str, logins: frozenset[str]) -> bool:
    return any(_same(value, login) for login in logins)


def _is_author(value: str, item: Candidate) -> bool:
    app = value.removeprefix("app/")
    return _same(value if app == value else f"{app}[bot]", item.author)


def _has_kind(value: str, item: Candidate) -> bool:
    match value:
        case "pr":
            return item.is_pull
        case "issue":
            return not item.is_pull
        case "merged":
            return item.merged
        case "draft":
            return item.draft
    return item.state == value


def _span(text: str) -> Span:
    """The time a date qualifier covers; a date that cannot be read silently covers none, as on GitHub."""
    low, dots, high = text.partition("..")
    if dots:
        first, last = _moment(low), _moment(high)
        start = 0.0 if low == "*" else first.start if first else None
        end = float("inf") if high == "*" else last.end if last else None
        return NOTHING if start is None or end is None else Span(start, end)
    operator = re.match(r"[<>]=?", text)
    sign = operator.group() if operator else ""
    moment = _moment(text.removeprefix(sign))
    if moment is None:
        return NOTHING
    match sign:
        case ">=":
            return Span(moment.start, float("inf"))
        case ">":
            return Span(moment.end, float("inf"))
        case "<=":
            return Span(0.0, moment.end)
        case "<":
            return Span(0.0, moment.start)
    return moment


def _moment(text: str) -> Span | None:
    """A day, or one second of it; None before 1970 or if unreadable."""
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        return None
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    length = timedelta(days=1) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else timedelta(seconds=1)
    if start.timestamp() < 0:
        return None
    return Span(start.timestamp(), (start + length).timestamp())


_TESTS: Mapping[str, Callable[[str, Candidate], bool]] = {
    "is": _has_kind,
    "type": _has_kind,
    "state": _has_kind,
    "archived": lambda value, item: item.archived == (value == "true"),
    "draft": lambda value, item: item.is_pull and item.draft == (value == "true"),
    "repo": lambda value, item: _same(value, item.repo),
    "org": lambda value, item: _same(value, item.repo.partition("/")[0]),
    "user": lambda value, item: _same(value, item.repo.partition("/")[0]),
    "base": lambda value, item: item.base == value,
    "head": lambda value, item: item.head == value,
    "author": _is_author,
    "milestone": lambda value, item: _same(value, item.milestone),
    "review": lambda value, item: value in item.reviews,
    "status": lambda value, item: item.status == value,
    "assignee": lambda value, item: _is_among(value, item.assignees),
    "review-requested": lambda value, item: _is_among(value, item.asked),
    "mentions": lambda _value, _item: False,  # texts are not read
    "updated": lambda value, item: _span(value).holds(item.updated_at),
    "created": lambda value, item: _span(value).holds(item.created_at),
}
