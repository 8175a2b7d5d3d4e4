"""Who mergeq is to GitHub: the bearer of one token, or a GitHub App with a token for each organization."""

import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import jwt
import requests

from mergeq.github import parse
from mergeq.github.budget import clock_of

_LIFE = 540  # seconds a signed claim may live: GitHub takes up to 600 by its own clock
_EARLY = 60  # seconds it is dated back, for a clock of ours that is fast
_RENEW = 300.0  # seconds before its end from which a token is not used any more
_TIMEOUT = 30
_ABSENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})

TOKENS = re.compile(r"\b(gh[opsur]_[A-Za-z0-9._-]{20,}|github_pat_\w{20,})")
"""What looks like a token of GitHub's, in any text (spec of token formats: "About authentication to GitHub")."""


class NoCredentials(Exception):
    """There is no way to speak for an organization; the text says why, in one line without secrets."""


class Credentials(Protocol):
    """Gives the token to speak with about an organization (or account), or one repository of it as ``ORG/REPO``, for as
    long as it is good.
    """

    def token(self, owner: str) -> str:
        """The token; raises NoCredentials."""
        ...

    def account(self, owner: str) -> str:
        """Whose limits count: those of an installation, or ``*`` where one bearer has them for everybody."""
        ...

    def forget(self, owner: str, token: str) -> None:
        """GitHub did not take `token`: the next one must be another, if there can be one."""
        ...


@dataclass(frozen=True, slots=True)
class Pat:
    """One token for everything: a personal access token, or any other that does not run out while we run."""

    secret: str = field(repr=False)

    def token(self, _owner: str) -> str:
        return self.secret

    def account(self, _owner: str) -> str:
        return "*"

    def forget(self, _owner: str, _token: str) -> None:
        """There is no other."""


@dataclass(slots=True)
class _Minted:
    token: str
    good_until: float
    permissions: Mapping[str, str]


class App:
    """A GitHub App: a signed claim buys a token for an hour in each organization where it is installed (T10.1).

    Tokens are minted by each process for itself and kept in its memory alone: minting costs one call an hour, and what
    is nowhere else cannot be read elsewhere. Where `permissions` are given a token has no others, and of these only
    those that the organization has granted; with `by_repo` it is for the repository alone that is spoken about (P7.12).
    """

    def __init__(
        self,
        app_id: str,
        key: str,
        api_url: str,
        now: Callable[[], float],
        *,
        permissions: Mapping[str, str] | None = None,
        by_repo: bool = False,
    ) -> None:
        self._app_id, self._key = app_id, key
        self._api_url, self._now = api_url, now
        self._permissions, self._by_repo = permissions or {}, by_repo
        self._skew = 0.0  # how far GitHub's clock is ahead of ours
        self._minted: dict[str, _Minted] = {}
        self._lock = threading.Lock()

    def narrowed(self, permissions: Mapping[str, str], *, by_repo: bool = False) -> "App":
        """The same App, whose tokens can do no more than this."""
        return App(self._app_id, self._key, self._api_url, self._now, permissions=permissions, by_repo=by_repo)

    def token(self, owner: str) -> str:
        key = self._key_of(owner)
        with self._lock:
            known = self._minted.get(key)
            if known is None or known.good_until <= self._now() + self._skew:
                known = self._minted[key] = self._mint(key)
            return known.token

    def account(self, owner: str) -> str:
        return owner.partition("/")[0].lower()

    def forget(self, owner: str, token: str) -> None:
        key = self._key_of(owner)
        with self._lock:
            if (known := self._minted.get(key)) is not None and known.token == token:
                del self._minted[key]

    def _key_of(self, owner: str) -> str:
        """What a token is kept under: the organization, or the repository where it is for that alone."""
        return owner.lower() if self._by_repo else self.account(owner)

    def lacks(self, owner: str, permission: str) -> bool:
        """Whether the token in use for an organization was given without a permission to write."""
        known = self._minted.get(self._key_of(owner))
        return known is not None and known.permissions.get(permission) != "write"

    def about(self) -> Mapping[str, Any]:
        """The App as GitHub knows it ("Get the authenticated app"). Raises NoCredentials."""
        return self._ask("GET", "/app") or {}

    def slug(self) -> str:
        """Its name in addresses and lists. Raises NoCredentials."""
        return str(self.about().get("slug", "of this key"))

    def granted(self, owner: str) -> Mapping[str, str]:
        """The permissions it has been given in an organization. Raises NoCredentials."""
        return dict(self._installation(self.account(owner))["permissions"])

    def hook(self) -> Mapping[str, Any]:
        """How its own webhook is set ("Get a webhook configuration for an app"). Raises NoCredentials."""
        return self._ask("GET", "/app/hook/config") or {}

    def deliveries(self) -> list[Mapping[str, Any]]:
        """The newest deliveries of its own webhook, to any organization. Raises NoCredentials."""
        return list(self._ask("GET", "/app/hook/deliveries?per_page=30") or ())

    def failed_deliveries(self, since: float) -> Iterator[Mapping[str, Any]]:
        """The attempts since a time to deliver something of its own webhook that failed, newest first ("List deliveries
        for an app webhook"). One page of a hundred at a time is asked for. Raises NoCredentials.
        """
        query = "per_page=100&status=failure"
        while query:
            answer = self._call("GET", f"/app/hook/deliveries?{query}")
            if answer is None:
                return
            for one in answer.json():
                if parse.seconds(one["delivered_at"]) < since:
                    return
                if not HTTPStatus.OK <= one["status_code"] < HTTPStatus.MULTIPLE_CHOICES:
                    yield one
            query = urlsplit(answer.links.get("next", {}).get("url", "")).query

    def redeliver(self, delivery: int) -> bool:
        """Have an attempt made again under its id; False where GitHub does not have it any more. Raises
        NoCredentials.
        """
        path = f"/app/hook/deliveries/{delivery}/attempts"
        return self._call("POST", path, absent=_ABSENT | {HTTPStatus.UNPROCESSABLE_ENTITY}) is not None

    def _installation(self, owner: str) -> dict[str, Any]:
        if not owner:
            raise NoCredentials("a GitHub App speaks for one organization at a time, and none is named")
        found = self._ask("GET", f"/users/{owner}/installation")
        if found is None:
            raise NoCredentials(f"the GitHub App is not installed in {owner}; install it there")
        if found.get("suspended_at"):
            raise NoCredentials(f"the GitHub App is suspended in {owner}; unsuspend its installation there")
        return found  # type: ignore[no-any-return]

    def _mint(self, key: str) -> _Minted:
        owner, _, name = key.partition("/")
        found = self._installation(owner)
        body: dict[str, Any] = {"repositories": [name]} if name else {}
        if self._permissions:
            body["permissions"] = _granted(self._permissions, found["permissions"])
        made = self._ask("POST", f"/app/installations/{found['id']}/access_tokens", body)
        if made is None:
            raise NoCredentials(f"the installation of the GitHub App in {owner} gives no token; is it suspended?")
        ends = parse.seconds(str(made["expires_at"]))
        return _Minted(str(made["token"]), ends - _RENEW, made.get("permissions") or found["permissions"])

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._call(verb, path, body)
        return None if answer is None else answer.json()

    def _call(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        absent: Collection[int] = _ABSENT,
        again: bool = True,
    ) -> requests.Response | None:
        """One call as the App itself; None for an answer that says that something is not there. A claim that GitHub's
        clock does not take is signed once more, by that clock. Raises NoCredentials.
        """
        claim = self._claim()
        try:
            answer = requests.request(
                verb,
                self._api_url + path,
                json=body or None,
                headers={"Authorization": f"Bearer {claim}", "Accept": "application/vnd.github+json"},
                timeout=_TIMEOUT,
            )
        except requests.RequestException as error:
            raise NoCredentials(
                f"GitHub does not serve the App: the connection broke ({type(error).__name__})"
            ) from None
        if answer.status_code == HTTPStatus.UNAUTHORIZED and again:
            self._skew = clock_of(answer.headers, self._now()) - self._now()
            return self._call(verb, path, body, absent=absent, again=False)
        found = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        said = str(found.get("message", "")) if isinstance(found, dict) else ""
        if answer.status_code in absent and "rate limit" not in said.lower():
            return None
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise NoCredentials(f"GitHub does not serve the App: {answer.status_code} {said}".rstrip())
        return answer

    def _claim(self) -> str:
        at = int(self._now() + self._skew)
        return _signed({"iss": self._app_id, "iat": at - _EARLY, "exp": at + _LIFE - _EARLY}, self._key)


def _granted(wanted: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    """What is wanted, as far as it was granted: GitHub mints no token that asks for more."""
    return {
        name: level if level == "read" or held[name] != "read" else "read"
        for name, level in wanted.items()
        if name in held
    }


@dataclass(frozen=True, slots=True)
class NewApp:
    """An App that GitHub has just made, with what it tells this once."""

    id: str
    name: str
    url: str
    pem: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    has_hook: bool


def app_of_manifest(api_url: str, code: str, *, has_hook: bool) -> NewApp:
    """Exchange the code of a manifest that somebody agreed to for the App ("Create a GitHub App from a manifest").
    Raises NoCredentials.
    """
    try:
        answer = requests.post(
            f"{api_url}/app-manifests/{quote(code, safe='')}/conversions",
            headers={"Accept": "application/vnd.github+json"},
            timeout=_TIMEOUT,
        )
        made = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise NoCredentials(f"GitHub did not make the App ({type(error).__name__})") from None
    if answer.status_code != HTTPStatus.CREATED:
        raise NoCredentials(f"GitHub did not make the App: {answer.status_code} {made.get('message', '')}".rstrip())
    secret = made["webhook_secret"] or ""
    return NewApp(str(made["id"]), made["name"], made["html_url"], made["pem"], secret, has_hook)


def key_of(file: Path) -> str:
    """The private key of an App, as GitHub gave it. Raises NoCredentials with one line."""
    try:
        key = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no PEM file"
        raise NoCredentials(f"{file}: cannot be read ({why})") from None
    if "PRIVATE KEY" not in key:
        raise NoCredentials(f"{file}: holds no private key; give the .pem file that GitHub made for the App")
    try:
        _signed({}, key)
    except NoCredentials as error:
        raise NoCredentials(f"{file}: {error}") from None
    return key


def _signed(claims: Mapping[str, Any], key: str) -> str:
    try:
        return jwt.encode(dict(claims), key, algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NoCredentials(f"the private key cannot sign ({type(error).__name__}), it may be garbled") from None
