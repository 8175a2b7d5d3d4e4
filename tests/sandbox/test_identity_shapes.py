from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import requests

from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter
from tests.sandbox.conftest import BASE, FILES
from tests.sandbox.test_apps import signed
from tests.sandbox.test_shapes import accept, errors_of, load, misshapen, plain

REPO = "/repos/{owner}/{repo}"
HOOK_URL = "http://queue.test/hook"


@dataclass(frozen=True, slots=True)
class House:
    """An organization with people, teams and an App, and how each of the two callers signs in."""

    sandbox: Sandbox
    installation_id: int
    delivery_id: int
    jwt: str
    token: str

    def ask(self, who: str, method: str, path: str, **json: Any) -> requests.Response:
        names = {"owner": "acme", "repo": "rocket", "org": "acme", "installation_id": self.installation_id}
        token = {"jwt": self.jwt, "app": self.token, "bot": self.sandbox.token}[who]
        with requests.Session() as session:
            session.mount(BASE, WsgiAdapter(self.sandbox.app))
            url = BASE + path.format(**names, delivery_id=self.delivery_id)
            return session.request(method, url, json=json or None, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with Sandbox(clock=ManualClock()) as sandbox:
        world = sandbox.world
        world.webhooks.session.mount("http://queue.test", WsgiAdapter(accept))
        for name in ("rocket", "other"):
            world.create_repo(f"acme/{name}", files=FILES, ci=None)
        world.add_hook(HOOK_URL, "x")
        world.users.join_org("acme", "mergeq-bot", "admin")
        world.users.join_team("acme/owners", "mergeq-bot", "zoe")
        app = world.register_app(
            "queue", permissions={"contents": "write", "members": "read"}, events=["push"], hook_url=HOOK_URL
        )
        installed = world.install_app(app, "acme", ["acme/rocket"])
        world.push("acme/rocket", "main", {"a.txt": "a\n"})
        with requests.Session() as control:
            control.mount(BASE, WsgiAdapter(sandbox.app))
            wishes: list[dict[str, Any]] = [
                {"repos": ["acme/other", "acme/rocket"]},
                {"repos": ["acme/rocket"]},
                {"suspended": True},
                {"suspended": False},
                {"permissions": installed.permissions},
            ]
            for wish in wishes:
                control.post(f"{BASE}/_sim/installations/{installed.id}", json=wish)
        world.create_repo("acme/movable", files=FILES, ci=None)
        world.rename_repo("acme/movable", "acme/moved")
        world.rename_repo("acme/moved", "zoe/moved")
        world.rename_branch("zoe/moved", "main", "trunk")
        world.delete_repo("zoe/moved")
        sandbox.settle()
        token, _ = world.registry.issue(installed, now=world.now())
        made = next(one for one in world.deliveries if one.event == "push" and one.hook_id != 1)
        yield House(sandbox, installed.id, made.id, signed(app, world.now()), token)


@pytest.fixture(scope="module")
def described() -> Any:
    return plain(load("rest-api.github.com.trim.json"))


READS = [
    ("jwt", "/app", "/app"),
    ("jwt", "/app/installations", "/app/installations"),
    ("jwt", "/app/installations/{installation_id}", "/app/installations/{installation_id}"),
    ("jwt", f"{REPO}/installation", f"{REPO}/installation"),
    ("jwt", "/orgs/{org}/installation", "/orgs/{org}/installation"),
    ("jwt", "/app/hook/config", "/app/hook/config"),
    ("jwt", "/app/hook/deliveries", "/app/hook/deliveries"),
    ("jwt", "/app/hook/deliveries/{delivery_id}", "/app/hook/deliveries/{delivery_id}"),
    ("app", "/apps/queue", "/apps/{app_slug}"),
    ("app", "/installation/repositories", "/installation/repositories"),
    ("app", "/orgs/{org}/members", "/orgs/{org}/members"),
    ("app", "/orgs/{org}/teams", "/orgs/{org}/teams"),
    ("app", "/orgs/{org}/memberships/zoe", "/orgs/{org}/memberships/{username}"),
    ("bot", "/users/zoe", "/users/{username}"),
    ("bot", "/orgs/{org}/teams/owners", "/orgs/{org}/teams/{team_slug}"),
    ("bot", "/orgs/{org}/teams/owners/members", "/orgs/{org}/teams/{team_slug}/members"),
    ("bot", "/orgs/{org}/teams/owners/memberships/zoe", "/orgs/{org}/teams/{team_slug}/memberships/{username}"),
    ("bot", f"{REPO}/collaborators", f"{REPO}/collaborators"),
    ("bot", f"{REPO}/collaborators/zoe/permission", f"{REPO}/collaborators/{{username}}/permission"),
]


KNOWN = "$[0].account: "
"""Where the description is wrong about GitHub: an account is not a user and an enterprise at once."""


@pytest.mark.parametrize(("who", "path", "route"), READS, ids=[path for _, path, _ in READS])
def test_answers_about_apps_and_people_have_the_shape_github_describes(
    described: Any, house: House, who: str, path: str, route: str
) -> None:
    answer = house.ask(who, "GET", path)

    assert (answer.status_code, answer.json() in ([], {})) == (200, False)
    assert [error for error in misshapen(described, "GET", route, answer) if not error.startswith(KNOWN)] == []


WRITES: list[tuple[str, str, str, str, dict[str, Any]]] = [
    (
        "jwt",
        "POST",
        "/app/installations/{installation_id}/access_tokens",
        "/app/installations/{installation_id}/access_tokens",
        {"repositories": ["rocket"]},
    ),
    ("jwt", "PATCH", "/app/hook/config", "/app/hook/config", {"url": HOOK_URL}),
    (
        "jwt",
        "POST",
        "/app/hook/deliveries/{delivery_id}/attempts",
        "/app/hook/deliveries/{delivery_id}/attempts",
        {},
    ),
    ("bot", "PATCH", REPO, REPO, {"allow_rebase_merge": False}),
    ("bot", "POST", f"{REPO}/branches/main/rename", f"{REPO}/branches/{{branch}}/rename", {"new_name": "trunk"}),
]


@pytest.mark.parametrize(
    ("who", "method", "path", "route", "fields"), WRITES, ids=[path for _, _, path, _, _ in WRITES]
)
def test_answers_to_writes_about_apps_have_the_shape_github_describes(
    described: Any, house: House, who: str, method: str, path: str, route: str, fields: dict[str, Any]
) -> None:
    answer = house.ask(who, method, path, **fields)

    assert answer.ok
    assert misshapen(described, method, route, answer) == []


def test_events_about_apps_and_moves_have_the_shape_github_describes(house: House) -> None:
    described = load("webhooks.openapi31.trim.json")
    seen = set()
    for delivery in house.sandbox.world.deliveries:
        event = delivery.event.replace("_", "-")
        name = f"{event}-{delivery.action.replace('_', '-')}" if delivery.action else event
        if name not in described["webhooks"]:
            assert name in ("create", "delete")
            continue
        schema = described["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": described["components"]})
        assert (name, errors_of(validator, delivery.payload)) == (name, [])
        seen.add(name)

    assert seen >= {"installation-created", "installation-suspend", "installation-unsuspend"}
    assert seen >= {"installation-new-permissions-accepted", "push", "repository-edited"}
    assert seen >= {"installation-repositories-added", "installation-repositories-removed"}
    assert seen >= {"repository-renamed", "repository-transferred", "repository-deleted"}
