"""Who acts: logins, their commit identities, roles and teams, and the tokens that stand for them."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mergeq.sandbox.git_objects import GITHUB, Person

BOT = "mergeq-bot"
WEB_FLOW = "web-flow"
GHOST = "ghost"
"""Whose it is what somebody wrote who has left."""
SCOPES = ("read:org", "repo", "workflow")
"""What a classic token is given unless told otherwise."""
_NOREPLY = "@users.noreply.github.com"
_ALPHABET = string.ascii_letters + string.digits


def person(login: str) -> Person:
    """The identity a user's commits carry."""
    return GITHUB if login == WEB_FLOW else Person(login, f"{login}{_NOREPLY}")


def login_of(author: Person) -> str | None:
    """The user a commit identity belongs to; None for an address GitHub does not know."""
    if author == GITHUB:
        return WEB_FLOW
    return author.email.removesuffix(_NOREPLY) if author.email.endswith(_NOREPLY) else None


class Role(StrEnum):
    """What somebody may do in a repository, the least first."""

    READ = "read"
    TRIAGE = "triage"
    WRITE = "write"
    MAINTAIN = "maintain"
    ADMIN = "admin"

    def reaches(self, needed: Role) -> bool:
        """Whether this role includes all that ``needed`` may do."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class TokenKind(StrEnum):
    """What a token is, told by how it begins."""

    CLASSIC = "ghp"
    FINE_GRAINED = "github_pat"
    OAUTH = "gho"
    USER = "ghu"
    INSTALLATION = "ghs"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token stands for: a login and how much of what it may do.

    ``permissions`` (name to ``read``, ``write`` or ``admin``) None: all that the login may; ``repos`` (ids) None: all
    that it sees. ``expires_at`` is in epoch seconds. ``installation`` and ``app`` are ids.
    """

    login: str
    kind: TokenKind = TokenKind.CLASSIC
    scopes: tuple[str, ...] = ()
    permissions: Mapping[str, str] | None = None
    repos: frozenset[int] | None = None
    expires_at: float | None = None
    app: int | None = None
    installation: int | None = None


class Users:
    """Everybody seen so far: a stable number for each, roles, organizations, teams and tokens.

    Who has been given no role has ``default_role`` in every public repository; only the first user is an
    administrator from the start.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._grants: dict[str, Grant] = {}
        self._roles: dict[str, Role] = {BOT: Role.ADMIN}
        self._members: dict[str, dict[str, str]] = {}
        self._issued = 0
        self.default_role = Role.WRITE
        self.teams: dict[str, set[str]] = {}
        self._team_orgs: dict[str, str] = {}
        self.gone: set[str] = set()

    def id_of(self, login: str) -> int:
        return self._ids.setdefault(login, 1000 + len(self._ids))

    def team_id(self, owner: str, slug: str) -> int:
        """A team's number; those of people and teams are one sequence."""
        return self.id_of(f"@{owner}/{slug}")

    def login_by_id(self, number: int) -> str | None:
        return next((login for login, known in self._ids.items() if known == number), None)

    def knows(self, login: str) -> bool:
        return login in self._ids

    def logins(self) -> tuple[str, ...]:
        """Everybody, in the order they were first seen; numbers of teams are kept beside theirs."""
        return tuple(login for login in self._ids if "/" not in login)

    def set_role(self, login: str, role: str) -> None:
        """Give a Role everywhere; raises ValueError for another word."""
        self.id_of(login)
        self._roles[login] = Role(role)

    def given_role(self, login: str) -> Role | None:
        """The role somebody has everywhere; None if none was given."""
        return self._roles.get(login)

    def role_of(self, login: str) -> Role:
        return self._roles.get(login, self.default_role)

    def is_admin(self, login: str) -> bool:
        return self.role_of(login) is Role.ADMIN

    def may_write(self, login: str) -> bool:
        return self.role_of(login).reaches(Role.WRITE)

    def join_org(self, org: str, login: str, role: str = "member") -> None:
        """Make somebody a ``member`` of an organization, or one of its owners (``admin``)."""
        self.id_of(login)
        self._members.setdefault(org.casefold(), {})[login] = role

    def members(self, org: str) -> Mapping[str, str]:
        """Everybody in an organization, and whether they are ``member`` or ``admin``."""
        return self._members.get(org.casefold(), {})

    def orgs_of(self, login: str) -> tuple[str, ...]:
        """The organizations somebody belongs to, in lower case."""
        return tuple(org for org, members in self._members.items() if login in members)

    def join_team(self, team: str, *logins: str) -> None:
        """Add people to a team, ``ORG/SLUG`` or a slug that every organization has; made if new."""
        org, _, slug = team.rpartition("/")
        if org:
            self._team_orgs[slug] = org.casefold()
            for login in logins:
                if login not in self.members(org):
                    self.join_org(org, login)
        for login in logins:
            self.id_of(login)
        self.teams.setdefault(slug, set()).update(logins)

    def teams_of_org(self, org: str) -> tuple[str, ...]:
        """The slugs of an organization's teams."""
        return tuple(sorted(slug for slug in self.teams if self._team_orgs.get(slug, org.casefold()) == org.casefold()))

    def issue_token(self, login: str, grant: Grant | None = None) -> str:
        """A token for this user: the same one for the n-th request in every run. Without a grant: a classic one."""
        self.id_of(login)
        given = grant or Grant(login, scopes=SCOPES)
        size = 82 if given.kind is TokenKind.FINE_GRAINED else 36
        return self.remember(f"{given.kind}_{self.secret(login, size)}", given)

    def remember(self, token: str, grant: Grant) -> str:
        """Let a token stand for a grant from now on."""
        self._grants[token] = grant
        return token

    def secret(self, purpose: str, size: int) -> str:
        """``size`` letters and digits nobody guesses: the same for the n-th request in every run."""
        text, number = "", self._issued
        self._issued += 1
        for block in range(-(-size // 64)):
            suffix = f":{block}" if block else ""
            digest = hashlib.sha512(f"{purpose}:{number}{suffix}".encode()).digest()
            text += "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)
        return text[:size]

    def grant_of_token(self, token: str, now: float) -> Grant | None:
        """What a token stands for; None if it was never issued, was revoked, or has expired."""
        grant = self._grants.get(token)
        return None if grant is None or (grant.expires_at is not None and now >= grant.expires_at) else grant

    def revoke(self, token: str) -> None:
        """Let a token stand for nothing."""
        self._grants.pop(token, None)

    def revoke_installation(self, installation: int) -> None:
        """Let every token of an installation stand for nothing."""
        self._grants = {token: grant for token, grant in self._grants.items() if grant.installation != installation}


class People:
    """Who may do what in one repository: by a role given there, everywhere, by its organization, or like anybody.

    ``closed``: the repository is private, and anybody who has been given nothing does not see it. ``bot_role`` says
    what an installed App's bot may do; None if no App of that name is installed here.
    """

    def __init__(self, users: Users, owner: str, bot_role: Callable[[str], Role | None]) -> None:
        self._users = users
        self._bot_role = bot_role
        self._roles: dict[str, Role] = {}
        self.team_roles: dict[str, Role] = {}
        self.owner = owner
        self.closed = False

    @property
    def teams(self) -> Mapping[str, set[str]]:
        """The members of each team of the owner, by slug."""
        return {slug: self._users.teams[slug] for slug in self._users.teams_of_org(self.owner)}

    def team_role(self, slug: str) -> Role:
        """What a team of the owner may do here: write, unless it was given something else in `team_roles`."""
        return self.team_roles.get(slug, Role.WRITE)

    def team_may_write(self, slug: str) -> bool:
        return self.team_role(slug).reaches(Role.WRITE)

    def invite(self, login: str, role: str) -> None:
        """Give a Role here; raises ValueError for another word."""
        self._users.id_of(login)
        self._roles[login] = Role(role)

    def dismiss(self, login: str) -> None:
        """Take back what was given here."""
        self._roles.pop(login, None)

    def role_of(self, login: str) -> Role | None:
        """None: somebody who may not even see it."""
        if login.endswith("[bot]") and (role := self._bot_role(login)) is not None:
            return role
        member = self._users.members(self.owner).get(login)
        if login == self.owner or member == "admin":
            return Role.ADMIN
        given = self._roles.get(login) or self._users.given_role(login)
        if given is not None or not self.closed:
            return given or self._users.default_role
        return Role.READ if member else None

    def reaches(self, login: str, needed: Role) -> bool:
        """Whether somebody may do what a role may."""
        role = self.role_of(login)
        return role is not None and role.reaches(needed)

    def is_admin(self, login: str) -> bool:
        return self.reaches(login, Role.ADMIN)

    def may_write(self, login: str) -> bool:
        return self.reaches(login, Role.WRITE)

    def is_member(self, login: str) -> bool:
        """Whether somebody belongs to the organization that owns it."""
        return login in self._users.members(self.owner)

    def collaborators(self) -> tuple[str, ...]:
        """Everybody known who may at least read, by name."""
        known = (login for login in self._users.logins() if not login.endswith("[bot]"))
        return tuple(sorted(login for login in known if self.role_of(login) is not None))


def narrowed(grant: Grant, permissions: Mapping[str, str]) -> Grant:
    """A grant cut to what an installation still allows."""
    kept = {
        name: min(level, permissions[name], key=LEVELS.index)
        for name, level in (grant.permissions or {}).items()
        if name in permissions
    }
    return replace(grant, permissions=kept)


LEVELS = ("read", "write", "admin")
