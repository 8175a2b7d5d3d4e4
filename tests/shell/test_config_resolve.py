"""`mergeq config check | queries | resolve | schema`: what they print, for people and as documents."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from mergeq import shipped
from mergeq.cli import cli, main
from mergeq.config import load
from tests.shell.test_config import Write, folder, write

__all__ = ["write"]  # a fixture

Run = Callable[..., Result]

FULL = """tide:
  merge_method:
    acme: {rocket: {'^ma': squash}}
  squash_label: m/squash
  target_urls: {'*': 'https://a', acme: 'https://b'}
  batch_size_limit: {acme: 5}
  merge_commit_template: {acme/rocket: {title: a title}}
  priority: [{labels: [urgent]}]
  context_options:
    from-branch-protection: true
    required-contexts: [everywhere]
    orgs:
      acme:
        skip-unknown-contexts: true
        optional-regex-contexts: [^docs]
        repos:
          rocket:
            optional-contexts: [nice]
            required-contexts: [unit]
  queries:
  - orgs: [acme]
    labels: [lgtm]
  - repos: [acme/rocket]
    includedBranches: [next]
  - repos: [other/x]
    labels: [lgtm]
branch-protection:
  orgs:
    acme:
      protect: true
      required_status_checks: {contexts: [unit, cla]}
      repos:
        rocket:
          required_status_checks: {contexts: [lint], strict: true}
          restrictions: {}
presubmits:
  acme/rocket:
  - {name: unit, always_run: true}
  - {name: docs, run_if_changed: docs}
  - {name: old, always_run: true, branches: [^old$]}
mergeq:
  queue:
    slots: 3
    context_apps: {unit: jenkins}
    orgs:
      acme:
        slots: 4
        staging: {keep: 1h}
"""


def at(text: str) -> str:
    """``line:column`` of what follows the » in a piece of FULL."""
    before, _, after = text.partition("»")
    assert FULL.count(before + after) == 1, text
    lines = (FULL[: FULL.index(before + after)] + before).split("\n")
    return f"{len(lines)}:{len(lines[-1]) + 1}"


FIRST, NEXT, OTHER = at("- »orgs: [acme]"), at("- »repos: [acme/rocket]"), at("- »repos: [other/x]")


@pytest.fixture
def mergeq(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command."""
    monkeypatch.delenv("MERGEQ_CONFIG", raising=False)
    return lambda *words: CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def document(done: Result, name: str) -> Any:
    """The document that was printed, valid against its schema."""
    schema = json.loads((shipped("schemas") / f"config-{name}.schema.json").read_bytes())
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


# check


def test_a_configuration_that_can_be_used_is_ok(mergeq: Run, write: Write) -> None:
    (file,) = write("tide:\n  queries: [{orgs: [acme]}]\n")

    done = mergeq("config", "check", "--config", file)

    assert (done.exit_code, done.stdout) == (0, "ok: 1 file, 1 query, 0 warnings\n")


def test_what_has_no_effect_is_told_and_is_still_ok(mergeq: Run, write: Write) -> None:
    (file,) = write("tide:\n  queries: [{orgs: [acme]}]\n  zzz: 1\n")
    says = "tide.zzz: is not a key that is known here, so it has no effect; remove it"

    done = mergeq("config", "check", "--config", file)
    as_json = mergeq("config", "check", "--config", file, "--json")

    assert done.exit_code == as_json.exit_code == 0
    assert done.stdout.splitlines() == [f"warning: {file}:3:8: {says}", "ok: 1 file, 1 query, 1 warning"]
    assert document(as_json, "check") == {
        "ok": True,
        "files": [str(file)],
        "queries": 1,
        "problems": [],
        "warnings": [{"where": f"{file}:3:8", "says": says}],
    }


def test_every_problem_of_a_configuration_is_told_and_it_is_not_ok(mergeq: Run, write: Write, tmp_path: Path) -> None:
    (file,) = write("tide: {queries: {}, sync_period: soon}\n")
    gone = tmp_path / "gone.yaml"

    done = mergeq("config", "check", "--config", file, "--config", gone)
    as_json = mergeq("config", "check", "--config", file, "--config", gone, "--json")

    assert done.exit_code == as_json.exit_code == 1
    assert done.stdout.splitlines() == [
        f"problem: {gone}: cannot be read (No such file or directory); check the path and its permissions",
        f"problem: {file}:1:17: tide.queries: must be a list, but is {{}}; mend the value",
        f"problem: {file}:1:34: tide.sync_period: 'soon' is not a duration; write it as 1m, 90s or 1h30m",
        "3 problems: this configuration cannot be used",
    ]
    found = document(as_json, "check")
    assert not found["ok"]
    assert found["files"] == [str(file)]
    assert [line["where"] for line in found["problems"]] == [str(gone), f"{file}:1:17", f"{file}:1:34"]


def test_without_a_configuration_the_environment_is_asked(
    mergeq: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = write("tide: {queries: [{orgs: [acme]}]}\n")
    monkeypatch.setenv("MERGEQ_CONFIG", str(file))

    assert mergeq("config", "check").stdout == "ok: 1 file, 1 query, 0 warnings\n"


# queries


def test_the_searches_are_printed_as_they_are_sent(mergeq: Run, write: Write) -> None:
    (file,) = write(FULL)

    done = mergeq("config", "queries", "--config", file)

    assert done.stdout.splitlines() == [
        f"# query 0, {file}:{NEXT}",
        'is:pr state:open archived:false base:"next" repo:"acme/rocket"',
        f"# query 1, {file}:{FIRST}, {file}:{OTHER}",
        'is:pr state:open archived:false label:"lgtm" org:"acme"',
        'is:pr state:open archived:false label:"lgtm" repo:"other/x"',
    ]


def test_the_queries_are_a_document(mergeq: Run, write: Write) -> None:
    (file,) = write(FULL)

    found = document(mergeq("config", "queries", "--config", file, "--json"), "queries")

    assert found["queries"][1] == {
        "index": 1,
        "search": 'is:pr state:open archived:false label:"lgtm" org:"acme" repo:"other/x"',
        "searches": [
            'is:pr state:open archived:false label:"lgtm" org:"acme"',
            'is:pr state:open archived:false label:"lgtm" repo:"other/x"',
        ],
        "from": [f"{file}:{FIRST}", f"{file}:{OTHER}"],
    }
    assert found["open_pulls"] == [
        'is:pr state:open archived:false repo:"acme/rocket"',
        'is:pr state:open archived:false org:"acme"',
        'is:pr state:open archived:false repo:"other/x"',
    ]


def test_the_searches_of_tide_are_printed_to_compare_with(mergeq: Run, write: Write) -> None:
    """T2.3-T2.6, D20: several scopes in one with a token, one org each as a GitHub App, and a window of time."""
    (file,) = write(FULL)

    done = mergeq("config", "queries", "--compat", "tide", "--config", file)
    found = document(mergeq("config", "queries", "--compat", "tide", "--config", file, "--json"), "queries")

    window = re.compile(r" updated:2007-01-01T00:00:00Z\.\.20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    assert [window.sub(" WINDOW", line) for line in done.stdout.splitlines()] == [
        f"# query 0, {file}:{NEXT}",
        'is:pr state:open archived:false base:"next" repo:"acme/rocket" WINDOW',
        f"# query 1, {file}:{FIRST}, {file}:{OTHER}",
        'is:pr state:open archived:false label:"lgtm" org:"acme" repo:"other/x" WINDOW',
        "# the same as a GitHub App",
        'is:pr state:open archived:false label:"lgtm" org:"acme" WINDOW',
        'is:pr state:open archived:false label:"lgtm" repo:"other/x" WINDOW',
    ]
    assert found["compat"] == "tide"
    assert [len(query["searches"]) for query in found["queries"]] == [1, 2]
    assert all(window.search(text) for query in found["queries"] for text in (query["search"], *query["searches"]))


# resolve


@pytest.fixture
def resolved(mergeq: Run, write: Write) -> dict[str, Any]:
    """What is in force on acme/rocket:main, with the name of the file left out of the places."""
    (file,) = write(FULL)
    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")
    found = document(done, "resolve")
    assert isinstance(found, dict)
    text = json.dumps(found).replace(f"{file}:", "")
    plain: dict[str, Any] = json.loads(text)
    return plain


def settings(found: dict[str, Any], section: str) -> dict[str, tuple[Any, list[str]]]:
    return {one["key"]: (one["value"], one["from"]) for one in found[section]}


def test_the_queries_of_the_repository_are_shown(resolved: dict[str, Any]) -> None:
    assert [(one["index"], one["admits_branch"], one["from"]) for one in resolved["queries"]] == [
        (0, False, [NEXT]),
        (1, True, [FIRST, OTHER]),
    ]


def test_every_context_is_shown_with_all_that_demand_it(resolved: dict[str, Any]) -> None:
    assert [(one["key"], one["value"], one["from"]) for one in resolved["contexts"]] == [
        ("required-contexts", "cla", [at("[unit, »cla]")]),
        ("required-contexts", "everywhere", [at("[»everywhere]")]),
        ("required-contexts", "lint", [at("[»lint]")]),
        ("required-contexts", "unit", [at("required-contexts: [»unit]"), at("[»unit, cla]"), at("- »{name: unit")]),
        ("required-if-present-contexts", "docs", [at("- »{name: docs")]),
        ("optional-contexts", "nice", [at("[»nice]")]),
        ("optional-regex-contexts", "^docs", [at("[»^docs]")]),
        ("skip-unknown-contexts", True, [at("skip-unknown-contexts: »")]),
        ("from-branch-protection", True, [at("from-branch-protection: »")]),
        ("overwrite-pending-contexts", False, []),
    ]
    assert resolved["problems"] == ['optional context regex "^docs" matches required if present context docs']


def test_everything_of_tide_is_shown_with_its_place(resolved: dict[str, Any]) -> None:
    found = settings(resolved, "tide")

    assert {key: found[key] for key in found if found[key][1]} == {
        "merge_method": ("squash", [at("'^ma': »squash")]),
        "squash_label": ("m/squash", [at("squash_label: »")]),
        "target_urls": ("https://b", [at("acme: »'https")]),
        "batch_size_limit": (5, [at("{acme: »5}")]),
        "merge_commit_template.title": ("a title", [at("title: »a title")]),
        "priority": ([["urgent"]], [at("priority: »")]),
    }
    assert found["sync_period"] == (60.0, [])
    assert found["github_merge_blocks_policy"] == ("permit", [])


def test_everything_of_ours_is_shown_with_its_place(resolved: dict[str, Any]) -> None:
    found = settings(resolved, "mergeq")

    assert {key: found[key] for key in found if found[key][1]} == {
        "queue.slots": (4, [at("slots: »4")]),
        "queue.context_apps.unit": ("jenkins", [at("{unit: »jenkins}")]),
        "queue.staging.keep": (3600.0, [at("keep: »1h")]),
    }
    assert found["queue.retest"] == ("head", [])
    assert found["queue.voided_by_push"] == (["lgtm"], [])
    assert found["queue.staging_contexts"] == ([], [])
    assert found["status_context"] == ("tide", [])


def test_the_merged_levels_of_protection_are_shown_with_all_their_places(resolved: dict[str, Any]) -> None:
    assert settings(resolved, "protection") == {
        "protect": (True, [at("protect: »true")]),
        "required_status_checks.contexts": (
            ["cla", "lint", "unit"],
            [at("contexts: »[unit, cla]"), at("contexts: »[lint]")],
        ),
        "required_status_checks.strict": (True, [at("strict: »true")]),
        "restrictions": ({}, [at("restrictions: »")]),
    }


def test_a_branch_is_shown_to_people(mergeq: Run, write: Write) -> None:
    (file,) = write(FULL)

    lines = mergeq("config", "resolve", "acme/rocket:main", "--config", file).stdout.splitlines()

    assert lines[:5] == [
        "acme/rocket:main",
        '  problem: optional context regex "^docs" matches required if present context docs',
        "",
        "queries",
        '  0  not for this branch: is:pr state:open archived:false base:"next" repo:"acme/rocket"',
    ]
    assert lines[5] == f"     {file}:{NEXT}"
    told = [re.split(r"\s{2,}", line.strip()) for line in lines]
    assert ["required-contexts", "cla", f"{file}:{at('[unit, »cla]')}"] in told
    assert ["queue.batch_size_limit", "not set", "default"] in told
    assert ["queue.staging.timeout", "2h", "default"] in told
    assert ["queue.staging.keep", "1h", f"{file}:{at('keep: »1h')}"] in told
    assert ["queue.settle", "0s", "default"] in told
    assert ["prioritize_existing_batches", "true", "default"] in told
    assert ["queue.staging_contexts", "none", "default"] in told
    assert ["priority", "[urgent]", f"{file}:{at('priority: »')}"] in told
    assert ["restrictions", "none", f"{file}:{at('restrictions: »')}"] in told


def test_the_columns_of_a_section_stand_under_each_other(mergeq: Run, write: Write) -> None:
    (file,) = write(FULL)

    lines = mergeq("config", "resolve", "acme/rocket:main", "--config", file).stdout.splitlines()
    section = lines[lines.index("mergeq") + 1 : lines.index("protection") - 1]

    assert len({line.index(value) for line in section for value in ("default", str(file)) if value in line}) == 1


def test_a_branch_that_nothing_is_said_about_has_the_defaults(mergeq: Run, write: Write) -> None:
    (file,) = write("tide: {queries: [{orgs: [other]}], pr_status_base_urls: {'*': 'https://a'}}\n")

    lines = mergeq("config", "resolve", "acme/rocket:main", "--config", file).stdout.splitlines()

    assert "queries: none speaks about this repository, so nothing will merge" in lines
    assert "protection: nothing" in lines
    assert f"  pr_status_base_urls                 https://a  {file}:1:63" in lines


def test_one_url_for_everybody_is_shown_where_it_stands(mergeq: Run, write: Write) -> None:
    (file,) = write("tide: {pr_status_base_url: 'https://a'}\n")

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")

    assert settings(document(done, "resolve"), "tide")["pr_status_base_urls"] == ("https://a", [f"{file}:1:28"])


def test_the_period_of_statuses_stands_where_it_is_taken_from(mergeq: Run, write: Write) -> None:
    """T1.9."""
    (file,) = write("tide: {sync_period: 1m30s}\n")

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")

    assert settings(document(done, "resolve"), "tide")["status_update_period"] == (90.0, [f"{file}:1:21"])


def test_the_flags_of_protection_are_shown(mergeq: Run, write: Write) -> None:
    (file,) = write("branch-protection: {protect-tested-repos: true}\n")

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")

    assert settings(document(done, "resolve"), "protection") == {"protect-tested-repos": (True, [f"{file}:1:43"])}


@pytest.mark.parametrize(
    ("branch", "shown"),
    [
        ("acme/rocket:main", ["mode", "orgs.acme.mode", "orgs.acme.repos.rocket.lock_branch"]),
        ("acme/other:main", ["mode", "orgs.acme.mode"]),
        ("other/rocket:main", ["mode"]),
    ],
)
def test_what_is_said_of_protection_is_shown_to_whom_it_is_about(
    mergeq: Run, write: Write, branch: str, shown: list[str]
) -> None:
    (file,) = write(
        "mergeq: {protection: {mode: observe, orgs: {acme: {mode: enforce, repos: {rocket: {lock_branch: true}}}}}}\n"
    )

    found = document(mergeq("config", "resolve", branch, "--config", file, "--json"), "resolve")

    said = settings(found, "mergeq")
    assert [key for key, (_, places) in said.items() if key.startswith("protection.") and places] == [
        f"protection.{key}" for key in shown
    ]
    assert said["protection.period"] == (21600.0, [])


WISHED = """
branch-protection:
  required_status_checks: {contexts: [cla]}
  orgs: {acme: {protect: true, restrictions: {teams: [crew]}}}
mergeq:
  protection:
    orgs: {acme: {repos: {rocket: {checks: [{context: cla, app: easycla}], patterns: {"v*": {lock_branch: true}}}}}}
"""


def test_what_protection_comes_to_on_a_branch_is_shown_with_the_lines_that_say_so(mergeq: Run, write: Write) -> None:
    """P7.2."""
    (file,) = write(WISHED)

    on_main, on_v1 = (
        settings(
            document(mergeq("config", "resolve", f"acme/rocket:{name}", "--config", file, "--json"), "resolve"),
            "wished",
        )
        for name in ("main", "v1")
    )
    shown = mergeq("config", "resolve", "acme/rocket:main", "--config", file).stdout.partition("\nwished\n")[2]

    checks = [{"context": "cla", "app": "easycla"}]
    assert on_main["protect"] == (True, [f"{file}:4"])
    assert on_main["required_status_checks.contexts"] == (checks, [f"{file}:3", f"{file}:7"])
    assert on_main["restrictions"] == ({"users": [], "teams": ["crew"], "apps": []}, [f"{file}:4"])
    assert "lock_branch" not in on_main
    assert on_v1["lock_branch"] == (True, [f"{file}:7"])
    rows = {line.split()[0]: " ".join(line.split()[1:-1]) for line in shown.splitlines()}
    assert rows["restrictions"] == "teams: crew"
    assert rows["required_status_checks.contexts"] == f"[context: cla, app: easycla] {file}:3,"


def test_why_it_cannot_be_told_what_protection_comes_to_is_shown(mergeq: Run, write: Write) -> None:
    (file,) = write(WISHED.replace("teams: [crew]", "apps: [bot]"))

    found = document(mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json"), "resolve")

    assert found["problems"] == [
        "restrictions.apps is set, but enable_apps_restrictions is not; set it, or remove the apps"
    ]
    assert found["wished"] == []


@pytest.mark.parametrize(("year", "says"), [(2020, "ended more than 7 days ago"), (2999, "would last longer than")])
def test_an_exemption_that_is_over_or_too_long_is_found_by_a_check(
    mergeq: Run, write: Write, year: int, says: str
) -> None:
    """P7.11: but it does not keep a configuration from being loaded some other day."""
    one = f"{{id: x, target: 'a/b:c', until: {year}-01-01T00:00:00Z, owner: jo, reason: r}}"
    (file,) = write(f"mergeq: {{protection: {{exemptions: [{one}]}}}}\n")

    done = mergeq("config", "check", "--config", file)

    assert done.exit_code == 1
    assert f"{file}:1:36: mergeq.protection.exemptions.0: the exemption 'x' {says}" in done.stdout
    assert load([file]).protection_values.exemptions[0].id == "x"


def test_our_own_limit_of_batches_is_shown_where_it_stands(mergeq: Run, write: Write) -> None:
    (file,) = write("tide: {batch_size_limit: {acme: 5}}\nmergeq: {queue: {batch_size_limit: 8}}\n")

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")

    assert settings(document(done, "resolve"), "tide")["batch_size_limit"] == (8, [f"{file}:2:36"])


def test_a_value_of_a_supplemental_file_is_shown_with_that_file(mergeq: Run, tmp_path: Path) -> None:
    root = folder(
        tmp_path, config="tide: {queries: [{orgs: [acme]}]}\n", more__x="tide: {merge_method: {acme: rebase}}\n"
    )

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", root, "--json")

    where = [f"{root / 'more' / 'x.yaml'}:1:29"]
    assert settings(document(done, "resolve"), "tide")["merge_method"] == ("rebase", where)


def test_a_key_in_another_case_is_shown_where_it_stands(mergeq: Run, write: Write) -> None:
    (file,) = write("tide: {Squash_Label: x}\n")

    done = mergeq("config", "resolve", "acme/rocket:main", "--config", file, "--json")

    assert settings(document(done, "resolve"), "tide")["squash_label"] == ("x", [f"{file}:1:22"])


# schema


def test_the_schemas_are_listed_with_what_they_are_of(mergeq: Run) -> None:
    done = mergeq("config", "schema")
    found = document(mergeq("config", "schema", "--json"), "schema")["schemas"]

    files = {file.name.removesuffix(".schema.json") for file in shipped("schemas").glob("*.json")}
    assert {one["name"] for one in found} == files
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        [one["name"], one["title"]] for one in found
    ]
    assert len({one["title"] for one in found}) == len(found)


@pytest.mark.parametrize(
    "name", sorted(file.name.removesuffix(".schema.json") for file in shipped("schemas").glob("*.json"))
)
def test_a_schema_is_printed_in_one_piece(mergeq: Run, name: str) -> None:
    found = json.loads(mergeq("config", "schema", name).stdout)

    jsonschema.Draft202012Validator.check_schema(found)
    refs = re.findall(r'"\$ref": "([^"]*)"', json.dumps(found))
    assert {ref for ref in refs if not ref.startswith("#/$defs/")} == set()
    assert {ref.removeprefix("#/$defs/") for ref in refs} <= found.get("$defs", {}).keys()


def test_the_schema_of_a_file_checks_all_its_sections(mergeq: Run) -> None:
    whole = jsonschema.Draft202012Validator(json.loads(mergeq("config", "schema", "config").stdout))
    wrong = {
        "tide": {"queries": [{"orgs": [7]}], "context_options": {"orgs": {"a": {"required-contexts": "x"}}}},
        "branch-protection": {"orgs": {"a": {"protect": "yes"}}},
        "mergeq": {"queue": {"slot": 1}},
        "plank": 7,
    }

    assert {".".join(map(str, error.absolute_path)) for error in whole.iter_errors(wrong)} == {
        "tide.queries.0.orgs.0",
        "tide.context_options.orgs.a.required-contexts",
        "branch-protection.orgs.a.protect",
        "mergeq.queue",
    }


def test_a_schema_that_is_not_there_is_wrong_usage(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["mergeq", "config", "schema", "merge"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 64
    assert "Error: no schema is called 'merge'; did you mean 'mergeq'?" in capfd.readouterr().err
