"""Vectors about merging: by which method, whether GitHub could, with what message, and where the status links to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mergeq.config import Configuration
from mergeq.config.policy import dashboard_link, most_specific
from mergeq.core.compat import Compat
from mergeq.core.merge_method import MergeMethods
from mergeq.core.message import CommitTemplate, Message, templated
from mergeq.core.pool import BranchSettings, Memory, assess
from mergeq.core.pull import Branch, Method, Protection, PullRequest, Repository
from mergeq.core.reason import Clause
from mergeq.core.status import phrase
from mergeq.core.template import Template, parse
from mergeq.github import saved
from tests.vectors.configs import written
from tests.vectors.frame import Line, Op, configuration

JSON = dict[str, Any]

_UNMERGEABLE = (
    Clause.CONFLICT,
    Clause.METHOD_LABELS,
    Clause.REBASE,
    Clause.METHOD_DISALLOWED,
    Clause.GITHUB_BLOCKED,
)
"""What Tide asks before it merges, in its order (T3.7)."""
_NO_METHOD = "ifNecessary"


def merged(line: Line) -> JSON:
    """Everything about merging the targets and pull requests of a line."""
    found, asked = configuration(line), line["input"]
    return {
        "targets": [_target(found, target) for target in asked["targets"]],
        "prs": [_pull(found, node, asked.get("repos") or {}) for node in asked.get("prs") or ()],
    }


def _target(found: Configuration, target: JSON) -> JSON:
    branch = Branch(target["org"], target["repo"], target["branch"])
    template = found.commit_template(branch)
    return {
        **target,
        "method": found.methods.for_branch(branch).value,
        "method_no_branch": found.methods.for_branch(replace(branch, name="")).value,
        "title_template": _source(template.title),
        "body_template": _source(template.body),
        "batch_size_limit": found.batch_size_limit(branch),
        "prioritize_existing_batches": found.prioritizes_existing_batches(branch),
        "github_merge_blocks_policy": found.for_branch(branch).blocks_policy.value,
        "target_url": found.target_url(branch),
        "pr_status_base_url": found.pr_status_base_url(branch),
    }


def _source(template: Template | None) -> str:
    return template.source if template else ""


def _pull(found: Configuration, node: JSON, repos: Mapping[str, JSON]) -> JSON:
    pull = saved.pull(node)
    settings = replace(found.for_branch(pull.branch), compat=Compat.TIDE)
    method = settings.methods.on(pull.branch, Compat.TIDE).of(pull)
    allowed = repos.get(pull.branch.full_repo)
    methods = [one for one in Method if allowed is None or allowed[_ALLOWED[one]]]
    template = found.commit_template(pull.branch)
    return {
        **{key: getattr(pull, key) for key in ("org", "repo", "number")},
        "branch": pull.base,
        "error": None,
        "merge_method": method and method.value,
        "not_allowed_reason": _not_allowed(pull, settings, methods),
        "merge_details": None if method is None else _details(pull, method.value, templated(template, pull)),
        "target_url": found.status_link(pull),
    }


_ALLOWED = {
    Method.MERGE: "allow_merge_commit",
    Method.SQUASH: "allow_squash_merge",
    Method.REBASE: "allow_rebase_merge",
}


def _not_allowed(pull: PullRequest, settings: BranchSettings, methods: list[Method]) -> str:
    standing = assess(pull, Repository(frozenset(methods)), Protection(), settings, Memory(), 0.0)
    found = {reason.clause: reason for reason in standing.reasons}
    return next((phrase(found[clause]).removeprefix(" ") for clause in _UNMERGEABLE if clause in found), "")


def _details(pull: PullRequest, method: str, message: Message) -> JSON:
    texts = {"commit_title": message.title, "commit_message": message.body}
    return {
        **{key: text for key, text in texts.items() if text},
        "sha": pull.head_sha,
        "merge_method": method,
    }


def _method_of_branch(line: Line) -> str:
    asked = line["input"]
    methods, name = _methods(asked)
    return name(methods.for_branch(Branch(asked["org"], asked["repo"], asked["branch"])))


def _method_of_pull(line: Line) -> str | None:
    asked = line["input"]
    methods, name = _methods(asked)
    pull = replace(saved.pull(asked["pr"]), org=asked["org"], repo=asked["repo"], base=asked["branch"])
    method = methods.on(pull.branch, Compat.TIDE).of(pull)
    return method and name(method)


def _methods(asked: JSON) -> tuple[MergeMethods, Callable[[Method], str]]:
    """The methods that are configured, and what the vectors call each. Some tables have a method that there is not;
    another one stands for it that is not the default.
    """
    tide = {key: asked.get(key) for key in ("merge_method", "squash_label", "rebase_label", "merge_label")}
    text = json.dumps(tide)
    others = (method.value for method in (Method.SQUASH, Method.REBASE) if f'"{method.value}"' not in text)
    unused = next(others, _NO_METHOD)
    found = written({"tide": json.loads(text.replace(_NO_METHOD, unused))})
    return found.methods, lambda method: _NO_METHOD if method.value == unused else method.value


def _is_allowed(line: Line) -> JSON:
    asked = line["input"]
    tide = {key: value for key, value in asked["tide"].items() if key != "queries"}
    found = written({"tide": tide})
    pull = saved.pull(asked["pr"])
    settings = replace(found.for_branch(pull.branch), compat=Compat.TIDE)
    methods = [method for method in Method if asked["repo_methods"].get(method.value)]
    return {"error": None, "reason": _not_allowed(pull, settings, methods)}


def _merge_details(line: Line) -> JSON:
    asked = line["input"]
    parts = (asked["title_template"], asked["body_template"])
    template = CommitTemplate(*(None if part is None else parse(part) for part in parts))
    pull = saved.pull(asked["pr"]["github"])
    return _details(pull, asked["merge_method"], templated(template, pull))


def _target_url(line: Line) -> str:
    asked, pull = line["input"], saved.pull(line["input"]["pr"])
    ours = most_specific(asked["target_urls"] or {}, pull.branch, "")
    return ours or dashboard_link(most_specific(asked["pr_status_base_urls"] or {}, pull.branch, ""), pull)


OPS: Mapping[str, Op] = {"merge_method": Op(merged)}
GO: Mapping[str, Op] = {
    "Tide.OrgRepoBranchMergeMethod": Op(_method_of_branch),
    "prMergeMethod": Op(_method_of_pull),
    "isAllowedToMerge": Op(_is_allowed),
    "prepareMergeDetails": Op(_merge_details),
    "targetURL": Op(_target_url),
}
