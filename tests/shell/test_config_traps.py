"""What real Prow files do that a strict reader trips on, each in a file of its own small size, by the number it has in
the catalogue of the collected configurations.
"""

from pathlib import Path
from textwrap import indent

import pytest

from mergeq.config import load
from mergeq.core.contexts import ContextPolicy
from mergeq.core.pull import Branch, Method
from mergeq.core.query import Query
from tests.shell.test_config import MAIN, Load, Refuse, folder, loaded, refused, warned, write

__all__ = ["loaded", "refused", "warned", "write"]  # the fixtures


def test_trap_1_of_two_anchors_of_one_name_the_later_one_holds(loaded: Load) -> None:
    found = loaded(
        """
one: &labels [lgtm]
two: &labels [approved]
tide: {queries: [{orgs: [acme], labels: *labels}]}
"""
    )

    assert found.queries == (Query(orgs=("acme",), labels=("approved",)),)


def test_trap_2_of_two_keys_of_one_name_the_later_one_holds_and_that_is_told(loaded: Load, warned: Refuse) -> None:
    text = """branch-protection:
  orgs:
    acme:
      repos:
        rocket: {protect: true, required_status_checks: {contexts: [lint]}}
        rocket: {protect: true}
"""

    assert loaded(text).protection.merged(MAIN) == {"protect": True}
    assert warned(text) == ["config.yaml:6:9: the key 'rocket' stands twice here and the last one is used; remove one"]


def test_trap_3_one_repository_may_be_in_several_queries_that_are_the_same(loaded: Load) -> None:
    found = loaded("tide: {queries: [{repos: [a/b], labels: [x]}, {repos: [a/b], labels: [x]}, {repos: [a/b, c/d]}]}\n")

    assert found.covers(Branch("a", "b", "main"))
    assert found.searches() == (
        'is:pr state:open archived:false label:"x" repo:"a/b"',
        'is:pr state:open archived:false repo:"a/b"',
        'is:pr state:open archived:false repo:"c/d"',
    )


@pytest.mark.parametrize(
    ("branch", "method"),
    [
        ("acme/rocket:main", Method.SQUASH),
        ("acme/other:release-1", Method.REBASE),
        ("acme/other:main", Method.MERGE),
        ("flat/a:main", Method.REBASE),
        ("flat/b:main", Method.SQUASH),
    ],
)
def test_trap_4_merge_methods_may_be_nested_beside_flat_ones(loaded: Load, branch: str, method: Method) -> None:
    found = loaded(
        "tide: {merge_method: {acme: {rocket: squash, other: {^release-: rebase}}, flat: squash, flat/a: rebase}}\n"
    )

    assert found.methods.for_branch(Branch.parse(branch)) is method


def test_trap_5_nothing_after_the_colon_is_not_set(loaded: Load, warned: Refuse) -> None:
    text = """tide:
  queries:
  - orgs: [acme]
    labels:
branch-protection:
  orgs:
    acme:
      protect: true
      restrictions:
      required_status_checks:
      repos:
        rocket:
          restrictions: {teams: [crew], users: }
          branches: {main: , next: {required_status_checks: {contexts: }}}
"""
    found = loaded(text)

    assert found.queries == (Query(orgs=("acme",)),)
    assert found.protection.merged(MAIN) == {"protect": True, "restrictions": {"teams": ["crew"]}}
    assert "acme/rocket:main" in found.protection.levels
    assert warned(text) == []


def test_trap_6_what_an_anchor_outside_of_the_section_holds_is_merged_in(loaded: Load, warned: Refuse) -> None:
    text = """
shared: &checked {protect: true, required_status_checks: {contexts: [cla]}}
branch-protection:
  orgs:
    acme:
      repos:
        rocket:
          <<: *checked
          enforce_admins: true
        other: *checked
"""
    found = loaded(text)

    assert found.protection.levels["acme/rocket"] == {
        "protect": True,
        "required_status_checks": {"contexts": ["cla"]},
        "enforce_admins": True,
    }
    assert found.protection.levels["acme/other"] == {"protect": True, "required_status_checks": {"contexts": ["cla"]}}
    assert warned(text) == []


UNKNOWN = [
    ("tide: {queries: [{orgs: [a], desccription: x}]}", "tide.queries.0.desccription", "remove it"),
    ("tide: {queries: [{orgs: [a], merge_method: {a: squash}}]}", "tide.queries.0.merge_method", "remove it"),
    ("tide: {branchProtection: [{orgs: {}}]}", "tide.branchProtection", "remove it"),
    (
        "tide: {xmerge_commit_template: {a: {title: t}}}",
        "tide.xmerge_commit_template",
        "did you mean 'merge_commit_template'?",
    ),
    ("tide: {context_options: {org: {a: {}}}}", "tide.context_options.org", "did you mean 'orgs'?"),
    (
        "branch-protection: {orgs: {a: {repos: {b: {allow_disabled_policies: true}}}}}",
        "branch-protection.orgs.a.repos.b.allow_disabled_policies",
        "remove it",
    ),
    (
        "branch-protection: {orgs: {a: {repos: {b: {required_status_check: {contexts: [x]}}}}}}",
        "branch-protection.orgs.a.repos.b.required_status_check",
        "did you mean 'required_status_checks'?",
    ),
    (
        "branch-protection: {orgs: {pingcap: {website: {branches: {master: {protect: true}}}}}}",
        "branch-protection.orgs.pingcap.website",
        "if it is a name, put it under `repos`",
    ),
    (
        "branch-protection: {orgs: {pingcap: {tiunimanager: {branches: {}}}}}",
        "branch-protection.orgs.pingcap.tiunimanager",
        "if it is a name, put it under `repos`",
    ),
    (
        "branch-protection: {orgs: {a: {repos: {b: {release-7.2: {protect: true}}}}}}",
        "branch-protection.orgs.a.repos.b.release-7.2",
        "if it is a name, put it under `branches`",
    ),
    (
        "branch-protection: {orgs: {a: {repos: {b: {branches: {c: {project: true, unmanaged: true}}}}}}}",
        "branch-protection.orgs.a.repos.b.branches.c.project",
        "did you mean 'protect'?",
    ),
    (
        "branch-protection: {orgs: {a: {protect-by-default: true}}}",
        "branch-protection.orgs.a.protect-by-default",
        "remove it",
    ),
    (
        "branch-protection: {orgs: {a: {repos: {b: {require-contexts: [x]}}}}}",
        "branch-protection.orgs.a.repos.b.require-contexts",
        "remove it",
    ),
    (
        "branch-protection: {orgs: {a: {repos: {b: {self_approval: false}}}}}",
        "branch-protection.orgs.a.repos.b.self_approval",
        "remove it",
    ),
]


@pytest.mark.parametrize(("text", "key", "remedy"), UNKNOWN, ids=[key for _, key, _ in UNKNOWN])
def test_trap_7_keys_that_prow_swallows_are_told(warned: Refuse, text: str, key: str, remedy: str) -> None:
    (line,) = warned(text + "\n")

    assert line.endswith(f": {key}: is not a key that is known here, so it has no effect; {remedy}")


def test_trap_7_queries_that_are_plain_searches_are_refused(refused: Refuse) -> None:
    """The form of 2017, which Prow refuses too."""
    (line,) = refused("tide:\n  queries:\n  - 'is:pr label:lgtm'\n")

    assert line == 'config.yaml:3:5: tide.queries.0: must be a mapping, but is "is:pr label:lgtm"; mend the value'


def test_trap_8_names_may_hold_colons_blanks_and_pictures(loaded: Load) -> None:
    labels = ["dco-signoff: yes", "dco-signoff: no", "okay to merge"]
    contexts = ["ci/circleci: test", "format code 🐲", "build (linux, amd64) & test / all"]
    found = loaded(
        f"tide: {{queries: [{{orgs: [acme], labels: {labels[::2]}, missingLabels: [{labels[1]!r}]}}],"
        f" context_options: {{required-contexts: {contexts}}}}}\n"
    )

    assert found.queries == (
        Query(orgs=("acme",), labels=("dco-signoff: yes", "okay to merge"), missing_labels=("dco-signoff: no",)),
    )
    assert found.contexts(MAIN).required == set(contexts)


def test_trap_9_keys_are_spelt_with_dashes_underscores_and_humps_in_one_file(warned: Refuse) -> None:
    assert (
        warned(
            """
tide:
  merge_method: {acme: squash}
  context_options: {skip-unknown-contexts: true}
  queries: [{orgs: [acme], missingLabels: [hold], reviewApprovedRequired: true}]
branch-protection:
  protect-tested-repos: true
  protect_repos_with_optional_jobs: true
  enforce_admins: true
"""
        )
        == []
    )


def test_trap_10_numbers_below_one_and_durations_of_go_are_meant(loaded: Load) -> None:
    found = loaded(
        "tide: {sync_period: 2m45s, status_update_period: 0s, batch_size_limit: {acme/rocket: -1}}\n"
        "branch-protection: {required_pull_request_reviews: {required_approving_review_count: 0}}\n"
    )

    assert (found.sync_period, found.status_update_period) == (165.0, 0.0)
    assert found.batch_size_limit(MAIN) == -1
    assert found.protection.merged(MAIN) == {"required_pull_request_reviews": {"required_approving_review_count": 0}}


def test_trap_11_names_of_branches_are_literal_and_patterns_among_them_are_told(loaded: Load, warned: Refuse) -> None:
    text = """tide:
  queries:
  - orgs: [acme]
    includedBranches: [main, release-*, feature/, 'v[0-9]', release-7.]
  merge_method: {'acme/rocket@release-*': squash}
  context_options: {orgs: {acme: {repos: {rocket: {branches: {'release-.*': {required-contexts: [e2e]}}}}}}}
branch-protection:
  exclude: ['release-*', '^20\\\\d+', '^v[0-9]*$']
  orgs: {acme: {repos: {rocket: {branches: {'release-*': {protect: true}}}}}}
mergeq: {queue: {orgs: {acme: {repos: {rocket: {branches: {'release-*': {slots: 3}}}}}}}}
"""
    says = (
        "is taken for the whole name of a branch, and none can be called so; "
        "write names in full, patterns have no effect here"
    )

    assert warned(text) == [
        f"config.yaml:4:23: tide.queries.0.includedBranches: 'release-*', like 3 more here, {says}",
        f"config.yaml:5:43: tide.merge_method.acme/rocket@release-*: 'release-*' {says}",
        f"config.yaml:6:62: tide.context_options.orgs.acme.repos.rocket.branches: 'release-.*' {says}",
        f"config.yaml:10:73: mergeq.queue.orgs.acme.repos.rocket.branches.release-*: 'release-*' {says}",
        f"config.yaml:9:44: branch-protection.orgs.acme.repos.rocket.branches: 'release-*' {says}",
    ]
    assert not loaded(text).queries[0].admits_branch("release-1")


def test_trap_11_an_expression_of_protection_that_does_not_compile_is_told(warned: Refuse) -> None:
    """P1.27: Prow finds out when it runs."""
    (line,) = warned("branch-protection:\n  orgs: {acme: {include: [ok, '(?!x)']}}\n")

    assert line.startswith('config.yaml:2:31: branch-protection.orgs.acme.include.1: regex "(?!x)" is not valid: ')


@pytest.mark.parametrize(
    "query",
    [
        "{orgs: [acme], excludedRepos: [acme/attic], includedBranches: [main]}",
        "{orgs: [acme], repos: [other/x]}",
        "{orgs: [acme], reviewApprovedRequired: true}",
        "{orgs: [acme], author: bot}",
    ],
)
def test_trap_12_whole_orgs_and_queries_without_labels_are_fine(warned: Refuse, query: str) -> None:
    assert warned(f"tide: {{merge_method: {{acme: merge}}, queries: [{query}]}}\n") == []


def test_trap_13_a_config_map_is_read_as_what_it_holds_whatever_else_stands_in_it(loaded: Load) -> None:
    inner = "tide:\n  queries:\n  - orgs: [acme]\nplank: {url: '<< your-domain.com >>'}\n"
    found = loaded(f"apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yaml: |\n{indent(inner, '    ')}")

    assert found.queries == (Query(orgs=("acme",)),)
    assert found.query_places[0][0].endswith("config.yaml:7:9")


def test_trap_14_shards_make_one_policy(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        _config="tide: {sync_period: 2m, context_options: {from-branch-protection: true}}\n",
        acme__rocket___prowconfig="branch-protection: {orgs: {acme: {repos: {rocket: {protect: true, "
        "required_status_checks: {contexts: [ci]}}}}}}\nslack_reporter_configs: {acme/rocket: {channel: x}}\n",
        acme__other___prowconfig="tide: {merge_method: {acme/other: squash}}\n",
        acme___prowconfig="tide: {queries: [{orgs: [acme], labels: [lgtm]}]}\n",
    )
    found = load([root])

    assert found.warnings == ()
    assert found.sync_period == 120
    assert found.covers(MAIN)
    assert found.contexts(MAIN).required == {"ci"}
    assert found.methods.for_branch(Branch("acme", "other", "main")) is Method.SQUASH


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("tide: {display_all_tide_queries_in_status: yes, max_goroutines: 20}\n", id="yes is true"),
        pytest.param("tide: {display_all_tide_queries_in_status: on, 1: x, 1.5: y, true: z}\n", id="keys of all kinds"),
        pytest.param("tide:\r\n  display_all_tide_queries_in_status: true\r\n", id="CRLF"),
        pytest.param("\ufefftide: {display_all_tide_queries_in_status: true}\n", id="BOM"),
        pytest.param("tide: {display_all_tide_queries_in_status: true, blocker_label: 2026-11-26}\n", id="a date"),
        pytest.param("tide: {display_all_tide_queries_in_status: true, blocker_label: 12:30}\n", id="a time of day"),
        pytest.param(
            "tide: {display_all_tide_queries_in_status: true, blocker_label: '1.10'}\n", id="a number in quotes"
        ),
    ],
)
def test_trap_15_what_was_not_met_is_read_as_well(loaded: Load, text: str) -> None:
    assert loaded(text).display_all_tide_queries_in_status is True


def test_trap_15_a_number_where_a_text_belongs_is_refused_as_in_prow(refused: Refuse) -> None:
    assert refused("tide: {queries: [{orgs: [acme], milestone: 1.10}]}\n") == [
        "config.yaml:1:44: tide.queries.0.milestone: must be text, but is 1.1; put it in quotes"
    ]


def test_trap_16_an_empty_list_is_not_a_missing_one_and_a_team_may_be_written_with_its_org(loaded: Load) -> None:
    found = loaded("branch-protection: {restrictions: {teams: [acme/admins, crew], users: []}}\n")

    assert found.protection.merged(MAIN) == {"restrictions": {"teams": ["acme/admins", "crew"], "users": []}}


def test_trap_17_blocks_may_be_indented_as_they_like(loaded: Load) -> None:
    text = (
        "tide:\n"
        "    merge_method:\n"
        "            acme/rocket: squash   \n"
        "            other: merge \n"
        "    context_options:\n"
        "      orgs:\n"
        "        acme:\n"
        "                required-contexts:\n"
        "                - ci\n"
        "        other:\n"
        "         required-contexts:\n"
        "              - lint\n"
    )

    assert loaded(text).contexts(MAIN) == ContextPolicy(required=frozenset({"ci"}))
    assert loaded(text).contexts(Branch("other", "x", "y")).required == {"lint"}
    assert loaded(text).methods.for_branch(MAIN) is Method.SQUASH
