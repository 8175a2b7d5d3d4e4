"""The REST API's common ground: routes, bodies, parameters, paging and errors; the endpoints are in rest_*.py."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, jsonify, request

from mergeq.sandbox import asking, gate, pulls
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.rates import Resource
from mergeq.sandbox.records import Issue, Pull, Repo
from mergeq.sandbox.refusals import (
    MovedError,
    NotSimulatedError,
    RefusedError,
    archived,
    by_single_sign_on,
    invalid,
    not_found,
)
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import API_PREFIX, actor, caller, shapes, site, world
from mergeq.sandbox.users import Role

DOCS = "https://docs.github.com/rest"
DEFAULT_PAGE = 30
MAX_PAGE = 100

rest = Blueprint("rest", __name__)
Answer = Response | tuple[Response, int] | tuple[str, int]
View = Callable[..., Answer]


def endpoint(method: str, path: str) -> Callable[[View], View]:
    """Answer ``METHOD path`` (werkzeug's spelling of variables), signed in or not, under the world's lock."""

    def register(view: View) -> View:
        name = f"{method} {github_spelling(path)}"

        @functools.wraps(view)
        def answer(**variables: Any) -> Answer:
            gate.admit(name, variables, "search" if path.startswith("/search/") else "core", writes=method != "GET")
            with world().lock:
                return view(**variables)

        rest.add_url_rule(path, endpoint=name.replace(".", ","), view_func=answer, methods=[method])
        return view

    return register


def github_spelling(path: str) -> str:
    """``/repos/<owner>/…`` as GitHub's documentation writes it: ``/repos/{owner}/…``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def error_body(refusal: RefusedError) -> Json:
    """The JSON of an error answer."""
    body: Json = {"message": refusal.message, "documentation_url": DOCS, "status": str(refusal.status)}
    if refusal.errors:
        body["errors"] = list(refusal.errors)
    return body


def refused(refusal: RefusedError) -> tuple[Response, int]:
    """An error answer."""
    if isinstance(refusal, MovedError):
        return _redirect(refusal)
    return jsonify(error_body(refusal)), refusal.status


def _redirect(moved: MovedError) -> tuple[Response, int]:
    """Where something is now: 301 for reading, 307 for the rest, so that method and body are kept (Q27, Q29)."""
    query = f"?{request.query_string.decode()}" if request.query_string else ""
    url = f"{shapes().api}/repositories/{moved.repo_id}{moved.rest}{query}"
    docs = f"{DOCS}/guides/best-practices-for-using-the-rest-api#follow-redirects"
    answer = jsonify({"message": moved.message, "url": url, "documentation_url": docs})
    answer.headers["Location"] = url
    return answer, moved.status


def the_repo(owner: str, repo: str) -> Repo:
    """Raises RefusedError 404, also for what the caller may not know of; MovedError for a name it had before."""
    found = world().find_repo(f"{owner}/{repo}")
    if found is not None and caller().sees(found):
        if world().faults.fires(FaultId.AUTH_SAML, found.full_name):
            raise by_single_sign_on()
        return found
    former = world().moved_repo(f"{owner}/{repo}") if found is None else None
    if former is None or not caller().sees(former):
        raise not_found()
    rest_of_path = request.path.removeprefix(API_PREFIX).split("/", 4)[4:]
    raise MovedError(request.method, former.id, "".join(f"/{part}" for part in rest_of_path))


def the_pull(owner: str, repo: str, number: int) -> tuple[Repo, Pull]:
    """Raises RefusedError 404."""
    found = the_repo(owner, repo)
    if number not in found.pulls:
        raise not_found()
    return found, found.pulls[number]


def the_ticket(owner: str, repo: str, number: int) -> tuple[Repo, Pull | Issue]:
    """Raises RefusedError 404."""
    found = the_repo(owner, repo)
    return found, pulls.ticket_of(found, number)


def changer(repo: Repo) -> str:
    """Who changes something in a repository; raises RefusedError 401, or 403 if it is archived."""
    login = actor()
    if repo.archived:
        raise archived()
    return login


def writer(repo: Repo) -> str:
    """Who does what only people with write access may do; raises RefusedError 401 or 403."""
    return _holder(repo, Role.WRITE)


def triager(repo: Repo) -> str:
    """Who sorts issues and pull requests; raises RefusedError 401 or 403."""
    return _holder(repo, Role.TRIAGE)


def _holder(repo: Repo, role: Role) -> str:
    login = changer(repo)
    if not caller().is_integration and not repo.people.reaches(login, role):
        raise caller().refusal()
    return login


def editor(repo: Repo, ticket: Pull | Issue, fields: Json) -> str:
    """Who changes an issue or pull request: its author, and who may; raises RefusedError 401, or 403 in GitHub's words.

    They are recorded of issues, and taken to be the same of pull requests.
    """
    login = changer(repo)
    more = fields.keys() - {"state", "labels", "assignees"}
    if not caller().is_integration and not asking.may_change(repo, ticket, login, more_than_state=bool(more)):
        raise RefusedError(403, f"Issue not editable by {login}")
    return login


def sorts(repo: Repo) -> bool:
    """Whether the asker may sort issues: of others, labels and assignees are dropped without a word."""
    login = actor()
    return caller().is_integration or repo.people.reaches(login, Role.TRIAGE)


def administrator(repo: Repo, *, changes: bool = False) -> str:
    """Who may see and change settings; raises RefusedError 404 for everybody else, 403 for an archived repository.

    An App needs no role: its permissions were looked at before.
    """
    login = actor()
    if not caller().is_integration and not repo.people.is_admin(login):
        raise not_found()
    if changes and repo.archived:
        raise archived()
    return login


def parameters(*known: str) -> Mapping[str, str]:
    """The query string; a parameter the endpoint does not know how to honour is refused by name."""
    given = request.args.to_dict()
    unknown = given.keys() - {*known, "page", "per_page"}
    if unknown:
        raise NotSimulatedError(f"parameter {min(unknown)} of {request.method} {request.path}")
    return given


def content() -> Any:
    """The JSON sent; an empty body is an empty object."""
    raw = request.get_data()
    try:
        return json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise RefusedError(400, "Problems parsing JSON") from error


def body(*known: str) -> Json:
    """The JSON body (empty: no fields); a field the endpoint does not know how to honour is refused by name."""
    fields = content()
    if not isinstance(fields, dict):
        raise RefusedError(400, "Body should be a JSON object")
    unknown = fields.keys() - set(known)
    if unknown:
        raise NotSimulatedError(f"field {min(unknown)} of {request.method} {request.path}")
    return fields


def required(fields: Json, resource: str, name: str) -> str:
    """A text that must be there; raises RefusedError 422."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(422, "Validation Failed", [{"resource": resource, "field": name, "code": "missing_field"}])
    return value


def chosen(value: str, allowed: Sequence[str], resource: str, field: str) -> str:
    """One of a closed set; raises RefusedError 422."""
    if value not in allowed:
        raise invalid(resource, f"{field} is not included in the list", field)
    return value


def page_asked() -> tuple[int, int]:
    """The number of the page that is asked for, from 1, and how many items are on one."""
    return _whole("page", 1), min(_whole("per_page", DEFAULT_PAGE), MAX_PAGE)


def paged(
    items: Sequence[Any],
    show: Callable[[Any], Json],
    wrap: str | None = None,
    *,
    total: int | None = None,
    **extra: Any,
) -> Response:
    """One page of a list with its Link header; ``wrap`` names the list inside an object that has ``extra`` too.

    ``total`` is what is counted where not all of it can be paged through.
    """
    number, size = page_asked()
    shown = [show(item) for item in items[(number - 1) * size : number * size]]
    count = len(items) if total is None else total
    answer = jsonify(shown) if wrap is None else jsonify({**extra, "total_count": count, wrap: shown})
    last = max(1, -(-len(items) // size))
    links: dict[str, int] = {}
    if number > 1:
        links["prev"] = min(number - 1, last)
    if number < last:
        links |= {"next": number + 1, "last": last}
    if number > 1:
        links["first"] = 1
    if links:
        answer.headers["Link"] = ", ".join(f'<{_page_url(page)}>; rel="{name}"' for name, page in links.items())
    return answer


def _whole(name: str, default: int) -> int:
    text = request.args.get(name, "")
    return (int(text) or default) if text.isdecimal() else default


def _page_url(page: int) -> str:
    return f"{page_base()}?{urlencode({**request.args.to_dict(), 'page': page})}"


def page_base() -> str:
    """The URL of a list as Link headers spell it: a repository by its id."""
    given = request.view_args or {}
    repo = world().find_repo(f"{given['owner']}/{given['repo']}") if {"owner", "repo"} <= given.keys() else None
    if repo is None:
        return request.base_url
    below = quote(request.path.removeprefix(API_PREFIX).split("/", 4)[4])
    return f"{shapes().api}/repositories/{repo.id}/{below}"


@endpoint("GET", "/rate_limit")
def _rate_limit() -> Answer:
    parameters()
    here, now = site(), world().now()
    shown = {}
    for resource in get_args(Resource):
        budget = here.rates.budget(caller().payer, resource, now)
        shown[resource] = {
            "limit": budget.limit,
            "used": budget.used,
            "remaining": budget.remaining,
            "reset": budget.reset_at,
        }
    return jsonify({"resources": shown, "rate": shown["core"]})
