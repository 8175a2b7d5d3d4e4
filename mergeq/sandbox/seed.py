"""Planting a world from data: repositories, pull requests, issues and hooks as one JSON document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mergeq.sandbox.records import CiConfig, CiKind, Pull
from mergeq.sandbox.world import World

Node = Mapping[str, Any]
_REPO_KEYS = (
    "allow_merge_commit",
    "allow_squash_merge",
    "allow_rebase_merge",
    "default_branch",
    "files",
    "branches",
    "labels",
    "ci",
)
_CI_KEYS = ("context", "branches", "pull_requests", "dispatches", "kind", "delay")
_PR_KEYS = (
    "number",
    "title",
    "body",
    "author",
    "baseRef",
    "baseRefName",
    "headRefName",
    "isDraft",
    "labels",
    "milestone",
    "repository",
)


def plant(world: World, seed: Node, default_secret: str) -> None:
    """Add everything a seed describes; raises ValueError naming a key that is not understood."""
    _only(seed, ("repos", "prs", "issues", "hooks"), "seed")
    for hook in seed.get("hooks", ()):
        _only(hook, ("url", "secret", "events", "repo"), "hooks[]")
        world.add_hook(hook["url"], hook.get("secret", default_secret), hook.get("events", ("*",)), hook.get("repo"))
    for full_name, repo in seed.get("repos", {}).items():
        _plant_repo(world, full_name, repo)
    for entry in seed.get("prs", ()):
        _plant_pull(world, entry)
    for issue in seed.get("issues", ()):
        _only(issue, ("repository", "title", "labels", "author", "body"), "issues[]")
        author, body = issue.get("author", "ana"), issue.get("body", "")
        name = _name_with_owner(issue["repository"], "issues[].repository")
        world.open_issue(name, issue["title"], issue.get("labels", ()), author=author, body=body)


def _plant_repo(world: World, full_name: str, repo: Node) -> None:
    where = f"repos[{full_name}]"
    _only(repo, _REPO_KEYS, where)
    world.create_repo(
        full_name,
        files=repo.get("files", {}),
        default_branch=repo.get("default_branch", "main"),
        branches=repo.get("branches", {}),
        merge=repo.get("allow_merge_commit", True),
        squash=repo.get("allow_squash_merge", True),
        rebase=repo.get("allow_rebase_merge", True),
        ci=_ci(repo["ci"], f"{where}.ci") if "ci" in repo else CiConfig(),
        labels=repo.get("labels", ()),
    )


def _ci(ci: Node | None, where: str) -> CiConfig | None:
    if ci is None:
        return None
    _only(ci, _CI_KEYS, where)
    default = CiConfig()
    return CiConfig(
        context=ci.get("context", default.context),
        branches=tuple(ci.get("branches", default.branches)),
        pull_requests=ci.get("pull_requests", default.pull_requests),
        dispatches=tuple(ci.get("dispatches", default.dispatches)),
        kind=CiKind(ci.get("kind", default.kind)),
        delay=float(ci.get("delay", default.delay)),
    )


def _plant_pull(world: World, entry: Node) -> Pull:
    _only(entry, ("pr", "files", "commits", "fork", "statuses", "checks"), "prs[]")
    node = entry["pr"]
    _only(node, _PR_KEYS, "prs[].pr")
    _only(node.get("author") or {}, ("login",), "prs[].pr.author")
    _only(node.get("baseRef") or {}, ("name", "prefix"), "prs[].pr.baseRef")
    _only(node.get("labels") or {}, ("nodes",), "prs[].pr.labels")
    _only(node.get("milestone") or {}, ("title",), "prs[].pr.milestone")
    full_name = _name_with_owner(node["repository"], "prs[].pr.repository")
    pull = world.open_pull(
        full_name,
        title=node["title"],
        files=entry.get("files"),
        commits=entry.get("commits"),
        fork=entry.get("fork"),
        number=node.get("number"),
        body=node.get("body", ""),
        author=(node.get("author") or {}).get("login", "ana"),
        base=node.get("baseRefName") or (node.get("baseRef") or {}).get("name", "main"),
        head=node.get("headRefName"),
        draft=node.get("isDraft", False),
        labels=[label["name"] for label in (node.get("labels") or {}).get("nodes", ())],
        milestone=(node.get("milestone") or {}).get("title"),
    )
    for status in entry.get("statuses", ()):
        _only(status, ("context", "state", "description", "target_url"), "prs[].statuses[]")
        world.set_status(full_name, pull.head_sha, **status)
    for check in entry.get("checks", ()):
        _only(check, ("name", "status", "conclusion", "app"), "prs[].checks[]")
        world.set_check_run(full_name, pull.head_sha, **check)
    return pull


def _name_with_owner(repository: Node | str, where: str) -> str:
    if isinstance(repository, str):
        return repository
    _only(repository, ("nameWithOwner",), where)
    return str(repository["nameWithOwner"])


def _only(node: Node, known: Collection[str], where: str) -> None:
    unknown = sorted(node.keys() - set(known))
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
