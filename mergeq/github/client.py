"""The client: every call is a read, which may be repeated, or a write, which never is (D6); each has a purpose, for
which GitHub's limits are accounted (D12).
"""

import copy
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from http import HTTPStatus
from itertools import groupby
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote

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
from mergeq.core.message import Message
from mergeq.core.pull import (
    Blocker,
    Branch,
    BranchFacts,
    Commit,
    Context,
    Method,
    Protection,
    PullRequest,
    Repository,
    Row,
)
from mergeq.core.query import scope_owner, updated_between
from mergeq.core.queue import UpdateMethod
from mergeq.core.status import Status
from mergeq.github import documents, merging, parse
from mergeq.github.auth import App, Credentials, NoCredentials
from mergeq.github.budget import Headers, HeldBack, Kind, Meter, seconds_in
from mergeq.github.merging import MergeAnswer, MergeVerdict

_TIMEOUT = 30
_READ_ATTEMPTS = 4
_PAGE_ATTEMPTS = 6  # as many as it takes to come down to one
_PAGE = 34  # pull requests at once; each has seven lists, which makes two points of GitHub's
_STATES = 48  # branches whose states are read in one call, of three lists each: one point
_FAILURES = 8  # in a row, after which nothing can be read: more than halving down to one takes
_PAGE_SECONDS = 3600.0  # how long a smaller page is believed to be needed
_PATIENCE = 15.0  # seconds a read may wait for a limit; whoever would wait longer has something else to do
_RATE_LIMITED = frozenset({"RATE_LIMITED", "RATE_LIMIT"})
_TOO_MUCH = frozenset({"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"})
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
_LIST = 100  # what GitHub shows of any list at most at once
_MEMBER_SECONDS = 600.0  # how long it is believed that we are in a team, or not


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


@dataclass(frozen=True, slots=True)
class Landing:
    """What became of a pull request, as read once: whether it is merged, by which commit with which tree, and where
    the base is now; and all of the branch's own state, where that was asked for and could be read. `base` is the name
    of the branch that it wants to reach now, `closed_at` when it was closed, in epoch seconds, 0.0 while it is open.
    """

    merged: bool
    is_open: bool
    head_sha: str
    base_sha: str
    landed_sha: str | None = None
    landed_tree: str | None = None
    line: tuple[str, ...] = ()
    state: BranchFacts | None = None
    base: str = ""
    closed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class LastLook:
    """One pull request and its surroundings, read right before a write (D23); the repository's GraphQL id, and the
    login that we have there.
    """

    pull: PullRequest | None
    repository: Repository
    protection: Protection
    base_sha: str
    blockers: tuple[Blocker, ...] | None
    base_tree: str = ""
    node: str = ""
    speaks_as: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One pull request as it was just read, by its GraphQL id. `row` and `pull` are None when it could not be read in
    full, `number` is 0 when not even that could be; `is_gone`: there is nothing by that id any more. `apps` are the
    slugs of the Apps that have reported on it, by their numbers.
    """

    number: int = 0
    row: Row | None = None
    pull: PullRequest | None = None
    is_gone: bool = False
    apps: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """A branch as it was just read: its own `state`, without pull requests; those that were asked for, by GraphQL id;
    and who is open on it, or how many are, None where that was not asked.
    """

    state: BranchFacts
    pulls: Mapping[str, Seen] = field(default_factory=dict)
    rows: tuple[Row, ...] | None = None
    count: int | None = None


@dataclass(slots=True)
class _Server:
    """What is known of the server itself, by all that speak to it. `scopes` are those of a classic token, which GitHub
    tells with every answer; None while it has told none.
    """

    version: str = ""
    lacking: tuple[documents.Newer, ...] = ()
    scopes: frozenset[str] | None = None


class GitHub:
    """GitHub over HTTP: GraphQL for reads, REST for writes. One object may be used by several threads and after a
    fork.

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
        self._credentials = credentials
        self._api_url = api_url
        self._graphql_url = graphql_url
        self._sleep = sleep
        self._meter = meter
        self.purpose = Purpose.EXPLAIN
        self._local = threading.local()
        self._server = _Server()
        self._teams: dict[tuple[str, str], tuple[float, bool]] = {}

    def on(self, purpose: Purpose) -> Self:
        """The same client, whose calls are for that purpose; connections are shared."""
        narrowed = copy.copy(self)
        narrowed.purpose = purpose
        return narrowed

    # reads

    def open_pulls(self, search: str, window: tuple[float, float] | None = None) -> Iterator[Row]:
        """The pull requests that a search finds, each once. Who it finds may be stale: it only nominates (D11); what it
        shows of them is not.

        `window` limits when they were updated, in epoch seconds. GitHub shows no more than 1000 hits: where there are
        more, those that were updated no later than the last one shown are asked for next (Q22). Raises Unreadable,
        also where so many were updated within one second that no window tells them apart.
        """
        seen: set[str] = set()
        while True:
            limited = f"{search} sort:updated-desc" + (f" {updated_between(*window)}" if window else "")
            count, shown, oldest = 0, 0, math.inf
            for page in self._pages(documents.OPEN_PULLS, {"query": limited}, f"the search {search!r}"):
                count, shown = page["issueCount"], shown + len(page["nodes"])
                for node in page["nodes"]:
                    if (row := parse.row(node)) is not None:
                        oldest = min(oldest, row.updated_at)
                        if row.node not in seen and node["state"] == "OPEN":
                            seen.add(row.node)
                            yield row
            if shown >= count or oldest == math.inf:
                return
            if window is not None and oldest >= window[1]:
                raise Unreadable(f"the search {search!r} finds more than GitHub shows of one second: {count}")
            window = (window[0] if window else 0.0, oldest)

    def _pages(self, document: str, variables: dict[str, Any], what: str) -> Iterator[Any]:
        """The pages of a search."""
        cursor: str | None = None
        while True:
            page = self._read(document, variables | {"cursor": cursor}, what)["search"]
            yield page
            if not page["pageInfo"]["hasNextPage"]:
                return
            cursor = page["pageInfo"]["endCursor"]

    def read_branch(self, branch: Branch, blocker_label: str) -> BranchFacts:
        """Everything about one branch: its tip, settings, blockers and open pull requests.

        A pull request that cannot be read in full is missed by name, the rest is read (Q3).
        """
        look = self.look(branch, blocker_label, listed=True)
        rows = {row.node: row for row in look.rows or ()}
        seen = self.pulls(branch.org, list(rows))
        pulls = tuple(one.pull for one in seen.values() if one.pull is not None)
        apps = {number: slug for one in seen.values() for number, slug in one.apps.items()}
        return replace(
            look.state,
            pulls=tuple(pull for pull in pulls if pull.branch == branch and pull.is_open),
            protection=look.state.protection.naming(apps),
            unread=(
                *look.state.unread,
                *(f"#{rows[node].number}" for node, one in seen.items() if one.pull is None and not one.is_gone),
            ),
        )

    def look(self, branch: Branch, blocker_label: str, ids: Sequence[str] = (), *, listed: bool = False) -> Look:
        """The state of one branch, with the pull requests of these GraphQL ids, and who is open on it where that is to
        be `listed`: one call where there are a few dozen ids and no more than a hundred open. Raises Unreadable.

        A row that could not be read has nothing but what a reading of its pull request will be asked for by.
        """
        size = self._page_size(branch.org)
        variables = self._variables(branch, blocker_label) | {"base": branch.name, "cursor": None, "listed": listed}
        variables |= {"first": _LIST if listed else 1, "ids": list(ids[:size])}
        rows: list[Row] = []
        found: dict[str, Seen] = {}
        first: dict[str, Any] | None = None
        hidden = 0
        while True:
            data = self._read(documents.LOOK, variables, str(branch))
            node = _of(branch, data)
            first = first or node
            found |= self._seen(variables["ids"], data["nodes"])
            page = node.get("pullRequests") or {"pageInfo": {"hasNextPage": False}, "nodes": ()}
            rows += (parse.row(item) or _bare(branch, item) for item in page["nodes"] if item)
            hidden += sum(item is None for item in page["nodes"])
            if not page["pageInfo"]["hasNextPage"]:
                break
            variables |= {"cursor": page["pageInfo"]["endCursor"], "ids": []}
        found |= self.pulls(branch.org, [one for one in ids if one not in found])
        state = replace(self._state(branch, first, data), unread=("a pull request",) * hidden)
        return Look(state, found, tuple(rows) if listed else None)

    def pulls(self, owner: str, ids: Sequence[str]) -> dict[str, Seen]:
        """Pull requests of any repositories of one owner by their GraphQL ids, a few dozen in a call; one that cannot
        be read at all is not in full. Raises Unreadable when none can be.
        """

        def read(part: Sequence[str]) -> dict[str, Seen]:
            variables: dict[str, Any] = {"ids": list(part)}
            nodes = self._read(documents.PULLS, variables, f"pull requests of {owner}", owner)["nodes"]
            return self._seen(variables["ids"], nodes)

        return dict.fromkeys(ids, Seen()) | self._in_parts(ids, lambda: self._page_size(owner), read)

    def _in_parts(
        self, wanted: Sequence[K], size: Callable[[], int], read: Callable[[Sequence[K]], dict[K, T]]
    ) -> dict[K, T]:
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

    def _page_size(self, owner: str) -> int:
        return self._meter.ledger.page_size(owner, self._meter.now()) or _PAGE

    def _seen(self, ids: Sequence[str], nodes: Sequence[dict[str, Any] | None]) -> dict[str, Seen]:
        """What was read by each id."""
        found = {}
        for node_id, node in zip(ids, nodes, strict=True):
            number = (node or {}).get("number") or 0
            try:
                if node and "repository" in node:
                    self._complete(node["repository"]["owner"]["login"], node["repository"]["name"], node)
            except Unreadable:
                found[node_id] = Seen(number)
            else:
                is_gone = node is not None and not node
                row, pull = (parse.row(node), parse.pull(node)) if node else (None, None)
                whole = row is not None and pull is not None
                apps = parse.app_slugs([node]) if whole else {}
                found[node_id] = Seen(number, row if whole else None, pull if whole else None, is_gone, apps)
        return found

    def last_look(self, branch: Branch, number: int, blocker_label: str) -> LastLook:
        """One pull request, its repository, its blockers and the tip of `branch`, in one read (D23)."""
        return self.last_looks(branch, [number], blocker_label)[0]

    def last_looks(self, branch: Branch, numbers: Sequence[int], blocker_label: str) -> list[LastLook]:
        """The same of several, in the order given, a few dozen at one moment. Raises Unreadable."""
        if len(numbers) > _PAGE:
            rest = self.last_looks(branch, numbers[_PAGE:], blocker_label)
            return [*self.last_looks(branch, numbers[:_PAGE], blocker_label), *rest]
        variables = self._variables(branch, blocker_label) | {f"number{n}": number for n, number in enumerate(numbers)}
        what = ", ".join(f"{branch.full_repo}#{number}" for number in numbers)
        data = self._read(documents.last_look(len(numbers)), variables, what)
        node = _of(branch, data)
        items = [node[f"pull{n}"] for n in range(len(numbers))]
        for item in items:
            self._complete(branch.org, branch.repo, item)
        protection = self._protection(node, parse.app_slugs(items), data["viewer"]["login"])
        blockers = parse.blockers(node)
        return [
            LastLook(
                pull=parse.pull(item) if item and protection else None,
                repository=parse.repository(node, withholds_workflows=self._withholds_workflows(branch.org)),
                protection=protection or Protection(),
                base_sha=node["ref"]["target"]["oid"],
                base_tree=node["ref"]["target"]["tree"]["oid"],
                blockers=blockers,
                node=node["id"],
                speaks_as=data["viewer"]["login"],
            )
            for item in items
        ]

    def branch_of(self, full_repo: str, number: int) -> Branch:
        """The base branch of a pull request. Raises Unreadable."""
        owner, _, name = full_repo.partition("/")
        return Branch(owner, name, self._base_of(owner, name, number)["baseRefName"])

    def _base_of(self, owner: str, name: str, number: int) -> dict[str, Any]:
        what = f"{owner}/{name}#{number}"
        node = self._read(documents.BASE, {"owner": owner, "name": name, "number": number}, what)["repository"]
        if node is None or node["pullRequest"] is None:
            raise Unreadable(f"{what} does not exist on GitHub, or the token may not see it")
        return cast("dict[str, Any]", node["pullRequest"])

    def landing(
        self, branch: Branch, number: int, depth: int = 1, sha: str | None = None, blocker_label: str | None = None
    ) -> Landing:
        """What became of a pull request; `line` holds the first parents of the newest `depth` commits of the landing.

        A merge commit may be missing for a moment after a merge, and the pull request still read as open (Q12): where
        GitHub has told its `sha`, its tree and line are read from that commit itself. With a `blocker_label`, which may
        be empty, the `state` of the branch is read with it if it can be.
        """
        return self.landings(branch, [number], depth, sha, blocker_label)[0]

    def landings(
        self,
        branch: Branch,
        numbers: Sequence[int],
        depth: int = 1,
        sha: str | None = None,
        blocker_label: str | None = None,
    ) -> list[Landing]:
        """The same of several at one moment, in the order given. Raises Unreadable."""
        is_state, what = blocker_label is not None, ", ".join(f"{branch.full_repo}#{number}" for number in numbers)
        variables = self._variables(branch, blocker_label or "") | {f"number{n}": one for n, one in enumerate(numbers)}
        variables |= {"depth": min(depth, _LIST), "state": is_state, "sha": sha, "known": sha is not None}
        try:
            data = self._read(documents.landing(len(numbers)), variables, what)
        except Unreadable:
            if is_state:
                return self.landings(branch, numbers, depth, sha)
            raise
        node = data["repository"]
        pulls = [node and node[f"pull{n}"] for n in range(len(numbers))]
        if node is None or node["ref"] is None or None in pulls:
            raise Unreadable(f"{what} cannot be seen on GitHub")
        state = self._state(branch, node, data) if is_state and _is_it(branch, node) else None
        return [
            self._landing(branch, number, depth, node, pull, state) for number, pull in zip(numbers, pulls, strict=True)
        ]

    def _landing(
        self,
        branch: Branch,
        number: int,
        depth: int,
        node: dict[str, Any],
        pull: dict[str, Any],
        state: BranchFacts | None,
    ) -> Landing:
        commit = node.get("object") or (pull["mergeCommit"] if pull["merged"] else None) or {}
        line = tuple(_first_parent(one) for one in commit["history"]["nodes"]) if commit else ()
        if depth > len(line) == _LIST:
            line += self.landing(branch, number, depth - _LIST, line[-1]).line
        return Landing(
            merged=pull["merged"],
            is_open=pull["state"] == "OPEN",
            head_sha=pull["headRefOid"],
            base_sha=node["ref"]["target"]["oid"],
            landed_sha=commit.get("oid"),
            landed_tree=commit["tree"]["oid"] if commit else None,
            line=line,
            state=state,
            base=pull["baseRefName"],
            closed_at=parse.seconds(pull["closedAt"]),
        )

    def staged(self, branch: Branch, shas: Sequence[str]) -> list[tuple[Context, ...] | None]:
        """The contexts of staged commits, in the order given; None for one that could not be read in full."""
        variables = {"owner": branch.org, "name": branch.repo} | {f"sha{n}": sha for n, sha in enumerate(shas)}
        node = self._read(documents.staged(len(shas)), variables, f"the staged commits of {branch}")["repository"] or {}
        objects = [node.get(f"run{index}") for index in range(len(shas))]
        for found in objects:
            self._complete(branch.org, branch.repo, found)
        return [
            None if found is None else parse.contexts(found["statusCheckRollup"], sha)
            for found, sha in zip(objects, shas, strict=True)
        ]

    def states(self, branches: Iterable[Branch], blocker_label: str = "") -> dict[Branch, Look | None]:
        """The states of many branches, of whichever repositories, and how many pull requests are open on each, a few
        dozen in a call (P7.14). None where there is no such branch. Of Apps that rulesets name only the number is
        known.
        """
        found: dict[Branch, Look | None] = {}
        for owner, theirs in groupby(sorted(branches), key=lambda branch: branch.org):
            read = partial(self._states_of, owner, blocker_label)
            named = list(theirs)
            found |= dict.fromkeys(named) | self._in_parts(named, lambda: _STATES, read)
        return found

    def _states_of(self, owner: str, blocker_label: str, branches: Sequence[Branch]) -> dict[Branch, Look | None]:
        variables = {"owner": owner} | _blocking(blocker_label)
        for index, branch in enumerate(branches):
            names = {"name": branch.repo, "base": branch.name, "ref": f"refs/heads/{branch.name}"}
            variables |= {f"{name}{index}": value for name, value in names.items()}
        answer = self._read(documents.states_of(len(branches)), variables, f"{len(branches)} branches of {owner}")
        nodes = [answer[f"branch{index}"] for index in range(len(branches))]
        return {
            branch: Look(self._state(branch, node, answer), count=node["open"]["totalCount"])
            if _is_it(branch, node)
            else None
            for branch, node in zip(branches, nodes, strict=True)
        }

    def commits(self, branch: Branch, number: int, head_sha: str) -> tuple[Commit, ...]:
        """The commits of a pull request, oldest first, as a rebase would replay them: merges are left out.

        Raises Unreadable when there are too many, or the head is another by now.
        """
        variables = {"owner": branch.org, "name": branch.repo, "number": number}
        what = f"the commits of {branch.full_repo}#{number}"
        cursor: str | None = None
        nodes: list[dict[str, Any]] = []
        while True:
            read = self._read(documents.COMMITS, variables | {"cursor": cursor}, what)["repository"] or {}
            pull = read.get("pullRequest")
            if pull is None or pull["headRefOid"] != head_sha:
                raise Unreadable(f"{what} could not be read: its head is another by now")
            page = pull["commits"]
            nodes += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                break
            cursor = page["pageInfo"]["endCursor"]
        found = parse.commits(nodes, head_sha) if page["totalCount"] == len(nodes) else None
        if found is None:
            raise Unreadable(f"{what} could not be read in full")
        return found

    def _complete(self, owner: str, repo: str, node: dict[str, Any] | None) -> None:
        """Read on where a pull request, or a commit, has more labels or results than one page holds (Q33, Q34).

        What changes while it is read does not add up, and is not believed.
        """
        where = {"owner": owner, "name": repo}
        if labels := (node or {}).get("labels"):
            asked = where | {"number": (node or {})["number"]}
            self._read_on(labels, documents.LABELS, asked, lambda repo: repo["pullRequest"]["labels"])
        if rollup := (node or {}).get("statusCheckRollup"):
            asked = where | {"sha": rollup["commit"]["oid"]}
            self._read_on(
                rollup["contexts"],
                documents.CONTEXTS,
                asked,
                lambda repo: repo["object"]["statusCheckRollup"]["contexts"],
            )

    def _read_on(
        self, page: dict[str, Any], document: str, variables: dict[str, Any], found: Callable[[Any], dict[str, Any]]
    ) -> None:
        """Add to a page of a list all that come after it. Raises Unreadable."""
        what = f"the rest of a list in {variables['owner']}/{variables['name']}"
        while page["pageInfo"]["hasNextPage"]:
            asked = variables | {"cursor": page["pageInfo"]["endCursor"]}
            try:
                more = found(self._read(document, asked, what)["repository"])
            except (KeyError, TypeError):
                raise Unreadable(f"{what} could not be read: it is gone") from None
            page["nodes"] += more["nodes"]
            page |= {"pageInfo": more["pageInfo"], "totalCount": more["totalCount"]}

    # writes: sent once, whatever happens

    def merge(self, branch: Branch, number: int, *, head_sha: str, method: Method, message: Message) -> MergeAnswer:
        """Ask GitHub to merge exactly `head_sha` (Pull requests REST page, "Merge a pull request"). Never re-sent
        here.
        """
        said = {"commit_title": message.title, "commit_message": message.body}
        body = {"sha": head_sha, "merge_method": method.value, **{key: text for key, text in said.items() if text}}
        path = f"/repos/{branch.full_repo}/pulls/{number}/merge"
        try:
            done = self._write("PUT", path, body) or {}
        except Refused as error:
            return merging.refusal(error.status, error.text)
        if done.get("merged") is not True:
            why = done.get("message", "nothing")
            return MergeAnswer(MergeVerdict.UNKNOWN, f"GitHub answered 200 without merging: {why}")
        return MergeAnswer(MergeVerdict.MERGED, done.get("message", ""), done.get("sha"))

    def push(self, branch: Branch, node: str, *, before: str, after: str) -> MergeAnswer:
        """Move a base from the commit `before` to `after`, if it is there and that is a fast-forward (GraphQL,
        "updateRefs"). `node` is the repository's GraphQL id. Never re-sent here; also MERGED only says that GitHub
        answered so.
        """
        variables = {"repository": node, "ref": f"refs/heads/{branch.name}", "before": before, "after": after}
        try:
            self._mutate(documents.PUSH, variables, branch.org)
        except Refused as error:
            return merging.push_refusal(error.status, error.text)
        return MergeAnswer(MergeVerdict.MERGED, "", after)

    def say_once(self, branch: Branch, number: int, body: str, since: float) -> None:
        """Comment on a pull request, unless the same was said there since (epoch seconds). Raises Refused."""
        path = f"/repos/{branch.full_repo}/issues/{number}/comments"
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = self._get(f"{path}?per_page={_LIST}&since={quote(start)}")
        if all(one["body"].strip() != body for one in said):
            self._write("POST", path, {"body": body})

    def close_pull(self, branch: Branch, number: int) -> None:
        """Close a pull request. Raises Refused."""
        self._write("PATCH", f"/repos/{branch.full_repo}/pulls/{number}", {"state": "closed"})

    def create_ref(self, branch: Branch, name: str, sha: str) -> None:
        """Create ``refs/heads/NAME``. Raises Refused."""
        self._write("POST", f"/repos/{branch.full_repo}/git/refs", {"ref": f"refs/heads/{name}", "sha": sha})

    def reset_ref(self, branch: Branch, name: str, sha: str) -> None:
        """Move a ref of our own, backwards too. Raises Refused."""
        self._write("PATCH", f"/repos/{branch.full_repo}/git/refs/heads/{quote(name)}", {"sha": sha, "force": True})

    def delete_ref(self, branch: Branch, name: str) -> None:
        """Delete a ref of our own; one that is gone already is no error. Raises Refused."""
        try:
            self._write("DELETE", f"/repos/{branch.full_repo}/git/refs/heads/{quote(name)}", None)
        except Refused as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
                raise

    def refs_under(self, branch: Branch, prefix: str) -> list[tuple[str, float]]:
        """The branches whose names begin with `prefix`, with when their tips were committed. Raises Refused."""
        found = self._get(f"/repos/{branch.full_repo}/git/matching-refs/heads/{quote(prefix)}")
        refs = [(one["ref"].removeprefix("refs/heads/"), one["object"]["sha"]) for one in found]
        return [(name, parse.seconds(self._commit(branch, sha)["committer"]["date"])) for name, sha in refs]

    def merge_into(self, branch: Branch, name: str, sha: str, message: str) -> tuple[str, str] | None:
        """Merge a commit into a ref of our own; the new commit and its tree, or None when it conflicts. Raises Refused.

        What is merged already gives the ref's own tip (GitHub answers 204, Q83).
        """
        body = {"base": name, "head": sha, "commit_message": message}
        try:
            done = self._write("POST", f"/repos/{branch.full_repo}/merges", body)
        except Refused as error:
            if error.status == HTTPStatus.CONFLICT and "conflict" in error.text.lower():
                return None
            raise
        if not done:
            tip = self._get(f"/repos/{branch.full_repo}/git/ref/heads/{quote(name)}")["object"]["sha"]
            return tip, self.tree_of(branch, tip)
        return done["sha"], done["commit"]["tree"]["sha"]

    def merge_all(
        self, branch: Branch, node: str, name: str, shas: Sequence[str], message: str
    ) -> list[tuple[str, str] | None]:
        """Merge commits into a ref of our own one after another, a few dozen in a request (GraphQL, "mergeBranch"):
        each time the new commit and its tree, None for one that conflicts or adds nothing (Q83). `node` is the
        repository's GraphQL id. Raises Refused; some may have been merged then.
        """
        if len(shas) > _PAGE:
            rest = (shas[:_PAGE], shas[_PAGE:])
            return [one for part in rest for one in self.merge_all(branch, node, name, part, message)]
        variables: dict[str, Any] = {"repository": node, "base": name, "message": message}
        variables |= {f"head{n}": sha for n, sha in enumerate(shas)}
        data = self._mutate(documents.merges(len(shas)), variables, branch.org, bears="conflict")
        made = [(data.get(f"merge{n}") or {}).get("mergeCommit") for n in range(len(shas))]
        return [(one["oid"], one["tree"]["oid"]) if one else None for one in made]

    def tree_of(self, branch: Branch, sha: str) -> str:
        """The tree of a commit. Raises Refused."""
        return str(self._commit(branch, sha)["tree"]["sha"])

    def parents_of(self, branch: Branch, sha: str) -> tuple[str, ...]:
        """The parents of a commit, in order. Raises Refused."""
        return tuple(parent["sha"] for parent in self._commit(branch, sha)["parents"])

    def lacks(self, branch: Branch, sha: str, other: str) -> int:
        """How many commits of `other` are not in the history of `sha`; both may come from forks. Raises Refused."""
        found = self._get(f"/repos/{branch.full_repo}/compare/{other}...{sha}?per_page=1")
        return int(found["behind_by"])

    def unsigned(self, branch: Branch, base: str, sha: str) -> tuple[str, ...]:
        """The commits that `sha` has and `base` has not whose signatures GitHub does not call verified. Raises Refused,
        also where they are more than GitHub shows.
        """
        path, found, page = f"/repos/{branch.full_repo}/compare/{base}...{sha}", list[Any](), 1
        while True:
            read = self._get(f"{path}?per_page={_LIST}&page={page}")
            found += read["commits"]
            if len(found) >= read["total_commits"]:
                break
            if not read["commits"]:
                raise Refused(HTTPStatus.OK, f"not all commits between {base[:7]} and {sha[:7]} are shown")
            page += 1
        return tuple(one["sha"] for one in found if not one["commit"]["verification"]["verified"])

    def hidden_rules(self, branch: Branch, merge_state: str) -> tuple[str, ...]:
        """The kinds of rules in force on a branch of which only GitHub can say that they are met, does not say it in
        the `merge_state` of a pull request, and would not hold us to, as far as it tells (REST, "Get rules for a
        branch", "Get a repository ruleset"). Raises Refused.
        """
        rules = self._get(f"/repos/{branch.full_repo}/rules/branches/{quote(branch.name, safe='')}?per_page={_LIST}")
        unknown = [rule for rule in rules if parse.is_hidden(rule["type"], merge_state)]
        sets = {rule["ruleset_id"] for rule in unknown}
        told = {one: self._get(f"/repos/{branch.full_repo}/rulesets/{one}") for one in sets}
        free = {one for one, ruleset in told.items() if ruleset.get("current_user_can_bypass") != "never"}
        names = sorted({rule["type"].replace("_", " ") for rule in unknown if rule["ruleset_id"] in free})
        return tuple(names)

    def commits_after(self, branch: Branch, base: str, head: str) -> tuple[Commit, ...]:
        """The commits of `head` that `base` does not contain, each after its parents, merges too; both may be heads
        that are no longer any branch's. Raises Refused, and Unreadable where they do not add up.
        """
        found: list[dict[str, Any]] = []
        path, count = f"/repos/{branch.full_repo}/compare/{base}...{head}?per_page={_LIST}", 1
        while len(found) < count:
            page = self._get(f"{path}&page={len(found) // _LIST + 1}")
            count = page["total_commits"]
            found += page["commits"]
            if not page["commits"]:
                break
        if len(commits := parse.compared(found, head)) < count:
            raise Unreadable(f"the commits of {head[:7]} in {branch.full_repo} could not be read in full")
        return commits

    def update_branch(self, branch: Branch, number: int, head_sha: str, method: UpdateMethod) -> None:
        """Have GitHub merge the base into a pull request's own branch, or rebase that onto it, if its head is still
        `head_sha`. It answers before it has done so, and may not do it at all (Q26). Raises Refused and Unreadable.

        REST knows no rebase ("Update a pull request branch"), GraphQL does (`updatePullRequestBranch`).
        """
        if method is UpdateMethod.REBASE:
            pull = self._base_of(branch.org, branch.repo, number)["id"]
            self._mutate(documents.REBASE, {"pull": pull, "head": head_sha}, branch.org)
        else:
            path = f"/repos/{branch.full_repo}/pulls/{number}/update-branch"
            self._write("PUT", path, {"expected_head_sha": head_sha})

    def create_commit(self, branch: Branch, tree: str, parents: Sequence[str], message: str) -> str:
        """Make a commit object, without author or committer so that GitHub signs it. Raises Refused."""
        body = {"message": message, "tree": tree, "parents": list(parents)}
        return str(self._write("POST", f"/repos/{branch.full_repo}/git/commits", body)["sha"])

    def dispatch(self, branch: Branch, event_type: str, payload: Mapping[str, Any]) -> None:
        """Tell whatever listens in the repository, as a workflow on `repository_dispatch`; GitHub takes ten keys at
        most. Sent twice it happens twice. Raises Refused.
        """
        body = {"event_type": event_type, "client_payload": dict(payload)}
        self._write("POST", f"/repos/{branch.full_repo}/dispatches", body)

    def set_status(self, branch: Branch, sha: str, context: str, status: Status, target_url: str) -> Context:
        """Post one commit status; as GitHub shows it now. Posting the same again only costs one of GitHub's 1000.
        Raises Refused.
        """
        body = {"state": status.state, "description": status.description, "context": context}
        if target_url:
            body["target_url"] = target_url
        done = self._write("POST", f"/repos/{branch.full_repo}/statuses/{sha}", body)
        result = parse.status_result(status.state)
        return Context(context, result, at=parse.seconds(done["created_at"]), description=status.description)

    # anything else, for looking GitHub over

    @property
    def credentials(self) -> Credentials:
        """Who this client speaks as."""
        return self._credentials

    @property
    def version(self) -> str:
        """That of an Enterprise Server that was met; else empty."""
        return self._server.version

    def speaking_as(self, credentials: Credentials) -> "GitHub":
        """A client of the same GitHub for somebody else."""
        return GitHub(
            credentials=credentials,
            api_url=self._api_url,
            graphql_url=self._graphql_url,
            sleep=self._sleep,
            meter=self._meter,
        )

    def ask(self, owner: str, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One REST call about what `owner` has, sent once, whatever GitHub answers. Raises Unreadable when nothing was
        answered, or nobody may ask.
        """
        try:
            token, account = self._speak_for(owner, "core")
            answer = self._ask_once(account, verb, path, body)
            if _is_turned_away(answer.status, answer.text):
                self._credentials.forget(owner, token)
                if self._speak_for(owner, "core")[0] != token:
                    answer = self._ask_once(account, verb, path, body)
        except (NoCredentials, HeldBack) as error:
            raise Unreadable(f"{path} could not be asked: {error}") from None
        except (requests.RequestException, OSError) as error:
            raise Unreadable(f"{path} could not be asked: the connection broke ({type(error).__name__})") from None
        return answer

    def query(self, owner: str, document: str, variables: Mapping[str, Any], what: str) -> dict[str, Any]:
        """The data of one GraphQL query about what `owner` has. Raises Unreadable."""
        return self._read(document, dict(variables), what, owner)

    def learn_server(self, owner: str) -> tuple[str, ...]:
        """What this GitHub does not know of all that is asked for, in words; from now on it is not asked for. An
        Enterprise Server's `version` is known then. github.com knows everything; so does one that does not answer.
        """
        if not self._graphql_url.endswith("/api/graphql"):
            return ()
        try:
            self._server.version = self.ask(owner, "GET", "/meta").headers.get("x-github-enterprise-version", "")
            known = self.query(owner, documents.SCHEMA, {}, "the schema")
        except Unreadable:
            return ()
        fields = {name: {one["name"] for one in (known[name] or {"fields": ()})["fields"]} for name in known}
        self._server.lacking = tuple(one for one in documents.NEWER if not fields[one.kind].issuperset(one.absent))
        return tuple(one.what for one in self._server.lacking)

    def _ask_once(self, account: str, verb: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        status, headers, text = self._rest().requester.requestJson(verb, path, input=body and dict(body))
        try:
            data = json.loads(text) if text else None
        except ValueError:
            data = None
        reply = Reply(status, {name.lower(): value for name, value in headers.items()}, data)
        self._charge(account, "core", Kind.READ if verb == "GET" else Kind.WRITE, 1, reply.headers, status)
        if held := self._meter.hold_for(account, status, reply.headers, reply.text):
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

    def _state(self, branch: Branch, node: dict[str, Any], data: dict[str, Any]) -> BranchFacts:
        """A branch without its pull requests, as it was read among `data`."""
        protection, blockers = self._protection(node, {}, data["viewer"]["login"]), parse.blockers(node)
        gaps = {"the blocker issues": blockers is None, "the rules of the branch": protection is None}
        return BranchFacts(
            branch=branch,
            base_sha=node["ref"]["target"]["oid"],
            base_tree=node["ref"]["target"]["tree"]["oid"],
            repository=parse.repository(node, withholds_workflows=self._withholds_workflows(branch.org)),
            protection=protection or Protection(),
            blockers=blockers or (),
            partial=", ".join(gap for gap, is_there in gaps.items() if is_there),
        )

    def _protection(self, node: dict[str, Any], slugs: Mapping[int, str], speaks_as: str) -> Protection | None:
        """What GitHub demands of a branch of ours by that login, none of its teams keeping us out that we are in."""
        found = parse.protection(node, slugs, speaks_as)
        if found and any(self._is_in(team, speaks_as) for team in found.reserved_for if team.startswith("@")):
            return replace(found, reserved_for=())
        return found

    def _is_in(self, team: str, login: str) -> bool:
        """Whether a login is in ``@ORG/TEAM``, as far as we may know (REST, "Get team membership for a user")."""
        at, known = self._teams.get((team, login), (-math.inf, False))
        if self._meter.now() - at >= _MEMBER_SECONDS:
            org, _, slug = team.removeprefix("@").partition("/")
            try:
                told = self._get(f"/orgs/{org}/teams/{quote(slug)}/memberships/{quote(login)}")
                known = told["state"] == "active"
            except Refused:
                known = False
            self._teams[team, login] = self._meter.now(), known
        return known

    def _withholds_workflows(self, owner: str) -> bool:
        """Whether we certainly may not change workflow files (Q58): by the scopes of a classic token, or what an App
        has been granted. Of a fine-grained token GitHub tells nothing.
        """
        if isinstance(self._credentials, App):
            return self._credentials.lacks(owner, "workflows")
        return self._server.scopes is not None and "workflow" not in self._server.scopes

    def _commit(self, branch: Branch, sha: str) -> Any:
        return self._get(f"/repos/{branch.full_repo}/git/commits/{sha}")

    def _ref(self, branch: Branch) -> dict[str, Any]:
        return {"owner": branch.org, "name": branch.repo, "ref": f"refs/heads/{branch.name}"}

    def _variables(self, branch: Branch, blocker_label: str) -> dict[str, Any]:
        return self._ref(branch) | _blocking(blocker_label)

    def _get(self, path: str) -> Any:
        """One REST read about ``/repos/OWNER/…``, again after a passing failure. Raises Refused."""
        return self._again(lambda: self._call(Kind.READ, "GET", path, None))

    def _write(self, verb: str, path: str, body: dict[str, Any] | None) -> Any:
        """One REST write about ``/repos/OWNER/…``, sent once; the JSON of its answer, None when it had no body. Raises
        Refused.
        """
        return self._call(Kind.WRITE, verb, path, body)

    def _mutate(self, document: str, variables: dict[str, Any], owner: str, bears: str = "") -> dict[str, Any]:
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
        owner = path.split("/")[2]
        try:
            token, account = self._speak_for(owner, "core")
        except NoCredentials as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, str(error)) from None
        try:
            headers, data = self._rest().requester.requestJsonAndCheck(verb, path, input=body)
        except pygithub.GithubException as error:
            self._charge(account, "core", kind, 1, error.headers or {}, error.status)
            if again and _is_turned_away(error.status, _message(error)):
                self._credentials.forget(owner, token)
                return self._call(kind, verb, path, body, again=False)
            text = _message(error)
            if "resource not accessible" in text.lower() and (needed := _needed(error.headers or {})):
                text += f" (it asks for {needed})"
            if held := self._meter.hold_for(account, error.status, error.headers or {}, text):
                raise held from None
            raise Refused(error.status, text) from None
        except (requests.RequestException, OSError, ValueError) as error:  # a body that was cut off is no JSON
            self._meter.charge(account, "core", self.purpose, kind, 1, None)
            raise Refused(0, f"the connection to GitHub broke ({type(error).__name__})") from None
        if not self._charge(account, "core", kind, 1, headers, HTTPStatus.OK):
            self._meter.note_silence(account, "core")
        if isinstance(data, dict) and data.get("message") == _MOVED:
            raise Refused(HTTPStatus.MOVED_PERMANENTLY, f"{path} is somewhere else now: {data.get('url', '')}")
        return data

    def _speak_for(self, owner: str, resource: str) -> tuple[str, str]:
        """Have what this thread asks next speak for `owner`, if the budget of `resource` allows; the token, and whose
        limits count. Raises NoCredentials.
        """
        account = self._credentials.account(owner)
        self._meter.admit(account, resource, self.purpose)
        self._local.token = token = self._credentials.token(owner)
        self._local.headers = {}
        return token, account

    def _charge(
        self, account: str, resource: str, kind: Kind, points: float, headers: Headers, status: int, limit: Any = None
    ) -> bool:
        """Account for what was answered, with GitHub's last word: a query's `rateLimit`, else the headers. False when
        it says nothing of limits. Who is not known (401), or not asked for (5xx), is told of others' limits.
        """
        self._local.headers = headers
        if (scopes := headers.get("x-oauth-scopes")) is not None:
            self._server.scopes = frozenset(one.strip() for one in scopes.split(","))
        is_ours = status != HTTPStatus.UNAUTHORIZED and status < HTTPStatus.INTERNAL_SERVER_ERROR
        told = self._meter.told(headers) if is_ours else None
        if limit:
            ends_at = self._meter.by_our_clock(headers, parse.seconds(limit["resetAt"]))
            told = (float(limit["limit"]), float(limit["remaining"]), ends_at)
        self._meter.charge(account, resource, self.purpose, kind, points, told)
        return told is not None

    def _again(self, read: Callable[[], T], shrink: Callable[[BaseException], None] | None = None) -> T:
        """What a read gives, which is repeated after a passing failure; `shrink` makes it ask for less before that."""

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, HeldBack):
                return max(error.until - self._meter.now(), 0.0)
            return max(usual(state), seconds_in(self._local.headers) or 0.0)

        def before(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if shrink is not None and error is not None:
                shrink(error)
            self._meter.ledger.count("mergeq_github_retries_total", purpose=self.purpose.value)

        usual = wait_exponential_jitter(multiplier=0.5, max=10)
        retrying = Retrying(
            retry=retry_if_exception(self._may_pass),
            wait=pause,
            stop=stop_after_attempt(_PAGE_ATTEMPTS if shrink else _READ_ATTEMPTS),
            before_sleep=before,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(read)

    def _may_pass(self, error: BaseException) -> bool:
        """Whether a failed read is worth another try, and soon."""
        if isinstance(error, HeldBack):
            return error.until - self._meter.now() <= _PATIENCE
        return _passing(error) and (seconds_in(self._local.headers) or 0.0) <= _PATIENCE

    def _read(self, document: str, variables: dict[str, Any], what: str, owner: str = "") -> dict[str, Any]:
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
                self._meter.ledger.set_page_size(owner, half, self._meter.now() + _PAGE_SECONDS)
            elif "first" in variables:
                variables["first"] = max(variables["first"] // 2, 1)

        def ask() -> dict[str, Any]:
            lacking = self._server.lacking
            try:
                answer = self._execute(_Asked(documents.without(document, lacking), variables), owner)
            except TransportQueryError as error:
                too_much = not _TOO_MUCH.isdisjoint(_types(error))
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
            if not self._server.lacking and _is_of_another_age(error) and self.learn_server(owner):
                return self._read(document, variables, what, owner)
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
            self._meter.charge(account, "graphql", self.purpose, kind, 1, None)
            raise
        headers = self._local.headers
        limit = data.get("rateLimit")
        points = limit["cost"] if limit else 1
        is_told = self._charge(account, "graphql", kind, points, headers, status, limit)
        if failed is None:
            if not is_told:
                self._meter.note_silence(account, "graphql")
            return data
        if again and _is_turned_away(status, said):
            self._credentials.forget(owner, token)
            return self._execute(request, owner, kind, again=False)
        if held := self._meter.hold_for(account, status, headers, said):
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


def _of(branch: Branch, data: dict[str, Any]) -> dict[str, Any]:
    """The repository of a branch, if it still goes by that name and has the branch; raises Unreadable (Q27, Q29).

    GitHub answers by old names too, and one branch must not be acted on under two names.
    """
    node: dict[str, Any] | None = data["repository"]
    if node is None or node["ref"] is None:
        raise Unreadable(f"{branch} does not exist on GitHub, or the token may not see it")
    if node["nameWithOwner"].lower() != branch.full_repo.lower():
        raise Unreadable(f"{branch.full_repo} is called {node['nameWithOwner']} now")
    return node


def _bare(branch: Branch, node: dict[str, Any]) -> Row:
    """A row of which nothing is known but whom to ask for."""
    return Row(branch.org, branch.repo, node["number"], node["id"], branch.name, "", 0.0)


def _blocking(label: str) -> dict[str, Any]:
    return {"labels": [label] if label else None, "blockers": bool(label)}


def _is_turned_away(status: int | None, text: str) -> bool:
    """Whether a call was surely not carried out since its token is worth nothing any more: refused (401), or of an App
    whose installation was suspended meanwhile, which asking for another token tells in full.
    """
    return status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and "has been suspended" in text)


def _needed(headers: Mapping[str, str]) -> str:
    """The permissions that GitHub says a call needs (Q66); empty where it does not."""
    return {name.lower(): value for name, value in headers.items()}.get("x-accepted-github-permissions", "")


def _is_it(branch: Branch, node: dict[str, Any] | None) -> bool:
    """Whether a repository was read by the name it has, and has the branch (Q27)."""
    return bool(node and node["ref"]) and str(node and node["nameWithOwner"]).lower() == branch.full_repo.lower()


def _first_parent(commit: dict[str, Any]) -> str:
    parents = commit["parents"]["nodes"]
    return str(parents[0]["oid"]) if parents else ""


def _said(error: TransportQueryError) -> str:
    """What an answer's errors say, those that are about a query's size by their names."""
    found = ((str(one.get("type", "")), str(one.get("message", one))) for one in error.errors or [])
    return "; ".join(f"{kind}: {text}" if kind in _TOO_MUCH else text for kind, text in found)


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
        return "something went wrong" in _said(error).lower() or not _TOO_MUCH.isdisjoint(_types(error))
    return isinstance(error, TransportError | requests.RequestException)


def _takes_too_long(error: BaseException) -> bool:
    """Whether a failed read may have asked for too much: GitHub ends after ten seconds, mostly by a 502 or 504 (Q2)."""
    if isinstance(error, TransportServerError):
        return error.code is not None and error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, TransportQueryError) or isinstance(error.__cause__, requests.Timeout)


def _message(error: pygithub.GithubException) -> str:
    data = error.data if isinstance(error.data, dict) else {}
    return " ".join(str(data.get("message") or f"GitHub answered {error.status}").split())
