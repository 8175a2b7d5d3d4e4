"""REST endpoints of deployments and their statuses."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox import deployments
from mergeq.sandbox.records import Deployment, DeploymentState, Repo
from mergeq.sandbox.refusals import not_found
from mergeq.sandbox.rest import Answer, body, chosen, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.site import shapes, via_app, world

_DEPLOYMENTS = "/repos/<owner>/<repo>/deployments"
_DEPLOYMENT = f"{_DEPLOYMENTS}/<int:deployment_id>"
_STATUSES = f"{_DEPLOYMENT}/statuses"
_FILTERS = ("sha", "ref", "task", "environment")


@endpoint("GET", _DEPLOYMENTS)
def _list(owner: str, repo: str) -> Answer:
    """Newest first."""
    found = the_repo(owner, repo)
    asked = {name: value for name, value in parameters(*_FILTERS).items() if name in _FILTERS and value != "none"}
    kept = [one for one in reversed(found.deployments) if all(getattr(one, n) == v for n, v in asked.items())]
    shown = shapes()
    return paged(kept, lambda deployment: shown.deployment(found, deployment))


@endpoint("POST", _DEPLOYMENTS)
def _create(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body(
        *("ref", "task", "auto_merge", "required_contexts", "payload", "environment", "description"),
        *("transient_environment", "production_environment"),
    )
    environment = fields.get("environment") or "production"
    wish = deployments.Wish(
        ref=required(fields, "Deployment", "ref"),
        task=fields.get("task") or "deploy",
        environment=environment,
        description=fields.get("description"),
        payload=fields.get("payload") or {},
        transient=bool(fields.get("transient_environment")),
        production=bool(fields.get("production_environment", environment == "production")),
        auto_merge=bool(fields.get("auto_merge", True)),
        contexts=fields.get("required_contexts"),
    )
    made = deployments.create(world(), found, wish, by, via_app())
    if isinstance(made, str):
        return jsonify({"message": made}), 202
    return jsonify(shapes().deployment(found, made)), 201


def _the_deployment(owner: str, repo: str, deployment_id: int) -> tuple[Repo, Deployment]:
    """Raises RefusedError 404."""
    found = the_repo(owner, repo)
    deployment = next((one for one in found.deployments if one.id == deployment_id), None)
    if deployment is None:
        raise not_found()
    return found, deployment


@endpoint("GET", _DEPLOYMENT)
def _get(owner: str, repo: str, deployment_id: int) -> Answer:
    found, deployment = _the_deployment(owner, repo, deployment_id)
    parameters()
    return jsonify(shapes().deployment(found, deployment))


@endpoint("GET", _STATUSES)
def _statuses(owner: str, repo: str, deployment_id: int) -> Answer:
    """Newest first."""
    found, deployment = _the_deployment(owner, repo, deployment_id)
    parameters()
    shown = shapes()
    return paged(deployment.statuses[::-1], lambda status: shown.deployment_status(found, deployment, status))


@endpoint("GET", f"{_STATUSES}/<int:status_id>")
def _status(owner: str, repo: str, deployment_id: int, status_id: int) -> Answer:
    found, deployment = _the_deployment(owner, repo, deployment_id)
    parameters()
    status = next((one for one in deployment.statuses if one.id == status_id), None)
    if status is None:
        raise not_found()
    return jsonify(shapes().deployment_status(found, deployment, status))


@endpoint("POST", _STATUSES)
def _report(owner: str, repo: str, deployment_id: int) -> Answer:
    found, deployment = _the_deployment(owner, repo, deployment_id)
    by = writer(found)
    fields = body(
        *("state", "target_url", "log_url", "description", "environment", "environment_url", "auto_inactive"),
    )
    state = chosen(required(fields, "DeploymentStatus", "state"), tuple(DeploymentState), "DeploymentStatus", "state")
    said = deployments.Report(
        DeploymentState(state),
        fields.get("description") or "",
        fields.get("environment"),
        fields.get("environment_url") or "",
        fields.get("log_url") or fields.get("target_url") or "",
        auto_inactive=bool(fields.get("auto_inactive", True)),
    )
    status = deployments.report(world(), found, deployment, said, by, via_app())
    return jsonify(shapes().deployment_status(found, deployment, status)), 201
