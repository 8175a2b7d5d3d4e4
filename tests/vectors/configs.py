"""Vectors about the configuration as a whole: what is in force after loading, and which contexts count on a branch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mergeq.config import Configuration
from mergeq.config.policy import IN_REPO
from mergeq.config.presubmits import contexts_of
from mergeq.config.reading import compiled, seconds_of
from mergeq.config.tide import CONTEXT_KEYS
from mergeq.core.contexts import ContextPolicy
from mergeq.core.description import base_sha_of, skips_retest, with_base_sha
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pull import Branch, blocker
from tests.vectors.frame import Line, Op, configuration, differences
from tests.vectors.queries import as_json as query_json

JSON = dict[str, Any]

_NOT_OURS = ("gerrit", "target_url", "pr_status_base_url")
"""Keys of Tide's section that are not compared: Gerrit's, and two that end up in the maps beside them (T1.15)."""
_SETS = (*CONTEXT_KEYS, "optional-regex-contexts")


def loaded(line: Line) -> JSON:
    """The effective sections."""
    found = configuration(line)
    return {"tide": _tide(found), "branch_protection": _protection(found)}


def _tide(found: Configuration) -> JSON:
    return {
        "queries": [query_json(query) for query in found.queries],
        "merge_method": _methods(found.methods),
        **{key: getattr(found.methods, key) for key in ("squash_label", "rebase_label", "merge_label")},
        **{key: getattr(found, key) for key in ("sync_period", "status_update_period", "max_goroutines")},
        **{key: getattr(found, key) for key in ("blocker_label", "target_urls", "pr_status_base_urls")},
        "display_all_tide_queries_in_status": found.display_all_tide_queries_in_status or None,
        "batch_size_limit": dict(found.batch_size_limits),
        "prioritize_existing_batches": dict(found.prioritize_existing_batches),
        "github_merge_blocks_policy": {key: policy.value for key, policy in found.blocks_policies.items()},
        "priority": [{"labels": list(labels)} for labels in found.priority],
        "merge_commit_template": {
            key: {part: one.source if (one := getattr(template, part)) else "" for part in ("title", "body")}
            for key, template in found.commit_templates.items()
        },
        "context_options": _context_options(found),
    }


def _methods(methods: MergeMethods) -> JSON:
    nested = {
        org: {
            **{repo: method.value for repo, method in entry.whole.items()},
            **{
                repo: {pattern.pattern: method.value for pattern, method in pairs}
                for repo, pairs in entry.by_branch.items()
            },
        }
        for org, entry in methods.nested.items()
    }
    return {**{key: method.value for key, method in methods.flat.items()}, **nested}


def _context_options(found: Configuration) -> JSON:
    root = policy_json(found.context_options.everyone)
    for key, policy in found.context_options.narrower.items():
        _place(root, key, policy_json(policy))
    return root


def _protection(found: Configuration) -> JSON:
    levels = found.protection.levels
    root: JSON = {**levels.get("*", {}), **found.protection.flags}
    for key, policy in levels.items():
        if key != "*":
            _place(root, key, dict(policy))
    return root


def _place(root: JSON, key: str, policy: JSON) -> None:
    """Put what stands at ``org``, ``org/repo`` or ``org/repo:branch`` where it stands in YAML."""
    org, _, rest = key.partition("/")
    repo, _, branch = rest.partition(":")
    node = root
    for level, name in (("orgs", org), ("repos", repo), ("branches", branch)):
        if name:
            node = node.setdefault(level, {}).setdefault(name, {})
    node.update(policy)


def policy_json(policy: ContextPolicy) -> JSON:
    """A context policy under Prow's names, what is unset being left out."""
    flags = {
        "skip-unknown-contexts": policy.skip_unknown,
        "from-branch-protection": policy.from_branch_protection,
        "overwrite-pending-contexts": policy.overwrite_pending,
    }
    return {
        **{key: sorted(getattr(policy, name)) for key, name in CONTEXT_KEYS.items()},
        "optional-regex-contexts": sorted(pattern.pattern for pattern in policy.optional_patterns),
        **{key: value for key, value in flags.items() if value is not None},
    }


def _compare_loaded(expected: JSON, got: JSON) -> Iterator[str]:
    tide = {key: value for key, value in expected["tide"].items() if key not in _NOT_OURS}
    tide |= {key: seconds_of(tide[key]) for key in ("sync_period", "status_update_period")}
    wanted = {"tide": tide, "branch_protection": expected["branch_protection"]}
    yield from differences(*(_as_sets(_without_empty_text(one)) for one in (wanted, got)))


def _as_sets(node: Any) -> Any:
    """The same with every list of contexts as the set that it is."""
    if isinstance(node, dict):
        return {key: sorted(set(value)) if key in _SETS and value else _as_sets(value) for key, value in node.items()}
    return [_as_sets(item) for item in node] if isinstance(node, list) else node


def _without_empty_text(node: Any) -> Any:
    """The same without what Go leaves out: a text that is not set."""
    if isinstance(node, dict):
        return {key: _without_empty_text(value) for key, value in node.items() if value != ""}
    return node


def counted(line: Line) -> JSON:
    """Which contexts count on each branch that is asked about."""
    found = configuration(line)
    return {"targets": [_counted(found, target) for target in line["input"]["targets"]]}


def _counted(found: Configuration, target: JSON) -> JSON:
    branch = Branch(target["org"], target["repo"], target["branch"])
    told = {
        **{key: target[key] for key in ("org", "repo", "branch")},
        "parsed_options": policy_json(found.context_options.for_branch(*_levels(branch))),
        "error": found.contexts_refusal(branch) or None,
    }
    if told["error"]:
        return told
    policy = found.contexts(branch)
    return {
        **told,
        "policy": policy_json(policy),
        "is_optional": {name: not policy.counts(name) for name in target["is_optional_checks"]},
        "missing_required": [sorted(policy.required - set(present)) for present in target["context_lists"]],
    }


def _levels(branch: Branch) -> tuple[str, str, str]:
    return branch.org, branch.repo, branch.name


def _compare_counted(expected: JSON, got: JSON) -> Iterator[str]:
    """Tide could not read the jobs in repositories when the vectors were made; what it said then is its own matter."""
    targets = [
        {**target, "error": IN_REPO} if str(target["error"]).startswith("failed to get presubmits: ") else target
        for target in expected["targets"]
    ]
    yield from differences(_as_sets({"targets": targets}), _as_sets(got))


def written(sections: JSON) -> Configuration:
    """The configuration with sections as JSON, which is YAML."""
    return configuration({"config_yaml": json.dumps(sections)})


def _policy_of(line: Line) -> ContextPolicy:
    asked = line["input"]["policy"]
    return written({"tide": {"context_options": asked}}).context_options.everyone


def _parsed_options(line: Line) -> JSON:
    asked = line["input"]
    options = written({"tide": {"context_options": asked["context_options"]}}).context_options
    return policy_json(options.for_branch(asked["org"], asked["repo"], asked["branch"]))


def _context_policy(line: Line) -> JSON:
    asked = line["input"]
    branch = Branch(asked["org"], asked["repo"], asked["branch"])
    found = written(
        {
            "tide": {"context_options": asked["context_options"]},
            "branch-protection": asked["branch_protection"],
            "presubmits": {branch.full_repo: asked["presubmits"]},
        }
    )
    refusal = found.contexts_refusal(branch)
    return {"error": refusal or None, "policy": None if refusal else policy_json(found.contexts(branch))}


def _compare_policies(expected: JSON, got: JSON) -> Iterator[str]:
    yield from differences(_as_sets(expected), _as_sets(got))


def _is_optional(line: Line) -> bool:
    asked = line["input"]
    patterns = tuple(map(compiled, asked["compiled_optional_regexes"] or ()))
    return not replace(_policy_of(line), optional_patterns=patterns).counts(asked["context"])


def _compare_refusals(expected: str | None, got: str) -> Iterator[str]:
    """What a regular expression lacks is said by the library that compiles it."""
    words = "doesn't compile:"
    yield from differences((expected or "").partition(words)[:2], got.partition(words)[:2])


def _job_contexts(line: Line) -> JSON:
    """What jobs demand; they are given as they are, also without the context that loading would give them."""
    asked = line["input"]
    raw = asked["presubmits"] or ()
    jobs = written({"presubmits": {"org/repo": [{**job, "name": "job"} for job in raw]}}).presubmits["org/repo"]
    jobs = tuple(replace(job, context=one.get("context", "")) for job, one in zip(jobs, raw, strict=True))
    contexts = contexts_of(jobs, asked["branch"], manual_required=bool(asked["require_manually_triggered_jobs"]))
    return {name: sorted(getattr(contexts, name)) for name in ("required", "required_if_present", "optional")}


def _compare_job_contexts(expected: JSON, got: JSON) -> Iterator[str]:
    yield from differences({key: sorted(set(value or ())) for key, value in expected.items()}, got)


def _blocks_policy(line: Line) -> str:
    asked = line["input"]
    found = written({"tide": {"github_merge_blocks_policy": asked["map"] or {}}})
    return found.for_branch(Branch(asked["org"], asked["repo"], "main")).blocks_policy.value


def blocked(line: Line) -> JSON:
    """The blockers of each branch that is asked about."""
    issues = [
        (
            (issue["repository"]["owner"]["login"], issue["repository"]["name"]),
            blocker(issue["number"], issue["title"], issue["url"]),
        )
        for issue in line["input"]["issues"]
    ]
    return {
        "targets": [
            {
                **target,
                "blockers": [
                    {"number": one.number, "title": one.title, "url": one.url}
                    for repo, one in sorted(issues, key=lambda issue: issue[1].number)
                    if repo == (target["org"], target["repo"])
                    for _ in range(one.times_listed(target["branch"]))
                ],
            }
            for target in line["input"]["targets"]
        ]
    }


def marked(line: Line) -> JSON:
    """What a description says of its base. Go writes each byte that is no text as a replacement character."""
    asked = line["input"]
    written = with_base_sha(asked["text"], asked["base_sha"])
    shown = "".join(
        "\ufffd" if "\udc80" <= char <= "\udcff" else char for char in written.decode(errors="surrogateescape")
    )
    return {
        "with_base_sha": shown,
        "base_sha_of_result": base_sha_of(shown),
        "base_sha_of_text": base_sha_of(asked["text"]),
        "is_skip_retest": skips_retest(asked["text"]),
    }


OPS: Mapping[str, Op] = {
    "load": Op(loaded, _compare_loaded),
    "context_policy": Op(counted, _compare_counted),
    "blockers": Op(blocked),
    "context_desc": Op(marked),
}
GO: Mapping[str, Op] = {
    "TideContextPolicy.IsOptional": Op(_is_optional),
    "TideContextPolicy.MissingRequiredContexts": Op(
        lambda line: sorted(_policy_of(line).required.difference(line["input"]["contexts"] or ()))
    ),
    "TideContextPolicy.Validate": Op(lambda line: _policy_of(line).refusal(), _compare_refusals),
    "ParseTideContextPolicyOptions": Op(_parsed_options, _compare_policies),
    "Config.GetTideContextPolicy": Op(_context_policy, _compare_policies),
    "BranchRequirements": Op(_job_contexts, _compare_job_contexts),
    "Tide.GitHubMergeBlocksPolicy": Op(_blocks_policy),
}
INSUFFICIENT = {"Config.GetTideContextPolicy": lambda asked: bool(asked["uses_inrepoconfig"])}
