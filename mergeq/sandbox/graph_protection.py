"""GraphQL answers about classic branch protection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mergeq.sandbox.git import HEADS
from mergeq.sandbox.graph_commits import ActorNode, RefNode
from mergeq.sandbox.graph_schema import Connection, Context, Resolvers, connect
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import App, Protection, Repo, RequiredCheck, Restrictions


@dataclass(frozen=True, slots=True)
class RuleNode:
    """A rule and the branch name or glob it is for."""

    repo: Repo
    pattern: str
    rule: Protection


@dataclass(frozen=True, slots=True)
class TeamNode:
    """A team of the organization."""

    slug: str


@dataclass(frozen=True, slots=True)
class AllowanceNode:
    """Somebody who may push although pushes are restricted."""

    rule: Protection
    actor: App | TeamNode | ActorNode


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(RuleNode, "BranchProtectionRule")
    resolvers.is_a(TeamNode, "Team")
    resolvers.is_a(App, "App")
    resolvers.bind("Repository", branch_protection_rules=_rules)
    resolvers.bind("Ref", branch_protection_rule=_rule_of_ref)
    resolvers.attributes("BranchProtectionRule", "pattern")
    resolvers.bind(
        "BranchProtectionRule",
        id=lambda node, _: node_id("BPR", node.repo.id, node.pattern),
        database_id=lambda node, _: node.rule.id,
        repository=lambda node, _: node.repo,
        matching_refs=_matching_refs,
        push_allowances=_push_allowances,
    )
    _bind_demands(resolvers)
    resolvers.attributes("RequiredStatusCheckDescription", "context")
    resolvers.bind("RequiredStatusCheckDescription", app=_app)
    resolvers.bind("PushAllowance", id=_allowance_id)
    resolvers.attributes("PushAllowance", "actor")
    resolvers.bind("Team", id=lambda team, _: node_id("T", team.slug), name=lambda team, _: team.slug)
    resolvers.attributes("Team", "slug")


def _bind_demands(resolvers: Resolvers) -> None:
    resolvers.bind(
        "BranchProtectionRule",
        requires_status_checks=lambda node, _: node.rule.status is not None,
        requires_strict_status_checks=lambda node, _: bool(node.rule.status and node.rule.status.strict),
        required_status_checks=lambda node, _: node.rule.checks,
        required_status_check_contexts=lambda node, _: [check.context for check in node.rule.checks],
        requires_approving_reviews=lambda node, _: node.rule.reviews is not None,
        required_approving_review_count=lambda node, _: node.rule.reviews and node.rule.reviews.count,
        dismisses_stale_reviews=lambda node, _: bool(node.rule.reviews and node.rule.reviews.dismiss_stale),
        require_last_push_approval=lambda node, _: bool(node.rule.reviews and node.rule.reviews.last_push_approval),
        requires_linear_history=lambda node, _: node.rule.linear_history,
        requires_commit_signatures=lambda node, _: node.rule.signatures,
        requires_conversation_resolution=lambda node, _: node.rule.conversation_resolution,
        is_admin_enforced=lambda node, _: node.rule.enforce_admins,
        restricts_pushes=lambda node, _: node.rule.restrictions is not None,
        lock_branch=lambda node, _: node.rule.lock_branch,
        allows_force_pushes=lambda node, _: node.rule.force_pushes,
        allows_deletions=lambda node, _: node.rule.deletions,
    )


def _rules(repo: Repo, context: Context, **page: Any) -> Connection:
    """The rules, for whoever may write; others see none."""
    shown = repo.protections.items() if context.world.users.may_write(context.viewer) else ()
    return connect([RuleNode(repo, pattern, rule) for pattern, rule in shown], **page)


def _rule_of_ref(node: RefNode, context: Context) -> RuleNode | None:
    pattern = node.repo.pattern_for(node.ref.removeprefix(HEADS)) if node.ref.startswith(HEADS) else None
    if pattern is None or not context.world.users.may_write(context.viewer):
        return None
    return RuleNode(node.repo, pattern, node.repo.protections[pattern])


def _matching_refs(node: RuleNode, _context: Context, **page: Any) -> Connection:
    """The branches this rule is in force on."""
    branches = node.repo.git.branches().items()
    matching = [(name, sha) for name, sha in branches if node.repo.pattern_for(name) == node.pattern]
    return connect([RefNode(node.repo, HEADS + name, sha) for name, sha in matching], **page)


def _push_allowances(node: RuleNode, context: Context, **page: Any) -> Connection:
    allowed = node.rule.restrictions or Restrictions()
    actors: list[App | TeamNode | ActorNode] = [ActorNode(login) for login in allowed.users]
    actors += [TeamNode(slug) for slug in allowed.teams]
    actors += [context.world.app(slug) for slug in allowed.apps]
    return connect([AllowanceNode(node.rule, who) for who in actors], **page)


def _allowance_id(node: AllowanceNode, _context: Context) -> str:
    who = node.actor.login if isinstance(node.actor, ActorNode) else node.actor.slug
    return node_id("PA", node.rule.id, type(node.actor).__name__, who)


def _app(check: RequiredCheck, context: Context) -> App | None:
    return next((app for app in context.world.apps() if app.id == check.app_id), None)
