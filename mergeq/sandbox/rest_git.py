"""REST endpoints of git objects and refs, and of merging one branch into another."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from flask import jsonify

from mergeq.sandbox import merging, refs
from mergeq.sandbox.git_objects import GitError, Person
from mergeq.sandbox.git_shapes import commit_shape, tree_shape
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError, invalid, not_found
from mergeq.sandbox.rest import Answer, body, chosen, endpoint, parameters, required, the_repo, writer
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import shapes, world
from mergeq.sandbox.users import person

_REPO = "/repos/<owner>/<repo>"


@endpoint("POST", f"{_REPO}/merges")
def _merge(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("base", "head", "commit_message")
    base, head = required(fields, "Merge", "base"), required(fields, "Merge", "head")
    landed = merging.merge_branch(world(), found, base, head, message=fields.get("commit_message"), by=by)
    if landed is None:
        return "", 204
    return jsonify(shapes().commit(found, found.git.commit(landed))), 201


@endpoint("GET", f"{_REPO}/git/commits/<commit_sha>")
def _commit(owner: str, repo: str, commit_sha: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    try:
        info = found.git.commit(commit_sha)
    except GitError as error:
        raise not_found() from error
    return jsonify(commit_shape(shapes(), found, info))


@endpoint("POST", f"{_REPO}/git/commits")
def _create_commit(owner: str, repo: str) -> Answer:
    """Without author and committer it is the asker's, and signed; with either it is as given and not signed."""
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("message", "tree", "parents", "author", "committer")
    message, tree = required(fields, "Commit", "message"), required(fields, "Commit", "tree")
    parents = _parents(fields.get("parents"))
    if found.git.kind(tree) != "tree":
        raise RefusedError(422, "Tree SHA does not exist")
    if any(found.git.kind(parent) != "commit" for parent in parents):
        raise RefusedError(422, "Parent SHA does not exist or is not a commit object")
    sha = drafted(found, tree, parents, message, fields, by)
    return jsonify(commit_shape(shapes(), found, found.git.commit(sha))), 201


def drafted(repo: Repo, tree: str, parents: tuple[str, ...], message: str, fields: Json, by: str) -> str:
    """A commit by whom the body names; by the asker, and signed, where it names nobody."""
    signed = fields.get("author") is None and fields.get("committer") is None
    author, authored_at = _signed_by(fields.get("author"), person(by), world().now())
    committer, committed_at = _signed_by(fields.get("committer"), author, authored_at)
    return repo.git.commit_tree(
        tree,
        parents,
        message,
        author=author,
        authored_at=authored_at,
        committer=committer,
        when=committed_at,
        signed=signed,
    )


def _parents(sent: Any) -> tuple[str, ...]:
    if not isinstance(sent, list | None) or not all(isinstance(parent, str) for parent in sent or ()):
        raise invalid("Commit", "parents is not a list of SHAs", "parents")
    return tuple(sent or ())


def _signed_by(sent: Json | None, default: Person, now: float) -> tuple[Person, float]:
    """Who is named, and the epoch second at which they acted."""
    if sent is None:
        return default, now
    name, email = required(sent, "Commit", "name"), required(sent, "Commit", "email")
    try:
        at = datetime.fromisoformat(sent["date"]).timestamp() if sent.get("date") else now
    except (TypeError, ValueError) as error:
        raise invalid("Commit", "date is not a timestamp", "date") from error
    return Person(name, email), at


@endpoint("GET", f"{_REPO}/git/trees/<path:tree_sha>")
def _tree(owner: str, repo: str, tree_sha: str) -> Answer:
    """Of a tree by its SHA, or of the commit that a SHA, branch or tag names."""
    found = the_repo(owner, repo)
    deep = "recursive" in parameters("recursive")
    tree = tree_sha if found.git.kind(tree_sha) == "tree" else _tree_of_commit(found, tree_sha)
    return jsonify(tree_shape(shapes(), found, tree, found.git.entries(tree, recursive=deep)))


@endpoint("POST", f"{_REPO}/git/trees")
def _create_tree(owner: str, repo: str) -> Answer:
    """From a base and what is to be different at some paths: an object by its ``sha``, or a file by its ``content``."""
    found = the_repo(owner, repo)
    writer(found)
    fields = body("base_tree", "tree")
    base = fields.get("base_tree")
    if base is not None and found.git.kind(base) not in ("tree", "commit"):
        raise RefusedError(422, "base_tree is not a valid tree oid")
    if not isinstance(fields.get("tree"), list) or not fields["tree"]:
        raise RefusedError(422, "Invalid tree info")
    try:
        tree = found.git.write_tree(base, [_entry(found, entry) for entry in fields["tree"]])
    except GitError as error:
        raise RefusedError(422, "tree.sha is not a valid tree") from error
    return jsonify(tree_shape(shapes(), found, tree, found.git.entries(tree))), 201


def _entry(repo: Repo, sent: Json) -> tuple[str, str, str | None]:
    mode = sent.get("mode")
    if mode not in ("100644", "100755", "040000", "160000", "120000"):
        raise RefusedError(422, "Must supply a valid tree.mode")
    if "content" in sent:
        return sent["path"], mode, repo.git.keep_blob(sent["content"].encode())
    if sent.get("sha") is not None and mode != "160000" and repo.git.kind(sent["sha"]) is None:
        raise RefusedError(422, f"tree.sha {sent['sha']} is not a valid {'tree' if mode == '040000' else 'blob'}")
    return sent["path"], mode, sent.get("sha")


@endpoint("POST", f"{_REPO}/git/blobs")
def _create_blob(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    writer(found)
    fields = body("content", "encoding")
    encoding = chosen(fields.get("encoding") or "utf-8", ("utf-8", "base64"), "Blob", "encoding")
    content = fields.get("content") or ""
    try:
        raw = base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
    except ValueError as error:
        raise RefusedError(422, "content is not valid Base64") from error
    sha = found.git.keep_blob(raw)
    return jsonify({"sha": sha, "url": f"{shapes().repo_api(found)}/git/blobs/{sha}"}), 201


@endpoint("GET", f"{_REPO}/git/blobs/<file_sha>")
def _blob(owner: str, repo: str, file_sha: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    try:
        content = found.git.blob(file_sha)
    except GitError as error:
        raise not_found() from error
    return jsonify(
        {
            "sha": file_sha,
            "node_id": node_id("B", found.id, file_sha),
            "size": len(content),
            "url": f"{shapes().repo_api(found)}/git/blobs/{file_sha}",
            "content": base64.encodebytes(content).decode(),
            "encoding": "base64",
        }
    )


def _tree_of_commit(repo: Repo, name: str) -> str:
    sha = repo.git.resolve(name)
    if sha is None:
        raise not_found()
    return repo.git.commit(sha).tree


@endpoint("GET", f"{_REPO}/git/ref/<path:ref>")
def _ref(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha = found.git.refs().get(f"refs/{ref}")
    if sha is None:
        raise not_found()
    return jsonify(shapes().ref(found, f"refs/{ref}", sha))


@endpoint("GET", f"{_REPO}/git/matching-refs/<path:ref>")
def _matching(owner: str, repo: str, ref: str) -> Answer:
    """Every ref that begins so, in one list: GitHub does not page this one."""
    found = the_repo(owner, repo)
    parameters()
    shown = shapes()
    known = sorted(found.git.refs().items())
    return jsonify([shown.ref(found, name, sha) for name, sha in known if name.startswith(f"refs/{ref}")])


@endpoint("POST", f"{_REPO}/git/refs")
def _create_ref(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("ref", "sha")
    ref, sha = required(fields, "Reference", "ref"), required(fields, "Reference", "sha")
    if not ref.startswith("refs/") or ref.count("/") < 2:
        rule = "start with 'refs/' and contain at least three slash-separated parts"
        raise RefusedError(422, f"Reference name must {rule}")
    refs.create(world(), found, ref, sha, by)
    return jsonify(shapes().ref(found, ref, sha)), 201


@endpoint("PATCH", f"{_REPO}/git/refs/<path:ref>")
def _update_ref(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("sha", "force")
    force = fields.get("force", False)
    if not isinstance(force, bool):
        raise invalid("Reference", "force is not a boolean", "force")
    sha = required(fields, "Reference", "sha")
    refs.update(world(), found, f"refs/{ref}", sha, by, force=force)
    return jsonify(shapes().ref(found, f"refs/{ref}", sha))


@endpoint("DELETE", f"{_REPO}/git/refs/<path:ref>")
def _delete_ref(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    refs.delete(world(), found, f"refs/{ref}", by)
    return "", 204
