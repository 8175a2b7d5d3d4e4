"""How anything is sent to GitHub: a read, which may be repeated, or a write, which never is (D6); each for a purpose,
for which GitHub's limits are accounted (D12).
"""

import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Self, TypeVar, cast

import github as pygithub
import requests
from gql import Client, GraphQLRequest
from gql.client import SyncClientSession
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.requests import RequestsHTTPTransport
from graphql import DocumentNode
from graphql import parse as parse_document
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from mergeq.core.budget import Purpose
from mergeq.core.query import scope_owner
from mergeq.github import documents, parse
from mergeq.github.auth import Credentials, NoCredentials
from mergeq.github.budget import Headers, HeldBack, Kind, Meter, seconds_in

_TIMEOUT = 30
_READ_ATTEMPTS = 4
_PAGE_ATTEMPTS = 6  # as many as it takes to come down to one
_PATIENCE = 15.0  # seconds a read may wait for a limit; whoever would wait longer has something else to do
_FAILURES = 8  # in a row, after which nothing can be read: more than halving down to one takes
_RATE_LIMITED = frozenset({"RATE_LIMITED", "RATE_LIMIT"})
TOO_MUCH = frozenset({"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"})
_NOES = {
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
    "INSUFFICIENT_SCOPES": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "STALE_DATA": HTTPStatus.CONFLICT,
    "UNPROCESSABLE": HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""How a mutation is refused, by the type of its error, and what REST would answer."""

_AGENT = "mergeq"
_MOVED = "Moved Permanently"  # GitHub says so with any redirection, also where it did nothing

K = TypeVar("K")
T = TypeVar("T")


class Unreadable(Exception):
    """A read failed for good; the text says what could not be read and why, and holds no secret."""


class Refused(Exception):
    """A call was not carried out, or it is not known to have been: `status` is GitHub's, 0 when there was no answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}" if status else text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Reply:
    """What GitHub answered: its status, its headers by name in lower case, and the JSON of its body, None for none."""

    status: int
    headers: Mapping[str, str]
    data: Any

    @property
    def text(self) -> str:
        """What an answer that is an error says, in one line."""
        said = self.data.get("message") if isinstance(self.data, dict) else None
        return " ".join(f"GitHub answered {self.status} {said or ''}".split())


@dataclass(slots=True)
class Server:
    """What is known of the server itself, by all that speak to it. `scopes` are those of a classic token, which GitHub
    tells with every answer; None while it has told none.
    """

    version: str = ""
    lacking: tuple[documents.Newer, ...] = ()
    scopes: frozenset[str] | None = None


class Wire:
    """A connection to one GitHub in somebody's name. One object may be used by several threads and after a fork.

    Every method raises HeldBack when GitHub's limits do not let it go on, whatever else it raises: nothing was done.
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        api_url: str,
        graphql_url: str,
        sleep: Callable[[float], None],
        meter: Meter,
    ) -> None:
        self.credentials = credentials
        self.meter = meter
        self.server = Server()
        self._api_url = api_url
        self._graphql_url = graphql_url
        self.sleep = sleep
        self.purpose = Purpose.EXPLAIN
        self._local = threading.local()

    def on(self, purpose: Purpose) -> Self:
        """The same, whose calls are for that purpose; connections are shared."""
        narrowed = copy.copy(self)
        narrowed.purpose = purpose
        return narrowed

    @property
    def calls(self) -> int:
        """How many calls this thread has made, for whatever purpose."""
        return int(getattr(self._local, "calls", 0))

    def speaking_as(self, credentials: Credentials) -> "Wire":
        """A connection to the same GitHub for somebody else."""
        return Wire(
            credentials=credentials,
            api_url=self._api_url,
            graphql_url=self._graphql_url,
            sleep=self.sleep,
            meter=self.meter,
        )

    def ask(
        self,
        owner: str,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One REST call about what `owner` has, sent once, whatever GitHub answers. Raises Unreadable when nothing was
        answered, or nobody may ask.
        """
        try:
            token, account = self._speak_for(owner, "core")
            answer = self._ask_once(account, verb, path, body, headers)
            if _is_turned_away(answer.status, answer.text):
                self.credentials.forget(owner, token)
                if self._speak_for(owner, "core")[0] != token:
                    answer = self._ask_once(account, verb, path, body, headers)
        except (NoCredentials, HeldBack) as error:
            raise Unreadable(f"{path} could not be asked: {error}") from None
        except (requests.RequestException, OSError) as error:
            broken = f"the connection to {self._api_url} broke ({type(error).__name__}); check GITHUB_API_URL"
            raise Unreadable(f"{path} could not be asked: {broken}") from None
        return answer

    def learn_server(self, owner: str) -> tuple[str, ...]:
        """What this GitHub does not know of all that is asked for, in words; from now on it is not asked for. An
        Enterprise Server's `version` is known then. github.com knows everything; so does one that does not answer.
        """
        if not self._graphql_url.endswith("/api/graphql"):
            return ()
        try:
            self.server.version = self.ask(owner, "GET", "/meta").headers.get("x-github-enterprise-version", "")
            known = self.read(documents.SCHEMA, {}, "the schema", owner)
        except Unreadable:
            return ()
        fields = {name: {one["name"] for one in (known[name] or {"fields": ()})["fields"]} for name in known}
        self.server.lacking = tuple(one for one in documents.NEWER if not fields[one.kind].issuperset(one.absent))
        return tuple(one.what for one in self.server.lacking)

    def _ask_once(
        self, account: str, verb: str, path: str, body: Mapping[str, Any] | None, wanted: Mapping[str, str] | None
    ) -> Reply:
        asked = dict(wanted) if wanted else None
        status, headers, text = self._rest().requester.requestJson(verb, path, headers=asked, input=body and dict(body))
        try:
            data = json.loads(text) if text else None
        except ValueError:
            data = None
        reply = Reply(status, {name.lower(): value for name, value in headers.items()}, data)
        points = 0 if status == HTTPStatus.NOT_MODIFIED else 1
        self._charge(account, "core", Kind.READ if verb == "GET" else Kind.WRITE, points, reply.headers, status)
        if held := self.meter.hold_for(account, status, reply.headers, reply.text):
            raise held
        return reply

    def close(self) -> None:
        """Close this thread's connections."""
        if (session := getattr(self._local, "graphql", None)) is not None:
            session.client.close_sync()
            del self._local.graphql
        if (rest := getattr(self._local, "rest", None)) is not None:
            rest.close()
            del self._local.rest

    def get(self, path: str) -> Any:
        """One REST read about ``/repos/OWNER/NAME/…``, again after a passing failure. Raises Refused."""
        return self._again(lambda: self._call(Kind.READ, "GET", path, None))

    def write(self, verb: str, path: str, body: dict[str, Any] | None) -> Any:
        """One REST write about ``/repos/OWNER/NAME/…``, sent once; the JSON of its answer, None when it had no body.
        Raises Refused.
        """
        return self._call(Kind.WRITE, verb, path, body)

    def mutate(self, document: str, variables: dict[str, Any], owner: str, bears: str = "") -> dict[str, Any]:
        """One GraphQL mutation about what `owner` has, sent once; errors that all speak of what it `bears` leave their
        parts of the answer empty. Raises Refused, whose status is 0 where the error is not one of those by which GitHub
        says no: what was asked for may have been done then (Q5).
        """
        try:
            return self._execute(_Asked(document, variables), owner, Kind.WRITE)
        except NoCredentials as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, str(error)) from None
        except TransportQueryError as error:
            said = [str(one.get("message", one)).lower() for one in error.errors or []]
            if bears and error.data is not None and all(bears in one for one in said):
                return cast("dict[str, Any]", error.data)
            raise Refused(min(_NOES.get(kind, 0) for kind in _types(error)), _said(error)) from None
        except TransportServerError as error:
            raise Refused(error.code or 0, f"GitHub answered {error.code} {self._local.text}".rstrip()) from None
        except (TransportError, requests.RequestException) as error:
            raise Refused(0, f"the connection to GitHub broke ({type(error).__name__})") from None

    def _call(self, kind: Kind, verb: str, path: str, body: dict[str, Any] | None, *, again: bool = True) -> Any:
        """One REST call. Raises Refused.

        Only what is surely not done is asked again: a token that GitHub did not take (401) is replaced, once (D6).
        """
        owner = _whose(path)
        try:
            token, account = self._speak_for(owner, "core")
        except NoCredentials as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, str(error)) from None
        try:
            headers, data = self._rest().requester.requestJsonAndCheck(verb, path, input=body)
        except pygithub.GithubException as error:
            self._charge(account, "core", kind, 1, error.headers or {}, error.status)
            if again and _is_turned_away(error.status, _message(error)):
                self.credentials.forget(owner, token)
                return self._call(kind, verb, path, body, again=False)
            text = _message(error)
            if "resource not accessible" in text.lower() and (needed := _needed(error.headers or {})):
                text += f" (it asks for {needed})"
            if held := self.meter.hold_for(account, error.status, error.headers or {}, text):
                raise held from None
            raise Refused(error.status, text) from None
        except (requests.RequestException, OSError, ValueError) as error:  # a body that was cut off is no JSON
            self.meter.charge(account, "core", self.purpose, kind, 1, None)
            raise Refused(0, f"the connection to GitHub broke ({type(error).__name__})") from None
        if not self._charge(account, "core", kind, 1, headers, HTTPStatus.OK):
            self.meter.note_silence(account, "core")
        if isinstance(data, dict) and data.get("message") == _MOVED:
            raise Refused(HTTPStatus.MOVED_PERMANENTLY, f"{path} is somewhere else now: {data.get('url', '')}")
        return data

    def _speak_for(self, owner: str, resource: str) -> tuple[str, str]:
        """Have what this thread asks next speak for `owner`, if the budget of `resource` allows; the token, and whose
        limits count. Raises NoCredentials.
        """
        account = self.credentials.account(owner)
        self.meter.admit(account, resource, self.purpose)
        self._local.token = token = self.credentials.token(owner)
        self._local.headers = {}
        self._local.calls = self.calls + 1
        return token, account

    def _charge(
        self, account: str, resource: str, kind: Kind, points: float, headers: Headers, status: int, limit: Any = None
    ) -> bool:
        """Account for what was answered, with GitHub's last word: a query's `rateLimit`, else the headers. False when
        it says nothing of limits. Who is not known (401), or not asked for (5xx), is told of others' limits.
        """
        self._local.headers = headers
        if (scopes := headers.get("x-oauth-scopes")) is not None:
            self.server.scopes = frozenset(one.strip() for one in scopes.split(","))
        is_ours = status != HTTPStatus.UNAUTHORIZED and status < HTTPStatus.INTERNAL_SERVER_ERROR
        told = self.meter.told(headers) if is_ours else None
        if limit:
            ends_at = self.meter.by_our_clock(headers, parse.seconds(limit["resetAt"]))
            told = (float(limit["limit"]), float(limit["remaining"]), ends_at)
        self.meter.charge(account, resource, self.purpose, kind, points, told)
        return told is not None

    def _again(self, read: Callable[[], T], shrink: Callable[[BaseException], None] | None = None) -> T:
        """What a read gives, which is repeated after a passing failure; `shrink` makes it ask for less before that."""

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, HeldBack):
                return max(error.until - self.meter.now(), 0.0)
            return max(usual(state), seconds_in(self._local.headers) or 0.0)

        def before(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if shrink is not None and error is not None:
                shrink(error)
            self.meter.ledger.count("mergeq_github_retries_total", purpose=self.purpose.value)

        usual = wait_exponential_jitter(multiplier=0.5, max=10)
        retrying = Retrying(
            retry=retry_if_exception(self._may_pass),
            wait=pause,
            stop=stop_after_attempt(_PAGE_ATTEMPTS if shrink else _READ_ATTEMPTS),
            before_sleep=before,
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(read)

    def _may_pass(self, error: BaseException) -> bool:
        """Whether a failed read is worth another try, and soon."""
        if isinstance(error, HeldBack):
            return error.until - self.meter.now() <= _PATIENCE
        return _passing(error) and (seconds_in(self._local.headers) or 0.0) <= _PATIENCE

    def read(self, document: str, variables: dict[str, Any], what: str, owner: str = "") -> dict[str, Any]:
        """Run one query, again after a passing failure; one that asks for many is halved when GitHub takes too long,
        and leaves in `variables` what it came to (Q1, Q2).

        Partial data with errors is not used (Q3), but of pull requests that were asked for by their ids, or what stands
        beside them, or of many branches: those are then as if they could not be read.
        """
        owner = owner or variables.get("owner") or scope_owner(variables["query"])

        def shrink(error: BaseException) -> None:
            if not _takes_too_long(error):
                return
            if half := len(variables["ids"]) // 2:
                variables["ids"] = variables["ids"][:half]
                self.meter.set_most(f"pulls of {owner}", half)
            elif "first" in variables:
                variables["first"] = max(variables["first"] // 2, 1)

        def ask() -> dict[str, Any]:
            lacking = self.server.lacking
            try:
                answer = self._execute(_Asked(documents.without(document, lacking), variables), owner)
            except TransportQueryError as error:
                too_much = not TOO_MUCH.isdisjoint(_types(error))
                many = max(len(variables.get("ids", ())), variables.get("first", 0))
                usable = parse.usable(error.data, error.errors or [])
                if usable is None or (too_much and many > 1):
                    raise
                answer = usable
            return cast("dict[str, Any]", documents.completed(answer, lacking))

        try:
            return self._again(ask, shrink if "ids" in variables else None)
        except NoCredentials as error:
            raise Unreadable(f"{what} could not be read: {error}") from None
        except TransportQueryError as error:
            if not self.server.lacking and _is_of_another_age(error) and self.learn_server(owner):
                return self.read(document, variables, what, owner)
            raise Unreadable(f"{what} could not be read: {_said(error) or 'GitHub gave no reason'}") from None
        except TransportServerError as error:
            why = f"GitHub answered {error.code} {self._local.text}".rstrip()
            raise Unreadable(f"{what} could not be read: {why}") from None
        except (TransportError, requests.RequestException) as error:
            broken = f"the connection to {self._graphql_url} broke ({type(error).__name__})"
            raise Unreadable(f"{what} could not be read: {broken}") from None

    def _execute(
        self, request: GraphQLRequest, owner: str, kind: Kind = Kind.READ, *, again: bool = True
    ) -> dict[str, Any]:
        """One query or mutation, sent twice at most: a token that GitHub did not take is replaced."""
        token, account = self._speak_for(owner, "graphql")
        data: dict[str, Any] = {}
        status, said = int(HTTPStatus.OK), ""
        failed: TransportError | None = None
        try:
            data = self._graphql().execute(request)
        except TransportQueryError as error:
            data, said, failed = error.data or {}, _said(error), error
            if not _RATE_LIMITED.isdisjoint(_types(error)) or "secondary rate limit" in said.lower():
                status = HTTPStatus.TOO_MANY_REQUESTS
        except TransportServerError as error:
            status, said, failed = error.code or 0, str(self._local.text), error
        except (TransportError, requests.RequestException):
            self.meter.charge(account, "graphql", self.purpose, kind, 1, None)
            raise
        headers = self._local.headers
        limit = data.get("rateLimit")
        points = limit["cost"] if limit else 1
        is_told = self._charge(account, "graphql", kind, points, headers, status, limit)
        if failed is None:
            if not is_told:
                self.meter.note_silence(account, "graphql")
            return data
        if again and _is_turned_away(status, said):
            self.credentials.forget(owner, token)
            return self._execute(request, owner, kind, again=False)
        if held := self.meter.hold_for(account, status, headers, said):
            raise held from None
        raise failed

    def _graphql(self) -> SyncClientSession:
        """This thread's session: gql's transport keeps the last answer's headers and must not be shared."""
        if (session := getattr(self._local, "graphql", None)) is None:
            transport = RequestsHTTPTransport(
                url=self._graphql_url,
                headers={"User-Agent": _AGENT},
                auth=_Bearer(self._local),
                timeout=_TIMEOUT,
                retries=0,
            )
            client = Client(transport=transport, fetch_schema_from_transport=False)
            session = self._local.graphql = client.connect_sync()  # type: ignore[no-untyped-call]
            cast("requests.Session", transport.session).hooks["response"].append(self._keep)
        return cast("SyncClientSession", session)

    def _keep(self, answer: requests.Response, **_: Any) -> None:
        """Keep of an answer what gql does not hand on: its headers, and what an error says."""
        self._local.headers = answer.headers
        is_error = answer.status_code >= HTTPStatus.BAD_REQUEST and "json" in answer.headers.get("content-type", "")
        self._local.text = answer.json().get("message", "") if is_error else ""

    def _rest(self) -> pygithub.Github:
        """This thread's PyGithub, with its own retries and pauses off: it would send a merge again after a 502."""
        if (rest := getattr(self._local, "rest", None)) is None:
            rest = pygithub.Github(
                auth=_Spoken(self._local),
                base_url=self._api_url,
                timeout=_TIMEOUT,
                user_agent=_AGENT,
                retry=None,
                lazy=True,
                seconds_between_requests=None,
                seconds_between_writes=None,
            )
            self._local.rest = rest
        return cast("pygithub.Github", rest)


def in_parts(wanted: Sequence[K], size: Callable[[], int], read: Callable[[Sequence[K]], dict[K, T]]) -> dict[K, T]:
    """What `read` gives of many things, no more than `size` at once, of which it may read only the first. What
    spoils the answer for others is found by halves, and is missing. Raises Unreadable when nothing can be read.
    """
    left, found, failures = [list(wanted)] if wanted else [], dict[K, T](), 0
    while left:
        part, most = left.pop(), size()
        if len(part) > most:
            left.append(part[most:])
            part = part[:most]
        try:
            seen = read(part)
        except Unreadable:
            failures += 1
            if failures > _FAILURES:
                raise
            half = len(part) // 2
            left += [part[half:], part[:half]] if half else []
        else:
            failures, found = 0, found | seen
            left += [part[len(seen) :]] if len(seen) < len(part) else []
    return found


class _Asked(GraphQLRequest):
    """A query whose text is sent as it is: reading and printing it again costs more than all else of a call."""

    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        super().__init__(_parsed(text), variable_values=dict(variables))
        self._text = text

    @property
    def payload(self) -> dict[str, Any]:
        return {"query": self._text, "variables": self.variable_values}


class _Bearer(requests.auth.AuthBase):
    """Puts the token of this thread's present call into a GraphQL request."""

    def __init__(self, local: threading.local) -> None:
        self._local = local

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"bearer {self._local.token}"
        return request


class _Spoken(pygithub.Auth.Auth):
    """The token of this thread's present call, as PyGithub asks for it."""

    def __init__(self, local: threading.local) -> None:
        self._local = local

    @property
    def token_type(self) -> str:
        return "token"

    @property
    def token(self) -> str:
        return str(self._local.token)


@lru_cache(maxsize=256)
def _parsed(text: str) -> DocumentNode:
    return parse_document(text)


def _whose(path: str) -> str:
    """The repository, else the owner, that a path is about: a token may be for that repository alone."""
    parts = path.split("/")
    return "/".join(parts[2:4]) if parts[1] == "repos" else parts[2]


def _is_turned_away(status: int | None, text: str) -> bool:
    """Whether a call was surely not carried out since its token is worth nothing any more: refused (401), or of an App
    whose installation was suspended meanwhile, which asking for another token tells in full.
    """
    return status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and "has been suspended" in text)


def _needed(headers: Mapping[str, str]) -> str:
    """The permissions that GitHub says a call needs (Q66); empty where it does not."""
    return {name.lower(): value for name, value in headers.items()}.get("x-accepted-github-permissions", "")


def _said(error: TransportQueryError) -> str:
    """What an answer's errors say, those that are about a query's size by their names."""
    found = ((str(one.get("type", "")), str(one.get("message", one))) for one in error.errors or [])
    return "; ".join(f"{kind}: {text}" if kind in TOO_MUCH else text for kind, text in found)


def _types(error: TransportQueryError) -> set[str]:
    """The types of the errors in an answer; some have none (Q5)."""
    return {str(one.get("type", "")) for one in error.errors or []}


def _is_of_another_age(error: TransportQueryError) -> bool:
    """Whether a server was asked for a field that it does not know."""
    words = ("Cannot query field", "doesn't exist on type")
    return any(one in str(each.get("message", each)) for each in error.errors or [] for one in words)


def _passing(error: BaseException) -> bool:
    """Whether a failed read is worth another try: a broken connection, a 5xx, an answer that is no GraphQL (Q1, Q2)."""
    if isinstance(error, Refused):
        return error.status == 0 or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, TransportServerError):
        return error.code is None or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, TransportQueryError):
        return "something went wrong" in _said(error).lower() or not TOO_MUCH.isdisjoint(_types(error))
    return isinstance(error, TransportError | requests.RequestException)


def _takes_too_long(error: BaseException) -> bool:
    """Whether a failed read may have asked for too much: GitHub ends after ten seconds, mostly by a 502 or 504 (Q2)."""
    if isinstance(error, TransportServerError):
        return error.code is not None and error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, TransportQueryError) or isinstance(error.__cause__, requests.Timeout)


def _message(error: pygithub.GithubException) -> str:
    """What GitHub says of a call that it did not carry out, with what is wrong in particular."""
    data = error.data if isinstance(error.data, dict) else {}
    said = str(data.get("message") or f"GitHub answered {error.status}")
    listed = data.get("errors") if isinstance(data.get("errors"), list) else []
    parts = [one.get("message") if isinstance(one, dict) else one for one in listed or ()]
    told = "; ".join(str(one).strip() for one in parts if one)
    return " ".join((f"{said} ({told})" if told else said).split())
