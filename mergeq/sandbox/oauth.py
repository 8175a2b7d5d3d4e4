"""What a browser meets on GitHub: signing in for an application, and making an App from its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, jsonify, redirect, request
from markupsafe import Markup

from mergeq.sandbox import installing
from mergeq.sandbox.apps import CODE_LIFE_S, Code, Registration
from mergeq.sandbox.refusals import RefusedError, not_found
from mergeq.sandbox.rest import Answer, endpoint
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import shapes, world

oauth = Blueprint("oauth", __name__)
_TROUBLE = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting"
_REDIRECT_DOCS = f"{_TROUBLE}-authorization-request-errors/"
_TOKEN_DOCS = f"{_TROUBLE}-oauth-app-access-token-request-errors/"
_MISMATCH = "The redirect_uri MUST match the registered callback URL for this application."
_WRONG = {
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "redirect_uri_mismatch": _MISMATCH,
    "bad_verification_code": "The code passed is incorrect or expired.",
    "bad_refresh_token": "The refresh token passed is incorrect or expired.",
    "unsupported_grant_type": "The grant_type passed is not supported.",
}
_PAGE = Markup("<!doctype html><title>{title}</title><h1>{title}</h1><form method=post>{fields}{buttons}</form>")


@oauth.get("/login/oauth/authorize")
def _ask() -> Answer | Response:
    """Ask who is there; with ``login`` it is them, and they have agreed before, so they are sent straight back."""
    app = _client(request.args.get("client_id", ""))
    mismatch = _refused_uri(app)
    if mismatch is not None:
        return mismatch
    if "login" in request.args:
        return _agreed(app, request.args["login"])
    buttons = Markup().join(
        Markup('<button name="login" value="{0}">Sign in as {0}</button> ').format(login)
        for login in world().users.logins()
        if not login.endswith("[bot]")
    )
    cancel = Markup('<button name="cancel" value="1">Cancel</button>')
    return Response(_PAGE.format(title=f"Authorize {app.name}", fields="", buttons=buttons + cancel))


@oauth.post("/login/oauth/authorize")
def _answer() -> Answer | Response:
    app = _client(request.args.get("client_id", ""))
    mismatch = _refused_uri(app)
    if mismatch is not None:
        return mismatch
    if "cancel" in request.form:
        error = {"error": "access_denied", "error_description": "The user has denied your application access."}
        docs = {"error_uri": f"{_REDIRECT_DOCS}#access-denied"}
        return _back(_redirect_uri(app), {**error, **docs})
    return _agreed(app, request.form.get("login", ""))


def _client(client_id: str) -> Registration:
    with world().lock:
        found = world().registry.by_client_id(client_id)
    if found is None:
        raise not_found()
    return found


def _redirect_uri(app: Registration) -> str:
    asked = request.args.get("redirect_uri")
    return asked or (app.callback_urls[0] if app.callback_urls else "")


def _matches(app: Registration, uri: str) -> bool:
    """An App takes its callback URLs as they are, an OAuth app also what lies below; any port of this machine does."""

    def plain(url: str) -> tuple[str, str, str]:
        parts = urlsplit(url)
        host = parts.netloc if parts.hostname not in ("127.0.0.1", "::1") else str(parts.hostname)
        return parts.scheme, host, parts.path or "/"

    scheme, host, path = plain(uri)
    for registered in map(plain, app.callback_urls):
        below = app.oauth and path.startswith(registered[2].rstrip("/") + "/")
        if (scheme, host) == registered[:2] and (path == registered[2] or below):
            return True
    return False


def _refused_uri(app: Registration) -> Response | None:
    if _matches(app, _redirect_uri(app)):
        return None
    error = {"error": "redirect_uri_mismatch", "error_description": _MISMATCH}
    return _back(
        app.callback_urls[0] if app.callback_urls else "",
        {**error, "error_uri": f"{_REDIRECT_DOCS}#redirect-uri-mismatch"},
    )


def _agreed(app: Registration, login: str) -> Response:
    here, uri = world(), _redirect_uri(app)
    if not here.users.knows(login):
        raise not_found()
    scopes = tuple(part for part in request.args.get("scope", "").replace(",", " ").split() if app.oauth)
    with here.lock:
        code = here.registry.offer_code(
            Code(
                app,
                login,
                uri,
                here.now() + CODE_LIFE_S,
                scopes,
                request.args.get("code_challenge", ""),
                request.args.get("code_challenge_method", ""),
            )
        )
    return _back(uri, {"code": code})


def _back(uri: str, answer: Mapping[str, str]) -> Response:
    """Send the browser back to the App with an answer, and with the state it came with."""
    if not uri:
        raise not_found()
    state = {"state": request.args["state"]} if "state" in request.args else {}
    joint = "&" if urlsplit(uri).query else "?"
    sent: Response = redirect(f"{uri}{joint}{urlencode({**answer, **state})}")  # type: ignore[assignment]
    return sent


@oauth.post("/login/oauth/access_token")
def _exchange() -> Answer:
    """Always 200, errors too: as JSON if that is asked for, else form-encoded."""
    sent = _sent()
    with world().lock:
        app = world().registry.by_client_id(sent.get("client_id", ""))
        if app is None:
            return _spelt({"error": "Not Found"}), 404
        return _spelt(_tokens(app, sent))


def _sent() -> Mapping[str, str]:
    """What was sent in the query, as a form, or as JSON."""
    more = request.get_json(silent=True) if request.is_json else None
    return {**request.args.to_dict(), **request.form.to_dict(), **(more if isinstance(more, dict) else {})}


def _spelt(answer: Mapping[str, Any]) -> Response:
    if "json" in request.headers.get("Accept", ""):
        return jsonify(answer)
    return Response(urlencode(answer), mimetype="application/x-www-form-urlencoded")


def _wrong(name: str) -> Mapping[str, Any]:
    uri = f"{_TOKEN_DOCS}#{name.replace('_', '-')}"
    return {"error": name, "error_description": _WRONG[name], "error_uri": uri}


def _tokens(app: Registration, sent: Mapping[str, str]) -> Mapping[str, Any]:
    here = world()
    if sent.get("client_secret") != app.client_secret:
        return _wrong("incorrect_client_credentials")
    if sent.get("grant_type") == "refresh_token":
        login = here.registry.take_refresh(app, sent.get("refresh_token", ""), here.now())
        return _wrong("bad_refresh_token") if login is None else here.registry.sign_in(app, login, (), here.now())
    if sent.get("grant_type", "authorization_code") != "authorization_code":
        return _wrong("unsupported_grant_type")
    code = here.registry.take_code(sent.get("code", ""), here.now())
    if code is None or code.registration is not app or not code.is_answered_by(sent.get("code_verifier", "")):
        return _wrong("bad_verification_code")
    if sent.get("redirect_uri") not in (None, code.redirect_uri):
        return _wrong("redirect_uri_mismatch")
    return here.registry.sign_in(app, code.login, code.scopes, here.now())


@oauth.post("/settings/apps/new")
@oauth.post("/organizations/<org>/settings/apps/new")
def _new_app(org: str | None = None) -> Answer | Response:
    """The page to which an App's manifest is sent; it asks, or with ``login`` sends straight back with a code."""
    try:
        manifest: Any = json.loads(request.form.get("manifest", ""))
    except ValueError:
        manifest = None
    missing = (
        "manifest"
        if not isinstance(manifest, dict)
        else next((k for k in ("url", "redirect_url") if not manifest.get(k)), None)
    )
    if missing is not None:
        return Response(f"Invalid GitHub App configuration: {missing} wasn't supplied\n", 422, mimetype="text/plain")
    if "login" not in request.args and "agree" not in request.form:
        hidden = Markup('<input type="hidden" name="manifest" value="{}">').format(request.form["manifest"])
        button = Markup('<button name="agree" value="1">Create GitHub App for {}</button>').format(org or "yourself")
        return Response(_PAGE.format(title=str(manifest.get("name", "New GitHub App")), fields=hidden, buttons=button))
    owner = org or request.args.get("login", "") or next(iter(world().users.logins()))
    with world().lock:
        code = world().registry.offer_manifest(manifest, owner, world().now())
    return _back(manifest["redirect_url"], {"code": code})


@endpoint("POST", "/app-manifests/<code>/conversions")
def _convert(code: str) -> Answer:
    """The App, once, with everything only its owner may know."""
    taken = world().registry.take_manifest(code, world().now())
    if taken is None:
        raise not_found()
    manifest, owner = taken
    hook = manifest.get("hook_attributes") or {}
    callbacks = manifest.get("callback_urls") or [manifest["redirect_url"]]
    name = str(manifest.get("name") or "new app")
    try:
        made = installing.register(
            world(),
            "-".join(name.casefold().split()),
            owner,
            name=name,
            permissions=manifest.get("default_permissions") or {},
            events=manifest.get("default_events") or (),
            hook_url=hook.get("url", "") if hook.get("active", True) else "",
            callback_urls=callbacks,
            homepage=manifest["url"],
        )
    except ValueError as error:
        raise RefusedError(422, "Name has already been taken") from error
    return jsonify(secrets_shape(made)), 201


def secrets_shape(made: Registration) -> Json:
    """An App with its secrets."""
    secret = {"client_secret": made.client_secret, "webhook_secret": made.webhook_secret or None, "pem": made.pem}
    return {**shapes().app(made.app), "client_id": made.client_id, **secret}
