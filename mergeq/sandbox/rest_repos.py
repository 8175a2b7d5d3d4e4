"""REST endpoints of repositories and their settings, branches and commits."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from dataclasses import replace

from flask import jsonify, request

from mergeq.sandbox.demands import bindings
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.protection_shapes import branch_shape
from mergeq.sandbox.pull_shapes import file_shape
from mergeq.sandbox.records import Method, Repo, Settings
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, archived, forbidden, invalid, not_found
from mergeq.sandbox.rest import Answer, body, chosen, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import actor, shapes, viewer, world

_REPO = "/repos/<owner>/<repo>"
_SETTINGS = tuple(setting.name for setting in dataclass_fields(Settings))
_METHODS = {
    "allow_merge_commit": Method.MERGE,
    "allow_squash_merge": Method.SQUASH,
    "allow_rebase_merge": Method.REBASE,
}
_WORDS = {
    "squash_merge_commit_title": ("PR_TITLE", "COMMIT_OR_PR_TITLE"),
    "squash_merge_commit_message": ("PR_BODY", "COMMIT_MESSAGES", "BLANK"),
    "merge_commit_title": ("PR_TITLE", "MERGE_MESSAGE"),
    "merge_commit_message": ("PR_BODY", "PR_TITLE", "BLANK"),
}


@endpoint("GET", _REPO)
def _repo(owner: str, repo: str) -> Answer:
    parameters()
    return jsonify(shapes().whole_repo(the_repo(owner, repo), viewer()))


@endpoint("GET", f"{_REPO}/branches")
def _branches(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("protected")
    branches = list(found.git.branches().items())
    if "protected" in asked:
        wanted = asked["protected"] == "true"
        branches = [(name, sha) for name, sha in branches if bool(bindings(found, HEADS + name)) == wanted]
    shown = shapes()
    return paged(branches, lambda branch: shown.short_branch(found, *branch))


@endpoint("GET", f"{_REPO}/branches/<path:branch>")
def _branch(owner: str, repo: str, branch: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha = found.git.tip(branch)
    if sha is not None:
        return jsonify(branch_shape(shapes(), found, branch, sha))
    name, _, rest = branch.partition("/protection")
    if name != branch and not rest.strip("/abcdefghijklmnopqrstuvwxyz_"):
        raise NotSimulatedError(f"GET /repos/{{owner}}/{{repo}}/branches/{{branch}}/protection{rest}")
    raise RefusedError(404, "Branch not found")


@endpoint("GET", f"{_REPO}/commits/<path:ref>")
def _commit(owner: str, repo: str, ref: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    return jsonify(shapes().commit(found, found.git.commit(commit_sha(found, ref))))


def commit_sha(repo: Repo, ref: str) -> str:
    """The commit a path part names; raises RefusedError 422 as GitHub does for a name that leads nowhere."""
    try:
        sha = repo.git.resolve(ref)
    except GitError as error:
        raise RefusedError(422, f"No commit found for SHA: {ref}") from error
    if sha is None:
        raise RefusedError(422, f"No commit found for SHA: {ref}")
    return sha


@endpoint("GET", f"{_REPO}/compare/<path:basehead>")
def _compare(owner: str, repo: str, basehead: str) -> Answer:
    """What lies between two commits: files on the first page only, as GitHub does it."""
    found = the_repo(owner, repo)
    parameters()
    base, _, head = basehead.partition("...")
    tips = [found.git.resolve(name) for name in (base, head)]
    fork_point = found.git.merge_base(tips[0], tips[1]) if tips[0] and tips[1] else None
    if tips[0] is None or tips[1] is None or fork_point is None:
        raise not_found()
    ahead = [sha for sha, _ in found.git.new_commits(tips[0], tips[1])]
    behind = len(found.git.new_commits(tips[1], tips[0]))
    shown, git = shapes(), found.git
    web = f"{shown.web}/{found.full_name}/compare"
    page = paged(ahead, lambda sha: shown.commit(found, git.commit(sha)))
    changes = git.changes(fork_point, tips[1])[:300] if request.args.get("page", "1") == "1" else ()
    answer = jsonify(
        {
            "url": f"{shown.repo_api(found)}/compare/{basehead}",
            "html_url": f"{web}/{basehead}",
            "permalink_url": f"{web}/{owner}:{tips[0][:7]}...{owner}:{tips[1][:7]}",
            "diff_url": f"{web}/{basehead}.diff",
            "patch_url": f"{web}/{basehead}.patch",
            "base_commit": shown.commit(found, git.commit(tips[0])),
            "merge_base_commit": shown.commit(found, git.commit(fork_point)),
            "status": {(0, 0): "identical", (1, 0): "ahead", (0, 1): "behind"}.get(
                (bool(ahead), bool(behind)), "diverged"
            ),
            "ahead_by": len(ahead),
            "behind_by": behind,
            "total_commits": len(ahead),
            "commits": page.get_json(),
            "files": [file_shape(shown, found, tips[1], change) for change in changes],
        }
    )
    if "Link" in page.headers:
        answer.headers["Link"] = page.headers["Link"]
    return answer


@endpoint("PATCH", _REPO)
def _edit(owner: str, repo: str) -> Answer:
    """Change settings; only what unarchives may be said of an archived one."""
    found = the_repo(owner, repo)
    if not world().users.is_admin(actor()):
        raise forbidden() if found.people.may_write(actor()) else not_found()
    fields = body(*_SETTINGS, *_METHODS, "default_branch", "archived", "private", "name")
    if found.archived and fields.get("archived", True):
        raise archived()
    if fields.get("name", found.name) != found.name:
        raise NotSimulatedError("renaming a repository by PATCH")
    for name, allowed in _WORDS.items():
        if name in fields:
            chosen(fields[name], allowed, "Repository", name)
    methods = {method: bool(fields.get(name, method in found.allowed)) for name, method in _METHODS.items()}
    if not any(methods.values()):
        words = "Sorry, you need to allow at least one merge strategy. (no_merge_method)"
        raise invalid("Repository", words, "merge_commit_allowed")
    branch = fields.get("default_branch", found.default_branch)
    if found.git.tip(branch) is None:
        raise invalid("Repository", f"The branch {branch} was not found. Please push that ref first or create it.")
    changes: Json = {
        name: {"from": getattr(found.settings, name)} for name in ("description", "homepage") if name in fields
    }
    if branch != found.default_branch:
        changes["default_branch"] = {"from": found.default_branch}
    found.allowed = frozenset(method for method, is_allowed in methods.items() if is_allowed)
    found.settings = replace(found.settings, **{name: fields[name] for name in _SETTINGS if name in fields})
    found.default_branch, found.private = branch, bool(fields.get("private", found.private))
    if changes:
        world().emit("repository", found, {"action": "edited", "changes": changes}, by=actor())
    if fields.get("archived", found.archived) != found.archived:
        world().archive(found, archived=fields["archived"], by=actor())
    return jsonify(shapes().whole_repo(found, viewer()))


@endpoint("POST", f"{_REPO}/dispatches")
def _dispatch(owner: str, repo: str) -> Answer:
    """Tell whoever listens that something happened outside; a CI that wants such events runs."""
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("event_type", "client_payload")
    kind, payload = required(fields, "Repository", "event_type"), fields.get("client_payload") or {}
    if len(kind) > 100 or not isinstance(payload, dict) or len(payload) > 10:
        raise invalid("Repository", "event_type has at most 100 characters, client_payload at most 10 properties")
    world().dispatch(found, kind, payload, by)
    return "", 204
