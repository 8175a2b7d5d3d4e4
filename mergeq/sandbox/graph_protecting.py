"""GraphQL's mutations of classic branch protection: making, changing and lifting a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergeq.sandbox.checks import recent_app
from mergeq.sandbox.graph_commits import ActorNode
from mergeq.sandbox.graph_protection import RuleNode, TeamNode
from mergeq.sandbox.graph_repos import the_node
from mergeq.sandbox.graph_schema import Context, GraphRefusedError
from mergeq.sandbox.protecting import keep, lift, writers_of
from mergeq.sandbox.records import NOBODY, App, Protection, Repo, RequiredCheck, Restrictions, ReviewRule, StatusRule
from mergeq.sandbox.refusals import archived, refuse_unpaid

Input = Mapping[str, Any]
_SWITCHES = {
    "isAdminEnforced": "enforce_admins",
    "requiresLinearHistory": "linear_history",
    "requiresCommitSignatures": "signatures",
    "requiresConversationResolution": "conversation_resolution",
    "allowsForcePushes": "force_pushes",
    "allowsDeletions": "deletions",
    "blocksCreations": "block_creations",
    "lockBranch": "lock_branch",
    "lockAllowsFetchAndMerge": "fork_syncing",
}
_REVIEW_SWITCHES = {
    "dismissesStaleReviews": "dismiss_stale",
    "requireLastPushApproval": "last_push_approval",
    "requiresCodeOwnerReviews": "code_owners",
}


def create_branch_protection_rule(context: Context, asked: Input) -> dict[str, Any]:
    """A rule for a name or pattern that has none; refused under GitHub's words if it has."""
    repo = the_node(context, asked["repositoryId"], Repo)
    require_admin(context, repo, "CreateBranchProtectionRule")
    pattern = asked["pattern"]
    if pattern in repo.protections:
        raise GraphRefusedError("UNPROCESSABLE", f"Name already protected: {pattern}")
    rule = _changed(context, repo, Protection(context.world.next_id(), creator=context.viewer), asked)
    keep(context.world, repo, pattern, rule, context.viewer)
    return {"branchProtectionRule": RuleNode(repo, pattern, rule)}


def update_branch_protection_rule(context: Context, asked: Input) -> dict[str, Any]:
    """What is not mentioned stays; a rule keeps its age, by which patterns take precedence."""
    node = the_node(context, asked["branchProtectionRuleId"], RuleNode)
    require_admin(context, node.repo, "UpdateBranchProtectionRule")
    pattern = asked.get("pattern") or node.pattern
    if pattern != node.pattern and pattern in node.repo.protections:
        raise GraphRefusedError("UNPROCESSABLE", f"Name already protected: {pattern}")
    rule = _changed(context, node.repo, node.rule, asked)
    keep(context.world, node.repo, pattern, rule, context.viewer, node.pattern)
    return {"branchProtectionRule": RuleNode(node.repo, pattern, rule)}


def delete_branch_protection_rule(context: Context, asked: Input) -> dict[str, Any]:
    """Lift a rule."""
    node = the_node(context, asked["branchProtectionRuleId"], RuleNode)
    require_admin(context, node.repo, "DeleteBranchProtectionRule")
    lift(context.world, node.repo, node.pattern, context.viewer)
    return {}


def require_admin(context: Context, repo: Repo, mutation: str) -> None:
    """Raises GraphRefusedError for everybody but administrators; RefusedError 403 where nothing can be protected."""
    if repo.archived:
        raise archived()
    if not context.caller.administers(repo):
        raise forbidden(context, mutation)
    refuse_unpaid(repo)


def forbidden(context: Context, mutation: str) -> GraphRefusedError:
    """What GitHub says to a person without the right."""
    words = f"{context.viewer} does not have the correct permissions to execute `{mutation}`"
    return GraphRefusedError("FORBIDDEN", words)


def _changed(context: Context, repo: Repo, rule: Protection, asked: Input) -> Protection:
    changes = _given(asked, _SWITCHES)
    if not asked.get("requiresDeployments", rule.environments is not None):
        changes["environments"] = None
    elif asked.get("requiredDeploymentEnvironments") is not None:
        changes["environments"] = tuple(asked["requiredDeploymentEnvironments"])
    else:
        changes["environments"] = rule.environments or ()
    if asked.get("bypassForcePushActorIds") is not None:
        changes["forcers"] = _named(context, repo, asked["bypassForcePushActorIds"])
    pushers = asked.get("pushActorIds")
    if asked.get("restrictsPushes", rule.restrictions is not None):
        changes["restrictions"] = (rule.restrictions or NOBODY) if pushers is None else _named(context, repo, pushers)
    else:
        changes["restrictions"] = None
    changes["status"], changes["reviews"] = _status(context, repo, rule, asked), _reviews(context, repo, rule, asked)
    return replace(rule, **changes)


def _given(asked: Input, names: Mapping[str, str]) -> dict[str, Any]:
    """What is said of these fields, under our names; null says nothing."""
    return {ours: asked[theirs] for theirs, ours in names.items() if asked.get(theirs) is not None}


def _status(context: Context, repo: Repo, rule: Protection, asked: Input) -> StatusRule | None:
    if not asked.get("requiresStatusChecks", rule.status is not None):
        return None
    before = rule.status or StatusRule()
    checks = before.checks
    if asked.get("requiredStatusChecks") is not None:
        checks = tuple(_check(context, repo, check) for check in asked["requiredStatusChecks"])
    elif asked.get("requiredStatusCheckContexts") is not None:
        checks = tuple(RequiredCheck(c, recent_app(repo, c)) for c in asked["requiredStatusCheckContexts"])
    strict = asked.get("requiresStrictStatusChecks")
    return StatusRule(before.strict if strict is None else strict, checks)


def _check(context: Context, repo: Repo, sent: Input) -> RequiredCheck:
    """``appId``: an app, ``any`` for whoever reports it, or nothing for who did last (§3.4)."""
    name, app_id = sent["context"], sent.get("appId")
    if app_id is None:
        return RequiredCheck(name, recent_app(repo, name))
    return RequiredCheck(name, None if app_id == "any" else the_node(context, app_id, App).id)


def _reviews(context: Context, repo: Repo, rule: Protection, asked: Input) -> ReviewRule | None:
    if not asked.get("requiresApprovingReviews", rule.reviews is not None):
        return None
    changes = _given(asked, _REVIEW_SWITCHES)
    if asked.get("requiredApprovingReviewCount") is not None:
        changes["count"] = asked["requiredApprovingReviewCount"]
    if asked.get("bypassPullRequestActorIds") is not None:
        changes["bypass"] = _named(context, repo, asked["bypassPullRequestActorIds"])
    if asked.get("reviewDismissalActorIds") is not None:
        changes["dismissers"] = _named(context, repo, asked["reviewDismissalActorIds"])
    if asked.get("restrictsReviewDismissals") is False:
        changes["dismissers"] = None
    elif asked.get("restrictsReviewDismissals"):
        changes.setdefault("dismissers", rule.reviews.dismissers if rule.reviews else NOBODY)
    return replace(rule.reviews or ReviewRule(), **changes)


def _named(context: Context, repo: Repo, ids: Sequence[str]) -> Restrictions:
    """The people, teams and Apps that ids stand for, as far as they may write; nobody on somebody's own repository."""
    if repo.owner_is_user and ids:
        words = "Only organization repositories can have users and team restrictions"
        raise GraphRefusedError("UNPROCESSABLE", words)
    actors = [the_node(context, identifier, object) for identifier in ids]
    named = Restrictions(
        tuple(who.login for who in actors if isinstance(who, ActorNode)),
        tuple(who.slug for who in actors if isinstance(who, TeamNode)),
        tuple(who.slug for who in actors if isinstance(who, App)),
    )
    return writers_of(repo, named)
