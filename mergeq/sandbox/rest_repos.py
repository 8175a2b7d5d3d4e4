"""REST endpoints of repositories and their settings, branches and commits."""

from __future__ import annotations

from dataclasses import asdict, replace
from dataclasses import fields as fields_of

from flask import jsonify, request

from mergeq.sandbox import moving
from mergeq.sandbox.demands import is_protected
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.protection_shapes import branch_shape
from mergeq.sandbox.pull_shapes import file_shape
from mergeq.sandbox.records import Method, Repo, Settings
from mergeq.sandbox.refusals import MovedError, NotSimulatedError, RefusedError, invalid, not_found
from mergeq.sandbox.rest import Answer, body, changer, chosen, endpoint, paged, parameters, required, the_repo, writer
from mergeq.sandbox.site import actor, caller, shapes, viewer, world

_REPO = "/repos/<owner>/<repo>"
_SETTINGS = tuple(setting.name for setting in fields_of(Settings))
_TOLD = ("default_branch", "description", "homepage")
"""What an event says has been changed."""
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


@endpoint("PATCH", _REPO)
def _edit(owner: str, repo: str) -> Answer:
    """Settings; of an archived repository only that it is no longer one."""
    found = the_repo(owner, repo)
    fields = body(*_SETTINGS, *_METHODS, "name", "default_branch", "private", "visibility", "archived")
    by = _settings_admin(found, changes=bool(fields.get("archived", True)))
    for name, allowed in _WORDS.items():
        if name in fields:
            chosen(fields[name], allowed, "Repository", name)
    methods = {method for name, method in _METHODS.items() if fields.get(name, method in found.allowed)}
    if not methods:
        words = "Sorry, you need to allow at least one merge strategy. (no_merge_method)"
        raise invalid("Repository", words, "merge_commit_allowed")
    branch = fields.get("default_branch", found.default_branch)
    if branch not in found.git.branches():
        raise invalid("Repository", f"The branch {branch} was not found. Please push that ref first or create it.")
    before = {**asdict(found.settings), "default_branch": found.default_branch}
    changes = {name: {"from": before[name]} for name in _TOLD if fields.get(name, before[name]) != before[name]}
    found.allowed, found.default_branch = frozenset(methods), branch
    found.settings = replace(found.settings, **{name: fields[name] for name in _SETTINGS if name in fields})
    found.private = bool(fields.get("private", fields.get("visibility", found.private) not in (False, "public")))
    found.updated_at = world().now()
    if changes:
        world().emit("repository", found, {"action": "edited", "changes": changes}, by=by)
    if fields.get("archived", found.archived) != found.archived:
        moving.archive(world(), found, by, archived=fields["archived"])
    if fields.get("name", found.name) != found.name:
        moving.rename(world(), found, f"{found.owner}/{fields['name']}", by)
    return jsonify(shapes().whole_repo(found, viewer()))


def _settings_admin(repo: Repo, *, changes: bool = False) -> str:
    """Who changes a repository as a whole; here GitHub says what is missing instead of hiding it."""
    login = changer(repo) if changes else actor()
    if not caller().is_integration and not repo.people.is_admin(login):
        raise RefusedError(403, "Must have admin rights to Repository.")
    return login


@endpoint("DELETE", _REPO)
def _delete(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    moving.delete(world(), found, _settings_admin(found))
    return "", 204


@endpoint("POST", f"{_REPO}/transfer")
def _transfer(owner: str, repo: str) -> Answer:
    """At once, without anybody having to accept it."""
    found = the_repo(owner, repo)
    by = _settings_admin(found, changes=True)
    fields = body("new_owner", "new_name", "team_ids")
    target = required(fields, "Repository", "new_owner")
    shown = shapes().repo(found, viewer())
    moving.rename(world(), found, f"{target}/{fields.get('new_name') or found.name}", by)
    return jsonify(shown), 202


@endpoint("GET", "/repositories/<int:repository_id>")
def _by_id(repository_id: int) -> Answer:  # noqa: ARG001
    """Only what leads nowhere comes here: an id that is known is read as the name it stands for."""
    raise not_found()


@endpoint("GET", "/repositories/<int:repository_id>/<path:below>")
def _below_id(repository_id: int, below: str) -> Answer:  # noqa: ARG001
    raise not_found()


@endpoint("POST", f"{_REPO}/branches/<path:branch>/rename")
def _rename_branch(owner: str, repo: str, branch: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found) if branch != found.default_branch else _settings_admin(found, changes=True)
    new = required(body("new_name"), "Branch", "new_name")
    moving.rename_branch(world(), found, branch, new, by)
    return jsonify(branch_shape(shapes(), found, new, found.git.branches()[new])), 201


@endpoint("GET", f"{_REPO}/branches")
def _branches(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("protected")
    branches = list(found.git.branches().items())
    if "protected" in asked:
        wanted = asked["protected"] == "true"
        branches = [(name, sha) for name, sha in branches if is_protected(found, name) == wanted]
    shown = shapes()
    return paged(branches, lambda branch: shown.short_branch(found, *branch))


@endpoint("GET", f"{_REPO}/branches/<path:branch>")
def _branch(owner: str, repo: str, branch: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha = found.git.tip(branch)
    if sha is not None:
        return jsonify(branch_shape(shapes(), found, branch, sha))
    if branch in found.branch_names:
        raise MovedError("GET", found.id, f"/branches/{found.branch_names[branch]}")
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
