"""The client: everything that is asked of GitHub, each by one method."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import groupby
from typing import Any, Self, cast
from urllib.parse import quote

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
from mergeq.core.query import updated_between
from mergeq.core.queue import UpdateMethod
from mergeq.core.status import Status
from mergeq.github import documents, merging, parse
from mergeq.github.auth import App, Credentials
from mergeq.github.merging import MergeAnswer, MergeVerdict
from mergeq.github.protecting import Protecting
from mergeq.github.wire import Refused, Reply, Unreadable, Wire, in_parts

_PAGE = 34  # pull requests at once; each has seven lists, which makes two points of GitHub's
_STATES = 48  # branches whose states are read in one call, of three lists each: one point
_LIST = 100  # what GitHub shows of any list at most at once
_MEMBER_SECONDS = 600.0  # how long it is believed that we are in a team, or not


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


class GitHub:
    """GitHub over HTTP: GraphQL for reads, REST for writes. One object may be used by several threads and after a
    fork.

    Every method raises HeldBack when GitHub's limits do not let it go on, whatever else it raises: nothing was done.
    """

    def __init__(self, wire: Wire, teams: dict[tuple[str, str], tuple[float, bool]] | None = None) -> None:
        self._wire = wire
        self._teams = {} if teams is None else teams  # when a login was looked for in a team, and whether it was there

    def on(self, purpose: Purpose) -> Self:
        """The same client, whose calls are for that purpose; connections are shared."""
        return type(self)(self._wire.on(purpose), self._teams)

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
            page = self._wire.read(document, variables | {"cursor": cursor}, what)["search"]
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
            data = self._wire.read(documents.LOOK, variables, str(branch))
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
            nodes = self._wire.read(documents.PULLS, variables, f"pull requests of {owner}", owner)["nodes"]
            return self._seen(variables["ids"], nodes)

        return dict.fromkeys(ids, Seen()) | in_parts(ids, lambda: self._page_size(owner), read)

    def _page_size(self, owner: str) -> int:
        return self._wire.meter.most(f"pulls of {owner}") or _PAGE

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
        data = self._wire.read(documents.last_look(len(numbers)), variables, what)
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
        node = self._wire.read(documents.BASE, {"owner": owner, "name": name, "number": number}, what)["repository"]
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
            data = self._wire.read(documents.landing(len(numbers)), variables, what)
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
        node = (
            self._wire.read(documents.staged(len(shas)), variables, f"the staged commits of {branch}")["repository"]
            or {}
        )
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
            found |= dict.fromkeys(named) | in_parts(named, lambda: _STATES, read)
        return found

    def _states_of(self, owner: str, blocker_label: str, branches: Sequence[Branch]) -> dict[Branch, Look | None]:
        variables = {"owner": owner} | _blocking(blocker_label)
        for index, branch in enumerate(branches):
            names = {"name": branch.repo, "base": branch.name, "ref": f"refs/heads/{branch.name}"}
            variables |= {f"{name}{index}": value for name, value in names.items()}
        answer = self._wire.read(documents.states_of(len(branches)), variables, f"{len(branches)} branches of {owner}")
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
            read = self._wire.read(documents.COMMITS, variables | {"cursor": cursor}, what)["repository"] or {}
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
                more = found(self._wire.read(document, asked, what)["repository"])
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
            done = self._wire.write("PUT", path, body) or {}
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
            self._wire.mutate(documents.PUSH, variables, branch.org)
        except Refused as error:
            return merging.push_refusal(error.status, error.text)
        return MergeAnswer(MergeVerdict.MERGED, "", after)

    def say_once(self, branch: Branch, number: int, body: str, since: float) -> None:
        """Comment on a pull request, unless the same was said there since (epoch seconds). Raises Refused."""
        path = f"/repos/{branch.full_repo}/issues/{number}/comments"
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = self._wire.get(f"{path}?per_page={_LIST}&since={quote(start)}")
        if all(one["body"].strip() != body for one in said):
            self._wire.write("POST", path, {"body": body})

    def close_pull(self, branch: Branch, number: int) -> None:
        """Close a pull request. Raises Refused."""
        self._wire.write("PATCH", f"/repos/{branch.full_repo}/pulls/{number}", {"state": "closed"})

    def create_ref(self, branch: Branch, name: str, sha: str) -> None:
        """Create ``refs/heads/NAME``. Raises Refused."""
        self._wire.write("POST", f"/repos/{branch.full_repo}/git/refs", {"ref": f"refs/heads/{name}", "sha": sha})

    def reset_ref(self, branch: Branch, name: str, sha: str) -> None:
        """Move a ref of our own, backwards too. Raises Refused."""
        self._wire.write(
            "PATCH", f"/repos/{branch.full_repo}/git/refs/heads/{quote(name)}", {"sha": sha, "force": True}
        )

    def delete_ref(self, branch: Branch, name: str) -> None:
        """Delete a ref of our own; one that is gone already is no error. Raises Refused."""
        try:
            self._wire.write("DELETE", f"/repos/{branch.full_repo}/git/refs/heads/{quote(name)}", None)
        except Refused as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
                raise

    def refs_under(self, branch: Branch, prefix: str) -> list[tuple[str, float]]:
        """The branches whose names begin with `prefix`, with when their tips were committed. Raises Refused."""
        found = self._wire.get(f"/repos/{branch.full_repo}/git/matching-refs/heads/{quote(prefix)}")
        refs = [(one["ref"].removeprefix("refs/heads/"), one["object"]["sha"]) for one in found]
        return [(name, parse.seconds(self._commit(branch, sha)["committer"]["date"])) for name, sha in refs]

    def has_branch(self, branch: Branch, name: str) -> bool:
        """Whether the repository has a branch of exactly that name. Raises Refused."""
        try:
            self._wire.get(f"/repos/{branch.full_repo}/git/ref/heads/{quote(name)}")
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def merge_into(self, branch: Branch, name: str, sha: str, message: str) -> tuple[str, str] | None:
        """Merge a commit into a ref of our own; the new commit and its tree, or None when it conflicts. Raises Refused.

        What is merged already gives the ref's own tip (GitHub answers 204, Q83).
        """
        body = {"base": name, "head": sha, "commit_message": message}
        try:
            done = self._wire.write("POST", f"/repos/{branch.full_repo}/merges", body)
        except Refused as error:
            if error.status == HTTPStatus.CONFLICT and "conflict" in error.text.lower():
                return None
            raise
        if not done:
            tip = self._wire.get(f"/repos/{branch.full_repo}/git/ref/heads/{quote(name)}")["object"]["sha"]
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
        data = self._wire.mutate(documents.merges(len(shas)), variables, branch.org, bears="conflict")
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
        found = self._wire.get(f"/repos/{branch.full_repo}/compare/{other}...{sha}?per_page=1")
        return int(found["behind_by"])

    def unsigned(self, branch: Branch, base: str, sha: str) -> tuple[str, ...]:
        """The commits that `sha` has and `base` has not whose signatures GitHub does not call verified. Raises Refused,
        also where they are more than GitHub shows.
        """
        path, found, page = f"/repos/{branch.full_repo}/compare/{base}...{sha}", list[Any](), 1
        while True:
            read = self._wire.get(f"{path}?per_page={_LIST}&page={page}")
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
        rules = self._wire.get(
            f"/repos/{branch.full_repo}/rules/branches/{quote(branch.name, safe='')}?per_page={_LIST}"
        )
        unknown = [rule for rule in rules if parse.is_hidden(rule["type"], merge_state)]
        sets = {rule["ruleset_id"] for rule in unknown}
        told = {one: self._wire.get(f"/repos/{branch.full_repo}/rulesets/{one}") for one in sets}
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
            page = self._wire.get(f"{path}&page={len(found) // _LIST + 1}")
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
            self._wire.mutate(documents.REBASE, {"pull": pull, "head": head_sha}, branch.org)
        else:
            path = f"/repos/{branch.full_repo}/pulls/{number}/update-branch"
            self._wire.write("PUT", path, {"expected_head_sha": head_sha})

    def create_commit(self, branch: Branch, tree: str, parents: Sequence[str], message: str) -> str:
        """Make a commit object, without author or committer so that GitHub signs it. Raises Refused."""
        body = {"message": message, "tree": tree, "parents": list(parents)}
        return str(self._wire.write("POST", f"/repos/{branch.full_repo}/git/commits", body)["sha"])

    def dispatch(self, branch: Branch, event_type: str, payload: Mapping[str, Any]) -> None:
        """Tell whatever listens in the repository, as a workflow on `repository_dispatch`; GitHub takes ten keys at
        most. Sent twice it happens twice. Raises Refused.
        """
        body = {"event_type": event_type, "client_payload": dict(payload)}
        self._wire.write("POST", f"/repos/{branch.full_repo}/dispatches", body)

    def set_status(self, branch: Branch, sha: str, context: str, status: Status, target_url: str) -> Context:
        """Post one commit status; as GitHub shows it now. Posting the same again only costs one of GitHub's 1000.
        Raises Refused.
        """
        body = {"state": status.state, "description": status.description, "context": context}
        if target_url:
            body["target_url"] = target_url
        done = self._wire.write("POST", f"/repos/{branch.full_repo}/statuses/{sha}", body)
        result = parse.status_result(status.state)
        return Context(context, result, at=parse.seconds(done["created_at"]), description=status.description)

    # anything else, for looking GitHub over

    @property
    def credentials(self) -> Credentials:
        """Who this client speaks as."""
        return self._wire.credentials

    @property
    def version(self) -> str:
        """That of an Enterprise Server that was met; else empty."""
        return self._wire.server.version

    def speaking_as(self, credentials: Credentials) -> "GitHub":
        """A client of the same GitHub for somebody else."""
        return GitHub(self._wire.speaking_as(credentials))

    def protecting_as(self, credentials: Credentials) -> Protecting:
        """Protection of the same GitHub for somebody, on connections of their own."""
        return Protecting(self._wire.speaking_as(credentials))

    def ask(self, owner: str, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One REST call about what `owner` has, sent once, whatever GitHub answers. Raises Unreadable when nothing was
        answered, or nobody may ask.
        """
        return self._wire.ask(owner, verb, path, body)

    def query(self, owner: str, document: str, variables: Mapping[str, Any], what: str) -> dict[str, Any]:
        """The data of one GraphQL query about what `owner` has. Raises Unreadable."""
        return self._wire.read(document, dict(variables), what, owner)

    def learn_server(self, owner: str) -> tuple[str, ...]:
        """What this GitHub does not know of all that is asked for, in words; from now on it is not asked for."""
        return self._wire.learn_server(owner)

    def close(self) -> None:
        """Close this thread's connections."""
        self._wire.close()

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

    def is_member(self, team: str, login: str) -> bool:
        """Whether a login is seen to be a member of a team, ``ORG/TEAM``; False where we may not know."""
        return self._is_in(f"@{team}", login)

    def _is_in(self, team: str, login: str) -> bool:
        """Whether a login is in ``@ORG/TEAM``, as far as we may know (REST, "Get team membership for a user")."""
        at, known = self._teams.get((team, login), (-math.inf, False))
        if self._wire.meter.now() - at >= _MEMBER_SECONDS:
            org, _, slug = team.removeprefix("@").partition("/")
            try:
                told = self._wire.get(f"/orgs/{org}/teams/{quote(slug)}/memberships/{quote(login)}")
                known = told["state"] == "active"
            except Refused:
                known = False
            self._teams[team, login] = self._wire.meter.now(), known
        return known

    def _withholds_workflows(self, owner: str) -> bool:
        """Whether we certainly may not change workflow files (Q58): by the scopes of a classic token, or what an App
        has been granted. Of a fine-grained token GitHub tells nothing.
        """
        if isinstance(self._wire.credentials, App):
            return self._wire.credentials.lacks(owner, "workflows")
        return self._wire.server.scopes is not None and "workflow" not in self._wire.server.scopes

    def _commit(self, branch: Branch, sha: str) -> Any:
        return self._wire.get(f"/repos/{branch.full_repo}/git/commits/{sha}")

    def _ref(self, branch: Branch) -> dict[str, Any]:
        return {"owner": branch.org, "name": branch.repo, "ref": f"refs/heads/{branch.name}"}

    def _variables(self, branch: Branch, blocker_label: str) -> dict[str, Any]:
        return self._ref(branch) | _blocking(blocker_label)


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


def _is_it(branch: Branch, node: dict[str, Any] | None) -> bool:
    """Whether a repository was read by the name it has, and has the branch (Q27)."""
    return bool(node and node["ref"]) and str(node and node["nameWithOwner"]).lower() == branch.full_repo.lower()


def _first_parent(commit: dict[str, Any]) -> str:
    parents = commit["parents"]["nodes"]
    return str(parents[0]["oid"]) if parents else ""
