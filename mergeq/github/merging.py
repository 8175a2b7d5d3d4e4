"""What GitHub's answers to a merge mean: its messages, read once, become one of a few verdicts (spec of "Merge a pull
request", REST pages on pull requests). The message decides, never the status alone (Q6, Q13).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from mergeq.core.refusal import MergeRefusal


class MergeVerdict(StrEnum):
    """What is known after asking GitHub to merge (D6). In all cases but MERGED and UNKNOWN nothing happened.

    MERGED: it answered 200. UNKNOWN: it may or may not have happened (5xx, time-out, reset). MOVED: the head is another
    (409). RACED: the base moved, or GitHub says so (Q6); it passes in seconds. WAITS: something is missing that comes
    without anybody changing the pull request; the next look says what. REFUSED: this pull request does not merge as it
    is, or GitHub says something that is not known; it stands back. STOPPED: nothing can land on this branch like this
    until an administrator changes something.
    """

    MERGED = "merged"
    UNKNOWN = "unknown"
    MOVED = "moved"
    RACED = "raced"
    WAITS = "waits"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class MergeAnswer:
    """GitHub's answer to one merge call: `text` is its message, or what went wrong; `sha` only when MERGED, `refusal`,
    as Tide tells it apart, when it said no. Only when STOPPED: `remedy` for administrators, and whether what is stopped
    is one merge method alone.
    """

    verdict: MergeVerdict
    text: str
    sha: str | None = None
    refusal: MergeRefusal = MergeRefusal.OTHER
    remedy: str = ""
    by_method: bool = False


_ALLOW = "allow that merge method in the repository's settings, or choose another one for it"
_STOPPING: tuple[tuple[str, MergeRefusal | None, str], ...] = (
    (
        "not authorized to push to this branch",
        MergeRefusal.UNAUTHORIZED,
        "let mergeq's account push to this branch, in its protection's restrictions",
    ),
    ("merge commits are not allowed", MergeRefusal.METHOD_FORBIDDEN, _ALLOW),
    ("squash merges are not allowed", None, _ALLOW),
    ("rebase merges are not allowed", None, _ALLOW),
    (
        "through the merge queue",
        None,
        "let one queue have the branch: turn GitHub's merge queue off there, or take it out of the queries",
    ),
    ("repository was archived", None, "take the repository out of the queries"),
)
"""What stops a branch (T5.9, T5.10), what it is to Tide if not as its status says, and what to do about it."""

_WAITING = (
    ("required status check", "is expected"),
    ("required status check", "are expected"),
    ("required status check", "is pending"),
    ("required status check", "in progress"),
    ("required status checks have not succeeded",),
    ("approving review is required",),
    ("approving reviews are required",),
    ("code owner review",),
    ("other than the last pusher",),
    ("conversation must be resolved",),
    ("changes have been requested",),
    ("still a draft",),
    ("pull request is not mergeable",),
    ("head branch is out of date",),
    ("head branch is not up to date",),
)
"""What comes by itself, or by what others do (T5.11): all parts stand in the message."""

_PARKING = (
    ("required status check", "is failing"),
    ("required status check", "not set by the expected github app"),
    ("must not contain merge commits",),
    ("can't be rebased",),
    ("commits must have",),
    ("requires signed commits",),
    ("refusing to allow", "workflow"),
    ("resource not accessible",),
)
"""What stays until the pull request or a rule is changed (T5.11, T5.12)."""


_MOVED = ("not a fast forward", "not a fast-forward", "but expected", "cannot lock ref", "was modified")
"""What says of a ref that it is not where it was taken to be."""
_RULED = (
    "protected branch",
    "rule violation",
    "required status check",
    "not authorized",
    "not accessible",
    "refusing to allow",
    "archived",
)
"""What says that a ref is not for us to move, by a rule or for the want of a right."""

_OF_THE_BASE = ("base branch was modified", "is not mergeable", "merge conflict", "out of date", "not up to date")


def is_about_base(text: str) -> bool:
    """Whether GitHub may say otherwise as soon as the base moves."""
    return any(words in text.lower() for words in _OF_THE_BASE)


def refusal(status: int, text: str) -> MergeAnswer:
    """The meaning of an answer that is not 200; `status` is 0 when there was none. Messages compare without case.

    Several may come as one, joined by a space or as the lines of a ruleset's violations; then the gravest counts. What
    is not known is held back with its text.
    """
    if status == 0 or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return MergeAnswer(MergeVerdict.UNKNOWN, f"GitHub answered {status}" if status else text)
    if status == HTTPStatus.CONFLICT:
        return MergeAnswer(MergeVerdict.MOVED, text, refusal=MergeRefusal.HEAD_MODIFIED)
    said = text.lower()
    tides = MergeRefusal.UNMERGEABLE if status == HTTPStatus.METHOD_NOT_ALLOWED else MergeRefusal.OTHER
    for words, kind, remedy in _STOPPING:
        if words in said:
            return MergeAnswer(
                MergeVerdict.STOPPED, text, refusal=kind or tides, remedy=remedy, by_method=remedy == _ALLOW
            )
    if not _says(said, _PARKING):
        if _says(said, _WAITING):
            return MergeAnswer(MergeVerdict.WAITS, text, refusal=tides)
        if "base branch was modified" in said:
            return MergeAnswer(MergeVerdict.RACED, text, refusal=MergeRefusal.BASE_CHANGED)
    return MergeAnswer(MergeVerdict.REFUSED, text, refusal=tides)


def push_refusal(status: int, text: str) -> MergeAnswer:
    """The meaning of an answer to moving a base (GraphQL, "updateRefs") that is not a success: UNKNOWN without a
    `status` of a refusal (Q5), else nothing was done.

    RACED: the base is not where it was, or GitHub says so (Q54). STOPPED: a rule or a right is against it. REFUSED:
    whatever else GitHub says, which may pass (Q53).
    """
    said = text.lower()
    if status == 0 or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return MergeAnswer(MergeVerdict.UNKNOWN, text)
    if status == HTTPStatus.CONFLICT or any(words in said for words in _MOVED):
        return MergeAnswer(MergeVerdict.RACED, text, refusal=MergeRefusal.BASE_CHANGED)
    is_ruled = any(words in said for words in _RULED)
    return MergeAnswer(MergeVerdict.STOPPED if is_ruled else MergeVerdict.REFUSED, text)


def _says(said: str, known: Iterable[tuple[str, ...]]) -> bool:
    return any(all(part in said for part in parts) for parts in known)
