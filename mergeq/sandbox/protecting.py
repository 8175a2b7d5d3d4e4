"""Keeping and lifting classic protection, whoever does it and by which API, with the events that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.protection_shapes import rule_shape
from mergeq.sandbox.records import Protection, Repo, Restrictions

if TYPE_CHECKING:
    from mergeq.sandbox.state import WorldState

_EVENT = "branch_protection_rule"
_TOLD = frozenset(
    {
        "admin_enforced",
        "allow_deletions_enforcement_level",
        "allow_force_pushes_enforcement_level",
        "authorized_actor_names",
        "authorized_actors_only",
        "authorized_dismissal_actors_only",
        "dismiss_stale_reviews_on_push",
        "linear_history_requirement_enforcement_level",
        "lock_allows_fork_sync",
        "lock_branch_enforcement_level",
        "pull_request_reviews_enforcement_level",
        "require_code_owner_review",
        "require_last_push_approval",
        "required_approving_review_count",
        "required_conversation_resolution_level",
        "required_deployments_enforcement_level",
        "required_status_checks",
        "required_status_checks_enforcement_level",
        "signature_requirement_enforcement_level",
    }
)
"""What an event of a change says the value before of."""


def keep(world: WorldState, repo: Repo, pattern: str, rule: Protection, by: str, before: str | None = None) -> None:
    """Have a rule in force, in the place of the one of the same pattern or of `before`, whose age it keeps."""
    old = before or pattern
    known = repo.protections.get(old)
    kept = {pattern if name == old else name: rule if name == old else one for name, one in repo.protections.items()}
    repo.protections.clear()
    repo.protections.update(kept if known else {**kept, pattern: rule})
    told: dict[str, Any] = {"action": "edited" if known else "created", "rule": rule_shape(world, repo, pattern, rule)}
    if known:
        told["changes"] = _changes(rule_shape(world, repo, old, known), told["rule"])
    world.note_act(repo, by, f"protected_branch.{'update' if known else 'create'}", pattern)
    world.emit(_EVENT, repo, told, by=by)


def lift(world: WorldState, repo: Repo, pattern: str, by: str) -> None:
    """Take a rule away; nothing happens if there is none."""
    rule = repo.protections.pop(pattern, None)
    if rule is not None:
        world.note_act(repo, by, "protected_branch.destroy", pattern)
        world.emit(_EVENT, repo, {"action": "deleted", "rule": rule_shape(world, repo, pattern, rule)}, by=by)


def disable_all(world: WorldState, repo: Repo, by: str) -> None:
    """Take all rules away at once, of which no event tells each (P6.58)."""
    repo.protections.clear()
    world.emit("branch_protection_configuration", repo, {"action": "disabled"}, by=by)


def writers_of(repo: Repo, named: Restrictions) -> Restrictions:
    """Those of a list who may write: the others GitHub leaves out without a word (P4.34)."""
    people = repo.people
    return Restrictions(
        tuple(login for login in named.users if people.may_write(login)),
        tuple(slug for slug in named.teams if people.team_may_write(slug)),
        tuple(slug for slug in named.apps if people.may_write(f"{slug}[bot]")),
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"from": before[name]} for name in sorted(_TOLD) if before[name] != after[name]}
