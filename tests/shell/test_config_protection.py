"""Which contexts a branch gets from Prow's `branch-protection:` and `presubmits:` sections."""

from pathlib import Path
from textwrap import indent

import pytest

from mergeq.config import load
from mergeq.core.branchprotector import applied
from mergeq.core.contexts import ContextPolicy
from mergeq.core.pull import Branch
from tests.shell.test_config import MAIN, Load, Refuse, folder, loaded, refused, warned, write

__all__ = ["loaded", "refused", "warned", "write"]  # the fixtures

FROM_PROTECTION = "tide:\n  queries: [{orgs: [acme]}]\n  context_options: {from-branch-protection: true}\n"
JOBS = "presubmits:\n  acme/rocket:\n"


def protection(text: str) -> str:
    return f"{FROM_PROTECTION}branch-protection:\n{indent(text, '  ')}\n"


def required(loaded: Load, text: str, branch: str = "acme/rocket:main") -> list[str]:
    return sorted(loaded(text).for_branch(Branch.parse(branch)).contexts.required)


# From branch protection


def test_the_contexts_of_all_levels_are_required(loaded: Load) -> None:
    """T1.60, T1.66."""
    text = protection(
        """
required_status_checks: {contexts: [everywhere]}
orgs:
  acme:
    protect: true
    required_status_checks: {contexts: [org]}
    repos:
      rocket:
        required_status_checks: {contexts: [repo]}
        branches:
          main: {required_status_checks: {contexts: [branch, org]}}
          next: {required_status_checks: }
"""
    )

    assert required(loaded, text) == ["branch", "everywhere", "org", "repo"]
    assert required(loaded, text, "acme/rocket:next") == ["everywhere", "org", "repo"]
    assert required(loaded, text, "acme/other:main") == ["everywhere", "org"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "protect: true\nrequired_status_checks: {contexts: [ci]}\norgs: {other: {}}", id="the org is not listed"
        ),
        pytest.param("orgs: {acme: {protect: true}}", id="no status checks"),
        pytest.param("orgs: {acme: {protect: true, required_status_checks: {}}}", id="no contexts"),
        pytest.param("orgs: {acme: }", id="nothing at all"),
        pytest.param(
            "allow_disabled_policies: true\n"
            "orgs: {acme: {protect: true, required_status_checks: {contexts: [c]}, repos: {rocket: {protect: false}}}}",
            id="the repository is not protected",
        ),
    ],
)
def test_what_is_not_protected_requires_nothing(loaded: Load, warned: Refuse, text: str) -> None:
    """T1.60, P2.22."""
    assert required(loaded, protection(text)) == []
    assert warned(protection(text)) == []


def test_where_nothing_says_protect_nothing_is_required(loaded: Load) -> None:
    """T1.60, P2.21."""
    assert required(loaded, protection("orgs: {acme: {required_status_checks: {contexts: [ci]}}}")) == []


def test_only_who_asks_gets_the_contexts_of_branch_protection(loaded: Load) -> None:
    """T1.59, T1.60: an explicit no overrides a yes."""
    text = protection("orgs: {acme: {protect: true, required_status_checks: {contexts: [ci]}}}").replace(
        "from-branch-protection: true",
        "from-branch-protection: true, orgs: {acme: {repos: {rocket: {from-branch-protection: false}}}}",
    )

    assert required(loaded, text) == []
    assert required(loaded, text, "acme/other:main") == ["ci"]
    assert loaded(text).for_branch(MAIN).contexts == ContextPolicy()


@pytest.mark.parametrize(
    ("options", "level"),
    [
        pytest.param("{from-branch-protection: true}", "2:20: tide.context_options: *", id="for everyone"),
        pytest.param(
            "{orgs: {acme: {from-branch-protection: true}}}",
            "2:34: tide.context_options.orgs.acme: acme",
            id="for an org",
        ),
    ],
)
def test_asking_a_section_that_is_not_there_is_told(warned: Refuse, options: str, level: str) -> None:
    """D2: perhaps its file was forgotten."""
    (line,) = warned(f"tide:\n  context_options: {options}\n")

    assert line == (
        f"config.yaml:{level}: asks for the contexts of `branch-protection:`, but no file has that section; "
        "give the file that has it too, or remove `from-branch-protection`"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "orgs: {acme: {repos: {rocket: {branches: {main: {required_status_checks: {contexts: [ci]}}}}}}}",
            "5:51: branch-protection.orgs.acme.repos.rocket.branches.main: "
            "defined branch policies must set protect or unmanaged=true",
            id="P2.9 a branch without protect",
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {protect: false, required_status_checks: {contexts: [ci]}}}}}",
            "5:33: branch-protection.orgs.acme.repos.rocket: "
            "acme/rocket defines a policy, which requires protect: true",
            id="P2.19 settings without protection",
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_told_and_requires_nothing(
    loaded: Load, warned: Refuse, text: str, problem: str
) -> None:
    """T1.60: where Tide only warns, so do we."""
    text = protection(text)

    assert required(loaded, text) == []
    assert warned(text) == [f"config.yaml:{problem}; until then it is left as it is"]


def test_a_branch_that_is_left_alone_may_say_only_that(loaded: Load, warned: Refuse) -> None:
    """P2.9."""
    text = protection("orgs: {acme: {repos: {rocket: {branches: {main: {unmanaged: true}}}}}}")

    assert (required(loaded, text), warned(text)) == ([], [])


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        pytest.param("", "required prow jobs require branch protection", id="P2.19"),
        pytest.param("allow_disabled_job_policies: true\n", "", id="P1.22"),
    ],
)
def test_jobs_of_a_branch_that_is_not_protected(loaded: Load, flags: str, problem: str) -> None:
    text = protection(f"{flags}orgs: {{acme: {{protect: false}}}}") + JOBS + "  - {name: ci, always_run: true}\n"
    found = loaded(text)

    assert found.protection.of(MAIN, found.job_contexts(MAIN)) == (None, problem)
    assert required(loaded, text) == ["ci"]


@pytest.mark.parametrize(
    ("flags", "protect", "expected"),
    [
        pytest.param("protect-tested-repos: true\n", "", ["ci", "lint"], id="P1.20 tested repositories are protected"),
        pytest.param("", "", ["ci"], id="P2.21 else nothing says protect"),
        pytest.param("", "protect: true, ", ["ci", "lint"], id="P2.19 protected anyhow"),
    ],
)
def test_jobs_may_protect_what_they_test(loaded: Load, flags: str, protect: str, expected: list[str]) -> None:
    policy = f"{flags}orgs: {{acme: {{{protect}required_status_checks: {{contexts: [lint]}}}}}}"

    assert required(loaded, protection(policy) + JOBS + "  - {name: ci, always_run: true}\n") == expected


def test_optional_jobs_protect_only_if_that_is_asked(loaded: Load) -> None:
    """P1.23."""
    policy = "protect-tested-repos: true\norgs: {acme: {required_status_checks: {contexts: [lint]}}}"
    jobs = JOBS + "  - {name: ci, always_run: true, optional: true}\n"

    assert required(loaded, protection(policy) + jobs) == []
    assert required(loaded, protection("protect_repos_with_optional_jobs: true\n" + policy) + jobs) == ["lint"]


def test_narrower_levels_win_or_add() -> None:
    """P2.2-P2.5."""
    parent = {"protect": True, "restrictions": {"teams": ["z"], "users": ["u"]}, "exclude": ["x"]}
    child = {"protect": False, "restrictions": {"teams": ["a", "z"]}, "include": ["b", "a", "b"]}

    assert applied(parent, child) == {
        "protect": False,
        "restrictions": {"teams": ["a", "z"], "users": ["u"]},
        "exclude": ["x"],
        "include": ["b", "a", "b"],
    }
    assert parent["restrictions"] == {"teams": ["z"], "users": ["u"]}


def test_the_other_fields_are_kept_as_they_are_written(loaded: Load) -> None:
    text = protection(
        "orgs: {acme: {enforce_admins: false, restrictions: {}, required_pull_request_reviews: "
        "{required_approving_review_count: 0, dismissal_restrictions: {users: []}}}}"
    )

    assert loaded(text).protection.merged(MAIN) == {
        "enforce_admins": False,
        "restrictions": {},
        "required_pull_request_reviews": {
            "required_approving_review_count": 0,
            "dismissal_restrictions": {"users": []},
        },
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "orgs: {acme: {protekt: true}}",
            "5:26: branch-protection.orgs.acme.protekt: is not a key that is known here, so it has no effect; "
            "did you mean 'protect'?",
            id="a misspelt key",
        ),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {allow_disabled_policies: true}}}}",
            "5:59: branch-protection.orgs.acme.repos.rocket.allow_disabled_policies: is not a key that is known here, "
            "so it has no effect; remove it",
            id="a key at the wrong level",
        ),
        pytest.param(
            "required_pull_request_reviews: {required_approving_review_count: 1, dismiss_stale: 1}\nprotect: true",
            "5:86: branch-protection.required_pull_request_reviews.dismiss_stale: is not a key that is known here, so "
            "it has no effect; did you mean 'dismiss_stale_reviews'?",
            id="a key of the reviews",
        ),
        pytest.param(
            "orgs: {acme: {Protect: true}}",
            "5:26: branch-protection.orgs.acme.Protect: is read as 'protect'; write it so",
            id="another case",
        ),
    ],
)
def test_a_key_that_prow_would_not_know_is_told(warned: Refuse, text: str, line: str) -> None:
    """P1.3, P1.30."""
    assert warned(protection(text)) == [f"config.yaml:{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "orgs: {acme: {repos: {rocket: {enforce_admins: true}}}}",
            "5:33: branch-protection.orgs.acme.repos.rocket: has no effect, since `protect` is set neither here nor at "
            "any level above or below; set it",
            id="P2.21 nothing says protect",
        ),
        pytest.param(
            "protect: true\nrequired_pull_request_reviews: {dismiss_stale_reviews: true}",
            "5:3: branch-protection.required_pull_request_reviews: has no required_approving_review_count, so no "
            "review is required at all; give it one, or 0",
            id="P1.19 reviews without a number",
        ),
        pytest.param(
            "protect: true\nrequired_pull_request_reviews: {required_approving_review_count: 7}",
            "6:68: branch-protection.required_pull_request_reviews.required_approving_review_count: 7 is not a number "
            "that GitHub takes; use 0 to 6",
            id="P1.30 too many reviews",
        ),
        pytest.param(
            "protect: true\nexclude: [a]\norgs: {acme: {include: [b]}}",
            "7:16: branch-protection.orgs.acme: include and exclude are both in force here, and exclude is not looked "
            "at; keep one of them on the way from everyone to here",
            id="P3.9 include hides exclude",
        ),
        pytest.param(
            "orgs: {a: {repos: {x: {branches: {main: {protect: true, exclude: [a]}}}}}}",
            "5:43: branch-protection.orgs.a.repos.x.branches.main: include and exclude have no effect on a branch that "
            "is named; remove them",
            id="P2.10 a branch that is named",
        ),
    ],
)
def test_what_does_nothing_or_not_what_it_seems_is_told(warned: Refuse, text: str, line: str) -> None:
    """P1.30, D2."""
    assert warned(protection(text)) == [f"config.yaml:{line}"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("enforce_admins: true\norgs: {acme: {protect: true}}", id="P2.21 a level below says protect"),
        pytest.param("protect: true\norgs: {acme: {enforce_admins: true}}", id="P2.21 a level above says protect"),
        pytest.param("unmanaged: true\nenforce_admins: true", id="P2.12 nothing is managed"),
        pytest.param("protect-tested-repos: true\nenforce_admins: true", id="P1.20 jobs may say it"),
        pytest.param(
            "protect: true\nrequired_pull_request_reviews: {required_approving_review_count: 2}\n"
            "orgs: {acme: {required_pull_request_reviews: {dismiss_stale_reviews: true}}}",
            id="P1.19 the number comes from above",
        ),
        pytest.param("protect: true\nexclude: [a]\norgs: {acme: {exclude: [b]}}", id="P2.3 lists are united"),
    ],
)
def test_what_only_looks_as_if_it_did_nothing_is_not_told(warned: Refuse, text: str) -> None:
    assert warned(protection(text)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[1]", "5:3: branch-protection: must be a mapping, but is [1]"),
        ("protect: 1", "5:12: branch-protection.protect: must be true or false, but is 1"),
        (
            "required_status_checks: {contexts: ci}",
            '5:38: branch-protection.required_status_checks.contexts: must be a list, but is "ci"',
        ),
        ("restrictions: [x]", '5:17: branch-protection.restrictions: must be a mapping, but is ["x"]'),
        (
            "required_pull_request_reviews: {dismiss_stale_reviews: 1}",
            "5:58: branch-protection.required_pull_request_reviews.dismiss_stale_reviews: must be true or false",
        ),
        (
            "required_pull_request_reviews: {required_approving_review_count: true}",
            "5:68: branch-protection.required_pull_request_reviews.required_approving_review_count: must be a whole",
        ),
        ("protect-tested-repos: x", '5:25: branch-protection.protect-tested-repos: must be true or false, but is "x"'),
        ("orgs: {acme: {repos: []}}", "5:24: branch-protection.orgs.acme.repos: must be a mapping, but is []"),
        (
            "include: [a]\nexclude: [b]",
            "5:12: branch-protection.include: Forbidden to set both Policy.Include and Policy.Exclude, Please use",
        ),
    ],
)
def test_what_prow_refuses_to_load_is_refused(refused: Refuse, text: str, line: str) -> None:
    (found,) = refused(protection(text))

    assert found.startswith(f"config.yaml:{line}")


def test_the_section_may_be_spread_over_files(loaded: Load) -> None:
    """P1.28: levels that say nothing do not count, nor do empty lists."""
    found = loaded(
        one=protection("protect-tested-repos: true\norgs: {acme: {protect: true, repos: {x: {protect: true}}}}"),
        two="branch-protection: {include: [], orgs: {acme: {repos: {rocket: {required_status_checks: "
        "{contexts: [ci]}}}}}}\n",
    )

    assert found.for_branch(MAIN).contexts.required == {"ci"}


def test_a_supplemental_file_may_hold_protection_and_jobs(tmp_path: Path) -> None:
    """P1.29, T1.63."""
    root = folder(
        tmp_path,
        config=FROM_PROTECTION,
        acme__rocket="branch-protection: {orgs: {acme: {protect: true, required_status_checks: {contexts: [ci]}}}}\n",
        jobs="presubmits: {acme/rocket: [{name: unit, always_run: true}]}\n",
    )

    assert load([root]).for_branch(MAIN).contexts.required == {"ci", "unit"}


@pytest.mark.parametrize(
    ("policy", "twice"),
    [
        ("protect: true", "set a top-level policy"),
        ("protect-tested-repos: true", "set protect-tested-repos"),
        ("orgs: {acme: {protect: true}}", "define a policy for org acme"),
        ("orgs: {acme: {repos: {x: {protect: true}}}}", "define a policy for repo acme/x"),
        (
            "orgs: {acme: {repos: {x: {branches: {main: {protect: true}}}}}}",
            "define a policy for branch main in repo acme/x",
        ),
    ],
)
def test_a_policy_may_stand_in_one_file_only(refused: Refuse, policy: str, twice: str) -> None:
    """P1.28."""
    text = f"branch-protection: {{{policy}}}\n"

    (line,) = refused(a=text, b=text)

    assert line.startswith("b.yaml:1:")
    assert line.endswith(f": both branchprotection configs {twice}; keep one")


# From jobs


@pytest.mark.parametrize(
    ("job", "kind"),
    [
        pytest.param("always_run: true", "required", id="always"),
        pytest.param("run_if_changed: src", "required_if_present", id="when files changed"),
        pytest.param("skip_if_only_changed: docs", "required_if_present", id="unless only these changed"),
        pytest.param("always_run: false", "required_if_present", id="on demand"),
        pytest.param("name: ci", "required_if_present", id="on demand by default"),
        pytest.param("always_run: true, optional: true", "optional", id="optional"),
        pytest.param("always_run: true, skip_report: true", "optional", id="not reported"),
        pytest.param("run_if_changed: src, optional: true", "optional", id="optional when files changed"),
    ],
)
def test_what_a_job_demands_of_its_context(loaded: Load, warned: Refuse, job: str, kind: str) -> None:
    """T1.63, P2.16."""
    text = JOBS + f"  - {{name: ci, {job.removeprefix('name: ci')}}}\n".replace(", }", "}")
    contexts = loaded(text).for_branch(MAIN).contexts

    assert {name: getattr(contexts, name) for name in ("required", "required_if_present", "optional")} == {
        "required": frozenset(),
        "required_if_present": frozenset(),
        "optional": frozenset(),
        kind: {"ci"},
    }
    assert warned(text) == []


def test_a_context_is_named_after_its_job_unless_it_has_a_name_of_its_own(loaded: Load) -> None:
    jobs = "  - {name: unit, always_run: true, context: ci/unit}\n  - {name: lint, always_run: true, context: }\n"

    assert required(loaded, JOBS + jobs) == ["ci/unit", "lint"]


def test_a_job_speaks_for_the_repository_it_is_under(loaded: Load) -> None:
    assert required(loaded, JOBS + "  - {name: ci, always_run: true}\n", "acme/other:main") == []


@pytest.mark.parametrize(
    ("filters", "branches"),
    [
        pytest.param("branches: [^main$]", "main", id="only that branch"),
        pytest.param("branches: [main]", "main maintenance", id="T1.3 searched, not anchored"),
        pytest.param("branches: [^main$, ^release-]", "main release-1", id="any of several"),
        pytest.param("skip_branches: [^release-]", "main maintenance", id="all but some"),
        pytest.param("branches: [ma, re], skip_branches: [^main$]", "maintenance release-1", id="skipped wins"),
        pytest.param("branches: []", "main maintenance release-1", id="no filter"),
    ],
)
def test_a_job_counts_on_the_branches_it_could_run_for(loaded: Load, filters: str, branches: str) -> None:
    """P2.15."""
    found = loaded(JOBS + f"  - {{name: ci, always_run: true, {filters}}}\n")
    names = [
        name
        for name in ("main", "maintenance", "release-1")
        if found.for_branch(Branch("acme", "rocket", name)).contexts.required
    ]

    assert " ".join(names) == branches


@pytest.mark.parametrize(
    ("asked", "demanded", "kind"),
    [
        (True, True, "required"),
        (True, False, "required_if_present"),
        (False, True, "required_if_present"),
    ],
)
def test_jobs_on_demand_may_be_demanded(loaded: Load, *, asked: bool, demanded: bool, kind: str) -> None:
    """T1.63, P2.17: only of those who take their contexts from branch protection, and not of jobs with conditions."""
    text = (
        f"tide: {{context_options: {{from-branch-protection: {str(asked).lower()}}}}}\n"
        f"branch-protection: {{require_manually_triggered_jobs: {str(demanded).lower()}}}\n"
        + JOBS
        + "  - {name: ci}\n  - {name: docs, run_if_changed: docs}\n"
    )
    contexts = loaded(text).for_branch(MAIN).contexts

    assert getattr(contexts, kind) - {"docs"} == {"ci"}
    assert "docs" in contexts.required_if_present


def test_jobs_of_several_files_add_up(loaded: Load) -> None:
    jobs = JOBS + "  - {{name: {}, always_run: true}}\n"
    found = loaded(a=jobs.format("one"), b=jobs.format("two"))

    assert found.for_branch(MAIN).contexts.required == {"one", "two"}


def test_what_jobs_say_beyond_contexts_is_left_alone(loaded: Load, warned: Refuse) -> None:
    text = (
        JOBS + "  - {name: ci, always_run: true, Optional: false, spec: {containers: [{image: x}]}, labels: {a: b}}\n"
    )

    assert required(loaded, text) == ["ci"]
    assert warned(text) == ["config.yaml:3:44: presubmits.acme/rocket.0.Optional: is read as 'optional'; write it so"]


def test_nothing_after_the_colon_is_no_job(loaded: Load) -> None:
    assert required(loaded, "presubmits:\n  acme/rocket:\n") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("presubmits: [1]\n", "1:13: presubmits: must be a mapping, but is [1]"),
        ("presubmits: {a/b: {}}\n", "1:19: presubmits.a/b: must be a list, but is {}"),
        ("presubmits: {a/b: [x]}\n", '1:20: presubmits.a/b.0: must be a mapping, but is "x"'),
        ("presubmits: {a/b: [{name: 7}]}\n", "1:27: presubmits.a/b.0.name: must be text, but is 7"),
        ("presubmits: {a/b: [{name: x, context: 7}]}\n", "1:39: presubmits.a/b.0.context: must be text, but is 7"),
        (
            "presubmits: {a/b: [{name: x, always_run: 1}]}\n",
            "1:42: presubmits.a/b.0.always_run: must be true or false, but is 1",
        ),
        (
            "presubmits: {a/b: [{name: x, branches: main}]}\n",
            '1:40: presubmits.a/b.0.branches: must be a list, but is "main"',
        ),
        (
            "presubmits: {a/b: [{name: x, skip_branches: ['(']}]}\n",
            '1:46: presubmits.a/b.0.skip_branches.0: regex "(" is not valid: missing ): (',
        ),
        ("presubmits: {a/b: [{always_run: true}]}\n", "1:20: presubmits.a/b.0: is a job without a name"),
    ],
)
def test_a_job_that_cannot_be_read_is_refused(refused: Refuse, text: str, line: str) -> None:
    """Or a required context would be lost."""
    (found,) = refused(text)

    assert found.startswith(f"config.yaml:{line}; ")


# Together


def test_what_jobs_call_optional_and_protection_requires_is_told_and_required(loaded: Load, warned: Refuse) -> None:
    """T1.61, D8: Tide would stop the branch."""
    policy = "{protect: true, required_status_checks: {contexts: [ci]}}"
    text = (
        protection(f"orgs: {{acme: {{repos: {{rocket: {{branches: {{main: {policy}}}}}}}}}}}")
        + JOBS
        + "  - {name: ci, always_run: true, optional: true}\n"
    )

    (line,) = warned(text)
    assert line == (
        "config.yaml:5:51: branch-protection.orgs.acme.repos.rocket.branches.main: acme/rocket:main: contexts ci are "
        "defined as required and optional; name each context once, until then what is required is required"
    )
    assert loaded(text).for_branch(MAIN).contexts.counts("ci")


def test_jobs_that_contradict_each_other_are_told(warned: Refuse) -> None:
    jobs = (
        "  - {name: a, context: ci, always_run: true}\n  - {name: b, context: ci, always_run: true, optional: true}\n"
    )

    (line,) = warned(JOBS + jobs)

    assert line.startswith(
        "config.yaml:3:5: presubmits.acme/rocket.0: acme/rocket: contexts ci are defined as required"
    )


def test_jobs_of_different_branches_do_not_contradict_each_other(warned: Refuse) -> None:
    one = "  - {name: a, context: ci, always_run: true, branches: [main]}\n"
    two = "  - {name: b, context: ci, always_run: true, optional: true, branches: [next]}\n"

    assert warned(JOBS + one + two) == []


FROM = "from-branch-protection: true"
OPTIONS = (
    "required-contexts: [r1], optional-contexts: [o1], optional-regex-contexts: ['b.*'], skip-unknown-contexts: true"
)


@pytest.mark.parametrize(
    ("options", "protected", "jobs", "sets"),
    [
        pytest.param(
            "",
            "required_status_checks: {contexts: [bp1]}, protect: true",
            "{name: pr1, always_run: true}, {name: po1, always_run: true, optional: true}",
            ("pr1", "po1"),
            id="T11.102 protection is not asked for",
        ),
        pytest.param(FROM, "", "", ("", ""), id="T11.103 nothing is protected"),
        pytest.param(FROM, "protect: false", "", ("", ""), id="T11.103 protection is off"),
        pytest.param(
            FROM,
            "protect: true, require_manually_triggered_jobs: true",
            "{name: pr1, always_run: false}, {name: pr2, always_run: true}",
            ("pr1 pr2", ""),
            id="T11.104 on demand, and required",
        ),
        pytest.param(OPTIONS, "", "", ("r1", "o1"), id="T11.105 by hand"),
        pytest.param(OPTIONS, "", "{name: pr1, always_run: true}", ("pr1 r1", "o1"), id="T11.106 by hand and by a job"),
    ],
)
def test_the_contexts_of_a_branch_come_from_all_that_says_so(
    loaded: Load, options: str, protected: str, jobs: str, sets: tuple[str, str]
) -> None:
    text = (
        f"tide: {{queries: [{{orgs: [acme]}}], context_options: {{{options}}}}}\n"
        f"branch-protection: {{orgs: {{acme: {{{protected}}}}}}}\n"
        f"presubmits: {{acme/rocket: [{jobs}]}}\n"
    )

    contexts = loaded(text).for_branch(MAIN).contexts

    assert (contexts.required, contexts.optional) == tuple(frozenset(names.split()) for names in sets)
    assert [pattern.pattern for pattern in contexts.optional_patterns] == (["b.*"] if options is OPTIONS else [])
