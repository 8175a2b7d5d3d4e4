"""Who acts: logins, their commit identities, and the tokens that stand for them."""

from __future__ import annotations

import hashlib
import string
from enum import StrEnum

from mergeq.sandbox.git_objects import GITHUB, Person

BOT = "mergeq-bot"
WEB_FLOW = "web-flow"
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
    """What somebody may do in every repository."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"


class Users:
    """Everybody seen so far: a stable number for each, roles, teams and tokens.

    Who has been given no role may write; only the first user is an administrator from the start.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._tokens: dict[str, str] = {}
        self._roles: dict[str, Role] = {BOT: Role.ADMIN}
        self.teams: dict[str, set[str]] = {}

    def id_of(self, login: str) -> int:
        return self._ids.setdefault(login, 1000 + len(self._ids))

    def team_id(self, owner: str, slug: str) -> int:
        """A team's number; those of people and teams are one sequence."""
        return self.id_of(f"@{owner}/{slug}")

    def login_by_id(self, number: int) -> str | None:
        return next((login for login, known in self._ids.items() if known == number), None)

    def knows(self, login: str) -> bool:
        return login in self._ids

    def set_role(self, login: str, role: str) -> None:
        """``admin``, ``write`` or ``read``; raises ValueError for another word."""
        self.id_of(login)
        self._roles[login] = Role(role)

    def role_of(self, login: str) -> Role:
        return self._roles.get(login, Role.WRITE)

    def is_admin(self, login: str) -> bool:
        return self.role_of(login) is Role.ADMIN

    def may_write(self, login: str) -> bool:
        return self.role_of(login) is not Role.READ

    def writers(self) -> list[str]:
        """Everybody seen so far who may write, by name."""
        return sorted(login for login in self._ids if self.may_write(login) and not login.startswith("@"))

    def join_team(self, team: str, *logins: str) -> None:
        """Add people to a team, named by its slug and made if new."""
        self.teams.setdefault(team, set()).update(logins)

    def issue_token(self, login: str) -> str:
        """A token for this user: the same one for the n-th request in every run."""
        self.id_of(login)
        digest = hashlib.sha512(f"{login}:{len(self._tokens)}".encode()).digest()
        token = "ghp_" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:36])
        self._tokens[token] = login
        return token

    def login_of_token(self, token: str) -> str | None:
        return self._tokens.get(token)
