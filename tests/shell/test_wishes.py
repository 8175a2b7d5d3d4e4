"""What the configuration wishes for which branches: Prow's enumeration (P2, P3; rows E1-E63), and what ours adds."""

from collections.abc import Callable
from textwrap import indent
from typing import Any

import pytest

from mergeq.core.protection import (
    NOBODY,
    OFF,
    PROW_FIELDS,
    Actors,
    Backend,
    Check,
    Field,
    Mode,
    RepoFacts,
    Rule,
    Value,
    Wish,
)
from tests.shell.test_config import Load, Refuse, loaded, refused, warned, write

__all__ = ["loaded", "refused", "warned", "write"]  # the fixtures

BODY0 = {name: OFF[name] for name in PROW_FIELDS}
NOON = 1_795_000_000.0
"""2026-11-18T10:26:40Z."""

Wishes = Callable[..., dict[str, Wish]]


@pytest.fixture
def wishes(loaded: Load) -> Wishes:
    """What is wished for a repository, by branch or pattern; `branches` are those it has."""

    def of_text(
        text: str, branches: str | None = "main", repo: str = "acme/rocket", now: float = NOON, **facts: Any
    ) -> dict[str, Wish]:
        there = None if branches is None else frozenset(branches.split())
        found = loaded(text).wishes(RepoFacts(repo, branches=there, **facts), now)
        assert all(wish.target.repo == repo for wish in found)
        return {wish.target.pattern: wish for wish in found}

    return of_text


def prow(text: str) -> str:
    return f"branch-protection:\n{indent(text, '  ')}\n"


def ours(text: str) -> str:
    return f"mergeq:\n  protection:\n{indent(text, '    ')}\n"


def contexts(wish: Wish) -> list[str]:
    found = wish.values[Field.CONTEXTS]
    assert isinstance(found, frozenset)
    return sorted(check.context if not check.app else f"{check.app}:{check.context}" for check in found)  # type: ignore[union-attr]


ALL = "orgs: {acme: {protect: true}}"


# Which branches


@pytest.mark.parametrize(
    ("text", "branches", "expected"),
    [
        pytest.param("orgs: {}", "main", "", id="E1 nothing is configured"),
        pytest.param("protect: true\norgs: {other: }", "main", "", id="P3.4 another org alone"),
        pytest.param("protect: true\norgs: {acme: }", "master branch", "branch master", id="E3 for everyone"),
        pytest.param("orgs: {acme: {protect: true}}", "main", "main", id="E5 for an org"),
        pytest.param("orgs: {acme: {protect: false}}", "main", "-main", id="E4 E44 taken away"),
        pytest.param(
            "protect: false\norgs: {acme: {protect: true, repos: {rocket: {protect: false}}}}",
            "main",
            "-main",
            id="E9 one repository is not",
        ),
        pytest.param(
            "allow_disabled_policies: true\nprotect: true\nenforce_admins: true\norgs: {acme: {protect: false}}",
            "main",
            "-main",
            id="E19 disabled though there is a policy",
        ),
        pytest.param(
            "orgs: {acme: {protect: true, repos: {rocket: {exclude: ['sk.*']}}}}", "master skip", "master", id="E24"
        ),
        pytest.param(
            "orgs: {acme: {protect: true, exclude: ['foo.*'], repos: {rocket: {exclude: ['sk.*']}}}}",
            "master skip foobar1",
            "master",
            id="E25 exclusions of all levels",
        ),
        pytest.param(
            "protect: true\norgs: {acme: {exclude: ['master.*'], repos: {rocket: {branches: {master: }}}}}",
            "master",
            "master",
            id="E26 a name goes before a filter",
        ),
        pytest.param("protect: true\norgs: {acme: }", "test_#123", "test_#123", id="E29 any name"),
        pytest.param("unmanaged: true\norgs: {acme: {protect: true}}", "main", "", id="E34 nothing is managed"),
        pytest.param("orgs: {acme: {protect: true, unmanaged: true}}", "main", "", id="E35 an org is not managed"),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {unmanaged: true, protect: true}}}}", "main", "", id="E36 E54 unmanaged wins"
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {protect: true}}}}", "main next", "main next", id="E43 named repository"
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {protect: true, include: [^main$], exclude: [main]}}}}",
            "main next",
            "main",
            id="E46 include alone is looked at",
        ),
        pytest.param(
            "orgs: {acme: {protect: true, include: [rel]}}", "prerelease main", "prerelease", id="E47 not anchored"
        ),
        pytest.param(
            "orgs: {acme: {include: [^rel], repos: {rocket: {branches: {dev: {protect: true}}}}}}",
            "dev main",
            "dev",
            id="E48 a name goes before include",
        ),
        pytest.param("orgs: {acme: {protect: true, exclude: [^main]}}", "main", "", id="E49 excluded"),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {branches: {gone: {protect: true}}}}}}", "main", "", id="E50 not there"
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {unmanaged: true, branches: {main: {unmanaged: false, protect: true}}}}}}",
            "main next",
            "main",
            id="E52 one branch is managed",
        ),
        pytest.param(
            "unmanaged: true\norgs: {acme: {repos: {rocket: {unmanaged: false, protect: true}}}}",
            "main",
            "main",
            id="E53 one repository is managed",
        ),
        pytest.param(
            "orgs: {acme: {required_status_checks: {contexts: [ci]}}}", "main", "", id="E55 nothing says protect"
        ),
        pytest.param(
            "orgs: {acme: {protect: true, exclude: ['(?i)^DEP', ^x]}}", "dep X main", "X main", id="P3.9 one by one"
        ),
        pytest.param(
            "orgs: {acme: {protect: false, exclude: [^x]}}", "x main", "-main", id="E121 exclude is no policy"
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {branches: {main: {unmanaged: true}}}}}}", "main", "", id="E122 left alone"
        ),
    ],
)
def test_the_branches_that_are_wished_for(wishes: Wishes, text: str, branches: str, expected: str) -> None:
    found = wishes(prow(text), branches)

    assert [wish.problem for wish in found.values()] == [""] * len(found)
    assert " ".join(name if wish.protect else f"-{name}" for name, wish in found.items()) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "orgs: {acme: {repos: {rocket: {branches: {main: }}}}}",
            "defined branch policies must set protect or unmanaged=true",
            id="E6 E108 named and nothing said",
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {branches: {main: {unmanaged: false}}}}}}",
            "defined branch policies must set protect or unmanaged=true",
            id="E123 managed is not protected",
        ),
        pytest.param(
            "protect: false\nrestrictions: {teams: [oncall]}\norgs: {acme: }",
            "acme/rocket=main defines a policy, which requires protect: true",
            id="E7 E109",
        ),
        pytest.param(
            "protect: false\nrequired_status_checks: {contexts: [test-foo]}\norgs: {acme: }",
            "acme/rocket=main defines a policy, which requires protect: true",
            id="E8 E109",
        ),
        pytest.param(
            "protect: true\nenforce_admins: true\norgs: {acme: {protect: false}}",
            "acme/rocket=main defines a policy, which requires protect: true",
            id="E18",
        ),
        pytest.param(
            "orgs: {acme: {protect: false, require_signed_commits: false}}",
            "acme/rocket=main defines a policy, which requires protect: true",
            id="E120 no is a policy too",
        ),
        pytest.param(
            "orgs: {acme: {protect: true, restrictions: {apps: [content-app]}}}",
            "restrictions.apps is set, but enable_apps_restrictions is not; set it, or remove the apps",
            id="E38",
        ),
        pytest.param(
            "orgs: {acme: {protect: true, restrictions: {apps: []}}}",
            "restrictions.apps is set, but enable_apps_restrictions is not; set it, or remove the apps",
            id="E59 an empty list",
        ),
        pytest.param(
            "orgs: {acme: {protect: true, exclude: ['(']}}",
            'regex "(" is not valid: missing ): (',
            id="E51 a regex that is none",
        ),
    ],
)
def test_where_it_cannot_be_told_what_is_wished_that_is_the_wish(wishes: Wishes, text: str, problem: str) -> None:
    """And the line to mend: the other branches of the file go on."""
    (wish,) = wishes(prow(text)).values()

    assert (wish.problem, wish.values) == (problem, {})
    assert wish.place.rpartition("/")[2].startswith("config.yaml:")


def test_a_regex_that_is_none_stops_no_branch_that_is_named(wishes: Wishes) -> None:
    """E51, P1.27."""
    found = wishes(
        prow("orgs: {acme: {exclude: ['('], repos: {rocket: {protect: true, branches: {main: }}}}}"), "main x"
    )

    assert {name: bool(wish.problem) for name, wish in found.items()} == {"main": False, "x": True}


@pytest.mark.parametrize(
    ("facts", "is_wished"),
    [
        pytest.param({"repo": "acme/rocket", "is_archived": True}, False, id="E13 E39 archived"),
        pytest.param({"repo": "acme/r-ghsa-1234abcd", "is_private": True}, False, id="E40 an advisory's fork"),
        pytest.param({"repo": "acme/x-ghsa-y"}, True, id="E41 public"),
        pytest.param(
            {"repo": "acme/my.repo-ghsa-1-2-3", "is_private": True, "is_fork": True}, False, id="E42 a dot in it"
        ),
        pytest.param({"repo": "acme/my.repo-ghsa-1-2-3", "is_private": True}, True, id="E42 no fork"),
        pytest.param({"repo": "acme/fork", "is_private": True, "is_fork": True}, True, id="P3.5 just a fork"),
    ],
)
def test_what_is_archived_or_an_advisory_is_left_alone(
    wishes: Wishes, facts: dict[str, Any], *, is_wished: bool
) -> None:
    """P3.4, P3.5."""
    assert bool(wishes(prow(ALL), **facts)) is is_wished


JOB = "presubmits: {acme/rocket: [{name: job, always_run: true%s}]}\n"


@pytest.mark.parametrize(
    ("text", "job", "expected"),
    [
        pytest.param("protect-tested-repos: true", "", ["job"], id="E56 the org is not even listed"),
        pytest.param("protect-tested-repos: true\norgs: {acme: }", "", ["job"], id="E112"),
        pytest.param("protect-tested-repos: true\norgs: {acme: }", ", optional: true", None, id="E114"),
        pytest.param(
            "protect-tested-repos: true\nprotect_repos_with_optional_jobs: true\norgs: {acme: }",
            ", optional: true",
            [],
            id="E115 an empty list",
        ),
        pytest.param(
            "allow_disabled_job_policies: true\norgs: {acme: {repos: {rocket: {protect: false}}}}",
            "",
            None,
            id="E117 hands off",
        ),
        pytest.param("orgs: {acme: }", "", None, id="E119 nothing says protect"),
        pytest.param(
            "orgs: {acme: {protect: true, required_status_checks: {contexts: [cla]}}}", "", ["cla", "job"], id="E111"
        ),
        pytest.param(
            "orgs: {acme: {protect: true}}\nrequire_manually_triggered_jobs: true",
            ", always_run: false",
            ["job"],
            id="E102 on demand, and demanded",
        ),
    ],
)
def test_jobs_ask_for_contexts_and_may_protect(wishes: Wishes, text: str, job: str, expected: list[str] | None) -> None:
    jobs = JOB.replace(", always_run: true", "") if "always_run" in job else JOB
    jobs = jobs if "%s" in jobs else "presubmits: {acme/rocket: [{name: job%s}]}\n"
    found = wishes(prow(text) + jobs % job)

    assert [contexts(wish) for wish in found.values()] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("text", "job"),
    [
        pytest.param("protect: false\norgs: {acme: }", "", id="E113"),
        pytest.param("allow_disabled_policies: true\norgs: {acme: {protect: false}}", "", id="E118"),
        pytest.param(
            "protect_repos_with_optional_jobs: true\norgs: {acme: {protect: false}}", ", optional: true", id="E124"
        ),
    ],
)
def test_jobs_and_no_protection_contradict_each_other(wishes: Wishes, text: str, job: str) -> None:
    (wish,) = wishes(prow(text) + JOB % job).values()

    assert wish.problem == "required prow jobs require branch protection"


def test_optional_jobs_leave_the_checks_out(wishes: Wishes) -> None:
    """E116."""
    (wish,) = wishes(
        prow("protect-tested-repos: true\norgs: {acme: {protect: true}}") + JOB % ", optional: true"
    ).values()

    assert wish.values == BODY0


def test_jobs_of_a_key_that_is_no_repository_are_told(warned: Refuse) -> None:
    """E57."""
    text = prow("protect-tested-repos: true") + "presubmits: {justorg: [{name: job, always_run: true}]}\n"

    (line,) = warned(text)

    assert line == (
        "config.yaml:3:24: presubmits.justorg.0: bad presubmit repo: justorg; "
        "write it as ORG/REPO; its jobs protect nothing"
    )


PAGE = """
allow_disabled_policies: true
required_status_checks: {contexts: [cla]}
orgs:
  unprotected-org:
    protect: false
    repos:
      protected-repo: {protect: true, required_status_checks: {contexts: [tested]}, branches: {secure: {
        required_status_checks: {contexts: [foo]}}}}
"""


def test_the_example_of_prows_page_comes_to_what_prow_makes_of_it(wishes: Wishes) -> None:
    """E61-E63."""
    other = wishes(prow(PAGE.replace("allow_disabled_policies: true\n", "")), "main", "unprotected-org/other")
    found = wishes(prow(PAGE), "x secure", "unprotected-org/protected-repo")

    assert [wish.problem for wish in other.values()] == [
        "unprotected-org/other=main defines a policy, which requires protect: true"
    ]
    assert contexts(found["x"]) == ["cla", "tested"]
    assert contexts(found["secure"]) == ["cla", "foo", "tested"]


def test_where_branches_are_not_known_those_that_are_named_are_wished_for(wishes: Wishes) -> None:
    text = prow("orgs: {acme: {protect: true, repos: {rocket: {branches: {main: , next: {unmanaged: true}}}}}}")

    assert list(wishes(text, None)) == ["main"]


def test_a_branch_that_is_named_and_not_there_is_told(loaded: Load) -> None:
    """P4.37, E50: a slip of the pen would leave a branch without protection."""
    found = loaded(prow("orgs: {acme: {protect: true, repos: {rocket: {branches: {mian: }}}}}"))

    (line,) = found.protection_warnings(RepoFacts("acme/rocket", branches=frozenset({"main"})), NOON)
    assert line.endswith(
        "config.yaml:2:66: branch-protection.orgs.acme.repos.rocket.branches.mian: acme/rocket has no branch 'mian', "
        "so nothing is done about it; mend the name, or remove it"
    )
    assert found.protection_warnings(RepoFacts("acme/rocket"), NOON) == ()


def test_the_queues_own_refs_are_never_wished_for(wishes: Wishes) -> None:
    """D13."""
    queue = "mergeq: {queue: {orgs: {acme: {repos: {rocket: {branches: {next: {staging: {prefix: stage-}}}}}}}}}\n"

    found = wishes(prow(ALL) + queue, "main mergeq/main-1 mergeq-scratch/1 stage-next-1 stages")

    assert list(found) == ["main", "stages"]


@pytest.mark.parametrize(
    ("text", "orgs", "branches"),
    [
        pytest.param("orgs: {acme: {protect: true}}", {"acme": None}, True, id="E3 all of an org"),
        pytest.param("orgs: {acme: {protect: false}}", {"acme": None}, True, id="E44 protect: false lists too"),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {protect: true}, x: }}}", {"acme": {"acme/rocket", "acme/x"}}, True, id="E43"
        ),
        pytest.param("orgs: {acme: {enforce_admins: true}}", {}, False, id="nothing says protect"),
        pytest.param("protect: true", {}, False, id="P2.7 no org"),
        pytest.param("protect: true\nunmanaged: true\norgs: {acme: }", {}, True, id="E34"),
        pytest.param(
            "orgs: {acme: {unmanaged: true, protect: true, repos: {rocket: {unmanaged: false}, x: }}}",
            {"acme": {"acme/rocket"}},
            True,
            id="E53 one that is managed",
        ),
        pytest.param(
            "orgs: {acme: {unmanaged: true, repos: {rocket: {branches: {main: {unmanaged: false}}}}}}",
            {"acme": {"acme/rocket"}},
            True,
            id="E52 one of whose branches is managed",
        ),
    ],
)
def test_whom_to_look_at(loaded: Load, text: str, orgs: dict[str, Any], *, branches: bool) -> None:
    """P3.4, P2.13."""
    found = loaded(prow(text))

    assert dict(found.protected()) == orgs
    assert found.wants_branches("acme/rocket") is branches


def test_repositories_that_jobs_protect_are_looked_at(loaded: Load) -> None:
    """P3.7, E56."""
    found = loaded(prow("protect-tested-repos: true") + JOB % "")

    assert found.protected() == {"acme": frozenset({"acme/rocket"})}
    assert found.wants_branches("acme/rocket")
    assert not found.wants_branches("acme/other")


def test_names_of_orgs_and_repositories_have_no_case(wishes: Wishes, loaded: Load, warned: Refuse) -> None:
    """P2.8: branches have."""
    text = prow("orgs: {Acme: {repos: {Rocket: {protect: true, branches: {Main: {enforce_admins: true}}}}}}")

    found = wishes(text, "Main main")

    assert [wish.values[Field.ENFORCE_ADMINS] for wish in found.values()] == [True, False]
    assert loaded(text).wants_branches("ACME/rocket")
    assert warned(text) == []


def test_who_says_observe_in_other_letters_is_heard(loaded: Load) -> None:
    found = loaded(prow(ALL) + ours("mode: enforce\norgs: {Acme: {mode: observe}}"))

    assert found.protection_mode("acme") is Mode.OBSERVE
    assert found.protection_mode("umbrella") is Mode.ENFORCE


def test_names_that_differ_by_case_alone_are_told(warned: Refuse) -> None:
    """P2.8."""
    (line,) = warned(prow("orgs: {acme: {protect: true}, Acme: {protect: true}}"))

    assert line == (
        "config.yaml:2:39: branch-protection.orgs.Acme: is the same to GitHub as 'acme'; write it in one way; "
        "until then only one of them is looked at"
    )


# Which values


def set_to(wish: Wish) -> dict[Field, Value]:
    """What differs from a rule that demands nothing."""
    return {name: value for name, value in wish.values.items() if value != OFF[name]}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param("protect: true", {}, id="E3 BODY0"),
        pytest.param(
            "required_status_checks: {contexts: [b, a, a, b]}",
            {Field.CONTEXTS: {Check("a"), Check("b")}},
            id="E14 each once",
        ),
        pytest.param("required_status_checks: {}", {Field.CONTEXTS: frozenset()}, id="E157 an empty section"),
        pytest.param(
            "required_status_checks: {strict: true}", {Field.CONTEXTS: frozenset(), Field.STRICT: True}, id="E155"
        ),
        pytest.param("restrictions: {}", {Field.PUSHERS: NOBODY}, id="E156 nobody"),
        pytest.param(
            "restrictions: {users: ['@Cindy'], teams: [acme/Core]}",
            {Field.PUSHERS: Actors(frozenset({"cindy"}), frozenset({"core"}))},
            id="E60 E146 E147 names as GitHub has them",
        ),
        pytest.param("enforce_admins: true", {Field.ENFORCE_ADMINS: True}, id="E138"),
        pytest.param("required_linear_history: true", {Field.LINEAR: True}, id="E30"),
        pytest.param("allow_force_pushes: true", {Field.FORCE_PUSHES: True}, id="E31"),
        pytest.param("allow_deletions: true", {Field.DELETIONS: True}, id="E32"),
        pytest.param("require_signed_commits: true", {Field.SIGNATURES: True}, id="E33"),
        pytest.param("required_pull_request_reviews: {dismiss_stale_reviews: true}", {}, id="E149 no number"),
        pytest.param(
            "required_pull_request_reviews: {required_approving_review_count: 0}", {Field.REVIEWS: 0}, id="E150"
        ),
        pytest.param(
            "required_pull_request_reviews: {required_approving_review_count: 2, dismissal_restrictions: {}}",
            {Field.REVIEWS: 2, Field.DISMISSERS: NOBODY},
            id="E158",
        ),
        pytest.param(
            "required_pull_request_reviews: {required_approving_review_count: 3, dismiss_stale_reviews: true, "
            "require_code_owner_reviews: true, dismissal_restrictions: {users: [bob]}, "
            "bypass_pull_request_allowances: {teams: [sres]}}",
            {
                Field.REVIEWS: 3,
                Field.DISMISS_STALE: True,
                Field.CODE_OWNERS: True,
                Field.DISMISSERS: Actors(users=frozenset({"bob"})),
                Field.BYPASSERS: Actors(teams=frozenset({"sres"})),
            },
            id="E151 E17",
        ),
    ],
)
def test_what_prows_fields_come_to(wishes: Wishes, policy: str, expected: dict[Field, Value]) -> None:
    """P4.1-P4.11: what is not set is off, but signatures, of which nothing is said then."""
    (wish,) = wishes(prow(f"{policy}\norgs: {{acme: {{protect: true}}}}".replace("protect: true\n", ""))).values()

    assert wish.values.keys() - {Field.SIGNATURES} == PROW_FIELDS
    assert set_to(wish) == expected


def test_the_lists_of_all_levels_are_united(wishes: Wishes) -> None:
    """E15, E16, P2.3."""
    level = "required_status_checks: {{contexts: [{0}]}}, restrictions: {{teams: [{0}]}}"
    g, o, r, b = (level.format(name) for name in "grob")
    nested = f"orgs: {{acme: {{{o}, repos: {{rocket: {{{r}, branches: {{main: {{{b}}}}}}}}}}}}}"

    (wish,) = wishes(prow(f"protect: true\n{g.replace(', restrictions', chr(10) + 'restrictions')}\n{nested}")).values()

    assert contexts(wish) == ["b", "g", "o", "r"]
    assert wish.values[Field.PUSHERS] == Actors(teams=frozenset("gorb"))


def test_apps_are_left_as_they_are_where_they_are_not_written(loaded: Load) -> None:
    """E22, E37: and those in lists of reviews where the YAML says nothing of apps (P7.4)."""
    text = prow("orgs: {acme: {protect: true, restrictions: {users: [cindy]}, required_pull_request_reviews: ")
    text = text.rstrip() + " {required_approving_review_count: 1, dismissal_restrictions: {users: [bob]}}}}\n"
    app = Actors(apps=frozenset({"content-app"}))
    there = {**OFF, Field.PUSHERS: app, Field.DISMISSERS: app, Field.BYPASSERS: app}
    facts = RepoFacts("acme/rocket", (Rule("R1", "main", there),), branches=frozenset({"main"}))

    (kept,) = loaded(text).wishes(facts, NOON)
    (written,) = loaded(text + ours("enable_apps_restrictions: true")).wishes(facts, NOON)

    assert kept.values[Field.PUSHERS] == Actors(frozenset({"cindy"}), apps=app.apps)
    assert kept.values[Field.DISMISSERS] == Actors(frozenset({"bob"}), apps=app.apps)
    assert kept.values[Field.BYPASSERS] == app
    assert written.values[Field.PUSHERS] == Actors(frozenset({"cindy"}))


def test_a_bot_among_the_users_is_let_by_as_the_app_that_it_is(loaded: Load) -> None:
    """Real configurations name it so; it stands beside the apps that there were."""
    there = Rule("R_1", "main", {**OFF, Field.PUSHERS: Actors(apps=frozenset({"content-app"}))})
    found = loaded(prow("orgs: {acme: {protect: true, restrictions: {users: ['kubernetes-prow[bot]']}}}"))

    (wish,) = found.wishes(RepoFacts("acme/rocket", (there,), branches=frozenset({"main"})), NOON)

    assert wish.values[Field.PUSHERS] == Actors(apps=frozenset({"content-app", "kubernetes-prow"}))


def test_apps_are_written_if_that_is_asked_for(wishes: Wishes) -> None:
    """P6.33, E153."""
    text = prow("orgs: {acme: {protect: true, restrictions: {apps: [Content-App]}}}")

    (wish,) = wishes(text + ours("enable_apps_restrictions: true")).values()

    assert wish.values[Field.PUSHERS] == Actors(apps=frozenset({"content-app"}))


# Ours on top


def at_rocket(text: str, more: str = "") -> str:
    return ours(f"{more}\norgs: {{acme: {{repos: {{rocket: {{{text}}}}}}}}}")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("required_conversation_resolution: true", Field.CONVERSATIONS, True),
        ("lock_branch: true", Field.LOCK, True),
        ("allow_fork_syncing: false", Field.FORK_SYNC, False),
        ("block_creations: true", Field.CREATIONS, True),
        ("required_deployments: [prod]", Field.DEPLOYMENTS, frozenset({"prod"})),
        ("required_deployments: []", Field.DEPLOYMENTS, None),
        ("bypass_force_push_allowances: {apps: [Bot]}", Field.FORCERS, Actors(apps=frozenset({"bot"}))),
    ],
)
def test_what_prow_cannot_say_is_only_wished_where_it_is_said(
    wishes: Wishes, text: str, name: Field, value: Value
) -> None:
    """P7.4, P7.9."""
    (silent,) = wishes(prow(ALL)).values()
    (wish,) = wishes(prow(ALL) + at_rocket(text)).values()

    assert silent.values == BODY0
    assert wish.values == {**BODY0, name: value}


@pytest.mark.parametrize(("reviews", "expected"), [(", required_approving_review_count: 1", True), ("", False)])
def test_the_last_push_is_to_be_approved_where_anything_is(wishes: Wishes, reviews: str, *, expected: bool) -> None:
    policy = (
        f"orgs: {{acme: {{protect: true, required_pull_request_reviews: {{dismiss_stale_reviews: true{reviews}}}}}}}"
    )

    (wish,) = wishes(prow(policy) + at_rocket("require_last_push_approval: true")).values()

    assert wish.values[Field.LAST_PUSH] is expected


def test_a_narrower_level_of_ours_replaces_lists_and_unites_maps(wishes: Wishes) -> None:
    """Design: lists replace below `mergeq:`."""
    text = ours(
        "required_deployments: [a]\nbypass_force_push_allowances: {users: [u], teams: [t]}\nlock_branch: true\n"
        "orgs: {acme: {required_deployments: [b], lock_branch: false, bypass_force_push_allowances: {users: [v]}}}"
    )

    (wish,) = wishes(prow(ALL) + text).values()

    assert wish.values[Field.DEPLOYMENTS] == frozenset({"b"})
    assert wish.values[Field.FORCERS] == Actors(frozenset({"v"}), frozenset({"t"}))
    assert wish.values[Field.LOCK] is False


@pytest.mark.parametrize(
    ("checks", "branch", "expected"),
    [
        ("{context: ci, app: Buildkite}", "", ["buildkite:ci", "lint"]),
        ("{context: ci}", "{context: ci, app: any}", ["any:ci", "lint"]),
        ("{context: ci, app: x}", "{context: ci}", ["lint", "x:ci"]),
        ("{context: new, app: x}", "", ["ci", "lint", "x:new"]),
        ("{context: ci, app: x}", "{context: ci, app: x}", ["lint", "x:ci"]),
    ],
)
def test_a_pin_of_any_level_wins_over_none(wishes: Wishes, checks: str, branch: str, expected: list[str]) -> None:
    """P7.9."""
    policy = "orgs: {acme: {protect: true, required_status_checks: {contexts: [ci, lint]}}}"
    text = at_rocket(f"checks: [{checks}], branches: {{main: {{checks: [{branch}]}}}}")

    (wish,) = wishes(prow(policy) + text).values()

    assert contexts(wish) == expected


def test_two_pins_of_one_context_are_a_problem(wishes: Wishes, warned: Refuse) -> None:
    """P7.9."""
    text = at_rocket("checks: [{context: ci, app: a}], branches: {main: {checks: [{context: ci, app: b}]}}")

    (wish,) = wishes(prow(ALL) + text).values()

    assert wish.problem == "'ci' is pinned to several apps, a and b; keep one of them"
    assert [line.rpartition("main: ")[2] for line in warned(prow(ALL) + text)] == [
        "'ci' is pinned to several apps, a and b; keep one of them; until then it is left as it is"
    ]


def test_what_is_removed_at_any_level_is_not_wished_for(wishes: Wishes) -> None:
    """P2.24, P4.38: after all lists are united, whichever level added it, and with its pin."""
    policy = (
        "restrictions: {teams: [x, z], users: [u]}\n"
        "orgs: {acme: {protect: true, required_status_checks: {contexts: [b]}, "
        "repos: {rocket: {branches: {main: {required_status_checks: {contexts: [a]}}}}}}}"
    )
    text = ours(
        "orgs: {acme: {remove: {contexts: [a, zzz]}, repos: {rocket: {checks: [{context: a, app: p}, {context: c}], "
        "branches: {main: {remove: {restrictions: {teams: [X], users: ['@U']}}}}}}}}"
    )

    (wish,) = wishes(prow(policy) + text).values()

    assert contexts(wish) == ["b", "c"]
    assert wish.values[Field.PUSHERS] == Actors(teams=frozenset({"z"}))


def test_a_field_of_somebody_else_is_not_wished_for(wishes: Wishes) -> None:
    """P7.4, P6.44: `preserve` where nothing is said, `external` whatever is said."""
    policy = "orgs: {acme: {protect: true, enforce_admins: true, required_status_checks: {contexts: [ci]}}}"
    owned = (
        "ownership: {enforce_admins: preserve, allow_deletions: preserve, required_status_checks: external, "
        "required_pull_request_reviews: preserve, lock_branch: external}, lock_branch: true"
    )

    (wish,) = wishes(prow(policy) + at_rocket(owned)).values()

    assert wish.values[Field.ENFORCE_ADMINS] is True
    assert not wish.values.keys() & {
        Field.DELETIONS, Field.CONTEXTS, Field.STRICT, Field.REVIEWS, Field.DISMISS_STALE, Field.BYPASSERS, Field.LOCK
    }  # fmt: skip


def test_a_section_that_is_kept_takes_what_is_said_of_it(wishes: Wishes) -> None:
    """P7.4: without the number that is GitHub's own."""
    policy = "orgs: {acme: {protect: true, required_pull_request_reviews: {dismiss_stale_reviews: true}}}"

    (wish,) = wishes(prow(policy) + at_rocket("ownership: {required_pull_request_reviews: preserve}")).values()

    assert wish.values[Field.DISMISS_STALE] is True
    assert Field.REVIEWS not in wish.values


def test_prows_own_way_turns_off_what_its_request_resets(wishes: Wishes) -> None:
    """P4.12, P4.27."""
    (wish,) = wishes(prow(ALL) + ours("fields: prow")).values()

    reset = {Field.LAST_PUSH, Field.CONVERSATIONS, Field.LOCK, Field.FORK_SYNC, Field.CREATIONS}
    assert wish.values == BODY0 | dict.fromkeys(reset, False)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("orgs: {acme: {lock_branch: true}}", "mergeq.protection.orgs.acme.lock_branch: is", id="a field"),
        pytest.param("checks: [{context: a, app: b}]", "mergeq.protection.checks: is", id="a pin"),
        pytest.param("backend: ruleset", "mergeq.protection.backend: a ruleset is", id="a ruleset"),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {patterns: {v*: {protect: true}}}}}}",
            "mergeq.protection.orgs.acme.repos.rocket.patterns.v*: a pattern is",
            id="a pattern",
        ),
    ],
)
def test_what_prow_cannot_write_is_refused_with_its_own_way(refused: Refuse, text: str, line: str) -> None:
    (found,) = refused(prow(ALL) + ours(f"fields: prow\n{text}"))

    assert f" {line} nothing that Prow can write, and `fields: prow` is set; remove one of them" in found


def test_contexts_of_the_queue_are_required_on_github_if_that_is_asked(wishes: Wishes) -> None:
    """P2.23."""
    tide = (
        "tide: {context_options: {required-contexts: [all], required-if-present-contexts: [never], orgs: {acme: "
        "{repos: {rocket: {branches: {main: {required-contexts: [one]}}}}}}}}\n"
    )
    asked = ours("contexts_from_tide: required")

    assert wishes(tide + prow(ALL))["main"].values[Field.CONTEXTS] is None
    found = wishes(tide + prow(ALL) + asked, "main next")
    assert (contexts(found["main"]), contexts(found["next"])) == (["all", "one"], ["all"])
    assert [(one.level, one.place.rpartition("/")[2]) for one in found["main"].sources[Field.CONTEXTS]] == [
        ("*", "config.yaml:1"),
        ("acme/rocket:main", "config.yaml:1"),
    ]
    (off,) = wishes(tide + prow("orgs: {acme: {protect: false}}") + asked).values()
    assert (off.protect, off.problem) == (False, "")


def test_a_mode_is_that_of_the_org(wishes: Wishes, loaded: Load) -> None:
    """D13: a new org is only looked at."""
    text = prow("protect: true\norgs: {acme: , other: }") + ours("backend: auto\norgs: {acme: {mode: enforce}}")

    (acme,) = wishes(text).values()
    (other,) = wishes(text, repo="other/x").values()

    assert (acme.mode, other.mode, acme.backend) == (Mode.ENFORCE, Mode.OBSERVE, Backend.AUTO)
    assert loaded(text).protection_mode("ACME") is Mode.ENFORCE


# Where it comes from


def test_every_field_names_the_lines_that_set_it_the_narrowest_last(wishes: Wishes) -> None:
    """P7.2."""
    text = prow(
        "required_status_checks: {contexts: [a]}\n"
        "enforce_admins: false\n"
        "orgs:\n"
        "  acme:\n"
        "    protect: true\n"
        "    required_status_checks:\n"
        "      contexts: [b]\n"
        "    repos:\n"
        "      rocket:\n"
        "        enforce_admins: true\n"
        "        branches:\n"
        "          main:\n"
        "            required_status_checks: {strict: true}\n"
    )
    text += ours("orgs:\n  acme:\n    remove: {contexts: [b]}\n    lock_branch: true\n")

    (wish,) = wishes(text + JOB % "").values()

    said = {
        name: [(one.level, int(one.place.rpartition(":")[2])) for one in sources]
        for name, sources in wish.sources.items()
    }
    assert said == {
        Field.CONTEXTS: [("acme/rocket", 23), ("*", 2), ("acme", 8), ("acme", 20)],
        Field.STRICT: [("acme/rocket:main", 14)],
        Field.ENFORCE_ADMINS: [("*", 3), ("acme/rocket", 11)],
        Field.LOCK: [("acme", 21)],
    }
    assert wish.place.endswith("config.yaml:6")


# By pattern


def patterns(text: str) -> str:
    return at_rocket(f"patterns: {{{text}}}")


def test_a_pattern_is_one_target_and_speaks_for_the_branches_it_matches(wishes: Wishes) -> None:
    """P6.31, P7.10: exact names first, then patterns in the order of the file; their branches get no rules of their
    own.
    """
    text = prow("orgs: {acme: {protect: true, repos: {rocket: {branches: {release-1: {allow_deletions: true}}}}}}")

    found = wishes(text + patterns('"v*": {}, "release-*": {enforce_admins: true}'), "main release-1 release-2 v3 v/4")

    assert list(found) == ["main", "release-1", "v/4", "v*", "release-*"]
    assert found["release-*"].values == {**BODY0, Field.ENFORCE_ADMINS: True}
    assert found["release-1"].values[Field.ENFORCE_ADMINS] is False


def test_a_pattern_may_say_everything_and_needs_no_branches(loaded: Load, wishes: Wishes) -> None:
    """P6.40, P7.10: nor does Prow's section have to name the org."""
    text = patterns(
        '"release-*": {protect: true, required_status_checks: {contexts: [ci]}, checks: [{context: ci, app: x}], '
        "required_pull_request_reviews: {required_approving_review_count: 1, dismissal_restrictions: {apps: [A]}}}"
    )

    found = wishes(text, None)

    assert loaded(text).protected() == {"acme": frozenset({"acme/rocket"})}
    assert not loaded(text).wants_branches("acme/rocket")
    assert contexts(found["release-*"]) == ["x:ci"]
    assert found["release-*"].values[Field.DISMISSERS] == Actors(apps=frozenset({"a"}))
    assert {source.level for source in found["release-*"].sources[Field.CONTEXTS]} == {"acme/rocket:release-*"}


def test_the_default_branch_is_meant_by_its_name(wishes: Wishes) -> None:
    """P7.10: an exact name by then, so that it goes before patterns, but not before one that is written out."""
    text = patterns('"ma*": {protect: true}, "~DEFAULT_BRANCH": {protect: true, enforce_admins: true}')

    found = wishes(text, None, default_branch="main")
    named = wishes(
        text + prow("orgs: {acme: {repos: {rocket: {branches: {main: {protect: true}}}}}}"), default_branch="main"
    )

    assert list(found) == ["main", "ma*"]
    assert found["main"].values[Field.ENFORCE_ADMINS] is True
    assert named["main"].values[Field.ENFORCE_ADMINS] is False
    assert list(wishes(text, None)) == ["ma*"]


def test_a_branch_that_ours_names_is_as_exact_as_one_of_prows(wishes: Wishes) -> None:
    text = at_rocket('branches: {v1: {lock_branch: true}}, patterns: {"v*": {}}')

    found = wishes(prow("orgs: {acme: {protect: true, exclude: [v]}}") + text, "v1 v2")

    assert [(name, wish.values.get(Field.LOCK)) for name, wish in found.items()] == [("v1", True), ("v*", None)]


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [("**/*", "mergeq/"), ("mergeq/*", "mergeq/"), ("mergeq-s*/**/*", "mergeq-scratch/"), ("m?rgeq/main*", "mergeq/")],
)
def test_a_pattern_over_the_queues_own_refs_is_refused(refused: Refuse, pattern: str, prefix: str) -> None:
    """D13."""
    (line,) = refused(patterns(f'"{pattern}": {{protect: true}}'))

    assert line.startswith("config.yaml:4:")
    assert f"covers '{prefix}', where the queue keeps refs of its own; write a narrower pattern" in line


def test_a_pattern_that_stays_beside_them_is_not(wishes: Wishes, refused: Refuse) -> None:
    assert list(wishes(patterns('"*": {protect: true}, "mergeq": {protect: true}'), None)) == ["*", "mergeq"]
    queue = "  queue: {staging: {prefix: stage-}}\n"

    (line,) = refused(patterns('"*": {protect: true}') + queue)
    assert "covers 'stage-'" in line


def test_a_pattern_of_which_nothing_says_protect_is_told(warned: Refuse, wishes: Wishes) -> None:
    """P2.9."""
    text = patterns('"v*": {enforce_admins: true}')

    assert [line.partition("v*: ")[2] for line in warned(text)] == [
        "defined branch policies must set protect or unmanaged=true; until then it is left as it is"
    ]
    assert wishes(text)["v*"].problem


# For a time


EXEMPT = (
    'exemptions: [{{id: rel-1, target: "acme/rocket:{}", until: 2026-11-20T00:00:00Z, owner: jo, reason: hotfix, '
    "ticket: X-1, patch: {{{}}}, remove: {{contexts: [ci]}}}}]"
)
UNTIL = 1_795_132_800.0
POLICY = "orgs: {acme: {protect: true, required_status_checks: {contexts: [ci, lint]}}}"


def test_an_exemption_holds_until_its_end_and_then_no_more(wishes: Wishes) -> None:
    """P7.11."""
    text = prow(POLICY) + ours(EXEMPT.format("ma*", "allow_force_pushes: true, lock_branch: false"))

    before, after = (wishes(text, "main next", now=now) for now in (UNTIL - 1, UNTIL))

    exempt, rest = before["main"], before["next"]
    assert (exempt.exemptions, exempt.expires_at, exempt.problem) == (("rel-1",), UNTIL, "")
    assert (exempt.values[Field.FORCE_PUSHES], exempt.values[Field.LOCK], contexts(exempt)) == (True, False, ["lint"])
    assert exempt.sources[Field.FORCE_PUSHES][-1].level == "rel-1"
    assert (rest.exemptions, rest.expires_at, rest.values[Field.FORCE_PUSHES]) == ((), 0.0, False)
    over = after["main"]
    assert (over.exemptions, over.values[Field.FORCE_PUSHES], contexts(over)) == ((), False, ["ci", "lint"])
    assert over.expired == {Field.FORCE_PUSHES: "rel-1", Field.LOCK: "rel-1", Field.CONTEXTS: "rel-1"}


def test_an_exemption_may_take_protection_away(wishes: Wishes) -> None:
    (wish,) = wishes(prow(POLICY) + ours(EXEMPT.format("main", "protect: false"))).values()

    assert (wish.protect, wish.problem, wish.expires_at) == (False, "", UNTIL)


def test_an_exemption_protects_nothing_by_itself(wishes: Wishes) -> None:
    assert wishes(ours(EXEMPT.format("main", "protect: true"))) == {}


def test_a_branch_that_is_exempt_from_its_pattern_has_a_rule_of_its_own_until_then(wishes: Wishes) -> None:
    """P7.11: afterwards that rule is to go, or it would stand before the pattern's for ever."""
    text = patterns('"v*": {protect: true, enforce_admins: true}') + "    " + EXEMPT.format("v1", "lock_branch: true")

    before, after = (wishes(text + "\n", None, now=now) for now in (NOON, UNTIL))

    assert list(before) == ["v1", "v*"]
    assert (before["v1"].values[Field.LOCK], before["v1"].values[Field.ENFORCE_ADMINS]) == (True, True)
    assert Field.LOCK not in before["v*"].values
    assert [wish.protect for wish in after.values()] == [False, True]


def test_an_exemption_may_be_about_a_pattern(wishes: Wishes) -> None:
    text = patterns('"v*": {protect: true}') + "    " + EXEMPT.format("v*", "lock_branch: true")

    assert wishes(text + "\n", None)["v*"].exemptions == ("rel-1",)


def test_an_exemption_that_asks_for_too_much_time_is_a_problem(wishes: Wishes, loaded: Load) -> None:
    """P7.11: as soon as it would hold, and to whoever checks the file."""
    text = prow(POLICY) + ours(EXEMPT.format("main", "protect: false") + "\nmax_exemption: 24h")
    why = "the exemption 'rel-1' would last longer than max_exemption, 24h"

    (wish,) = wishes(text).values()

    assert (wish.problem, wish.protect) == (why, True)
    (line,) = loaded(text).exemption_problems(NOON)
    assert line.endswith(f"config.yaml:5:18: mergeq.protection.exemptions.0: {why}; let it end sooner")
    assert loaded(text).exemption_problems(UNTIL) == ()


def test_an_exemption_that_ended_long_ago_is_to_be_removed(loaded: Load) -> None:
    """P7.11."""
    found = loaded(ours(EXEMPT.format("main", "")))

    week = 7 * 86400
    assert found.exemption_problems(UNTIL + week) == ()
    (line,) = found.exemption_problems(UNTIL + week + 1)
    assert line.endswith("exemptions.0: the exemption 'rel-1' ended more than 7 days ago; remove it")
    assert found.protection_warnings(RepoFacts("acme/rocket"), UNTIL + week + 1) == (line,)
    assert found.protection_warnings(RepoFacts("acme/other"), UNTIL + week + 1) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("target: a/b:c, until: 2026-13-01T00:00:00Z, owner: o, reason: r", "2026-13-01T00:00:00Z is no time"),
        ("target: a/b:c, until: 2026-12-01T00:00:00Z, owner: o", "'reason' is a required property"),
        ("target: a/b:c, owner: o, reason: r", "'until' is a required property"),
        ("target: a/b, until: 2026-12-01T00:00:00Z, owner: o, reason: r", "'a/b' is not written as it must be"),
    ],
)
def test_an_exemption_that_is_not_whole_is_refused(refused: Refuse, text: str, line: str) -> None:
    (found,) = refused(ours(f"exemptions: [{{id: x, {text}}}]"))

    assert line in found


def test_two_exemptions_of_one_name_are_refused(refused: Refuse) -> None:
    one = "{id: x, target: a/b:c, until: 2026-12-01T00:00:00Z, owner: o, reason: r}"

    (line,) = refused(ours(f"exemptions: [{one}, {one}]"))

    assert line.endswith("exemptions.1.id: the exemption 'x' is there twice; name each once")


# Not below


FLOOR = "floor: {required_pull_request_reviews: {required_approving_review_count: 1}, enforce_admins: true}"


def test_what_no_level_sets_is_as_the_floor_has_it(wishes: Wishes) -> None:
    """P6.15: so nothing is below it that nobody asked for."""
    (wish,) = wishes(prow(ALL) + ours(FLOOR)).values()

    assert (wish.values[Field.REVIEWS], wish.values[Field.ENFORCE_ADMINS], wish.problem) == (1, True, "")
    (source,) = wish.sources[Field.REVIEWS]
    assert (source.level, source.place.endswith("config.yaml:5")) == ("floor", True)


def test_a_field_that_prow_does_not_know_is_as_the_floor_has_it_unless_github_has_more(loaded: Load) -> None:
    """P6.15: what only stays as it is could stay below."""
    found = loaded(prow(ALL) + ours("floor: {required_conversation_resolution: true, required_deployments: [prod]}"))
    more = frozenset({"prod", "canary"})
    rules = (Rule("BPR_1", "main", {**OFF, Field.DEPLOYMENTS: more}),)

    (bare,) = found.wishes(RepoFacts("acme/rocket", branches=frozenset({"main"})), NOON)
    (kept,) = found.wishes(RepoFacts("acme/rocket", rules=rules, branches=frozenset({"main"})), NOON)

    assert (bare.values[Field.CONVERSATIONS], bare.values[Field.DEPLOYMENTS]) == (True, frozenset({"prod"}))
    assert (kept.values[Field.CONVERSATIONS], kept.values[Field.DEPLOYMENTS]) == (True, more)


def test_a_floor_that_ownership_takes_away_is_told(warned: Refuse) -> None:
    (line,) = warned(
        prow(ALL) + ours(f"{FLOOR}\norgs: {{acme: {{ownership: {{required_pull_request_reviews: external}}}}}}")
    )

    assert f"leaves {Field.REVIEWS} as it is, so `mergeq.protection.floor` does not hold that there" in line


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            prow("orgs: {acme: {protect: true, enforce_admins: false}}"),
            "branch-protection.orgs.acme",
            "enforce_admins is false where it must be true",
            id="a level of Prow's",
        ),
        pytest.param(
            prow("orgs: {acme: {protect: false}}"),
            "branch-protection.orgs.acme",
            "protect is false",
            id="no protection at all",
        ),
        pytest.param(
            patterns('"v*": {protect: true, enforce_admins: false}').removeprefix("mergeq:\n  protection:\n"),
            "mergeq.protection.orgs.acme.repos.rocket.patterns.v*",
            "enforce_admins is false where it must be true",
            id="a pattern",
        ),
        pytest.param(
            "    " + EXEMPT.format("main", "enforce_admins: false") + "\n",
            "mergeq.protection.exemptions.0",
            "enforce_admins is false where it must be true",
            id="what is exempt for a time",
        ),
    ],
)
def test_what_is_below_the_floor_is_refused(refused: Refuse, text: str, path: str, says: str) -> None:
    """P7.6: always, and at the level that says it."""
    whole = text + ours(FLOOR) if text.startswith("branch") else ours(FLOOR) + text

    (line,) = refused(whole)

    assert f": {path}: {says}; raise it; nothing may go below `mergeq.protection.floor`" in line


def test_what_only_comes_together_below_the_floor_is_a_problem_of_that_branch(loaded: Load) -> None:
    """Who may push is a list of all levels; here the floor is not met by any of them alone."""
    text = prow("orgs: {acme: {protect: true, restrictions: {teams: [a]}}}") + ours(
        "floor: {restrictions: {teams: [a]}}"
    )

    (wish,) = loaded(text).wishes(RepoFacts("acme/rocket", branches=frozenset({"main"})), NOON)

    assert wish.problem == ""


# What is told


def test_all_settings_for_everybody_are_read(loaded: Load) -> None:
    found = loaded(
        ours(
            "mode: enforce\nfields: preserve\nperiod: 1h\njitter: 1m\nbackend: ruleset\ncontexts_from_tide: required\n"
            "verify_restrictions: true\nenable_apps_restrictions: true\n"
            "gate: {max_repos_changed: 1, max_weakening: 2, max_removals: 3, ack_by: [acme/admins]}\n"
            "policy_owners: [acme/admins]\nbreakglass_team: acme/oncall\nmax_exemption: 24h"
        )
    ).protection_values

    assert (found.mode, found.fields, found.period, found.jitter) == ("enforce", "preserve", 3600.0, 60.0)
    assert (found.backend, found.contexts_from_tide, found.max_exemption) == ("ruleset", "required", 86400.0)
    assert (found.verify_restrictions, found.enable_apps_restrictions) == (True, True)
    gate = found.gate
    assert (gate.max_repos_changed, gate.max_weakening, gate.max_removals) == (1, 2, 3)
    assert (gate.ack_by, found.policy_owners, found.breakglass_team) == (
        ("acme/admins",), ("acme/admins",), "acme/oncall"
    )  # fmt: skip


def test_settings_of_several_files_add_up(loaded: Load, refused: Refuse) -> None:
    one = ours(
        "gate: {max_removals: 1}\nfloor: {required_status_checks: {strict: true}}\norgs: {acme: {mode: enforce}}"
    )
    two = ours(
        "gate: {max_weakening: 2}\nfloor: {required_status_checks: {contexts: [ci]}}\norgs: {acme: {lock_branch: true}}"
    )

    found = loaded(a=one, b=two)

    gate = found.protection_values.gate
    assert (gate.max_removals, gate.max_weakening) == (1, 2)
    assert found.protection_values.floor == {Field.STRICT: True, Field.CONTEXTS: {Check("ci")}}
    assert found.protection_mode("acme") is Mode.ENFORCE
    assert refused(a=one, b=one)


QUEUE = "tide: {queries: [{orgs: [acme]}], context_options: {%s}}\n"
NEEDS = prow("orgs: {acme: {protect: true, required_status_checks: {contexts: [ci]}}}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            QUEUE % "optional-contexts: [ci]" + NEEDS,
            "GitHub is to require 'ci', which the queue takes for optional; name it under `required-contexts` too, or "
            "do not require it here",
            id="P2.23 optional",
        ),
        pytest.param(
            QUEUE % "optional-regex-contexts: [^c]" + NEEDS,
            "GitHub is to require 'ci', which the queue takes for optional; name it under `required-contexts` too, or "
            "do not require it here",
            id="P2.23 optional by an expression",
        ),
        pytest.param(
            QUEUE % "required-if-present-contexts: [ci]" + NEEDS,
            "GitHub is to require 'ci' always, and the queue only where it is present; where it never reports nothing "
            "can land; make both the same",
            id="P7.47 perhaps never there",
        ),
        pytest.param(
            QUEUE % "" + NEEDS + "mergeq: {queue: {context_apps: {ci: a}}, "
            "protection: {orgs: {acme: {checks: [{context: ci, app: b}]}}}}\n",
            "GitHub is to take 'ci' from 'b' alone, and the queue from 'a' alone; name one app in both, or nothing can "
            "land",
            id="P7.47 two apps",
        ),
    ],
)
def test_what_the_queue_thinks_otherwise_of_is_told(warned: Refuse, text: str, says: str) -> None:
    (line,) = warned(text)

    assert line.split(": ", 1)[1] == f"branch-protection.orgs.acme: {says}"


def test_what_queue_and_protection_agree_on_is_not_told(warned: Refuse) -> None:
    assert warned(QUEUE % "required-contexts: [ci]" + NEEDS) == []
    assert warned(NEEDS) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            prow("orgs: {acme: {protect: true, restrictions: {}}}"),
            "branch-protection.orgs.acme.restrictions: is empty, so nobody may push; name somebody, or write `users: "
            "[]` if that is meant",
            id="P4.9 E156 nobody may push",
        ),
        pytest.param(
            prow(
                "orgs: {acme: {protect: true, required_pull_request_reviews: {required_approving_review_count: 1, "
                "dismissal_restrictions: {}}}}"
            ),
            "branch-protection.orgs.acme.required_pull_request_reviews.dismissal_restrictions: is empty, so nobody may "
            "dismiss reviews; name somebody, or write `users: []` if that is meant",
            id="P4.9 E158 nobody may dismiss",
        ),
        pytest.param(
            ours("orgs: {acme: {lock_branch: true}}"),
            "mergeq.protection.orgs.acme: has no effect, since nothing of it is protected; set `protect: true` there",
            id="nothing is protected",
        ),
        pytest.param(
            prow(ALL) + ours("orgs: {acme: {require_last_push_approval: true}}"),
            "mergeq.protection.orgs.acme.require_last_push_approval: has no effect without "
            "required_pull_request_reviews.required_approving_review_count; set that too, or remove this",
            id="no reviews",
        ),
        pytest.param(
            prow(ALL) + ours("orgs: {acme: {block_creations: true}}"),
            "mergeq.protection.orgs.acme.block_creations: has no effect without restrictions; set that too, or remove "
            "this",
            id="no restrictions",
        ),
    ],
)
def test_what_has_no_effect_or_another_one_is_told(warned: Refuse, text: str, says: str) -> None:
    """P1.30."""
    (line,) = warned(text)

    assert line.split(": ", 1)[1] == says


def test_a_mistake_is_told_where_it_is_made_and_not_again_below(warned: Refuse) -> None:
    (line,) = warned(prow("protect: false\nenforce_admins: true\norgs: {acme: {repos: {a: {}, b: {branches: {c: }}}}}"))

    assert line == (
        "config.yaml:2:3: branch-protection: defines a policy, which requires protect: true; "
        "until then it is left as it is"
    )
