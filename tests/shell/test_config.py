"""The configuration: YAML with positions, Prow's `tide:` and our `mergeq:`, the schema, and the environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergeq import shipped
from mergeq.config import ConfigError, Configuration, Settings, load
from mergeq.config.documents import Document, read
from mergeq.core.contexts import ContextPolicy
from mergeq.core.message import CommitTemplate
from mergeq.core.pool import BlocksPolicy, BranchSettings
from mergeq.core.pull import Branch, Method
from mergeq.core.query import Query
from mergeq.core.template import parse
from tests.builders import pr

MAIN = Branch("acme", "rocket", "main")
NEXT_DOOR, OTHER = Branch("acme", "other", "main"), Branch("other", "rocket", "main")
QUERY = "  queries: [{orgs: [acme]}]\n"

Write = Callable[..., list[Path]]
Load = Callable[..., Configuration]
Refuse = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files (`config.yaml` unless named) and give their paths."""

    def files(text: str | bytes = "", **named: str) -> list[Path]:
        contents: dict[str, str | bytes] = {"config": text} if text or not named else {}
        paths = []
        for name, content in (contents | named).items():
            path = tmp_path / f"{name}.yaml"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths.append(path)
        return paths

    return files


@pytest.fixture
def loaded(write: Write) -> Load:
    """What files of this text are as a configuration."""

    def from_text(text: str = "", **named: str) -> Configuration:
        return load(write(text, **named))

    return from_text


@pytest.fixture
def refused(write: Write, tmp_path: Path) -> Refuse:
    """The lines with which files of this text are refused; the folder is left out of the file names."""

    def from_text(text: str | bytes = "", **named: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(write(text, **named))
        return str(caught.value).replace(f"{tmp_path}{os.sep}", "").split("\n")

    return from_text


@pytest.fixture
def warned(loaded: Load, tmp_path: Path) -> Refuse:
    """The warnings about files of this text."""

    def from_text(text: str = "", **named: str) -> list[str]:
        found = loaded(text, **named).warnings
        return [line.replace(f"{tmp_path}{os.sep}", "") for line in found if "has no `tide.queries`" not in line]

    return from_text


def document(write: Write, text: str | bytes) -> Document:
    return read(write(text)[0])


def value(write: Write, text: str) -> Any:
    return document(write, text).value


# Documents


def test_every_value_remembers_where_it_stood(write: Write, tmp_path: Path) -> None:
    found = document(write, "tide:\n  queries:\n  - orgs: [acme,\n           other]\n")
    file = tmp_path / "config.yaml"

    assert found.where(("tide", "queries", 0, "orgs", 1)) == f"{file}:4:12"
    assert found.where(("tide", "queries", 0)) == f"{file}:3:5"


def test_what_has_no_position_of_its_own_is_where_the_nearest_thing_above_it_is(write: Write, tmp_path: Path) -> None:
    found = document(write, "tide:\n  merge_method: squash\n")

    assert found.where(("tide", "merge_method", "acme", "rocket")) == f"{tmp_path / 'config.yaml'}:2:17"


def test_an_empty_document_is_at_its_file(write: Write, tmp_path: Path) -> None:
    assert document(write, "").where(("tide",)) == str(tmp_path / "config.yaml")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"], ids=["empty", "a comment", "a marker"])
def test_an_empty_file_has_no_value(write: Write, text: str) -> None:
    assert value(write, text) is None


def test_plain_scalars_are_read_by_their_form_and_quoted_ones_are_text(write: Write) -> None:
    found = value(write, "[1, 1.5, true, null, ~, text, '1', \"true\", '~', 0x1f, !!str 7]")

    assert found == [1, 1.5, True, None, None, "text", "1", "true", "~", 31, "7"]


def test_dates_stay_text(write: Write) -> None:
    assert value(write, "until: 2026-12-01\nat: 2026-12-01T00:00:00Z\n") == {
        "until": "2026-12-01",
        "at": "2026-12-01T00:00:00Z",
    }


def test_keys_are_text_whatever_they_look_like(write: Write) -> None:
    assert value(write, "1: a\ntrue: b\n") == {"1": "a", "true": "b"}


def test_strange_names_of_real_configurations_are_read(write: Write) -> None:
    assert value(write, "- 'dco-signoff: yes'\n- format code 🐲\n- okay to merge\n- a (b), c & d\n") == [
        "dco-signoff: yes",
        "format code 🐲",
        "okay to merge",
        "a (b), c & d",
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_key(write: Write) -> None:
    assert document(write, b"\xef\xbb\xbftide: 1\n").value == {"tide": 1}


def test_a_key_that_stands_twice_is_noted_and_the_last_one_is_used(write: Write, tmp_path: Path) -> None:
    found = document(write, "orgs:\n  acme: 1\n  other: 2\n  acme: 3\n")

    assert found.value == {"orgs": {"acme": 3, "other": 2}}
    assert found.notes == (
        f"{tmp_path / 'config.yaml'}:4:3: the key 'acme' stands twice here and the last one is used; remove one",
    )


def test_a_complaint_about_a_key_that_stands_twice_is_about_the_one_that_is_used(refused: Refuse) -> None:
    assert refused("tide:\n  sync_period: 1m\n  sync_period: soon\n") == [
        "config.yaml:3:16: tide.sync_period: 'soon' is not a duration; write it as 1m, 90s or 1h30m"
    ]


def test_keys_that_stand_twice_are_among_the_warnings(warned: Refuse) -> None:
    (line,) = warned("tide:\n  blocker_label: a\n  blocker_label: b\n")

    assert line.startswith("config.yaml:3:3: the key 'blocker_label' stands twice")


def test_an_alias_is_the_value_it_names(write: Write) -> None:
    assert value(write, "a: &x [1, {b: 2}]\nc: *x\n")["c"] == [1, {"b": 2}]


def test_a_repeated_anchor_means_the_latest(write: Write) -> None:
    """As in real Prow files, which PyYAML's own loaders refuse."""
    assert value(write, "a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        pytest.param("<<: *one\n  y: 0", {"x": 1, "y": 0}, id="own keys win"),
        pytest.param("y: 0\n  <<: *one", {"x": 1, "y": 0}, id="own keys win wherever they stand"),
        pytest.param("<<: [*two, *one]", {"x": 2, "y": 1, "z": 2}, id="of several the first wins"),
        pytest.param("<<: {x: 9}", {"x": 9}, id="a mapping in place"),
        pytest.param("'<<': 1", {"<<": 1}, id="a quoted << is a name"),
    ],
)
def test_merge_keys_bring_in_what_is_not_there(write: Write, text: str, merged: dict[str, int]) -> None:
    assert value(write, f"one: &one {{x: 1, y: 1}}\ntwo: &two {{x: 2, z: 2}}\nhere:\n  {text}\n")["here"] == merged


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "a: 1\n<<: 3\n", "config.yaml:2:1: << must be given a mapping; merge a mapping, usually *NAME", id="<<"
        ),
        pytest.param(
            "a: *x\n", "config.yaml:1:4: the alias *x names nothing above it; define &x first", id="an undefined alias"
        ),
        pytest.param(
            "a: &x [*x]\n", "config.yaml:1:8: the alias *x names nothing above it; define &x first", id="a loop"
        ),
        pytest.param(
            "? [a]\n: 1\n",
            "config.yaml:1:3: a key must be plain text; write the key as a word or a quoted string",
            id="a key that is a list",
        ),
        pytest.param("a: !!int x\n", "config.yaml:1:4: 'x' does not fit its tag", id="a value that is not of its tag"),
        pytest.param("a: !!python/name:os.system x\n", "config.yaml:1:4: the tag ", id="python on a scalar"),
        pytest.param("a: !!python/object/apply:os.system ['id']\n", "config.yaml:1:4: the tag ", id="python on a list"),
        pytest.param("a: !!python/object:x.Y {z: 1}\n", "config.yaml:1:4: the tag ", id="python on a mapping"),
        pytest.param("a: !!set {x, y}\n", "config.yaml:1:4: the tag ", id="a set"),
        pytest.param(
            "a: !include other.yaml\n", "config.yaml:1:4: the tag !include is not allowed", id="a tag of its own"
        ),
        pytest.param("a: [1\n", "config.yaml:2:1: is not YAML: ", id="an open bracket"),
        pytest.param("a: b\n\tc: d\n", "config.yaml:2:1: is not YAML: ", id="a tab"),
        pytest.param("a: \0\n", "config.yaml: is not YAML: ", id="a control character"),
        pytest.param(b"a: \xff\n", "config.yaml: is not UTF-8 (byte 3); save it as UTF-8", id="not UTF-8"),
        pytest.param("a: 1\n".encode("utf-16"), "config.yaml: is not UTF-8 (byte 0); save it as UTF-8", id="UTF-16"),
        pytest.param(
            "[" * 200 + "]" * 200, "config.yaml:1:62: nests too deeply; keep below 60 levels", id="too deep a nesting"
        ),
        pytest.param(
            "a: 1 #" + "x" * 8_000_000, "config.yaml: is more than 8000000 bytes; split it", id="too long a file"
        ),
    ],
)
def test_what_is_not_one_plain_document_is_refused_in_one_line(refused: Refuse, text: str | bytes, line: str) -> None:
    found = refused(text)

    assert len(found) == 1, found
    assert found[0].startswith(line)


def test_of_several_documents_the_first_is_read_as_in_prow(write: Write, tmp_path: Path) -> None:
    """D2: what Prow drops without a word is told."""
    found = document(write, "a: 1\n---\nb: [\n")

    assert found.value == {"a": 1}
    assert found.notes == (
        f"{tmp_path / 'config.yaml'}:2:1: a second document starts here and is not read, as in Prow; keep one per file",
    )


def test_words_that_are_booleans_to_prow_are_booleans(write: Write) -> None:
    assert value(write, "[y, N, yes, off, 'y', \"n\"]") == [True, False, True, False, "y", "n"]


def test_what_came_by_an_alias_stands_where_it_was_written(write: Write, tmp_path: Path) -> None:
    found = document(
        write,
        "a: &x\n  b: [1,\n      2]\nc: *x\nd:\n  <<: *x\n  e: 3\nf:\n  <<: [*x, {g: 4}]\n  b: 5\n",
    )
    paths = [("c",), ("c", "b", 1), ("d", "b", 0), ("d", "e"), ("f", "g"), ("f", "b")]

    assert [found.where(path).removeprefix(f"{tmp_path / 'config.yaml'}:") for path in paths] == [
        "4:4",
        "3:7",
        "2:7",
        "7:6",
        "9:16",
        "10:6",
    ]
    assert [found.at(("d", "b", 1)), found.at(("f", "g")), found.at(("c", "z")), found.at(("c", "b", 7))] == [
        2,
        4,
        None,
        None,
    ]


def test_an_alias_of_the_thing_it_replaces_has_a_place(write: Write, tmp_path: Path) -> None:
    found = document(write, "a: &x {b: 1}\na: *x\n")

    assert found.where(("a", "b")) == f"{tmp_path / 'config.yaml'}:1:11"


CONFIG_MAP = """kind: ConfigMap
data:
  config.yaml: |
    tide:
      queries:
      - orgs: [acme]
      zzz: 1
  other.yaml: |
    tide: {}
"""


def test_a_config_map_is_read_as_the_configuration_in_it(loaded: Load, warned: Refuse) -> None:
    assert loaded(CONFIG_MAP).queries == (Query(orgs=("acme",)),)
    assert warned(CONFIG_MAP) == [
        "config.yaml: is a Kubernetes ConfigMap; its `config.yaml` is read, better give that as a file of its own",
        "config.yaml:7:12: tide.zzz: is not a key that is known here, so it has no effect; remove it",
    ]


@pytest.mark.parametrize("style", ['"tide: {queries: [{orgs: [acme]}]}"', "'tide: {queries: [{orgs: [acme]}]}'"])
def test_a_config_map_may_hold_the_configuration_in_quotes(loaded: Load, style: str) -> None:
    assert loaded(f"kind: ConfigMap\ndata: {{config.yaml: {style}}}\n").queries == (Query(orgs=("acme",)),)


@pytest.mark.parametrize("text", ["kind: ConfigMap\ndata: {x: z}\n", "kind: ConfigMap\ndata: {config.yaml: 7}\n"])
def test_a_config_map_without_a_configuration_is_nothing_special(warned: Refuse, text: str) -> None:
    assert warned(text) == []


def test_aliases_that_multiply_are_refused(refused: Refuse) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]

    (line,) = refused("\n".join(lines))

    assert "expands to more than 500000 values; use fewer aliases" in line


def test_a_file_that_is_missing_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read \(No such file or directory\); check the path"):
        load([tmp_path / "gone.yaml"])


def test_the_problems_of_all_files_are_told_at_once(refused: Refuse) -> None:
    found = refused(a="x: [1\n", b="tide: 7\n", c=f"tide:\n{QUERY}")

    assert [line.split(":")[0] for line in found] == ["a.yaml", "b.yaml"]


# Prow's section


def test_every_key_of_tide_that_is_used_is_understood(loaded: Load) -> None:
    """T1.8-T1.37."""
    found = loaded(
        """
tide:
  sync_period: 1m30s
  blocker_label: tide/merge-blocker
  squash_label: m/squash
  rebase_label: m/rebase
  merge_label: m/merge
  target_urls: {'*': 'https://a', acme: 'https://b', acme/rocket: 'https://c'}
  github_merge_blocks_policy: {'*': ignore, acme: permit, acme/rocket: block}
  priority:
  - labels: [urgent, 'p0,p1']
  - labels: [soon]
  merge_method:
    acme: squash
    acme/rocket@next: merge
    other: {thing: rebase, '*': {'release-.*': squash}}
  context_options:
    required-contexts: [everywhere]
    skip-unknown-contexts: true
    from-branch-protection: false
    overwrite-pending-contexts: false
    orgs:
      acme:
        optional-contexts: [org]
        repos:
          rocket:
            required-if-present-contexts: [repo]
            branches:
              main:
                optional-regex-contexts: ['^docs-']
                skip-unknown-contexts: false
  queries:
  - orgs: [acme]
    repos: [other/thing]
    excludedRepos: [acme/attic]
    author: bot
    labels: [lgtm, 'a,b']
    missingLabels: [hold]
    includedBranches: [main]
    milestone: v1
    reviewApprovedRequired: true
  - repos: [other/thing]
    excludedBranches: [dev]
"""
    )

    assert found.warnings == ()
    assert found.queries == (
        Query(
            orgs=("acme",),
            repos=("other/thing",),
            excluded_repos=("acme/attic",),
            author="bot",
            labels=("a,b", "lgtm"),
            missing_labels=("hold",),
            included_branches=("main",),
            milestone="v1",
            review_approved_required=True,
        ),
        Query(repos=("other/thing",), excluded_branches=("dev",)),
    )
    assert found.sync_period == 90
    assert found.blocker_label == "tide/merge-blocker"
    assert found.priority == (("urgent", "p0,p1"), ("soon",))
    labels = (found.methods.squash_label, found.methods.rebase_label, found.methods.merge_label)
    assert labels == ("m/squash", "m/rebase", "m/merge")
    contexts = found.for_branch(MAIN).contexts
    assert contexts == ContextPolicy(
        required=frozenset({"everywhere"}),
        required_if_present=frozenset({"repo"}),
        optional=frozenset({"org"}),
        skip_unknown=False,
        overwrite_pending=False,
    )
    assert not contexts.counts("docs-build")
    assert contexts.counts("my-docs-build")


def test_without_a_tide_section_the_defaults_hold(loaded: Load) -> None:
    """T11.48, T11.44."""
    found = loaded("tide: {}\n")

    assert (found.sync_period, found.blocker_label, found.status_context) == (60.0, "", "tide")
    assert found.target_url(MAIN) == ""
    assert found.for_branch(MAIN) == BranchSettings()


def test_keys_with_nothing_after_the_colon_are_not_set(loaded: Load) -> None:
    found = loaded(
        """
tide:
  sync_period:
  blocker_label:
  merge_method: {acme: , other: {thing: }}
  priority:
  - labels:
  target_urls:
  context_options:
    required-contexts:
    optional-regex-contexts:
    skip-unknown-contexts:
    orgs:
      acme:
      other: {repos: {thing: , rocket: {branches: {main: }}}}
  queries:
  - orgs: [acme]
    labels:
    author:
    reviewApprovedRequired:
mergeq:
presubmits:
"""
    )

    assert found.queries == (Query(orgs=("acme",)),)
    assert found.for_branch(MAIN).methods.for_branch(MAIN) is Method.MERGE
    assert found.for_branch(MAIN).contexts == ContextPolicy()
    assert found.warnings == ()


def test_other_sections_of_prow_are_left_alone(loaded: Load) -> None:
    """D2."""
    assert loaded(f"tide:\n{QUERY}plank: {{x: [1]}}\nbranch-protection: {{protect: true}}\n").warnings == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "tide:\n  squash_lable: x\n",
            "config.yaml:2:17: tide.squash_lable: is not a key that is known here, so it has no effect; "
            "did you mean 'squash_label'?",
            id="a misspelt key",
        ),
        pytest.param(
            "tide:\n  zzz: x\n",
            "config.yaml:2:8: tide.zzz: is not a key that is known here, so it has no effect; remove it",
            id="a key like no other",
        ),
        pytest.param(
            "tide:\n  queries:\n  - orgs: [acme]\n    missingLabel: [x]\n",
            "config.yaml:4:19: tide.queries.0.missingLabel: is not a key that is known here, so it has no effect; "
            "did you mean 'missingLabels'?",
            id="in a query",
        ),
        pytest.param(
            "tide:\n  context_options:\n    org: {}\n",
            "config.yaml:3:10: tide.context_options.org: is not a key that is known here, so it has no effect; "
            "did you mean 'orgs'?",
            id="in context options",
        ),
        pytest.param(
            "tide:\n  context_options: {orgs: {acme: {branches: {}}}}\n",
            "config.yaml:2:45: tide.context_options.orgs.acme.branches: is not a key that is known here, so it has no "
            "effect; remove it",
            id="at the wrong level of context options",
        ),
    ],
)
def test_a_key_that_is_unknown_has_no_effect_and_is_warned_about(warned: Refuse, text: str, line: str) -> None:
    """T1.1, D2."""
    assert warned(text) == [line]


def test_keys_in_another_case_are_read_as_go_reads_them(loaded: Load, warned: Refuse) -> None:
    """D2: a requirement that is spelt `Labels` must not be lost."""
    text = "Tide:\n  Queries:\n  - orgs: [acme]\n    Labels: [lgtm, 7]\n".replace(", 7", "")

    assert loaded(text).queries == (Query(orgs=("acme",), labels=("lgtm",)),)
    assert warned(text) == [
        "config.yaml:2:3: Tide: is read as 'tide'; write it so",
        "config.yaml:3:3: tide.Queries: is read as 'queries'; write it so",
        "config.yaml:4:13: tide.queries.0.Labels: is read as 'labels'; write it so",
    ]


def test_a_complaint_about_a_key_in_another_case_has_its_place(refused: Refuse) -> None:
    assert refused("tide:\n  Blocker_Label: 7\n") == [
        "config.yaml:2:18: tide.blocker_label: must be text, but is 7; put it in quotes"
    ]


def test_of_a_key_in_two_cases_the_right_one_is_read(loaded: Load) -> None:
    assert loaded("tide: {BLOCKER_LABEL: a, blocker_label: b, Blocker_label: c}\n").blocker_label == "b"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "tide:\n  gerrit: {queries: [], ratelimit: 7}\n",
            "2:11: tide.gerrit: is not applied; mergeq serves GitHub alone",
            id="T1.25",
        ),
        pytest.param(
            "disabled_clusters: [build01]\n",
            "1:20: disabled_clusters: is not applied; mergeq runs no jobs; nothing else needs it here",
            id="T1.26",
        ),
        pytest.param(
            "periodics: []\n",
            "1:12: periodics: is not applied; mergeq runs no jobs; nothing else needs it here",
            id="T13.4 periodic jobs",
        ),
        pytest.param(
            "postsubmits: {}\n",
            "1:14: postsubmits: is not applied; mergeq runs no jobs; nothing else needs it here",
            id="T13.4 jobs after merging",
        ),
        pytest.param(
            "tide: {pr_status_base_url: 'https://a'}\n",
            "1:28: tide.pr_status_base_url: is deprecated in Prow; write it as the `*` of pr_status_base_urls",
            id="T1.17",
        ),
        pytest.param(
            "tide: {merge_method: {'*': squash}}\n",
            "1:28: tide.merge_method.*: '*' is taken for the name of an org, and none is called so; "
            "write `org: {repo: {branch: method}}`; a repo may be `*`, an org not",
            id="T1.53",
        ),
        pytest.param(
            "tide: {merge_method: {a/b: {main: squash}}}\n",
            "1:28: tide.merge_method.a/b: 'a/b' is taken for the name of an org, and none is called so; "
            "write `org: {repo: {branch: method}}`; a repo may be `*`, an org not",
            id="T1.55",
        ),
    ],
)
def test_what_has_no_effect_is_told(warned: Refuse, text: str, line: str) -> None:
    assert warned(text) == [f"config.yaml:{line}"]


def test_what_is_missing_in_a_list_or_a_map_is_what_go_makes_of_it_and_that_is_told(
    loaded: Load, warned: Refuse
) -> None:
    """D2: Prow takes it, and an org without a number is one without a limit."""
    text = """tide:
  batch_size_limit: {'*': 5, acme: }
  prioritize_existing_batches: {acme: }
  context_options: {required-contexts: [ci, ~]}
"""
    found = loaded(text)

    assert (found.batch_size_limit(MAIN), found.prioritizes_existing_batches(MAIN)) == (0, False)
    assert found.contexts(MAIN).required == {"ci", ""}
    assert warned(text) == [
        f"config.yaml:{where} has no value and is read as {zero}, as in Prow; give it one, or remove it"
        for where, zero in (
            ("2:36: tide.batch_size_limit.acme:", "0"),
            ("3:39: tide.prioritize_existing_batches.acme:", "false"),
            ("4:45: tide.context_options.required-contexts.1:", '""'),
        )
    ]


# What differs between branches


@pytest.mark.parametrize(
    ("branch", "limit", "prioritizes", "url"),
    [
        ("acme/rocket:main", -1, True, "https://c"),
        ("acme/other:main", 3, False, "https://b"),
        ("other/rocket:main", 5, True, "https://a"),
    ],
)
def test_the_most_specific_entry_of_a_map_wins(
    loaded: Load, branch: str, limit: int, prioritizes: bool, url: str
) -> None:
    """T1.18, T1.20, T1.21."""
    found = loaded(
        """
tide:
  batch_size_limit: {'*': 5, acme: 3, acme/rocket: -1}
  prioritize_existing_batches: {acme: false, acme/rocket: true}
  pr_status_base_urls: {'*': 'https://a', acme: 'https://b', acme/rocket: 'https://c'}
"""
    )
    target = Branch.parse(branch)

    assert found.batch_size_limit(target) == found.for_branch(target).batch_size_limit == limit
    assert found.prioritizes_existing_batches(target) is prioritizes
    assert found.pr_status_base_url(target) == url


def test_without_an_entry_batches_are_unlimited_and_tried_again(loaded: Load) -> None:
    """T1.20, T1.21."""
    found = loaded("tide: {batch_size_limit: {other: 5}}\n")

    assert found.batch_size_limit(MAIN) == 0
    assert found.prioritizes_existing_batches(MAIN)
    assert found.pr_status_base_url(MAIN) == ""


def test_our_own_limit_of_batches_goes_before_that_of_tide(loaded: Load) -> None:
    found = loaded("tide: {batch_size_limit: {acme/rocket: 5}}\nmergeq: {queue: {batch_size_limit: 8}}\n")

    assert found.batch_size_limit(MAIN) == 8


def test_one_base_url_is_for_everybody(loaded: Load) -> None:
    """T1.17."""
    assert loaded("tide: {pr_status_base_url: 'https://a'}\n").pr_status_base_url(MAIN) == "https://a"


ROWS: list[tuple[str, str, Callable[[Configuration], object], object]] = [
    ("T11.41", "target_url: u", lambda found: (found.target_url(MAIN), found.target_url(OTHER)), ("u", "u")),
    ("T11.43", "target_urls: {'*': a, acme: b, acme/rocket: c}", lambda found: found.target_url(MAIN), "c"),
    ("T11.44", "", lambda found: found.target_url(MAIN), ""),
    (
        "T11.45",
        "pr_status_base_urls: {'*': a, acme: b, acme/rocket: c}",
        lambda found: tuple(map(found.pr_status_base_url, (OTHER, NEXT_DOOR, MAIN))),
        ("a", "b", "c"),
    ),
    ("T11.47 zero", "max_goroutines: 0", lambda found: found.max_goroutines, 20),
    (
        "T11.48",
        "",
        lambda found: (found.sync_period, found.status_update_period, found.max_goroutines),
        (60.0, 60.0, 20),
    ),
    ("T11.49", "sync_period: 2m", lambda found: found.status_update_period, 120.0),
    (
        "T11.50",
        "batch_size_limit: {'*': 5, acme: -1, acme/rocket: 0}",
        lambda found: tuple(map(found.batch_size_limit, (OTHER, NEXT_DOOR, MAIN))),
        (5, -1, 0),
    ),
    (
        "T11.51",
        "prioritize_existing_batches: {'*': false, acme/rocket: true}",
        lambda found: tuple(map(found.prioritizes_existing_batches, (OTHER, NEXT_DOOR, MAIN))),
        (False, False, True),
    ),
    ("T11.51 empty", "prioritize_existing_batches: {}", lambda found: found.prioritizes_existing_batches(MAIN), True),
    ("T11.52", "merge_method: {}", lambda found: found.methods.for_branch(MAIN), Method.MERGE),
    ("T11.53", "merge_method: {acme: squash}", lambda found: found.methods.for_branch(MAIN), Method.SQUASH),
    ("T11.73 an org", "merge_method: {acme: squash}", lambda found: dict(found.methods.flat), {"acme": Method.SQUASH}),
    (
        "T11.73 a repository",
        "merge_method: {acme: {rocket: rebase}}",
        lambda found: dict(found.methods.nested["acme"].whole),
        {"rocket": Method.REBASE},
    ),
    (
        "T11.73 branches",
        "merge_method: {acme: {rocket: {b1: merge, b2: squash}}}",
        lambda found: [(one.pattern, how) for one, how in found.methods.nested["acme"].by_branch["rocket"]],
        [("b1", Method.MERGE), ("b2", Method.SQUASH)],
    ),
    ("T11.73 an empty org", "merge_method: {acme: ''}", lambda found: dict(found.methods.flat), {}),
    (
        "T11.77",
        "merge_commit_template: {acme: {title: t}, acme/rocket: }",
        lambda found: [found.commit_template(branch).title is not None for branch in (NEXT_DOOR, MAIN)],
        [True, False],
    ),
    ("T1.11", "blocker_label: tide/blocker", lambda found: found.blocker_label, "tide/blocker"),
    (
        "T1.12-T1.14",
        "squash_label: s, rebase_label: r, merge_label: m",
        lambda found: (found.methods.squash_label, found.methods.rebase_label, found.methods.merge_label),
        ("s", "r", "m"),
    ),
    (
        "T1.52",
        "merge_method: {acme: {'*': squash, rocket: {^rel: rebase}}}",
        lambda found: tuple(map(found.methods.for_branch, (NEXT_DOOR, MAIN))),
        (Method.SQUASH, Method.MERGE),
    ),
    (
        "T1.65",
        "context_options: {overwrite-pending-contexts: true}",
        lambda found: found.contexts(MAIN).overwrite_pending,
        True,
    ),
]


@pytest.mark.parametrize(("tide", "ask", "answer"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_tide_is_read_as_tide_reads_it(
    loaded: Load, tide: str, ask: Callable[[Configuration], object], answer: object
) -> None:
    assert ask(loaded(f"tide: {{{tide}}}\n")) == answer


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        pytest.param(
            "target_url: a, target_urls: {'*': b}",
            "tide.target_url and tide.target_urls are mutually exclusive",
            id="T1.15, T11.42",
        ),
        pytest.param(
            "pr_status_base_url: a, pr_status_base_urls: {'*': b}",
            "both pr_status_base_url and pr_status_base_urls are defined",
            id="T1.17",
        ),
        pytest.param(
            "pr_status_base_urls: {acme: b}",
            "pr_status_base_urls is defined but the default value ('*') is missing",
            id="T1.18, T11.46",
        ),
        pytest.param(
            "max_goroutines: -1",
            "tide has invalid max_goroutines (-1), it needs to be a positive number",
            id="T1.10, T11.47",
        ),
        pytest.param(
            "merge_commit_template: {acme: {title: '{{ .Title'}}",
            "parsing template for commit title: 1: unclosed action",
            id="T1.24, T11.76",
        ),
    ],
)
def test_what_tide_refuses_is_refused_in_its_words(refused: Refuse, keys: str, what: str) -> None:
    (line,) = refused(f"tide: {{{keys}}}\n")

    assert f": {what}; " in line


def test_an_empty_url_is_none(loaded: Load) -> None:
    """As in Go, which cannot tell it from an absent one."""
    assert loaded("tide: {target_url: '', target_urls: {'*': a}}\n").target_url(MAIN) == "a"


def test_the_periods_and_workers_of_tide_have_its_defaults(loaded: Load) -> None:
    """T1.9, T1.10, T1.19."""
    plain, set_ = (
        loaded("tide: {sync_period: 2m, max_goroutines: 0}\n"),
        loaded("tide: {status_update_period: 5m, max_goroutines: 7, display_all_tide_queries_in_status: true}\n"),
    )

    assert (plain.status_update_period, plain.max_goroutines) == (120, 20)
    assert not plain.display_all_tide_queries_in_status
    assert (set_.status_update_period, set_.max_goroutines) == (300, 7)
    assert set_.display_all_tide_queries_in_status


# Messages of merge commits


def test_the_text_of_a_merge_commit_is_that_of_the_repository_else_of_the_org(loaded: Load) -> None:
    """T1.44: an entry that is there and empty hides the org's."""
    found = loaded(
        """
tide:
  merge_commit_template:
    acme: {title: from the org, body: a body}
    acme/rocket: {title: from the repository}
    acme/quiet:
    '*': {title: nobody reads this}
"""
    )

    assert found.commit_template(MAIN) == CommitTemplate(parse("from the repository"))
    assert found.commit_template(Branch("acme", "other", "main")) == CommitTemplate(
        parse("from the org"), parse("a body")
    )
    assert found.commit_template(Branch("acme", "quiet", "main")) == CommitTemplate()
    assert found.commit_template(Branch("other", "x", "main")) == CommitTemplate()


@pytest.mark.parametrize("part", ["title", "body"])
def test_a_template_that_cannot_be_understood_is_refused_where_it_stands(refused: Refuse, part: str) -> None:
    """T11.76, T1.47."""
    (line,) = refused(f"tide:\n  merge_commit_template:\n    acme: {{{part}: '{{{{ .Title | upper }}}}'}}\n")

    assert line.startswith(
        f"config.yaml:3:{len(part) + 14}: tide.merge_commit_template.acme.{part}: parsing template for commit {part}: "
        "1: function 'upper' not defined; "
    )


def test_a_template_that_asks_for_what_there_is_not_is_told(loaded: Load, warned: Refuse) -> None:
    """Prow takes it, and every time falls back on GitHub's text (T1.46)."""
    text = "tide:\n  merge_commit_template:\n    acme: {body: '{{ .Author.Login }}', title: '{{ .Title }}'}\n"

    assert loaded(text).commit_template(MAIN).body == parse("{{ .Author.Login }}")
    (line,) = warned(text)
    assert line == (
        "config.yaml:3:18: tide.merge_commit_template.acme.body: the template for the commit body failed: "
        "can't evaluate field Author in a struct; GitHub's default text is used where it fails"
    )


# Links of statuses


@pytest.mark.parametrize(
    ("keys", "link"),
    [
        ("target_urls: {'*': https://a, acme: https://b}, pr_status_base_url: https://c", "https://b"),
        (
            "pr_status_base_urls: {'*': 'https://c/pr?x=1&a=%2F', acme/other: https://d}",
            "https://c/pr?a=%2F&query=is%3Apr+repo%3Aacme%2Frocket+author%3Aana+head%3Apatch-1&x=1",
        ),
        (
            "target_urls: {acme/other: https://a}, pr_status_base_url: c.example",
            "c.example?query=is%3Apr+repo%3Aacme%2Frocket+author%3Aana+head%3Apatch-1",
        ),
        ("pr_status_base_url: 'https://c?query=old#part'",
         "https://c?query=is%3Apr+repo%3Aacme%2Frocket+author%3Aana+head%3Apatch-1#part"),
        ("pr_status_base_url: 'localhost:80/pr?a;b&c=%&d'",
         "localhost:80/pr?d=&query=is%3Apr+repo%3Aacme%2Frocket+author%3Aana+head%3Apatch-1"),
        ("target_urls: {acme/other: https://a}", ""),
        ("pr_status_base_url: 'https://c:port/pr'", ""),
        ("pr_status_base_url: 'https://c/%zz'", ""),
        ("pr_status_base_url: '127.0.0.1:80/pr'", ""),
        ("blocker_label: x", ""),
    ],
)  # fmt: skip
def test_a_status_links_to_what_is_configured(loaded: Load, keys: str, link: str) -> None:
    """T1.16, T1.18, T6.30."""
    assert loaded(f"tide: {{{keys}}}\n").status_link(pr(1)) == link


def test_the_search_for_a_bots_pull_request_names_it_as_searches_do(loaded: Load) -> None:
    """T11.284."""
    found = loaded("tide: {pr_status_base_url: pr.status.com}\n")
    head = "dependabot/github_actions/actions/cache-4.0.0"

    for author in ("dependabot[bot]", "dependabot", "app/dependabot"):
        assert found.status_link(pr(1, author=author, is_bot=True, head_ref=head)) == (
            "pr.status.com?query=is%3Apr+repo%3Aacme%2Frocket+author%3Aapp%2Fdependabot"
            "+head%3Adependabot%2Fgithub_actions%2Factions%2Fcache-4.0.0"
        )


@pytest.mark.parametrize("text", ["", "tide: {}\n", "plank: {}\n"], ids=["empty", "empty tide", "no tide"])
def test_a_configuration_without_queries_says_that_nothing_will_merge(loaded: Load, text: str) -> None:
    (warning,) = loaded(text).warnings

    assert "config.yaml: has no `tide.queries`, so nothing will ever merge; add a query" in warning


def test_no_configuration_at_all_says_that_nothing_will_merge() -> None:
    assert load([]).warnings == ("no configuration: has no `tide.queries`, so nothing will ever merge; add a query",)


WRONG_TYPES = [
    ("[1, 2]\n", "config.yaml:1:1: is not a mapping; a configuration has `tide:` and `mergeq:` at its top"),
    ("tide: [1]\n", "config.yaml:1:7: tide: must be a mapping, but is [1]; mend the value"),
    ("tide: {queries: {}}\n", "config.yaml:1:17: tide.queries: must be a list, but is {}; mend the value"),
    ("tide: {queries: [x]}\n", 'config.yaml:1:18: tide.queries.0: must be a mapping, but is "x"; mend the value'),
    (
        "tide: {queries: [{orgs: acme}, {orgs: [b]}]}\n",
        'config.yaml:1:25: tide.queries.0.orgs: must be a list, but is "acme"; mend the value',
    ),
    (
        "tide: {queries: [{orgs: [a, 7]}]}\n",
        "config.yaml:1:29: tide.queries.0.orgs.1: must be text, but is 7; put it in quotes",
    ),
    (
        "tide: {queries: [{orgs: [a], author: 7}]}\n",
        "config.yaml:1:38: tide.queries.0.author: must be text, but is 7; put it in quotes",
    ),
    (
        "tide: {queries: [{orgs: [a], reviewApprovedRequired: 1}]}\n",
        "config.yaml:1:54: tide.queries.0.reviewApprovedRequired: must be true or false, but is 1; mend the value",
    ),
    (
        "tide: {blocker_label: [x]}\n",
        'config.yaml:1:23: tide.blocker_label: must be text, but is ["x"]; mend the value',
    ),
    ("tide: {squash_label: 7}\n", "config.yaml:1:22: tide.squash_label: must be text, but is 7; put it in quotes"),
    ("tide: {target_url: 7}\n", "config.yaml:1:20: tide.target_url: must be text, but is 7; put it in quotes"),
    (
        "tide: {target_urls: x}\n",
        'config.yaml:1:21: tide.target_urls: must be a mapping, but is "x"; mend the value',
    ),
    (
        "tide: {target_urls: {a: 7}}\n",
        "config.yaml:1:25: tide.target_urls.a: must be text, but is 7; put it in quotes",
    ),
    (
        "tide: {github_merge_blocks_policy: block}\n",
        'config.yaml:1:36: tide.github_merge_blocks_policy: must be a mapping, but is "block"; mend the value',
    ),
    (
        "tide: {merge_method: squash}\n",
        'config.yaml:1:22: tide.merge_method: must be a mapping, but is "squash"; mend the value',
    ),
    (
        "tide: {merge_method: {a: 7}}\n",
        "config.yaml:1:26: tide.merge_method.a: must be a mapping, but is 7; mend the value",
    ),
    (
        "tide: {merge_method: {a: {b: [merge]}}}\n",
        'config.yaml:1:30: tide.merge_method.a.b: must be a mapping, but is ["merge"]; mend the value',
    ),
    ("tide: {priority: {}}\n", "config.yaml:1:18: tide.priority: must be a list, but is {}; mend the value"),
    ("tide: {priority: [x]}\n", 'config.yaml:1:19: tide.priority.0: must be a mapping, but is "x"; mend the value'),
    (
        "tide: {priority: [{labels: x}]}\n",
        'config.yaml:1:28: tide.priority.0.labels: must be a list, but is "x"; mend the value',
    ),
    (
        "tide: {context_options: []}\n",
        "config.yaml:1:25: tide.context_options: must be a mapping, but is []; mend the value",
    ),
    (
        "tide: {batch_size_limit: {a: true}}\n",
        "config.yaml:1:30: tide.batch_size_limit.a: must be a whole number, but is true; mend the value",
    ),
    (
        "tide: {prioritize_existing_batches: {a: 1}}\n",
        "config.yaml:1:41: tide.prioritize_existing_batches.a: must be true or false, but is 1; mend the value",
    ),
    (
        "tide: {display_all_tide_queries_in_status: 1}\n",
        "config.yaml:1:44: tide.display_all_tide_queries_in_status: must be true or false, but is 1; mend the value",
    ),
    (
        "tide: {max_goroutines: x}\n",
        'config.yaml:1:24: tide.max_goroutines: must be a whole number, but is "x"; mend the value',
    ),
    (
        "tide: {merge_commit_template: {a: {title: 7}}}\n",
        "config.yaml:1:43: tide.merge_commit_template.a.title: must be text, but is 7; put it in quotes",
    ),
    (
        "tide: {merge_commit_template: {a: x}}\n",
        'config.yaml:1:35: tide.merge_commit_template.a: must be a mapping, but is "x"; mend the value',
    ),
    (
        "tide: {context_options: {orgs: []}}\n",
        "config.yaml:1:32: tide.context_options.orgs: must be a mapping, but is []; mend the value",
    ),
    (
        "tide: {context_options: {orgs: {a: x}}}\n",
        'config.yaml:1:36: tide.context_options.orgs.a: must be a mapping, but is "x"; mend the value',
    ),
    (
        "tide: {context_options: {required-contexts: x}}\n",
        'config.yaml:1:45: tide.context_options.required-contexts: must be a list, but is "x"; mend the value',
    ),
    (
        "tide: {context_options: {optional-regex-contexts: [7]}}\n",
        "config.yaml:1:52: tide.context_options.optional-regex-contexts.0: must be text, but is 7; put it in quotes",
    ),
    (
        "tide:\n context_options:\n  skip-unknown-contexts: 0\n",
        "config.yaml:3:26: tide.context_options.skip-unknown-contexts: must be true or false, but is 0; mend the value",
    ),
]


@pytest.mark.parametrize(("text", "line"), WRONG_TYPES, ids=[" ".join(text.split()) for text, _ in WRONG_TYPES])
def test_a_value_of_the_wrong_type_is_one_line(refused: Refuse, text: str, line: str) -> None:
    assert refused(text) == [line]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m", 60), ("90s", 90), ("1h30m", 5400), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), (".5s", 0.5), ("0s", 0),
     ("1h0m1s", 3601), ("250us", 0.00025), ("250µs", 0.00025), ("250μs", 0.00025), ("-1m", -60), ("'0'", 0),
     ("'-0'", 0), ("2562047h", 9223369200)],
)  # fmt: skip
def test_durations_are_written_as_in_go(loaded: Load, text: str, seconds: float) -> None:
    """T1.2, T1.8."""
    assert loaded(f"tide:\n  sync_period: {text}\n").sync_period == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["60", "'60'", "1d", "1 m", "m", "''", "1m 30s", "1m30", "one minute", "1:30", "[1m]", "true", "2562048h"]
)
def test_anything_else_is_not_a_duration(refused: Refuse, text: str) -> None:
    """T1.2."""
    (line,) = refused(f"tide:\n  sync_period: {text}\n")

    assert line.startswith("config.yaml:2:16: tide.sync_period: ")
    assert line.endswith(" is not a duration; write it as 1m, 90s or 1h30m")


# Queries


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(
            "orgs: [kuber], repos: [foo/bar, baz/bar], excludedRepos: [kuber/netes], includedBranches: [master], "
            "milestone: m, labels: [a], missingLabels: [b], reviewApprovedRequired: true",
            id="T11.1",
        ),
        pytest.param("orgs: [kuber]", id="T11.2"),
        pytest.param("repos: [kuber/netes]", id="T11.6"),
        pytest.param("orgs: [kuber], excludedRepos: [kuber/netes]", id="T11.11"),
        pytest.param("orgs: [kuber], excludedBranches: [dev]", id="T11.16"),
        pytest.param("orgs: [kuber], labels: ['a,b'], missingLabels: [a]", id="T11.18"),
    ],
)
def test_a_query_may_be(loaded: Load, query: str) -> None:
    assert len(loaded(f"tide:\n  queries:\n  - {{{query}}}\n").queries) == 1


@pytest.mark.parametrize(
    ("query", "what"),
    [
        pytest.param("orgs: [kube/r]", "orgs[0]: \"kube/r\" contains a '/' which is not valid", id="T11.3"),
        pytest.param("orgs: [a, '']", "orgs[1]: is an empty string", id="T11.4"),
        pytest.param("orgs: [kuber, kuber]", '"orgs" contains 1 duplicate entries: kuber', id="T11.5"),
        pytest.param("repos: [foobar, baz/bar]", 'repos[0]: "foobar" is not of the form "org/repo"', id="T11.7"),
        pytest.param("repos: [a/b/c]", 'repos[0]: "a/b/c" is not of the form "org/repo"', id="T1.38 three parts"),
        pytest.param("repos: [a/]", 'repos[0]: "a/" is not of the form "org/repo"', id="T1.38 an empty part"),
        pytest.param(
            "orgs: [kuber], repos: [foo/bar, kuber/netes]",
            'repos[1]: "kuber/netes" is already included via org: "kuber"',
            id="T11.8",
        ),
        pytest.param("repos: [baz/bar, foo/bar, baz/bar]", '"repos" contains 1 duplicate entries: baz/bar', id="T11.9"),
        pytest.param(
            "labels: [a], milestone: m, includedBranches: [b]", "'orgs' and 'repos' cannot both be empty", id="T11.10"
        ),
        pytest.param(
            "orgs: [kuber], excludedRepos: [kuber]",
            'excludedRepos[0]: "kuber" is not of the form "org/repo"',
            id="T11.12",
        ),
        pytest.param(
            "repos: [foo/bar], excludedRepos: [kuber/netes]",
            'excludedRepos[0]: "kuber/netes" has no effect because org "kuber" is not included',
            id="T11.13",
        ),
        pytest.param(
            "orgs: [kuber], excludedRepos: [kuber/netes, kuber/netes]",
            '"excludedRepos" contains 1 duplicate entries: kuber/netes',
            id="T11.14",
        ),
        pytest.param(
            "orgs: [a], labels: [lgtm], missingLabels: [lgtm]",
            'the labels: ["lgtm"] are both required and forbidden',
            id="T11.15",
        ),
        pytest.param(
            "orgs: [a], labels: [x, b c], missingLabels: [b c, x]",
            'the labels: ["b c" "x"] are both required and forbidden',
            id="T1.38.5 several",
        ),
        pytest.param(
            "orgs: [a], includedBranches: [master], excludedBranches: [dev]",
            "both 'includedBranches' and 'excludedBranches' are specified ('excludedBranches' have no effect)",
            id="T11.17",
        ),
        pytest.param("orgs: [a], labels: [x, x, z, z]", '"labels" contains 2 duplicate entries: x, z', id="T11.19"),
        pytest.param(
            "orgs: [a], missingLabels: [x, x]", '"missingLabels" contains 1 duplicate entries: x', id="T1.38.5"
        ),
        pytest.param(
            "orgs: [a], includedBranches: [x, x]", '"includedBranches" contains 1 duplicate entries: x', id="T1.38.6"
        ),
    ],
)
def test_a_query_that_cannot_work_is_refused_in_the_words_of_tide(refused: Refuse, query: str, what: str) -> None:
    """T1.38, T1.39: the index is that of the query in its file."""
    found = refused(f"tide:\n  queries:\n  - {{orgs: [fine]}}\n  - {{{query}}}\n")

    assert f"config.yaml:4:5: tide.queries.1: tide query (index 1) is invalid: {what}; mend the query" in found


def test_the_same_repository_may_be_in_several_queries(loaded: Load) -> None:
    assert len(loaded("tide: {queries: [{repos: [a/b]}, {repos: [a/b], author: bot}]}\n").queries) == 2


def test_queries_that_demand_the_same_are_one(loaded: Load, tmp_path: Path) -> None:
    """T1.41: also over files."""
    found = loaded(
        one="tide:\n  queries:\n  - {repos: [z/z], labels: [b, a]}\n  - {orgs: [acme]}\n",
        two="tide:\n  queries:\n  - {repos: [a/a], labels: [a, b]}\n",
    )

    assert found.queries == (Query(repos=("z/z", "a/a"), labels=("a", "b")), Query(orgs=("acme",)))
    assert found.query_places == (
        (f"{tmp_path / 'one.yaml'}:3:5", f"{tmp_path / 'two.yaml'}:3:5"),
        (f"{tmp_path / 'one.yaml'}:4:5",),
    )


def test_each_search_is_sent_once(loaded: Load) -> None:
    found = loaded("tide: {queries: [{repos: [a/b]}, {repos: [a/b, c/d]}]}\n")

    assert found.searches() == (
        'is:pr state:open archived:false repo:"a/b"',
        'is:pr state:open archived:false repo:"c/d"',
    )
    assert found.open_pull_searches() == found.searches()


def test_a_branch_is_covered_when_a_query_speaks_about_its_repository(loaded: Load) -> None:
    found = loaded("tide: {queries: [{orgs: [acme], excludedRepos: [acme/attic]}]}\n")

    assert found.covers(MAIN)
    assert not found.covers(Branch("acme", "attic", "main"))
    assert not found.covers(Branch("other", "rocket", "main"))


# Merge methods


@pytest.mark.parametrize(
    ("branch", "method"),
    [
        ("acme/rocket:main", Method.SQUASH),
        ("acme/rocket:next", Method.MERGE),
        ("acme/launchpad:main", Method.REBASE),
        ("nested/whole:main", Method.REBASE),
        ("nested/one:release-0.2", Method.SQUASH),
        ("nested/one:main", Method.REBASE),
        ("nested/one:dev", Method.MERGE),
        ("nested/other:main", Method.SQUASH),
        ("unheard/of:main", Method.MERGE),
    ],
)
def test_merge_methods_are_read_in_all_their_forms(loaded: Load, branch: str, method: Method) -> None:
    """T1.48, T1.51."""
    found = loaded(
        """
tide:
  merge_method:
    acme: rebase
    acme/rocket: squash
    acme/rocket@next: merge
    nested:
      '*': squash
      whole: rebase
      one:
        release-\\d+(.\\d+)?: squash
        main: rebase
"""
    )

    assert found.for_branch(MAIN).methods.for_branch(Branch.parse(branch)) is method


def test_of_two_expressions_that_match_the_first_by_text_wins(loaded: Load) -> None:
    """T11.64."""
    found = loaded("tide: {merge_method: {acme: {rocket: {'mast.*': rebase, 'ma.*': squash}}}}\n")

    assert found.methods.for_branch(Branch("acme", "rocket", "master")) is Method.SQUASH


@pytest.mark.parametrize(
    "methods",
    [
        pytest.param("acme: ''", id="T11.73 an org"),
        pytest.param("acme/rocket: ''", id="T1.50 a repository"),
        pytest.param("acme: {rocket: ''}", id="T1.50 a nested repository"),
    ],
)
def test_an_empty_method_is_not_set(loaded: Load, methods: str) -> None:
    """T1.50, T1.51."""
    assert loaded(f"tide:\n  merge_method: {{{methods}}}\n").methods.for_branch(MAIN) is Method.MERGE


@pytest.mark.parametrize(
    ("methods", "place", "what"),
    [
        pytest.param("acme: x", "2:24", 'merge type "x" for acme is not a valid type', id="at an org"),
        pytest.param(
            "acme/rocket: x", "2:31", 'merge type "x" for acme/rocket is not a valid type', id="at a repository"
        ),
        pytest.param(
            "acme: {rocket: x}",
            "2:33",
            'merge type "x" for acme/rocket is not a valid type',
            id="at a nested repository",
        ),
        pytest.param(
            "acme: {rocket: {main: x}}",
            "2:40",
            'merge type "x" for acme/rocket@main is not a valid type',
            id="at a branch",
        ),
        pytest.param(
            "acme: {rocket: {main: ''}}",
            "2:40",
            'merge type "" for acme/rocket@main is not a valid type',
            id="an empty one at a branch",
        ),
        pytest.param(
            "acme: {rocket: {main: [merge]}}",
            "2:40",
            "for acme/rocket@main is not a valid type",
            id="a list at a branch",
        ),
        pytest.param(
            "acme: {rocket: {'invalid-regex[': merge}}",
            "2:52",
            'regex "invalid-regex[" is not valid',
            id="an expression",
        ),
        pytest.param(
            "acme: {rocket: {'(?=x)': merge}}",
            "2:43",
            'regex "(?=x)" is not valid',
            id="an expression RE2 does not know",
        ),
    ],
)
def test_a_merge_method_that_is_not_valid_is_refused_in_the_words_of_tide(
    refused: Refuse, methods: str, place: str, what: str
) -> None:
    """T1.50, T11.72, T1.3."""
    (line,) = refused(f"tide:\n  merge_method: {{{methods}}}\n")

    assert line.startswith(f"config.yaml:{place}: tide.merge_method.")
    assert what in line


def test_all_merge_methods_that_are_not_valid_are_told_at_once(refused: Refuse) -> None:
    """T11.72."""
    assert len(refused("tide: {merge_method: {a: x, b: {c: y, d: {main: z, 'invalid-regex[': merge}}}}\n")) == 4


# Where a status leads, and GitHub's verdict


@pytest.mark.parametrize(
    ("branch", "url"),
    [("acme/rocket:main", "https://c"), ("acme/other:main", "https://b"), ("other/rocket:main", "https://a")],
)
def test_the_most_specific_target_url_wins(loaded: Load, branch: str, url: str) -> None:
    """T1.16, T11.43."""
    found = loaded("tide: {target_urls: {'*': 'https://a', acme: 'https://b', acme/rocket: 'https://c'}}\n")

    assert found.target_url(Branch.parse(branch)) == url


def test_one_target_url_is_for_everybody(loaded: Load) -> None:
    """T1.15, T11.41."""
    assert loaded("tide: {target_url: 'https://a'}\n").target_url(MAIN) == "https://a"


@pytest.mark.parametrize(
    "keys", ["target_url: a, target_urls: {acme: b}", "target_urls: {acme: b}, target_url: a"], ids=["first", "last"]
)
def test_one_target_url_and_several_exclude_each_other(refused: Refuse, keys: str) -> None:
    """T1.15, T11.42."""
    (line,) = refused(f"tide: {{{keys}}}\n")

    assert "tide.target_url and tide.target_urls are mutually exclusive" in line


@pytest.mark.parametrize(
    ("branch", "policy"),
    [
        ("acme/rocket:main", BlocksPolicy.BLOCK),
        ("acme/other:main", BlocksPolicy.PERMIT),
        ("other/rocket:main", BlocksPolicy.IGNORE),
    ],
)
def test_the_most_specific_blocks_policy_wins(loaded: Load, branch: str, policy: BlocksPolicy) -> None:
    """T1.22, T11.152-T11.154."""
    found = loaded("tide: {github_merge_blocks_policy: {'*': ignore, acme: permit, acme/rocket: block}}\n")

    assert found.for_branch(Branch.parse(branch)).blocks_policy is policy


def test_an_unknown_blocks_policy_is_refused_in_the_words_of_tide(refused: Refuse) -> None:
    """T1.22, T11.82."""
    (line,) = refused("tide:\n  github_merge_blocks_policy: {'*': maybe}\n")

    assert line.startswith("config.yaml:2:37: ")
    assert (
        'tide.github_merge_blocks_policy["*"] has invalid value "maybe", must be one of: ignore, permit, block' in line
    )


# Context options


@pytest.mark.parametrize(
    ("below", "where", "whose"),
    [
        pytest.param("{o}", "2:20: tide.context_options", "*", id="everyone"),
        pytest.param("orgs: {{acme: {{{o}}}}}", "2:34: tide.context_options.orgs.acme", "acme", id="an org"),
        pytest.param(
            "orgs: {{acme: {{repos: {{rocket: {{{o}}}}}}}}}",
            "2:51: tide.context_options.orgs.acme.repos.rocket",
            "acme/rocket",
            id="a repository",
        ),
        pytest.param(
            "orgs: {{acme: {{repos: {{rocket: {{branches: {{main: {{{o}}}}}}}}}}}}}",
            "2:69: tide.context_options.orgs.acme.repos.rocket.branches.main",
            "acme/rocket:main",
            id="a branch",
        ),
    ],
)
@pytest.mark.parametrize(
    ("options", "what"),
    [
        pytest.param(
            "required-contexts: [c1], optional-contexts: [c1]",
            "contexts c1 are defined as required and optional",
            id="T11.88",
        ),
        pytest.param(
            "required-contexts: [c1], optional-regex-contexts: [c.]",
            'optional context regex "c." matches required context c1',
            id="T11.90",
        ),
    ],
)
def test_context_options_that_contradict_themselves_are_told_at_every_level_and_the_stricter_holds(
    loaded: Load, warned: Refuse, below: str, where: str, whose: str, options: str, what: str
) -> None:
    """T1.61, T12.35, D2, D8: Tide loads it, and stops those branches."""
    text = f"tide:\n  context_options: {{{below.format(o=options)}}}\n"

    assert warned(text) == [
        f"config.yaml:{where}: {whose}: {what}; name each context once, until then what is required is required"
    ]
    assert loaded(text).for_branch(MAIN).contexts.counts("c1")


def test_context_options_that_contradict_a_broader_level_are_told_once(warned: Refuse) -> None:
    """T1.59, T1.61."""
    narrower = "orgs: {acme: {repos: {rocket: {optional-contexts: [c1], branches: {main: {}}}}}}"

    (line,) = warned(f"tide: {{context_options: {{required-contexts: [c1], {narrower}}}}}\n")

    assert ": acme/rocket: contexts c1 are defined as required and optional; " in line


@pytest.mark.parametrize("pattern", ["c\\", "(?!x)", "["])
def test_a_context_expression_that_does_not_compile_makes_nothing_optional(
    loaded: Load, warned: Refuse, pattern: str
) -> None:
    """T11.92, T1.3: Tide loads it, and stops those branches."""
    text = f"tide:\n  context_options:\n    optional-regex-contexts: ['{pattern}', ^docs]\n"
    (line,) = warned(text)

    assert line.startswith(
        f'config.yaml:3:30: tide.context_options.optional-regex-contexts: regex "{pattern}" is not valid: '
    )
    contexts = loaded(text).for_branch(MAIN).contexts
    assert contexts.counts("c1")
    assert not contexts.counts("docs")


def test_a_context_expression_that_does_not_compile_stops_tide(loaded: Load) -> None:
    """T11.92, D20."""
    found = loaded("tide: {context_options: {optional-regex-contexts: ['c\\']}}\n")

    assert found.contexts_refusal(MAIN).startswith('optional context regex "c\\\\" doesn\'t compile: ')


@pytest.mark.parametrize(
    ("enabled", "refuses"),
    [
        ("{}", False),
        ("{'*': true}", True),
        ("{'*': true, acme: false}", False),
        ("{'*': false, acme: true}", True),
        ("{acme: true, acme/rocket: false}", False),
        ("{acme/other: true}", False),
        ("{acme: 7}", False),
        ("[acme]", False),
    ],
)
def test_jobs_that_are_kept_in_the_repository_are_not_known(loaded: Load, enabled: str, *, refuses: bool) -> None:
    """T3.25, D2, D20: what Tide cannot read of a repository stops it there; mergeq goes by what it is told."""
    found = loaded(f"tide:\n{QUERY}in_repo_config: {{enabled: {enabled}}}\n")

    assert bool(found.contexts_refusal(MAIN)) is refuses
    assert found.contexts(MAIN) == ContextPolicy()
    assert [".prow.yaml" in line for line in found.warnings] == [True] * ("true" in enabled)


# Several files


def folder(tmp_path: Path, **files: str) -> Path:
    """A folder of files; two underscores in a name stand for a slash."""
    root = tmp_path / "config"
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("main", ["config", "_config"])
def test_a_folder_is_its_main_file_and_supplemental_files(tmp_path: Path, main: str) -> None:
    """T1.6: queries are appended, methods are united."""
    root = folder(
        tmp_path,
        **{main: "tide: {sync_period: 5m, merge_method: {a: squash}, queries: [{orgs: [a]}]}\n"},
        more__b="tide: {merge_method: {b: rebase}, queries: [{orgs: [b]}]}\n",
        more__deep__c="tide: {queries: [{orgs: [c]}]}\n",
    )
    (root / "more" / "d.yml").write_text("tide: {queries: [{orgs: [d]}]}\n")
    (root / "more" / "notes.txt").write_text("not YAML: [")

    found = load([root])

    assert [query.orgs for query in found.queries] == [("a", "b", "d", "c")]
    assert found.sync_period == 300
    assert found.methods.for_branch(Branch("b", "x", "main")) is Method.REBASE


def test_a_folder_without_a_main_file_has_an_empty_one(tmp_path: Path) -> None:
    assert load([folder(tmp_path, extra="tide: {queries: [{orgs: [a]}]}\n")]).queries == (Query(orgs=("a",)),)


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    """Kubernetes keeps the files in a folder whose name starts with two dots; Prow does not look into it either."""
    root = tmp_path / "mounted"
    (root / "..2026_11_21").mkdir(parents=True)
    (root / "..2026_11_21" / "config.yaml").write_text("tide: {sync_period: 5m, queries: [{orgs: [a]}]}\n")
    (root / "..2026_11_21" / "more.yaml").write_text("tide: {queries: [{orgs: [b]}]}\n")
    (root / "..data").symlink_to("..2026_11_21")
    (root / "config.yaml").symlink_to("..data/config.yaml")
    (root / "more.yaml").symlink_to("..data/more.yaml")

    found = load([root])

    assert (found.queries, found.sync_period) == ((Query(orgs=("a", "b")),), 300)


def test_a_supplemental_file_may_set_no_other_key_of_tide(tmp_path: Path) -> None:
    """T1.6, T11.81."""
    root = folder(tmp_path, config="tide: {}\n", extra="tide:\n  blocker_label: x\n")

    with pytest.raises(ConfigError) as caught:
        load([root])

    assert str(caught.value) == (
        f"{root / 'extra.yaml'}:2:18: tide.blocker_label: a supplemental file may not set 'blocker_label'; "
        "only `queries` and `merge_method` may be here"
    )


def test_a_merge_method_for_one_key_may_stand_in_one_file_only(tmp_path: Path) -> None:
    """T1.6."""
    root = folder(tmp_path, config="tide: {merge_method: {a: squash}}\n", extra="tide: {merge_method: {a: squash}}\n")

    with pytest.raises(ConfigError, match=r"extra\.yaml:1:26: .*config for org or repo a passed more than once"):
        load([root])


def test_a_repository_may_be_named_flat_and_nested_in_two_files(tmp_path: Path) -> None:
    """T1.7."""
    root = folder(
        tmp_path, config="tide: {merge_method: {a/b: squash}}\n", extra="tide: {merge_method: {a: {b: merge}}}\n"
    )

    assert load([root]).methods.for_branch(Branch("a", "b", "main")) is Method.SQUASH


def test_tide_may_be_set_in_one_main_file_only(refused: Refuse) -> None:
    (line,) = refused(a="tide: {sync_period: 1m}\n", b="tide: {blocker_label: x}\n")

    assert line == "b.yaml:1:7: tide: stands in a.yaml too; keep `tide:` in one main file"


def test_the_digest_names_the_content_and_not_the_form(loaded: Load) -> None:
    one = loaded("tide: {blocker_label: a, sync_period: 1m}\n").digest

    assert loaded("# a comment\ntide:\n  sync_period: 1m\n  blocker_label: a\n").digest == one
    assert loaded("tide: {blocker_label: b, sync_period: 1m}\n").digest != one


# What is shipped


def test_the_shipped_example_loads_without_a_warning() -> None:
    found = load([shipped("policies")])

    assert found.warnings == ()
    assert found.queries


# The environment


def test_an_empty_environment_has_working_defaults(tmp_path: Path) -> None:
    found = Settings.from_environment({"HOME": str(tmp_path)})

    assert found == Settings(
        github_token="",
        github_api_url="https://api.github.com",
        redis_url="",
        state_dir=tmp_path / ".local" / "state" / "mergeq",
        config_paths=(),
        host="127.0.0.1",
        port=8080,
        public_url="",
        webhook_secrets=(),
        log_format="console",
    )


def test_every_variable_is_read(tmp_path: Path) -> None:
    found = Settings.from_environment(
        {
            "GITHUB_TOKEN": "ghp_secret",
            "GITHUB_API_URL": "https://ghe.test/api/v3/",
            "MERGEQ_REDIS_URL": "redis://cache/0",
            "MERGEQ_STATE_DIR": str(tmp_path / "state"),
            "MERGEQ_CONFIG": os.pathsep.join(["a.yaml", "", "more"]),
            "MERGEQ_LISTEN": "0.0.0.0:0",
            "MERGEQ_PUBLIC_URL": "https://queue.test/",
            "MERGEQ_WEBHOOK_SECRET": "new",
            "MERGEQ_WEBHOOK_SECRET_PREVIOUS": "old",
            "MERGEQ_LOG": "json",
        }
    )

    assert found == Settings(
        github_token="ghp_secret",
        github_api_url="https://ghe.test/api/v3",
        redis_url="redis://cache/0",
        state_dir=tmp_path / "state",
        config_paths=(Path("a.yaml"), Path("more")),
        host="0.0.0.0",  # noqa: S104 -- what is read, not what is bound
        port=0,
        public_url="https://queue.test",
        webhook_secrets=("new", "old"),
        log_format="json",
    )


@pytest.mark.parametrize(
    ("variable", "bad"),
    [
        ("MERGEQ_LISTEN", "8080"),
        ("MERGEQ_LISTEN", ":8080"),
        ("MERGEQ_LISTEN", "localhost"),
        ("MERGEQ_LISTEN", "localhost:http"),
        ("MERGEQ_LISTEN", "localhost:70000"),
        ("MERGEQ_LISTEN", "localhost:-1"),
        ("MERGEQ_LISTEN", "localhost:²"),
        ("GITHUB_API_URL", "api.github.com"),
        ("GITHUB_API_URL", "ftp://api.github.com"),
        ("GITHUB_API_URL", "https://"),
        ("GITHUB_API_URL", "https://[broken"),
        ("MERGEQ_PUBLIC_URL", "queue.test"),
        ("MERGEQ_PUBLIC_URL", "javascript:alert(1)"),
        ("MERGEQ_PUBLIC_URL", "http://[broken"),
        ("MERGEQ_LOG", "xml"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_in_one_line(variable: str, bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment({variable: bad})

    (line,) = caught.value.problems
    assert line.startswith(f"{variable}: must be ")


def test_all_variables_that_cannot_be_used_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment(
            {"MERGEQ_LISTEN": "x", "GITHUB_API_URL": "y", "MERGEQ_PUBLIC_URL": "z", "MERGEQ_LOG": "w"}
        )

    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "MERGEQ_LISTEN",
        "GITHUB_API_URL",
        "MERGEQ_PUBLIC_URL",
        "MERGEQ_LOG",
    ]


def test_an_ipv6_address_may_be_listened_on() -> None:
    found = Settings.from_environment({"MERGEQ_LISTEN": "[::1]:8080"})

    assert (found.host, found.port) == ("[::1]", 8080)


def test_state_is_kept_where_the_desktop_keeps_it(tmp_path: Path) -> None:
    found = Settings.from_environment({"XDG_STATE_HOME": str(tmp_path), "HOME": "/elsewhere"})

    assert found.state_dir == tmp_path / "mergeq"


def test_a_relative_state_folder_is_made_absolute() -> None:
    assert Settings.from_environment({"MERGEQ_STATE_DIR": "state"}).state_dir == Path("state").absolute()


@pytest.mark.parametrize(
    ("api", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghe.test/api/v3", "https://ghe.test/api/graphql"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/graphql"),
    ],
)
def test_graphql_is_found_beside_rest(api: str, graphql: str) -> None:
    assert Settings.from_environment({"GITHUB_API_URL": api}).graphql_url == graphql


def test_an_unset_secret_is_no_secret() -> None:
    found = Settings.from_environment({"MERGEQ_WEBHOOK_SECRET": "", "MERGEQ_WEBHOOK_SECRET_PREVIOUS": "old"})

    assert found.webhook_secrets == ("old",)


def test_secrets_are_not_shown() -> None:
    found = Settings.from_environment(
        {
            "GITHUB_TOKEN": "ghp_secret",
            "MERGEQ_WEBHOOK_SECRET": "hush",
            "MERGEQ_WEBHOOK_SECRET_PREVIOUS": "quiet",
            "MERGEQ_REDIS_URL": "redis://:password@cache/0",
        }
    )

    for shown in (repr(found), str(found), f"{found}"):
        assert [secret for secret in ("ghp_secret", "hush", "quiet", "password") if secret in shown] == []
