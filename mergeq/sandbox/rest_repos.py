"""REST endpoints of repositories, branches, refs, commits and hooks."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox import refs
from mergeq.sandbox.clock import iso
from mergeq.sandbox.git import GitError
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, invalid, not_found
from mergeq.sandbox.rest import Answer, body, endpoint, paged, parameters, required, the_repo
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import actor, shapes, viewer, world
from mergeq.sandbox.webhooks import Hook

_REPO = "/repos/<owner>/<repo>"


@endpoint("GET", "/user")
def _user() -> Answer:
    parameters()
    login = actor()
    nothing_said = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    moment = "2020-01-01T00:00:00Z"
    return jsonify(shapes().user(login) | nothing_said | counts | {"created_at": moment, "updated_at": moment})


@endpoint("GET", _REPO)
def _repo(owner: str, repo: str) -> Answer:
    parameters()
    return jsonify(shapes().repo(the_repo(owner, repo), viewer()))


@endpoint("GET", f"{_REPO}/branches")
def _branches(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("protected")
    branches = list(found.git.branches().items())
    if "protected" in asked:
        wanted = asked["protected"] == "true"
        branches = [(name, sha) for name, sha in branches if (name in found.protections) == wanted]
    shown = shapes()
    return paged(branches, lambda branch: shown.short_branch(found, *branch))


@endpoint("GET", f"{_REPO}/branches/<path:branch>")
def _branch(owner: str, repo: str, branch: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    sha = found.git.tip(branch)
    if sha is not None:
        return jsonify(shapes().branch(found, branch, sha))
    name, _, rest = branch.partition("/protection")
    if name != branch and not rest.strip("/abcdefghijklmnopqrstuvwxyz_"):
        raise NotSimulatedError(f"GET /repos/{{owner}}/{{repo}}/branches/{{branch}}/protection{rest}")
    raise RefusedError(404, "Branch not found")


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
    found, by = the_repo(owner, repo), actor()
    fields = body("ref", "sha")
    ref, sha = required(fields, "Reference", "ref"), required(fields, "Reference", "sha")
    if not ref.startswith("refs/") or ref.count("/") < 2:
        rule = "start with 'refs/' and contain at least three slash-separated parts"
        raise RefusedError(422, f"Reference name must {rule}")
    refs.create(world(), found, ref, sha, by)
    return jsonify(shapes().ref(found, ref, sha)), 201


@endpoint("PATCH", f"{_REPO}/git/refs/<path:ref>")
def _update_ref(owner: str, repo: str, ref: str) -> Answer:
    found, by = the_repo(owner, repo), actor()
    fields = body("sha", "force")
    force = fields.get("force", False)
    if not isinstance(force, bool):
        raise invalid("Reference", "force is not a boolean", "force")
    sha = required(fields, "Reference", "sha")
    refs.update(world(), found, f"refs/{ref}", sha, by, force=force)
    return jsonify(shapes().ref(found, f"refs/{ref}", sha))


@endpoint("DELETE", f"{_REPO}/git/refs/<path:ref>")
def _delete_ref(owner: str, repo: str, ref: str) -> Answer:
    found, by = the_repo(owner, repo), actor()
    refs.delete(world(), found, f"refs/{ref}", by)
    return "", 204


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


@endpoint("GET", f"{_REPO}/hooks")
def _hooks(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    actor()
    parameters()
    shown = shapes()
    return paged(world().webhooks.of_repo(found.full_name), lambda hook: _hook_shape(shown, found, hook))


@endpoint("POST", f"{_REPO}/hooks")
def _add_hook(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    actor()
    fields = body("name", "active", "events", "config")
    config = fields.get("config") or {}
    if fields.get("active", True) is not True or config.get("content_type", "json") != "json":
        raise NotSimulatedError("hooks that are inactive or form-encoded")
    url = required(config, "Hook", "url")
    events = tuple(fields.get("events") or ("push",))
    hook = world().add_hook(url, config.get("secret") or "", events, found.full_name)
    return jsonify(_hook_shape(shapes(), found, hook)), 201


def _hook_shape(shown: Shapes, repo: Repo, hook: Hook) -> Json:
    url = f"{shown.repo_api(repo)}/hooks/{hook.id}"
    moment = iso(hook.created_at)
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": True,
        "events": list(hook.events),
        "config": {"url": hook.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
        "created_at": moment,
        "updated_at": moment,
    }
