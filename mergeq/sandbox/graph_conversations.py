"""GraphQL answers about what people say of issues and pull requests: comments, reviews, threads, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergeq.sandbox.clock import iso
from mergeq.sandbox.graph_commits import ActorNode, actor, commit
from mergeq.sandbox.graph_protection import TeamNode
from mergeq.sandbox.graph_schema import Connection, Context, Resolvers, connect
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.policy import opinions
from mergeq.sandbox.records import Comment, Issue, Label, Milestone, Pull, Repo, Review, Thread

_REACTIONS = ("THUMBS_UP", "THUMBS_DOWN", "LAUGH", "HOORAY", "CONFUSED", "HEART", "ROCKET", "EYES")


@dataclass(frozen=True, slots=True)
class ReviewNode:
    """A review, its pull request and the repository of its commit."""

    repo: Repo
    pull: Pull
    review: Review


@dataclass(frozen=True, slots=True)
class ThreadNode:
    """A conversation about the changes of a pull request."""

    pull: Pull
    thread: Thread


@dataclass(frozen=True, slots=True)
class CommentNode:
    """A comment on an issue or pull request."""

    ticket: Pull | Issue
    comment: Comment


@dataclass(frozen=True, slots=True)
class MilestoneNode:
    """A milestone and its repository."""

    repo: Repo
    milestone: Milestone


@dataclass(frozen=True, slots=True)
class LabelNode:
    """A label and its repository."""

    repo: Repo
    label: Label


@dataclass(frozen=True, slots=True)
class RequestNode:
    """Somebody, or a team, that is asked to review a pull request."""

    pull: Pull
    requested_reviewer: ActorNode | TeamNode


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(ReviewNode, "PullRequestReview")
    resolvers.is_a(ThreadNode, "PullRequestReviewThread")
    resolvers.is_a(LabelNode, "Label")
    resolvers.is_a(RequestNode, "ReviewRequest")
    resolvers.attributes("ReviewRequest", "requestedReviewer")
    resolvers.bind("ReviewRequest", id=_request_id)
    _bind_reviews(resolvers)
    _bind_comments(resolvers)
    _bind_labels(resolvers)
    for type_name in ("PullRequest", "Issue"):
        resolvers.bind(
            type_name,
            database_id=lambda ticket, _: ticket.id,
            labels=_labels,
            comments=_comments,
            assignees=lambda ticket, _, **page: connect([ActorNode(login) for login in ticket.assignees], **page),
            project_cards=_none,
            project_items=_none,
            reaction_groups=_no_reactions,
            author_association=lambda ticket, ctx: ctx.world.repo_of(ticket).association(ticket.author),
            milestone=_milestone,
        )
        resolvers.attributes(type_name, "locked")
    resolvers.bind(
        "PullRequest",
        reviews=_reviews,
        latest_reviews=_latest_reviews,
        latest_opinionated_reviews=_latest_opinions,
        review_threads=lambda pull, _, **page: connect([ThreadNode(pull, t) for t in pull.threads], **page),
        review_requests=_review_requests,
        closing_issues_references=_none,
        total_comments_count=lambda pull, _: len(pull.comments) + len(pull.threads),
        active_lock_reason=lambda pull, _: (
            pull.lock_reason and pull.lock_reason.upper().replace(" ", "_").replace("-", "_")
        ),
    )


def _none(_ticket: Pull | Issue, _context: Context, **page: Any) -> Connection:
    """A list that nothing here can put anything into."""
    return connect((), **page)


def _review_requests(pull: Pull, context: Context, **page: Any) -> Connection:
    owner = context.repo_of(pull).owner
    asked: list[ActorNode | TeamNode] = [ActorNode(login) for login in pull.reviewers]
    asked += [TeamNode(owner, slug) for slug in pull.reviewing_teams]
    return connect([RequestNode(pull, who) for who in asked], **page)


def _no_reactions(_subject: object, _context: Context) -> list[Mapping[str, Any]]:
    return [{"content": content} for content in _REACTIONS]


def _labels(ticket: Pull | Issue, context: Context, **page: Any) -> Connection:
    repo = context.world.repo_of(ticket)
    return connect([LabelNode(repo, repo.labels[name.casefold()]) for name in ticket.labels], **page)


def _milestone(ticket: Pull | Issue, context: Context) -> MilestoneNode | None:
    return None if ticket.milestone is None else MilestoneNode(context.world.repo_of(ticket), ticket.milestone)


def _comments(
    ticket: Pull | Issue, _context: Context, order_by: Mapping[str, str] | None = None, **page: Any
) -> Connection:
    nodes = [CommentNode(ticket, comment) for comment in ticket.comments]
    return connect(nodes[::-1] if order_by and order_by["direction"] == "DESC" else nodes, **page)


def _nodes(pull: Pull, context: Context, reviews: Sequence[Review]) -> list[ReviewNode]:
    repo = context.repo_of(pull)
    return [ReviewNode(repo, pull, review) for review in reviews]


def _reviews(pull: Pull, context: Context, states: Sequence[str] | None = None, **page: Any) -> Connection:
    chosen = [review for review in pull.reviews if states is None or review.state in states]
    return connect(_nodes(pull, context, chosen), **page)


def _latest_reviews(pull: Pull, context: Context, **page: Any) -> Connection:
    newest = {review.author: review for review in pull.reviews}
    return connect(_nodes(pull, context, tuple(newest.values())), **page)


def _latest_opinions(pull: Pull, context: Context, **page: Any) -> Connection:
    return connect(_nodes(pull, context, tuple(opinions(pull).values())), **page)


def _request_id(node: RequestNode, context: Context) -> str:
    who, users = node.requested_reviewer, context.world.users
    number = users.id_of(who.login) if isinstance(who, ActorNode) else users.team_id(who.owner, who.slug)
    return node_id("RR", node.pull.id, number)


def _review_url(node: ReviewNode, context: Context) -> str:
    return f"{context.html(node.repo)}/pull/{node.pull.number}#pullrequestreview-{node.review.id}"


def _bind_reviews(resolvers: Resolvers) -> None:
    moment = dict.fromkeys(("created_at", "updated_at", "submitted_at"), _submitted_at)
    resolvers.bind(
        "PullRequestReview",
        **moment,
        id=lambda node, _: node_id("PRR", node.review.id),
        database_id=lambda node, _: node.review.id,
        state=lambda node, _: str(node.review.state),
        author=lambda node, _: actor(node.review.author),
        author_association=lambda node, _: node.repo.association(node.review.author),
        commit=lambda node, _: commit(node.repo, node.review.commit_sha),
        body=lambda node, _: node.review.body,
        url=_review_url,
        includes_created_edit=lambda _node, _ctx: False,
        reaction_groups=_no_reactions,
    )
    resolvers.bind(
        "PullRequestReviewThread",
        id=lambda node, _: node_id("PRRT", node.thread.id),
        is_resolved=lambda node, _: node.thread.resolved_by is not None,
        resolved_by=lambda node, _: actor(node.thread.resolved_by),
        is_outdated=lambda node, _: node.thread.commit_sha != node.pull.head_sha,
        path=lambda node, _: node.thread.path,
        line=lambda _node, _ctx: 1,
        comments=lambda node, _, **page: connect([node.thread], **page),
    )
    resolvers.bind(
        "PullRequestReviewComment",
        id=lambda thread, _: node_id("PRRC", thread.id),
        author=lambda thread, _: actor(thread.author),
        created_at=lambda thread, _: iso(thread.created_at),
    )
    resolvers.attributes("PullRequestReviewComment", "body path")


def _submitted_at(node: ReviewNode, _context: Context) -> str:
    return iso(node.review.submitted_at)


def _bind_comments(resolvers: Resolvers) -> None:
    resolvers.bind(
        "IssueComment",
        id=lambda node, _: node_id("IC", node.comment.id),
        database_id=lambda node, _: node.comment.id,
        author=lambda node, _: actor(node.comment.author),
        author_association=lambda node, ctx: ctx.world.repo_of(node.ticket).association(node.comment.author),
        body=lambda node, _: node.comment.body,
        created_at=lambda node, _: iso(node.comment.created_at),
        updated_at=lambda node, _: iso(node.comment.created_at),
        includes_created_edit=lambda _node, _ctx: False,
        is_minimized=lambda _node, _ctx: False,
        minimized_reason=lambda _node, _ctx: None,
        reaction_groups=_no_reactions,
        url=_comment_url,
        viewer_did_author=lambda node, ctx: node.comment.author == ctx.viewer,
    )
    resolvers.bind(
        "ReactionGroup",
        content=lambda group, _: group["content"],
        users=lambda _group, _ctx, **page: connect((), **page),
        viewer_has_reacted=lambda _group, _ctx: False,
    )


def _comment_url(node: CommentNode, context: Context) -> str:
    page = "pull" if isinstance(node.ticket, Pull) else "issues"
    where = context.html(context.world.repo_of(node.ticket))
    return f"{where}/{page}/{node.ticket.number}#issuecomment-{node.comment.id}"


def _bind_labels(resolvers: Resolvers) -> None:
    resolvers.bind(
        "Label",
        id=lambda node, _: node_id("LA", node.label.id),
        name=lambda node, _: node.label.name,
        color=lambda node, _: node.label.color,
        description=lambda node, _: node.label.description,
        is_default=lambda _node, _ctx: False,
        url=lambda node, ctx: f"{ctx.html(node.repo)}/labels/{node.label.name}",
        created_at=lambda node, _: iso(node.repo.created_at),
    )
    resolvers.bind(
        "Milestone",
        id=lambda node, _: node_id("MI", node.milestone.id),
        title=lambda node, _: node.milestone.title,
        number=lambda node, _: node.milestone.number,
        description=lambda _node, _ctx: None,
        due_on=lambda _node, _ctx: None,
        state=lambda _node, _ctx: "OPEN",
        url=lambda node, ctx: f"{ctx.html(node.repo)}/milestone/{node.milestone.number}",
    )
