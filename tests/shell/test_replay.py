"""Worlds taken down and gone through again, and the commands that explain, record and decide."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mergeq import replay, shipped, sync
from mergeq.cli import cli
from mergeq.core.decide import Situation
from mergeq.core.pool import Arrival, Memory, Refusal, Unproved
from mergeq.core.pull import Branch, Context, Mergeable, Protection, PullRequest
from mergeq.core.pull import Result as Said
from mergeq.core.reason import Clause, Reason
from mergeq.github import saved
from mergeq.sandbox import Sandbox
from tests.builders import clash, facts, insider, pr, run
from tests.conftest import READY, Mergeq

MAIN = Branch("acme", "rocket", "main")
CONFIG = "tide: {queries: [{orgs: [acme], labels: [lgtm, approved]}]}\n"


def asked(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], env=env, standalone_mode=False)


def schema(name: str) -> Any:
    return json.loads((shipped("schemas") / f"{name}.schema.json").read_bytes())


def opened(github: Sandbox, title: str, files: dict[str, str], labels: Sequence[str]) -> None:
    github.world.open_pull("acme/rocket", title=title, files=files, labels=labels)
    github.settle()


def env_of(mergeq: Mergeq) -> dict[str, str]:
    settings = mergeq.services.settings
    return {
        "GITHUB_TOKEN": settings.github_token,
        "GITHUB_API_URL": settings.github_api_url,
        "MERGEQ_REDIS_URL": settings.redis_url,
        "MERGEQ_CONFIG": os.pathsep.join(str(path) for path in settings.config_paths),
    }


def test_a_look_writes_nothing_and_comes_to_what_a_sync_saves(github: Sandbox, mergeq: Mergeq) -> None:
    opened(github, "Ready", {"a.txt": "a"}, READY)
    services = mergeq.services

    seen = sync.look(services, MAIN, None)

    assert sync.decided(services, seen).targets == (1,)
    assert services.store.pool(MAIN) is None
    assert services.store.arrivals("acme/rocket") == {}


def test_a_recorded_world_is_decided_the_same_elsewhere(github: Sandbox, mergeq: Mergeq, tmp_path: Path) -> None:
    opened(github, "Ready", {"a.txt": "a"}, READY)
    opened(github, "Not ready", {"b.txt": "b"}, ["lgtm"])
    file = tmp_path / "world.json"

    live = asked("sync", "--once", "--record", file, "--json", env=env_of(mergeq))
    again = asked("decide", "--file", file, "--json", env={})

    assert json.loads(again.output) == json.loads(live.output)
    assert json.loads(again.output)["branches"][0]["targets"] == [1]
    jsonschema.Draft202012Validator(schema("decide")).validate(json.loads(again.output))
    assert mergeq.history() == [], "a recording does nothing"


def test_a_look_that_github_does_not_let_happen_is_no_look_at_nothing(mergeq: Mergeq) -> None:
    told = asked("sync", "--once", env=env_of(mergeq) | {"GITHUB_TOKEN": "ghp_another"})

    assert told.exit_code == 1
    assert told.stdout == ""
    assert told.stderr.startswith("not read: acme: the search ")
    assert "401 Bad credentials" in told.stderr


def test_a_world_is_decided_in_plain_lines_and_as_tide_would(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    situation = Situation(facts(insider(1), insider(2, labels=("lgtm", "Approved"), was_found=False)), now=5.0)
    file.write_text(json.dumps(saved.world_json([situation], [saved.ConfigFile("c.yaml", CONFIG)])))

    ours, tides = asked("decide", "--file", file), asked("decide", "--file", file, "--compat", "tide")

    assert "#1      pending   Not mergeable. lgtm was given to an earlier head" in ours.output
    assert "  #2      pending   Not mergeable. Needs approved label." in tides.output
    assert "acme/rocket:main  MERGE #1: green on this base" in tides.output


def test_explaining_looks_at_github_as_it_is_now(github: Sandbox, mergeq: Mergeq) -> None:
    opened(github, "Not ready", {"b.txt": "b"}, ["lgtm"])

    told = asked("explain", "acme/rocket#1", env=env_of(mergeq))
    document = json.loads(asked("explain", "acme/rocket#1", "--json", env=env_of(mergeq)).output)

    assert "needs the label approved, but its labels are lgtm" in told.output
    jsonschema.Draft202012Validator(schema("explain")).validate(document)
    assert document["prs"][0]["chances"][0]["closest"] is True
    assert mergeq.store.pool(MAIN) is None


@pytest.mark.parametrize("text", ["acme/rocket", "acme#1", "acme/rocket#x", "a/b/c#1"])
def test_a_pull_request_is_named_in_one_way(text: str) -> None:
    assert "is not of the form ORG/REPO#N" in str(asked("explain", text).exception)


def test_a_pull_request_that_is_not_there_is_one_line(mergeq: Mergeq) -> None:
    error = str(asked("explain", "acme/rocket#99", env=env_of(mergeq)).exception)

    assert error.startswith("acme/rocket#99")
    assert "\n" not in error


def test_a_saved_pull_request_alone_is_explained_with_a_configuration(tmp_path: Path) -> None:
    file, config = tmp_path / "pr.json", tmp_path / "config.yaml"
    file.write_text(json.dumps(saved.pull_json(pr(7, labels=("lgtm",)))))
    config.write_text(CONFIG)

    told = asked("explain", "--file", file, "--config", config)

    assert "acme/rocket#7  Change 7" in told.output
    assert "needs the label approved" in told.output
    assert "has no configuration of its own" in str(asked("explain", "--file", file).exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is neither a world nor a pull request"),
        ("{}", "'prs' is missing"),
        ('{"prs": 7}', "prs: not as a saved world has it"),
        ('{"prs": [], "config": "x"}', "not as a saved world has it"),
    ],
)
def test_a_file_that_is_no_world_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "world.json"
    file.write_text(text)

    error = str(asked("decide", "--file", file).exception)

    assert said in error
    assert error.startswith(str(file))
    assert "\n" not in error


def test_a_branch_that_cannot_be_read_is_left_out_and_named(github: Sandbox, mergeq: Mergeq) -> None:
    opened(github, "Ready", {"a.txt": "a"}, READY)

    taken = replay.take_down(mergeq.services, [Branch("acme", "gone", "main"), MAIN])

    assert list(taken["branches"]) == [str(MAIN)]
    assert list(taken["unreadable"]) == ["acme/gone:main"]


names = st.text("abcé \N{ROCKET}", max_size=8)
moments = st.integers(0, 2_000_000_000).map(float)
shas = st.sampled_from(["a" * 40, "b" * 40, "c" * 40])
statuses = st.builds(Context, names, st.sampled_from(Said), st.none(), moments, st.just(0), names, names)
check_runs = st.builds(
    lambda said, *rest: replace(Context(*rest), result=said[0], conclusion=said[1]),
    st.sampled_from(
        [(Said.SUCCESS, "success"), (Said.PENDING, ""), (Said.FAILURE, "failure"), (Said.FAILURE, "cancelled")]
    ),
    names.filter(bool),
    st.just(Said.PENDING),
    st.sampled_from(["github-actions", "evil"]),
    moments,
    st.integers(0, 99),
    st.just(""),
    names,
)
contexts = st.none() | st.tuples(st.lists(statuses, max_size=3), st.lists(check_runs, max_size=3)).map(
    lambda both: (*both[0], *both[1])
)


@st.composite
def pulls(draw: Callable[[Any], Any]) -> PullRequest:
    flags = ("is_draft", "is_open", "can_be_rebased", "in_merge_queue", "is_fork", "by_writer", "was_forced")
    return pr(
        draw(st.integers(1, 9)),
        **{flag: draw(st.booleans()) for flag in (*flags, "maintainer_can_modify")},
        title=draw(names),
        labels=tuple(draw(st.lists(names, max_size=3))),
        contexts=draw(contexts),
        milestone=draw(st.none() | names),
        mergeable=draw(st.sampled_from(Mergeable)),
        updated_at=draw(moments),
        created_at=draw(moments),
        approvers=tuple(draw(st.lists(names, max_size=2))),
        label_times=tuple(draw(st.lists(st.tuples(names, moments), max_size=2))),
        paths=draw(st.none() | st.lists(names, max_size=2).map(tuple)),
        unresolved_threads=draw(st.integers(0, 3)),
        head_owner=draw(names),
        steps=draw(st.integers(1, 3)),
    )


@hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(pulls(), max_size=3, unique_by=lambda pull: pull.number), moments, shas)
def test_a_saved_world_is_read_as_it_was(crowd: list[PullRequest], at: float, sha: str) -> None:
    reason = Reason(Clause.STAGED, "a", "b", "c", "d", items=("e",), observed_at=at)
    memory = Memory(
        entered={(one.number, one.head_sha): at for one in crowd},
        refusals={one.number: Refusal(sha, "no", at) for one in crowd},
        convictions={one.head_sha: reason for one in crowd},
        arrivals={one.number: Arrival(sha, at) for one in crowd},
        unproved={one.number: Unproved(sha, frozenset({"x"})) for one in crowd},
    )
    runs = (run(*crowd[:2]),) if crowd else ()
    known = facts(*crowd, protection=Protection(required=(("ci", "app"),), reviews=True))
    before = Situation(known, memory, runs, tuple(clash((), one) for one in crowd), "by hand", at)
    document = json.loads(json.dumps(saved.world_json([before], [])))

    after = saved.world(document).situations

    assert after == (() if not crowd else (_with_rows(before),))


def _with_rows(situation: Situation) -> Situation:
    rows = tuple(row for one in situation.runs for row in saved.rows_of(one, situation.facts.branch))
    return replace(situation, rows=rows)
