"""What GitHub's issue search finds in a world: every issue and pull request as the search sees it."""

from __future__ import annotations

from typing import Any

from mergeq.sandbox import search
from mergeq.sandbox.graph_commits import rollup, rollup_state
from mergeq.sandbox.policy import opinions, review_decision
from mergeq.sandbox.records import Issue, Pull, Repo, ReviewState
from mergeq.sandbox.state import WorldState


def find(world: WorldState, text: str, sort: str | None = None, order: str = "desc") -> list[Pull | Issue]:
    """All hits, newest first unless the search, or ``sort`` (``created``, ``updated``) and ``order``, say otherwise."""
    wanted = search.parse(f"{text} sort:{sort}-{order}" if sort else text)
    found: dict[search.Candidate, Pull | Issue] = {}
    for repo in world.repos():
        for ticket in repo.tickets():
            item = candidate(repo, ticket)
            if search.matches(wanted, item):
                found[item] = ticket
    return [found[item] for item in search.order(wanted, found)]


def candidate(repo: Repo, ticket: Pull | Issue) -> search.Candidate:
    """What search knows of an issue or pull request."""
    shared: dict[str, Any] = {
        "repo": repo.full_name,
        "number": ticket.number,
        "state": ticket.state,
        "author": ticket.author,
        "created_at": int(ticket.created_at),
        "updated_at": int(ticket.updated_at),
        "labels": frozenset(ticket.labels),
        "milestone": ticket.milestone.title if ticket.milestone else None,
        "archived": repo.archived,
    }
    if isinstance(ticket, Issue):
        return search.Candidate(is_pull=False, **shared)
    reported = rollup(repo, ticket.head_sha)
    state = rollup_state(reported.contexts) if reported else None
    return search.Candidate(
        is_pull=True,
        base=ticket.base_ref,
        head=ticket.head_ref,
        draft=ticket.draft,
        merged=ticket.merged,
        reviews=_review_words(repo, ticket),
        status="failure" if state in ("ERROR", "FAILURE") else state.lower() if state else None,
        **shared,
    )


def _review_words(repo: Repo, pull: Pull) -> frozenset[str]:
    states = {review.state for review in opinions(pull).values()}
    words = set()
    if not pull.reviews:
        words.add("none")
    match review_decision(repo, pull):
        case "REVIEW_REQUIRED":
            words.add("required")
        case "APPROVED":
            words.add("approved")
        case None if states == {ReviewState.APPROVED}:
            words.add("approved")
    if ReviewState.CHANGES_REQUESTED in states:
        words.add("changes_requested")
    return frozenset(words)
