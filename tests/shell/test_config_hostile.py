"""Whatever a file holds, reading it ends, with a configuration or with one line for each thing that is wrong."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mergeq import shipped
from mergeq.config import ConfigError, load
from mergeq.config.documents import parse
from mergeq.config.resolve import queries_of, resolve
from mergeq.core.protection import RepoFacts, spoken_values
from tests.shell.test_config import MAIN, Refuse, Write, loaded, refused, warned, write
from tests.shell.test_config_resolve import FULL

__all__ = ["loaded", "refused", "warned", "write"]  # the fixtures

OURS = "mergeq:\n" + (shipped("policies") / "README.md").read_text().partition("mergeq:\n")[2].partition("```")[0]
ANCHORED = """
base: &base {protect: true, required_status_checks: {contexts: &names [cla, "ci/a: b"]}}
branch-protection:
  allow_disabled_policies: true
  exclude: ['^dependabot/']
  orgs:
    acme: {<<: *base, repos: {rocket: {branches: {main: *base}}, other: {restrictions: {teams: *names}}}}
tide:
  queries: &queries
  - orgs: [acme]
    missingLabels: *names
"""
EXTRA = """
mergeq:
  protection:
    gate: {max_removals: 5}
    floor: {required_status_checks: {contexts: [cla]}}
    exemptions:
    - {id: x, target: "acme/rocket:v*", until: 2026-12-01T00:00:00Z, owner: jo, reason: r, patch: {protect: false}}
    orgs: {acme: {mode: enforce, remove: {contexts: [cla]}, repos: {rocket: {
      checks: [{context: cla, app: easycla}], ownership: {enforce_admins: preserve}, required_deployments: [prod],
      bypass_force_push_allowances: {apps: [bot]}, branches: {main: {lock_branch: true}},
      patterns: {"v*": {protect: true}, "~DEFAULT_BRANCH": {protect: true}}}}}}
  notifications: [{kind: webhook, url: "https://hooks.test/x", secret_env: MERGEQ_SECRET_HOOK, events: [halted]}]
  budget: {reserve: 20%}
"""
CONFIG_MAP = (
    "kind: ConfigMap\ndata:\n  config.yaml: |\n    tide:\n      queries:\n      - {orgs: [acme], labels: [lgtm]}\n"
)
BASES = [(shipped("policies") / "config.yaml").read_text(), FULL, OURS, ANCHORED, ANCHORED + EXTRA, CONFIG_MAP]
PIECES = [
    b"*names ", b"&names ", b"<<: ", b"\x00", b"\xff", b"\x1b", b"!!python/object/apply:x ", b"!!binary ", b"! ",
    b"[", b"]", b"{", b"}", b"- ", b": ", b"? ", b"#", b"~", b"'", b'"', b'"\\n"', b"| ", b"> ", b"\t", b"\r", b"\n  ",
    b"\n---\n", b"\n...\n", b"%YAML 9\n", b"9" * 5000, b".nan", b"-.inf", b"0x", b"1:30", b"\xe2\x80\xa8",
]  # fmt: skip
ODD: list[Any] = [
    None, True, -1, 10**30, 1.5, float("nan"), "", "a\nb", "\u2028", "\x07", "*", "(", "@", ":", "/", "release-*",
    "acme/rocket@", "1m\n", "9" * 5000 + "h", "x" * 5000, [], [None], [[[]]], {}, {"": {}}, {"a\nb": 1},
    {"orgs": {"acme": None}},
]  # fmt: skip


ROCKET = RepoFacts("acme/rocket", branches=frozenset({"main", "v1", "dependabot/x"}), default_branch="main")


def spoilt_bytes(raw: bytes, chance: random.Random) -> bytes:
    """A few bytes lost, doubled, moved or put in."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(raw) + 1)
        end = min(len(raw), start + chance.choice((1, 1, 2, 5, 40)))
        match chance.randrange(4):
            case 0:
                raw = raw[:start] + raw[end:]
            case 1:
                raw = raw[:end] + raw[start:end] * chance.choice((1, 2, 50)) + raw[end:]
            case 2:
                raw = raw[:start] + chance.choice(PIECES) + raw[start:]
            case _:
                raw = raw[:start] + chance.choice(PIECES) + raw[end:]
    return raw


def spoilt_values(raw: bytes, chance: random.Random) -> bytes:
    """A few values replaced, lost, renamed or nested, in a file that is sound as YAML."""
    value = json.loads(json.dumps(parse(raw, "base").value))
    for _ in range(chance.randint(1, 3)):
        parent, key = chance.choice(list(children(value)) or [({"all": value}, "all")])
        match chance.randrange(4):
            case 0:
                parent[key] = chance.choice(ODD)
            case 1:
                del parent[key]
            case 2 if isinstance(parent, dict):
                parent[str(chance.choice(ODD))] = parent.pop(key)
            case _:
                parent[key] = chance.choice(([parent[key]], {"orgs": parent[key]}, {str(key): parent[key]}))
    return json.dumps(value).encode()


def children(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value, as its container and its key there."""
    for key, child in list(
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield node, key
        yield from children(child)


@pytest.mark.parametrize("spoil", [spoilt_bytes, spoilt_values])
def test_a_spoilt_file_is_a_configuration_or_a_line_for_each_thing_that_is_wrong(
    spoil: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    outcomes = {"read": 0, "refused": 0}
    for seed in range(300):
        file = tmp_path / f"{seed}.yaml"
        chance = random.Random(seed)
        file.write_bytes(spoil(chance.choice(BASES).encode(), chance))
        try:
            found = load([file])
        except ConfigError as error:
            said, outcome = error.problems, "refused"
        else:
            said, outcome = found.warnings, "read"
            json.dumps([queries_of(found), resolve([file], MAIN).as_json()])
            wished = found.wishes(ROCKET, 1_796_000_000.0)
            json.dumps([spoken_values(wish.values) for wish in wished])
            assert {wish.target.repo for wish in wished} <= {"acme/rocket"}, seed
        outcomes[outcome] += 1
        assert [
            line for line in said if not line.startswith(str(file)) or len(line) > 1000 or not line.isprintable()
        ] == [], seed
        assert said or outcome == "read", seed

    assert min(outcomes.values()) > 30, outcomes


def test_a_key_with_a_line_break_does_not_break_a_complaint(warned: Refuse, refused: Refuse) -> None:
    assert warned('tide: {"a\\nb": 1}\n') == [
        "config.yaml:1:16: tide.a\\nb: is not a key that is known here, so it has no effect; remove it"
    ]
    assert refused('mergeq: {"a\\nb": 1}\n') == [
        "config.yaml:1:18: mergeq.a\\nb: is not a key that is known here; remove it"
    ]
    assert refused('tide: {merge_method: {"a\\x1b[31m": x}}\n')[0].startswith(
        "config.yaml:1:36: tide.merge_method.a\\x1b[31m: "
    )


def test_a_complaint_about_a_very_long_value_is_cut(refused: Refuse) -> None:
    (line,) = refused(f"mergeq: {{queue: {{order: {'x' * 90_000}}}}}\n")

    assert len(line) <= 1000
    assert line.endswith("the lowest number as Tide does")


def test_guessing_ends_after_a_hundred_keys(warned: Refuse) -> None:
    found = warned("tide:\n" + "".join(f"  sync_perio{number:04}: 1\n" for number in range(200)))

    assert len(found) == 200
    assert [line.endswith("did you mean 'sync_period'?") for line in found] == [True] * 100 + [False] * 100


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError) as caught:
        load([Path("/dev/zero")])

    assert caught.value.problems == ("/dev/zero: is more than 8000000 bytes; split it",)


def test_mappings_that_are_merged_into_each_other_again_and_again_are_refused(refused: Refuse) -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], k{i}: 1}}" for i in range(1, 10)]

    (line,) = refused("\n".join(lines))

    assert "expands to more than 500000 values; use fewer aliases" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("!!python/name:os.system key: 1\n", "config.yaml:1:1: the tag ", id="python on a key"),
        pytest.param("a: !!bool y\n", "config.yaml:1:4: 'y' does not fit its tag", id="a word that is no boolean"),
        pytest.param("a: !!int " + "9" * 5000, "config.yaml:1:4: '999", id="a number of thousands of digits"),
        pytest.param(
            "a: &x {b: &y [*x]}\n", "config.yaml:1:15: the alias *x names nothing above it", id="a wider loop"
        ),
    ],
)
def test_what_could_be_more_than_a_value_is_refused_in_one_line(refused: Refuse, text: str, line: str) -> None:
    (found,) = refused(text)

    assert found.startswith(line)


def test_an_anchor_may_stand_at_a_key(write: Write) -> None:
    (file,) = write("&name acme: *name\n")

    assert parse(file.read_bytes(), "x").value == {"acme": "acme"}
