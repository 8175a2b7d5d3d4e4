"""The JSON GitHub shows for pull requests, their reviews and files, and for pushes."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from mergeq.sandbox.clock import iso
from mergeq.sandbox.git import ZERO
from mergeq.sandbox.git_objects import FileChange
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.protection_shapes import team_shape
from mergeq.sandbox.records import Pull, Repo, Review, Thread
from mergeq.sandbox.shapes import Json, Shapes, no_reactions
from mergeq.sandbox.users import login_of, person

_MAX_LISTED_COMMITS = 20


def pull_summary(shapes: Shapes, repo: Repo, pull: Pull) -> Json:
    """A pull request as lists show it."""
    url, issue = f"{shapes.repo_api(repo)}/pulls/{pull.number}", f"{shapes.repo_api(repo)}/issues/{pull.number}"
    html = f"{shapes.web}/{repo.full_name}/pull/{pull.number}"
    statuses = f"{shapes.repo_api(repo)}/statuses/{pull.head_sha}"
    links = {
        "self": url,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{shapes.repo_api(repo)}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": statuses,
    }
    return {
        "id": pull.id,
        "node_id": node_id("PR", repo.id, pull.number),
        "number": pull.number,
        "state": pull.state,
        "locked": pull.locked,
        "title": pull.title,
        "body": pull.body or None,
        "user": shapes.user(pull.author),
        "labels": shapes.labels(repo, pull),
        "milestone": shapes.milestone(repo, pull.milestone),
        "draft": pull.draft,
        **shapes.assignees(pull),
        "requested_reviewers": [shapes.user(login) for login in pull.reviewers],
        "requested_teams": [team_shape(shapes, repo.owner, slug) for slug in pull.reviewing_teams],
        "author_association": repo.association(pull.author),
        "auto_merge": _auto_merge(shapes, pull),
        "active_lock_reason": pull.lock_reason,
        "merge_commit_sha": pull.merge_commit_sha,
        "head": _side(shapes, pull.head_repo, pull.head_ref, pull.head_sha),
        "base": _side(shapes, pull.repo, pull.base_ref, pull.base_sha),
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "comments_url": links["comments"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "statuses_url": statuses,
        "_links": {name: {"href": href} for name, href in links.items()},
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": None if pull.closed_at is None else iso(pull.closed_at),
        "merged_at": None if pull.merged_at is None else iso(pull.merged_at),
    }


def pull_full(shapes: Shapes, repo: Repo, pull: Pull) -> Json:
    """A pull request as its own page and webhooks show it; says what is known of mergeability and asks nothing."""
    changes = shapes.world.changes_of(pull)
    known = pull.mergeable is not None and not pull.merged
    return pull_summary(shapes, repo, pull) | {
        "merged": pull.merged,
        "mergeable": pull.mergeable if known else None,
        "rebaseable": pull.rebaseable if known else None,
        "mergeable_state": shapes.world.merge_state_of(pull).lower(),
        "merged_by": shapes.user(pull.merged_by) if pull.merged_by else None,
        "comments": len(pull.comments),
        "review_comments": 0,
        "maintainer_can_modify": pull.maintainer_can_modify and pull.is_cross_repository,
        "commits": len(shapes.world.commits_of(pull)),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
        "changed_files": len(changes),
    }


def _auto_merge(shapes: Shapes, pull: Pull) -> Json | None:
    wish = pull.auto_merge
    if wish is None:
        return None
    return {
        "enabled_by": shapes.user(wish.by),
        "merge_method": wish.method,
        "commit_title": wish.title,
        "commit_message": wish.message,
    }


def _side(shapes: Shapes, repo_name: str, ref: str, sha: str) -> Json:
    repo = shapes.world.find_repo(repo_name)
    owner = repo_name.partition("/")[0]
    return {
        "label": f"{owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": shapes.user(owner, "User" if repo is None or repo.owner_is_user else "Organization"),
        "repo": None if repo is None else shapes.repo(repo),
    }


def review_shape(shapes: Shapes, repo: Repo, pull: Pull, review: Review) -> Json:
    """A review as REST shows it, its state in capitals."""
    url = f"{shapes.repo_api(repo)}/pulls/{pull.number}"
    html = f"{shapes.web}/{repo.full_name}/pull/{pull.number}#pullrequestreview-{review.id}"
    return {
        "id": review.id,
        "node_id": node_id("PRR", review.id),
        "user": shapes.user(review.author),
        "body": review.body,
        "state": review.state,
        "commit_id": review.commit_sha,
        "submitted_at": iso(review.submitted_at),
        "author_association": repo.association(review.author),
        "html_url": html,
        "pull_request_url": url,
        "_links": {"html": {"href": html}, "pull_request": {"href": url}},
    }


def thread_shape(shapes: Shapes, repo: Repo, pull: Pull, thread: Thread) -> Json:
    """A conversation, as the one comment that it consists of here."""
    url = f"{shapes.repo_api(repo)}/pulls/comments/{thread.id}"
    pull_url = f"{shapes.repo_api(repo)}/pulls/{pull.number}"
    html = f"{shapes.web}/{repo.full_name}/pull/{pull.number}#discussion_r{thread.id}"
    places = ("original_line", "line", "original_start_line", "start_line", "start_side")
    comment = {
        "id": thread.id,
        "node_id": node_id("PRRC", thread.id),
        "pull_request_review_id": None,
        "url": url,
        "html_url": html,
        "pull_request_url": pull_url,
        "_links": {"self": {"href": url}, "html": {"href": html}, "pull_request": {"href": pull_url}},
        "path": thread.path,
        "diff_hunk": "",
        "position": 1,
        "original_position": 1,
        **dict.fromkeys(places),
        "original_line": 1,
        "line": 1,
        "side": "RIGHT",
        "commit_id": thread.commit_sha,
        "original_commit_id": thread.commit_sha,
        "user": shapes.user(thread.author),
        "author_association": repo.association(thread.author),
        "body": thread.body,
        "reactions": no_reactions(url),
        "created_at": iso(thread.created_at),
        "updated_at": iso(thread.created_at),
    }
    return {"node_id": node_id("PRRT", thread.id), "comments": [comment]}


def file_shape(shapes: Shapes, repo: Repo, sha: str, change: FileChange) -> Json:
    """One changed file as it is in a commit, without its patch."""
    where, path = f"{shapes.web}/{repo.full_name}", quote(change.path)
    return {
        "sha": change.blob,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{where}/blob/{sha}/{path}",
        "raw_url": f"{where}/raw/{sha}/{path}",
        "contents_url": f"{shapes.repo_api(repo)}/contents/{path}?ref={sha}",
    }


def push_shape(shapes: Shapes, repo: Repo, ref: str, old: str, new: str, *, forced: bool, pusher: str) -> Json:
    """The payload of a push event, without repository and sender; lists the last 20 commits."""
    git = repo.git
    deleted = new == ZERO
    since = old if old != ZERO else (git.tip(repo.default_branch) or ZERO)
    shas = () if deleted else tuple(sha for sha, _ in git.new_commits(since, new))[-_MAX_LISTED_COMMITS:]
    return {
        "ref": ref,
        "before": old,
        "after": new,
        "created": old == ZERO,
        "deleted": deleted,
        "forced": forced,
        "base_ref": None,
        "compare": f"{shapes.web}/{repo.full_name}/compare/{old[:12]}...{new[:12]}",
        "commits": [_pushed_commit(shapes, repo, sha) for sha in shas],
        "head_commit": None if deleted else _pushed_commit(shapes, repo, new),
        "pusher": {"name": pusher, "email": person(pusher).email},
    }


def _pushed_commit(shapes: Shapes, repo: Repo, sha: str) -> Json:
    info = repo.git.commit(sha)
    changes: Sequence[FileChange] = repo.git.changes(info.parents[0], sha) if info.parents else ()
    by_status = {kind: [c.path for c in changes if c.status == kind] for kind in ("added", "removed", "modified")}
    return {
        "id": sha,
        "tree_id": info.tree,
        "distinct": True,
        "message": info.message,
        "timestamp": iso(info.committed_at),
        "url": f"{shapes.web}/{repo.full_name}/commit/{sha}",
        "author": {"name": info.author.name, "email": info.author.email, "username": login_of(info.author)},
        "committer": {
            "name": info.committer.name,
            "email": info.committer.email,
            "username": login_of(info.committer),
        },
        **by_status,
    }
