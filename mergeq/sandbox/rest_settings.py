"""REST endpoints that tell how things are set up: what a repository's workflows may do, and what server this is."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox.rest import Answer, administrator, endpoint, parameters, the_repo
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import world


@endpoint("GET", "/repos/<owner>/<repo>/actions/permissions/workflow")
def _workflow_permissions(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    administrator(found)
    parameters()
    default = "write" if found.workflows_may_write else "read"
    return jsonify({"default_workflow_permissions": default, "can_approve_pull_request_reviews": False})


@endpoint("GET", "/meta")
def _meta() -> Answer:
    """What an Enterprise Server tells of itself; github.com tells of its addresses instead."""
    parameters()
    shown: Json = {"verifiable_password_authentication": False}
    version = world().enterprise
    return jsonify(shown | {"installed_version": version} if version else shown)
