"""Opening, editing, labelling, reviewing and closing pull requests and issues, with the events each sends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mergeq.sandbox import mergeability, policy
from mergeq.sandbox.pull_shapes import pull_full, pull_summary, review_shape, thread_shape
from mergeq.sandbox.records import Comment, Issue, Label, Pull, Repo, Review, ReviewState, Thread, TimelineKind
from mergeq.sandbox.refusals import FieldError, RefusedError, invalid, not_found

if TYPE_CHECKING:
    from mergeq.sandbox.world import World


REVIEW_EVENTS = {
    "APPROVE": ReviewState.APPROVED,
    "REQUEST_CHANGES": ReviewState.CHANGES_REQUESTED,
    "COMMENT": ReviewState.COMMENTED,
}
"""What can be done with a review, and what it says then."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for when opening a pull request."""

    title: str
    body: str
    base: str
    source: Repo
    branch: str
    draft: bool = False
    milestone: str | None = None


def announce(world: World, pull: Pull, action: str, by: str, **fields: Any) -> None:
    """Send a pull_request event."""
    if not world.webhooks.wanted("pull_request", pull.repo):
        return
    repo = world.repo_of(pull)
    shape = pull_full(world.shapes(), repo, pull)
    body = {"action": action, "number": pull.number, "pull_request": shape, **fields}
    world.emit("pull_request", repo, body, by=by, pr=pull.number)


def announce_issue(world: World, issue: Issue, action: str, by: str, **fields: Any) -> None:
    """Send an issues event."""
    if world.webhooks.wanted("issues", issue.repo):
        repo = world.repo_of(issue)
        shape = world.shapes().issue(repo, issue)
        world.emit("issues", repo, {"action": action, "issue": shape, **fields}, by=by)


def open_pull(world: World, repo: Repo, request: Request, *, by: str, labels: Iterable[str] = ()) -> Pull:
    """Open a pull request from a branch that exists; raises RefusedError 422 as the API answers."""
    base = repo.git.tip(request.base)
    head = request.source.git.tip(request.branch)
    if base is None or head is None:
        raise RefusedError(422, "Validation Failed", [_bad("base" if base is None else "head")])
    label = f"{request.source.owner}:{request.branch}"
    for other in repo.pulls.values():
        same_head = (other.head_repo, other.head_ref) == (request.source.full_name, request.branch)
        if other.is_open and same_head and other.base_ref == request.base:
            raise invalid("PullRequest", f"A pull request already exists for {label}.")
    now = world.now()
    number = repo.next_number()
    pull = Pull(
        id=world.next_id(),
        repo=repo.full_name,
        number=number,
        title=request.title,
        body=request.body,
        author=by,
        created_at=now,
        updated_at=now,
        base_ref=request.base,
        head_repo=request.source.full_name,
        head_ref=request.branch,
        head_sha=head,
        draft=request.draft,
        last_pusher=by,
    )
    keep_head(world, pull)
    if not repo.git.new_commits(pull.base_sha, head):
        raise invalid("PullRequest", f"No commits between {request.base} and {request.branch}")
    if request.milestone is not None:
        pull.milestone = world.ensure_milestone(repo, request.milestone, by)
    repo.pulls[number] = pull
    wanted = [world.ensure_label(repo, name) for name in labels]
    announce(world, pull, "opened", by)
    for wish in wanted:
        _put_label(world, pull, wish, by)
    world.ci.pull_updated(pull)
    return pull


def _bad(field: str) -> FieldError:
    return {"resource": "PullRequest", "field": field, "code": "invalid"}


def keep_head(world: World, pull: Pull) -> None:
    """Hold the head in the base repository as refs/pull/N/head and start over with mergeability."""
    repo = world.repo_of(pull)
    ref = f"refs/pull/{pull.number}/head"
    if pull.is_cross_repository:
        repo.git.fetch(world.repo(pull.head_repo).git_dir, pull.head_sha, ref)
    else:
        repo.git.move(ref, pull.head_sha)
    pull.base_sha = repo.git.tip(pull.base_ref) or pull.base_sha
    mergeability.forget(pull)


def mark_merged(world: World, pull: Pull, sha: str, by: str) -> None:
    """The pull request has become part of its base at ``sha``."""
    now = world.now()
    pull.state = "closed"
    pull.merged = True
    pull.merged_at = pull.closed_at = pull.updated_at = now
    pull.merged_by = by
    pull.merge_commit_sha = sha
    mergeability.forget(pull)
    world.note(pull, TimelineKind.MERGED, by, after=sha)
    world.note(pull, TimelineKind.CLOSED, by)
    announce(world, pull, "closed", by)


def close(world: World, pull: Pull, by: str) -> None:
    """Close without merging; a closed one stays as it is."""
    if not pull.is_open:
        return
    pull.state = "closed"
    pull.closed_at = pull.updated_at = world.now()
    world.note(pull, TimelineKind.CLOSED, by)
    announce(world, pull, "closed", by)


def reopen(world: World, pull: Pull, by: str) -> None:
    """Open again at whatever its branch is now; raises RefusedError 422 if that cannot be."""
    if pull.is_open:
        return
    source = world.find_repo(pull.head_repo)
    head = source.git.tip(pull.head_ref) if source else None
    if pull.merged or head is None or world.repo_of(pull).git.tip(pull.base_ref) is None:
        raise invalid("PullRequest", "state cannot be changed.", "state")
    pull.state = "open"
    pull.closed_at = None
    pull.head_sha = head
    pull.updated_at = world.now()
    keep_head(world, pull)
    world.note(pull, TimelineKind.REOPENED, by)
    announce(world, pull, "reopened", by)
    world.ci.pull_updated(pull)


def edit(
    world: World, pull: Pull, by: str, *, title: str | None = None, body: str | None = None, base: str | None = None
) -> None:
    """Change title, body or base branch; what stays the same is not announced."""
    changes: dict[str, Any] = {}
    if title is not None and title != pull.title:
        changes["title"] = {"from": pull.title}
        pull.title = title
    if body is not None and body != pull.body:
        changes["body"] = {"from": pull.body}
        pull.body = body
    if base is not None and base != pull.base_ref:
        _retarget(world, pull, base, by, changes)
    if changes:
        pull.updated_at = world.now()
        announce(world, pull, "edited", by, changes=changes)


def _retarget(world: World, pull: Pull, base: str, by: str, changes: dict[str, Any]) -> None:
    tip = world.repo_of(pull).git.tip(base)
    if tip is None:
        raise RefusedError(422, "Validation Failed", [_bad("base")])
    changes["base"] = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
    world.note(pull, TimelineKind.BASE_CHANGED, by, before=pull.base_ref, after=base)
    pull.base_ref, pull.base_sha = base, tip
    mergeability.forget(pull)
    dismiss_stale(world, pull)


def set_draft(world: World, pull: Pull, by: str, *, draft: bool) -> None:
    """Make it a draft, or ready for review."""
    if pull.draft == draft:
        return
    pull.draft = draft
    pull.updated_at = world.now()
    world.note(pull, TimelineKind.DRAFTED if draft else TimelineKind.READY, by)
    announce(world, pull, "converted_to_draft" if draft else "ready_for_review", by)
    world.wake_auto_merges(world.repo_of(pull))


def review(world: World, pull: Pull, by: str, state: ReviewState, body: str = "") -> Review:
    """Submit a review of the present head; one cannot approve one's own work."""
    if by == pull.author and state in (ReviewState.APPROVED, ReviewState.CHANGES_REQUESTED):
        verb = "approve" if state is ReviewState.APPROVED else "request changes on"
        raise RefusedError(422, "Unprocessable Entity", [f"Can not {verb} your own pull request"])
    if state is ReviewState.DISMISSED:
        return dismiss(world, pull, _newest_opinion(pull, by), by)
    submitted = Review(world.next_id(), by, state, pull.head_sha, world.now(), body)
    pull.reviews.append(submitted)
    _be_answered(world, pull, by)
    _tell_review(world, pull, submitted, by, "submitted")
    return submitted


def _be_answered(world: World, pull: Pull, by: str) -> None:
    """Who has reviewed is asked no longer, and neither are their teams; no event tells it."""
    members = world.repo_of(pull).people.teams
    pull.reviewers = [login for login in pull.reviewers if login != by]
    pull.reviewing_teams = [slug for slug in pull.reviewing_teams if by not in members.get(slug, ())]


def dismiss(world: World, pull: Pull, given: Review, by: str) -> Review:
    """Take the word out of a review."""
    dismissed = replace(given, state=ReviewState.DISMISSED)
    pull.reviews[pull.reviews.index(given)] = dismissed
    _tell_review(world, pull, dismissed, by, "dismissed")
    return dismissed


def _tell_review(world: World, pull: Pull, review: Review, by: str, action: str) -> None:
    pull.updated_at = world.now()
    world.wake_auto_merges(world.repo_of(pull))
    if world.webhooks.wanted("pull_request_review", pull.repo):
        repo, shapes = world.repo_of(pull), world.shapes()
        shown = review_shape(shapes, repo, pull, review) | {"state": review.state.lower()}
        whole = {"action": action, "review": shown, "pull_request": pull_summary(shapes, repo, pull)}
        world.emit("pull_request_review", repo, whole, by=by, pr=pull.number)


def dismiss_stale(world: World, pull: Pull) -> None:
    """A new head takes the word out of approvals where the rules of the base say so (Q89)."""
    if not any(rule.dismiss_stale for rule in policy.review_rules(world.repo_of(pull), pull.base_ref)):
        return
    for reviewer in {r.author for r in policy.opinions(pull).values() if r.state is ReviewState.APPROVED}:
        review(world, pull, reviewer, ReviewState.DISMISSED)


def _newest_opinion(pull: Pull, reviewer: str) -> Review:
    spoken = (ReviewState.APPROVED, ReviewState.CHANGES_REQUESTED)
    given = next((r for r in reversed(pull.reviews) if r.author == reviewer and r.state in spoken), None)
    if given is None:
        raise invalid("PullRequestReview", "Can not dismiss a review that is not there")
    return given


def open_thread(world: World, pull: Pull, by: str, path: str, body: str) -> Thread:
    """Start a conversation about a file."""
    thread = Thread(world.next_id(), by, path, body, pull.head_sha, world.now())
    pull.threads.append(thread)
    pull.updated_at = world.now()
    return thread


def resolve_thread(world: World, pull: Pull, thread: Thread, by: str, *, resolved: bool) -> None:
    """End a conversation, or take it up again."""
    if resolved == (thread.resolved_by is not None):
        return
    thread.resolved_by = by if resolved else None
    pull.updated_at = world.now()
    world.wake_auto_merges(world.repo_of(pull))
    if world.webhooks.wanted("pull_request_review_thread", pull.repo):
        repo, shapes = world.repo_of(pull), world.shapes()
        body = {
            "action": "resolved" if resolved else "unresolved",
            "thread": thread_shape(shapes, repo, pull, thread),
            "pull_request": pull_summary(shapes, repo, pull),
        }
        world.emit("pull_request_review_thread", repo, body, by=by, pr=pull.number)


def add_label(world: World, ticket: Pull | Issue, name: str, by: str) -> None:
    """Put a label on unless it is on already, in whatever case."""
    if not ticket.has_label(name):
        _put_label(world, ticket, world.ensure_label(world.repo_of(ticket), name), by)


def _put_label(world: World, ticket: Pull | Issue, label: Label, by: str) -> None:
    if ticket.has_label(label.name):
        return
    ticket.labels.append(label.name)
    _tell_label(world, ticket, label, by, "labeled", TimelineKind.LABELED)


def rename_label(world: World, repo: Repo, old: str, new: str, by: str) -> None:
    """Give a label another name everywhere, also where the past speaks of it."""
    before = repo.labels.pop(old.casefold())
    after = replace(before, name=new)
    if new.casefold() in repo.labels:
        repo.labels[old.casefold()] = before
        raise invalid("Label", "name has already been taken", "name")
    repo.labels[new.casefold()] = after
    for ticket in repo.tickets:
        ticket.labels = [new if name == before.name else name for name in ticket.labels]
        if isinstance(ticket, Pull):
            ticket.timeline = [replace(e, label=after) if e.label == before else e for e in ticket.timeline]
    announce_label(world, repo, after, "edited", by, changes={"name": {"from": before.name}})


def remove_label(world: World, ticket: Pull | Issue, name: str, by: str) -> None:
    """Take a label off; raises RefusedError 404 if it is not on."""
    label = world.repo_of(ticket).labels.get(name.casefold())
    if label is None or label.name not in ticket.labels:
        raise RefusedError(404, "Label does not exist")
    ticket.labels.remove(label.name)
    _tell_label(world, ticket, label, by, "unlabeled", TimelineKind.UNLABELED)


def set_labels(world: World, ticket: Pull | Issue, names: Iterable[str], by: str) -> None:
    """Leave these labels on, and no others."""
    wanted = {name.casefold(): name for name in names}
    for name in [name for name in ticket.labels if name.casefold() not in wanted]:
        remove_label(world, ticket, name, by)
    for name in wanted.values():
        add_label(world, ticket, name, by)


def announce_label(world: World, repo: Repo, label: Label, action: str, by: str, **fields: Any) -> None:
    """Send a label event."""
    if world.webhooks.wanted("label", repo.full_name):
        body = {"action": action, "label": world.shapes().label(repo, label), **fields}
        world.emit("label", repo, body, by=by)


def create_label(world: World, repo: Repo, label: Label, by: str) -> None:
    """Add a label to a repository; raises RefusedError 422 if the name is taken in any case."""
    if label.name.casefold() in repo.labels:
        raise RefusedError(422, "Validation Failed", [{"resource": "Label", "code": "already_exists", "field": "name"}])
    repo.labels[label.name.casefold()] = label
    announce_label(world, repo, label, "created", by)


def delete_label(world: World, repo: Repo, label: Label, by: str) -> None:
    """Take a label away from a repository, and so from everything that bears it."""
    for ticket in repo.tickets:
        if ticket.has_label(label.name):
            ticket.labels.remove(label.name)
    del repo.labels[label.name.casefold()]
    announce_label(world, repo, label, "deleted", by)


def lock(world: World, ticket: Pull | Issue, by: str, *, locked: bool, reason: str | None = None) -> None:
    """Close a conversation to everybody who may not write, or open it again."""
    if ticket.locked == locked:
        return
    ticket.locked, ticket.lock_reason = locked, reason if locked else None
    action = "locked" if locked else "unlocked"
    if isinstance(ticket, Pull):
        announce(world, ticket, action, by)
    else:
        announce_issue(world, ticket, action, by)


def _tell_label(world: World, ticket: Pull | Issue, label: Label, by: str, action: str, kind: TimelineKind) -> None:
    ticket.updated_at = world.now()
    shown = world.shapes().label(world.repo_of(ticket), label)
    if isinstance(ticket, Pull):
        world.note(ticket, kind, by, label=label)
        announce(world, ticket, action, by, label=shown)
    else:
        announce_issue(world, ticket, action, by, label=shown)


def comment(world: World, ticket: Pull | Issue, body: str, by: str, via: int | None = None) -> Comment:
    """Comment on an issue or pull request; raises RefusedError 403 where that is locked and ``by`` may not write."""
    if ticket.locked and not world.repo_of(ticket).people.may_write(by):
        raise RefusedError(403, "Unable to create comment because issue is locked.")
    said = Comment(world.next_id(), by, body, world.now(), via)
    ticket.comments.append(said)
    ticket.updated_at = world.now()
    _tell_comment(world, ticket, said, by, "created")
    return said


def edit_comment(world: World, ticket: Pull | Issue, place: int, body: str, by: str) -> Comment:
    """Change what a comment says; ``place`` counts from 0."""
    before = ticket.comments[place]
    after = ticket.comments[place] = replace(before, body=body)
    _tell_comment(world, ticket, after, by, "edited", changes={"body": {"from": before.body}})
    return after


def delete_comment(world: World, ticket: Pull | Issue, place: int, by: str) -> None:
    """Take a comment away; ``place`` counts from 0."""
    _tell_comment(world, ticket, ticket.comments.pop(place), by, "deleted")


def _tell_comment(world: World, ticket: Pull | Issue, said: Comment, by: str, action: str, **fields: Any) -> None:
    if world.webhooks.wanted("issue_comment", ticket.repo):
        repo, shapes = world.repo_of(ticket), world.shapes()
        shown = {"issue": shapes.issue(repo, ticket), "comment": shapes.comment(repo, ticket.number, said)}
        world.emit("issue_comment", repo, {"action": action, **shown, **fields}, by=by, pr=ticket.number)


def open_issue(
    world: World, repo: Repo, title: str, body: str, labels: Iterable[str], by: str, via: int | None = None
) -> Issue:
    """Open an issue; its labels are announced one by one."""
    now = world.now()
    number = repo.next_number()
    issue = Issue(
        id=world.next_id(),
        repo=repo.full_name,
        number=number,
        title=title,
        body=body,
        author=by,
        created_at=now,
        updated_at=now,
        via_app=via,
    )
    repo.issues[number] = issue
    announce_issue(world, issue, "opened", by)
    for name in labels:
        add_label(world, issue, name, by)
    return issue


def set_state(world: World, ticket: Pull | Issue, state: str, by: str) -> None:
    """Close or reopen; raises RefusedError 422 for another word."""
    if state not in ("open", "closed"):
        resource = "PullRequest" if isinstance(ticket, Pull) else "Issue"
        raise invalid(resource, "state is not included in the list", "state")
    if isinstance(ticket, Pull):
        (close if state == "closed" else reopen)(world, ticket, by)
    elif ticket.state != state:
        ticket.state = state
        ticket.updated_at = world.now()
        ticket.closed_at = ticket.updated_at if state == "closed" else None
        announce_issue(world, ticket, "closed" if state == "closed" else "reopened", by)


def edit_issue(world: World, issue: Issue, by: str, *, title: str | None, body: str | None) -> None:
    """Change title or body of an issue."""
    changes = {}
    if title is not None and title != issue.title:
        changes["title"] = {"from": issue.title}
        issue.title = title
    if body is not None and body != issue.body:
        changes["body"] = {"from": issue.body}
        issue.body = body
    if changes:
        issue.updated_at = world.now()
        announce_issue(world, issue, "edited", by, changes=changes)


def ticket_of(repo: Repo, number: int) -> Pull | Issue:
    """An issue or pull request by number; raises RefusedError 404."""
    found = repo.ticket(number)
    if found is None:
        raise not_found()
    return found


def brings(repo: Repo, pull: Pull, sha: str) -> bool:
    """Whether a commit has come with a pull request, or would."""
    if sha == (pull.merge_commit_sha if pull.merged else pull.head_sha):
        return True
    return sha in {commit for commit, _ in repo.git.new_commits(pull.base_sha, pull.head_sha)}
