"""GraphQL's mutations: refs, pull requests, issues, labels, comments, reviews and conversations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from mergeq.sandbox import asking, graph_protecting, graph_ruling, merging, pulls, refs
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.graph_commits import ActorNode, RefNode, actor, commit, ref
from mergeq.sandbox.graph_conversations import CommentNode, ReviewNode, ThreadNode
from mergeq.sandbox.graph_protection import TeamNode
from mergeq.sandbox.graph_repos import the_node
from mergeq.sandbox.graph_schema import Context, GraphRefusedError, Resolvers, camel
from mergeq.sandbox.ids import cursor, node_id, parts_of
from mergeq.sandbox.permissions import MUTATIONS
from mergeq.sandbox.records import Issue, Label, Method, Pull, Repo, Ticket
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, archived
from mergeq.sandbox.updating import UpdateMethod, ask_for_update
from mergeq.sandbox.users import Role

Input = Mapping[str, Any]
Answer = dict[str, Any]
Mutation = Callable[[Context, Input], Answer]


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    for mutation, fields in PAYLOADS.items():
        name = camel(mutation.__name__)
        resolvers.field("Mutation", name=name)(_answering(mutation))
        payload = f"{name[0].upper()}{name[1:]}Payload"
        for field in ("clientMutationId", *fields):
            resolvers.field(payload, name=field)(_item(field))
    for field in ("cursor", "node"):
        resolvers.field("IssueCommentEdge", "UserEdge", name=field)(_item(field))


def _item(name: str) -> Callable[..., Any]:
    return lambda answer, _context: answer[name]


def _answering(mutation: Mutation) -> Callable[..., Answer]:
    """Turn what REST would refuse into an error of GraphQL's kinds."""

    @wraps(mutation)
    def answer(_root: None, context: Context, input: Input) -> Answer:  # noqa: A002
        try:
            _require_permission(context, camel(mutation.__name__), input)
            return {**mutation(context, input), "clientMutationId": input.get("clientMutationId")}
        except NotSimulatedError:
            raise
        except RefusedError as refusal:
            kind = "FORBIDDEN" if refusal.status == 403 else "UNPROCESSABLE"
            raise GraphRefusedError(kind, _words(refusal)) from refusal

    return answer


def _words(refusal: RefusedError) -> str:
    """What REST would say; where that tells the reasons apart from the message, the reasons alone."""
    reasons = [one if isinstance(one, str) else one.get("message", "") for one in refusal.errors]
    return " ".join(filter(None, reasons)) or refusal.message


def _require_permission(context: Context, mutation: str, asked: Input) -> None:
    """What the token was given has to suffice, for whatever repository the ids sent belong to."""
    branch = asked.get("branch")
    sent = [*asked.values(), *(branch.values() if isinstance(branch, Mapping) else ())]
    ids = (parts_of(value) for value in sent if isinstance(value, str))
    numbers = (parts[0] for _, parts in filter(None, ids) if parts[0].isdigit())
    named = (context.world.find_repo(value) for value in sent if isinstance(value, str))
    found = (*(context.world.repo_by_id(int(number)) for number in numbers), *named)
    repo = next(filter(None, found), None)
    if not context.caller.may(MUTATIONS[mutation], repo):
        raise context.caller.refusal()


def _require(context: Context, repo: Repo, mutation: str, role: Role = Role.WRITE) -> None:
    """Raises RefusedError 403 for an archived repository, GraphRefusedError for a person with less than ``role``."""
    if repo.archived:
        raise archived()
    if not context.caller.is_integration and not repo.people.reaches(context.viewer, role):
        raise graph_protecting.forbidden(context, mutation)


def _update_refs(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    _require(context, repo, "UpdateRefs")
    wishes = [
        refs.RefWish(wish["name"], wish["afterOid"], wish.get("beforeOid"), force=bool(wish.get("force")))
        for wish in asked["refUpdates"]
    ]
    refs.update_all(context.world, repo, wishes, context.viewer)
    return {}


def _update_pull_request_branch(context: Context, asked: Input) -> Answer:
    pull = the_node(context, asked["pullRequestId"], Pull)
    if context.repo_of(pull).archived:
        raise archived()
    method = UpdateMethod(asked.get("updateMethod") or UpdateMethod.MERGE)
    expected = asked.get("expectedHeadOid")
    ask_for_update(context.world, pull, context.viewer, expected=expected, method=method)
    return {"pullRequest": pull}


def _create_ref(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    _require(context, repo, "CreateRef")
    refs.create(context.world, repo, asked["name"], asked["oid"], context.viewer)
    return {"ref": ref(repo, asked["name"])}


def _create_commit_on_branch(context: Context, asked: Input) -> Answer:
    """One commit by the viewer, signed by GitHub, on a branch that is where it is believed to be."""
    repo, branch = _branch_of(context, asked["branch"])
    _require(context, repo, "CreateCommitOnBranch")
    changes = asked.get("fileChanges") or {}
    files: dict[str, str | None] = {one["path"]: None for one in changes.get("deletions") or ()}
    files |= {one["path"]: _text(one["contents"]) for one in changes.get("additions") or ()}
    message = "\n\n".join(filter(None, (asked["message"]["headline"], asked["message"].get("body"))))
    expected = asked["expectedHeadOid"]
    sha = refs.commit_on(context.world, repo, branch, files, message, context.viewer, expected=expected)
    return {"commit": commit(repo, sha), "ref": ref(repo, HEADS + branch)}


def _branch_of(context: Context, named: Input) -> tuple[Repo, str]:
    """The branch, by its id or by the two names."""
    if named.get("id"):
        found = the_node(context, named["id"], RefNode)
        return found.repo, found.ref.removeprefix(HEADS)
    full_name, branch = named.get("repositoryNameWithOwner"), named.get("branchName")
    repo = context.world.find_repo(full_name) if full_name else None
    if repo is None or not branch:
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to a Repository with the name '{full_name}'.")
    return repo, branch.removeprefix(HEADS)


def _text(contents: str) -> str:
    try:
        return base64.b64decode(contents, validate=True).decode()
    except binascii.Error as error:
        raise RefusedError(422, "A file's contents are not valid Base64") from error
    except UnicodeDecodeError as error:
        raise NotSimulatedError("createCommitOnBranch with files that are not text") from error


def _delete_ref(context: Context, asked: Input) -> Answer:
    found = the_node(context, asked["refId"], RefNode)
    _require(context, found.repo, "DeleteRef")
    refs.delete(context.world, found.repo, found.ref, context.viewer)
    return {}


def _update_ref(context: Context, asked: Input) -> Answer:
    found = the_node(context, asked["refId"], RefNode)
    _require(context, found.repo, "UpdateRef")
    refs.update(context.world, found.repo, found.ref, asked["oid"], context.viewer, force=bool(asked.get("force")))
    return {"ref": ref(found.repo, found.ref)}


def _merge_branch(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    _require(context, repo, "MergeBranch")
    message, base, head = asked.get("commitMessage"), asked["base"], asked["head"]
    merged = merging.merge_branch(context.world, repo, base, head, message=message, by=context.viewer)
    return {"mergeCommit": merged and commit(repo, merged)}


def _editable(context: Context, ticket: Pull | Issue, mutation: str, *, more_than_state: bool = False) -> None:
    """Raises as ``_require`` does, for whoever has not opened it and may not change what others have."""
    repo = context.world.repo_of(ticket)
    if repo.archived:
        raise archived()
    may = asking.may_change(repo, ticket, context.viewer, more_than_state=more_than_state)
    if not context.caller.is_integration and not may:
        raise graph_protecting.forbidden(context, mutation)


def _the_pull(context: Context, asked: Input, mutation: str) -> Pull:
    """The pull request that a writer wants changed."""
    pull = the_node(context, asked["pullRequestId"], Pull)
    _require(context, context.repo_of(pull), mutation)
    return pull


def _merge_pull_request(context: Context, asked: Input) -> Answer:
    pull = _the_pull(context, asked, "MergePullRequest")
    merging.merge(
        context.world,
        pull,
        Method(asked["mergeMethod"].lower()),
        by=context.viewer,
        sha=asked.get("expectedHeadOid"),
        title=asked.get("commitHeadline"),
        message=asked.get("commitBody"),
    )
    return {"pullRequest": pull, "actor": actor(context.viewer)}


def _enable_pull_request_auto_merge(context: Context, asked: Input) -> Answer:
    pull = _the_pull(context, asked, "EnablePullRequestAutoMerge")
    method, expected = Method(asked["mergeMethod"].lower()), asked.get("expectedHeadOid")
    if expected not in (None, pull.head_sha):
        raise RefusedError(422, merging.HEAD_MODIFIED)
    words = asked.get("commitHeadline"), asked.get("commitBody")
    merging.enable_auto_merge(context.world, pull, method, by=context.viewer, title=words[0], message=words[1])
    return {"pullRequest": pull, "actor": actor(context.viewer)}


def _disable_pull_request_auto_merge(context: Context, asked: Input) -> Answer:
    pull = _the_pull(context, asked, "DisablePullRequestAutoMerge")
    merging.disable_auto_merge(context.world, pull, by=context.viewer)
    return {"pullRequest": pull, "actor": actor(context.viewer)}


def _enqueue_pull_request(context: Context, asked: Input) -> Answer:
    """Always refused: no branch here has GitHub's own merge queue."""
    _the_pull(context, asked, "EnqueuePullRequest")
    raise GraphRefusedError("UNPROCESSABLE", "The base branch does not have a merge queue")


def _dequeue_pull_request(context: Context, asked: Input) -> Answer:
    the_node(context, asked["id"], Pull)
    raise GraphRefusedError("UNPROCESSABLE", "Pull request is not in the merge queue")


def _create_pull_request(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    source = the_node(context, asked["headRepositoryId"], Repo) if asked.get("headRepositoryId") else repo
    owner, colon, branch = asked["headRefName"].rpartition(":")
    if colon:
        source = context.world.find_repo(f"{owner}/{repo.name}") or source
    base = asked["baseRefName"].removeprefix(HEADS)
    draft, body = bool(asked.get("draft")), asked.get("body") or ""
    request = pulls.Request(asked["title"], body, base, source, branch.removeprefix(HEADS), draft=draft)
    opened = pulls.open_pull(context.world, repo, request, by=context.viewer)
    opened.maintainer_can_modify = bool(asked.get("maintainerCanModify", True))
    return {"pullRequest": opened}


def _says_more(asked: Input) -> bool:
    """Whether more is to be changed than what people who sort may change."""
    said = {name for name, value in asked.items() if value is not None}
    return bool(said - {"id", "pullRequestId", "clientMutationId", "state", "labelIds", "assigneeIds"})


def _own_pull(context: Context, asked: Input, mutation: str, *, more_than_state: bool = False) -> Pull:
    """The pull request that its author, or whoever may, wants changed."""
    pull = the_node(context, asked["pullRequestId"], Pull)
    _editable(context, pull, mutation, more_than_state=more_than_state)
    return pull


def _update_pull_request(context: Context, asked: Input) -> Answer:
    pull = _own_pull(context, asked, "UpdatePullRequest", more_than_state=_says_more(asked))
    for name in ("milestoneId", "projectIds"):
        if asked.get(name):
            raise NotSimulatedError(f"{name} of UpdatePullRequest")
    world, by = context.world, context.viewer
    if asked.get("assigneeIds") is not None:
        _set_assignees(context, pull, asked["assigneeIds"], "UpdatePullRequest")
    pulls.edit(world, pull, by, title=asked.get("title"), body=asked.get("body"), base=asked.get("baseRefName"))
    if "labelIds" in asked:
        _require(context, context.repo_of(pull), "UpdatePullRequest", Role.TRIAGE)
        _set_labels(context, pull, asked["labelIds"] or ())
    if asked.get("maintainerCanModify") is not None:
        pull.maintainer_can_modify = asked["maintainerCanModify"]
    if asked.get("state") is not None:
        pulls.set_state(world, pull, asked["state"].lower(), by)
    return {"pullRequest": pull}


def _close_pull_request(context: Context, asked: Input) -> Answer:
    pull = _own_pull(context, asked, "ClosePullRequest")
    pulls.close(context.world, pull, context.viewer)
    return {"pullRequest": pull}


def _reopen_pull_request(context: Context, asked: Input) -> Answer:
    pull = _own_pull(context, asked, "ReopenPullRequest")
    pulls.reopen(context.world, pull, context.viewer)
    return {"pullRequest": pull}


def _mark_pull_request_ready_for_review(context: Context, asked: Input) -> Answer:
    pull = _own_pull(context, asked, "MarkPullRequestReadyForReview", more_than_state=True)
    pulls.set_draft(context.world, pull, context.viewer, draft=False)
    return {"pullRequest": pull}


def _convert_pull_request_to_draft(context: Context, asked: Input) -> Answer:
    pull = _own_pull(context, asked, "ConvertPullRequestToDraft", more_than_state=True)
    pulls.set_draft(context.world, pull, context.viewer, draft=True)
    return {"pullRequest": pull}


def _add_pull_request_review(context: Context, asked: Input) -> Answer:
    pull = the_node(context, asked["pullRequestId"], Pull)
    if asked.get("comments") or asked.get("threads") or asked.get("commitOID") not in (None, pull.head_sha):
        raise NotSimulatedError("a review with comments in the code, or of a commit that is not the head")
    if asked.get("event") not in pulls.REVIEW_EVENTS:
        raise NotSimulatedError("a review that is not submitted")
    state = pulls.REVIEW_EVENTS[asked["event"]]
    review = pulls.review(context.world, pull, context.viewer, state, asked.get("body") or "")
    return {"pullRequestReview": ReviewNode(context.repo_of(pull), pull, review)}


def _resolve_review_thread(context: Context, asked: Input) -> Answer:
    return _set_thread(context, asked, resolved=True)


def _unresolve_review_thread(context: Context, asked: Input) -> Answer:
    return _set_thread(context, asked, resolved=False)


def _set_thread(context: Context, asked: Input, *, resolved: bool) -> Answer:
    node = the_node(context, asked["threadId"], ThreadNode)
    _require(context, context.repo_of(node.pull), "ResolveReviewThread")
    pulls.resolve_thread(context.world, node.pull, node.thread, context.viewer, resolved=resolved)
    return {"thread": node}


def _add_comment(context: Context, asked: Input) -> Answer:
    ticket: Pull | Issue = the_node(context, asked["subjectId"], Ticket)  # type: ignore[assignment]
    pulls.comment(context.world, ticket, asked["body"], context.viewer, context.via_app)
    place = len(ticket.comments) - 1
    return {
        "subject": ticket,
        "commentEdge": {"cursor": cursor(place), "node": CommentNode(ticket, ticket.comments[place])},
    }


def _add_labels_to_labelable(context: Context, asked: Input) -> Answer:
    ticket = _labelled(context, asked, "AddLabelsToLabelable")
    for label in _labels(context, ticket, asked["labelIds"]):
        pulls.add_label(context.world, ticket, label.name, context.viewer)
    return {"labelable": ticket}


def _remove_labels_from_labelable(context: Context, asked: Input) -> Answer:
    ticket = _labelled(context, asked, "RemoveLabelsFromLabelable")
    for label in _labels(context, ticket, asked["labelIds"]):
        if ticket.has_label(label.name):
            pulls.remove_label(context.world, ticket, label.name, context.viewer)
    return {"labelable": ticket}


def _labelled(context: Context, asked: Input, mutation: str) -> Pull | Issue:
    ticket: Pull | Issue = the_node(context, asked["labelableId"], Ticket)  # type: ignore[assignment]
    _require(context, context.world.repo_of(ticket), mutation, Role.TRIAGE)
    return ticket


def _labels(context: Context, ticket: Ticket, ids: Sequence[str]) -> list[Label]:
    known = {node_id("LA", label.id): label for label in context.world.repo_of(ticket).labels.values()}
    for unknown in (one for one in ids if one not in known):
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to a node with the global id of '{unknown}'.")
    return [known[one] for one in ids]


def _set_labels(context: Context, ticket: Pull | Issue, ids: Sequence[str]) -> None:
    wanted = [label.name for label in _labels(context, ticket, ids)]
    pulls.set_labels(context.world, ticket, wanted, context.viewer)


def _create_issue(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    ids = asked.get("labelIds") or ()
    unsupported = asked.keys() - {"repositoryId", "title", "body", "labelIds", "assigneeIds", "clientMutationId"}
    if any(asked[name] for name in unsupported):
        raise NotSimulatedError(f"{min(unsupported)} of CreateIssue")
    names = [label.name for label in repo.labels.values() if node_id("LA", label.id) in ids]
    words, by = (asked["title"], asked.get("body") or ""), context.viewer
    issue = pulls.open_issue(context.world, repo, *words, names, by, context.via_app)
    asking.assign(context.world, issue, _logins(context, asked.get("assigneeIds") or ()), by)
    return {"issue": issue}


def _close_issue(context: Context, asked: Input) -> Answer:
    return _set_issue(context, asked, "closed")


def _reopen_issue(context: Context, asked: Input) -> Answer:
    return _set_issue(context, asked, "open")


def _set_issue(context: Context, asked: Input, state: str) -> Answer:
    issue = the_node(context, asked["issueId"], Issue)
    _editable(context, issue, "CloseIssue" if state == "closed" else "ReopenIssue")
    pulls.set_state(context.world, issue, state, context.viewer)
    return {"issue": issue}


def _update_issue(context: Context, asked: Input) -> Answer:
    issue = the_node(context, asked["id"], Issue)
    _editable(context, issue, "UpdateIssue", more_than_state=_says_more(asked))
    for name in ("milestoneId", "projectIds"):
        if asked.get(name):
            raise NotSimulatedError(f"{name} of UpdateIssue")
    world, by = context.world, context.viewer
    if asked.get("assigneeIds") is not None:
        _set_assignees(context, issue, asked["assigneeIds"], "UpdateIssue")
    if asked.get("labelIds") is not None:
        _require(context, world.repo_of(issue), "UpdateIssue", Role.TRIAGE)
        _set_labels(context, issue, asked["labelIds"])
    pulls.edit_issue(world, issue, by, title=asked.get("title"), body=asked.get("body"))
    if asked.get("state") is not None:
        pulls.set_state(world, issue, asked["state"].lower(), by)
    return {"issue": issue, "actor": actor(by)}


def _logins(context: Context, ids: Sequence[str]) -> list[str]:
    return [the_node(context, identifier, ActorNode).login for identifier in ids]


def _set_assignees(context: Context, ticket: Pull | Issue, ids: Sequence[str], mutation: str) -> None:
    _require(context, context.world.repo_of(ticket), mutation, Role.TRIAGE)
    asking.set_assignees(context.world, ticket, _logins(context, ids), context.viewer)


def _assignable(context: Context, asked: Input, mutation: str) -> Pull | Issue:
    ticket: Pull | Issue = the_node(context, asked["assignableId"], Ticket)  # type: ignore[assignment]
    _require(context, context.world.repo_of(ticket), mutation, Role.TRIAGE)
    return ticket


def _add_assignees_to_assignable(context: Context, asked: Input) -> Answer:
    ticket = _assignable(context, asked, "AddAssigneesToAssignable")
    asking.assign(context.world, ticket, _logins(context, asked["assigneeIds"]), context.viewer)
    return {"assignable": ticket}


def _remove_assignees_from_assignable(context: Context, asked: Input) -> Answer:
    ticket = _assignable(context, asked, "RemoveAssigneesFromAssignable")
    asking.unassign(context.world, ticket, _logins(context, asked["assigneeIds"]), context.viewer)
    return {"assignable": ticket}


def _request_reviews(context: Context, asked: Input) -> Answer:
    """These and no others, unless they are to be added (``union``)."""
    pull = the_node(context, asked["pullRequestId"], Pull)
    _require(context, context.repo_of(pull), "RequestReviews", Role.TRIAGE)
    logins = _logins(context, asked.get("userIds") or ())
    teams = [the_node(context, identifier, TeamNode).slug for identifier in asked.get("teamIds") or ()]
    ask = asking.request_reviews if asked.get("union") else asking.set_reviewers
    ask(context.world, pull, logins, teams, context.viewer)
    edge = {"cursor": cursor(len(logins) - 1), "node": ActorNode(logins[-1])} if logins else None
    return {"pullRequest": pull, "actor": actor(context.viewer), "requestedReviewersEdge": edge}


PAYLOADS: Mapping[Mutation, tuple[str, ...]] = {
    _add_assignees_to_assignable: ("assignable",),
    _remove_assignees_from_assignable: ("assignable",),
    _request_reviews: ("pullRequest", "actor", "requestedReviewersEdge"),
    _update_issue: ("issue", "actor"),
    _add_comment: ("subject", "commentEdge"),
    _add_labels_to_labelable: ("labelable",),
    _add_pull_request_review: ("pullRequestReview",),
    _close_issue: ("issue",),
    _close_pull_request: ("pullRequest",),
    _convert_pull_request_to_draft: ("pullRequest",),
    _create_commit_on_branch: ("commit", "ref"),
    _create_issue: ("issue",),
    _create_pull_request: ("pullRequest",),
    _create_ref: ("ref",),
    _delete_ref: (),
    _dequeue_pull_request: ("mergeQueueEntry",),
    _disable_pull_request_auto_merge: ("pullRequest", "actor"),
    _enable_pull_request_auto_merge: ("pullRequest", "actor"),
    _enqueue_pull_request: ("mergeQueueEntry",),
    _mark_pull_request_ready_for_review: ("pullRequest",),
    _merge_branch: ("mergeCommit",),
    _merge_pull_request: ("pullRequest", "actor"),
    _remove_labels_from_labelable: ("labelable",),
    _reopen_issue: ("issue",),
    _reopen_pull_request: ("pullRequest",),
    _resolve_review_thread: ("thread",),
    _unresolve_review_thread: ("thread",),
    _update_pull_request: ("pullRequest",),
    _update_pull_request_branch: ("pullRequest",),
    _update_ref: ("ref",),
    _update_refs: (),
    graph_protecting.create_branch_protection_rule: ("branchProtectionRule",),
    graph_protecting.update_branch_protection_rule: ("branchProtectionRule",),
    graph_protecting.delete_branch_protection_rule: (),
    graph_ruling.create_repository_ruleset: ("ruleset",),
    graph_ruling.update_repository_ruleset: ("ruleset",),
    graph_ruling.delete_repository_ruleset: (),
}
"""Every mutation, and what its payload holds besides the client's own id."""
