"""Vectors about branch protection: what Prow's levels come to, what it would write, and when it would not."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import Any
from urllib.parse import quote_plus

from mergeq.config import Configuration
from mergeq.config.presubmits import contexts_of
from mergeq.config.reading import compiled
from mergeq.core import branchprotector as prow
from mergeq.core.branchprotector import Flags, JobContexts, Policy, SeenBranch, SeenRepo
from mergeq.core.planning import plan
from mergeq.core.protecting import Fields
from mergeq.core.protection import (
    ANY_APP,
    OFF,
    Actors,
    Check,
    Field,
    Kind,
    Plan,
    RepoFacts,
    Rule,
    Target,
    Values,
    actors,
)
from mergeq.core.pull import Branch
from tests.vectors.configs import written
from tests.vectors.frame import Line, Op, configuration, differences

JSON = dict[str, Any]

PROTECTION = "protection"
"""Among the `differences` of a line: answer it by the plan of mergeq instead of Prow's own way."""


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
        if PROTECTION in line.get("differences", ()):
            answer["run"] |= _by_mergeq(found, asked, flags, answer["run"])
    return answer


def _by_mergeq(found: Configuration, asked: JSON, flags: Flags, run: JSON) -> JSON:
    """What mergeq's own plan writes, as a body of Prow's; what is the same to GitHub is told in Prow's words."""
    values = replace(found.wishing.values, fields=Fields.PROW, enable_apps_restrictions=flags.enable_apps_restrictions)
    found = replace(found, wishing=replace(found.wishing, values=values))
    facts, allowed = dict[str, RepoFacts](), dict[str, Actors]()
    for org, told in asked["github"].items():
        for repo in told["repos"]:
            full, branches = f"{org}/{repo['name']}", repo["branches"] or ()
            teams = [
                {**one, "permission": one["permission"].replace("maintain", "push")} for one in repo["teams"] or ()
            ]
            allowed[full] = prow.authorized(told["app_installations"] or (), repo["collaborators"] or (), teams)
            facts[full] = RepoFacts(
                full,
                rules=tuple(
                    Rule(one["name"], one["name"], values_of(one["protection"]))
                    for one in branches
                    if one["protection"] is not None
                ),
                branches=frozenset(one["name"] for one in branches),
                is_private=repo["private"],
                is_archived=repo["archived"],
            )
    said = {_text({**one, "request": None}): one["request"] for one in run["updates"]}
    updates, removals = list[JSON](), list[JSON]()
    for item in planned(found, facts).writes:
        org, _, repo = item.target.repo.partition("/")
        branch = _json(Branch(org, repo, item.target.pattern))
        if item.kind is Kind.DELETE:
            removals.append(branch)
            continue
        body = prow.body(prow.policy_of(item.after), apps=flags.enable_apps_restrictions)
        if flags.verify_restrictions and prow.unauthorized(item.target.repo, body, allowed[item.target.repo]):
            continue
        prows = said.get(_text({**branch, "request": None}), body)
        updates.append({**branch, "request": prows if _taken(prows) == _taken(body) else body})
    return {"updates": updates, "removals": removals}


def _taken(body: JSON) -> Any:
    """A body as GitHub takes it: names in any case and order, nobody who is let past being no list of them."""
    told = json.loads(_text(body).lower())
    reviews = told["required_pull_request_reviews"]
    if reviews and not any(reviews["bypass_pull_request_allowances"].values()):
        reviews["bypass_pull_request_allowances"] = {}
    return _comparable(told)


def looked_at(found: Configuration, facts: Mapping[str, RepoFacts]) -> dict[str, RepoFacts]:
    """Those of all repositories whose protection a configuration is about."""
    asked = found.protected()
    return {
        repo: seen
        for repo, seen in facts.items()
        if (org := repo.partition("/")[0]) in asked and (asked[org] is None or repo in (asked[org] or ()))
    }


def planned(found: Configuration, facts: Mapping[str, RepoFacts], past: Mapping[Target, Values] = {}) -> Plan:
    """What mergeq would write to these repositories."""
    seen = looked_at(found, facts)
    return plan((wish for one in seen.values() for wish in found.wishes(one, 0.0)), seen, past)


def values_of(state: JSON) -> Values:
    """What ``GET …/protection`` tells, as the fields of a rule."""
    checks, reviews = state.get("required_status_checks"), state.get("required_pull_request_reviews")
    dismissers, pushers = (reviews or {}).get("dismissal_restrictions"), state.get("restrictions")
    switches = {
        Field.ENFORCE_ADMINS: "enforce_admins",
        Field.LINEAR: "required_linear_history",
        Field.FORCE_PUSHES: "allow_force_pushes",
        Field.DELETIONS: "allow_deletions",
        Field.SIGNATURES: "required_signatures",
    }
    return {
        **OFF,
        **{field: bool((state.get(key) or {}).get("enabled")) for field, key in switches.items()},
        Field.CONTEXTS: None if checks is None else frozenset(Check(one, ANY_APP) for one in checks["contexts"] or ()),
        Field.STRICT: bool((checks or {}).get("strict")),
        Field.REVIEWS: None if reviews is None else reviews.get("required_approving_review_count", 0),
        Field.DISMISS_STALE: bool((reviews or {}).get("dismiss_stale_reviews")),
        Field.CODE_OWNERS: bool((reviews or {}).get("require_code_owner_reviews")),
        Field.DISMISSERS: None if dismissers is None else _listed(dismissers),
        Field.BYPASSERS: _listed((reviews or {}).get("bypass_pull_request_allowances") or {}),
        Field.PUSHERS: None if pushers is None else _listed(pushers),
    }


def _listed(lists: JSON) -> Actors:
    names = (("users", "login"), ("teams", "slug"), ("apps", "slug"))
    return actors(*([one[key] for one in lists.get(kind) or ()] for kind, key in names))


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
        authorized=prow.authorized(org["app_installations"] or (), repo["collaborators"] or (), repo["teams"] or ()),
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
    if PROTECTION in line.get("differences", ()):
        return {"request": wanted, **_compared_by_mergeq(asked)}
    return {
        "request": wanted,
        "equal": prow.equal(state, wanted),
        "equal_separate": prow.equal_signatures(state, asked["require_signed_commits"]),
    }


def _compared_by_mergeq(asked: JSON) -> JSON:
    """Whether mergeq's plan for a branch of its own would change anything, and whether signatures. Prow does not speak
    of apps without the flag for them, nor may the plan.
    """
    policy = {**(asked["policy"] or {}), "unmanaged": None, "protect": asked["policy"] is not None}
    policy["require_signed_commits"] = asked["require_signed_commits"]
    if policy.get("restrictions") and not asked["enable_apps_restrictions"]:
        policy["restrictions"] = {**policy["restrictions"], "apps": None}
    ours = {"fields": "prow", "enable_apps_restrictions": asked["enable_apps_restrictions"]}
    found = written(
        {
            "branch-protection": {
                "allow_disabled_policies": True,
                "orgs": {"acme": {"repos": {"rocket": {"branches": {"main": policy}}}}},
            },
            "mergeq": {"protection": ours},
        }
    )
    state = asked["state"]
    rules = () if state is None else (Rule("R", "main", values_of(state)),)
    writes = planned(found, {"acme/rocket": RepoFacts("acme/rocket", rules, branches=frozenset({"main"}))}).writes
    changed = {change.field for item in writes for change in item.changes}
    rest = changed - {Field.SIGNATURES} or any(item.kind is not Kind.UPDATE for item in writes)
    return {"equal": not rest, "equal_separate": Field.SIGNATURES not in changed}


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
    lists = (asked[f"authorized_{kind}"] or () for kind in ("collaborators", "teams", "apps"))
    authorized = actors(*lists)
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
    lists = (asked[f"authorized_{kind}"] or () for kind in ("collaborators", "teams", "apps"))
    return list(prow.unauthorized(f"{asked['org']}/{asked['repo']}", asked["request"], actors(*lists)))


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
