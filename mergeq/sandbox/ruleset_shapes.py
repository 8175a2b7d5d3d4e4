"""The JSON GitHub's REST API shows for rulesets, the rules of a branch, and how writes were judged."""

from __future__ import annotations

from mergeq.sandbox.clock import iso
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Repo
from mergeq.sandbox.rulesets import BypassMode, Rule, Ruleset, RuleSuite
from mergeq.sandbox.shapes import Json, Shapes

_MINE = {
    BypassMode.ALWAYS: "always",
    BypassMode.PULL_REQUEST: "pull_requests_only",
    BypassMode.EXEMPT: "exempt",
    None: "never",
}


def ruleset_summary(shapes: Shapes, ruleset: Ruleset) -> Json:
    """A ruleset as lists show it: without its rules, conditions and actors."""
    owner_path = "orgs" if ruleset.of_owner else "repos"
    place = f"organizations/{ruleset.source}/settings/rules" if ruleset.of_owner else f"{ruleset.source}/rules"
    return {
        "id": ruleset.id,
        "name": ruleset.name,
        "target": ruleset.target,
        "source_type": _source_type(ruleset),
        "source": ruleset.source,
        "enforcement": ruleset.enforcement,
        "node_id": node_id("RRS", ruleset.id),
        "created_at": iso(ruleset.created_at),
        "updated_at": iso(ruleset.updated_at),
        "_links": {
            "self": {"href": f"{shapes.api}/{owner_path}/{ruleset.source}/rulesets/{ruleset.id}"},
            "html": {"href": f"{shapes.web}/{place}/{ruleset.id}"},
        },
    }


def ruleset_shape(shapes: Shapes, ruleset: Ruleset, repo: Repo | None, viewer: str | None) -> Json:
    """The whole of it; whom it lets through is for administrators, and a repository's says what the asker may do."""
    shape = ruleset_summary(shapes, ruleset)
    shape["conditions"] = ruleset.conditions
    shape["rules"] = [rule_shape(rule) for rule in ruleset.rules]
    people = shapes.world.users if repo is None else repo.people
    if viewer is not None and people.is_admin(viewer):
        shape["bypass_actors"] = [
            {"actor_id": actor.id, "actor_type": actor.kind, "bypass_mode": actor.mode} for actor in ruleset.bypass
        ]
    if repo is not None:
        shape["current_user_can_bypass"] = _MINE[ruleset.mode_for(repo, viewer) if viewer else None]
    return shape


def _source_type(ruleset: Ruleset) -> str:
    return "Organization" if ruleset.of_owner else "Repository"


def rule_shape(rule: Rule) -> Json:
    """One rule; those without parameters have no such key."""
    return {"type": rule.type} if rule.parameters is None else {"type": rule.type, "parameters": rule.parameters}


def branch_rule_shape(ruleset: Ruleset, rule: Rule) -> Json:
    """One rule as it is in force on a branch, with where it comes from."""
    return {
        **rule_shape(rule),
        "ruleset_source_type": _source_type(ruleset),
        "ruleset_source": ruleset.source,
        "ruleset_id": ruleset.id,
    }


def suite_shape(shapes: Shapes, repo: Repo, suite: RuleSuite) -> Json:
    """How one write was judged."""
    return {
        "id": suite.id,
        "actor_id": shapes.world.users.id_of(suite.actor),
        "actor_name": suite.actor,
        "before_sha": suite.before,
        "after_sha": suite.after,
        "ref": suite.ref,
        "repository_id": repo.id,
        "repository_name": repo.name,
        "pushed_at": iso(suite.at),
        "result": suite.result,
    }
