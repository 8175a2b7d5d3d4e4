"""The state of a pretend GitHub and every act a person or an App can do to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mergeq.sandbox import checks, copying, installing, merging, moving, protecting, pulls, refs
from mergeq.sandbox.apps import Installation, Registration
from mergeq.sandbox.ci import Ci
from mergeq.sandbox.clock import Clock
from mergeq.sandbox.git import ZERO, Draft
from mergeq.sandbox.records import (
    CheckConclusion,
    CheckRun,
    CheckStatus,
    CiConfig,
    Comment,
    Files,
    Issue,
    Method,
    Protection,
    Pull,
    Repo,
    RequiredCheck,
    Restrictions,
    Review,
    ReviewRule,
    ReviewState,
    Settings,
    Status,
    StatusRule,
    StatusState,
    Thread,
)
from mergeq.sandbox.ruleset_forms import read_ruleset
from mergeq.sandbox.rulesets import Ruleset
from mergeq.sandbox.state import WorldState
from mergeq.sandbox.users import BOT, person


class World(WorldState):
    """Repositories, pull requests, issues, people. Every method may be called from any thread.

    Acts have GitHub's consequences: webhooks, CI, mergeability, indirect merges. Whoever reads records directly
    holds ``lock`` if others may be acting.
    """

    def __init__(self, root: Path, clock: Clock, *, ci_workers: int = 2) -> None:
        super().__init__(root, clock)
        self.ci = Ci(self, ci_workers)

    def close(self) -> None:
        """End CI and deliveries."""
        self.ci.close()
        super().close()

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
        delete_branch_on_merge: bool = False,
        private: bool = False,
    ) -> Repo:
        """Make a repository with one commit on its default branch, and branches that change some files of it.

        Nothing is announced and no CI runs: the repository was always there.
        """
        with self.lock:
            now = self.now()
            repo = self.register(full_name, default_branch)
            allowed = {Method.MERGE: merge, Method.SQUASH: squash, Method.REBASE: rebase}
            repo.allowed = frozenset(method for method, is_allowed in allowed.items() if is_allowed)
            repo.ci = ci
            repo.settings = Settings(delete_branch_on_merge=delete_branch_on_merge)
            repo.people.closed = private
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

    def copy_repo(self, source: Repo, full_name: str) -> Repo:
        """The same repository once more, sharing its objects; raises ValueError for a name that is none or is taken."""
        with self.lock:
            return copying.copy(self, source, full_name)

    def fork(self, parent: Repo, owner: str) -> Repo:
        """The user's fork, made now if there is none yet."""
        with self.lock:
            full_name = f"{owner}/{parent.name}"
            existing = self.find_repo(full_name)
            if existing is not None:
                return existing
            fork = self.register(full_name, parent.default_branch)
            fork.fork_of, fork.owner_is_user = parent, True
            self.webhooks.own_hooks_only.add(fork.full_name)
            for branch, sha in parent.git.branches().items():
                fork.git.fetch(parent.git_dir, sha, f"refs/heads/{branch}")
            return fork

    def protect(
        self,
        repo: str | Repo,
        branch: str,
        required_contexts: Iterable[str | RequiredCheck] | None = None,
        required_reviews: int | None = None,
        enforce_admins: bool = True,
        strict: bool = False,
        *,
        dismiss_stale_reviews: bool = False,
        require_last_push_approval: bool = False,
        restrictions: Restrictions | None = None,
        required_linear_history: bool = False,
        allow_force_pushes: bool = False,
        allow_deletions: bool = False,
        required_conversation_resolution: bool = False,
        lock_branch: bool = False,
        required_signatures: bool = False,
        by: str | None = None,
    ) -> Protection:
        """Protect a branch, or all that a glob matches, in place of what protected it before. Webhooks tell of it where
        somebody did it.

        It binds merges, refs moved over the API and git pushes; ``push`` and the like state facts and are not asked.
        Reviews are demanded where any argument speaks of them; ``required_reviews=0`` asks for a pull request only.
        """
        contexts = [RequiredCheck(c) if isinstance(c, str) else c for c in required_contexts or ()]
        by_pull = required_reviews is not None or dismiss_stale_reviews or require_last_push_approval
        rule = Protection(
            id=self.next_id(),
            status=StatusRule(strict, tuple(contexts)) if contexts or strict else None,
            reviews=ReviewRule(
                required_reviews or 0,
                dismiss_stale=dismiss_stale_reviews,
                last_push_approval=require_last_push_approval,
            )
            if by_pull
            else None,
            restrictions=restrictions,
            enforce_admins=enforce_admins,
            linear_history=required_linear_history,
            force_pushes=allow_force_pushes,
            deletions=allow_deletions,
            conversation_resolution=required_conversation_resolution,
            lock_branch=lock_branch,
            signatures=required_signatures,
        )
        with self.lock:
            if by is None:
                self._repo(repo).protections[branch] = rule
            else:
                protecting.keep(self, self._repo(repo), branch, rule, by)
        return rule

    def add_ruleset(
        self,
        source: str,
        name: str = "rules",
        *,
        rules: Iterable[Mapping[str, Any]],
        include: Iterable[str] = ("~DEFAULT_BRANCH",),
        exclude: Iterable[str] = (),
        enforcement: str = "active",
        bypass: Iterable[Mapping[str, Any]] = (),
        **more: Any,
    ) -> Ruleset:
        """Add a ruleset to ``ORG/REPO``, or to ``ORG`` for all its repositories, written as for the REST API.

        One about pushes (``target="push"``) is for all refs, whatever is to be included.
        """
        refs_meant = {"ref_name": {"include": list(include), "exclude": list(exclude)}}
        conditions = {} if more.get("target") == "push" else refs_meant
        of_owner = "/" not in source
        every = {"repository_name": {"include": ["~ALL"], "exclude": []}} if of_owner else {}
        sent = {
            "name": name,
            "enforcement": enforcement,
            "rules": list(rules),
            "bypass_actors": list(bypass),
            "conditions": conditions | every,
        }
        with self.lock:
            ruleset = read_ruleset(self, source, sent | more)
            kept = self._owner_rulesets.setdefault(source.casefold(), {}) if of_owner else self.repo(source).rulesets
            kept[ruleset.id] = ruleset
        return ruleset

    def unprotect(self, repo: str | Repo, branch: str, by: str | None = None) -> None:
        """Lift a rule; webhooks tell of it where somebody did it."""
        with self.lock:
            if by is None:
                self._repo(repo).protections.pop(branch, None)
            else:
                protecting.lift(self, self._repo(repo), branch, by)

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

    def drop_branch(self, repo: str | Repo, branch: str, *, by: str = BOT, on_merge: bool = False) -> None:
        """Delete a branch as a fact, past its rules; with ``on_merge`` as GitHub does to a head that was merged.

        Pull requests into it then move on to the base of that one, else to the default branch (Q42).
        """
        with self.lock:
            target = self._repo(repo)
            merged = (p.base_ref for p in target.pulls.values() if p.merged and p.head_ref == branch)
            onto = next(merged, target.default_branch) if on_merge else None
            refs.drop(self, target, branch, by, onto=onto)

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

    def open_thread(self, pull: Pull, by: str, *, path: str = "README.md", body: str = "Why?") -> Thread:
        """Start a conversation about a file of the pull request, open until it is resolved."""
        with self.lock:
            return pulls.open_thread(self, pull, by, path, body)

    def resolve_thread(self, pull: Pull, thread: Thread, by: str = BOT, *, resolved: bool = True) -> None:
        """End a conversation; ``resolved=False`` takes it up again."""
        with self.lock:
            pulls.resolve_thread(self, pull, thread, by, resolved=resolved)

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

    def wake_auto_merges(self, repo: Repo) -> None:
        """Something has changed that a wish for auto-merge may have waited for; it is carried out a moment later."""
        for pull in repo.pulls.values():
            if pull.auto_merge is not None and pull.is_open:
                self.clock.call_later(0.0, self.activity.tracked(partial(self._merge_if_ready, pull)))

    def _merge_if_ready(self, pull: Pull) -> None:
        with self.lock:
            merging.merge_if_ready(self, pull)

    def rename_label(self, repo: str | Repo, old: str, new: str, by: str = BOT) -> None:
        """Rename a label of a repository, and so on everything that bears it; raises KeyError if there is none."""
        with self.lock:
            pulls.rename_label(self, self._repo(repo), old, new, by)

    def archive(self, repo: str | Repo, *, archived: bool = True, by: str = BOT) -> None:
        """Make a repository read-only for everybody, or take that back."""
        with self.lock:
            moving.archive(self, self._repo(repo), by, archived=archived)

    def rename_repo(self, repo: str | Repo, full_name: str, by: str = BOT) -> None:
        """Rename a repository, or transfer it to another owner; raises RefusedError 422 if the name is taken."""
        with self.lock:
            moving.rename(self, self._repo(repo), full_name, by)

    def delete_repo(self, repo: str | Repo, by: str = BOT) -> None:
        with self.lock:
            moving.delete(self, self._repo(repo), by)

    def rename_branch(self, repo: str | Repo, old: str, new: str, by: str = BOT) -> None:
        """Raises RefusedError 404 if there is no such branch, 422 if there is one of the new name."""
        with self.lock:
            moving.rename_branch(self, self._repo(repo), old, new, by)

    def register_app(self, slug: str, owner: str = "acme", **details: Any) -> Registration:
        """Register an App (``details`` as Registry.register takes them); its hook, if it has a URL, is on at once."""
        with self.lock:
            return installing.register(self, slug, owner, **details)

    def install_app(
        self, app: Registration, account: str, repos: Iterable[str] | None = None, by: str = BOT
    ) -> Installation:
        """Install an App for an account, on some of its repositories (by full name) or on all."""
        with self.lock:
            return installing.install(self, app, account, repos, by)

    def dispatch(self, repo: Repo, kind: str, payload: Mapping[str, Any], by: str = BOT) -> None:
        """Send a repository_dispatch event, and start a CI that runs on its kind: on the payload's ``sha`` or ``ref``,
        else on the default branch.
        """
        with self.lock:
            body = {"action": kind, "branch": repo.default_branch, "client_payload": payload}
            self.emit("repository_dispatch", repo, body, by=by)
            named = payload.get("sha") or payload.get("ref") or repo.default_branch
            sha = repo.git.resolve(str(named))
            if sha is not None:
                self.ci.dispatched(repo, kind, sha)

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
            pulls.set_state(self, issue, "closed", by)

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
