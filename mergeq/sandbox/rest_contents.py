"""REST endpoints of files and history: contents, the README, the list of commits, a commit's pull requests."""

from __future__ import annotations

import base64
from urllib.parse import quote

from flask import Response, jsonify, request

from mergeq.sandbox import refs
from mergeq.sandbox.git import HEADS, ZERO
from mergeq.sandbox.git_objects import TreeEntry
from mergeq.sandbox.git_shapes import commit_shape
from mergeq.sandbox.policy import VIOLATIONS
from mergeq.sandbox.pull_shapes import pull_summary
from mergeq.sandbox.pulls import brings
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.rest import Answer, body, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.rest_git import drafted
from mergeq.sandbox.rest_repos import commit_sha
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import shapes, world

_REPO = "/repos/<owner>/<repo>"


@endpoint("GET", f"{_REPO}/contents/<path:path>")
@endpoint("GET", f"{_REPO}/contents/")
def _contents(owner: str, repo: str, path: str = "") -> Answer:
    """A file with its text in base64, or what lies in a folder; the bare text where that is accepted."""
    found = the_repo(owner, repo)
    return _shown(found, path, parameters("ref").get("ref"))


@endpoint("PUT", f"{_REPO}/contents/<path:path>")
def _write(owner: str, repo: str, path: str) -> Answer:
    """Make a file on a branch, or another of it: who does that says which blob (``sha``) it was."""
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("message", "content", "sha", "branch", "author", "committer")
    before, verb = _before(found, path, fields), "create"
    if before is not None:
        verb = "update"
        if not fields.get("sha"):
            raise RefusedError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    try:
        blob = found.git.keep_blob(base64.b64decode(fields.get("content") or "", validate=True))
    except ValueError as error:
        raise RefusedError(422, "content is not valid Base64") from error
    entry = (path, "100644" if before is None else before.mode, blob)
    shape = _committed(found, entry, fields, by, verb)
    return jsonify(shape), 201 if before is None else 200


@endpoint("DELETE", f"{_REPO}/contents/<path:path>")
def _remove(owner: str, repo: str, path: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("message", "sha", "branch", "author", "committer")
    if not fields.get("sha"):
        raise RefusedError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if _before(found, path, fields) is None:
        raise RefusedError(404, "Not Found")
    return jsonify(_committed(found, (path, "0", None), fields, by, "delete"))


def _before(repo: Repo, path: str, fields: Json) -> TreeEntry | None:
    """The file as it is on the branch; raises RefusedError 404 without a branch, 409 if it is not as is believed."""
    branch = fields.get("branch") or repo.default_branch
    tip = repo.git.tip(branch)
    if tip is None:
        raise RefusedError(404, f"Branch {branch} not found")
    before = repo.git.entry_at(tip, path)
    if fields.get("sha") and (before is None or before.sha != fields["sha"]):
        raise RefusedError(409, f"{path} does not match {fields['sha']}")
    return before


def _committed(repo: Repo, entry: tuple[str, str, str | None], fields: Json, by: str, verb: str) -> Json:
    """Commit one file to the branch and show both; raises RefusedError 409 where its rules are against it."""
    message, branch = required(fields, "Commit", "message"), fields.get("branch") or repo.default_branch
    tip = repo.git.tip(branch) or ZERO
    sha = drafted(repo, repo.git.write_tree(tip, [entry]), (tip,), message, fields, by)
    try:
        refs.update(world(), repo, HEADS + branch, sha, by, force=False)
    except RefusedError as refusal:
        if refusal.status != 422:
            raise
        is_by_rulesets = refusal.message.startswith(VIOLATIONS)
        words = refusal.message if is_by_rulesets else f"Could not {verb} file: {refusal.message}"
        raise RefusedError(409, words) from refusal
    now_there, shown = repo.git.entry_at(sha, entry[0]), shapes()
    return {
        "content": None if now_there is None else _entry_shape(shown, repo, now_there, entry[0], branch),
        "commit": commit_shape(shown, repo, repo.git.commit(sha)),
    }


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
