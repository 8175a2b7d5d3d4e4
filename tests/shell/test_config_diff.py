"""`mergeq config diff OLD NEW`: what changes in effect, for people and as a document."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.shell.test_config import folder
from tests.shell.test_config_real import FILES, ROOT
from tests.shell.test_config_resolve import Run, document, mergeq

__all__ = ["mergeq"]  # a fixture

Diff = Callable[[str, str], Result]

QUERY = "tide: {queries: [{orgs: [acme], labels: [lgtm]}]}\n"


@pytest.fixture
def diff(mergeq: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diff:
    """What the command prints about two texts, in files called old.yaml and new.yaml in the present folder."""
    monkeypatch.chdir(tmp_path)

    def between(old: str, new: str) -> Result:
        Path("old.yaml").write_text(old)
        Path("new.yaml").write_text(new)
        return mergeq("config", "diff", "old.yaml", "new.yaml")

    return between


@pytest.fixture
def values(diff: Diff, mergeq: Run) -> Callable[[str, str], list[tuple[Any, ...]]]:
    """The values that differ between two texts, as (scope, key, old, new)."""

    def between(old: str, new: str) -> list[tuple[Any, ...]]:
        done = diff(old, new)
        found = document(mergeq("config", "diff", "old.yaml", "new.yaml", "--json"), "diff")
        assert done.exit_code == (2 if found["pending"] else 0)
        return [(one["scope"], one["key"], one["old"], one["new"]) for one in found["values"]]

    return between


Values = Callable[[str, str], list[tuple[Any, ...]]]


def test_what_changes_is_told_with_both_its_places(diff: Diff) -> None:
    old = """tide:
  sync_period: 1m
  queries:
  - orgs: [acme]
    labels: [lgtm]
  - {repos: [other/x], labels: [gone]}
  merge_method: {acme/rocket: squash}
branch-protection:
  orgs: {acme: {protect: true, required_status_checks: {contexts: [cla, old]}}}
"""
    new = """tide:
  sync_period: 1m30s
  queries:
  - orgs: [acme]
    labels: [lgtm, approved]
  - {repos: [fresh/z], milestone: v1}
branch-protection:
  orgs: {acme: {protect: true, required_status_checks: {contexts: [cla, new]}}}
mergeq: {queue: {orgs: {acme: {repos: {rocket: {branches: {main: {slots: 4}}}}}}}}
"""

    done = diff(old, new)

    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        "queries",
        '  - is:pr state:open archived:false label:"gone" repo:"other/x"',
        "      old.yaml:6:5",
        '  + is:pr state:open archived:false milestone:"v1" repo:"fresh/z"',
        "      new.yaml:6:5",
        '  ~ is:pr state:open archived:false label:"approved" label:"lgtm" org:"acme"',
        "      labels: + approved",
        "      old.yaml:4:5 → new.yaml:4:5",
        "",
        "for everyone",
        "  tide.sync_period           1m → 1m30s  old.yaml:2:16 → new.yaml:2:16",
        "  tide.status_update_period  1m → 1m30s  old.yaml:2:16 → new.yaml:2:16",
        "",
        "acme",
        "  protection.required_status_checks.contexts  + new, - old  old.yaml:9:73 → new.yaml:8:73",
        "",
        "acme/rocket",
        "  tide.merge_method  squash → merge  old.yaml:7:31",
        "",
        "acme/rocket:main",
        "  mergeq.queue.slots  2 → 4  new.yaml:9:74",
        "",
        "queries: 1 added, 1 removed, 1 changed; values changed: 5",
    ]


@pytest.mark.parametrize(
    "new",
    [
        pytest.param("# a word\ntide:\n  queries:\n  - labels: [lgtm]\n    orgs: [acme]\n", id="another form"),
        pytest.param(QUERY + "plank: {x: 1}\n", id="what is not read"),
        pytest.param("tide: {sync_period: 60s, queries: [{orgs: [acme], labels: [lgtm]}]}\n", id="a default in full"),
        pytest.param(QUERY + "mergeq: {queue: {orgs: {acme: {slots: 2}}}}\n", id="a default in full for an org"),
    ],
)
def test_what_changes_nothing_in_effect_is_no_change(diff: Diff, new: str) -> None:
    done = diff(QUERY, new)

    assert (done.exit_code, done.stdout) == (0, "no change in effect\n")


def test_a_query_about_others_is_a_changed_one_and_one_in_both_respects_is_another(diff: Diff, mergeq: Run) -> None:
    diff(QUERY, "tide: {queries: [{orgs: [acme, more], labels: [lgtm]}, {repos: [a/b], author: bot}]}\n")
    found = document(mergeq("config", "diff", "old.yaml", "new.yaml", "--json"), "diff")["queries"]

    assert [query["fields"] for query in found["changed"]] == [
        [{"key": "orgs", "old": ["acme"], "new": ["acme", "more"]}]
    ]
    assert [query["search"] for query in found["added"]] == ['is:pr state:open archived:false author:"bot" repo:"a/b"']
    assert found["removed"] == []


def test_what_changes_for_all_alike_is_told_once(values: Values) -> None:
    options = "tide: {{context_options: {{required-contexts: [{}], orgs: {{acme: {{required-contexts: [x]}}}}}}}}\n"

    assert values(options.format("a"), options.format("a, b")) == [
        ("*", "contexts.required-contexts", ["a"], ["a", "b"])
    ]


def test_what_changes_the_same_way_again_below_something_that_does_not_is_told(values: Values) -> None:
    slots = "mergeq: {{queue: {{slots: {0}, orgs: {{acme: {{slots: 3, repos: {{rocket: {{slots: {0}}}}}}}}}}}}}\n"

    assert values(slots.format(2), slots.format(4)) == [
        ("*", "mergeq.queue.slots", 2, 4),
        ("acme/rocket", "mergeq.queue.slots", 2, 4),
    ]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        pytest.param(
            "tide: {merge_method: {acme: {rocket: {^rel: squash}}}}\n",
            "tide: {merge_method: {acme: {rocket: {^rel: rebase}}}}\n",
            ("acme/rocket", "tide.merge_method.^rel", "squash", "rebase"),
            id="a method of the branches that an expression matches",
        ),
        pytest.param(
            "tide: {merge_method: {acme: {'*': {^rel: squash}}}}\n",
            "tide: {merge_method: {acme: {'*': {}}}}\n",
            ("acme", "tide.merge_method.^rel", "squash", None),
            id="the same in every repository",
        ),
        pytest.param(
            "tide: {merge_method: {acme/rocket@next: squash}}\n",
            "tide: {}\n",
            ("acme/rocket:next", "tide.merge_method", "squash", "merge"),
            id="a method of one branch",
        ),
        pytest.param(
            "presubmits: {acme/rocket: [{name: ci, always_run: true, branches: [^rel]}]}\n",
            "presubmits: {acme/rocket: [{name: ci, optional: true, skip_branches: [^rel]}]}\n",
            ("acme/rocket", "presubmits", ["ci (required on ^rel)"], ["ci (optional but on ^rel)"]),
            id="jobs that do not run everywhere",
        ),
        pytest.param(
            "branch-protection: {orgs: {acme: {restrictions: {}}}}\n",
            "branch-protection: {orgs: {acme: {restrictions: {teams: []}}}}\n",
            ("acme", "protection.restrictions.teams", None, []),
            id="an empty list that was not there",
        ),
        pytest.param(
            "tide: {priority: [{labels: [a]}, {labels: [b]}]}\n",
            "tide: {priority: [{labels: [b]}, {labels: [a]}]}\n",
            ("*", "tide.priority", [["a"], ["b"]], [["b"], ["a"]]),
            id="another order",
        ),
        pytest.param(
            "mergeq: {protection: {orgs: {acme: {lock_branch: true}}}}\n",
            "mergeq: {protection: {orgs: {acme: {lock_branch: false}}}}\n",
            ("*", "mergeq.protection.orgs.acme.lock_branch", True, False),
            id="what is said of protection",
        ),
        pytest.param(
            "mergeq: {protection: {mode: observe}}\n",
            "mergeq: {protection: {mode: enforce}}\n",
            ("*", "mergeq.protection.mode", "observe", "enforce"),
            id="whether protection is written",
        ),
        pytest.param(
            "mergeq: {web: {admins: [a/b]}}\n",
            "mergeq: {web: {admins: [a/c]}}\n",
            ("*", "mergeq.web.admins", ["a/b"], ["a/c"]),
            id="what is not applied yet",
        ),
    ],
)
def test_a_value_that_is_another_is_told(values: Values, old: str, new: str, value: tuple[Any, ...]) -> None:
    assert value in values(old, new)


def test_another_order_and_an_empty_list_are_said_in_words(diff: Diff) -> None:
    order = diff(
        "tide: {priority: [{labels: [a]}, {labels: [b]}]}\n", "tide: {priority: [{labels: [b]}, {labels: [a]}]}\n"
    )
    empty = diff(
        "branch-protection: {orgs: {a: {restrictions: }}}\n",
        "branch-protection: {orgs: {a: {restrictions: {users: []}}}}\n",
    )

    assert "  tide.priority  in another order  old.yaml:1:18 → new.yaml:1:18" in order.stdout.splitlines()
    assert "  protection.restrictions.users  not set → none" in empty.stdout


def test_a_text_of_several_lines_stays_in_its_row(diff: Diff) -> None:
    done = diff(QUERY, 'tide: {queries: [{orgs: [acme], labels: [lgtm]}], blocker_label: "a\\nb"}\n')

    assert "  tide.blocker_label  none → a\\nb  new.yaml:1:66" in done.stdout.splitlines()


def test_what_is_wrong_with_either_is_told_and_it_is_not_a_change(mergeq: Run, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("tide: [1]\n")
    (tmp_path / "new.yaml").write_text("tide: {sync_period: soon}\n")

    with pytest.raises(
        Exception, match=r"old\.yaml:1:7: tide: must be a mapping.*\n.*new\.yaml:1:21: tide\.sync_period"
    ):
        mergeq("config", "diff", tmp_path / "old.yaml", tmp_path / "new.yaml")


def test_either_may_be_a_folder_or_several_files(mergeq: Run, tmp_path: Path) -> None:
    root = folder(tmp_path, config=QUERY, more__x="tide: {merge_method: {acme: squash}}\n")
    (tmp_path / "ours.yaml").write_text("mergeq: {queue: {slots: 3}}\n")

    done = mergeq("config", "diff", root, os.pathsep.join([str(root), str(tmp_path / "ours.yaml")]), "--json")

    assert [one["key"] for one in json.loads(done.stdout)["values"]] == ["mergeq.queue.slots"]


@pytest.mark.skipif(not FILES, reason="the collection of real Prow configurations is not beside this checkout")
def test_half_a_year_of_kubernetes_is_told(mergeq: Run) -> None:
    home = ROOT / "kubernetes__test-infra"

    done = mergeq(
        "config", "diff", home / "history" / "2025-12-31__config__prow__config.yaml", home / "config__prow__config.yaml"
    )

    assert done.exit_code == 2
    assert done.stdout.splitlines()[-1] == "queries: 2 added, 0 removed, 2 changed; values changed: 38"
