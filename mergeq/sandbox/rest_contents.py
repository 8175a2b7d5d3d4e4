"""REST endpoints that read files and history: contents, the README, the list of commits, a commit's pull requests."""

from __future__ import annotations

import base64
from urllib.parse import quote

from flask import Response, jsonify, request

from mergeq.sandbox.git_objects import TreeEntry
from mergeq.sandbox.pull_shapes import pull_summary
from mergeq.sandbox.pulls import brings
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.rest import Answer, endpoint, paged, parameters, the_repo
from mergeq.sandbox.rest_repos import commit_sha
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import shapes

_REPO = "/repos/<owner>/<repo>"


@endpoint("GET", f"{_REPO}/contents/<path:path>")
@endpoint("GET", f"{_REPO}/contents/")
def _contents(owner: str, repo: str, path: str = "") -> Answer:
    """A file with its text in base64, or what lies in a folder; the bare text where that is accepted."""
    found = the_repo(owner, repo)
    return _shown(found, path, parameters("ref").get("ref"))


@endpoint("GET", f"{_REPO}/readme")
def _readme(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    return _shown(found, "README.md", parameters("ref").get("ref"))


def _shown(repo: Repo, path: str, ref: str | None) -> Answer:
    try:
        sha = commit_sha(repo, ref or repo.default_branch)
    except RefusedError as error:
        raise RefusedError(404, f"No commit found for the ref {ref or repo.default_branch}") from error
    entry = repo.git.entry_at(sha, path)
    if entry is None:
        raise RefusedError(404, "Not Found")
    name, shown = ref or repo.default_branch, shapes()
    if entry.kind == "tree":
        inside = repo.git.entries(entry.sha)
        return jsonify([_entry_shape(shown, repo, one, f"{path}/{one.path}".strip("/"), name) for one in inside])
    content = repo.git.blob(entry.sha)
    if "raw" in request.headers.get("Accept", ""):
        return Response(content, mimetype="application/vnd.github.raw")
    return jsonify(
        _entry_shape(shown, repo, entry, entry.path, name)
        | {"encoding": "base64", "content": base64.encodebytes(content).decode()}
    )


def _entry_shape(shown: Shapes, repo: Repo, entry: TreeEntry, path: str, ref: str) -> Json:
    kind = {"blob": "file", "tree": "dir", "commit": "submodule"}[entry.kind]
    place, web = quote(path), f"{shown.web}/{repo.full_name}"
    url = f"{shown.repo_api(repo)}/contents/{place}?ref={quote(ref)}"
    git_url = f"{shown.repo_api(repo)}/git/{entry.kind}s/{entry.sha}"
    html = f"{web}/{entry.kind}/{quote(ref)}/{place}"
    return {
        "type": kind,
        "size": entry.size or 0,
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": entry.sha,
        "url": url,
        "git_url": git_url,
        "html_url": html,
        "download_url": f"{web}/raw/{quote(ref)}/{place}" if kind == "file" else None,
        "_links": {"self": url, "git": git_url, "html": html},
    }


@endpoint("GET", f"{_REPO}/commits")
def _commits(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("sha", "path")
    tip = commit_sha(found, asked.get("sha") or found.default_branch)
    shown = shapes()
    return paged(found.git.history(tip, asked.get("path")), lambda sha: shown.commit(found, found.git.commit(sha)))


@endpoint("GET", f"{_REPO}/commits/<path:commit>/pulls")
def _pulls_with(owner: str, repo: str, commit: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha, shown = commit_sha(found, commit), shapes()
    bringing = [pull for pull in found.pulls.values() if brings(found, pull, sha)]
    return paged(bringing, lambda pull: pull_summary(shown, found, pull))


@endpoint("GET", f"{_REPO}/commits/<path:commit>/branches-where-head")
def _branches_at(owner: str, repo: str, commit: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha, shown = commit_sha(found, commit), shapes()
    return jsonify([shown.short_branch(found, name, tip) for name, tip in found.git.branches().items() if tip == sha])
