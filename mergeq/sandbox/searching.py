"""What GitHub's issue search finds in a world: every issue and pull request as the search sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mergeq.sandbox import search
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.graph_commits import rollup, rollup_state
from mergeq.sandbox.policy import opinions, review_decision
from mergeq.sandbox.records import Issue, Pull, Repo, ReviewState, Ticket
from mergeq.sandbox.state import WorldState

Index = Sequence[tuple[search.Candidate, Ticket]]


def find(
    world: WorldState, sees: Callable[[Repo], bool], text: str, sort: str | None = None, order: str = "desc"
) -> list[Ticket]:
    """All hits in the repositories that are seen, newest first unless the search, or ``sort`` (``created``,
    ``updated``) and ``order``, say otherwise. What is asked for too much finds nothing, without a word (Q21).
    """
    wanted = search.parse(f"{text} sort:{sort}-{order}" if sort else text)
    is_broad = len(wanted.scopes) > 1
    if (is_broad or len(text) > search.MAX_LENGTH) and world.faults.fires(FaultId.SEARCH_STRICT_2025):
        return []
    either = is_broad and world.faults.fires(FaultId.SEARCH_LEGACY_OR) is not None
    entries = _without_dropped(world, _indexed(world))
    seen = {repo.full_name for repo in world.repos() if sees(repo)}
    found = {
        item: ticket for item, ticket in entries if ticket.repo in seen and search.matches(wanted, item, either=either)
    }
    return [found[item] for item in search.order(wanted, found)]


def _indexed(world: WorldState) -> Index:
    """Everything search knows: as it is, or with ``search.lag`` as it was up to that long ago (Q20)."""
    late, now = world.faults.standing(FaultId.SEARCH_LAG), world.now()
    if late is not None and world.search_index is not None and now < world.search_index[0] + late.delay_s:
        world.faults.fires(FaultId.SEARCH_LAG, late.repo)
        return world.search_index[1]
    entries: Index = [(candidate(repo, ticket), ticket) for repo in world.repos() for ticket in repo.tickets]
    world.search_index = None if late is None else (now, entries)
    return entries


def _without_dropped(world: WorldState, entries: Index) -> Index:
    """With ``search.drop`` some pull requests, or all, are not found (Q19)."""
    drop = world.faults.standing(FaultId.SEARCH_DROP)
    fault = None if drop is None else world.faults.fires(FaultId.SEARCH_DROP, drop.repo)
    if fault is None:
        return entries
    numbers = fault.args.get("prs")
    return [
        (item, ticket)
        for item, ticket in entries
        if fault.repo not in (None, ticket.repo) or (numbers is not None and ticket.number not in numbers)
    ]


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
        "assignees": frozenset(ticket.assignees),
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
        asked=frozenset(ticket.reviewers).union(*(repo.people.teams.get(t, ()) for t in ticket.reviewing_teams)),
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
