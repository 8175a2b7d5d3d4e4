"""The JSON GitHub shows for organizations, installations and their tokens, and webhook deliveries."""

from __future__ import annotations

from mergeq.sandbox.apps import Installation
from mergeq.sandbox.clock import iso
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.users import Grant
from mergeq.sandbox.webhooks import Delivery, Hook


def org_shape(shapes: Shapes, org: str) -> Json:
    """An organization as lists show it."""
    url, number = f"{shapes.api}/orgs/{org}", shapes.world.users.id_of(org)
    return {
        "login": org,
        "id": number,
        "node_id": node_id("O", number),
        "url": url,
        **{f"{name}_url": f"{url}/{name}" for name in ("repos", "events", "hooks", "issues")},
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{shapes.web}/avatars/{org}",
        "description": None,
    }


def installation_shape(shapes: Shapes, installation: Installation) -> Json:
    """An installation as its App sees it."""
    url = f"{shapes.api}/app/installations/{installation.id}"
    kind = "User" if installation.account_is_user else "Organization"
    page = f"/settings/installations/{installation.id}"
    org_page = page if installation.account_is_user else f"/organizations/{installation.account}{page}"
    since = installation.suspended_at
    return {
        "id": installation.id,
        "client_id": installation.registration.client_id,
        "account": shapes.user(installation.account, kind),
        "repository_selection": "all" if installation.repos is None else "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{shapes.api}/installation/repositories",
        "html_url": f"{shapes.web}{org_page}",
        "app_id": installation.registration.app.id,
        "app_slug": installation.registration.app.slug,
        "target_id": shapes.world.users.id_of(installation.account),
        "target_type": kind,
        "permissions": installation.permissions,
        "events": list(installation.registration.events),
        "created_at": iso(installation.created_at),
        "updated_at": iso(installation.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None if since is None else shapes.user(installation.account, kind),
        "suspended_at": None if since is None else iso(since),
    }


def token_shape(shapes: Shapes, token: str, grant: Grant) -> Json:
    """A new installation token; its repositories are named only where it was narrowed to some."""
    shape: Json = {
        "token": token,
        "expires_at": iso(grant.expires_at or 0),
        "permissions": grant.permissions,
        "repository_selection": "all" if grant.repos is None else "selected",
    }
    if grant.repos is not None:
        named = (repo for repo in shapes.world.repos() if repo.id in grant.repos)
        shape["repositories"] = [shapes.repo(repo) for repo in named]
    return shape


def hook_config_shape(hook: Hook | None) -> Json:
    """Where an App's events go; the secret is not shown."""
    config = {"content_type": "json", "insecure_ssl": "0"}
    if hook is None:
        return config
    return {**config, "url": hook.url} | ({"secret": "********"} if hook.secret else {})


def delivery_summary(delivery: Delivery) -> Json:
    """A delivery as lists show it."""
    repository = delivery.payload.get("repository") or {}
    installation = delivery.payload.get("installation") or {}
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": iso(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": round(delivery.duration_s, 2),
        "status": _words(delivery),
        "status_code": delivery.status_code or 0,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": installation.get("id"),
        "repository_id": repository.get("id"),
        "throttled_at": None,
    }


def delivery_full(delivery: Delivery) -> Json:
    """A delivery with what was sent and what came back."""
    return delivery_summary(delivery) | {
        "url": delivery.url,
        "request": {"headers": dict(delivery.headers), "payload": dict(delivery.payload)},
        "response": {"headers": dict(delivery.answer_headers), "payload": delivery.answer},
    }


def _words(delivery: Delivery) -> str:
    if delivery.status_code is None:
        return "timed out" if "timed out" in (delivery.error or "") else "failed to connect to host"
    return "OK" if 200 <= delivery.status_code < 300 else f"Invalid HTTP Response: {delivery.status_code}"
