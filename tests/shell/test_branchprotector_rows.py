"""The same rows as of Prow's branchprotector (E1-E172), answered by mergeq itself: what it does alike is held to what
Prow writes, and what it does otherwise, since Prow's way is a defect (P4.26-P4.38), is named.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mergeq.bootstrap import services
from mergeq.config import ConfigError, Configuration, Settings, load
from mergeq.config.presubmits import contexts_of
from mergeq.core.branchprotector import JobContexts, policy_of, request, unauthorized
from mergeq.core.planning import applied
from mergeq.core.protection import (
    ANY_APP,
    NOBODY,
    OFF,
    Actors,
    Check,
    Field,
    Item,
    Kind,
    Mode,
    Plan,
    Problem,
    RepoFacts,
    Rule,
    Target,
    Trouble,
    actors,
)
from mergeq.core.pull import Branch
from mergeq.github import Protecting
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Restrictions
from mergeq.sandbox.users import Role
from tests.core.test_branchprotector import BODY0, REQUIRED, ROWS, Row
from tests.shell.test_config import Load, Refuse, Write, loaded, refused, write
from tests.shell.test_protecting import protecting, speaking
from tests.vectors.protection import looked_at, planned, values_of

__all__ = ["loaded", "protecting", "refused", "speaking", "write"]  # the fixtures

JSON = dict[str, Any]


def section_of(row: Row) -> str:
    """The configuration of a row as mergeq reads it, to be written as Prow writes."""
    jobs = {
        repo: [{"name": "job", "always_run": contexts == REQUIRED, "optional": contexts != REQUIRED}]
        for repo, contexts in row.jobs.items()
    }
    ours = {"fields": "prow", "enable_apps_restrictions": row.flags.enable_apps_restrictions}
    sections = {"presubmits": jobs, "branch-protection": yaml.safe_load(row.config), "mergeq": {"protection": ours}}
    return json.dumps({key: value for key, value in sections.items() if value})


def facts_of(row: Row) -> dict[str, RepoFacts]:
    """The GitHub of a row as mergeq reads it; a private repository of it is a fork where its name says so."""
    names: dict[str, list[str]] = {}
    for label in row.github.split():
        names.setdefault(label.partition("=")[0], []).append(label.partition("=")[2])
    return {
        repo: RepoFacts(
            repo,
            rules=tuple(
                Rule(f"R_{name}", name, values_of(row.states[f"{repo}={name}"]))
                for name in branches
                if f"{repo}={name}" in row.states
            ),
            branches=frozenset(branches),
            default_branch="master",
            is_private=repo in row.private.split(),
            is_archived=repo in row.archived.split(),
            is_fork="-ghsa-" in repo and repo in row.private.split(),
        )
        for repo, branches in names.items()
    }


def sent(item: Item, found: Configuration) -> JSON | None:
    if item.kind is Kind.DELETE:
        return None
    return request(policy_of(item.after), apps=found.protection_values.enable_apps_restrictions)


def label(item: Item) -> str:
    return f"{item.target.repo}={item.target.pattern}"


NOT_A_CONFIGURATION = {"E10", "E11", "E12", "E58", "P3.7", "E27", "E60"}
"""Rows that are about flags, or about who may push, which mergeq asks GitHub."""
OURS: Mapping[str, Mapping[str, JSON | None]] = {
    "E42": {},  # GitHub says that it is a fork
    "P4.22": {},  # there is nothing to take away
}
ALIKE = [row for row in ROWS if row.id.partition(" ")[0] not in NOT_A_CONFIGURATION]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ALIKE])
def test_mergeq_writes_what_prow_would(loaded: Load, row: Row) -> None:
    found = loaded(section_of(row))
    facts = facts_of(row)

    plan = planned(found, facts)

    wanted = OURS.get(row.id.partition(" ")[0], row.wrote)
    assert {label(item): sent(item, found) for item in plan.writes} == wanted
    assert {
        label(item): item.after[Field.SIGNATURES] for item in plan.writes if item.after.get(Field.SIGNATURES)
    } == row.signed
    invalid = [item for item in plan.items if item.kind is Kind.INVALID]
    assert bool(invalid) == (row.errors > 0 and bool(facts)), [one.why for one in invalid]
    assert not planned(found, applied(plan.writes, looked_at(found, facts))).writes


# What mergeq does otherwise

SECTION = "branch-protection: {orgs: {org: {protect: true, %s}}}"
MASTER = Target("org/repo", "master")
REPO = RepoFacts("org/repo", branches=frozenset({"master"}), default_branch="master")
REVIEWS = "required_pull_request_reviews: {required_approving_review_count: 1, %s}"


def having(**changed: Any) -> dict[str, RepoFacts]:
    """The repository with a rule for its branch that has these fields, by the names of `Field`."""
    values = {**OFF, **{Field[name]: value for name, value in changed.items()}}
    return {REPO.repo: replace(REPO, rules=(Rule("R_1", "master", values),))}


def only(plan: Plan) -> Item:
    (item,) = plan.items
    return item


def test_what_is_not_included_any_more_is_told_as_nobodys(loaded: Load) -> None:
    """P6.26, E49, P4.36: Prow says nothing of it, and nobody notices that it is still protected."""
    found = loaded(SECTION % "exclude: [mas]")
    facts = having(ENFORCE_ADMINS=True)

    item = only(planned(found, facts, {MASTER: facts["org/repo"].rules[0].values}))  # type: ignore[index]

    assert (item.target, item.kind) == (MASTER, Kind.ORPHANED)


def test_a_branch_that_is_named_and_not_there_is_told(loaded: Load) -> None:
    """E50, P4.37."""
    found = loaded(SECTION % "repos: {repo: {branches: {mastre: {enforce_admins: true}}}}")

    (line,) = found.protection_warnings(REPO, 0.0)

    assert line.endswith("org/repo has no branch 'mastre', so nothing is done about it; mend the name, or remove it")


def test_one_repository_of_an_organization_may_be_named_alone(loaded: Load) -> None:
    """E58, P4.32: the scope of mergeq is what the configuration names, down to one repository."""
    found = loaded("branch-protection: {orgs: {o: {repos: {r: {protect: true}}}}}")
    facts = {repo: replace(REPO, repo=repo) for repo in ("o/r", "o/other")}

    assert found.protected() == {"o": frozenset({"o/r"})}
    assert [item.target for item in planned(found, facts).writes] == [Target("o/r", "master")]


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        pytest.param("bypass_pull_request_allowances: {}", NOBODY, id="E143 empty lists are asked for"),
        pytest.param("bypass_pull_request_allowances: {users: [], teams: []}", NOBODY, id="E143 of both kinds"),
        pytest.param("", NOBODY, id="E144 GitHub has empty lists"),
        pytest.param("bypass_pull_request_allowances: {users: ['@Bob']}", actors(["bob"]), id="E146 a login"),
        pytest.param("bypass_pull_request_allowances: {teams: [Core]}", actors(teams=["core"]), id="E147 a team"),
    ],
)
def test_the_same_people_are_the_same_however_they_are_written(loaded: Load, asked: str, there: Actors) -> None:
    """P4.29: Prow writes such a branch again with every run."""
    found = loaded(SECTION % REVIEWS % asked)

    assert only(planned(found, having(REVIEWS=1, BYPASSERS=there))).kind is Kind.NOTHING


def test_nobody_may_push_and_everybody_may_are_two_things(loaded: Load) -> None:
    """P4.29: where GitHub tells an empty list from none, so does mergeq."""
    found = loaded(SECTION % "restrictions: {users: []}")

    assert only(planned(found, having(PUSHERS=None))).kind is Kind.UPDATE
    assert only(planned(found, having(PUSHERS=NOBODY))).kind is Kind.NOTHING


@pytest.mark.parametrize(
    "kept",
    [
        {"CONVERSATIONS": True},
        {"LAST_PUSH": True, "REVIEWS": 1},
        {"LOCK": True, "FORK_SYNC": True},
        {"CREATIONS": True, "PUSHERS": actors(["cindy"])},
        {"DEPLOYMENTS": frozenset({"prod"})},
        {"FORCERS": actors(teams=["core"])},
        {"SIGNATURES": True},
    ],
    ids=lambda kept: next(iter(kept)),
)
def test_what_prow_does_not_know_stays_as_it_is(loaded: Load, kept: dict[str, Any]) -> None:
    """P4.27: a request of Prow's turns all that off, and the next run does not notice."""
    said = f"enforce_admins: true, restrictions: {{users: [cindy]}}, {REVIEWS % ''}"
    found = loaded(SECTION % said)
    facts = having(**kept)

    (after,) = applied(planned(found, facts).writes, facts)["org/repo"].rules or ()

    assert after.values[Field.ENFORCE_ADMINS] is True
    assert {name: after.values[Field[name]] for name in kept} == kept


def test_what_prow_does_not_know_is_turned_off_where_prows_request_is_asked_for(loaded: Load) -> None:
    """P4.27: then the plan says so before it happens."""
    found = loaded(SECTION % "enforce_admins: true" + "\nmergeq: {protection: {fields: prow}}")

    item = only(planned(found, having(ENFORCE_ADMINS=True, CONVERSATIONS=True, LOCK=True)))

    assert {(one.field, one.after) for one in item.changes} == {(Field.CONVERSATIONS, False), (Field.LOCK, False)}


def test_the_app_of_a_context_is_kept_and_never_guessed(loaded: Load) -> None:
    """P4.28."""
    found = loaded(SECTION % "required_status_checks: {contexts: [old, new]}")
    there = having(CONTEXTS=frozenset({Check("old", "jenkins")}))

    (after,) = applied(planned(found, there).writes, there)["org/repo"].rules or ()

    assert after.values[Field.CONTEXTS] == frozenset({Check("old", "jenkins"), Check("new", ANY_APP)})


def test_a_context_may_be_asked_of_an_app(loaded: Load) -> None:
    """P6.25, P4.28, P7.9."""
    ours = "\nmergeq: {protection: {orgs: {org: {checks: [{context: ci, app: github-actions}]}}}}"
    found = loaded(SECTION % "required_status_checks: {contexts: [ci]}" + ours)

    (change,) = only(planned(found, having(CONTEXTS=frozenset({Check("ci", "jenkins")})))).changes

    assert change.after == frozenset({Check("ci", "github-actions")})


def test_a_login_is_the_same_in_any_case(loaded: Load) -> None:
    """E60, P4.30: what is wished is compared with whom GitHub tells of in lower case."""
    found = loaded(SECTION % "restrictions: {users: [Cindy, '@JO']}")

    (wish,) = found.wishes(REPO, 0.0)

    assert wish.values[Field.PUSHERS] == actors(["cindy", "jo"])


def test_a_child_may_take_from_a_list(loaded: Load) -> None:
    """P4.38, P2.24."""
    ours = """
mergeq: {protection: {orgs: {org: {repos: {repo: {remove: {contexts: [old], restrictions: {teams: [out]}}}}}}}}"""
    found = loaded(
        SECTION % "required_status_checks: {contexts: [ci, old]}, restrictions: {teams: [in, out]}, repos: {repo: {}}"
        + ours
    )

    (wish,) = found.wishes(REPO, 0.0)

    assert wish.values[Field.CONTEXTS] == frozenset({Check("ci")})
    assert wish.values[Field.PUSHERS] == actors(teams=["in"])


# Jobs, and what Tide makes of protection

JOBS = """presubmits: {org/repo: [
  {name: always-run, always_run: true},
  {name: run-if-changed, run_if_changed: foo},
  {name: skip-if-only-changed, skip_if_only_changed: foo},
  {name: not-always, always_run: false},
  {name: skip-report, always_run: true, skip_report: true, skip_branches: [master]},
  {name: optional, always_run: true, optional: true}]}
"""
MANUAL_JOBS = """presubmits: {org/repo: [
  {name: manual, always_run: false},
  {name: manual-skipped, always_run: false, skip_branches: [master]},
  {name: run-if-changed, run_if_changed: foo},
  {name: skip-if-only-changed, skip_if_only_changed: foo},
  {name: skip-report, always_run: true, skip_report: true, skip_branches: [master]},
  {name: optional, always_run: true, optional: true}]}
"""
MATCHING = {"run-if-changed", "skip-if-only-changed"}
DEMANDS = [
    (
        "E100",
        JOBS,
        "master",
        False,
        JobContexts(*map(frozenset, ({"always-run"}, {*MATCHING, "not-always"}, {"optional"}))),
    ),
    (
        "E101 on another branch",
        JOBS,
        "other",
        False,
        JobContexts(*map(frozenset, ({"always-run"}, {*MATCHING, "not-always"}, {"optional", "skip-report"}))),
    ),
    (
        "E102 jobs on request are required",
        MANUAL_JOBS,
        "master",
        True,
        JobContexts(*map(frozenset, ({"manual"}, MATCHING, {"optional"}))),
    ),
    (
        "E103 jobs on request are required on another branch",
        MANUAL_JOBS,
        "other",
        True,
        JobContexts(*map(frozenset, ({"manual", "manual-skipped"}, MATCHING, {"optional", "skip-report"}))),
    ),
]


@pytest.mark.parametrize(
    ("text", "branch", "manual", "demanded"), [pytest.param(*row, id=name) for name, *row in DEMANDS]
)
def test_jobs_demand_their_contexts(
    loaded: Load, text: str, branch: str, demanded: JobContexts, *, manual: bool
) -> None:
    jobs = loaded(text).presubmits["org/repo"]

    assert contexts_of(jobs, branch, manual_required=manual) == demanded


FROM = "context_options: {from-branch-protection: true}"
PR1_PO1 = "{name: pr1, always_run: true}, {name: po1, always_run: true, optional: true}"
TIDE: list[tuple[str, str, str, str, set[str], set[str]]] = [
    (
        "E165 protection is not asked for",
        "",
        "protect: true, required_status_checks: {contexts: [r1, r2]}",
        PR1_PO1,
        {"pr1"},
        {"po1"},
    ),
    ("E166 nothing is protected", FROM, "", "", set(), set()),
    ("E167 protection is off", FROM, "protect: false", "", set(), set()),
    (
        "E168 jobs on request are required",
        FROM,
        "protect: true, require_manually_triggered_jobs: true",
        "{name: pr1, always_run: false}, {name: pr2, always_run: true}",
        {"pr1", "pr2"},
        set(),
    ),
    (
        "E169 options of every level",
        """context_options: {required-contexts: [a], optional-contexts: [wide], skip-unknown-contexts: true,
            orgs: {org: {required-contexts: [b], repos: {repo: {optional-contexts: [narrow],
            skip-unknown-contexts: false, branches: {master: {required-contexts: [c]}}}}}}}""",
        "",
        "",
        {"a", "b", "c"},
        {"wide", "narrow"},
    ),
]


@pytest.mark.parametrize(
    ("options", "protection", "jobs", "required", "optional"), [pytest.param(*row, id=name) for name, *row in TIDE]
)
def test_the_queue_awaits_what_protection_and_jobs_demand(
    loaded: Load, options: str, protection: str, jobs: str, required: set[str], optional: set[str]
) -> None:
    text = f"tide: {{{options}}}\nbranch-protection: {{orgs: {{org: {{{protection}}}}}}}\n"

    found = loaded(f"{text}presubmits: {{org/repo: [{jobs}]}}").contexts(Branch("org", "repo", "master"))

    assert (set(found.required), set(found.optional), bool(found.skip_unknown)) == (required, optional, False)


def test_two_files_may_not_both_set_a_flag(refused: Refuse) -> None:
    """E170."""
    flag = "branch-protection: {allow_disabled_job_policies: true}"

    (line,) = refused(a=flag, b=flag)

    assert "both branchprotection configs set allow_disabled_job_policies" in line


def test_what_only_prow_reads_may_stand_in_a_file_beside(tmp_path: Path) -> None:
    """E171: Prow refuses such a file, which is about Prow's own parts and nothing that mergeq has."""
    (tmp_path / "config.yaml").write_text("branch-protection: {orgs: {org: {protect: true}}}", encoding="utf-8")
    (tmp_path / "beside.yaml").write_text("plank: {max_concurrency: 1}", encoding="utf-8")

    assert load([tmp_path]).protected() == {"org": None}


def test_one_file_may_set_a_flag_beside_another(loaded: Load) -> None:
    """E172."""
    found = loaded(a="branch-protection: {allow_disabled_job_policies: true}", b="branch-protection: {orgs: {org: }}")

    assert found.protection.flags == {"allow_disabled_job_policies": True}
    assert "org" in found.protection.levels


# With what it starts

CONFIGURED = Settings(github_token="token", config_paths=(Path("config.yaml"),), redis_url="redis://localhost")


def test_with_a_configuration_and_a_token_it_starts(redis_url: str, write: Write) -> None:
    """E74."""
    ready = services(replace(CONFIGURED, redis_url=redis_url, config_paths=tuple(write("tide: {}"))))

    assert ready.config.protection_values.mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        pytest.param({"config_paths": ()}, "MERGEQ_CONFIG: is not set", id="E75 no configuration"),
        pytest.param({"github_token": ""}, "GITHUB_TOKEN: is not set", id="E76 no token, where Prow goes on as nobody"),
    ],
)
def test_without_either_it_does_not_start(missing: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}; [^\\n]+$"):
        services(replace(CONFIGURED, **missing))


# Against a GitHub

ROCKET = "acme/rocket"
PROTECTED = "branch-protection: {orgs: {acme: {protect: true, %s}}}"
LIFT, PROTECT, CHANGE = "graphql:LiftRule", "graphql:Protect", "graphql:ChangeRule"


def branch_off(github: Sandbox, *names: str) -> None:
    git = github.world.repo(ROCKET).git
    for name in names:
        git.move(f"refs/heads/{name}", str(git.tip("main")), "0" * 40)


def plan_of(protecting: Protecting, found: Configuration) -> tuple[Plan, dict[str, RepoFacts]]:
    facts = protecting.read([ROCKET], branches=[ROCKET])
    return planned(found, facts), facts


def carried_out(protecting: Protecting, found: Configuration) -> list[Problem]:
    """Write a whole plan, and give what went wrong."""
    plan, facts = plan_of(protecting, found)
    return [problem for item in plan.writes if (problem := protecting.write(item, facts[ROCKET]))]


def protections(github: Sandbox) -> Mapping[str, Any]:
    return github.world.repo(ROCKET).protections


def test_every_rule_that_is_to_go_goes(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """E64."""
    branch_off(github, "one", "two")
    for name in ("main", "one", "two"):
        github.world.protect(ROCKET, name, ["ci"])

    problems = carried_out(protecting, loaded("branch-protection: {orgs: {acme: {protect: false}}}"))

    assert (problems, protections(github), github.hits[LIFT]) == ([], {}, 3)


def test_a_rule_that_cannot_be_removed_is_one_problem(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """E65."""
    github.world.protect(ROCKET, "main", ["ci"])
    plan, facts = plan_of(protecting, loaded("branch-protection: {orgs: {acme: {protect: false}}}"))
    github.world.protect(ROCKET, "main", ["another"])

    (problem,) = [protecting.write(item, facts[ROCKET]) for item in plan.writes]

    assert problem is not None
    assert problem.kind is Trouble.CONFLICT
    assert list(protections(github)) == ["main"]


def test_each_branch_gets_what_is_wished_for_it(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """E66."""
    branch_off(github, "next")
    found = loaded(PROTECTED % "repos: {rocket: {branches: {next: {required_linear_history: true}}}}")

    assert carried_out(protecting, found) == []

    assert {name: rule.linear_history for name, rule in protections(github).items()} == {"main": False, "next": True}


def test_what_fails_stops_nothing_else(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """E67: a rule made, one that cannot be, one removed, and one that is another by now."""
    branch_off(github, "good", "bad", "gone", "changed")
    for name in ("gone", "changed"):
        github.world.protect(ROCKET, name, ["ci"])
    found = loaded(
        """branch-protection: {orgs: {acme: {repos: {rocket: {branches: {
            good: {protect: true}, bad: {protect: true, restrictions: {users: [nobody-there]}},
            gone: {protect: false}, changed: {protect: false}}}}}}}"""
    )
    plan, facts = plan_of(protecting, found)
    github.world.protect(ROCKET, "changed", ["another"])

    problems = {item.target.pattern: protecting.write(item, facts[ROCKET]) for item in plan.writes}

    assert {name: problem and problem.kind for name, problem in problems.items()} == {
        "good": None,
        "bad": Trouble.ACTOR_INVALID,
        "gone": None,
        "changed": Trouble.CONFLICT,
    }
    assert set(protections(github)) == {"good", "changed"}


def test_signatures_are_not_asked_for_where_the_rest_was_not_taken(github: Sandbox, protecting: Protecting) -> None:
    """E68: Prow asks all the same."""
    problem = protecting.replace(ROCKET, "nowhere", BODY0, signatures=True)

    assert problem is not None
    assert problem.kind is Trouble.GONE
    assert not any("required_signatures" in name for name in github.hits)


def test_what_protects_a_branch_is_read(github: Sandbox, protecting: Protecting) -> None:
    """E69."""
    for login in ("cindy", "mergeq-bot"):
        github.world.users.id_of(login)
    github.world.protect(
        ROCKET, "main", ["ci"], restrictions=Restrictions(("cindy",)), allow_force_pushes=True, strict=True
    )

    (rule,) = protecting.read([ROCKET])[ROCKET].rules or ()

    said = {name: rule.values[name] for name in (Field.STRICT, Field.PUSHERS, Field.FORCE_PUSHES)}
    assert said == {Field.STRICT: True, Field.PUSHERS: actors(["cindy"]), Field.FORCE_PUSHES: True}
    assert rule.values[Field.CONTEXTS] == frozenset({Check("ci", ANY_APP)})


def test_a_branch_without_protection_is_known_to_have_none(protecting: Protecting) -> None:
    """E70."""
    facts = protecting.read([ROCKET])[ROCKET]

    assert (facts.rules, facts.problem) == ((), None)


def test_a_repository_that_is_not_there_is_not_taken_for_unprotected(protecting: Protecting, loaded: Load) -> None:
    """E71."""
    facts = protecting.read(["acme/nowhere"])
    found = loaded("branch-protection: {orgs: {acme: {repos: {nowhere: {branches: {main: {protect: false}}}}}}}")

    item = only(planned(found, facts))

    assert facts["acme/nowhere"].rules is None
    assert item.kind is Kind.UNKNOWN
    assert "acme/nowhere" in item.why


def test_prows_own_requests_are_taken(github: Sandbox, protecting: Protecting) -> None:
    """E72."""
    assert protecting.replace(ROCKET, "main", BODY0) is None
    assert list(protections(github)) == ["main"]
    assert protecting.replace(ROCKET, "main", None) is None
    assert protections(github) == {}


def test_planning_writes_nothing(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """E73."""
    plan, _ = plan_of(protecting, loaded(PROTECTED % "enforce_admins: true"))

    assert plan.writes
    assert set(github.hits) == {"graphql:Protection"}
    assert protections(github) == {}


NAMES = ["release/1.x", "a#b", "test_#123", "50%25", "a+b&c=d", "größe-名", "x;y,z", "a'b\"c", "-dash", "@"]


@pytest.mark.parametrize("name", NAMES)
def test_a_branch_is_protected_whatever_its_name(
    github: Sandbox, protecting: Protecting, loaded: Load, name: str
) -> None:
    """E29, P4.26: Prow writes to the branch ``a`` where ``a#b`` is meant."""
    branch_off(github, name)
    branches = json.dumps({name: {"protect": True, "required_linear_history": True}})
    found = loaded(f"branch-protection: {{orgs: {{acme: {{repos: {{rocket: {{branches: {branches}}}}}}}}}}}")

    assert carried_out(protecting, found) == []
    assert {one: rule.linear_history for one, rule in protections(github).items()} == {name: True}
    assert not plan_of(protecting, found)[0].writes

    assert protecting.replace(ROCKET, name, BODY0, signatures=True) is None
    (rule,) = protections(github).values()
    assert (rule.linear_history, rule.signatures) == (False, True)
    assert protecting.replace(ROCKET, name, None) is None
    assert protections(github) == {}


def test_prows_request_is_what_the_plan_said(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """P4.1, P4.12: written as Prow writes it, a branch is then as the plan has it, and nothing is left to do."""
    github.world.protect(ROCKET, "main", ["ci"], required_conversation_resolution=True, lock_branch=True)
    found = loaded(
        PROTECTED % f"enforce_admins: true, required_status_checks: {{contexts: [e2e]}}, {REVIEWS % ''}"
        + "\nmergeq: {protection: {fields: prow}}"
    )
    item = only(plan_of(protecting, found)[0])

    assert protecting.replace(ROCKET, "main", sent(item, found)) is None

    (rule,) = protecting.read([ROCKET])[ROCKET].rules or ()
    free = {**item.after, Field.CONTEXTS: frozenset({Check("e2e", ANY_APP)})}
    assert rule.values == free
    assert not plan_of(protecting, found)[0].writes


def test_who_may_not_administer_is_told_once_and_what_to_do(
    github: Sandbox, speaking: Callable[[str], Protecting], loaded: Load
) -> None:
    """P4.33: to Prow each branch is another error, and none of them says why."""
    branch_off(github, "one", "two")
    github.world.users.set_role("writer", Role.WRITE)
    protecting = speaking(github.world.users.issue_token("writer"))
    plan, _ = plan_of(protecting, loaded(PROTECTED % "enforce_admins: true"))

    (why,) = {item.why for item in plan.items}

    assert {item.kind for item in plan.items} == {Kind.UNKNOWN}
    assert "may not administer acme/rocket" in why
    assert "`administration`" in why


def test_whom_github_leaves_out_is_seen_afterwards(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """P6.32, P4.34: GitHub takes a list and leaves out who may not write; Prow does not look again."""
    github.world.users.id_of("cindy")
    github.world.users.set_role("reader", Role.READ)
    found = loaded(PROTECTED % "restrictions: {users: [cindy, reader]}")
    assert carried_out(protecting, found) == []

    (change,) = only(plan_of(protecting, found)[0]).changes

    assert (change.before, change.after) == (actors(["cindy"]), actors(["cindy", "reader"]))


def test_who_maintains_may_be_let_to_push_and_a_login_has_no_case(
    github: Sandbox, protecting: Protecting, loaded: Load
) -> None:
    """E60, E164, P4.30, P4.31: Prow refuses both."""
    world = github.world
    world.users.set_role("Cindy", Role.WRITE)
    world.users.join_team("acme/keepers", "Cindy")
    world.repo(ROCKET).people.team_roles["keepers"] = Role.MAINTAIN
    found = loaded(PROTECTED % "restrictions: {users: [CINDY], teams: [keepers]}")

    body = sent(only(plan_of(protecting, found)[0]), found)

    assert unauthorized(ROCKET, body, protecting.authorized(ROCKET)) == ()
    assert unauthorized(ROCKET, body, NOBODY) != ()


def test_an_app_is_looked_up_once_for_all_repositories(github: Sandbox, protecting: Protecting, loaded: Load) -> None:
    """P4.35."""
    github.world.app("builder")
    other = github.world.copy_repo(github.world.repo(ROCKET), "acme/other").full_name
    found = loaded(
        PROTECTED % "restrictions: {apps: [builder]}" + "\nmergeq: {protection: {enable_apps_restrictions: true}}"
    )
    facts = protecting.read([ROCKET, other], branches=[ROCKET, other])

    problems = [protecting.write(item, facts[item.target.repo]) for item in planned(found, facts).writes]

    assert problems == [None, None]
    assert github.hits["GET /apps/{app_slug}"] == 1
