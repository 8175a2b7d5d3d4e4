"""Whom issues and pull requests are assigned to, and who is asked to review, with the events each sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mergeq.sandbox import pulls
from mergeq.sandbox.protection_shapes import team_shape
from mergeq.sandbox.records import Issue, Pull, Repo, Ticket
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.users import Role

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

MAX_ASSIGNEES = 10


def is_assignable(repo: Repo, login: str, ticket: Pull | Issue | None = None) -> bool:
    """Who may write or belongs to the organization, and who has opened the issue or commented on it."""
    people = repo.people
    if login not in people.collaborators():
        return False
    spoke = ticket is not None and login in (ticket.author, *(comment.author for comment in ticket.comments))
    return spoke or people.may_write(login) or people.is_member(login)


def is_assigned(ticket: Ticket, wanted: str | None) -> bool:
    """Whether to somebody: a login, ``*`` for anybody, ``none`` for nobody; None: it does not matter."""
    if wanted in (None, "*", "none"):
        return wanted is None or bool(ticket.assignees) is (wanted == "*")
    return wanted in ticket.assignees


def assign(world: World, ticket: Pull | Issue, logins: Iterable[str], by: str) -> None:
    """Add people, each with an event; those who cannot be assigned, and all beyond ten, are left out without a word."""
    repo = world.repo_of(ticket)
    for login in logins:
        is_new = login not in ticket.assignees and len(ticket.assignees) < MAX_ASSIGNEES
        if is_new and is_assignable(repo, login, ticket):
            ticket.assignees.append(login)
            _tell_assignee(world, ticket, login, by, "assigned")


def unassign(world: World, ticket: Pull | Issue, logins: Iterable[str], by: str) -> None:
    """Take people away again; others are none."""
    for login in logins:
        if login in ticket.assignees:
            ticket.assignees.remove(login)
            _tell_assignee(world, ticket, login, by, "unassigned")


def set_assignees(world: World, ticket: Pull | Issue, logins: Sequence[str], by: str) -> None:
    """Leave it to these people and no others; raises RefusedError 422 for one who cannot be assigned."""
    refuse_strangers(world.repo_of(ticket), logins, ticket)
    unassign(world, ticket, [login for login in ticket.assignees if login not in logins], by)
    assign(world, ticket, logins, by)


def refuse_strangers(repo: Repo, logins: Iterable[str], ticket: Pull | Issue | None = None) -> None:
    """Raises RefusedError 422 for somebody who cannot be assigned."""
    for login in logins:
        if not is_assignable(repo, login, ticket):
            error = {"value": login, "resource": "Issue", "field": "assignees", "code": "invalid"}
            raise RefusedError(422, "Validation Failed", [error])


def _tell_assignee(world: World, ticket: Pull | Issue, login: str, by: str, action: str) -> None:
    ticket.updated_at = world.now()
    assignee = world.shapes().user(login)
    if isinstance(ticket, Pull):
        pulls.announce(world, ticket, action, by, assignee=assignee)
    else:
        pulls.announce_issue(world, ticket, action, by, assignee=assignee)


def request_reviews(world: World, pull: Pull, logins: Iterable[str], teams: Iterable[str], by: str) -> None:
    """Ask people and teams (slugs), each with an event; raises RefusedError 422 where one of them cannot be asked."""
    repo = world.repo_of(pull)
    people, groups = tuple(logins), tuple(teams)
    if pull.author in people:
        raise RefusedError(422, "Review cannot be requested from pull request author.")
    known = repo.people.collaborators()
    if not all(login in known for login in people) or not all(slug in repo.people.teams for slug in groups):
        more = (
            f"One or more of the users or teams you specified is not a collaborator of the {repo.full_name} repository."
        )
        raise RefusedError(422, f"Reviews may only be requested from collaborators. {more}")
    for login in people:
        if login not in pull.reviewers:
            pull.reviewers.append(login)
            _tell_reviewer(world, pull, by, "review_requested", login=login)
    for slug in groups:
        if slug not in pull.reviewing_teams:
            pull.reviewing_teams.append(slug)
            _tell_reviewer(world, pull, by, "review_requested", team=slug)


def withdraw(world: World, pull: Pull, logins: Iterable[str], teams: Iterable[str], by: str) -> None:
    """Ask them no longer; who was not asked is none."""
    for login in logins:
        if login in pull.reviewers:
            pull.reviewers.remove(login)
            _tell_reviewer(world, pull, by, "review_request_removed", login=login)
    for slug in teams:
        if slug in pull.reviewing_teams:
            pull.reviewing_teams.remove(slug)
            _tell_reviewer(world, pull, by, "review_request_removed", team=slug)


def set_reviewers(world: World, pull: Pull, logins: Sequence[str], teams: Sequence[str], by: str) -> None:
    """Ask these and no others."""
    request_reviews(world, pull, logins, teams, by)
    gone = [login for login in pull.reviewers if login not in logins]
    withdraw(world, pull, gone, [slug for slug in pull.reviewing_teams if slug not in teams], by)


def _tell_reviewer(world: World, pull: Pull, by: str, action: str, *, login: str = "", team: str = "") -> None:
    pull.updated_at = world.now()
    shapes, owner = world.shapes(), world.repo_of(pull).owner
    asked: dict[str, Any] = (
        {"requested_team": team_shape(shapes, owner, team)} if team else {"requested_reviewer": shapes.user(login)}
    )
    pulls.announce(world, pull, action, by, **asked)


def may_change(repo: Repo, ticket: Pull | Issue, login: str, *, more_than_state: bool) -> bool:
    """Whether somebody may close or reopen it, or change ``more_than_state``: what it says, and a base."""
    needed = Role.WRITE if more_than_state else Role.TRIAGE
    return login == ticket.author or repo.people.reaches(login, needed)
