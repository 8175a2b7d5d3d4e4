"""GraphQL answers about rulesets: those of a repository and its owner, and the rules in force on a ref."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergeq.sandbox.clock import iso
from mergeq.sandbox.graph_commits import ActorNode, RefNode, owner_of
from mergeq.sandbox.graph_protection import TeamNode
from mergeq.sandbox.graph_schema import Connection, Context, Resolvers, connect, snake
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import App, Repo
from mergeq.sandbox.rulesets import BypassActor, BypassMode, Rule, Ruleset, covering


@dataclass(frozen=True, slots=True)
class RulesetNode:
    """A ruleset, and the repository it is looked at from."""

    repo: Repo
    ruleset: Ruleset


@dataclass(frozen=True, slots=True)
class RulesetRuleNode:
    """The rule at a place in a ruleset."""

    repo: Repo
    ruleset: Ruleset
    place: int

    @property
    def rule(self) -> Rule:
        return self.ruleset.rules[self.place]


@dataclass(frozen=True, slots=True)
class ParametersNode:
    """What a rule is told, as REST writes it."""

    type: str
    sent: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BypassNode:
    """Somebody a ruleset lets through."""

    repo: Repo
    ruleset: Ruleset
    actor: BypassActor


_PATTERN = "name negate operator pattern"
_PARAMETERS = {
    "branch_name_pattern": ("BranchNamePatternParameters", _PATTERN),
    "commit_author_email_pattern": ("CommitAuthorEmailPatternParameters", _PATTERN),
    "commit_message_pattern": ("CommitMessagePatternParameters", _PATTERN),
    "committer_email_pattern": ("CommitterEmailPatternParameters", _PATTERN),
    "code_scanning": ("CodeScanningParameters", "codeScanningTools"),
    "file_extension_restriction": ("FileExtensionRestrictionParameters", "restrictedFileExtensions"),
    "file_path_restriction": ("FilePathRestrictionParameters", "restrictedFilePaths"),
    "max_file_path_length": ("MaxFilePathLengthParameters", "maxFilePathLength"),
    "max_file_size": ("MaxFileSizeParameters", "maxFileSize"),
    "workflows": ("WorkflowsParameters", "doNotEnforceOnCreate workflows"),
    "merge_queue": (
        "MergeQueueParameters",
        """checkResponseTimeoutMinutes groupingStrategy maxEntriesToBuild maxEntriesToMerge mergeMethod
        minEntriesToMerge minEntriesToMergeWaitMinutes""",
    ),
    "pull_request": (
        "PullRequestParameters",
        """dismissStaleReviewsOnPush requireCodeOwnerReview requireLastPushApproval requiredApprovingReviewCount
        requiredReviewThreadResolution""",
    ),
    "required_deployments": ("RequiredDeploymentsParameters", "requiredDeploymentEnvironments"),
    "required_status_checks": (
        "RequiredStatusChecksParameters",
        "doNotEnforceOnCreate requiredStatusChecks strictRequiredStatusChecksPolicy",
    ),
    "tag_name_pattern": ("TagNamePatternParameters", _PATTERN),
    "update": ("UpdateParameters", "updateAllowsFetchAndMerge"),
}
"""Per rule that has parameters: GraphQL's name for them, and their fields."""


_NOT_IN_GRAPHQL = ("copilot_code_review", "license_compliance_scanning")
"""The types of rules that the published schema has no name for."""


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(RulesetNode, "RepositoryRuleset")
    resolvers.is_a(RulesetRuleNode, "RepositoryRule")
    resolvers.is_a(BypassNode, "RepositoryRulesetBypassActor")
    resolvers.is_a(ParametersNode, lambda node: _PARAMETERS[node.type][0])
    resolvers.bind("Repository", ruleset=_ruleset, rulesets=_rulesets)
    resolvers.bind("Ref", rules=_rules_of_ref)
    resolvers.attributes("Enterprise", "slug")
    resolvers.bind(
        "RepositoryRuleset",
        id=lambda node, _: node_id("RRS", node.ruleset.id),
        database_id=lambda node, _: node.ruleset.id,
        name=lambda node, _: node.ruleset.name,
        target=lambda node, _: node.ruleset.target.upper(),
        source=_source,
        enforcement=lambda node, _: node.ruleset.enforcement.upper(),
        conditions=lambda node, _: node.ruleset.conditions,
        bypass_actors=_bypass_actors,
        rules=_rules,
        created_at=lambda node, _: iso(node.ruleset.created_at),
        updated_at=lambda node, _: iso(node.ruleset.updated_at),
    )
    resolvers.bind(
        "RepositoryRule",
        id=lambda node, _: node_id("RRU", node.ruleset.id, node.place),
        type=lambda node, _: node.rule.type.upper(),
        parameters=_parameters,
        repository_ruleset=lambda node, _: RulesetNode(node.repo, node.ruleset),
    )
    _bind_conditions(resolvers)
    _bind_parameters(resolvers)
    _bind_bypass(resolvers)


def _bind_conditions(resolvers: Resolvers) -> None:
    for name in ("refName", "repositoryId", "repositoryName", "repositoryProperty"):
        resolvers.field("RepositoryRuleConditions", name=name)(_sent(name))
    for kind in ("RefNameConditionTarget", "RepositoryNameConditionTarget", "RepositoryPropertyConditionTarget"):
        for name in ("include", "exclude"):
            resolvers.field(kind, name=name)(_sent(name, default=()))
    resolvers.field("RepositoryNameConditionTarget", name="protected")(_sent("protected", default=False))
    resolvers.bind(
        "RepositoryIdConditionTarget",
        repository_ids=lambda sent, _: [node_id("R", number) for number in sent["repository_ids"]],
    )
    for name in ("name", "propertyValues", "source"):
        resolvers.field("PropertyTargetDefinition", name=name)(_sent(name))


def _bind_parameters(resolvers: Resolvers) -> None:
    for kind, fields in _PARAMETERS.values():
        for name in fields.split():
            resolvers.field(kind, name=name)(_parameter(name))
    resolvers.bind(
        "PullRequestParameters",
        allowed_merge_methods=lambda node, _: [method.upper() for method in node.sent["allowed_merge_methods"]],
    )
    for kind, fields in (
        ("StatusCheckConfiguration", "context integrationId"),
        ("CodeScanningTool", "alertsThreshold securityAlertsThreshold tool"),
        ("WorkflowFileReference", "path ref repositoryId sha"),
    ):
        for name in fields.split():
            resolvers.field(kind, name=name)(_sent(name))


def _bind_bypass(resolvers: Resolvers) -> None:
    is_role: Callable[[BypassNode], bool] = lambda node: node.actor.kind == "RepositoryRole"  # noqa: E731
    resolvers.bind(
        "RepositoryRulesetBypassActor",
        id=lambda node, _: node_id("RBA", node.ruleset.id, node.actor.kind, node.actor.id),
        actor=_actor,
        bypass_mode=lambda node, _: None if node.actor.mode is BypassMode.EXEMPT else node.actor.mode.upper(),
        deploy_key=lambda node, _: node.actor.kind == "DeployKey",
        enterprise_owner=lambda _node, _ctx: False,
        organization_admin=lambda node, _: node.actor.kind == "OrganizationAdmin",
        repository_role_database_id=lambda node, _: node.actor.id if is_role(node) else None,
        repository_role_name=lambda node, _: node.actor.who if is_role(node) else None,
    )


def _sent(name: str, default: Any = None) -> Callable[..., Any]:
    """A key of what was sent, under GraphQL's spelling of it."""
    return lambda sent, _context: sent.get(snake(name), default)


def _parameter(name: str) -> Callable[..., Any]:
    return lambda node, _context: node.sent.get(snake(name))


def _known(repo: Repo, *, parents: bool) -> list[Ruleset]:
    inherited = [ruleset for ruleset in repo.owner_rulesets.values() if parents and ruleset.chooses(repo)]
    return [*repo.rulesets.values(), *inherited]


def _rulesets(
    repo: Repo,
    _context: Context,
    include_parents: bool | None = None,
    targets: Sequence[str] | None = None,
    **page: Any,
) -> Connection:
    known = _known(repo, parents=include_parents is not False)
    return connect([RulesetNode(repo, r) for r in known if not targets or r.target.upper() in targets], **page)


def _ruleset(
    repo: Repo, _context: Context, database_id: int, include_parents: bool | None = None
) -> RulesetNode | None:
    known = _known(repo, parents=include_parents is not False)
    return next((RulesetNode(repo, ruleset) for ruleset in known if ruleset.id == database_id), None)


def _rules_of_ref(
    node: RefNode, _context: Context, order_by: Mapping[str, str] | None = None, **page: Any
) -> Connection:
    """What is in force on a ref, in the order of the rulesets unless asked by type."""
    rules = [rule for ruleset in covering(node.repo, node.ref) for rule in _rule_nodes(node.repo, ruleset)]
    if order_by is not None:
        rules.sort(key=lambda rule: _order_of(rule, order_by["field"]), reverse=order_by["direction"] == "DESC")
    return connect(rules, **page)


def _order_of(node: RulesetRuleNode, field: str) -> tuple[float, str]:
    times = {"CREATED_AT": node.ruleset.created_at, "UPDATED_AT": node.ruleset.updated_at}
    return times.get(field, 0.0), node.rule.type if field == "TYPE" else ""


def _source(node: RulesetNode, _context: Context) -> Repo | ActorNode:
    return owner_of(node.repo) if node.ruleset.of_owner else node.repo


def _rules(node: RulesetNode, _context: Context, type: str | None = None, **page: Any) -> Connection:  # noqa: A002
    rules = _rule_nodes(node.repo, node.ruleset)
    return connect([rule for rule in rules if type in (None, rule.rule.type.upper())], **page)


def _rule_nodes(repo: Repo, ruleset: Ruleset) -> list[RulesetRuleNode]:
    nodes = [RulesetRuleNode(repo, ruleset, place) for place in range(len(ruleset.rules))]
    return [node for node in nodes if node.rule.type not in _NOT_IN_GRAPHQL]


def _parameters(node: RulesetRuleNode, _context: Context) -> ParametersNode | None:
    sent = node.rule.parameters
    return ParametersNode(node.rule.type, sent) if sent is not None and node.rule.type in _PARAMETERS else None


def _bypass_actors(node: RulesetNode, context: Context, **page: Any) -> Connection | None:
    """For administrators; others are not told."""
    if not context.caller.administers(node.repo):
        return None
    return connect([BypassNode(node.repo, node.ruleset, actor) for actor in node.ruleset.bypass], **page)


def _actor(node: BypassNode, context: Context) -> App | TeamNode | None:
    match node.actor.kind:
        case "Integration":
            return context.world.app(node.actor.who.removesuffix("[bot]"))
        case "Team":
            return TeamNode(node.repo.owner, node.actor.who)
    return None
