"""The state of a pretend GitHub and every act a person or an App can do to it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mergeq.sandbox import checks, merging, pulls, refs
from mergeq.sandbox.ci import Ci
from mergeq.sandbox.clock import Activity, Clock
from mergeq.sandbox.faults import Faults
from mergeq.sandbox.git import ZERO, CommitInfo, Draft, FileChange, GitRepo
from mergeq.sandbox.records import (
    App,
    CheckConclusion,
    CheckRun,
    CheckStatus,
    CiConfig,
    Comment,
    Files,
    Issue,
    Label,
    Method,
    Milestone,
    Protection,
    Pull,
    Repo,
    Review,
    ReviewState,
    Status,
    StatusState,
    Ticket,
    TimelineEvent,
    TimelineKind,
)
from mergeq.sandbox.shapes import Shapes
from mergeq.sandbox.users import BOT, Users, person
from mergeq.sandbox.webhooks import Delivery, Hook, Webhooks

DEFAULT_URL = "http://sandbox.test"


class World:
    """Repositories, pull requests, issues, people. Every method may be called from any thread.

    Acts have GitHub's consequences: webhooks, CI, mergeability, indirect merges. Whoever reads records directly
    holds ``lock`` if others may be acting.
    """

    def __init__(self, root: Path, clock: Clock, *, ci_workers: int = 2) -> None:
        self.root = root
        self.clock = clock
        self.lock = threading.RLock()
        self.url = DEFAULT_URL
        self.lazy_reads = 1
        self.activity = Activity()
        self.faults = Faults()
        self.users = Users()
        self.webhooks = Webhooks(clock, self.activity, self.faults)
        self.ci = Ci(self, ci_workers)
        self._repos: dict[str, Repo] = {}
        self._ids = itertools.count(1_000_001)
        self._apps: dict[str, App] = {}
        self._commits: dict[tuple[str, str, str], tuple[CommitInfo, ...]] = {}
        self._changes: dict[tuple[str, str, str], tuple[FileChange, ...]] = {}

    def close(self) -> None:
        self.ci.close()
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

    def pull(self, full_name: str, number: int) -> Pull:
        """A pull request by number; raises KeyError if there is none."""
        return self.repo(full_name).pulls[number]

    def repo_of(self, ticket: Ticket) -> Repo:
        return self.repo(ticket.repo)

    def commits_of(self, pull: Pull) -> tuple[CommitInfo, ...]:
        """Its commits as GitHub lists them: by author date, not by ancestry (Q23)."""
        key = (pull.repo, pull.base_sha, pull.head_sha)
        with self.lock:
            if key not in self._commits:
                git = self.repo_of(pull).git
                infos = git.commits([sha for sha, _ in git.new_commits(pull.base_sha, pull.head_sha)])
                self._commits[key] = tuple(sorted(infos, key=lambda info: info.authored_at))
            return self._commits[key]

    def changes_of(self, pull: Pull) -> tuple[FileChange, ...]:
        """The files it changes."""
        key = (pull.repo, pull.base_sha, pull.head_sha)
        with self.lock:
            if key not in self._changes:
                self._changes[key] = self.repo_of(pull).git.changes(pull.base_sha, pull.head_sha)
            return self._changes[key]

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
        payload = {**body, "repository": shapes.repo(repo), "sender": shapes.user(by)}
        self.webhooks.send(event, repo.full_name, payload, pr)

    def note(
        self, pull: Pull, kind: TimelineKind, by: str, *, label: Label | None = None, before: str = "", after: str = ""
    ) -> None:
        """Add to the timeline."""
        pull.timeline.append(TimelineEvent(self.next_id(), kind, self.now(), by, label, before, after))

    def create_repo(
        self,
        full_name: str,
        *,
        files: Mapping[str, str],
        default_branch: str = "main",
        branches: Mapping[str, Mapping[str, str]] | None = None,
        merge: bool = True,
        squash: bool = True,
        rebase: bool = True,
        ci: CiConfig | None = CiConfig(),  # noqa: B008 - a frozen value
        labels: Iterable[str] = (),
    ) -> Repo:
        """Make a repository with one commit on its default branch, and branches that change some files of it.

        Nothing is announced and no CI runs: the repository was always there.
        """
        with self.lock:
            now = self.now()
            repo = self._register(full_name, default_branch)
            allowed = {Method.MERGE: merge, Method.SQUASH: squash, Method.REBASE: rebase}
            repo.allowed = frozenset(method for method, is_allowed in allowed.items() if is_allowed)
            repo.ci = ci
            author = person(BOT)
            start = Draft(files, "Initial commit", author)
            (root,) = repo.git.write(f"refs/heads/{default_branch}", None, [start], now)
            for branch, changed in (branches or {}).items():
                drafts = [Draft(changed, f"Start {branch}", author)]
                if changed:
                    repo.git.write(f"refs/heads/{branch}", root, drafts, now)
                else:
                    repo.git.move(f"refs/heads/{branch}", root, ZERO)
            for label in labels:
                self.ensure_label(repo, label)
            return repo

    def fork(self, parent: Repo, owner: str) -> Repo:
        """The user's fork, made now if there is none yet."""
        with self.lock:
            full_name = f"{owner}/{parent.name}"
            existing = self.find_repo(full_name)
            if existing is not None:
                return existing
            fork = self._register(full_name, parent.default_branch)
            fork.fork_of, fork.owner_is_user = parent.full_name, True
            self.webhooks.own_hooks_only.add(fork.full_name)
            for branch, sha in parent.git.branches().items():
                fork.git.fetch(parent.git_dir, sha, f"refs/heads/{branch}")
            return fork

    def _register(self, full_name: str, default_branch: str) -> Repo:
        if full_name.count("/") != 1 or not all(full_name.split("/")):
            raise ValueError(f"{full_name!r} is not ORG/REPO")
        if self.find_repo(full_name):
            raise ValueError(f"{full_name} exists")
        git = GitRepo.create(self.root / f"{full_name}.git", default_branch)
        now = self.now()
        repo = Repo(self.next_id(), full_name, git, default_branch, created_at=now, pushed_at=now)
        self._repos[full_name.casefold()] = repo
        return repo

    def protect(
        self,
        repo: str | Repo,
        branch: str,
        required_contexts: Iterable[str] = (),
        required_reviews: int = 0,
        enforce_admins: bool = True,
        strict: bool = False,
    ) -> None:
        """Protect a branch: merging a pull request into it honours that, a direct push does not."""
        with self.lock:
            rule = Protection(tuple(required_contexts), required_reviews, enforce_admins, strict)
            self._repo(repo).protections[branch] = rule

    def unprotect(self, repo: str | Repo, branch: str) -> None:
        with self.lock:
            self._repo(repo).protections.pop(branch, None)

    def ensure_label(self, repo: Repo, name: str) -> Label:
        """The label of that name in any case, created if new."""
        return repo.labels.setdefault(name.casefold(), Label(self.next_id(), name))

    def ensure_milestone(self, repo: Repo, title: str, by: str) -> Milestone:
        known = next((milestone for milestone in repo.milestones if milestone.title == title), None)
        if known is None:
            known = Milestone(self.next_id(), len(repo.milestones) + 1, title, self.now(), by)
            repo.milestones.append(known)
        return known

    def app(self, slug: str) -> App:
        return self._apps.setdefault(slug, App(15_368 + len(self._apps), slug))

    def _repo(self, repo: str | Repo) -> Repo:
        return self.repo(repo) if isinstance(repo, str) else repo

    def push(
        self,
        repo: str | Repo,
        branch: str,
        files: Files,
        *,
        author: str = "ana",
        message: str | None = None,
        force_onto: str | None = None,
    ) -> str:
        """Commit on top of a branch, or on the commit ``force_onto`` (a force push).

        A new branch starts at the default branch.
        """
        with self.lock:
            return refs.push(self, self._repo(repo), branch, files, by=author, message=message, onto=force_onto)

    def push_to_pull(
        self,
        pull: Pull,
        files: Files,
        *,
        author: str | None = None,
        message: str | None = None,
        force_onto: str | None = None,
    ) -> str:
        """Push to a pull request's own branch, wherever that lives."""
        by = author or pull.author
        return self.push(pull.head_repo, pull.head_ref, files, author=by, message=message, force_onto=force_onto)

    def create_ref(self, repo: str | Repo, ref: str, sha: str, by: str = BOT) -> None:
        """Create a full ref (``refs/heads/x``); raises RefusedError 422 as the refs API answers."""
        with self.lock:
            refs.create(self, self._repo(repo), ref, sha, by)

    def update_ref(self, repo: str | Repo, ref: str, sha: str, *, force: bool = False, by: str = BOT) -> None:
        """Move a full ref; without ``force`` only forward."""
        with self.lock:
            refs.update(self, self._repo(repo), ref, sha, by, force=force)

    def delete_ref(self, repo: str | Repo, ref: str, by: str = BOT) -> None:
        with self.lock:
            refs.delete(self, self._repo(repo), ref, by)

    def delete_branch(self, repo: str | Repo, branch: str, by: str = BOT) -> None:
        self.delete_ref(repo, f"refs/heads/{branch}", by)

    def open_pull(
        self,
        repo: str | Repo,
        *,
        title: str,
        files: Files | None = None,
        author: str = "ana",
        base: str = "main",
        body: str = "",
        head: str | None = None,
        labels: Iterable[str] = (),
        draft: bool = False,
        fork: str | None = None,
        milestone: str | None = None,
        commits: Sequence[Files] | None = None,
        number: int | None = None,
    ) -> Pull:
        """Push a branch (one commit for ``files``, or one for each of ``commits``) and open a pull request from it.

        None as a file's text deletes it. ``fork`` puts the branch into that user's fork. ``number`` skips ahead.
        """
        with self.lock:
            target = self._repo(repo)
            if number is not None:
                if number <= target.last_number:
                    raise ValueError(f"{target.full_name}#{number} is taken")
                target.last_number = number - 1
            source = self.fork(target, fork) if fork else target
            branch = head or f"{author}-patch-{target.last_number + 1}"
            steps = commits if commits is not None else [files] if files is not None else []
            if steps:
                refs.push_series(self, source, branch, steps, by=author, title=title, start=target.git.tip(base))
            request = pulls.Request(title, body, base, source, branch, draft=draft, milestone=milestone)
            return pulls.open_pull(self, target, request, by=author, labels=labels)

    def close_pull(self, pull: Pull, by: str = BOT) -> None:
        with self.lock:
            pulls.close(self, pull, by)

    def reopen_pull(self, pull: Pull, by: str = BOT) -> None:
        """Raises RefusedError 422 if it is merged or one of its branches is gone."""
        with self.lock:
            pulls.reopen(self, pull, by)

    def set_draft(self, pull: Pull, draft: bool, by: str | None = None) -> None:
        with self.lock:
            pulls.set_draft(self, pull, by or pull.author, draft=draft)

    def review(self, pull: Pull, by: str, state: str = "APPROVED", body: str = "") -> Review:
        """Submit a review of the present head; DISMISSED takes back the newest opinion of ``by``."""
        with self.lock:
            return pulls.review(self, pull, by, ReviewState(state), body)

    def retarget(self, pull: Pull, base: str, by: str | None = None) -> None:
        with self.lock:
            pulls.edit(self, pull, by or pull.author, base=base)

    def edit_title(self, pull: Pull, title: str, by: str | None = None) -> None:
        with self.lock:
            pulls.edit(self, pull, by or pull.author, title=title)

    def merge_pull(
        self,
        pull: Pull,
        *,
        method: str = "merge",
        sha: str | None = None,
        title: str | None = None,
        message: str | None = None,
        by: str = BOT,
    ) -> str:
        """Merge as GitHub would and return the commit the base is left at; raises MergeRefused."""
        with self.lock:
            return merging.merge(self, pull, Method(method), by=by, sha=sha, title=title, message=message)

    def add_label(self, ticket: Pull | Issue, name: str, by: str = "ana") -> None:
        """Put a label on; it is created in the repository if new, and nothing happens if it is on already."""
        with self.lock:
            pulls.add_label(self, ticket, name, by)

    def remove_label(self, ticket: Pull | Issue, name: str, by: str = "ana") -> None:
        """Take a label off; raises RefusedError 404 if it is not on."""
        with self.lock:
            pulls.remove_label(self, ticket, name, by)

    def comment(self, ticket: Pull | Issue, body: str, by: str = "ana") -> Comment:
        with self.lock:
            return pulls.comment(self, ticket, body, by)

    def open_issue(
        self, repo: str | Repo, title: str, labels: Iterable[str] = (), *, author: str = "ana", body: str = ""
    ) -> Issue:
        with self.lock:
            return pulls.open_issue(self, self._repo(repo), title, body, labels, author)

    def close_issue(self, issue: Issue, by: str = "ana") -> None:
        with self.lock:
            pulls.set_issue_state(self, issue, "closed", by)

    def set_status(
        self,
        repo: str | Repo,
        sha: str,
        *,
        context: str = "default",
        state: str = "success",
        description: str | None = "",
        target_url: str | None = "",
        by: str | None = None,
    ) -> Status:
        """Post a commit status; raises RefusedError 422 for what GitHub does not take (Q74)."""
        with self.lock:
            report = checks.StatusReport(context, StatusState(state), description or None, target_url or None)
            return checks.post_status(self, self._repo(repo), sha, report, by or BOT)

    def set_check_run(
        self,
        repo: str | Repo,
        sha: str,
        *,
        name: str,
        status: str = "completed",
        conclusion: str | None = None,
        app: str = "sandbox-ci",
        details_url: str | None = None,
        summary: str | None = None,
    ) -> CheckRun:
        """Report a check run; one of that app and name under way is continued, a completed one is superseded."""
        with self.lock:
            report = checks.RunReport(
                CheckStatus(status),
                CheckConclusion(conclusion) if conclusion else None,
                details_url=details_url,
                summary=summary,
            )
            return checks.report_run(self, self._repo(repo), sha, name, self.app(app), report)
