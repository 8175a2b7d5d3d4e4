"""REST endpoints of a repository's webhooks: subscribing, what was delivered, and delivering it again."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox.clock import iso
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, not_found
from mergeq.sandbox.rest import Answer, body, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import actor, shapes, world
from mergeq.sandbox.webhooks import Delivery, Hook

_HOOKS = "/repos/<owner>/<repo>/hooks"
_HOOK = f"{_HOOKS}/<int:hook_id>"
_DELIVERY = f"{_HOOK}/deliveries/<int:delivery_id>"


@endpoint("GET", _HOOKS)
def _hooks(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    actor()
    parameters()
    shown = shapes()
    return paged(world().webhooks.of_repo(found.full_name), lambda hook: _hook_shape(shown, found, hook))


@endpoint("POST", _HOOKS)
def _add_hook(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    writer(found)
    fields = body("name", "active", "events", "config")
    config = fields.get("config") or {}
    if fields.get("active", True) is not True or config.get("content_type", "json") != "json":
        raise NotSimulatedError("hooks that are inactive or form-encoded")
    url = required(config, "Hook", "url")
    events = tuple(fields.get("events") or ("push",))
    hook = world().add_hook(url, config.get("secret") or "", events, found.full_name)
    _ping(found, hook)
    return jsonify(_hook_shape(shapes(), found, hook)), 201


def _ping(repo: Repo, hook: Hook) -> None:
    shown = world().shapes()
    payload = {
        "zen": "Half measures are as bad as nothing at all.",
        "hook_id": hook.id,
        "hook": _hook_shape(shown, repo, hook),
        "repository": shown.minimal_repo(repo),
        "sender": shown.user(actor()),
    }
    world().webhooks.send_to(hook, "ping", repo.full_name, payload, None)


def _the_hook(repo: Repo, hook_id: int) -> Hook:
    actor()
    found = next((hook for hook in world().webhooks.of_repo(repo.full_name) if hook.id == hook_id), None)
    if found is None:
        raise not_found()
    return found


@endpoint("GET", _HOOK)
def _hook(owner: str, repo: str, hook_id: int) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    return jsonify(_hook_shape(shapes(), found, _the_hook(found, hook_id)))


@endpoint("DELETE", _HOOK)
def _remove_hook(owner: str, repo: str, hook_id: int) -> Answer:
    found = the_repo(owner, repo)
    writer(found)
    world().webhooks.remove(_the_hook(found, hook_id))
    return "", 204


@endpoint("POST", f"{_HOOK}/pings")
def _ping_again(owner: str, repo: str, hook_id: int) -> Answer:
    found = the_repo(owner, repo)
    writer(found)
    _ping(found, _the_hook(found, hook_id))
    return "", 204


@endpoint("GET", f"{_HOOK}/deliveries")
def _deliveries(owner: str, repo: str, hook_id: int) -> Answer:
    """Newest first."""
    found = the_repo(owner, repo)
    parameters()
    hook = _the_hook(found, hook_id)
    made = [one for one in world().deliveries if one.hook_id == hook.id]
    return paged(made[::-1], lambda one: _delivery_shape(found, one))


@endpoint("GET", _DELIVERY)
def _delivery(owner: str, repo: str, hook_id: int, delivery_id: int) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    one = _the_delivery(found, hook_id, delivery_id)
    whole = {
        "request": {"headers": dict(one.headers), "payload": one.payload},
        "response": {"headers": {}, "payload": ""},
    }
    return jsonify(_delivery_shape(found, one) | {"url": one.url} | whole)


@endpoint("POST", f"{_DELIVERY}/attempts")
def _redeliver(owner: str, repo: str, hook_id: int, delivery_id: int) -> Answer:
    """Deliver the same again, under the same GUID."""
    found = the_repo(owner, repo)
    writer(found)
    world().webhooks.redeliver(_the_delivery(found, hook_id, delivery_id))
    return jsonify({}), 202


def _the_delivery(repo: Repo, hook_id: int, delivery_id: int) -> Delivery:
    hook = _the_hook(repo, hook_id)
    made = (one for one in world().deliveries if one.hook_id == hook.id and one.id == delivery_id)
    found = next(made, None)
    if found is None:
        raise RefusedError(404, "Not Found")
    return found


def _delivery_shape(repo: Repo, one: Delivery) -> Json:
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": iso(one.delivered_at),
        "redelivery": one.redelivery,
        "duration": 0.0,
        "status": "OK" if one.status_code in range(200, 300) else one.error or "Invalid HTTP Response",
        "status_code": one.status_code or 0,
        "event": one.event,
        "action": one.action,
        "installation_id": None,
        "repository_id": repo.id,
        "throttled_at": None,
    }


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
