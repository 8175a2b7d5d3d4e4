"""The JSON GitHub's REST API and webhooks show for users, repositories, commits, statuses and issues."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mergeq.sandbox.clock import iso
from mergeq.sandbox.demands import is_protected
from mergeq.sandbox.git_objects import CommitInfo, Person
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import (
    App,
    CheckRun,
    CheckSuite,
    Comment,
    Deployment,
    DeploymentStatus,
    Issue,
    Label,
    Method,
    Milestone,
    Pull,
    Repo,
    Status,
)
from mergeq.sandbox.users import Role, login_of

if TYPE_CHECKING:
    from mergeq.sandbox.state import WorldState

Json = dict[str, Any]

_REPO_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Writes records as JSON; ``web`` and ``api`` are the base URLs the reader uses."""

    world: WorldState
    web: str
    api: str

    def repo_api(self, repo: Repo) -> str:
        return f"{self.api}/repos/{repo.full_name}"

    def user(self, login: str, kind: str = "User") -> Json:
        url = f"{self.api}/users/{quote(login)}"
        number = self.world.users.id_of(login)
        page = f"apps/{quote(login.removesuffix('[bot]'))}" if login.endswith("[bot]") else quote(login)
        return {
            "login": login,
            "id": number,
            "node_id": node_id("O" if kind == "Organization" else "U", number),
            "avatar_url": f"{self.web}/avatars/{quote(login)}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{page}",
            "type": "Bot" if login.endswith("[bot]") else kind,
            "site_admin": False,
            **{name: url + tail for name, tail in _USER_LINKS.items()},
        }

    def minimal_repo(self, repo: Repo) -> Json:
        """A repository without its settings, as it stands inside of other things."""
        url, html = self.repo_api(repo), f"{self.web}/{repo.full_name}"
        open_count = sum(ticket.state == "open" for ticket in repo.tickets)
        pushed, updated = iso(repo.pushed_at), iso(max(repo.pushed_at, repo.updated_at))
        return {
            "id": repo.id,
            "node_id": node_id("R", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "visibility": "private" if repo.private else "public",
            "owner": self.user(repo.owner, "User" if repo.owner_is_user else "Organization"),
            "html_url": html,
            "url": url,
            "description": repo.settings.description,
            "fork": repo.fork_of is not None,
            **{name: url + tail for name, tail in _REPO_LINKS.items()},
            "git_url": f"{html}.git",
            "clone_url": f"{html}.git",
            "ssh_url": f"{html}.git",
            "svn_url": html,
            "mirror_url": None,
            "homepage": repo.settings.homepage,
            "language": None,
            "license": None,
            "default_branch": repo.default_branch,
            "archived": repo.archived,
            "disabled": False,
            "forks": 0,
            "forks_count": 0,
            "stargazers_count": 0,
            "watchers": 0,
            "watchers_count": 0,
            "open_issues": open_count,
            "open_issues_count": open_count,
            "size": 0,
            "topics": [],
            "has_issues": True,
            "has_projects": False,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "has_downloads": False,
            "is_template": False,
            "web_commit_signoff_required": False,
            "created_at": iso(repo.created_at),
            "updated_at": updated,
            "pushed_at": pushed,
        }

    def repo(self, repo: Repo, viewer: str | None = None) -> Json:
        """A repository with its settings, as pull requests show it, and what the reader may do there."""
        shape = self.minimal_repo(repo) | {
            "allow_merge_commit": Method.MERGE in repo.allowed,
            "allow_squash_merge": Method.SQUASH in repo.allowed,
            "allow_rebase_merge": Method.REBASE in repo.allowed,
            **{name: value for name, value in asdict(repo.settings).items() if name not in ("description", "homepage")},
        }
        if viewer is not None:
            shape["permissions"] = permissions_of(repo, viewer)
        return shape

    def whole_repo(self, repo: Repo, viewer: str | None) -> Json:
        """A repository as its own page shows it."""
        return self.repo(repo, viewer) | {"network_count": 0, "subscribers_count": 0}

    def label(self, repo: Repo, label: Label) -> Json:
        return {
            "id": label.id,
            "node_id": node_id("LA", label.id),
            "url": f"{self.repo_api(repo)}/labels/{quote(label.name, safe='')}",
            "name": label.name,
            "description": label.description,
            "color": label.color,
            "default": False,
        }

    def labels(self, repo: Repo, ticket: Pull | Issue) -> list[Json]:
        return [self.label(repo, repo.labels[name.casefold()]) for name in ticket.labels]

    def assignees(self, ticket: Pull | Issue) -> Json:
        """Everybody it is assigned to, and the first of them by itself."""
        people = [self.user(login) for login in ticket.assignees]
        return {"assignee": people[0] if people else None, "assignees": people}

    def milestone(self, repo: Repo, milestone: Milestone | None) -> Json | None:
        if milestone is None:
            return None
        url = f"{self.repo_api(repo)}/milestones/{milestone.number}"
        created = iso(milestone.created_at)
        return {
            "id": milestone.id,
            "node_id": node_id("MI", milestone.id),
            "number": milestone.number,
            "title": milestone.title,
            "description": None,
            "state": "open",
            "creator": self.user(milestone.creator),
            "open_issues": 0,
            "closed_issues": 0,
            "url": url,
            "labels_url": f"{url}/labels",
            "html_url": f"{self.web}/{repo.full_name}/milestone/{milestone.number}",
            "due_on": None,
            "closed_at": None,
            "created_at": created,
            "updated_at": created,
        }

    def commit(self, repo: Repo, info: CommitInfo) -> Json:
        url, html = f"{self.repo_api(repo)}/commits/{info.sha}", f"{self.web}/{repo.full_name}/commit"
        git_url = f"{self.repo_api(repo)}/git"
        author, committer = self._known(info.author), self._known(info.committer)
        return {
            "sha": info.sha,
            "node_id": node_id("C", repo.id, info.sha),
            "url": url,
            "html_url": f"{html}/{info.sha}",
            "comments_url": f"{url}/comments",
            "commit": {
                "url": f"{git_url}/commits/{info.sha}",
                "author": {"name": info.author.name, "email": info.author.email, "date": iso(info.authored_at)},
                "committer": {
                    "name": info.committer.name,
                    "email": info.committer.email,
                    "date": iso(info.committed_at),
                },
                "message": info.message,
                "comment_count": 0,
                "tree": {"sha": info.tree, "url": f"{git_url}/trees/{info.tree}"},
                "verification": verification(info),
            },
            "author": self.user(author) if author else None,
            "committer": self.user(committer) if committer else None,
            "parents": [
                {"sha": p, "url": f"{self.repo_api(repo)}/commits/{p}", "html_url": f"{html}/{p}"} for p in info.parents
            ],
        }

    def _known(self, who: Person) -> str | None:
        """The login a commit's identity belongs to; None for strangers and for who has left."""
        login = login_of(who)
        return None if login in self.world.users.gone else login

    def short_branch(self, repo: Repo, name: str, sha: str) -> Json:
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{self.repo_api(repo)}/commits/{sha}"},
            "protected": is_protected(repo, name),
        }

    def ref(self, repo: Repo, ref: str, sha: str) -> Json:
        git_url = f"{self.repo_api(repo)}/git"
        return {
            "ref": ref,
            "node_id": node_id("REF", repo.id, ref),
            "url": f"{git_url}/{quote(ref)}",
            "object": {"type": "commit", "sha": sha, "url": f"{git_url}/commits/{sha}"},
        }

    def status(self, repo: Repo, status: Status, *, with_creator: bool = True) -> Json:
        creator = self.user(status.creator)
        moment = iso(status.created_at)
        shape = {
            "url": f"{self.repo_api(repo)}/statuses/{status.sha}",
            "avatar_url": creator["avatar_url"],
            "id": status.id,
            "node_id": node_id("SC", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": moment,
            "updated_at": moment,
        }
        return shape | {"creator": creator} if with_creator else shape

    def app(self, app: App) -> Json:
        """As everybody sees it; one that was never registered only reports check runs."""
        registered = self.world.registry.registration(app.id)
        moment = iso(registered.created_at if registered else 0)
        shape = {
            "id": app.id,
            "node_id": node_id("A", app.id),
            "slug": app.slug,
            "name": registered.name if registered else app.slug,
            "owner": self.user(registered.owner if registered else app.slug, "Organization"),
            "description": "",
            "external_url": (registered and registered.homepage) or f"{self.web}/apps/{app.slug}",
            "html_url": f"{self.web}/apps/{app.slug}",
            "created_at": moment,
            "updated_at": moment,
            "permissions": registered.permissions if registered else {"checks": "write"},
            "events": list(registered.events) if registered else [],
        }
        return shape | {"client_id": registered.client_id} if registered else shape

    def performed_via(self, app_id: int | None) -> Json | None:
        """The App that acted, by itself or for somebody; None for people."""
        app = next((app for app in self.world.apps() if app.id == app_id), None)
        return None if app is None else self.app(app)

    def deployment(self, repo: Repo, deployment: Deployment) -> Json:
        url = f"{self.repo_api(repo)}/deployments/{deployment.id}"
        return {
            "url": url,
            "id": deployment.id,
            "node_id": node_id("DE", deployment.id),
            "sha": deployment.sha,
            "ref": deployment.ref,
            "task": deployment.task,
            "payload": deployment.payload,
            "original_environment": deployment.original_environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "creator": self.user(deployment.creator),
            "created_at": iso(deployment.created_at),
            "updated_at": iso(deployment.updated_at),
            "statuses_url": f"{url}/statuses",
            "repository_url": self.repo_api(repo),
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
            "performed_via_github_app": self.performed_via(deployment.via_app),
        }

    def deployment_status(self, repo: Repo, deployment: Deployment, status: DeploymentStatus) -> Json:
        url, moment = f"{self.repo_api(repo)}/deployments/{deployment.id}", iso(status.created_at)
        return {
            "url": f"{url}/statuses/{status.id}",
            "id": status.id,
            "node_id": node_id("DES", status.id),
            "state": status.state,
            "creator": self.user(status.creator),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.log_url,
            "created_at": moment,
            "updated_at": moment,
            "deployment_url": url,
            "repository_url": self.repo_api(repo),
            "environment_url": status.environment_url,
            "log_url": status.log_url,
            "performed_via_github_app": self.performed_via(status.via_app),
        }

    def check_run(self, repo: Repo, run: CheckRun) -> Json:
        url = f"{self.repo_api(repo)}/check-runs/{run.id}"
        html = f"{self.web}/{repo.full_name}/runs/{run.id}"
        return {
            "id": run.id,
            "node_id": node_id("CR", run.id),
            "head_sha": run.suite.sha,
            "external_id": run.external_id,
            "url": url,
            "html_url": html,
            "details_url": run.details_url or html,
            "name": run.name,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": iso(run.started_at),
            "completed_at": None if run.completed_at is None else iso(run.completed_at),
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": None,
                "annotations_count": 0,
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": run.suite.id},
            "app": self.app(run.suite.app),
            "pull_requests": self._pulls_at(repo, run.suite),
        }

    def check_suite(self, repo: Repo, suite: CheckSuite) -> Json:
        """A suite, which here belongs to the branch whose tip its commit is, if any."""
        url = f"{self.repo_api(repo)}/check-suites/{suite.id}"
        branch = next((name for name, sha in repo.git.branches().items() if sha == suite.sha), None)
        info = repo.git.commit(suite.sha)
        return {
            "id": suite.id,
            "node_id": node_id("CS", suite.id),
            "head_branch": branch,
            "head_sha": suite.sha,
            "status": suite.status,
            "conclusion": suite.conclusion,
            "url": url,
            "before": info.parents[0] if info.parents else None,
            "after": suite.sha,
            "pull_requests": self._pulls_at(repo, suite),
            "app": self.app(suite.app),
            "created_at": iso(suite.created_at),
            "updated_at": iso(
                max((run.completed_at or run.started_at for run in suite.runs), default=suite.created_at)
            ),
            "head_commit": {
                "id": info.sha,
                "tree_id": info.tree,
                "message": info.message,
                "timestamp": iso(info.committed_at),
                "author": {"name": info.author.name, "email": info.author.email},
                "committer": {"name": info.committer.name, "email": info.committer.email},
            },
            "latest_check_runs_count": len(suite.latest),
            "check_runs_url": f"{url}/check-runs",
        }

    def _pulls_at(self, repo: Repo, suite: CheckSuite) -> list[Json]:
        """Open pull requests of this repository with that head; a fork's are never listed."""
        where = {"id": repo.id, "url": self.repo_api(repo), "name": repo.name}
        return [
            {
                "id": pull.id,
                "number": pull.number,
                "url": f"{self.repo_api(repo)}/pulls/{pull.number}",
                "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": where},
                "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": where},
            }
            for pull in repo.pulls.values()
            if pull.is_open and pull.head_sha == suite.sha and not pull.is_cross_repository
        ]

    def issue(self, repo: Repo, issue: Issue | Pull) -> Json:
        url, html = f"{self.repo_api(repo)}/issues/{issue.number}", f"{self.web}/{repo.full_name}"
        shape: Json = {
            "id": issue.id,
            "node_id": node_id("PR" if isinstance(issue, Pull) else "I", repo.id, issue.number),
            "number": issue.number,
            "title": issue.title,
            "body": issue.body or None,
            "state": issue.state,
            "state_reason": "completed" if issue.state == "closed" else None,
            "locked": issue.locked,
            "user": self.user(issue.author),
            "author_association": repo.association(issue.author),
            **self.assignees(issue),
            "labels": self.labels(repo, issue),
            "milestone": self.milestone(repo, issue.milestone),
            "comments": len(issue.comments),
            "url": url,
            "repository_url": self.repo_api(repo),
            "active_lock_reason": issue.lock_reason,
            "performed_via_github_app": self.performed_via(issue.via_app) if isinstance(issue, Issue) else None,
            "reactions": no_reactions(url),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": f"{html}/issues/{issue.number}",
            "created_at": iso(issue.created_at),
            "updated_at": iso(issue.updated_at),
            "closed_at": None if issue.closed_at is None else iso(issue.closed_at),
        }
        if isinstance(issue, Pull):
            page = f"{html}/pull/{issue.number}"
            shape["html_url"] = page
            shape["pull_request"] = {
                "url": f"{self.repo_api(repo)}/pulls/{issue.number}",
                "html_url": page,
                "diff_url": f"{page}.diff",
                "patch_url": f"{page}.patch",
                "merged_at": None if issue.merged_at is None else iso(issue.merged_at),
            }
        return shape

    def comment(self, repo: Repo, number: int, comment: Comment) -> Json:
        moment = iso(comment.created_at)
        return {
            "id": comment.id,
            "node_id": node_id("IC", comment.id),
            "url": f"{self.repo_api(repo)}/issues/comments/{comment.id}",
            "html_url": f"{self.web}/{repo.full_name}/issues/{number}#issuecomment-{comment.id}",
            "issue_url": f"{self.repo_api(repo)}/issues/{number}",
            "user": self.user(comment.author),
            "author_association": repo.association(comment.author),
            "body": comment.body,
            "performed_via_github_app": self.performed_via(comment.via_app),
            "reactions": no_reactions(f"{self.repo_api(repo)}/issues/comments/{comment.id}"),
            "created_at": moment,
            "updated_at": moment,
        }


def permissions_of(repo: Repo, login: str) -> Json:
    """What somebody may do in a repository, in REST's five words."""
    names = {"admin": Role.ADMIN, "maintain": Role.MAINTAIN, "push": Role.WRITE, "triage": Role.TRIAGE}
    return {**{name: repo.people.reaches(login, role) for name, role in names.items()}, "pull": True}


def verification(info: CommitInfo) -> Json:
    """What GitHub says of a commit's signature; one it did not make itself is by a key it does not know."""
    reason = "valid" if info.is_verified else "unsigned" if info.signature is None else "unknown_key"
    return {
        "verified": info.is_verified,
        "reason": reason,
        "signature": info.signature,
        "payload": info.payload,
        "verified_at": iso(info.committed_at) if info.is_verified else None,
    }


def no_reactions(url: str) -> Json:
    """The emoji under something nobody has reacted to."""
    kinds = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
    return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(kinds, 0)}
