"""Deployments: asking for one, saying what became of it, and how that ends those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergeq.sandbox import merging
from mergeq.sandbox.checks import MAX_DESCRIPTION
from mergeq.sandbox.policy import ContextVerdict, check_verdict
from mergeq.sandbox.records import Deployment, DeploymentState, DeploymentStatus, Repo, RequiredCheck
from mergeq.sandbox.refusals import RefusedError, invalid

if TYPE_CHECKING:
    from mergeq.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants deployed; ``contexts`` None: all that have reported must be green."""

    ref: str
    task: str
    environment: str
    description: str | None
    payload: Any
    transient: bool
    production: bool
    auto_merge: bool = True
    contexts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says of a deployment; ``environment`` None: the one it is for."""

    state: DeploymentState
    description: str = ""
    environment: str | None = None
    environment_url: str = ""
    log_url: str = ""
    auto_inactive: bool = True


def create(world: World, repo: Repo, wish: Wish, by: str, via: int | None) -> Deployment | str:
    """A deployment of a ref; or, where the default branch had to be merged into it first, what was done instead.

    Raises RefusedError 409 where that cannot be merged or a context is not green, 422 for a ref there is not.
    """
    sha = repo.git.resolve(wish.ref)
    if sha is None:
        raise RefusedError(422, f"No ref found for: {wish.ref}")
    if wish.auto_merge and _merged(world, repo, wish.ref, by):
        return f"Auto-merged {repo.default_branch} into {wish.ref} on deployment."
    if not _is_green(repo, sha, wish.contexts):
        raise RefusedError(409, f"Conflict: Commit status checks failed for {wish.ref}.")
    made = Deployment(
        id=world.next_id(),
        sha=sha,
        ref=wish.ref,
        task=wish.task,
        original_environment=wish.environment,
        description=wish.description,
        payload=wish.payload,
        creator=by,
        created_at=world.now(),
        transient=wish.transient,
        production=wish.production,
        via_app=via,
    )
    repo.deployments.append(made)
    if world.webhooks.wanted("deployment", repo.full_name):
        shape = world.shapes().deployment(repo, made)
        world.emit("deployment", repo, {"action": "created", "deployment": shape, **_NO_WORKFLOW}, by=by)
    return made


def _merged(world: World, repo: Repo, branch: str, by: str) -> bool:
    """Whether a branch was behind the default branch and is not any more."""
    if repo.git.tip(branch) is None or branch == repo.default_branch:
        return False
    try:
        return merging.merge_branch(world, repo, branch, repo.default_branch, message=None, by=by) is not None
    except RefusedError as refusal:
        raise RefusedError(409, f"Conflict merging {repo.default_branch} into {branch}.") from refusal


def _is_green(repo: Repo, sha: str, contexts: Sequence[str] | None) -> bool:
    if contexts is None:
        contexts = [status.context for status in repo.latest_statuses(sha)]
        contexts += [run.name for run in repo.latest_runs(sha)]
    return all(check_verdict(repo, sha, RequiredCheck(name)) is ContextVerdict.PASSING for name in contexts)


def report(
    world: World, repo: Repo, deployment: Deployment, said: Report, by: str, via: int | None
) -> DeploymentStatus:
    """Add a status; success makes the other successes of that environment inactive, unless it shall not.

    Raises RefusedError 422 for a description longer than 140 characters.
    """
    if len(said.description) > MAX_DESCRIPTION:
        words = f"description is too long (maximum is {MAX_DESCRIPTION} characters)"
        raise invalid("DeploymentStatus", words, "description")
    status = DeploymentStatus(
        id=world.next_id(),
        state=said.state,
        creator=by,
        created_at=world.now(),
        environment=said.environment or deployment.environment,
        description=said.description,
        environment_url=said.environment_url,
        log_url=said.log_url,
        via_app=via,
    )
    _add(world, repo, deployment, status)
    if said.auto_inactive and said.state is DeploymentState.SUCCESS:
        for other in repo.deployments[: repo.deployments.index(deployment)]:
            is_over = not other.transient and not other.production and other.state is DeploymentState.SUCCESS
            if is_over and other.environment == status.environment:
                gone = DeploymentStatus(world.next_id(), DeploymentState.INACTIVE, by, world.now(), other.environment)
                _add(world, repo, other, gone)
    return status


def _add(world: World, repo: Repo, deployment: Deployment, status: DeploymentStatus) -> None:
    deployment.statuses.append(status)
    world.wake_auto_merges(repo)
    if world.webhooks.wanted("deployment_status", repo.full_name):
        shapes = world.shapes()
        shown = {
            "deployment_status": shapes.deployment_status(repo, deployment, status),
            "deployment": shapes.deployment(repo, deployment),
        }
        body = {"action": "created", **shown, "check_run": None, **_NO_WORKFLOW}
        world.emit("deployment_status", repo, body, by=status.creator)


_NO_WORKFLOW = {"workflow": None, "workflow_run": None}
