"""Registering and installing Apps, and what happens to an installation later, with the events the App is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.app_shapes import installation_shape
from mergeq.sandbox.apps import Installation, Registration
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Repo

if TYPE_CHECKING:
    from mergeq.sandbox.world import World


def register(world: World, slug: str, owner: str, **details: Any) -> Registration:
    """Register an App and switch its hook on, if it has a URL; raises ValueError for a slug that is taken."""
    made = world.registry.register(world.app(slug), owner=owner, now=world.now(), **details)
    if made.hook_url:
        world.webhooks.add(made.hook_url, made.webhook_secret, made.events, None, made.app.id)
    return made


def install(
    world: World, registration: Registration, account: str, repos: Iterable[str] | None, by: str
) -> Installation:
    """Install an App for an account; raises KeyError for a repository there is not."""
    ids = None if repos is None else [world.repo(name).id for name in repos]
    is_user = any(repo.owner_is_user for repo in world.repos() if repo.owner.casefold() == account.casefold())
    made = world.registry.install(registration, account, now=world.now(), repos=ids, account_is_user=is_user)
    tell(world, made, "installation", "created", by, repositories=listed(world, made))
    return made


def uninstall(world: World, installation: Installation, by: str) -> None:
    """Remove an installation."""
    tell(world, installation, "installation", "deleted", by, repositories=listed(world, installation))
    world.registry.uninstall(installation)


def suspend(world: World, installation: Installation, by: str, *, suspended: bool = True) -> None:
    """Take everything from an installation's tokens, or give it back."""
    installation.suspended_at = world.now() if suspended else None
    installation.updated_at = world.now()
    tell(world, installation, "installation", "suspend" if suspended else "unsuspend", by)


def accept(world: World, installation: Installation, permissions: Mapping[str, str], by: str) -> None:
    """Let an installation hold these permissions, whatever its App asks for (Q66)."""
    installation.permissions = dict(permissions)
    installation.updated_at = world.now()
    tell(world, installation, "installation", "new_permissions_accepted", by)


def choose(world: World, installation: Installation, repos: Iterable[str], by: str) -> None:
    """Let an installation cover these repositories of its account and no others; raises KeyError."""
    before = {repo.id: repo for repo in covered(world, installation)}
    after = {repo.id: repo for repo in map(world.repo, repos)}
    installation.repos = set(after)
    installation.updated_at = world.now()
    added = [brief(repo) for number, repo in after.items() if number not in before]
    removed = [brief(repo) for number, repo in before.items() if number not in after]
    for action, repositories in (("added", added), ("removed", removed)):
        if repositories:
            changed = {"repositories_added": [], "repositories_removed": [], f"repositories_{action}": repositories}
            more = {"repository_selection": "selected", "requester": None, **changed}
            tell(world, installation, "installation_repositories", action, by, **more)


def covered(world: World, installation: Installation) -> tuple[Repo, ...]:
    """The repositories an installation is on."""
    return tuple(repo for repo in world.repos() if installation.covers(repo))


def listed(world: World, installation: Installation) -> list[dict[str, Any]]:
    """Its repositories, as events about it name them."""
    return [brief(repo) for repo in covered(world, installation)]


def brief(repo: Repo) -> dict[str, Any]:
    """A repository in a few words."""
    return {
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
    }


def tell(world: World, installation: Installation, event: str, action: str, by: str, **fields: Any) -> None:
    """Send the App an event about its installation; it gets those without having asked."""
    hook = world.webhooks.of_app(installation.registration.app.id)
    if hook is not None:
        shapes = world.shapes()
        body = {"action": action, "installation": installation_shape(shapes, installation), **fields}
        world.webhooks.send_to(hook, event, {**body, "sender": shapes.user(by)})
