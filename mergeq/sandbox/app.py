"""The WSGI application: REST, GraphQL, git and the controls, side by side as on one GitHub host."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.test import Client

from mergeq.sandbox import (
    rest_checks,
    rest_contents,
    rest_git,
    rest_hooks,
    rest_issues,
    rest_people,
    rest_protection,
    rest_pulls,
    rest_repos,
    rest_rulesets,
)
from mergeq.sandbox.control import control
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.rates import Resource
from mergeq.sandbox.refusals import BrokenGatewayError, NotSimulatedError, RefusedError
from mergeq.sandbox.rest import Answer, refused, rest
from mergeq.sandbox.site import API_PREFIX, SITE, Site, identify, shapes, site, viewer, world
from mergeq.sandbox.smart_http import git

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ENDPOINTS = (
    rest_checks,
    rest_contents,
    rest_git,
    rest_hooks,
    rest_issues,
    rest_people,
    rest_protection,
    rest_pulls,
    rest_repos,
    rest_rulesets,
)
"""The modules whose import adds endpoints to ``rest``."""

graph = Blueprint("graph", __name__)


@graph.post("/graphql")
@graph.post("/api/graphql")
def _graphql() -> Answer:
    identify()
    login = viewer()
    if login is None:
        raise RefusedError(401, "This endpoint requires you to be authenticated.")
    try:
        body: Any = json.loads(request.get_data())
    except ValueError as error:
        raise RefusedError(400, "Problems parsing JSON") from error
    if not isinstance(body, dict):
        raise NotSimulatedError("a GraphQL body that is not one object")
    here = site()
    with world().lock:
        here.hits.add(f"graphql:{here.graph.operation_name(body)}")
        outage = world().faults.fires(FaultId.GRAPHQL_5XX)
        if outage is not None:
            return rest_pulls.broken_gateway(outage.code)
        return jsonify(here.graph.answer(body, login, shapes()))


@dataclass(frozen=True, slots=True)
class SandboxApp:
    """The WSGI application of one sandbox: routes are compiled once in a process and told whose request it is.

    What goes wrong inside is raised to the server and again by the sandbox's next ``settle``; a reset is on purpose.
    """

    site: Site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[SITE] = self.site
        try:
            return flask_app()(environ, start_response)
        except ConnectionResetError:
            raise
        except Exception as failure:
            self.site.world.activity.failures.append(failure)
            raise

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
    app.register_blueprint(rest)
    app.register_blueprint(rest, url_prefix=API_PREFIX, name="rest-v3")
    app.register_error_handler(RefusedError, refused)
    app.register_error_handler(BrokenGatewayError, lambda error: rest_pulls.broken_gateway(error.status))
    app.register_error_handler(NotFound, _unknown_route)
    app.register_error_handler(MethodNotAllowed, _unknown_route)
    app.after_request(_add_headers)
    return app


def _unknown_route(_error: NotFound | MethodNotAllowed) -> tuple[Response, int]:
    refusal = NotSimulatedError(f"{request.method} {request.path.removeprefix(API_PREFIX)}")
    return jsonify({"message": refusal.message}), refusal.status


def _add_headers(answer: Response) -> Response:
    if request.path.startswith("/_sim") or request.blueprint == "git":
        return answer
    resource: Resource = "graphql" if request.blueprint == "graph" else "core"
    budget = site().rates.budget(viewer(), resource, world().now())
    answer.headers.update(site().headers(budget))
    return answer
