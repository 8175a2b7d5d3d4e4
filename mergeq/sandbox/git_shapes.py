"""The JSON GitHub's git database shows: bare commits and trees."""

from __future__ import annotations

from collections.abc import Sequence

from mergeq.sandbox.clock import iso
from mergeq.sandbox.git_objects import CommitInfo, TreeEntry
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Repo
from mergeq.sandbox.shapes import Json, Shapes, verification


def commit_shape(shapes: Shapes, repo: Repo, info: CommitInfo) -> Json:
    """A commit object, without the users GitHub knows behind the addresses."""
    git_url, html = f"{shapes.repo_api(repo)}/git", f"{shapes.web}/{repo.full_name}/commit"
    return {
        "sha": info.sha,
        "node_id": node_id("C", repo.id, info.sha),
        "url": f"{git_url}/commits/{info.sha}",
        "html_url": f"{html}/{info.sha}",
        "author": {"name": info.author.name, "email": info.author.email, "date": iso(info.authored_at)},
        "committer": {"name": info.committer.name, "email": info.committer.email, "date": iso(info.committed_at)},
        "message": info.message,
        "tree": {"sha": info.tree, "url": f"{git_url}/trees/{info.tree}"},
        "parents": [
            {"sha": parent, "url": f"{git_url}/commits/{parent}", "html_url": f"{html}/{parent}"}
            for parent in info.parents
        ],
        "verification": verification(info),
    }


def tree_shape(shapes: Shapes, repo: Repo, sha: str, entries: Sequence[TreeEntry]) -> Json:
    """What lies directly in a tree."""
    git_url = f"{shapes.repo_api(repo)}/git"
    return {
        "sha": sha,
        "url": f"{git_url}/trees/{sha}",
        "truncated": False,
        "tree": [_entry_shape(git_url, entry) for entry in entries],
    }


def _entry_shape(git_url: str, entry: TreeEntry) -> Json:
    shape: Json = {"path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha}
    if entry.size is not None:
        shape["size"] = entry.size
    if entry.kind != "commit":
        shape["url"] = f"{git_url}/{entry.kind}s/{entry.sha}"
    return shape
