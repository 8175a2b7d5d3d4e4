"""What every API request passes: who asks, what is switched on, limits and permissions; and what every answer bears."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from flask import Response, abort, g, jsonify, request
from werkzeug.http import http_date

from mergeq.sandbox import acts, outages, permissions
from mergeq.sandbox.apps import Registration
from mergeq.sandbox.callers import Caller
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.rates import Ask, Budget, Resource, burst_of
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError, not_found
from mergeq.sandbox.site import caller, site, token_of, world
from mergeq.sandbox.users import TokenKind

FREE = frozenset({"GET /rate_limit"})
API_VERSION = "2022-11-28"
MEDIA_TYPE = "github.v3; format=json"
_APP_ROUTE = re.compile(r"\w+ (/app($|/.*)|/(repos/\{owner\}/\{repo\}|orgs/\{org\}|users/\{username\})/installation)")
_OPEN_ROUTE = re.compile(r"POST /app-manifests/.*")
_CONTENT = re.compile(
    r"POST .*/(pulls|issues|comments|reviews|merges|git/commits|git/refs|statuses/\{sha\}|check-runs)|PUT .*/merge"
)
_ABOUT_ANYBODY = frozenset({"GET /users/{username}", "GET /user/{account_id}"})
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_LIMITS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
_SECONDARY = f"{_LIMITS}#about-secondary-rate-limits"
_WAIT = "Please wait a few minutes before you try again."
_ABUSE = f"You have triggered an abuse detection mechanism. {_WAIT}"
_HELP = "If you reach out to GitHub Support for help, please include the request ID {}."
_UNKNOWN_AGENT = (
    "Request forbidden by administrative rules. Please make sure your request has a User-Agent header "
    "(https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required)."
)


def admit(route: str, variables: Mapping[str, Any], resource: Resource, *, writes: bool) -> None:
    """Let a request in, or answer in its place; raises RefusedError.

    ``route`` is spelt as hits are counted.
    """
    here = world()
    site().hits.add(route)
    g.route, g.resource = route, resource
    name = f"{variables['owner']}/{variables['repo']}" if {"owner", "repo"} <= variables.keys() else None
    pr = variables.get("pull_number", variables.get("issue_number"))
    outages.before(here, route, name, pr)
    with here.lock:
        acts.carry_out_due(here, name)
        g.skew = here.faults.standing(FaultId.CLOCK_SKEW)
        if _APP_ROUTE.fullmatch(route):
            g.registration = _signer()
            return
        if not _OPEN_ROUTE.fullmatch(route):
            identify(name)
        repo = None if name is None else here.find_repo(name)
    _check_request()
    site().bursts.enter(caller().payer)
    g.entered = caller().payer
    _check_limits(route, resource, writes=writes)
    g.billed = resource != "graphql" and route not in FREE
    if resource != "graphql" and not _OPEN_ROUTE.fullmatch(route):
        _check_permissions(route, repo)
        if not writes and here.faults.fires(FaultId.READ_NOT_YET, name, pr, route):
            raise not_found()


def leave(_failure: BaseException | None) -> None:
    """A request has ended, one way or another."""
    payer = g.pop("entered", None)
    if payer is not None:
        site().bursts.leave(payer)


def identify(repo: str | None = None) -> None:
    """Settle who is asking; raises RefusedError 401 for a token GitHub does not know (any more)."""
    here, token = world(), token_of(request)
    g.caller = Caller(here, None)
    if token is None:
        return
    if here.faults.fires(FaultId.AUTH_EXPIRE, repo, route=g.get("route")):
        here.users.revoke(token)
    grant = here.users.grant_of_token(token, here.now())
    if grant is None:
        raise RefusedError(401, "Bad credentials")
    if grant.installation is not None:
        installation = here.registry.installation(grant.installation)
        if installation is not None and installation.suspended_at is not None:
            raise RefusedError(403, "This installation has been suspended")
    g.caller = Caller(here, grant)


def _signer() -> Registration:
    """The App whose JSON web token this is; raises RefusedError 401 or 404."""
    token = token_of(request)
    if token is None or not _JWT.fullmatch(token) or request.headers["Authorization"].partition(" ")[0] == "Basic":
        raise RefusedError(401, "A JSON web token could not be decoded")
    return world().registry.verify(token, server_time())


def server_time() -> float:
    """The time of GitHub's clock, which may not be the client's (Q64)."""
    skew: Fault | None = g.get("skew")
    if skew is None:
        return world().now()
    world().faults.fires(FaultId.CLOCK_SKEW)
    return world().now() + float(skew.args.get("seconds", 0))


def registration() -> Registration:
    """The App that has signed this request."""
    found: Registration = g.registration
    return found


def _check_request() -> None:
    if not request.headers.get("User-Agent"):
        abort(Response(f"{_UNKNOWN_AGENT}\n", 403, mimetype="text/html"))
    accepted = request.headers.get("Accept") or "*/*"
    if not any(one in accepted for one in ("*/*", "application/*", "application/json", "application/vnd.github")):
        raise RefusedError(415, f"Unsupported 'Accept' header: '{accepted}'. Must accept 'application/json'.")


def _check_limits(route: str, resource: Resource, *, writes: bool) -> None:
    faults, payer = world().faults, caller().payer
    here, now = site(), world().now()
    primary = faults.fires(FaultId.LIMIT_PRIMARY, route=route)
    if primary is None and resource == "graphql":
        primary = faults.fires(FaultId.GRAPHQL_RATE_LIMITED, route=route)
    budget = here.rates.budget(payer, resource, now)
    if primary is not None:
        reset = budget.reset_at + int(primary.args.get("skew", 0))
        g.budget = budget = Budget(resource, budget.limit, budget.limit, int(primary.args.get("reset", reset)))
    if route not in FREE and budget.remaining == 0 and (resource != "graphql" or primary is not None):
        _exhausted(payer.name, resource, {} if primary is None else primary.args)
    abuse = faults.fires(FaultId.LIMIT_ABUSE, route=route)
    if abuse is not None:
        _slow_down(abuse, _ABUSE, "https://developer.github.com/v3/#abuse-rate-limits")
    secondary = faults.fires(FaultId.LIMIT_SECONDARY, route=route)
    if secondary is not None:
        _slow_down(secondary, _too_fast(), _SECONDARY)
    _check_bursts(route, resource, writes=writes)


def _check_bursts(route: str, resource: Resource, *, writes: bool) -> None:
    """The secondary limits as counted, where that is switched on."""
    enforced = world().faults.standing(FaultId.LIMIT_ENFORCED)
    if enforced is None:
        return
    by_graphql = resource == "graphql"
    makes_content = writes and (by_graphql or _CONTENT.fullmatch(route) is not None)
    ask = Ask("graphql" if by_graphql else route, 5 if writes else 1, by_graphql, makes_content)
    burst = burst_of({name: value for name, value in enforced.args.items() if name not in ("code", "silent")})
    wait_s = site().bursts.wait_s(caller().payer, ask, burst, world().now())
    if wait_s is not None:
        world().faults.fires(FaultId.LIMIT_ENFORCED)
        _slow_down(enforced, _too_fast(), _SECONDARY, wait_s)


def _too_fast() -> str:
    help_ = _HELP.format(site().next_request_id())
    return f"You have exceeded a secondary rate limit. {_WAIT} {help_}"


def _slow_down(fault: Fault, message: str, docs: str, wait_s: int | None = None) -> None:
    """Answer with 403 or 429, and say how long to wait if it is known and the switch does not forbid it (Q59)."""
    wait_s = fault.args.get("retry_after", None if fault.args.get("silent") else wait_s)
    answer = jsonify({"documentation_url": docs, "message": message})
    answer.status_code = int(fault.args.get("code", 403))
    if wait_s is not None:
        answer.headers["Retry-After"] = str(wait_s)
    abort(answer)


def _exhausted(name: str, resource: Resource, args: Mapping[str, Any]) -> None:
    """Say that the window's points are used up: in GraphQL with 200 and without data (Q4)."""
    message = f"API rate limit exceeded for {name}."
    if name == "127.0.0.1":
        more = "Authenticated requests get a higher rate limit. Check out the documentation for more details."
        message += f" (But here's the good news: {more})"
    body = {"message": message, "documentation_url": f"{_LIMITS}#about-primary-rate-limits"}
    if resource == "graphql":
        abort(jsonify({"errors": [{"type": args.get("type", "RATE_LIMITED"), "message": message}]}))
    answer = jsonify({**body, "status": str(args.get("code", 403))})
    answer.status_code = int(args.get("code", 403))
    abort(answer)


def _check_permissions(route: str, repo: Repo | None) -> None:
    """Hide what is invisible and refuse what the token was not given; raises RefusedError 403 or 404."""
    who = caller()
    if repo is not None and not who.sees(repo):
        raise not_found()
    if who.permissions is None:
        return
    if route.startswith(("GET /user", "PATCH /user")) and who.is_integration and route not in _ABOUT_ANYBODY:
        raise who.refusal()
    g.needs = permissions.needs_of(route)
    if not who.may(g.needs, repo):
        raise who.refusal()


def finish(answer: Response) -> Response:
    """Complete an answer: what it costs, what it may be remembered by, what every answer bears."""
    here = site()
    now, who = world().now(), caller()
    resource: Resource = g.get("resource", "core")
    if request.blueprint != "graph" and request.method == "GET" and answer.status_code == 200:
        _make_conditional(answer)
    if g.pop("billed", False) and answer.status_code not in (304, 401):
        here.rates.fine(who.payer, resource, 1, now)
    outages.after(world(), answer)
    budget = g.get("budget") or here.rates.budget(who.payer, resource, now)
    skew: Fault | None = g.get("skew")
    faults = world().faults
    faults.fires(FaultId.PROFILE_GHES, when=lambda fault: fault.hits > 0)  # once it is one, every answer shows it
    by_itself = "registration" in g  # an App that signs its requests, which has no installation's or user's limit
    if not by_itself and not faults.is_on(FaultId.LIMIT_NONE) and not faults.is_on(FaultId.PROFILE_GHES):
        answer.headers.update(budget.headers())
    answer.headers["Date"] = http_date(world().now() + (float(skew.args.get("seconds", 0)) if skew else 0))
    answer.headers["Server"] = "github.com"
    answer.headers["X-GitHub-Request-Id"] = here.next_request_id()
    answer.headers["X-GitHub-Media-Type"] = _media_type()
    answer.headers["X-GitHub-Api-Version-Selected"] = API_VERSION
    answer.headers.setdefault(
        "Vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With"
    )
    if world().enterprise:
        answer.headers["X-GitHub-Enterprise-Version"] = world().enterprise
    if who.permissions is not None and "needs" in g and g.needs:
        answer.headers["X-Accepted-GitHub-Permissions"] = permissions.spelt(g.needs)
    if who.grant is not None and who.grant.kind in (TokenKind.CLASSIC, TokenKind.OAUTH):
        answer.headers["X-OAuth-Scopes"] = ", ".join(who.grant.scopes)
        answer.headers["X-Accepted-OAuth-Scopes"] = "" if resource == "graphql" else "repo"
    return answer


def _media_type() -> str:
    """What the client asked for, as GitHub repeats it."""
    found = re.search(
        r"application/vnd\.github(?:\.v3)?(?:\.(raw|html|diff|patch|sha|full|text))?(\+json)?",
        request.headers.get("Accept", ""),
    )
    if found is None or found[1] is None:
        return MEDIA_TYPE
    return f"github.v3; param={found[1]}" + ("; format=json" if found[2] else "")


def _make_conditional(answer: Response) -> None:
    """Give an answer its ETag and, where GitHub has one, Last-Modified; empty it if the client has it already (304)."""
    whole = answer.get_json(silent=True) if answer.mimetype == "application/json" else None
    if whole is None:
        return
    answer.headers["ETag"] = tag = _tag(answer, whole)
    private = "private" if caller().grant else "public"
    answer.headers["Cache-Control"] = f"{private}, max-age=60, s-maxage=60"
    changed = _changed_at(whole)
    if changed is not None:
        answer.headers["Last-Modified"] = http_date(changed)
    known = request.headers.get("If-None-Match")
    if known is not None:
        fresh = tag.removeprefix("W/") in {one.strip().removeprefix("W/") for one in known.split(",")}
    else:
        fresh = changed is not None and _since(request.headers.get("If-Modified-Since", "")) >= changed
    if fresh:
        answer.status_code = 304
        answer.set_data(b"")
        answer.headers.remove("Content-Type")


def _tag(answer: Response, whole: Any) -> str:
    body = answer.get_data()
    if g.route == "GET /repos/{owner}/{repo}" and world().faults.standing(FaultId.ETAG_STALE_REPO_SETTINGS):
        body = repr({key: value for key, value in whole.items() if not key.startswith("allow_")}).encode()
        if "If-None-Match" in request.headers:
            world().faults.fires(FaultId.ETAG_STALE_REPO_SETTINGS, whole["full_name"])
    seed = (body, request.headers.get("Authorization", "").encode(), request.headers.get("Accept", "").encode())
    return f'W/"{hashlib.sha256(b"".join(seed)).hexdigest()}"'


def _changed_at(whole: Any) -> float | None:
    """When one thing changed last, in epoch seconds; None for lists, and for what GitHub does not date."""
    if not isinstance(whole, dict):
        return None
    text = whole.get("updated_at")
    if {"sha", "parents", "commit"} <= whole.keys():
        text = whole["commit"]["committer"]["date"]
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None


def _since(text: str) -> float:
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("-inf")
