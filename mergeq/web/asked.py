"""What a query string asks for, as values; what cannot be read is answered with one sentence and 400."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from flask import abort
from werkzeug.exceptions import BadRequest

from mergeq.core.audit import Result
from mergeq.store import Wanted
from mergeq.store.protection import Sought
from mergeq.web.views import ACTIONS, STATES

FILTERS = ("repo", "branch", "pull", "author", "action", "state", "from", "to")
_REPO = re.compile(r"[^/:\s]+/[^/:\s]+")
_ABOUT = re.compile(r"[^/:\s]+(/[^/:\s]+(:\S+)?)?")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_EPOCH = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")


def wanted(asked: Mapping[str, str]) -> Wanted:
    """The filters of the history. An empty value asks for nothing, as an untouched form field sends it."""
    repo = asked.get("repo", "")
    if repo and not _REPO.fullmatch(repo):
        abort(400, f"repo must be ORG/REPO, not {_quoted(repo)}")
    return Wanted(
        repo=repo,
        branch=asked.get("branch", ""),
        pull=number(asked, "pull", 0, most=2**31) or None,
        author=asked.get("author", ""),
        action=_one_of(asked, "action", ACTIONS),
        state=_one_of(asked, "state", STATES),
        since=_time(asked, "from"),
        until=_time(asked, "to"),
    )


def sought(asked: Mapping[str, str]) -> Sought:
    """The filters of the audit; `repo` may be an organization as well, or a target as ORG/REPO:PATTERN."""
    about = asked.get("repo", "")
    if about and not _ABOUT.fullmatch(about):
        abort(400, f"repo must be ORG, ORG/REPO or ORG/REPO:PATTERN, not {_quoted(about)}")
    return Sought(
        about=about,
        result=_one_of(asked, "result", tuple(Result)),
        by=asked.get("by", ""),
        since=_time(asked, "from"),
        until=_time(asked, "to"),
    )


def number(asked: Mapping[str, str], name: str, otherwise: int, *, most: int) -> int:
    """A number from 1 to `most`, or `otherwise` where none is asked for."""
    text = asked.get(name, "").strip().removeprefix("#")
    if not text:
        return otherwise
    if not _NUMBER.fullmatch(text) or int(text) > most:
        abort(400, f"{name} must be a number from 1 to {most}, not {_quoted(text)}")
    return int(text)


def _one_of(asked: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    text = asked.get(name, "")
    known = {value.lower(): value for value in allowed}
    if text and text.lower() not in known:
        abort(400, f"{name} must be one of {', '.join(allowed)}, not {_quoted(text)}")
    return known.get(text.lower(), "")


def _time(asked: Mapping[str, str], name: str) -> float | None:
    """Seconds since 1970, given as such or as RFC 3339; a blank is a plus sign that nobody quoted."""
    text = asked.get(name, "").strip()
    if not text:
        return None
    if _EPOCH.fullmatch(text):
        return float(text)
    with suppress(ValueError, OverflowError):
        read = datetime.fromisoformat(text.replace(" ", "+"))
        if read.tzinfo is not None:
            return read.timestamp()
    example = "a time like 2026-01-05T09:00:00Z, or seconds since 1970"
    raise BadRequest(f"{name} must be {example}, not {_quoted(text)}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
