"""Repositories and branches that get another name or owner, are archived or deleted, and people who leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mergeq.sandbox import pulls, refs
from mergeq.sandbox.app_shapes import org_shape
from mergeq.sandbox.git import HEADS, ZERO
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.refusals import RefusedError, invalid
from mergeq.sandbox.users import GHOST

if TYPE_CHECKING:
    from mergeq.sandbox.world import World


def rename(world: World, repo: Repo, full_name: str, by: str) -> None:
    """Give a repository another name, or owner; raises RefusedError 422 for a name that is taken.

    Whoever asks by the old name is sent on until a repository of that name is made.
    """
    owner = full_name.partition("/")[0]
    taken = world.find_repo(full_name)
    if taken is not None and taken is not repo:
        raise invalid("Repository", "name already exists on this account", "name")
    before = repo.full_name
    world.rebrand(repo, full_name)
    if owner == before.partition("/")[0]:
        changes: Mapping[str, Any] = {"repository": {"name": {"from": before.partition("/")[2]}}}
        world.emit("repository", repo, {"action": "renamed", "changes": changes}, by=by)
    else:
        former, shapes = before.partition("/")[0], world.shapes()
        owner_was = {"user": shapes.user(former)} if repo.owner_is_user else {"organization": org_shape(shapes, former)}
        moved = {"owner": {"from": owner_was}}
        world.emit("repository", repo, {"action": "transferred", "changes": moved}, by=by)


def archive(world: World, repo: Repo, by: str, *, archived: bool = True) -> None:
    """Make a repository read-only for everybody, or take that back."""
    repo.archived = archived
    repo.updated_at = world.now()
    world.emit("repository", repo, {"action": "archived" if archived else "unarchived"}, by=by)


def delete(world: World, repo: Repo, by: str) -> None:
    """Remove a repository; pull requests from it stay, with a head that belongs to nothing (Q24)."""
    world.emit("repository", repo, {"action": "deleted"}, by=by)
    world.forget(repo)


def rename_branch(world: World, repo: Repo, old: str, new: str, by: str) -> None:
    """Give a branch another name; raises RefusedError 404 or 422.

    Protection and the base of open pull requests go with it; pull requests from it are closed.
    """
    tip = repo.git.tip(old)
    if tip is None:
        raise RefusedError(404, "Branch not found")
    if repo.git.tip(new) is not None:
        raise RefusedError(422, f"Branch {new} already exists.")
    was_default = repo.default_branch == old
    repo.git.move_all([(HEADS + new, ZERO, tip)])
    if old in repo.protections:
        repo.protections = {new if name == old else name: rule for name, rule in repo.protections.items()}
    if was_default:
        repo.default_branch = new
        repo.git.git("symbolic-ref", "HEAD", HEADS + new)
    refs.moved(world, repo, HEADS + new, ZERO, tip, by)
    for pull in repo.pulls.values():
        if pull.is_open and pull.base_ref == old:
            pulls.edit(world, pull, by, base=new)
    repo.git.drop(HEADS + old)
    refs.moved(world, repo, HEADS + old, tip, ZERO, by)
    repo.branch_names[old] = new
    repo.updated_at = world.now()
    if was_default:
        world.emit("repository", repo, {"action": "edited", "changes": {"default_branch": {"from": old}}}, by=by)


def remove_account(world: World, login: str) -> None:
    """Somebody leaves GitHub: what they wrote is the ghost's, and their commits belong to nobody (Q32)."""
    world.users.gone.add(login)
    for ticket in (ticket for repo in world.repos() for ticket in repo.tickets):
        ticket.author = GHOST if ticket.author == login else ticket.author
        ticket.assignees = [one for one in ticket.assignees if one != login]
        ticket.comments = [replace(c, author=GHOST) if c.author == login else c for c in ticket.comments]
        if isinstance(ticket, Pull):
            ticket.reviewers = [one for one in ticket.reviewers if one != login]
            ticket.reviews = [replace(r, author=GHOST) if r.author == login else r for r in ticket.reviews]
