"""GraphQL's mutations: moving refs, several at once if wanted, and updating a pull request's branch."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from mergeq.sandbox import graph_protecting, refs
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.graph_commits import RefNode, commit, ref
from mergeq.sandbox.graph_repos import the_node
from mergeq.sandbox.graph_schema import Context, GraphRefusedError, Resolvers, camel
from mergeq.sandbox.ids import parts_of
from mergeq.sandbox.permissions import MUTATIONS
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, archived
from mergeq.sandbox.updating import UpdateMethod, ask_for_update

Input = Mapping[str, Any]
Answer = dict[str, Any]
Mutation = Callable[[Context, Input], Answer]


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    for mutation in (
        _create_commit_on_branch,
        _create_ref,
        _delete_ref,
        _update_pull_request_branch,
        _update_ref,
        _update_refs,
        *graph_protecting.MUTATIONS,
    ):
        resolvers.field("Mutation", name=camel(mutation.__name__))(_answering(mutation))
        payload = f"{camel(mutation.__name__)[0].upper()}{camel(mutation.__name__)[1:]}Payload"
        for name in ("clientMutationId", *_ANSWERED.get(payload, ())):
            resolvers.field(payload, name=name)(_item(name))


_ANSWERED = {
    "CreateBranchProtectionRulePayload": ("branchProtectionRule",),
    "CreateCommitOnBranchPayload": ("commit", "ref"),
    "CreateRefPayload": ("ref",),
    "UpdateBranchProtectionRulePayload": ("branchProtectionRule",),
    "UpdatePullRequestBranchPayload": ("pullRequest",),
    "UpdateRefPayload": ("ref",),
}
"""What a payload shows besides the client's own id."""


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
            raise GraphRefusedError(kind, refusal.message) from refusal

    return answer


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


def _require_writer(context: Context, repo: Repo, mutation: str) -> None:
    if repo.archived:
        raise archived()
    if not context.caller.is_integration and not repo.people.may_write(context.viewer):
        words = f"{context.viewer} does not have the correct permissions to execute `{mutation}`"
        raise GraphRefusedError("FORBIDDEN", words)


def _update_refs(context: Context, asked: Input) -> Answer:
    repo = the_node(context, asked["repositoryId"], Repo)
    _require_writer(context, repo, "UpdateRefs")
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
    _require_writer(context, repo, "CreateRef")
    refs.create(context.world, repo, asked["name"], asked["oid"], context.viewer)
    return {"ref": ref(repo, asked["name"])}


def _create_commit_on_branch(context: Context, asked: Input) -> Answer:
    """One commit by the viewer, signed by GitHub, on a branch that is where it is believed to be."""
    repo, branch = _branch_of(context, asked["branch"])
    _require_writer(context, repo, "CreateCommitOnBranch")
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


def _update_ref(context: Context, asked: Input) -> Answer:
    found = the_node(context, asked["refId"], RefNode)
    _require_writer(context, found.repo, "UpdateRef")
    refs.update(context.world, found.repo, found.ref, asked["oid"], context.viewer, force=bool(asked.get("force")))
    return {"ref": ref(found.repo, found.ref)}


def _delete_ref(context: Context, asked: Input) -> Answer:
    found = the_node(context, asked["refId"], RefNode)
    _require_writer(context, found.repo, "DeleteRef")
    refs.delete(context.world, found.repo, found.ref, context.viewer)
    return {}
