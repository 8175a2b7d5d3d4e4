"""GitHub Apps: their registration, keys and installations, their tokens, and signing people in for them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mergeq.sandbox.records import App, Repo
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.users import LEVELS, Grant, Role, TokenKind, Users

TOKEN_LIFE_S = 3600.0
USER_TOKEN_LIFE_S = 28_800
REFRESH_LIFE_S = 15_897_600
CODE_LIFE_S = 600.0
MANIFEST_LIFE_S = 3600.0
MAX_JWT_LIFE_S = 600
MAX_REPOSITORIES = 500
_SIGNATURE_BYTES = 256
_UNDECODED = "A JSON web token could not be decoded"
_BAD_EXP = (
    "'Expiration time' claim ('exp') must be a numeric value "
    "representing the future time at which the assertion expires"
)
_BAD_IAT = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"


@dataclass(slots=True)
class Registration:
    """An App as its owner has registered it; ``oauth``: an OAuth app, which only signs people in."""

    app: App
    name: str
    owner: str
    client_id: str
    client_secret: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    created_at: float
    permissions: dict[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    hook_url: str = ""
    callback_urls: tuple[str, ...] = ()
    homepage: str = ""
    oauth: bool = False
    pem: str = field(default="", repr=False)
    """The private key; GitHub shows it once and keeps the public half."""

    @property
    def bot(self) -> str:
        return f"{self.app.slug}[bot]"


@dataclass(slots=True)
class Installation:
    """An App installed for an account, on all of its repositories (``repos`` None) or on some, by id."""

    id: int
    registration: Registration
    account: str
    permissions: dict[str, str]
    created_at: float
    updated_at: float
    repos: set[int] | None = None
    account_is_user: bool = False
    suspended_at: float | None = None

    def covers(self, repo: Repo) -> bool:
        """Whether a repository is among those it was installed on; a suspended one still covers them."""
        mine = repo.owner.casefold() == self.account.casefold()
        return mine and (self.repos is None or repo.id in self.repos)


@dataclass(frozen=True, slots=True)
class Code:
    """What somebody agreed to on GitHub's page, to be exchanged once by the App."""

    registration: Registration
    login: str
    redirect_uri: str
    expires_at: float
    scopes: tuple[str, ...] = ()
    challenge: str = ""
    method: str = ""

    def is_answered_by(self, verifier: str) -> bool:
        """Whether the secret sent with the exchange is the one announced (PKCE)."""
        if not self.challenge:
            return True
        if self.method == "S256":
            verifier = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        return verifier == self.challenge


class Registry:
    """Every App and installation. Guarded by the world's lock."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._registrations: dict[int, Registration] = {}
        self._installations: dict[int, Installation] = {}
        self._installation_ids = itertools.count(50_000_001)
        self._codes: dict[str, Code] = {}
        self._manifests: dict[str, tuple[Mapping[str, Any], str, float]] = {}
        self._refresh: dict[str, tuple[int, str, float]] = {}

    def register(
        self,
        app: App,
        *,
        owner: str,
        now: float,
        name: str = "",
        permissions: Mapping[str, str] | None = None,
        events: Iterable[str] = (),
        hook_url: str = "",
        callback_urls: Iterable[str] = (),
        homepage: str = "",
        oauth: bool = False,
    ) -> Registration:
        """Register an App with a key of its own; raises ValueError if it is, or for a level that is none."""
        if app.id in self._registrations:
            raise ValueError(f"{app.slug} is registered")
        asked = {"metadata": "read", **(permissions or {})}
        wrong = next((name for name, level in asked.items() if level not in LEVELS), None)
        if wrong is not None:
            raise ValueError(f"permission {wrong} is neither of {', '.join(LEVELS)}")
        made = Registration(
            app=app,
            name=name or app.slug,
            owner=owner,
            client_id=("Ov23li" if oauth else "Iv23li") + self._users.secret(f"client:{app.slug}", 14),
            client_secret=hashlib.sha1(f"secret:{app.slug}".encode(), usedforsecurity=False).hexdigest(),
            webhook_secret=hashlib.sha1(f"hook:{app.slug}".encode(), usedforsecurity=False).hexdigest(),
            created_at=now,
            permissions=asked,
            events=tuple(events),
            hook_url=hook_url,
            callback_urls=tuple(callback_urls),
            homepage=homepage,
            oauth=oauth,
            pem="" if oauth else _key_of(app.slug),
        )
        self._registrations[app.id] = made
        self._users.id_of(made.bot)
        return made

    def registration(self, app_id: int) -> Registration | None:
        return self._registrations.get(app_id)

    def by_slug(self, slug: str) -> Registration | None:
        return next((one for one in self._registrations.values() if one.app.slug == slug), None)

    def by_client_id(self, client_id: str) -> Registration | None:
        return next((one for one in self._registrations.values() if one.client_id == client_id), None)

    def install(
        self,
        registration: Registration,
        account: str,
        *,
        now: float,
        repos: Iterable[int] | None = None,
        account_is_user: bool = False,
    ) -> Installation:
        """Install an App for an account, with the permissions it asks for now."""
        made = Installation(
            id=next(self._installation_ids),
            registration=registration,
            account=account,
            permissions=dict(registration.permissions),
            created_at=now,
            updated_at=now,
            repos=None if repos is None else set(repos),
            account_is_user=account_is_user,
        )
        self._installations[made.id] = made
        return made

    def uninstall(self, installation: Installation) -> None:
        """Remove it; its tokens are worth nothing from now on."""
        del self._installations[installation.id]
        self._users.revoke_installation(installation.id)

    def installation(self, installation_id: int) -> Installation | None:
        return self._installations.get(installation_id)

    def installations(self, app_id: int | None = None) -> tuple[Installation, ...]:
        """All, or those of one App."""
        everything = self._installations.values()
        return tuple(one for one in everything if app_id in (None, one.registration.app.id))

    def at_account(self, app_id: int, account: str) -> Installation | None:
        """An App's installation for an account."""
        mine = self.installations(app_id)
        return next((one for one in mine if one.account.casefold() == account.casefold()), None)

    def on_repo(self, app_id: int, repo: Repo) -> Installation | None:
        """An App's installation that covers a repository."""
        return next((one for one in self.installations(app_id) if one.covers(repo)), None)

    def bot_role(self, login: str, repo: Repo) -> Role | None:
        """What an App's bot may do in a repository; None if it is no registered App's, or not installed there."""
        registration = self.by_slug(login.removesuffix("[bot]"))
        installed = None if registration is None else self.on_repo(registration.app.id, repo)
        if installed is None:
            return None
        return Role.WRITE if installed.permissions.get("contents") == "write" else Role.READ

    def verify(self, token: str, now: float) -> Registration:
        """The App that signed a JSON web token; raises RefusedError 401 or 404 (``now``: GitHub's clock)."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
            algorithm = jwt.get_unverified_header(token).get("alg")
        except jwt.InvalidTokenError as error:
            raise RefusedError(401, _UNDECODED) from error
        issuer = claims.get("iss")
        if issuer is None:
            raise RefusedError(401, "Missing 'issuer' claim ('iss') in assertion")
        registration = self.by_client_id(str(issuer)) or (
            self.registration(int(issuer)) if str(issuer).isdecimal() else None
        )
        if registration is None or not registration.pem:
            raise RefusedError(404, "Integration not found")
        key = serialization.load_pem_private_key(registration.pem.encode(), None)
        unchecked = {f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")}
        try:
            jwt.decode(token, key.public_key(), algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]
        except jwt.InvalidTokenError as error:
            raise RefusedError(401, _UNDECODED) from error
        if algorithm != "RS256":
            raise RefusedError(401, _UNDECODED)
        _check_times(claims, now)
        return registration

    def issue(
        self,
        installation: Installation,
        *,
        now: float,
        repos: Iterable[int] | None = None,
        permissions: Mapping[str, str] | None = None,
    ) -> tuple[str, Grant]:
        """An installation access token: an hour's life, about 520 characters (Q65)."""
        app = installation.registration.app
        grant = Grant(
            login=installation.registration.bot,
            kind=TokenKind.INSTALLATION,
            permissions=dict(permissions or installation.permissions),
            repos=None if repos is None else frozenset(repos),
            expires_at=now + TOKEN_LIFE_S,
            app=app.id,
            installation=installation.id,
        )
        name = self._users.secret(f"jti:{installation.id}", 24)
        times = {"exp": int(now + TOKEN_LIFE_S), "iat": int(now)}
        claims = {"app": app.id, **times, "inst": installation.id, "jti": name}
        signature = _stretched(name, _SIGNATURE_BYTES)
        parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
        text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, signature))
        return self._users.remember(f"{TokenKind.INSTALLATION}_{app.id}_{text}", grant), grant

    def offer_code(self, code: Code) -> str:
        """Keep what somebody agreed to; returns the code to be exchanged for it."""
        name = self._users.secret(f"code:{code.login}", 20).lower()
        self._codes[name] = code
        return name

    def take_code(self, name: str, now: float) -> Code | None:
        """What a code stands for, once; None if that was long ago, or never."""
        code = self._codes.pop(name, None)
        return None if code is None or now >= code.expires_at else code

    def sign_in(self, registration: Registration, login: str, scopes: tuple[str, ...], now: float) -> Mapping[str, Any]:
        """Tokens by which an App acts for somebody, as the token endpoint shows them."""
        if registration.oauth:
            token = self._users.issue_token(login, Grant(login, TokenKind.OAUTH, scopes=scopes))
            return {"access_token": token, "scope": ",".join(scopes), "token_type": "bearer"}
        grant = Grant(
            login,
            TokenKind.USER,
            permissions=dict(registration.permissions),
            expires_at=now + USER_TOKEN_LIFE_S,
            app=registration.app.id,
        )
        refresh = "ghr_" + self._users.secret(f"refresh:{login}", 76)
        self._refresh[refresh] = (registration.app.id, login, now + REFRESH_LIFE_S)
        return {
            "access_token": self._users.issue_token(login, grant),
            "expires_in": USER_TOKEN_LIFE_S,
            "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_LIFE_S,
            "scope": "",
            "token_type": "bearer",
        }

    def take_refresh(self, registration: Registration, token: str, now: float) -> str | None:
        """Whom a refresh token of this App signs in again, once."""
        app_id, login, expires_at = self._refresh.pop(token, (0, "", 0.0))
        return login if app_id == registration.app.id and now < expires_at else None

    def offer_manifest(self, manifest: Mapping[str, Any], owner: str, now: float) -> str:
        """Keep an App's manifest that somebody agreed to; returns the code it is converted by."""
        code = self._users.secret(f"manifest:{owner}", 40).lower()
        self._manifests[code] = (manifest, owner, now + MANIFEST_LIFE_S)
        return code

    def take_manifest(self, code: str, now: float) -> tuple[Mapping[str, Any], str] | None:
        """The manifest and who shall own the App, once; None if that was more than an hour ago."""
        manifest, owner, expires_at = self._manifests.pop(code, ({}, "", 0.0))
        return (manifest, owner) if now < expires_at else None


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if expires is None:
        raise RefusedError(401, "Missing 'expiration time' claim ('exp') in assertion")
    if not isinstance(expires, int | float) or expires <= now:
        raise RefusedError(401, _BAD_EXP)
    if expires > now + MAX_JWT_LIFE_S:
        raise RefusedError(401, "'Expiration time' claim ('exp') is too far in the future")
    if issued is None:
        raise RefusedError(401, "Missing 'issued at' claim ('iat') in assertion")
    if not isinstance(issued, int) or issued > now:
        raise RefusedError(401, _BAD_IAT)


@cache
def _key_of(_slug: str) -> str:
    """A private key, in PEM; made once in a process for each name, since that takes a while."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _stretched(seed: str, size: int) -> bytes:
    blocks = (hashlib.sha512(f"{seed}:{number}".encode()).digest() for number in range(-(-size // 64)))
    return b"".join(blocks)[:size]
