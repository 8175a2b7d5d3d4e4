"""`mergeq doctor --record`: what a GitHub does where its documentation leaves it open, beside the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from mergeq import probes, shipped
from mergeq.bootstrap import connect_github
from mergeq.cli import cli
from mergeq.config import Settings
from mergeq.github import GitHub
from mergeq.probes import Circumstances, Observation, Scratch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Protection
from tests.quirks import Quirk


@pytest.fixture
def client(github: Sandbox, clock: ManualClock) -> GitHub:
    settings = Settings(github_token=github.token, github_api_url=f"{github.url}/api/v3")
    return connect_github(settings, now=clock.now, sleep=clock.advance)


def scratch_of(client: GitHub, clock: ManualClock, **about: bool) -> Scratch:
    return Scratch(client, "acme/rocket", clock.advance, Circumstances(**about))


def observed(client: GitHub, clock: ManualClock, name: str, **about: bool) -> Observation:
    return probes.tried(getattr(probes, name), scratch_of(client, clock, **about))[0]


UNTESTED = {"status": 422, "message": 'Required status check "mergeq-probe" is expected.'}
RULED = 'Repository rule violations found\n\nRequired status check "mergeq-probe" is expected.\n\n'
NO_ADVANCED = "Value 'ISSUE_ADVANCED' does not exist in 'SearchType' enum."
READ_ONLY = {"status": 403, "message": "Repository was archived so is read-only."}


def test_every_probe_sees_something_and_leaves_nothing_behind(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    before = github.world.repo("acme/rocket").git.branches()

    found = {probe.__name__: observed(client, clock, probe.__name__) for probe in probes.PROBES}

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
        "words_of_rulesets": {"status": 422, "message": RULED},
        "merged_by_hand": {
            "same tree": UNTESTED,
            "other tree": UNTESTED,
            "by a ruleset": {"status": 422, "message": RULED},
        },
        "overlapping_wildcards": {"flat": "mergeq-probe/*", "deep": None},
        "bad_credentials": {"status": 401, "message": "Bad credentials"},
        "long_search": found["long_search"],
        "many_alternatives": {
            "ISSUE with commas": None,
            "ISSUE with ORs": found["many_alternatives"]["ISSUE with ORs"],
            "ISSUE_ADVANCED with commas": NO_ADVANCED,
            "ISSUE_ADVANCED with ORs": NO_ADVANCED,
        },
        "advanced_search": {"refused": NO_ADVANCED},
        "label_taken_off": {"status": 200, "off": True},
        "restrictions_of_a_person": {"not applicable": "the repository is an organization's"},
        "native_queue": {"status": 201, "message": None, "~server": "github.com"},
        "workflow_by_app": {"not applicable": "only an App without the permission workflows is refused so"},
        "archived": {"status": READ_ONLY, "ref": READ_ONLY, "merge": READ_ONLY},
    }
    assert str(found["many_alternatives"]["ISSUE with ORs"]).startswith("not simulated")
    assert str(found["long_search"]["refused"]).startswith("not simulated: free text in a search")
    assert (repo.git.branches(), repo.protections, repo.rulesets) == (before, {}, {})
    assert (repo.archived, list(repo.labels)) == (False, [])
    assert all(not pull.is_open for pull in repo.pulls.values())


def test_what_cannot_be_tried_says_why_and_the_rest_goes_on(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    github.world.add_ruleset("acme/rocket", rules=[{"type": "creation"}], include=["refs/heads/mergeq-probe/strict"])

    found = observed(client, clock, "head_out_of_date")

    assert set(found) == {"could not"}
    assert "creations being restricted" in str(found["could not"])
    assert observed(client, clock, "strict_on_push") == {"status": 200}


def thrown(switch: str, route: str | None = None, **args: Any) -> Callable[[Sandbox], object]:
    return lambda github: github.world.faults.add(switch, route=route, times=None, args=args)


def of_somebody_else(github: Sandbox) -> None:
    repo = github.world.repo("acme/rocket")
    repo.owner_is_user = not repo.owner_is_user


def of_no_administrator(github: Sandbox) -> None:
    github.world.users.set_role("mergeq-bot", "write")


def with_an_older_wildcard(github: Sandbox) -> None:
    github.world.repo("acme/rocket").protections["mergeq-probe/**"] = Protection(7)


def with_a_ruleset(github: Sandbox) -> None:
    github.world.add_ruleset("acme/rocket", rules=[{"type": "creation"}], include=["refs/heads/**/ruled"])


PROTECTION = "GET /repos/{owner}/{repo}/branches/{branch}/protection"


@pytest.mark.parametrize(
    ("probe", "bend"),
    [
        ("indirect_merge", thrown("detect.merge_never")),
        ("head_out_of_date", thrown("merge.base_modified")),
        ("strict_on_push", thrown("refs.opaque422")),
        ("update_of_another_head", thrown("update_branch.422", kind="conflict")),
        ("check_of_any_app", thrown("http.5xx", PROTECTION)),
        ("contexts_beside_checks", thrown("http.5xx", PROTECTION)),
        ("words_of_rulesets", with_a_ruleset),
        ("merged_by_hand", thrown("refs.opaque422")),
        ("overlapping_wildcards", with_an_older_wildcard),
        ("bad_credentials", thrown("http.5xx", "GET /repos/{owner}/{repo}")),
        ("long_search", thrown("graphql.untyped", "graphql:Search")),
        ("many_alternatives", thrown("graphql.untyped", "graphql:Search")),
        ("advanced_search", thrown("graphql.5xx")),
        ("label_taken_off", thrown("labels.remove")),
        ("restrictions_of_a_person", of_somebody_else),
        ("native_queue", of_somebody_else),
        ("workflow_by_app", thrown("policy.no_workflows")),
        ("archived", of_no_administrator),
    ],
)
def test_a_github_that_answers_otherwise_differs_from_the_sandbox(
    github: Sandbox, client: GitHub, clock: ManualClock, tmp_path: Path, probe: str, bend: Callable[[Sandbox], object]
) -> None:
    about = Circumstances(is_personal=probe.endswith("person"), lacks_workflows=probe.endswith("by_app"))
    with Sandbox(tmp_path / "ours", clock=clock) as ours:
        ours.serve()
        ours.world.create_repo("acme/rocket", files={"README.md": "x\n"}, ci=None)
        for one in (github, ours):
            one.world.repo("acme/rocket").owner_is_user = about.is_personal
        settings = Settings(github_token=ours.token, github_api_url=f"{ours.url}/api/v3")
        sandbox = connect_github(settings, now=clock.now, sleep=clock.advance)
        both = [Scratch(one, "acme/rocket", clock.advance, about) for one in (client, sandbox)]
        alike = probes.compared(getattr(probes, probe), *both)
        bend(github)
        bent = probes.compared(getattr(probes, probe), *both)

    assert list(probes.lines(alike)) == [f"same     {probe}: {json.dumps(alike['seen'])}"]
    said, simulated, *note = probes.lines(bent)
    assert said == f"differs  {probe}: {json.dumps(bent['seen'])}"
    assert simulated == f"sandbox  {probe}: {json.dumps(alike['sandbox'])}"
    assert note == [f"note     {probe}: {bent['note']}"] * bool(bent["note"])


@pytest.mark.quirk("Q73")
@pytest.mark.parametrize("code", [204, 404])
def test_a_label_is_off_whichever_way_github_says_so(
    github: Sandbox, client: GitHub, clock: ManualClock, quirk: Quirk, code: int
) -> None:
    usual = observed(client, clock, "label_taken_off")
    quirk.on("labels.remove", code=code)

    found, sent = probes.tried(probes.label_taken_off, scratch_of(client, clock))

    assert (usual, found) == ({"status": 200, "off": True}, {"status": code, "off": True})
    assert [one["answer"] for one in sent if one["call"].endswith("/labels/mergeq-probe")][-1] == "204"
    assert list(github.world.repo("acme/rocket").labels) == []


def test_a_call_is_recorded_with_what_was_sent_and_answered(client: GitHub, clock: ManualClock) -> None:
    _, sent = probes.tried(probes.update_of_another_head, scratch_of(client, clock))

    calls = [f"{one['call'].replace('/repos/acme/rocket', '')} -> {one['answer']}" for one in sent]
    assert "PUT /pulls/1/update-branch -> 422 expected head sha didn\u2019t match current head ref." in calls
    assert calls[-3:] == [
        "PATCH /pulls/1 -> 200",
        "DELETE /git/refs/heads/mergeq-probe/onto -> 204",
        "DELETE /git/refs/heads/mergeq-probe/moved -> 204",
    ]
    assert sent[0] == {"call": "GET /repos/acme/rocket", "body": None, "answer": "200"}


def test_a_call_that_is_made_again_and_again_is_recorded_once(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    github.world.faults.add("detect.merge_never", times=None)

    _, sent = probes.tried(probes.indirect_merge, scratch_of(client, clock))

    assert [one["call"] for one in sent].count("GET /repos/acme/rocket/pulls/1") == 1


def test_an_app_that_may_not_change_workflows_is_told_so(github: Sandbox, client: GitHub, clock: ManualClock) -> None:
    github.world.faults.add("policy.no_workflows", times=None)

    found = observed(client, clock, "workflow_by_app", lacks_workflows=True)

    text = "refusing to allow a GitHub App to create or update workflow `.github/workflows/mergeq-probe.yml` "
    assert found == {
        "branch": "it could be made",
        "merge": {"status": 403, "message": text + "without `workflows` permission"},
    }


@pytest.mark.parametrize("opened", [True, False])
def test_where_the_branch_is_refused_somebody_elses_pull_request_is_merged(
    github: Sandbox, client: GitHub, clock: ManualClock, opened: bool
) -> None:
    github.world.open_pull("acme/rocket", title="Other", files={"a.txt": "x\n"})
    if opened:
        github.world.open_pull("acme/rocket", title="Work", files={".github/workflows/x.yml": "on: push\n"})
    github.world.faults.add("policy.no_workflows", times=None)
    github.world.faults.add("http.5xx", route="POST /repos/{owner}/{repo}/git/trees", times=None)

    found = observed(client, clock, "workflow_by_app", lacks_workflows=True)

    assert found["branch"] == "POST /repos/acme/rocket/git/trees: GitHub answered 502"
    if opened:
        assert found["merge"]["status"] == 403
    else:
        assert found["merge"] == "there is no pull request to merge"


def test_what_rulesets_cannot_be_asked_leaves_the_rest_of_a_probe(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    github.world.faults.add("http.5xx", route="POST /repos/{owner}/{repo}/rulesets", times=None)

    found = observed(client, clock, "merged_by_hand")

    refused = {"could not": "no ruleset could be made: GitHub answered 502"}
    assert found == {"same tree": UNTESTED, "other tree": UNTESTED, "by a ruleset": refused}


def test_a_repository_that_stays_archived_is_named(github: Sandbox, client: GitHub, clock: ManualClock) -> None:
    github.world.faults.add("http.5xx", route="PATCH /repos/{owner}/{repo}", times=None, after=1)

    found = observed(client, clock, "archived")

    assert found == {"could not": "acme/rocket is still archived; un-archive it in its settings"}


def test_a_repository_is_opened_again_though_the_probe_breaks_off(
    github: Sandbox, client: GitHub, clock: ManualClock
) -> None:
    github.world.faults.add("http.reset", route="POST /repos/{owner}/{repo}/statuses/{sha}", times=None)

    found = observed(client, clock, "archived")

    assert set(found) == {"could not"}
    assert not github.world.repo("acme/rocket").archived


def test_how_long_something_took_is_no_difference() -> None:
    assert not probes.differs({"merged": True, "~seconds": 0.0}, {"merged": True, "~seconds": 8.0})


def record(
    github: Sandbox, file: Path, monkeypatch: pytest.MonkeyPatch, *options: str, token: str | None = None
) -> Result:
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", github.token if token is None else token)
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


def test_an_app_and_a_persons_repository_are_compared_with_a_sandbox_in_their_circumstances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, key = tmp_path / "record.json", tmp_path / "app.pem"
    held = dict.fromkeys(("administration", "contents", "issues", "pull_requests", "statuses"), "write")
    with Sandbox(tmp_path / "real") as github:
        github.serve()
        repo = github.world.create_repo("acme/scratch", files={"README.md": "x\n"}, ci=None)
        repo.owner_is_user = True
        app = github.world.register_app("mergeq", permissions={"metadata": "read", **held})
        github.world.install_app(app, "acme")
        github.world.faults.add("policy.no_workflows", times=None)
        key.write_text(app.pem)
        monkeypatch.setenv("GITHUB_APP_ID", str(app.app.id))
        monkeypatch.setenv("GITHUB_APP_PRIVATE_KEY_FILE", str(key))

        result = record(github, file, monkeypatch, "--yes", token="")

    assert result.exit_code == 0, result.output
    found = {one["probe"]: one for one in json.loads(file.read_bytes())["probes"]}
    assert [name for name, one in found.items() if not one["same"]] == []
    assert found["workflow_by_app"]["seen"]["merge"]["status"] == 403
    assert found["restrictions_of_a_person"]["seen"]["errors"] == [
        "Only organization repositories can have users and team restrictions"
    ]
    assert found["native_queue"]["seen"]["status"] == 422


def test_a_repository_that_is_not_there_is_one_line(
    github: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = record(github, tmp_path / "record.json", monkeypatch, "--yes")

    said = "Error: GET /repos/acme/scratch: GitHub answered 404 Not Found; check the name and the credentials"
    assert (result.exit_code, result.output.splitlines()) == (1, [said])
