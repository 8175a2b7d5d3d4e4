"""GraphQL's mutations of rulesets: what is sent is put as REST writes it, and then kept in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergeq.sandbox.graph_commits import ActorNode
from mergeq.sandbox.graph_protecting import forbidden, require_admin
from mergeq.sandbox.graph_protection import TeamNode
from mergeq.sandbox.graph_repos import the_node
from mergeq.sandbox.graph_rulesets import RulesetNode
from mergeq.sandbox.graph_schema import Context, snake
from mergeq.sandbox.records import App, Repo
from mergeq.sandbox.refusals import invalid
from mergeq.sandbox.ruleset_forms import Shelf, drop, no_input, save

Input = Mapping[str, Any]
_PLAIN = ("name", "enforcement", "target")
_ADMINISTRATION = ({"administration": "write"},)
_ORGANIZATION = ({"organization_administration": "write"},)
_ACTORS = {App: "Integration", TeamNode: "Team", ActorNode: "User"}


def create_repository_ruleset(context: Context, asked: Input) -> dict[str, Any]:
    """A ruleset of a repository, or of an organization for those its conditions name."""
    source = the_node(context, asked["sourceId"], object)
    if isinstance(source, Repo):
        node, shelf = source, _of_repo(context, source, "CreateRepositoryRuleset")
    elif isinstance(source, ActorNode) and source.kind == "Organization":
        node, shelf = _of_organization(context, source.login, "CreateRepositoryRuleset")
    else:
        raise invalid("RepositoryRuleset", "source must be a repository or an organization", "source")
    ruleset = save(context.world, shelf, _as_rest(context, asked), None, context.viewer)
    return {"ruleset": RulesetNode(node, ruleset)}


def update_repository_ruleset(context: Context, asked: Input) -> dict[str, Any]:
    """What is not mentioned stays."""
    node = the_node(context, asked["repositoryRulesetId"], RulesetNode)
    shelf = _shelf_of(context, node, "UpdateRepositoryRuleset")
    ruleset = save(context.world, shelf, _as_rest(context, asked), node.ruleset, context.viewer)
    return {"ruleset": RulesetNode(node.repo, ruleset)}


def delete_repository_ruleset(context: Context, asked: Input) -> dict[str, Any]:
    """Take a ruleset away."""
    node = the_node(context, asked["repositoryRulesetId"], RulesetNode)
    drop(context.world, _shelf_of(context, node, "DeleteRepositoryRuleset"), node.ruleset, context.viewer)
    return {}


def _shelf_of(context: Context, node: RulesetNode, mutation: str) -> Shelf:
    if node.ruleset.of_owner:
        return _of_organization(context, node.ruleset.source, mutation)[1]
    return _of_repo(context, node.repo, mutation)


def _of_repo(context: Context, repo: Repo, mutation: str) -> Shelf:
    require_admin(context, repo, mutation)
    context.require(_ADMINISTRATION, repo)
    return Shelf.of_repo(repo)


def _of_organization(context: Context, org: str, mutation: str) -> tuple[Repo, Shelf]:
    """One of its repositories to look from, and where its rulesets are kept; for its owners and Apps that may."""
    if not context.caller.owns(org) or not context.caller.may(_ORGANIZATION, None):
        raise forbidden(context, mutation)
    mine = next(repo for repo in context.world.repos() if repo.owner.casefold() == org.casefold())
    return mine, Shelf.of_owner(mine)


def _as_rest(context: Context, asked: Input) -> dict[str, Any]:
    """The body that REST would be sent; null says nothing."""
    given = {name: value for name, value in asked.items() if value is not None}
    sent = {name: given[name] for name in _PLAIN if name in given}
    sent |= {name: sent[name].lower() for name in ("enforcement", "target") if name in sent}
    if "rules" in given:
        sent["rules"] = [_rule(place, rule) for place, rule in enumerate(given["rules"])]
    if "conditions" in given:
        sent["conditions"] = _conditions(context, given["conditions"])
    if "bypassActors" in given:
        sent["bypass_actors"] = [_bypass_actor(context, actor) for actor in given["bypassActors"]]
    return sent


def _rule(place: int, sent: Input) -> dict[str, Any]:
    """A rule's parameters stand under a key that is called like its type, and no other key may be there."""
    kind, parameters = sent["type"].lower(), _spelt(sent.get("parameters") or {})
    if parameters.keys() - {kind}:
        raise no_input(f"/rules/{place}")
    rule: dict[str, Any] = {"type": kind, "parameters": parameters.get(kind)}
    methods = rule["parameters"] and rule["parameters"].get("allowed_merge_methods")
    if methods:
        rule["parameters"]["allowed_merge_methods"] = [method.lower() for method in methods]
    return rule


def _conditions(context: Context, sent: Input) -> dict[str, Any]:
    conditions: dict[str, Any] = _spelt(sent)
    if "repository_id" in conditions:
        ids = conditions["repository_id"]["repository_ids"]
        conditions["repository_id"] = {"repository_ids": [the_node(context, one, Repo).id for one in ids]}
    return conditions


def _bypass_actor(context: Context, sent: Input) -> dict[str, Any]:
    mode = sent["bypassMode"].lower()
    if sent.get("organizationAdmin"):
        return {"actor_type": "OrganizationAdmin", "actor_id": 1, "bypass_mode": mode}
    if sent.get("deployKey"):
        return {"actor_type": "DeployKey", "actor_id": None, "bypass_mode": mode}
    if sent.get("repositoryRoleDatabaseId") is not None:
        return {"actor_type": "RepositoryRole", "actor_id": sent["repositoryRoleDatabaseId"], "bypass_mode": mode}
    if sent.get("enterpriseOwner") or not sent.get("actorId"):
        return {"actor_type": "EnterpriseOwner", "actor_id": None, "bypass_mode": mode}
    who = the_node(context, sent["actorId"], object)
    users = context.world.users
    match who:
        case App():
            number = who.id
        case TeamNode():
            number = users.team_id(who.owner, who.slug)
        case ActorNode():
            number = users.id_of(who.login)
        case _:
            raise invalid("RepositoryRuleset", "a bypass actor is a team, an App or a user", "bypass_actors")
    return {"actor_type": _ACTORS[type(who)], "actor_id": number, "bypass_mode": mode}


def _spelt(value: Any) -> Any:
    """What is sent with keys as REST spells them, without those that are null."""
    if isinstance(value, Mapping):
        return {snake(name): _spelt(part) for name, part in value.items() if part is not None}
    return [_spelt(item) for item in value] if isinstance(value, list) else value
