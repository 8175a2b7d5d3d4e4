"""`mergeq doctor --record`: what a GitHub does where its documentation leaves it open, beside the sandbox."""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from mergeq import probes, shipped
from mergeq.bootstrap import connect_github
from mergeq.cli import cli
from mergeq.config import Settings
from mergeq.github import GitHub
from mergeq.sandbox import ManualClock, Sandbox


@pytest.fixture
def client(github: Sandbox, clock: ManualClock) -> GitHub:
    settings = Settings(github_token=github.token, github_api_url=f"{github.url}/api/v3")
    return connect_github(settings, now=clock.now, sleep=clock.advance)


def observed(client: GitHub, clock: ManualClock) -> dict[str, probes.Observation]:
    return {name: seen for name, _, seen in probes.observe(client, "acme/rocket", clock.advance)}


def test_every_probe_sees_something_and_leaves_nothing_behind(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    before = github.world.repo("acme/rocket").git.branches()

    found = observed(client, clock)

    repo = github.world.repo("acme/rocket")
    assert found == {
        "indirect_merge": {"merged": True, "~seconds": 0.0},
        "head_out_of_date": {
            "status": 405,
            "message": "Head branch is out of date. Review and try the merge again.",
        },
        "strict_on_push": {"status": 200},
        "update_of_another_head": {"status": 422, "message": "expected head sha didn\u2019t match current head ref."},
        "check_of_any_app": {"one": None, "two": None},
        "contexts_beside_checks": {"contexts": ["one", "two"]},
        "words_of_rulesets": {
            "status": 422,
            "message": 'Repository rule violations found\n\nRequired status check "mergeq-probe" is expected.\n\n',
        },
        "overlapping_wildcards": {"flat": "mergeq-probe/*", "deep": None},
        "bad_credentials": {"status": 401, "message": "Bad credentials"},
        "long_search": found["long_search"],
        "many_alternatives": {"refused": None},
        "advanced_search": {"refused": "Value 'ISSUE_ADVANCED' does not exist in 'SearchType' enum."},
    }
    assert str(found["long_search"]["refused"]).startswith("not simulated: free text in a search")
    assert (repo.git.branches(), repo.protections, repo.rulesets) == (before, {}, {})
    assert all(not pull.is_open for pull in repo.pulls.values())


def test_what_cannot_be_tried_says_why_and_the_rest_goes_on(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    github.world.add_ruleset("acme/rocket", rules=[{"type": "creation"}], include=["refs/heads/mergeq-probe/strict"])

    found = observed(client, clock)

    assert set(found["head_out_of_date"]) == {"could not"}
    assert "creations being restricted" in str(found["head_out_of_date"])
    assert found["strict_on_push"] == {"status": 200}


def test_a_github_that_answers_otherwise_differs_from_the_sandbox(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    asked = observed(client, clock)
    github.world.faults.add("detect.merge_never", times=None)

    again = observed(client, clock)

    assert again["indirect_merge"] == {"merged": False, "~seconds": None}
    assert [name for name in asked if probes.differs(asked[name], again[name])] == ["indirect_merge"]


def test_how_long_something_took_is_no_difference() -> None:
    assert not probes.differs({"merged": True, "~seconds": 0.0}, {"merged": True, "~seconds": 8.0})


def record(github: Sandbox, file: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", github.token)
    return CliRunner().invoke(cli, ["doctor", "acme/scratch", "--record", str(file), *options])


def test_nothing_is_written_to_a_repository_without_a_yes(
    github: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = record(github, tmp_path / "record.json", monkeypatch)

    assert "add --yes if it is there to be spoiled" in result.output
    assert list(tmp_path.glob("*.json")) == []
    assert [route for route in github.hits if not route.startswith("GET")] == []


def test_what_was_tried_is_printed_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "record.json"
    with Sandbox(tmp_path / "real") as github:
        github.serve()
        github.world.create_repo("acme/scratch", files={"README.md": "x\n"}, ci=None)
        github.world.add_ruleset("acme/scratch", rules=[{"type": "creation"}], include=["refs/heads/**/ruled"])

        result = record(github, file, monkeypatch, "--yes")

    document = json.loads(file.read_bytes())
    schema = json.loads((shipped("schemas") / "doctor-record.schema.json").read_bytes())
    assert result.exit_code == 0, result.output
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []
    assert [one["probe"] for one in document["probes"] if not one["same"]] == ["words_of_rulesets"]
    assert result.output.splitlines()[-1] == f"1 of {len(probes.PROBES)} differ; all of it is in {file}"
    assert sum(line.startswith("same") for line in result.output.splitlines()) == len(probes.PROBES) - 1


def test_a_repository_that_is_not_there_is_one_line(
    github: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = record(github, tmp_path / "record.json", monkeypatch, "--yes")

    said = "Error: GET /repos/acme/scratch: GitHub answered 404 Not Found; check the name and the credentials"
    assert (result.exit_code, result.output.splitlines()) == (1, [said])
