"""Vectors about branch protection: what Prow's levels come to, what it would write, and when it would not."""

import json
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from typing import Any
from urllib.parse import quote_plus

from mergeq.config import Configuration
from mergeq.config.presubmits import contexts_of
from mergeq.config.reading import compiled
from mergeq.core import branchprotector as prow
from mergeq.core.branchprotector import Authorized, Flags, JobContexts, Policy, SeenBranch, SeenRepo
from mergeq.core.pull import Branch
from tests.vectors.configs import written
from tests.vectors.frame import Line, Op, configuration, differences

JSON = dict[str, Any]


def _jobs(found: Configuration) -> prow.Jobs:
    return {repo: partial(_contexts, found=found, repo=repo) for repo in found.presubmits}


def _contexts(branch: str, manual: bool, *, found: Configuration, repo: str) -> JobContexts:
    return contexts_of(found.presubmits[repo], branch, manual_required=manual)


def resolved(line: Line) -> JSON:
    """What is in force on each branch that is asked about, what the configuration is warned of, and a whole run."""
    found, asked = configuration(line), line["input"]
    flags = Flags(asked["verify_restrictions"], asked["enable_apps_restrictions"])
    answer: JSON = {
        "resolved": [_resolved(found, _branch(one), flags) for one in asked["resolve"]],
        "warnings": {
            "repos_with_disabled_policy": list(prow.disabled_repos(found.protection)),
            "unprotected_branches": list(prow.unprotected_branches(found.protection, _jobs(found))),
        },
    }
    if asked["github"] is not None:
        github = {org: [_seen(repo, told) for repo in told["repos"]] for org, told in asked["github"].items()}
        answer["run"] = _told(prow.run(found.protection, github, _jobs(found), flags, compiled))
    return answer


def _resolved(found: Configuration, branch: Branch, flags: Flags) -> JSON:
    merged, tested = found.protection.merged(branch), _jobs(found).get(branch.full_repo)
    contexts = {manual: tested(branch.name, manual) if tested else JobContexts() for manual in (False, True)}
    policy, refusal = found.protection.of(branch, contexts[bool(merged.get("require_manually_triggered_jobs"))])
    return {
        "org": branch.org,
        "repo": branch.repo,
        "branch": branch.name,
        **({"merged_error": refusal} if refusal == prow.UNDECIDED else {"merged": merged}),
        "policy": policy,
        "error": refusal,
        **({} if policy is None else {"request": prow.body(policy, apps=flags.enable_apps_restrictions)}),
        "job_requirements": _sorted(contexts[False]),
        "job_requirements_with_manual": _sorted(contexts[True]),
    }


def _sorted(contexts: JobContexts) -> JSON:
    return {key: sorted(getattr(contexts, key)) for key in ("required", "required_if_present", "optional")}


def _seen(repo: JSON, org: JSON) -> SeenRepo:
    return SeenRepo(
        repo["name"],
        tuple(SeenBranch(one["name"], one["protected"], one["protection"]) for one in repo["branches"] or ()),
        is_archived=repo["archived"],
        is_private=repo["private"],
        authorized=Authorized.told(org["app_installations"] or (), repo["collaborators"] or (), repo["teams"] or ()),
    )


def _told(run: prow.Run) -> JSON:
    whole = [(_json(one.branch), one) for one in sorted(run.writes, key=lambda one: str(one.branch))]
    return {
        "updates": [{**branch, "request": one.body} for branch, one in whole if one.body is not None],
        "removals": [branch for branch, one in whole if one.body is None],
        "signed_commits": [{**branch, "enable": one.signatures} for branch, one in whole if one.signatures is not None],
        "protection_reads": [
            {"org": branch.org, "repo": branch.repo, "branch_in_url": quote_plus(branch.name)} for branch in run.reads
        ],
        "errors": [text for texts in run.errors for text in texts],
    }


def _json(branch: Branch) -> JSON:
    return {"org": branch.org, "repo": branch.repo, "branch": branch.name}


def _compare_resolved(expected: JSON, got: JSON) -> Iterator[str]:
    yield from differences(_comparable(expected), _comparable(got))


def _comparable(node: Any) -> Any:
    """The same with every list as the set that it is, and bodies as the text that is sent: in them null, an empty list
    and a missing key are three things.
    """
    if isinstance(node, dict):
        texts = {key: value or None for key, value in node.items() if key == "error"}
        sent = {key: _text(value) for key, value in node.items() if key == "request"}
        return {**{key: _comparable(value) for key, value in node.items()}, **texts, **sent}
    if not isinstance(node, list):
        return node
    return [json.loads(text) for text in sorted({_text(_comparable(item)) for item in node})]


def _text(node: Any) -> str:
    return json.dumps(node, sort_keys=True)


def chained(line: Line) -> JSON:
    """What policies come to, each applied to the ones before it, and what is sent for that."""
    asked = line["input"]
    merged: Policy = reduce(prow.applied, asked["chain"])
    return {"merged": merged, "request": prow.body(merged, apps=asked["enable_apps_restrictions"])}


def compared(line: Line) -> JSON:
    """Whether what GitHub has is what would be sent."""
    asked = line["input"]
    policy, state = asked["policy"], asked["state"]
    wanted = None if policy is None else prow.body(policy, apps=asked["enable_apps_restrictions"])
    return {
        "request": wanted,
        "equal": prow.equal(state, wanted),
        "equal_separate": prow.equal_signatures(state, asked["require_signed_commits"]),
    }


def _compare_sent(expected: Any, got: Any) -> Iterator[str]:
    """As what is sent, to the letter."""
    yield from differences(_text(expected), _text(got))


def _in_force(line: Line) -> JSON:
    asked = line["input"]
    found, branch = _configuration(asked), _branch(asked)
    policy = asked["branch_config"]
    contexts = _jobs(found)[branch.full_repo](branch.name, bool(policy.get("require_manually_triggered_jobs")))
    settled, refusal = found.protection.decided(policy, contexts, branch, is_named=False)
    return {"policy": settled, "error": refusal}


def _configuration(asked: JSON) -> Configuration:
    jobs = {f"{asked['org']}/{asked['repo']}": asked["presubmits"] or []}
    return written({"branch-protection": asked["branch_protection"], "presubmits": jobs})


def _branch(asked: JSON) -> Branch:
    return Branch(asked["org"], asked["repo"], asked["branch"])


def _updated(line: Line) -> JSON:
    """What a run does to one branch. What GitHub had there is not recorded: it is tried with nothing and with a
    protection that demands nothing, of which one at least is not what is asked for.
    """
    asked = line["input"]
    found, branch = _configuration(asked), _branch(asked)
    flags = Flags(asked["verify_restrictions"], asked["enable_apps_restrictions"])
    lists = (asked[f"authorized_{kind}"] or () for kind in ("apps", "collaborators", "teams"))
    authorized = Authorized(*map(frozenset, lists))
    empty: JSON = {}
    states = [SeenBranch(branch.name, asked["protected"], state) for state in (None, empty)]
    repos = [[SeenRepo(branch.repo, (state,), authorized=authorized)] for state in states]
    runs = [prow.run(found.protection, {branch.org: repo}, _jobs(found), flags, compiled) for repo in repos]
    writes = [write for run in runs for write in run.writes]
    errors = (
        {text.partition(f"protected={str(asked['protected']).lower()}: ")[2] for run in runs for text in run.errors[0]}
        if runs[0].errors
        else set()
    )
    return {
        "error": next(iter(errors), None),
        "update": _update(writes[0]) if writes else None,
        "may_be_there": asked["protected"],
    }


def _update(write: prow.Write) -> JSON:
    signatures = None if write.signatures is None else {"RequireSignedCommits": write.signatures}
    return {**_json(write.branch), "request": write.body, "separate": signatures}


def _compare_updated(expected: JSON, got: JSON) -> Iterator[str]:
    """Where a protected branch was not written to, it had what was asked for."""
    had_it = got.pop("may_be_there") and expected["update"] is None and got["error"] is None
    yield from differences(_comparable(expected), _comparable({**got, "update": None} if had_it else got))


def _unauthorized(line: Line) -> list[str]:
    asked = line["input"]
    lists = (asked[f"authorized_{kind}"] or () for kind in ("apps", "collaborators", "teams"))
    return list(
        prow.unauthorized(f"{asked['org']}/{asked['repo']}", asked["request"], Authorized(*map(frozenset, lists)))
    )


OPS: Mapping[str, Op] = {
    "bp": Op(resolved, _compare_resolved),
    "bp_policy": Op(chained, _compare_resolved),
    "bp_equal": Op(compared, _compare_resolved),
}
GO: Mapping[str, Op] = {
    "Config.GetPolicy": Op(_in_force, _compare_resolved),
    "Policy.Apply": Op(lambda line: prow.applied(line["input"]["parent"], line["input"]["child"]), _compare_resolved),
    "equalBranchProtections": Op(lambda line: prow.equal(line["input"]["state"], line["input"]["request"])),
    "makeRequest": Op(
        lambda line: prow.body(line["input"]["policy"], apps=line["input"]["enable_apps_restrictions"]), _compare_sent
    ),
    "makeReviews": Op(lambda line: prow.reviews(line["input"]["review_policy"]), _compare_sent),
    "protector.UpdateBranch": Op(_updated, _compare_updated),
    "validateRestrictions": Op(_unauthorized),
}
