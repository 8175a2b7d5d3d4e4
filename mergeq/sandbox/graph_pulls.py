"""GraphQL answers about pull requests and issues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mergeq.sandbox import mergeability
from mergeq.sandbox.clock import iso
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import CommitInfo
from mergeq.sandbox.graph_commits import CommitNode, RefNode, actor, commit, readable_rollup, ref
from mergeq.sandbox.graph_conversations import LabelNode
from mergeq.sandbox.graph_schema import Connection, Context, Resolvers, connect
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.policy import MergeState, is_queued, judge_merge, review_decision
from mergeq.sandbox.records import Issue, Pull, Repo, TimelineEvent, TimelineKind
from mergeq.sandbox.refusals import NotSimulatedError


@dataclass(frozen=True, slots=True)
class PullCommitNode:
    """One commit in the list of a pull request."""

    pull: Pull
    repo: Repo
    info: CommitInfo


@dataclass(frozen=True, slots=True)
class TimelineNode:
    """A timeline item and the repository of its commits."""

    repo: Repo
    event: TimelineEvent


_ITEM_TYPES = {
    "LABELED_EVENT": TimelineKind.LABELED,
    "UNLABELED_EVENT": TimelineKind.UNLABELED,
    "CLOSED_EVENT": TimelineKind.CLOSED,
    "REOPENED_EVENT": TimelineKind.REOPENED,
    "MERGED_EVENT": TimelineKind.MERGED,
    "HEAD_REF_FORCE_PUSHED_EVENT": TimelineKind.FORCE_PUSHED,
    "BASE_REF_CHANGED_EVENT": TimelineKind.BASE_CHANGED,
    "READY_FOR_REVIEW_EVENT": TimelineKind.READY,
    "CONVERT_TO_DRAFT_EVENT": TimelineKind.DRAFTED,
}

_CHANGE_TYPES = {"added": "ADDED", "removed": "DELETED", "modified": "MODIFIED", "changed": "CHANGED"}


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(Pull, "PullRequest")
    resolvers.is_a(Issue, "Issue")
    resolvers.never("MergeQueue MergeQueueEntry Workflow WorkflowRun")
    resolvers.never("Project ProjectCard ProjectColumn ProjectV2 ProjectV2Item")
    resolvers.is_a(TimelineNode, lambda node: str(node.event.kind))
    _bind_shared(resolvers)
    _bind_sides(resolvers)
    _bind_merging(resolvers)
    _bind_auto_merge(resolvers)
    _bind_lists(resolvers)
    _bind_timeline(resolvers)


def _bind_shared(resolvers: Resolvers) -> None:
    for type_name, prefix, page in (("PullRequest", "PR", "pull"), ("Issue", "I", "issues")):
        resolvers.attributes(type_name, "number title body")
        resolvers.bind(
            type_name,
            id=lambda t, ctx, prefix=prefix: node_id(prefix, ctx.repo_of(t).id, t.number),
            full_database_id=lambda t, _: str(t.id),
            state=lambda t, _: "MERGED" if getattr(t, "merged", False) else t.state.upper(),
            url=lambda t, ctx, page=page: f"{ctx.html(ctx.repo_of(t))}/{page}/{t.number}",
            created_at=lambda t, _: iso(t.created_at),
            updated_at=lambda t, _: iso(t.updated_at),
            closed_at=lambda t, _: None if t.closed_at is None else iso(t.closed_at),
            author=lambda t, _: actor(t.author),
            repository=lambda t, ctx: ctx.repo_of(t),
            closed=lambda t, _: t.state != "open",
        )
    resolvers.bind("Issue", state_reason=lambda issue, _: "COMPLETED" if issue.state == "closed" else None)


def _bind_sides(resolvers: Resolvers) -> None:
    resolvers.attributes("PullRequest", "merged isCrossRepository")
    resolvers.bind(
        "PullRequest",
        is_draft=lambda pull, _: pull.draft,
        base_ref_name=lambda pull, _: pull.base_ref,
        base_ref_oid=lambda pull, _: pull.base_sha,
        base_ref=lambda pull, ctx: ref(ctx.repo_of(pull), HEADS + pull.base_ref),
        head_ref_name=lambda pull, _: pull.head_ref,
        head_ref_oid=lambda pull, _: pull.head_sha,
        head_ref=_head_ref,
        head_repository=lambda pull, ctx: ctx.world.find_repo(pull.head_repo),
        head_repository_owner=lambda pull, _: actor(pull.head_repo.partition("/")[0]),
        maintainer_can_modify=lambda pull, _: pull.maintainer_can_modify and pull.is_cross_repository,
        changed_files=lambda pull, ctx: len(ctx.world.changes_of(pull)),
        additions=lambda pull, ctx: sum(change.additions for change in ctx.world.changes_of(pull)),
        deletions=lambda pull, ctx: sum(change.deletions for change in ctx.world.changes_of(pull)),
    )


def _head_ref(pull: Pull, context: Context) -> RefNode | None:
    """None also where the fork is gone (Q24)."""
    head = context.world.find_repo(pull.head_repo)
    return None if head is None else ref(head, HEADS + pull.head_ref)


def _look_at(pull: Pull, context: Context) -> Pull:
    """Count one read of mergeability for each request, however many fields ask for it."""
    if pull.id not in context.looked_at:
        context.looked_at.add(pull.id)
        mergeability.note_read(context.world, pull)
    return pull


def _mergeable(pull: Pull, context: Context) -> str:
    known = _look_at(pull, context).mergeable
    if known is None or pull.merged:
        return "UNKNOWN"
    return "MERGEABLE" if known else "CONFLICTING"


def _bind_merging(resolvers: Resolvers) -> None:
    resolvers.bind(
        "PullRequest",
        mergeable=_mergeable,
        merge_state_status=lambda pull, ctx: str(ctx.world.merge_state_of(_look_at(pull, ctx))),
        can_be_rebased=lambda pull, ctx: bool(_look_at(pull, ctx).rebaseable),
        review_decision=lambda pull, ctx: review_decision(ctx.repo_of(pull), pull),
        is_in_merge_queue=lambda _pull, _ctx: False,
        is_merge_queue_enabled=lambda pull, ctx: is_queued(ctx.repo_of(pull), pull.base_ref),
        merged_at=lambda pull, _: None if pull.merged_at is None else iso(pull.merged_at),
        merged_by=lambda pull, _: actor(pull.merged_by),
        merge_commit=_merge_commit,
        potential_merge_commit=_test_merge,
        merge_queue_entry=lambda _pull, _ctx: None,
        auto_merge_request=lambda pull, _: pull if pull.auto_merge else None,
        viewer_can_merge_as_admin=_may_override,
        viewer_can_update=lambda pull, ctx: ctx.repo_of(pull).people.may_write(ctx.viewer) or pull.author == ctx.viewer,
        viewer_can_enable_auto_merge=lambda pull, ctx: ctx.repo_of(pull).settings.allow_auto_merge,
        status_check_rollup=lambda pull, ctx: readable_rollup(ctx, ctx.repo_of(pull), pull.head_sha),
    )


def _merge_commit(pull: Pull, context: Context) -> CommitNode | None:
    if not pull.merged or pull.merge_commit_sha is None:
        return None
    return commit(context.repo_of(pull), pull.merge_commit_sha)


def _test_merge(pull: Pull, context: Context) -> CommitNode | None:
    """The merge that was tried out, while it is known to be of the present base and head."""
    if _look_at(pull, context).mergeable is not True or pull.merged or pull.merge_commit_sha is None:
        return None
    return commit(context.repo_of(pull), pull.merge_commit_sha)


def _may_override(pull: Pull, context: Context) -> bool:
    """Whether the reader could merge although something is unmet, because the rules are not for administrators."""
    repo = context.repo_of(pull)
    blocked = context.world.merge_state_of(pull) is MergeState.BLOCKED
    return blocked and not judge_merge(repo, pull, next(iter(repo.allowed)), "", context.viewer).message


def _bind_auto_merge(resolvers: Resolvers) -> None:
    resolvers.bind(
        "AutoMergeRequest",
        enabled_at=lambda pull, _: iso(pull.auto_merge.at),
        enabled_by=lambda pull, _: actor(pull.auto_merge.by),
        merge_method=lambda pull, _: pull.auto_merge.method.upper(),
        commit_headline=lambda pull, _: pull.auto_merge.title,
        commit_body=lambda pull, _: pull.auto_merge.message,
        pull_request=lambda pull, _: pull,
    )


def _bind_lists(resolvers: Resolvers) -> None:
    resolvers.bind(
        "PullRequest",
        commits=_commits,
        files=lambda pull, ctx, **page: connect(ctx.world.changes_of(pull), **page),
        timeline_items=_timeline_items,
    )
    resolvers.bind(
        "PullRequestCommit",
        id=lambda node, _: node_id("PRC", node.pull.id, node.info.sha),
        commit=lambda node, _: CommitNode(node.repo, node.info),
    )
    resolvers.attributes("PullRequestChangedFile", "path additions deletions")
    resolvers.bind("PullRequestChangedFile", change_type=lambda change, _: _CHANGE_TYPES[change.status])


def _commits(pull: Pull, context: Context, **page: Any) -> Connection:
    repo = context.repo_of(pull)
    return connect([PullCommitNode(pull, repo, info) for info in context.world.listed_commits(pull)], **page)


def _timeline_items(pull: Pull, context: Context, item_types: Sequence[str] | None = None, **page: Any) -> Connection:
    if not item_types:
        raise NotSimulatedError("timelineItems without itemTypes")
    kinds = {_ITEM_TYPES[name] for name in item_types}
    repo = context.repo_of(pull)
    return connect([TimelineNode(repo, event) for event in pull.timeline if event.kind in kinds], **page)


def _bind_timeline(resolvers: Resolvers) -> None:
    for kind in TimelineKind:
        resolvers.bind(
            kind,
            id=lambda node, _: node_id("EV", node.event.id),
            created_at=lambda node, _: iso(node.event.at),
            actor=lambda node, _: actor(node.event.actor),
        )
    for kind in (TimelineKind.LABELED, TimelineKind.UNLABELED):
        resolvers.bind(kind, label=lambda node, _: LabelNode(node.repo, node.event.label))
    resolvers.bind(TimelineKind.MERGED, commit=lambda node, _: commit(node.repo, node.event.after))
    resolvers.bind(
        TimelineKind.FORCE_PUSHED,
        before_commit=lambda node, _: commit(node.repo, node.event.before),
        after_commit=lambda node, _: commit(node.repo, node.event.after),
    )
    resolvers.bind(
        TimelineKind.BASE_CHANGED,
        previous_ref_name=lambda node, _: node.event.before,
        current_ref_name=lambda node, _: node.event.after,
    )
