"""Branch protection over the API: what there is of it in many repositories at once, and one change of it at a time."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any, cast
from urllib.parse import quote

from mergeq.core.budget import Purpose
from mergeq.core.protection import (
    ANY_APP,
    OURS,
    Actors,
    Backend,
    Field,
    Item,
    Kind,
    Problem,
    RepoFacts,
    Rule,
    Ruleset,
    Trouble,
    actors,
)
from mergeq.core.rulesets import in_place, rewritten, standing
from mergeq.github import documents, parse, protection
from mergeq.github.auth import App
from mergeq.github.budget import HeldBack
from mergeq.github.wire import Refused, Reply, Unreadable, Wire, in_parts

_REPOS = 10  # repositories at once: five points of GitHub's, as long as each costs half a point
_POINTS = 5  # what a call may cost
_FOUND = 24 * 3600.0  # seconds for which it is believed who somebody is
_YEAR = 365 * 24 * 3600.0
_NOT_FOUND = 600.0  # and that there is nobody of a name
_PLAN = 3600.0  # and that a plan has no protection for private repositories
_SETTLE = 2.0  # seconds before it is looked what became of a write that nothing is known of
_LOOKS = 4
_APART = 1.0  # seconds between two writes ("Best practices for using the REST API")
_AT_ONCE = 50  # people, and as many teams, who are looked up in one call
_WRITERS = ("push", "maintain", "admin")
_AUDITED = ("protected_branch", "repository_ruleset")
_NO_CHANGES = frozenset({"rejected_ref_update", "policy_override"})
"""What the log has of a rule that was met, or passed by, not changed ("Audit log events for your organization")."""
_NOBODY_SEES = "or the token may not see it"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of protection as GitHub tells of it: when, in epoch seconds, by whose login, what was done, and the
    pattern or the name of the ruleset that it is about, empty where that is not told.
    """

    at: float
    by: str
    what: str
    about: str


@dataclass(frozen=True, slots=True)
class _Known:
    """Who a name stands for: node id and number, empty and 0 for nobody."""

    id: str = ""
    number: int = 0


class _NotOurs(Exception):
    """Something that is not to be changed by us."""


class _NoSuchActor(Exception):
    """Somebody who is to be named does not exist."""


class Protecting:
    """Reads and writes protection in somebody's name. One object may be used by several threads; what is found out of
    people, teams, Apps and plans is believed for a while, by all processes.

    All but `write` and `replace` raise HeldBack when GitHub's limits do not let them go on and nothing was read yet.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire.on(Purpose.PROTECTION)
        self._sizes: dict[str, int] = {}
        self._slugs: dict[int, str] = {}
        self._whole: dict[int, Ruleset] = {}
        self._pages: dict[str, Reply] = {}

    @property
    def calls(self) -> int:
        """How many calls this thread has made, the same count for all that share its connections."""
        return self._wire.calls

    def account(self, owner: str) -> str:
        """Whose limits count where something of an owner's is written."""
        return self._wire.credentials.account(owner)

    def close(self) -> None:
        """Close this thread's connections."""
        self._wire.close()

    # reading

    def repos(self, org: str) -> list[RepoFacts]:
        """The repositories of an organization or person that are not archived, without their rules: two points for two
        hundred (P7.14). Raises Unreadable.
        """
        what, found, cursor = f"the repositories of {org}", list[RepoFacts](), None
        while True:
            data = self._wire.read(documents.REPOSITORIES, {"owner": org, "cursor": cursor}, what, org)
            if (owner := data["repositoryOwner"]) is None:
                raise Unreadable(f"{what} could not be read: there is no {org} on GitHub, {_NOBODY_SEES}")
            page = owner["repositories"]
            found += [protection.facts(node["nameWithOwner"], node) for node in page["nodes"] if node]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            cursor = page["pageInfo"]["endCursor"]

    def read(self, repos: Iterable[str], *, branches: Collection[str] = ()) -> dict[str, RepoFacts]:
        """The protection of repositories, each ORG/REPO, about half a point each and no REST call; the names of all
        branches of those that are among `branches` too. What could not be read is unknown, and says why.
        """
        found: dict[str, RepoFacts] = {}
        for owner, theirs in groupby(sorted(set(repos)), key=_owner):
            named = list(theirs)
            problem = self._read_of(owner, named, branches, found)
            found |= {repo: _unknown(repo, problem) for repo in named if repo not in found}
        return found

    def _read_of(
        self, owner: str, named: Sequence[str], branches: Collection[str], found: dict[str, RepoFacts]
    ) -> Problem:
        """Add to `found` what can be read of repositories of one owner; the trouble with those that are missing."""
        problem = Problem(Trouble.SERVER, "")

        def read(part: Sequence[str]) -> dict[str, RepoFacts]:
            nonlocal problem
            try:
                seen = self._read_part(owner, part, branches)
            except Unreadable as error:
                problem = _trouble(0, str(error), owner)
                self._wire.meter.set_most(f"rules of {owner}", max(len(part) // 2, 1))
                raise
            found.update(seen)
            return seen

        try:
            in_parts(named, lambda: self._size(owner), read)
        except HeldBack as error:
            if not found:
                raise
            return Problem(Trouble.RATE_LIMITED, str(error))
        except Unreadable:
            pass
        return problem

    def _size(self, owner: str) -> int:
        """How many repositories to ask for at once: as many as GitHub's points allow, and its ten seconds."""
        size = self._sizes.get(owner, _REPOS)
        return min(size, self._wire.meter.most(f"rules of {owner}") or size)

    def _read_part(self, owner: str, part: Sequence[str], branches: Collection[str]) -> dict[str, RepoFacts]:
        variables: dict[str, Any] = {"owner": owner}
        for index, repo in enumerate(part):
            variables |= {f"name{index}": repo.partition("/")[2], f"branches{index}": repo in branches}
        whose = part[0] if len(part) == 1 else owner
        data = self._wire.read(documents.protected(len(part)), variables, f"the protection in {owner}", whose)
        nodes = [data[f"repo{index}"] or {"refused": {}} for index in range(len(part))]
        if len(part) > 1 and any(_is_passing(node) for node in nodes):
            raise Unreadable(f"not all of {', '.join(part)} could be read at once")
        if cost := (data.get("rateLimit") or {}).get("cost"):
            self._sizes[owner] = max(1, min(2 * _REPOS, _POINTS * len(part) // cost))
        return {repo: self._facts(repo, node) for repo, node in zip(part, nodes, strict=True)}

    def _facts(self, repo: str, node: dict[str, Any]) -> RepoFacts:
        if (error := node.get("refused")) is not None:
            status = _STATUS.get(error.get("type", ""), 0)
            return _unknown(repo, _trouble(status, error.get("message") or "GitHub gave no reason", repo))
        known = protection.facts(repo, node)
        if known.renamed_to:
            words = f"{repo} is called {known.renamed_to} now; write that name in the configuration"
            return replace(known, problem=Problem(Trouble.GONE, words))
        try:
            known = replace(known, branches=self._branches(repo, node), rulesets=self._rulesets(repo, node))
            if not (node["viewerCanAdminister"] or isinstance(self._wire.credentials, App)):
                return replace(known, problem=_no_admin(repo))
            known = replace(known, rules=self._rules(repo, node), problem=self._obstacle(known, node))
        except Unreadable as error:
            return replace(known, problem=_trouble(0, str(error), repo))
        return known

    def _obstacle(self, known: RepoFacts, node: Mapping[str, Any]) -> Problem | None:
        """Why nothing can be written, though it could be read."""
        if known.is_archived:
            words = f"{known.repo} is archived, and nothing can be changed there; take it out of the configuration"
            return Problem(Trouble.ARCHIVED, words)
        if node["isDisabled"]:
            return Problem(Trouble.REFUSED, f"GitHub has disabled {known.repo}; its owner has to ask why")
        if known.is_private and known.default_branch and (said := self._unpaid(known)):
            return _trouble(HTTPStatus.FORBIDDEN, said, known.repo)
        return None

    def _unpaid(self, known: RepoFacts) -> str:
        """What GitHub says where the owner's plan has no protection for private repositories (P6.21), which only REST
        tells before anything is written; it is asked once an hour of one repository of an owner.
        """
        plan, ledger, now = f"plan of {_owner(known.repo)}", self._wire.meter.ledger, self._wire.meter.now()
        (said,) = ledger.recall([plan], now)
        if said is None:
            path = f"/repos/{known.repo}/branches/{quote(known.default_branch, safe='')}/protection"
            reply = self._wire.ask(known.repo, "GET", path)
            said = reply.text if reply.status == HTTPStatus.FORBIDDEN and _is_unpaid(reply.text) else ""
            ledger.remember(plan, said, now + _PLAN)
        return said

    def _branches(self, repo: str, node: Mapping[str, Any]) -> frozenset[str] | None:
        if not node.get("refs"):
            return None
        pages = self._pages_of(repo, documents.MORE_BRANCHES, "refs", node["refs"])
        return frozenset(one["name"] for one in pages)

    def _rules(self, repo: str, node: Mapping[str, Any]) -> tuple[Rule, ...]:
        found = []
        for one in self._pages_of(repo, documents.MORE_RULES, "branchProtectionRules", node["branchProtectionRules"]):
            whole = dict(one)
            for listing in documents.EXCEPTIONS:
                asked = {"rule": one["id"]}
                rest = self._after(one[listing], documents.more_exceptions(listing), asked, repo, ("node", listing))
                whole[listing] = {"nodes": list(rest)}
            self._learn_apps(repo, whole)
            found.append(protection.rule(whole))
        return tuple(found)

    def _rulesets(self, repo: str, node: Mapping[str, Any]) -> tuple[Ruleset, ...] | None:
        """Those of the repository and all above it; what GraphQL cannot tell of one is asked of REST, once for each
        state of it (P7.43).
        """
        if node["rulesets"] is None:
            return None
        nodes = list(self._pages_of(repo, documents.MORE_RULESETS, "rulesets", node["rulesets"]))
        for one in nodes:
            self._learn_apps(repo, one)
        numbers = sorted({number for one in nodes for number in protection.app_numbers(one)} - self._slugs.keys())
        told = self._wire.meter.ledger.recall([f"app {number}" for number in numbers], self._wire.meter.now())
        self._slugs |= {number: slug for number, slug in zip(numbers, told, strict=True) if slug}
        return tuple(self._whole_ruleset(repo, one) for one in nodes)

    def _learn_apps(self, repo: str, node: Mapping[str, Any]) -> None:
        """Know the Apps of a rule from now on: an App may be one that only its owner is told of when he asks."""
        for app in protection.apps_in(node):
            if app["databaseId"] not in self._slugs:
                self._remember(repo, ("apps", app["slug"].lower()), app)

    def _whole_ruleset(self, repo: str, node: Mapping[str, Any]) -> Ruleset:
        found = protection.ruleset(repo, node, self._slugs)
        if found.is_whole or node["bypassActors"] is None:
            return found
        known = self._whole.get(found.id)
        if known is None or known.updated_at != found.updated_at:
            reply = self._wire.ask(repo, "GET", f"/repos/{repo}/rulesets/{found.id}")
            if reply.status != HTTPStatus.OK:
                return found
            known = self._whole[found.id] = protection.ruleset_by_rest(found, reply.data, self._slugs)
        return known

    def _pages_of(self, repo: str, document: str, listing: str, first: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What a list of a repository holds, to its end."""
        owner, _, name = repo.partition("/")
        return self._after(first, document, {"owner": owner, "name": name}, repo, ("repository", listing))

    def _after(
        self, first: dict[str, Any], document: str, asked: dict[str, Any], repo: str, place: tuple[str, str]
    ) -> Iterator[dict[str, Any]]:
        """What is on a page, and on those that follow it, each asked for by `document` and found in that place."""
        page = first
        while True:
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            variables = asked | {"cursor": page["pageInfo"]["endCursor"]}
            data = self._wire.read(document, variables, f"the protection of {repo}", repo)
            if not data[place[0]]:
                raise Unreadable(f"the protection of {repo} went away while it was read")
            page = data[place[0]][place[1]]

    # writing

    def write(self, item: Item, facts: RepoFacts) -> Problem | None:
        """Carry out one item of a plan, whose repository was just read as `facts`; None when it is done. A classic rule
        is one mutation, by its id where there is one; what is not among the changes stays as it is.

        Everybody who is to be named is looked for before anything is written. Where it is not known whether it was done
        the rules are read again until two looks agree (D6). Nothing is raised.
        """
        return self._tried(lambda: self._write(item, facts), lambda: self._is_done(item), item.target.repo)

    def replace(
        self, repo: str, branch: str, body: Mapping[str, Any] | None, signatures: bool | None = None
    ) -> Problem | None:
        """Put the protection of one branch in place of what it was by REST, which is what Prow does; None takes it
        away. `signatures` are set afterwards where they are said (P4.10), and only if the rest was (E68).
        """
        path = f"/repos/{repo}/branches/{quote(branch, safe='')}/protection"

        def write() -> None:
            if body is None:
                self._wire.write("DELETE", path, None)
                return
            self._wire.write("PUT", path, dict(body))
            if signatures is not None:
                self._wire.sleep(_APART)
                self._wire.write("POST" if signatures else "DELETE", f"{path}/required_signatures", None)

        return self._tried(write, lambda: None, repo)

    def _tried(self, write: Callable[[], None], is_done: Callable[[], bool | None], repo: str) -> Problem | None:
        try:
            write()
        except HeldBack as error:
            return Problem(Trouble.RATE_LIMITED, str(error))
        except _NoSuchActor as error:
            return Problem(Trouble.ACTOR_INVALID, str(error))
        except _NotOurs as error:
            return Problem(Trouble.REFUSED, str(error))
        except Unreadable as error:
            return _trouble(0, str(error), repo)
        except Refused as error:
            problem = _trouble(error.status, error.text, repo)
            if problem.kind is not Trouble.SERVER:
                return problem
            done = self._settled(is_done)
            if done is None:
                return replace(problem, text=f"{problem.text}; whether it was done is not known")
            return None if done else replace(problem, text=f"{problem.text}; it was not done")
        return None

    def _settled(self, look: Callable[[], bool | None]) -> bool | None:
        """What two looks in a row agree on; None where they do not, or nothing can be seen."""
        before: bool | None = None
        for _ in range(_LOOKS):
            self._wire.sleep(_SETTLE)
            try:
                found = look()
            except HeldBack:
                return None
            if found is not None and found == before:
                return found
            before = found
        return None

    def _is_done(self, item: Item) -> bool | None:
        """Whether what an item changes is as it is to be; None where it cannot be seen."""
        facts = self.read([item.target.repo])[item.target.repo]
        if facts.rules is None or facts.rulesets is None:
            return None
        wanted = {change.field: change.after for change in item.changes}
        if item.backend is Backend.RULESET:
            ruleset = standing(facts, item.target.pattern)
            if ruleset is None or item.kind is Kind.DELETE:
                return (ruleset is None) == (item.kind is Kind.DELETE)
            values = in_place(ruleset, item.target.pattern)
            return all(values[field] == value for field, value in wanted.items())
        rule = facts.rule(item.target.pattern)
        if rule is None or item.kind is Kind.DELETE:
            return (rule is None) == (item.kind is Kind.DELETE)
        if Field.CONTEXTS in wanted:
            wanted[Field.CONTEXTS] = protection.pinned(wanted[Field.CONTEXTS], item.before)
        return all(rule.values[field] == value for field, value in wanted.items())

    def _write(self, item: Item, facts: RepoFacts) -> None:
        if item.backend is Backend.RULESET:
            self._write_ruleset(item, facts)
            return
        repo, rule = item.target.repo, facts.rule(item.target.pattern)
        if item.kind is Kind.DELETE:
            self._mutate(documents.LIFT_RULE, {"branchProtectionRuleId": item.rule}, repo)
            return
        before = rule.values if rule else {}
        changes = {change.field: change.after for change in item.changes}
        if Field.CONTEXTS in changes:
            changes[Field.CONTEXTS] = protection.pinned(changes[Field.CONTEXTS], before)
        named = protection.named_in(changes)
        who = self._resolved(repo, named)
        asked = protection.sent(
            changes,
            lambda named: [who[one].id for one in _spelt(named)],
            lambda app: app if app == ANY_APP else who["apps", app].id,
        )
        try:
            if item.kind is Kind.CREATE:
                asked |= {"repositoryId": facts.id, "pattern": item.target.pattern}
                self._mutate(documents.PROTECT, asked, repo)
            else:
                self._mutate(documents.CHANGE_RULE, asked | {"branchProtectionRuleId": item.rule}, repo)
        except Refused as error:
            if _NO_NODE in error.text.lower():
                self._forget(repo, named)
            raise

    def _write_ruleset(self, item: Item, facts: RepoFacts) -> None:
        """By REST, which alone knows all of a ruleset (P7.43). One that is there is read again in full first, so that
        what no field can say is sent back as it is.
        """
        repo, path = item.target.repo, f"/repos/{item.target.repo}/rulesets"
        old = standing(facts, item.target.pattern)
        if (str(old.id) if old else "") != item.rule:
            raise Refused(HTTPStatus.CONFLICT, f"the ruleset for {item.target.pattern} is not the one that was planned")
        if old is None:
            self._wire.write("POST", path, self._body(repo, rewritten(item.after, item.target, None)))
            return
        told = protection.ruleset_by_rest(old, self._seen(f"{path}/{old.id}"), self._slugs)
        if item.kind is Kind.DELETE:
            if not old.name.startswith(OURS):
                raise _NotOurs(f"the ruleset {old.name} of {repo} was not made by mergeq; delete it by hand")
            self._wire.write("DELETE", f"{path}/{old.id}", None)
            return
        if not told.is_whole:
            raise _NotOurs(f"the ruleset {old.name} of {repo} is not shown in full to mergeq, so it is not changed")
        self._wire.write("PUT", f"{path}/{old.id}", self._body(repo, rewritten(item.after, item.target, told)))

    def _seen(self, path: str) -> Mapping[str, Any]:
        """A ruleset as it is now, which readers see too: one that is not found is gone. Raises Refused."""
        try:
            return cast("Mapping[str, Any]", self._wire.get(path))
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise Refused(HTTPStatus.CONFLICT, "the ruleset is gone") from None
            raise

    def _body(self, repo: str, ruleset: Ruleset) -> dict[str, Any]:
        who = self._resolved(repo, Actors(apps=protection.pins_of(ruleset)))
        return protection.ruleset_body(ruleset, {name: known.number for (_, name), known in who.items()})

    def _mutate(self, document: str, asked: dict[str, Any], repo: str) -> None:
        self._wire.mutate(document, {"input": asked}, repo)

    # who is who, and who did it

    def authorized(self, repo: str) -> Actors:
        """Who may be named among those who may push: Apps that write contents, people and teams that at least push
        (P3.12); three lists, which are asked for again only if they changed. Raises Unreadable.
        """
        owner = _owner(repo)
        apps = self._listed(repo, f"/orgs/{owner}/installations", "installations")
        people = self._listed(repo, f"/repos/{repo}/collaborators")
        teams = self._listed(repo, f"/repos/{repo}/teams")
        for app in apps:
            self._remember_slug(app["app_id"], app["app_slug"])
        return actors(
            (one["login"] for one in people if one["permissions"]["push"]),
            (one["slug"] for one in teams if (one.get("permissions") or {}).get("push", one["permission"] in _WRITERS)),
            (one["app_slug"] for one in apps if one["permissions"].get("contents") == "write"),
        )

    def changed_by(self, repo: str, since: float) -> tuple[Changed, ...]:
        """Who changed protection of a repository since a time, in epoch seconds, newest first: as the organization's
        audit log says, else of its own rulesets as their histories do. What GitHub does not show is not told.
        """
        owner = _owner(repo)
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = []
        for action in _AUDITED:
            phrase = quote(f"action:{action} repo:{repo} created:>={start}")
            reply = self._wire.ask(repo, "GET", f"/orgs/{owner}/audit-log?phrase={phrase}&per_page=100")
            if reply.status != HTTPStatus.OK:
                return self._by_histories(repo, since)
            found += [
                Changed(
                    one["@timestamp"] / 1000,
                    one.get("actor") or "",
                    one["action"],
                    one.get("name") or one.get("ruleset_name") or "",
                )
                for one in reply.data
                if one["action"].rpartition(".")[2] not in _NO_CHANGES
            ]
        return tuple(sorted(found, key=lambda one: one.at, reverse=True))

    def _by_histories(self, repo: str, since: float) -> tuple[Changed, ...]:
        found: list[Changed] = []
        for ruleset in self.read([repo])[repo].rulesets or ():
            if ruleset.owner.lower() != repo.lower() or parse.seconds(ruleset.updated_at) < since:
                continue
            reply = self._wire.ask(repo, "GET", f"/repos/{repo}/rulesets/{ruleset.id}/history?per_page=100")
            told = reply.data if reply.status == HTTPStatus.OK else ()
            recent = [one for one in told if parse.seconds(one["updated_at"]) >= since]
            found += (
                Changed(
                    parse.seconds(one["updated_at"]), self._login(repo, one["actor"]["id"]), "ruleset", ruleset.name
                )
                for one in recent
            )
        return tuple(sorted(found, key=lambda one: one.at, reverse=True))

    def _login(self, repo: str, number: int) -> str:
        """Whose number it is ("Get a user using their ID"); empty where GitHub does not say."""
        reply = self._wire.ask(repo, "GET", f"/user/{number}")
        return str(reply.data["login"]) if reply.status == HTTPStatus.OK else ""

    def _listed(self, repo: str, path: str, wrap: str = "") -> list[dict[str, Any]]:
        """All of a list by REST. Raises Unreadable."""
        found, page = list[dict[str, Any]](), 1
        while True:
            reply = self._kept(repo, f"{path}?per_page=100&page={page}")
            if reply.status != HTTPStatus.OK:
                raise Unreadable(f"{path} could not be read: {reply.text}")
            found += reply.data[wrap] if wrap else reply.data
            if 'rel="next"' not in reply.headers.get("link", ""):
                return found
            page += 1

    def _kept(self, repo: str, path: str) -> Reply:
        """An answer, the one from before where GitHub says that it is the same still, which costs nothing."""
        known = self._pages.get(path)
        headers = {"If-None-Match": known.headers["etag"]} if known else None
        reply = self._wire.ask(repo, "GET", path, headers=headers)
        if known is not None and reply.status == HTTPStatus.NOT_MODIFIED:
            return known
        if reply.status == HTTPStatus.OK and "etag" in reply.headers:
            self._pages[path] = reply
        return reply

    def _resolved(self, repo: str, named: Actors) -> dict[tuple[str, str], _Known]:
        """Everybody named, by kind and name. Raises _NoSuchActor with all that do not exist, and Unreadable."""
        owner, wanted = _owner(repo), _spelt(named)
        told = self._wire.meter.ledger.recall([_key(owner, one) for one in wanted], self._wire.meter.now())
        who = {one: _heard(said) for one, said in zip(wanted, told, strict=True) if said is not None}
        unknown = [one for one in wanted if one not in who]
        people, teams = ([name for kind, name in unknown if kind == which] for which in ("users", "teams"))
        found = {("apps", name): self._app(repo, name) for kind, name in unknown if kind == "apps"}
        for first in range(0, max(len(people), len(teams)), _AT_ONCE):
            found |= self._looked_up(repo, people[first : first + _AT_ONCE], teams[first : first + _AT_ONCE])
        who |= {one: self._remember(repo, one, node) for one, node in found.items()}
        if missing := [f"{kind.removesuffix('s')} {name}" for (kind, name), known in who.items() if not known.id]:
            words = f"GitHub knows no {', no '.join(missing)} in {owner}, {_NOBODY_SEES}; correct the configuration"
            raise _NoSuchActor(words)
        return who

    def _remember(self, repo: str, one: tuple[str, str], node: Mapping[str, Any] | None) -> _Known:
        known = _Known(node["id"], node["databaseId"] or 0) if node else _Known()
        until = self._wire.meter.now() + (_FOUND if node else _NOT_FOUND)
        self._wire.meter.ledger.remember(_key(_owner(repo), one), f"{known.id} {known.number}", until)
        if one[0] == "apps" and known.number:
            self._remember_slug(known.number, one[1])
        return known

    def _forget(self, repo: str, named: Actors) -> None:
        """Look for everybody again: who was deleted and made again since has another id (P7.45)."""
        for one in _spelt(named):
            self._wire.meter.ledger.remember(_key(_owner(repo), one), "", 0.0)

    def _remember_slug(self, number: int, slug: str) -> None:
        """Rulesets tell the number of an App alone, and GitHub no slug of a number."""
        self._slugs[number] = slug
        self._wire.meter.ledger.remember(f"app {number}", slug, self._wire.meter.now() + _YEAR)

    def _looked_up(self, repo: str, people: Sequence[str], teams: Sequence[str]) -> dict[tuple[str, str], Any]:
        variables: dict[str, Any] = {f"user{n}": name for n, name in enumerate(people)}
        variables |= {f"team{n}": name for n, name in enumerate(teams)}
        variables |= {"owner": _owner(repo)} if teams else {}
        document = documents.actors(len(people), len(teams))
        data = self._wire.read(document, variables, f"who is who in {_owner(repo)}", repo)
        theirs = data.get("organization") or {}
        found: dict[tuple[str, str], Any] = {("users", name): data[f"user{n}"] for n, name in enumerate(people)}
        return found | {("teams", name): theirs.get(f"team{n}") for n, name in enumerate(teams)}

    def _app(self, repo: str, slug: str) -> dict[str, Any] | None:
        """An App by its slug ("Get an app")."""
        reply = self._wire.ask(repo, "GET", f"/apps/{quote(slug, safe='')}")
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status != HTTPStatus.OK:
            raise Unreadable(f"the App {slug} could not be looked up: {reply.text}")
        return {"id": reply.data["node_id"], "databaseId": reply.data["id"]}


def _key(owner: str, one: tuple[str, str]) -> str:
    """What it is kept under who somebody is."""
    return f"actor {owner} {' '.join(one)}".lower()


def _heard(said: str) -> _Known:
    identifier, _, number = said.partition(" ")
    return _Known(identifier, int(number))


def _spelt(named: Actors) -> list[tuple[str, str]]:
    """Everybody by kind and name, in order."""
    return [(kind, name) for kind in ("users", "teams", "apps") for name in sorted(getattr(named, kind))]


_STATUS = {
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
    "INSUFFICIENT_SCOPES": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
}
"""What errors of a part of an answer mean that stay, as REST would say it."""

_NO_ADMIN_WORDS = (
    "resource not accessible",
    "must have admin",
    "must be an admin",
    "correct permissions",
    "not installed",
    "is suspended",
    "insufficient_scopes",
)


_NO_NODE = "could not resolve to a node"
_HIDDEN = "not found"
"""All that REST says of protection to those who are no administrators (P4.33)."""


def _is_unpaid(text: str) -> bool:
    return "upgrade to github" in text.lower()


def _no_admin(repo: str, said: str = "") -> Problem:
    words = (
        f"mergeq's account may not administer {repo}{said}; make it an administrator there, or give its App or token"
    )
    return Problem(Trouble.NO_ADMIN, f"{words} the permission `administration`")


def _trouble(status: int, text: str, what: str) -> Problem:
    """What a refusal means, by its words first: GitHub gives one and the same status to many (spec of P6.20-P6.35)."""
    said = text.lower()
    if _is_unpaid(text):
        words = f"{what} is private, and its owner's plan has no protection for private repositories ({text})"
        return Problem(Trouble.PLAN_LIMIT, f"{words}; upgrade the plan, or take it out of the configuration")
    if "saml" in said:
        words = f"the organization of {what} asks for single sign-on ({text})"
        return Problem(Trouble.NO_ADMIN, f"{words}; authorize mergeq's token for it in the token's settings")
    if "was archived" in said:
        words = f"{what} is archived, and nothing can be changed there; take it out of the configuration"
        return Problem(Trouble.ARCHIVED, words)
    if "already protected" in said or "name must be unique" in said:
        return Problem(Trouble.CONFLICT, f"somebody else protects the same of {what} already ({text}); look again")
    if status == HTTPStatus.FORBIDDEN or any(words in said for words in _NO_ADMIN_WORDS):
        return _no_admin(what, f" ({text})")
    if _NO_NODE in said or status == HTTPStatus.CONFLICT:
        return Problem(Trouble.CONFLICT, f"the rule of {what} is another by now ({text}); look again")
    if status == HTTPStatus.NOT_FOUND and said == _HIDDEN:
        return _no_admin(what, " (GitHub answered 404 Not Found, as it does to all who may not)")
    if status == HTTPStatus.NOT_FOUND:
        words = f"{what} is not there, {_NOBODY_SEES} ({text}); correct the configuration, or give mergeq access"
        return Problem(Trouble.GONE, words)
    if status == HTTPStatus.MOVED_PERMANENTLY:
        return Problem(Trouble.GONE, f"{text}; write the new name in the configuration")
    if status == 0 or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem(Trouble.SERVER, text)
    return Problem(Trouble.REFUSED, f"GitHub does not take it for {what}: {text}")


def _owner(repo: str) -> str:
    return repo.partition("/")[0]


def _unknown(repo: str, problem: Problem) -> RepoFacts:
    return RepoFacts(repo, rules=None, rulesets=None, problem=problem)


def _is_passing(node: Mapping[str, Any]) -> bool:
    """Whether a repository was left out for a reason that lies in asking for many."""
    error = node.get("refused")
    return error is not None and error.get("type", "") not in _STATUS
