"""Who acts: logins, their commit identities, and the tokens that stand for them."""

from __future__ import annotations

import hashlib
import string

from mergeq.sandbox.git import GITHUB, Person

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


class Users:
    """Everybody seen so far: a stable number for each, who is an administrator, and tokens."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._tokens: dict[str, str] = {}
        self.admins = {BOT}

    def id_of(self, login: str) -> int:
        return self._ids.setdefault(login, 1000 + len(self._ids))

    def login_by_id(self, number: int) -> str | None:
        return next((login for login, known in self._ids.items() if known == number), None)

    def is_admin(self, login: str) -> bool:
        return login in self.admins

    def issue_token(self, login: str) -> str:
        """A token for this user: the same one for the n-th request in every run."""
        self.id_of(login)
        digest = hashlib.sha512(f"{login}:{len(self._tokens)}".encode()).digest()
        token = "ghp_" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:36])
        self._tokens[token] = login
        return token

    def login_of_token(self, token: str) -> str | None:
        return self._tokens.get(token)
