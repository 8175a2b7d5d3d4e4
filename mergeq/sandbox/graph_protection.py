"""GraphQL answers about classic branch protection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mergeq.sandbox.git import HEADS
from mergeq.sandbox.globs import fnmatch
from mergeq.sandbox.graph_commits import ActorNode, RefNode, actor
from mergeq.sandbox.graph_schema import Connection, Context, Resolvers, connect
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.policy import may_push
from mergeq.sandbox.records import NOBODY, App, Protection, Repo, RequiredCheck, Restrictions

_ADMINISTRATION = ({"administration": "read"},)


@dataclass(frozen=True, slots=True)
class RuleNode:
    """A rule and the branch name or glob it is for."""

    repo: Repo
    pattern: str
    rule: Protection


@dataclass(frozen=True, slots=True)
class TeamNode:
    """A team of an organization."""

    owner: str
    slug: str


Actor = App | TeamNode | ActorNode


@dataclass(frozen=True, slots=True)
class AllowanceNode:
    """Somebody a rule makes an exception for; ``kind`` is GraphQL's name of it."""

    kind: str
    rule: Protection
    actor: Actor


@dataclass(frozen=True, slots=True)
class ConflictNode:
    """A branch that two rules match, of which only the first is in force on it."""

    rule: RuleNode
    shadowed: RuleNode
    ref: RefNode


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(RuleNode, "BranchProtectionRule")
    resolvers.is_a(TeamNode, "Team")
    resolvers.is_a(App, "App")
    resolvers.bind("Repository", branch_protection_rules=_rules)
    resolvers.bind("Ref", branch_protection_rule=_rule_of_ref, ref_update_rule=_rule_in_force)
    resolvers.bind(
        "BranchProtectionRule",
        id=lambda node, _: node_id("BPR", node.repo.id, node.rule.id),
        database_id=lambda node, _: node.rule.id,
        repository=lambda node, _: node.repo,
        matching_refs=_matching_refs,
        branch_protection_rule_conflicts=_conflicts,
        creator=lambda node, _: actor(node.rule.creator),
    )
    _bind_allowances(resolvers)
    resolvers.bind(
        "BranchProtectionRuleConflict",
        branch_protection_rule=lambda node, _: node.rule,
        conflicting_branch_protection_rule=lambda node, _: node.shadowed,
    )
    resolvers.attributes("BranchProtectionRuleConflict", "ref")
    _bind_demands(resolvers)
    resolvers.attributes("RequiredStatusCheckDescription", "context")
    resolvers.bind("RequiredStatusCheckDescription", app=_app)
    resolvers.bind(
        "Team",
        id=lambda team, ctx: node_id("T", ctx.world.users.team_id(team.owner, team.slug)),
        database_id=lambda team, ctx: ctx.world.users.team_id(team.owner, team.slug),
        name=lambda team, _: team.slug,
        combined_slug=lambda team, _: f"{team.owner}/{team.slug}",
    )
    resolvers.attributes("Team", "slug")
    resolvers.bind("Team", organization=lambda team, _: ActorNode(team.owner, "Organization"))


def _bind_allowances(resolvers: Resolvers) -> None:
    """Everybody a rule makes exceptions for, in four lists."""

    def listing(kind: str, named: Callable[[Protection], Restrictions | None]) -> Callable[..., Connection]:
        def answer(node: RuleNode, context: Context, **page: Any) -> Connection:
            found = _actors(context, node.repo, named(node.rule) or NOBODY)
            return connect([AllowanceNode(kind, node.rule, who) for who in found], **page)

        return answer

    resolvers.is_a(AllowanceNode, lambda node: node.kind)
    resolvers.bind(
        "BranchProtectionRule",
        push_allowances=listing("PushAllowance", lambda rule: rule.restrictions),
        bypass_force_push_allowances=listing("BypassForcePushAllowance", lambda rule: rule.forcers),
        bypass_pull_request_allowances=listing(
            "BypassPullRequestAllowance", lambda rule: rule.reviews.bypass if rule.reviews else None
        ),
        review_dismissal_allowances=listing(
            "ReviewDismissalAllowance", lambda rule: rule.reviews.dismissers if rule.reviews else None
        ),
    )
    for kind in (
        "PushAllowance",
        "BypassForcePushAllowance",
        "BypassPullRequestAllowance",
        "ReviewDismissalAllowance",
    ):
        resolvers.bind(kind, id=_allowance_id)
        resolvers.attributes(kind, "actor")


def _bind_demands(resolvers: Resolvers) -> None:
    for kind in ("BranchProtectionRule", "RefUpdateRule"):
        resolvers.attributes(kind, "pattern")
        resolvers.bind(
            kind,
            required_status_check_contexts=lambda node, _: [check.context for check in node.rule.checks],
            required_approving_review_count=lambda node, _: node.rule.reviews and node.rule.reviews.count,
            requires_code_owner_reviews=lambda node, _: bool(node.rule.reviews and node.rule.reviews.code_owners),
            requires_linear_history=lambda node, _: node.rule.linear_history,
            requires_conversation_resolution=lambda node, _: node.rule.conversation_resolution,
            blocks_creations=lambda node, _: node.rule.block_creations,
            allows_force_pushes=lambda node, _: node.rule.force_pushes,
            allows_deletions=lambda node, _: node.rule.deletions,
        )
    resolvers.bind(
        "RefUpdateRule",
        requires_signatures=lambda node, _: node.rule.signatures,
        viewer_allowed_to_dismiss_reviews=_may_dismiss,
        viewer_can_push=lambda node, ctx: _is_let(node, ctx, node.rule.restrictions),
    )
    resolvers.bind(
        "BranchProtectionRule",
        requires_status_checks=lambda node, _: node.rule.status is not None,
        requires_strict_status_checks=lambda node, _: bool(node.rule.status and node.rule.status.strict),
        required_status_checks=lambda node, _: node.rule.checks,
        requires_approving_reviews=lambda node, _: node.rule.reviews is not None,
        dismisses_stale_reviews=lambda node, _: bool(node.rule.reviews and node.rule.reviews.dismiss_stale),
        require_last_push_approval=lambda node, _: bool(node.rule.reviews and node.rule.reviews.last_push_approval),
        requires_commit_signatures=lambda node, _: node.rule.signatures,
        is_admin_enforced=lambda node, _: node.rule.enforce_admins,
        restricts_pushes=lambda node, _: node.rule.restrictions is not None,
        restricts_review_dismissals=lambda node, _: _names_dismissers(node.rule),
        requires_deployments=lambda node, _: node.rule.environments is not None,
        required_deployment_environments=lambda node, _: list(node.rule.environments or ()),
        lock_branch=lambda node, _: node.rule.lock_branch,
        lock_allows_fetch_and_merge=lambda node, _: node.rule.fork_syncing,
    )


def _rules(repo: Repo, context: Context, **page: Any) -> Connection:
    """The rules, for people who may write and Apps that were given a permission of its own; others see none."""
    context.require(_ADMINISTRATION, repo)
    shown = repo.protections.items() if context.caller.is_integration or repo.people.may_write(context.viewer) else ()
    return connect([RuleNode(repo, pattern, rule) for pattern, rule in shown], **page)


def _rule_of_ref(node: RefNode, context: Context) -> RuleNode | None:
    rule = _rule_in_force(node, context)
    if rule is not None:
        context.require(_ADMINISTRATION, node.repo)
    return rule if node.repo.people.may_write(context.viewer) else None


def _rule_in_force(node: RefNode, _context: Context) -> RuleNode | None:
    """The classic rule of a ref, of which readers see a part."""
    pattern = node.repo.pattern_for(node.ref.removeprefix(HEADS)) if node.ref.startswith(HEADS) else None
    return None if pattern is None else RuleNode(node.repo, pattern, node.repo.protections[pattern])


def _names_dismissers(rule: Protection) -> bool:
    """Whether not everybody who may write dismisses reviews: nobody may, where the list is empty."""
    return rule.reviews is not None and rule.reviews.dismissers is not None


def _may_dismiss(node: RuleNode, context: Context) -> bool:
    return _is_let(node, context, node.rule.reviews.dismissers if node.rule.reviews else None)


def _is_let(node: RuleNode, context: Context, named: Restrictions | None) -> bool:
    return node.repo.people.may_write(context.viewer) and may_push(node.repo, named, context.viewer)


def _matching_refs(node: RuleNode, _context: Context, **page: Any) -> Connection:
    """The branches this rule is in force on."""
    branches = node.repo.git.branches().items()
    matching = [(name, sha) for name, sha in branches if node.repo.pattern_for(name) == node.pattern]
    return connect([RefNode(node.repo, HEADS + name, sha) for name, sha in matching], **page)


def _conflicts(node: RuleNode, _context: Context, **page: Any) -> Connection:
    """The branches that this rule and another one match (P7.38)."""
    repo = node.repo
    found = []
    for branch, sha in repo.git.branches().items():
        patterns = [pattern for pattern in repo.protections if pattern == branch or fnmatch(pattern, branch)]
        if node.pattern in patterns:
            others = [RuleNode(repo, pattern, repo.protections[pattern]) for pattern in patterns]
            found += [ConflictNode(node, o, RefNode(repo, HEADS + branch, sha)) for o in others if o != node]
    return connect(found, **page)


def _actors(context: Context, repo: Repo, named: Restrictions) -> list[Actor]:
    actors: list[Actor] = [ActorNode(login) for login in named.users]
    actors += [TeamNode(repo.owner, slug) for slug in named.teams]
    return actors + [context.world.app(slug) for slug in named.apps]


def _allowance_id(node: AllowanceNode, _context: Context) -> str:
    who = node.actor.login if isinstance(node.actor, ActorNode) else node.actor.slug
    return node_id(node.kind, node.rule.id, type(node.actor).__name__, who)


def _app(check: RequiredCheck, context: Context) -> App | None:
    return next((app for app in context.world.apps() if app.id == check.app_id), None)
