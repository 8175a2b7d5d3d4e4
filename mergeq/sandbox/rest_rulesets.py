"""REST endpoints of rulesets, of repositories and organizations, and of what is in force on a branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import jsonify

from mergeq.sandbox.clock import iso
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import NotSimulatedError, not_found, refuse_unpaid
from mergeq.sandbox.rest import (
    Answer,
    administrator,
    chosen,
    content,
    endpoint,
    paged,
    parameters,
    the_repo,
)
from mergeq.sandbox.ruleset_forms import Shelf, drop, save
from mergeq.sandbox.ruleset_shapes import branch_rule_shape, ruleset_shape, ruleset_summary, suite_shape
from mergeq.sandbox.rulesets import Rule, Ruleset, RuleSuite, covering
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import actor, caller, shapes, viewer, world
from mergeq.sandbox.state import AuditedAct

_OF_REPO = "/repos/<owner>/<repo>/rulesets"
_OF_ORG = "/orgs/<org>/rulesets"
_RESULTS = ("all", "pass", "fail", "bypass")


def _administered(owner: str, repo: str) -> Repo:
    """The repository, for its administrators; raises RefusedError 404, as GitHub does to everybody else."""
    found = the_repo(owner, repo)
    administrator(found)
    refuse_unpaid(found)
    return found


def _organization(org: str) -> Shelf:
    """The rulesets of an organization, for its administrators; raises RefusedError 404."""
    mine = [repo for repo in world().repos() if repo.owner.casefold() == org.casefold() and not repo.owner_is_user]
    actor()
    if not mine or not caller().owns(org):
        raise not_found()
    return Shelf.of_owner(mine[0])


def _the(rulesets: dict[int, Ruleset], number: int) -> Ruleset:
    if number not in rulesets:
        raise not_found()
    return rulesets[number]


def _listed(rulesets: Sequence[Ruleset], targets: str) -> Answer:
    wanted = [ruleset for ruleset in rulesets if ruleset.target in targets.split(",")]
    shown = shapes()
    return paged(wanted, lambda ruleset: ruleset_summary(shown, ruleset))


def _of_all_levels(found: Repo, *, parents: bool) -> dict[int, Ruleset]:
    inherited = {r.id: r for r in found.owner_rulesets.values() if parents and r.chooses(found)}
    return found.rulesets | inherited


@endpoint("GET", _OF_REPO)
def _list(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("includes_parents", "targets")
    known = _of_all_levels(found, parents=asked.get("includes_parents", "true") == "true")
    return _listed(tuple(known.values()), asked.get("targets", "branch,tag,push"))


@endpoint("POST", _OF_REPO)
def _create(owner: str, repo: str) -> Answer:
    found = _administered(owner, repo)
    ruleset = save(world(), Shelf.of_repo(found), content(), None, actor())
    return jsonify(ruleset_shape(shapes(), ruleset, found, viewer())), 201


@endpoint("GET", f"{_OF_REPO}/<int:ruleset_id>")
def _get(owner: str, repo: str, ruleset_id: int) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("includes_parents")
    known = _of_all_levels(found, parents=asked.get("includes_parents", "true") == "true")
    return jsonify(ruleset_shape(shapes(), _the(known, ruleset_id), found, viewer()))


@endpoint("PUT", f"{_OF_REPO}/<int:ruleset_id>")
def _edit(owner: str, repo: str, ruleset_id: int) -> Answer:
    found = _administered(owner, repo)
    before = _the(found.rulesets, ruleset_id)
    ruleset = save(world(), Shelf.of_repo(found), content(), before, actor())
    return jsonify(ruleset_shape(shapes(), ruleset, found, viewer()))


@endpoint("DELETE", f"{_OF_REPO}/<int:ruleset_id>")
def _delete(owner: str, repo: str, ruleset_id: int) -> Answer:
    found = _administered(owner, repo)
    drop(world(), Shelf.of_repo(found), _the(found.rulesets, ruleset_id), actor())
    return "", 204


@endpoint("GET", f"{_OF_REPO}/<int:ruleset_id>/history")
def _history(owner: str, repo: str, ruleset_id: int) -> Answer:
    """Who has made and changed it, newest first."""
    found = _administered(owner, repo)
    parameters()
    _the(found.rulesets, ruleset_id)
    acts = [(place, act) for place, act in enumerate(world().acts, start=1) if act.ruleset == ruleset_id]
    shown = shapes()

    def version(numbered: tuple[int, AuditedAct]) -> Json:
        place, act = numbered
        who = {"id": shown.world.users.id_of(act.by), "type": "User"}
        return {"version_id": place, "actor": who, "updated_at": iso(act.at)}

    return paged(acts[::-1], version)


@endpoint("GET", "/orgs/<org>/audit-log")
def _audit_log(org: str) -> Answer:
    """Newest first, as far as its phrase asks for; only large plans have one."""
    asked = parameters("phrase", "include", "order")
    _organization(org)
    if not world().audited:
        raise not_found()
    wanted = dict(word.partition(":")[::2] for word in asked.get("phrase", "").split())
    if wanted.keys() - {"action", "repo", "created"}:
        raise NotSimulatedError(f"an audit log searched by {asked['phrase']}")
    since = wanted.get("created", "").removeprefix(">=")
    chosen = [
        act
        for act in reversed(world().acts)
        if act.repo.partition("/")[0].casefold() == org.casefold()
        and wanted.get("repo", act.repo) == act.repo
        and act.action.startswith(wanted.get("action", ""))
        and iso(act.at) >= since
    ]
    return paged(chosen, _audited)


def _audited(act: AuditedAct) -> Json:
    org, at = act.repo.partition("/")[0], int(act.at * 1000)
    told = {"action": act.action, "actor": act.by, "org": org, "repo": act.repo, "name": act.name}
    return {"@timestamp": at, "created_at": at, "_document_id": f"doc-{at}-{act.name}", **told}


@endpoint("GET", _OF_ORG)
def _list_of_org(org: str) -> Answer:
    rulesets = _organization(org).rulesets
    return _listed(tuple(rulesets.values()), parameters("targets").get("targets", "branch,tag,push"))


@endpoint("POST", _OF_ORG)
def _create_of_org(org: str) -> Answer:
    ruleset = save(world(), _organization(org), content(), None, actor())
    return jsonify(ruleset_shape(shapes(), ruleset, None, viewer())), 201


@endpoint("GET", f"{_OF_ORG}/<int:ruleset_id>")
def _get_of_org(org: str, ruleset_id: int) -> Answer:
    rulesets = _organization(org).rulesets
    parameters()
    return jsonify(ruleset_shape(shapes(), _the(rulesets, ruleset_id), None, viewer()))


@endpoint("PUT", f"{_OF_ORG}/<int:ruleset_id>")
def _edit_of_org(org: str, ruleset_id: int) -> Answer:
    shelf = _organization(org)
    ruleset = save(world(), shelf, content(), _the(shelf.rulesets, ruleset_id), actor())
    return jsonify(ruleset_shape(shapes(), ruleset, None, viewer()))


@endpoint("DELETE", f"{_OF_ORG}/<int:ruleset_id>")
def _delete_of_org(org: str, ruleset_id: int) -> Answer:
    shelf = _organization(org)
    drop(world(), shelf, _the(shelf.rulesets, ruleset_id), actor())
    return "", 204


@endpoint("GET", "/repos/<owner>/<repo>/rules/branches/<path:branch>")
def _rules_of_branch(owner: str, repo: str, branch: str) -> Answer:
    """What the rulesets of all levels ask of a branch, be it there or not; readers see it too."""
    found = the_repo(owner, repo)
    parameters()
    in_force = [(rs, rule) for rs in covering(found, f"refs/heads/{branch}") for rule in _with_news(found, rs)]
    return paged(in_force, lambda pair: branch_rule_shape(*pair))


def _with_news(found: Repo, ruleset: Ruleset) -> tuple[Rule, ...]:
    """Its rules, and one of a kind that GitHub has not thought of yet (Q85)."""
    future = world().faults.fires(FaultId.SCHEMA_FUTURE, found.full_name, when=lambda fault: "field" not in fault.args)
    return ruleset.rules if future is None else (*ruleset.rules, Rule("phase_of_the_moon", {"waxing": True}))


def _suites(found: Repo) -> Answer:
    asked = parameters("ref", "actor_name", "rule_suite_result", "time_period")
    result = chosen(asked.get("rule_suite_result", "all"), _RESULTS, "RuleSuite", "rule_suite_result")
    tests: tuple[Callable[[RuleSuite], bool], ...] = (
        lambda suite: result in ("all", suite.result),
        lambda suite: asked.get("ref") in (None, suite.ref, suite.ref.split("/", 2)[2]),
        lambda suite: asked.get("actor_name") in (None, suite.actor),
    )
    kept = [suite for suite in reversed(found.rule_suites) if all(test(suite) for test in tests)]
    shown = shapes()
    return paged(kept, lambda suite: suite_shape(shown, found, suite))


@endpoint("GET", f"{_OF_REPO}/rule-suites")
def _list_suites(owner: str, repo: str) -> Answer:
    """Newest first; of whatever time, for nothing here is a month old."""
    return _suites(_administered(owner, repo))


@endpoint("GET", f"{_OF_REPO}/rule-suites/<int:rule_suite_id>")
def _suite(owner: str, repo: str, rule_suite_id: int) -> Answer:
    found = _administered(owner, repo)
    parameters()
    suite = next((suite for suite in found.rule_suites if suite.id == rule_suite_id), None)
    if suite is None:
        raise not_found()
    return jsonify(suite_shape(shapes(), found, suite) | {"rule_evaluations": _evaluations(suite)})


def _evaluations(suite: RuleSuite) -> list[Json]:
    """One line for each sentence against the write."""
    return [{"result": "fail", "enforcement": "active", "details": sentence} for sentence in suite.sentences]
