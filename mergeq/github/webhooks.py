"""Webhooks: is a delivery from GitHub, and what does it touch? Payloads are hints; facts are always read again."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mergeq.core.pool import Arrival
from mergeq.core.pull import Branch
from mergeq.github.parse import seconds

_HEADS = "refs/heads/"
_PULL_EVENTS = frozenset({"pull_request", "pull_request_review", "pull_request_review_thread"})
_REPOSITORY_EVENTS = frozenset(
    {"issues", "label", "milestone", "repository", "branch_protection_rule", "repository_ruleset"}
)


@dataclass(frozen=True, slots=True)
class Touched:
    """What one delivery is about: branches named outright, the head of pull requests to be looked up, or a whole
    repository.
    """

    repo: str
    branches: frozenset[Branch] = frozenset()
    head: str = ""
    whole_repo: bool = False


def is_genuine(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Whether the raw bytes were signed with one of the secrets (``X-Hub-Signature-256``), compared in constant
    time.
    """
    given = signature.encode("utf-8", "replace")
    expected = [b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode() for secret in secrets]
    return any([hmac.compare_digest(one, given) for one in expected])  # noqa: C419 -- every secret is compared, always


def touched(event: str, payload: Any, ours: str) -> Touched | None:
    """What an event may have changed; None when nothing that is decided here depends on it, or it is not readable.

    `ours` is our own status context: its reports change nothing.
    """
    try:
        repo = payload["repository"]["full_name"]
        org, name = repo.split("/")
        if event in _PULL_EVENTS:
            bases = {payload["pull_request"]["base"]["ref"]}
            bases |= {payload["changes"]["base"]["ref"]["from"]} if "base" in payload.get("changes", {}) else set()
            return Touched(repo, frozenset(Branch(org, name, base) for base in bases))
        if event == "push" and payload["ref"].startswith(_HEADS):
            return Touched(repo, frozenset({Branch(org, name, payload["ref"].removeprefix(_HEADS))}))
        if event == "status" and payload["context"].lower() != ours.lower():
            return Touched(repo, head=payload["sha"])
        if event in {"check_run", "check_suite"}:
            return Touched(repo, head=payload[event]["head_sha"])
        if event in _REPOSITORY_EVENTS:
            return Touched(repo, whole_repo=True)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return None


def arrival(event: str, payload: Any) -> tuple[int, Arrival] | None:
    """The head that a delivery says has just come to a pull request, by number (D17); None for any other event.

    Its time is GitHub's own, of the push or the opening, to the second.
    """
    try:
        if event != "pull_request" or payload["action"] not in {"opened", "synchronize"}:
            return None
        pull = payload["pull_request"]
        opened = payload["action"] == "opened"
        at = seconds(pull["created_at"] if opened else pull["updated_at"])
        return int(pull["number"]), Arrival(str(pull["head"]["sha"]), at, original=opened)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
