"""The JSON Schemas of Prow's sections say what the loader does: the same keys, and no value refused that it takes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mergeq import shipped
from mergeq.config import ConfigError
from mergeq.config.documents import parse
from mergeq.config.policy import configuration_of
from mergeq.config.protection import _FIELDS, _GLOBAL_FLAGS
from mergeq.config.reading import Reading, seconds_of
from mergeq.config.schemas import _refs, schema, validator
from mergeq.config.tide import _CONTEXT_KNOWN, QUERY_KEYS, TideSection
from mergeq.core.pool import BlocksPolicy
from mergeq.core.pull import Method

SECTIONS = {"tide": "tide-config", "branch-protection": "branch-protection"}
VALUES = [None, True, 7, -7, 1.5, "x", "1m", "squash", "", [], ["x"], [7], [None], {}, {"x": "x"}, {"x": 7}]


def paths(root: dict[str, Any], node: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key that a schema knows, with ``*`` for names that people choose and ``[]`` for the items of a list."""
    node = root["$defs"][node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else node
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(root, child, f"{path}.{name}")
    for key, mark in (("additionalProperties", ".*"), ("items", "[]")):
        if isinstance(child := node.get(key), dict):
            yield f"{path}{mark}"
            yield from paths(root, child, f"{path}{mark}")
    for option in node.get("anyOf", ()):
        yield from paths(root, option, path)


def keys_of_schema(section: str) -> set[str]:
    found = schema(SECTIONS[section])
    return set(paths(found, found))


def levels(keys: list[str], *, above: str = "") -> Iterator[str]:
    """The same keys at every level from everyone down to a branch."""
    for below in ("", ".orgs.*", ".orgs.*.repos.*", ".orgs.*.repos.*.branches.*"):
        yield from (f"{above}{below}.{key}" for key in keys)
        if below:
            yield from (f"{above}{below.rpartition('.')[0]}", f"{above}{below}")


def nested(kinds: dict[str, Any]) -> Iterator[str]:
    for key, kind in kinds.items():
        yield key
        if isinstance(kind, dict):
            yield from (f"{key}.{below}" for below in nested(kind))
        elif kind is list:
            yield f"{key}[]"


def keys_of_parser(section: str) -> set[str]:
    if section == "branch-protection":
        return {*levels(list(nested(_FIELDS))), *(f".{flag}" for flag in _GLOBAL_FLAGS)}
    lists = [key for key in QUERY_KEYS if key.endswith("s")]
    flags = {"skip-unknown-contexts", "from-branch-protection", "overwrite-pending-contexts"}
    contexts = [key + mark for key in _CONTEXT_KNOWN for mark in ("", "[]") if not (mark and key in flags)]
    maps = (
        "batch_size_limit prioritize_existing_batches github_merge_blocks_policy merge_commit_template "
        "target_urls pr_status_base_urls merge_method"
    )
    return {
        *(f".{key}" for key in TideSection(Reading([]))._readers),
        ".queries[]",
        *(f".queries[].{key}" for key in QUERY_KEYS),
        *(f".queries[].{key}[]" for key in lists),
        *(f".{key}.*" for key in maps.split()),
        ".merge_method.*.*",
        ".merge_method.*.*.*",
        *(f".merge_commit_template.*.{part}" for part in ("title", "body")),
        ".priority[]",
        ".priority[].labels",
        ".priority[].labels[]",
        *levels(contexts, above=".context_options"),
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_a_schema_has_the_keys_that_the_loader_knows_and_no_other(section: str) -> None:
    assert keys_of_schema(section) ^ keys_of_parser(section) == set()


def placed(path: str, value: Any) -> Any:
    """A section that has a value at a path."""
    for piece in reversed(path.replace("[]", ".[]").removeprefix(".").split(".")):
        value = [value] if piece == "[]" else {"acme" if piece == "*" else piece: value}
    return value


def said(section: str, value: Any) -> tuple[list[str], list[str]]:
    """The problems and the warnings of a section."""
    raw = json.dumps({section: value}).encode()
    try:
        found = configuration_of([(parse(raw, "config.yaml"), True)], [], "config.yaml")
    except ConfigError as error:
        return list(error.problems), []
    return [], [line for line in found.warnings if "has no `tide.queries`" not in line]


@pytest.mark.parametrize(
    ("section", "path"), [(section, path) for section in SECTIONS for path in ["", *sorted(keys_of_schema(section))]]
)
def test_the_loader_complains_of_what_a_schema_refuses_and_a_schema_refuses_what_is_of_another_kind(
    section: str, path: str
) -> None:
    for value in VALUES:
        tried = placed(path, value) if path else value
        refused = [error.message for error in validator(SECTIONS[section]).iter_errors(tried)]
        problems, warnings = said(section, tried)

        assert not refused or problems or warnings, (tried, refused)
        of_another_kind = [line for line in problems if " must be " in line or "is not a duration" in line]
        assert refused or not of_another_kind, (tried, of_another_kind)


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_that_are_not_known_are_left_to_the_loader(section: str) -> None:
    """Prow takes them, and so does an editor; `config check` tells."""
    assert validator(SECTIONS[section]).is_valid({"zzz": 1, "orgs": {"acme": {"zzz": {}}}})


def test_what_can_be_chosen_is_what_the_core_knows() -> None:
    tide = schema("tide-config")
    policies = tide["properties"]["github_merge_blocks_policy"]["additionalProperties"]["enum"]
    methods = tide["$defs"]["methods_of_repo"]["anyOf"][1]["additionalProperties"]["enum"]

    assert set(policies) == {one.value for one in BlocksPolicy}
    assert set(methods) == {one.value for one in Method}


@pytest.mark.parametrize(
    "text", ["1m", "1h30m", ".5s", "1.h", "0", "+1m", "-1m", "250µs", "", "1", "1 m", "1m\n", "m", "1d"]
)
def test_a_duration_is_one_to_the_schema_when_it_is_one_to_the_loader(text: str) -> None:
    assert validator("tide-config").is_valid({"sync_period": text}) is (seconds_of(text) is not None)


def test_include_and_exclude_exclude_each_other_for_everyone_alone() -> None:
    """P1.26."""
    both = {"include": ["a"], "exclude": ["b"]}

    assert not validator("branch-protection").is_valid(both)
    assert validator("branch-protection").is_valid({"orgs": {"acme": both}, "include": [], "exclude": ["b"]})


@pytest.mark.parametrize("file", sorted(shipped("schemas").glob("*.json")), ids=lambda file: file.name)
def test_a_schema_is_named_after_its_file_and_has_a_title(file: Any) -> None:
    found = json.loads(file.read_bytes())

    assert found["$id"] == file.name
    assert found["title"]
    jsonschema.Draft202012Validator.check_schema(found)


@pytest.mark.parametrize("example", sorted(shipped("policies").glob("*.yaml")), ids=lambda file: file.name)
def test_an_example_names_the_schema_that_it_is_checked_by_and_passes_it(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    file = shipped("policies") / first.removeprefix("# yaml-language-server: $schema=")

    assert file.resolve() == shipped("schemas") / "config.schema.json"
    assert first in (shipped("schemas") / "README.md").read_text(encoding="utf-8")
    assert [error.message for error in validator("config").iter_errors(yaml.safe_load(text))] == []


def test_what_a_schema_takes_from_others_and_they_from_others_is_in_it() -> None:
    """A page of repositories, each with items, each with values: three files in one piece."""
    whole = schema("protection")

    assert {"protection-repo", "protect-item", "protect-item.values"} <= set(whole["$defs"])
    assert [ref for ref in _refs(whole) if not ref.startswith("#/$defs/")] == []
    assert not validator("protection").is_valid({"orgs": [], "held": [], "exemptions": [], "repos": [{}]})


def test_every_schema_is_in_the_readme() -> None:
    text = (shipped("schemas") / "README.md").read_text(encoding="utf-8")

    assert [file.name for file in shipped("schemas").glob("*.json") if f"`{file.name}`" not in text] == []
