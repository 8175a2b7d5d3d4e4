"""REST endpoints of webhooks, a repository's and an App's own: subscribing, what was delivered, and that again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import jsonify

from mergeq.sandbox.app_shapes import delivery_full, delivery_summary, hook_config_shape
from mergeq.sandbox.clock import iso
from mergeq.sandbox.gate import registration
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, not_found
from mergeq.sandbox.rest import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Answer,
    administrator,
    body,
    endpoint,
    page_base,
    paged,
    parameters,
    required,
    the_repo,
)
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import shapes, world
from mergeq.sandbox.webhooks import Delivery, Hook

_HOOKS = "/repos/<owner>/<repo>/hooks"
_HOOK = f"{_HOOKS}/<int:hook_id>"


@endpoint("GET", _HOOKS)
def _hooks(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    administrator(found)
    parameters()
    shown = shapes()
    return paged(world().webhooks.of_repo(found.full_name), lambda hook: _hook_shape(shown, found, hook))


@endpoint("POST", _HOOKS)
def _add_hook(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = administrator(found, changes=True)
    fields = body("name", "active", "events", "config")
    config = fields.get("config") or {}
    if fields.get("active", True) is not True or config.get("content_type", "json") != "json":
        raise NotSimulatedError("hooks that are inactive or form-encoded")
    url = required(config, "Hook", "url")
    events = tuple(fields.get("events") or ("push",))
    hook = world().add_hook(url, config.get("secret") or "", events, found.full_name)
    _ping(found, hook, by)
    return jsonify(_hook_shape(shapes(), found, hook)), 201


def _ping(repo: Repo, hook: Hook, by: str) -> None:
    shown = world().shapes()
    payload = {
        "zen": "Half measures are as bad as nothing at all.",
        "hook_id": hook.id,
        "hook": _hook_shape(shown, repo, hook),
        "repository": shown.minimal_repo(repo),
        "sender": shown.user(by),
    }
    world().webhooks.send_to(hook, "ping", payload, repo.full_name)


def _repo_hook(owner: str, repo: str, hook_id: int, *, changes: bool = False) -> tuple[Repo, Hook, str]:
    """A hook, where it is, and which administrator asks; raises RefusedError 401, 403 or 404."""
    found = the_repo(owner, repo)
    by = administrator(found, changes=changes)
    hook = next((hook for hook in world().webhooks.of_repo(found.full_name) if hook.id == hook_id), None)
    if hook is None:
        raise not_found()
    return found, hook, by


@endpoint("GET", _HOOK)
def _hook(owner: str, repo: str, hook_id: int) -> Answer:
    parameters()
    found, hook, _ = _repo_hook(owner, repo, hook_id)
    return jsonify(_hook_shape(shapes(), found, hook))


@endpoint("DELETE", _HOOK)
def _remove_hook(owner: str, repo: str, hook_id: int) -> Answer:
    _, hook, _ = _repo_hook(owner, repo, hook_id, changes=True)
    world().webhooks.remove(hook)
    return "", 204


@endpoint("POST", f"{_HOOK}/pings")
def _ping_again(owner: str, repo: str, hook_id: int) -> Answer:
    _ping(*_repo_hook(owner, repo, hook_id, changes=True))
    return "", 204


def _hook_shape(shown: Shapes, repo: Repo, hook: Hook) -> Json:
    url = f"{shown.repo_api(repo)}/hooks/{hook.id}"
    moment = iso(hook.created_at)
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": True,
        "events": list(hook.events),
        "config": {"url": hook.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
        "created_at": moment,
        "updated_at": moment,
    }


@endpoint("GET", "/app/hook/config")
def _hook_config() -> Answer:
    parameters()
    return jsonify(hook_config_shape(world().webhooks.of_app(registration().app.id)))


@endpoint("PATCH", "/app/hook/config")
def _change_hook_config() -> Answer:
    fields = body("url", "secret", "content_type", "insecure_ssl")
    hooks, mine = world().webhooks, registration()
    hook = hooks.of_app(mine.app.id) or hooks.add("", mine.webhook_secret, mine.events, None, mine.app.id)
    mine.webhook_secret = fields.get("secret") or hook.secret
    return jsonify(hook_config_shape(hooks.change(hook, url=fields.get("url") or hook.url, secret=mine.webhook_secret)))


def _app_hook() -> Hook:
    found = world().webhooks.of_app(registration().app.id)
    if found is None:
        raise not_found()
    return found


@endpoint("GET", "/app/hook/deliveries")
def _app_deliveries() -> Answer:
    return _listed(_app_hook())


@endpoint("GET", "/app/hook/deliveries/<int:delivery_id>")
def _app_delivery(delivery_id: int) -> Answer:
    parameters()
    return jsonify(delivery_full(_delivery(_app_hook(), delivery_id)))


@endpoint("POST", "/app/hook/deliveries/<int:delivery_id>/attempts")
def _app_attempt(delivery_id: int) -> Answer:
    return _again(_delivery(_app_hook(), delivery_id))


@endpoint("GET", f"{_HOOK}/deliveries")
def _repo_deliveries(owner: str, repo: str, hook_id: int) -> Answer:
    return _listed(_repo_hook(owner, repo, hook_id)[1])


@endpoint("GET", f"{_HOOK}/deliveries/<int:delivery_id>")
def _repo_delivery(owner: str, repo: str, hook_id: int, delivery_id: int) -> Answer:
    parameters()
    return jsonify(delivery_full(_delivery(_repo_hook(owner, repo, hook_id)[1], delivery_id)))


@endpoint("POST", f"{_HOOK}/deliveries/<int:delivery_id>/attempts")
def _repo_attempt(owner: str, repo: str, hook_id: int, delivery_id: int) -> Answer:
    return _again(_delivery(_repo_hook(owner, repo, hook_id)[1], delivery_id))


def _delivery(hook: Hook, delivery_id: int) -> Delivery:
    found = next((one for one in world().webhooks.deliveries_of(hook) if one.id == delivery_id), None)
    if found is None:
        raise not_found()
    return found


def _again(delivery: Delivery) -> Answer:
    """The same GUID again; only what is younger than three days can be had."""
    if not world().webhooks.redeliver(delivery):
        raise RefusedError(422, "This delivery can no longer be redelivered")
    return jsonify({}), 202


def _listed(hook: Hook) -> Answer:
    """Newest first; further pages by a cursor, the id below which they begin."""
    asked = parameters("cursor", "redelivery", "status")
    size = min(int(asked.get("per_page", "") or DEFAULT_PAGE), MAX_PAGE)
    below = asked.get("cursor", "").removeprefix("v1_")
    if below and not below.isdecimal():
        raise RefusedError(400, "Invalid cursor")
    matching: list[Delivery] = [
        one
        for one in world().webhooks.deliveries_of(hook)
        if (not below or one.id < int(below))
        and asked.get("redelivery") in (None, str(one.redelivery).lower())
        and asked.get("status") in (None, "success" if 200 <= (one.status_code or 0) < 300 else "failure")
    ]
    page: list[Any] = matching[:size]
    answer = jsonify([delivery_summary(one) for one in page])
    if len(matching) > size:
        kept = {name: value for name, value in asked.items() if name in {"redelivery", "status"}}
        query = urlencode({**kept, "per_page": size, "cursor": f"v1_{page[-1].id}"})
        answer.headers["Link"] = f'<{page_base()}?{query}>; rel="next"'
    return answer
