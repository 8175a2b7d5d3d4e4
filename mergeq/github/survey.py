"""Looks a repository over for what mergeq needs of it: who we are, what is set up there, what is in the way."""

import base64
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from mergeq.core.checkup import BranchSeen, Classic, Hook, Identity, Rule, Seen
from mergeq.core.pull import Branch
from mergeq.github.auth import App, NoCredentials
from mergeq.github.client import GitHub
from mergeq.github.wire import Reply, Unreadable

_HEADS = 5  # heads of pull requests whose contexts are read, the newest
_DELIVERIES = 30
_PAGES = 10
_LISTS = {
    "restrictions": "pushers",
    "bypass_pull_request_allowances": "reviews",
    "bypass_force_push_allowances": "forcers",
}
_FACTS = """
query Survey($owner: String!, $name: String!, $cursor: String, $search: String!) {
  rateLimit { limit cost remaining resetAt }
  repository(owner: $owner, name: $name) {
    labels(first: 100, after: $cursor) { pageInfo { hasNextPage endCursor } nodes { name } }
    pullRequests(first: 1, states: [OPEN]) { totalCount }
    branchProtectionRules(first: 100) { nodes { pattern } }
  }
  search(type: ISSUE, first: 1, query: $search) { issueCount }
}
"""


@dataclass(slots=True)
class Survey:
    """One look at one repository, call by call; what cannot be read becomes a gap under its topic."""

    github: GitHub
    full_repo: str
    gaps: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.full_repo.partition("/")[0]

    def look(
        self,
        wanted: Collection[str],
        admits: Callable[[str], bool],
        blocker_label: str,
        prefixes: tuple[str, str],
    ) -> Seen:
        """Everything about a repository; of its branches the default one, and as far as they are there those of open
        pull requests that `admits` takes, and the `wanted` ones. Raises Unreadable when not even the repository can be
        read.
        """
        repo = self._ask("")
        if repo.status != 200:
            raise Unreadable(f"{self.full_repo} could not be read: {repo.text}; check the name and the credentials")
        identity = self._identity(repo)
        default: str = repo.data["default_branch"]
        names = tuple(one["name"] for one in self._all("/branches", "branches"))
        pulls = self._list("/pulls?state=all&sort=updated&direction=desc&per_page=50", "contexts")
        heads: dict[str, list[str]] = {}
        for pull in pulls:
            heads.setdefault(pull["base"]["ref"], []).append(pull["head"]["sha"])
        bases = {base for base in heads if admits(base)}
        looked_at = dict.fromkeys((default, *(one for one in (*wanted, *sorted(bases)) if one in names)))
        rulesets, push_rules = self._rulesets()
        labels, patterns, listed, found = self._facts()
        return Seen(
            full_repo=self.full_repo,
            identity=identity,
            default_branch=default,
            branches=tuple(
                self._branch(name, blocker_label, identity, rulesets, heads.get(name, [])[:_HEADS])
                for name in looked_at
            ),
            missing_branches=frozenset(one for one in wanted if one not in names),
            branch_names=names,
            labels=labels,
            hooks=self._hooks(),
            workflow_token=self._workflow_token(),
            staging_rules=self._rules(f"{prefixes[0]}{default}-0123456789ab", rulesets, "staging"),
            scratch_rules=self._rules(f"{prefixes[1]}{default}-0123456789ab", rulesets, "staging"),
            push_rules=push_rules,
            classic_patterns=patterns,
            prefixes=prefixes,
            listed=listed,
            found=found,
            server=repo.headers.get("x-github-enterprise-version", ""),
            is_archived=repo.data["archived"],
            gaps=self.gaps,
        )

    def rules_on(self, name: str) -> tuple[Rule, ...]:
        """The rules of rulesets for a branch, which need not be there ("Get rules for a branch"). Raises Unreadable."""
        return self._rules(name, self._rulesets()[0], "staging")

    def workflows(self) -> Iterator[tuple[str, bytes]] | None:
        """The files of GitHub Actions on the default branch, path and text; None when they cannot be read."""
        folder = self._ask("/contents/.github/workflows")
        if folder.status not in {200, 404}:
            self.gaps["ci"] = folder.text
            return None
        files = folder.data if folder.status == 200 else []
        paths = [one["path"] for one in files if one["type"] == "file" and one["name"].endswith((".yml", ".yaml"))]
        read = ((path, self._ask(f"/contents/{quote(path)}")) for path in paths)
        return iter([(path, base64.b64decode(one.data["content"])) for path, one in read if one.status == 200])

    def _identity(self, repo: Reply) -> Identity:
        credentials = self.github.credentials
        if isinstance(credentials, App):
            try:
                return Identity(f"the GitHub App {credentials.slug()}", True, credentials.granted(self.owner))
            except NoCredentials as error:
                self.gaps["credentials"] = str(error)
                return Identity("the GitHub App", is_app=True)
        user = self.github.ask(self.owner, "GET", "/user")
        who = user.data["login"] if user.status == 200 else "the bearer of the token"
        scopes = user.headers.get("x-oauth-scopes")
        role = frozenset(name for name, held in repo.data.get("permissions", {}).items() if held)
        told = None if scopes is None else frozenset(one.strip() for one in scopes.split(",") if one.strip())
        return Identity(who, scopes=told, role=role)

    def _branch(
        self,
        name: str,
        blocker_label: str,
        identity: Identity,
        rulesets: Mapping[int, tuple[str, str]],
        heads: list[str],
    ) -> BranchSeen:
        org, repo = self.full_repo.split("/")
        branch = Branch(org, repo, name)
        try:
            facts = self.github.read_branch(branch, blocker_label)
        except Unreadable as error:
            return BranchSeen(name, why=str(error))
        return BranchSeen(
            name,
            facts,
            why=f"{facts.partial} could not be read in full" if facts.partial else "",
            is_protected=bool((self._ask(f"/branches/{quote(name)}").data or {}).get("protected")),
            classic=self._classic(name, identity),
            rules=self._rules(name, rulesets, "protection"),
            reports=frozenset(one for sha in heads for one in self._reports(sha)),
            heads=len(heads),
        )

    def _classic(self, name: str, identity: Identity) -> Classic | None:
        answer = self._ask(f"/branches/{quote(name)}/protection")
        if answer.status != 200:
            if answer.status != 404:
                self.gaps["bypass"] = f"the protection of {name}: {answer.text}"
            return None
        told = {**answer.data, **answer.data.get("required_pull_request_reviews", {})}
        me = identity.who.rpartition(" ")[2]
        kind = ("apps", "slug") if identity.is_app else ("users", "login")
        named = {
            held
            for key, held in _LISTS.items()
            if any(one[kind[1]] == me for one in (told.get(key) or {}).get(kind[0], []))
        }
        teams = [one["slug"] for one in (told.get("restrictions") or {}).get("teams", [])]
        is_unknown = bool(teams) and not identity.is_app and "pushers" not in named
        if is_unknown:
            self.gaps["protection"] = f"whether {me} is in a team that may push to {name}: {', '.join(teams)}"
        restricts = "restrictions" in told and not is_unknown
        return Classic(told["enforce_admins"]["enabled"], restricts, frozenset(named))

    def _rulesets(self) -> tuple[dict[int, tuple[str, str]], tuple[Rule, ...]]:
        """The name of each ruleset, and whether we may pass it by, by its number; empty where GitHub does not tell. And
        the active rules about what may be pushed to any ref.
        """
        found: dict[int, tuple[str, str]] = {}
        pushes: list[Rule] = []
        for one in self._list("/rulesets?per_page=100", "bypass"):
            told = self._ask(f"/rulesets/{one['id']}").data or {}
            found[one["id"]] = one["name"], told.get("current_user_can_bypass", "")
            if (one.get("target"), one["enforcement"]) == ("push", "active"):
                name = f"{one['name']} of {one['source']}"
                pushes += (Rule(rule["type"], name, found[one["id"]][1]) for rule in told.get("rules", ()))
        return found, tuple(pushes)

    def _rules(self, name: str, rulesets: Mapping[int, tuple[str, str]], topic: str) -> tuple[Rule, ...]:
        found = self._list(f"/rules/branches/{quote(name, safe='')}?per_page=100", topic)
        named = ((one, rulesets.get(one["ruleset_id"], (str(one["ruleset_id"]), ""))) for one in found)
        return tuple(Rule(one["type"], f"{name} of {one['ruleset_source']}", how) for one, (name, how) in named)

    def _reports(self, sha: str) -> Iterator[tuple[str, str | None]]:
        statuses = self._ask(f"/commits/{sha}/status?per_page=100")
        if statuses.status == 200:
            yield from ((one["context"], None) for one in statuses.data["statuses"])
        runs = self._ask(f"/commits/{sha}/check-runs?per_page=100")
        if runs.status == 200:
            yield from ((one["name"], (one["app"] or {}).get("slug")) for one in runs.data["check_runs"])
        for one in (statuses, runs):
            if one.status != 200:
                self.gaps["contexts"] = one.text

    def _facts(self) -> tuple[tuple[str, ...] | None, tuple[str, ...], int, int | None]:
        """Labels, patterns of classic protection, and how many open pull requests a listing and a search know."""
        labels: list[str] = []
        name = self.full_repo.partition("/")[2]
        variables: dict[str, Any] = {"owner": self.owner, "name": name, "cursor": None}
        variables["search"] = f'is:pr state:open repo:"{self.full_repo}"'
        try:
            while True:
                data = self.github.query(self.owner, _FACTS, variables, self.full_repo)
                node = data["repository"]
                labels += [one["name"] for one in node["labels"]["nodes"]]
                if not node["labels"]["pageInfo"]["hasNextPage"]:
                    break
                variables["cursor"] = node["labels"]["pageInfo"]["endCursor"]
        except Unreadable as error:
            self.gaps["labels"] = str(error)
            return None, (), 0, None
        patterns = tuple(one["pattern"] for one in (node["branchProtectionRules"] or {"nodes": ()})["nodes"])
        return tuple(labels), patterns, node["pullRequests"]["totalCount"], data["search"]["issueCount"]

    def _hooks(self) -> tuple[Hook, ...] | None:
        """The App's own webhook, or those of the repository."""
        credentials = self.github.credentials
        if isinstance(credentials, App):
            return self._hook_of(credentials)
        answer = self._ask("/hooks?per_page=100")
        if answer.status != 200:
            self.gaps["webhooks"] = answer.text
            return None
        return tuple(self._hook(one) for one in answer.data)

    def _hook_of(self, app: App) -> tuple[Hook, ...] | None:
        try:
            about, config = app.about(), app.hook()
            deliveries = app.deliveries()
        except NoCredentials as error:
            self.gaps["webhooks"] = str(error)
            return None
        if not config.get("url"):
            return ()
        failed = _failed(deliveries)
        return (
            Hook(
                _address(str(config["url"])),
                frozenset(about.get("events", ())),
                is_json=config.get("content_type", "json") == "json",
                tried=len(deliveries),
                failed=failed,
            ),
        )

    def _hook(self, hook: Mapping[str, Any]) -> Hook:
        answer = self._ask(f"/hooks/{hook['id']}/deliveries?per_page={_DELIVERIES}")
        deliveries = answer.data if answer.status == 200 else []
        if answer.status != 200:
            self.gaps["webhooks"] = f"deliveries of hook {hook['id']}: {answer.text}"
        return Hook(
            _address(hook["config"].get("url", "")),
            frozenset(hook["events"]),
            is_active=hook["active"],
            is_json=hook["config"].get("content_type") == "json",
            tried=len(deliveries),
            failed=_failed(deliveries),
        )

    def _workflow_token(self) -> str | None:
        answer = self._ask("/actions/permissions/workflow")
        if answer.status != 200:
            self.gaps["workflow-token"] = answer.text
            return None
        return str(answer.data["default_workflow_permissions"])

    def _ask(self, path: str) -> Reply:
        return self.github.ask(self.owner, "GET", f"/repos/{self.full_repo}{path}")

    def _list(self, path: str, topic: str) -> list[Any]:
        """One page of a list; none and a gap when it cannot be read."""
        answer = self._ask(path)
        if answer.status != 200:
            self.gaps[topic] = answer.text
            return []
        return list(answer.data)

    def _all(self, path: str, topic: str) -> Iterator[Any]:
        for page in range(1, _PAGES + 1):
            found = self._list(f"{path}?per_page=100&page={page}", topic)
            yield from found
            if len(found) < 100:
                return


def _failed(deliveries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(
        f"{one['event']} at {one['delivered_at']}: {one['status_code'] or one['status']}"
        for one in deliveries
        if not 200 <= one["status_code"] < 300
    )


def _address(url: str) -> str:
    """Where a webhook leads, without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
