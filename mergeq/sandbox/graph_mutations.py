"""GraphQL's mutations: moving refs, several at once if wanted, and updating a pull request's branch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from mergeq.sandbox import refs
from mergeq.sandbox.graph_commits import RefNode, ref
from mergeq.sandbox.graph_repos import the_node
from mergeq.sandbox.graph_schema import Context, GraphRefusedError, Resolvers, camel
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, archived
from mergeq.sandbox.updating import UpdateMethod, ask_for_update

Input = Mapping[str, Any]
Answer = dict[str, Any]
Mutation = Callable[[Context, Input], Answer]


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    for mutation in (_create_ref, _delete_ref, _update_pull_request_branch, _update_refs):
        resolvers.field("Mutation", name=camel(mutation.__name__))(_answering(mutation))
    payloads = ("CreateRefPayload", "DeleteRefPayload", "UpdatePullRequestBranchPayload", "UpdateRefsPayload")
    for payload in payloads:
        resolvers.bind(payload, client_mutation_id=lambda answer, _: answer["clientMutationId"])
    resolvers.bind("CreateRefPayload", ref=lambda answer, _: answer["ref"])
    resolvers.bind("UpdatePullRequestBranchPayload", pull_request=lambda answer, _: answer["pullRequest"])


def _answering(mutation: Mutation) -> Callable[..., Answer]:
    """Turn what REST would refuse into an error of GraphQL's kinds."""

    @wraps(mutation)
    def answer(_root: None, context: Context, input: Input) -> Answer:  # noqa: A002
        try:
            return {**mutation(context, input), "clientMutationId": input.get("clientMutationId")}
        except NotSimulatedError:
            raise
        except RefusedError as refusal:
            kind = "FORBIDDEN" if refusal.status == 403 else "UNPROCESSABLE"
            raise GraphRefusedError(kind, refusal.message) from refusal

    return answer


def _require_writer(context: Context, repo: Repo, mutation: str) -> None:
    if repo.archived:
        raise archived()
    if not context.world.users.may_write(context.viewer):
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


def _delete_ref(context: Context, asked: Input) -> Answer:
    found = the_node(context, asked["refId"], RefNode)
    _require_writer(context, found.repo, "DeleteRef")
    refs.delete(context.world, found.repo, found.ref, context.viewer)
    return {}
