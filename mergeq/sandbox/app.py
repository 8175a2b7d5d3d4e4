"""The WSGI application: REST, GraphQL, git and the controls, side by side as on one GitHub host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, jsonify, request
from graphql import OperationType
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.test import Client

from mergeq.sandbox import (
    gate,
    outages,
    rest_apps,
    rest_checks,
    rest_contents,
    rest_deployments,
    rest_git,
    rest_hooks,
    rest_issues,
    rest_people,
    rest_protection,
    rest_pulls,
    rest_repos,
    rest_rulesets,
    rest_settings,
)
from mergeq.sandbox.control import control
from mergeq.sandbox.oauth import oauth
from mergeq.sandbox.refusals import BrokenGatewayError, NotSimulatedError, RefusedError
from mergeq.sandbox.rest import Answer, refused, rest
from mergeq.sandbox.site import API_PREFIX, SITE, Site, caller, shapes, site, world
from mergeq.sandbox.smart_http import git

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ENDPOINTS = (
    rest_apps,
    rest_checks,
    rest_contents,
    rest_deployments,
    rest_git,
    rest_hooks,
    rest_issues,
    rest_people,
    rest_protection,
    rest_pulls,
    rest_repos,
    rest_rulesets,
    rest_settings,
)
"""The modules whose import adds endpoints to ``rest``."""

graph = Blueprint("graph", __name__)
_BY_ID = re.compile(rf"((?:{API_PREFIX})?)/repositories/(\d+)((?:/.*)?)")


@graph.post("/graphql")
@graph.post("/api/graphql")
def _graphql() -> Answer:
    try:
        body: Any = json.loads(request.get_data())
    except ValueError:
        body = None
    here = site()
    with world().lock:
        operation = here.graph.operation(body) if isinstance(body, dict) else None
    named = "invalid" if operation is None else operation.name.value if operation.name else "anonymous"
    name = f"graphql:{named}"
    gate.admit(name, {}, "graphql", writes=operation is not None and operation.operation is OperationType.MUTATION)
    if caller().grant is None:
        raise RefusedError(401, "This endpoint requires you to be authenticated.")
    if body is None:
        raise RefusedError(400, "Problems parsing JSON")
    if not isinstance(body, dict):
        raise NotSimulatedError("a GraphQL body that is not one object")
    with world().lock:
        return _answered(body, name)


def _answered(body: dict[str, Any], name: str) -> Answer:
    here, who = site(), caller()
    variables = body.get("variables") or {}
    lengths = (len(value) if isinstance(value, list) else value for value in variables.values())
    longest = max((length for length in lengths if type(length) is int), default=0)
    instead = outages.graphql(world(), name, longest, _fine)
    if instead is not None:
        return instead
    return jsonify(outages.spoilt(world(), name, here.graph.answer(body, who, shapes())))


def _fine(points: int) -> None:
    site().rates.fine(caller().payer, "graphql", points, world().now())


@dataclass(frozen=True, slots=True)
class SandboxApp:
    """The WSGI application of one sandbox: routes are compiled once in a process and told whose request it is.

    What goes wrong inside is raised to the server and again by the sandbox's next ``settle``; a reset is on purpose.
    """

    site: Site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[SITE] = self.site
        environ["PATH_INFO"] = self._by_name(environ["PATH_INFO"])
        try:
            return flask_app()(environ, start_response)
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception as failure:
            self.site.world.activity.failures.append(failure)
            raise

    def _by_name(self, path: str) -> str:
        """A path below a repository's id as the same below its name; others stay as they are."""
        found = _BY_ID.fullmatch(path)
        if found is None:
            return path
        with self.site.world.lock:
            repo = self.site.world.repo_by_id(int(found[2]))
        return path if repo is None else f"{found[1]}/repos/{repo.full_name}{found[3]}"

    def test_client(self) -> Client:
        """Ask this application without a port."""
        return Client(self)


@cache
def flask_app() -> Flask:
    """The routes of every sandbox in this process."""
    app = Flask("mergeq.sandbox", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.url_map.merge_slashes = False
    app.register_blueprint(control)
    app.register_blueprint(graph)
    app.register_blueprint(git)
    app.register_blueprint(oauth)
    app.register_blueprint(rest)
    app.register_blueprint(rest, url_prefix=API_PREFIX, name="rest-v3")
    app.register_error_handler(RefusedError, refused)
    app.register_error_handler(BrokenGatewayError, lambda error: outages.broken_gateway(error.status))
    app.register_error_handler(NotFound, _unknown_route)
    app.register_error_handler(MethodNotAllowed, _unknown_route)
    app.after_request(_add_headers)
    app.teardown_request(gate.leave)
    return app


def _unknown_route(_error: NotFound | MethodNotAllowed) -> tuple[Response, int]:
    refusal = NotSimulatedError(f"{request.method} {request.path.removeprefix(API_PREFIX)}")
    return jsonify({"message": refusal.message}), refusal.status


def _add_headers(answer: Response) -> Response:
    if request.path.startswith("/_sim") or request.blueprint in ("git", "oauth"):
        return answer
    return gate.finish(answer)
