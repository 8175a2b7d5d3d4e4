"""What a pretend GitHub consists of, and how the acts of the world find, count and announce things in it."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergeq.sandbox.apps import Registry
from mergeq.sandbox.clock import Activity, Clock
from mergeq.sandbox.faults import FaultId, Faults
from mergeq.sandbox.git import GitRepo
from mergeq.sandbox.git_objects import CommitInfo, FileChange
from mergeq.sandbox.lagging import Lags
from mergeq.sandbox.policy import MergeState, merge_state
from mergeq.sandbox.records import App, Label, Milestone, Pull, Repo, Ticket, TimelineEvent, TimelineKind
from mergeq.sandbox.rulesets import Ruleset
from mergeq.sandbox.search import Candidate
from mergeq.sandbox.shapes import Shapes
from mergeq.sandbox.users import People, Users
from mergeq.sandbox.webhooks import Delivery, Hook, Webhooks

DEFAULT_URL = "http://sandbox.test"


@dataclass(frozen=True, slots=True)
class AuditedAct:
    """What an organization's audit log says of an act: ``name`` is what it was done to, ``ruleset`` its number if it is
    one.
    """

    at: float
    by: str
    action: str
    repo: str
    name: str
    ruleset: int = 0


class WorldState:
    """Repositories, people, hooks, faults and the clock; ``World`` adds what can be done to them.

    ``enterprise`` is the version of an Enterprise Server, empty for github.com; its GraphQL schema ``lacks`` fields,
    each as (type, field). ``acts`` are on the organizations' audit logs, which they can read if ``audited``.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root = root
        self.clock = clock
        self.lock = threading.RLock()
        self.url = DEFAULT_URL
        self.lazy_reads = 1
        self.enterprise = ""
        self.lacks: frozenset[tuple[str, str]] = frozenset()
        self.update_delay = 1.0
        self.acts: list[AuditedAct] = []
        self.audited = False
        self.activity = Activity()
        self.faults = Faults()
        self.users = Users()
        self.registry = Registry(self.users)
        self.webhooks = Webhooks(clock, self.activity, self.faults, self._installed)
        self.lags = Lags()
        self.search_index: tuple[float, Sequence[tuple[Candidate, Ticket]]] | None = None
        self._repos: dict[str, Repo] = {}
        self._former: dict[str, int] = {}
        self._ids = itertools.count(1_000_001)
        self._apps: dict[str, App] = {}
        self._owner_rulesets: dict[str, dict[int, Ruleset]] = {}
        self._commits: dict[tuple[str, str, str], tuple[CommitInfo, ...]] = {}

    def close(self) -> None:
        self.webhooks.close()

    def now(self) -> float:
        return self.clock.now()

    def next_id(self) -> int:
        return next(self._ids)

    def repo(self, full_name: str) -> Repo:
        """The repository ``ORG/REPO``; raises KeyError if there is none."""
        found = self.find_repo(full_name)
        if found is None:
            raise KeyError(f"no repository {full_name}")
        return found

    def find_repo(self, full_name: str) -> Repo | None:
        return self._repos.get(full_name.casefold())

    def repos(self) -> tuple[Repo, ...]:
        return tuple(self._repos.values())

    def repo_by_id(self, number: int) -> Repo | None:
        return next((repo for repo in self._repos.values() if repo.id == number), None)

    def moved_repo(self, full_name: str) -> Repo | None:
        """The repository that had this name before."""
        number = self._former.get(full_name.casefold())
        return None if number is None else self.repo_by_id(number)

    def _installed(self, app_id: int, full_name: str) -> int | None:
        repo = self.find_repo(full_name)
        found = None if repo is None else self.registry.on_repo(app_id, repo)
        return None if found is None or found.suspended_at is not None else found.id

    def rebrand(self, repo: Repo, full_name: str) -> None:
        """Let a repository be called otherwise, in everything that speaks of it, and keep the way from its old name."""
        before = repo.full_name
        after_dir = self.root / f"{full_name}.git"
        after_dir.parent.mkdir(parents=True, exist_ok=True)
        repo.git.git_dir.rename(after_dir)
        repo.git.git_dir = after_dir
        del self._repos[before.casefold()]
        self._repos[full_name.casefold()] = repo
        self._former[before.casefold()] = repo.id
        self._former.pop(full_name.casefold(), None)
        repo.full_name = full_name
        repo.people.owner = repo.owner
        repo.owner_rulesets = self._owner_rulesets.setdefault(repo.owner.casefold(), {})
        repo.updated_at = self.now()
        for other in self.repos():
            for pull in other.pulls.values():
                pull.repo = full_name if pull.repo == before else pull.repo
                pull.head_repo = full_name if pull.head_repo == before else pull.head_repo
        for issue in repo.issues.values():
            issue.repo = full_name
        for suite in (suite for suites in repo.suites.values() for suite in suites):
            suite.repo = full_name
        repo.rulesets = {number: replace(ruleset, source=full_name) for number, ruleset in repo.rulesets.items()}
        self.webhooks.rename(before, full_name)

    def forget(self, repo: Repo) -> None:
        """Remove a repository and its files; forks of it are none of anything's any more."""
        del self._repos[repo.full_name.casefold()]
        for other in self.repos():
            other.fork_of = None if other.fork_of is repo else other.fork_of
        shutil.rmtree(repo.git.git_dir)

    def pull(self, full_name: str, number: int) -> Pull:
        """A pull request by number; raises KeyError if there is none."""
        return self.repo(full_name).pulls[number]

    def repo_of(self, ticket: Ticket) -> Repo:
        return self.repo(ticket.repo)

    def merge_state_of(self, pull: Pull) -> MergeState:
        """Its mergeStateStatus, which is at times wrong (Q16)."""
        if self.faults.fires(FaultId.MERGESTATE_WRONG, pull.repo, pull.number, when=lambda _: pull.is_open):
            return MergeState.BLOCKED
        return merge_state(self.repo_of(pull), pull)

    def commits_of(self, pull: Pull) -> tuple[CommitInfo, ...]:
        """Its commits as GitHub lists them: by author date, not by ancestry (Q23)."""
        key = (pull.repo, pull.base_sha, pull.head_sha)
        with self.lock:
            if key not in self._commits:
                git = self.repo_of(pull).git
                infos = git.commits([sha for sha, _ in git.new_commits(pull.base_sha, pull.head_sha)])
                self._commits[key] = tuple(sorted(infos, key=lambda info: info.authored_at))
            return self._commits[key]

    def listed_commits(self, pull: Pull) -> tuple[CommitInfo, ...]:
        """Its commits as an API shows them, the head in any place (Q23)."""
        shuffled = self.faults.fires(FaultId.COMMITS_SHUFFLE, pull.repo, pull.number)
        return self.commits_of(pull)[:: -1 if shuffled else 1]

    def changes_of(self, pull: Pull) -> tuple[FileChange, ...]:
        """The files it changes."""
        with self.lock:
            return self.repo_of(pull).git.changes(pull.base_sha, pull.head_sha)

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook delivery so far, oldest first."""
        return self.webhooks.deliveries

    def add_hook(self, url: str, secret: str, events: Iterable[str] = ("*",), repo: str | None = None) -> Hook:
        """Deliver events to ``url`` from now on; ``repo`` None means those of every repository but forks."""
        return self.webhooks.add(url, secret, tuple(events), repo)

    def shapes(self) -> Shapes:
        """How webhooks show things."""
        return Shapes(self, self.url, f"{self.url}/api/v3")

    def emit(self, event: str, repo: Repo, body: Mapping[str, Any], *, by: str, pr: int | None = None) -> None:
        """Send a webhook event whose body is completed with repository and sender."""
        shapes = self.shapes()
        payload = {**body, "repository": shapes.minimal_repo(repo), "sender": shapes.user(by)}
        self.webhooks.send(event, repo.full_name, payload, pr)

    def note_act(self, repo: Repo, by: str, action: str, name: str, ruleset: int = 0) -> None:
        """Put something on the organization's audit log."""
        self.acts.append(AuditedAct(self.now(), by, action, repo.full_name, name, ruleset))

    def note(
        self, pull: Pull, kind: TimelineKind, by: str, *, label: Label | None = None, before: str = "", after: str = ""
    ) -> None:
        """Add to the timeline."""
        pull.timeline.append(TimelineEvent(self.next_id(), kind, self.now(), by, label, before, after))

    def register(self, full_name: str, default_branch: str, like: Repo | None = None) -> Repo:
        """A repository, empty or with the refs and objects of another; raises ValueError for a name that is none or is
        taken.
        """
        if full_name.count("/") != 1 or not all(full_name.split("/")):
            raise ValueError(f"{full_name!r} is not ORG/REPO")
        if self.find_repo(full_name):
            raise ValueError(f"{full_name} exists")
        git_dir = self.root / f"{full_name}.git"
        git = like.git.share(git_dir, default_branch) if like else GitRepo.create(git_dir, default_branch)
        now = self.now()
        people = People(self.users, full_name.partition("/")[0], lambda login: self.registry.bot_role(login, repo))
        repo = Repo(self.next_id(), full_name, git, people, default_branch, created_at=now, pushed_at=now)
        repo.owner_rulesets = self._owner_rulesets.setdefault(repo.owner.casefold(), {})
        self._repos[full_name.casefold()] = repo
        self._former.pop(full_name.casefold(), None)
        return repo

    def ensure_label(self, repo: Repo, name: str) -> Label:
        """The label of that name in any case, created if new."""
        return repo.labels.setdefault(name.casefold(), Label(self.next_id(), name))

    def ensure_milestone(self, repo: Repo, title: str, by: str) -> Milestone:
        known = next((milestone for milestone in repo.milestones if milestone.title == title), None)
        if known is None:
            known = Milestone(self.next_id(), len(repo.milestones) + 1, title, self.now(), by)
            repo.milestones.append(known)
        return known

    def apps(self) -> tuple[App, ...]:
        """Every App seen so far."""
        return tuple(self._apps.values())

    def app_id_of(self, login: str) -> int | None:
        """The id of the App that acts under a login; None for people."""
        app = self._apps.get(login.removesuffix("[bot]")) if login.endswith("[bot]") else None
        return None if app is None else app.id

    def app(self, slug: str) -> App:
        return self._apps.setdefault(slug, App(15_368 + len(self._apps), slug))
