"""`mergeq doctor`, on repositories with something wrong: what it sees on GitHub, says, and leaves alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from mergeq import shipped
from mergeq.cli import cli
from mergeq.core.checkup import EVENTS, NEEDS
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Restrictions
from tests.conftest import CONFIG, FILES, READY

LABELS = ("LGTM", "approved", "do-not-merge/hold", "tide/merge-blocker", "tide/squash", "tide/rebase")
WORKFLOW = {".github/workflows/ci.yml": "on:\n  push:\n    branches: [main, 'mergeq/**']\njobs: {}\n"}
STAGING = f"{CONFIG}  context_options:\n    required-contexts: [ci/test]\nmergeq: {{queue: {{retest: staging}}}}\n"
Doctor = Callable[..., Result]


@pytest.fixture
def doctor(github: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command about a repository."""
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", github.token)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(repo: str, *options: str, config: str | None = CONFIG) -> Result:
        file = tmp_path / "config.yaml"
        file.write_text(config or "")
        given = ["--config", str(file)] if config else []
        return CliRunner().invoke(cli, ["doctor", repo, *given, *options])

    return run


@pytest.fixture
def healthy(github: Sandbox) -> str:
    """A repository on which all is well."""
    github.world.create_repo("acme/probe", files={**FILES, **WORKFLOW}, labels=LABELS)
    github.world.protect("acme/probe", "main", ["ci/test"])
    github.world.open_pull("acme/probe", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    github.world.add_hook(f"{github.url}/_sim/hits", "s", EVENTS, repo="acme/probe")
    return "acme/probe"


def told(result: Result) -> list[tuple[str, str, str]]:
    """What asks for something to be done: severity, topic, what was seen."""
    found = json.loads(result.stdout)
    return [(one["severity"], one["about"], one["seen"]) for one in found["findings"] if one["severity"] != "ok"]


def about(result: Result, topic: str) -> list[str]:
    return [
        f"{one['seen']} -> {one['remedy']}" for one in json.loads(result.stdout)["findings"] if one["about"] == topic
    ]


def test_a_healthy_repository_has_nothing_to_be_done_and_nothing_was_written(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    before = dict(github.hits)

    result = doctor(healthy, "--json")

    assert result.exit_code == 0, result.output
    assert told(result) == []
    asked = {route for route, count in github.hits.items() if count > before.get(route, 0)}
    assert {route.partition(" ")[0] for route in asked if not route.startswith("graphql:")} == {"GET"}
    schema = json.loads((shipped("schemas") / "doctor.schema.json").read_bytes())
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(result.stdout))) == []
    assert {one["about"] for one in json.loads(result.stdout)["findings"]} <= set(
        schema["properties"]["findings"]["items"]["properties"]["about"]["enum"]
    )


def test_problems_come_first_each_with_what_to_do_and_the_exit_code_says_that_there_are_some(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    github.world.protect(healthy, "main", ["ci/tset"])

    result = doctor(healthy)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == [
        f"acme/probe on {github.url}/api/v3, as mergeq-bot",
        "problem  contexts: main: ci/tset is required by GitHub's protection, and none of the newest 1 heads has it",
        "         -> did you mean ci/test? Otherwise start what reports it, or require it no more",
    ]
    assert result.stdout.splitlines()[-1] == "1 problem, 0 warnings"


def test_every_bypass_that_the_token_holds_is_named(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    """D19: of classic protection and of rulesets."""
    admins = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    github.world.protect(healthy, "main", ["ci/test"], enforce_admins=False)
    github.world.add_ruleset(healthy, "no deletions", rules=[{"type": "deletion"}], bypass=[admins])

    seen = about(doctor(healthy, "--json"), "bypass")

    assert [one.partition(";")[0] for one in seen] == [
        "mergeq-bot on main: administrators are not held to its protection",
        "mergeq-bot on main: may pass the ruleset no deletions of acme/probe by (always)",
    ]


def test_who_may_not_push_is_told_before_the_first_merge_fails(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    github.world.protect(healthy, "main", ["ci/test"], restrictions=Restrictions(users=("ana",)))

    assert about(doctor(healthy, "--json"), "protection") == [
        (
            "main: only those on a list may push, and mergeq-bot is not on it"
            " -> add it to the people, teams or Apps that may push; merging needs that too"
        )
    ]


def test_who_may_push_by_a_team_cannot_be_told(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    github.world.users.join_team("robots", "mergeq-bot")
    github.world.protect(healthy, "main", ["ci/test"], restrictions=Restrictions(teams=("robots",)))

    assert [one.partition(" -> ")[0] for one in about(doctor(healthy, "--json"), "protection")] == [
        "could not be looked at: whether mergeq-bot is in a team that may push to main: robots"
    ]


def test_rules_that_cover_staging_refs_are_a_problem_where_these_are_used(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    """Q52, and once they are excluded as it says, all is well."""
    rules = [{"type": "creation"}]
    ruleset = github.world.add_ruleset(healthy, "everything", rules=rules, include=["~ALL"])

    result = doctor(healthy, "--json", config=STAGING)

    assert result.exit_code == 1
    assert about(result, "staging")[0] == (
        "the ruleset everything of acme/probe covers refs/heads/mergeq/** and refuses there creating refs"
        " -> exclude `refs/heads/mergeq/**/*` in its target branches"
    )
    del github.world.repo(healthy).rulesets[ruleset.id]
    excluded = ["refs/heads/mergeq/**/*", "refs/heads/mergeq-scratch/**/*"]
    github.world.add_ruleset(healthy, "everything", rules=rules, include=["~ALL"], exclude=excluded)
    assert told(doctor(healthy, "--json", config=STAGING)) == []


def test_rules_about_what_may_be_pushed_are_told_for_they_keep_pull_requests_from_being_staged(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    """Q52."""
    rules = [{"type": "file_path_restriction", "parameters": {"restricted_file_paths": ["secrets/**"]}}]
    github.world.add_ruleset(healthy, "no secrets", target="push", rules=rules)

    assert about(doctor(healthy, "--json", config=STAGING), "staging")[0] == (
        "the ruleset no secrets of acme/probe refuses pushes of files at certain paths, so a pull request that brings"
        " some in is not staged -> let mergeq bypass it if such pull requests are to land"
    )


def test_a_wildcard_of_classic_protection_is_seen_too(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    github.world.protect(healthy, "mergeq/*", ["ci/test"])

    assert about(doctor(healthy, "--json", config=STAGING), "staging") == [
        (
            "the branch protection of mergeq/* covers refs/heads/mergeq/**"
            " -> narrow the pattern so that it leaves out mergeq/"
        )
    ]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("on: [push]\n", "pushes to mergeq/** run .github/workflows/ci.yml -> "),
        ("on: push\n", "pushes to mergeq/** run .github/workflows/ci.yml -> "),
        (
            "on: pull_request\n",
            (
                ".github/workflows/ci.yml does not run on pushes to mergeq/** -> if a required context comes from it, "
                "add `push: {branches: ['mergeq/**']}` under its `on:`"
            ),
        ),
        (
            "on: {push: {branches: main}}\n",
            (
                ".github/workflows/ci.yml does not run on pushes to mergeq/** -> if a required context comes from it, "
                "add `'mergeq/**'` to its `on.push.branches`"
            ),
        ),
        (
            "on: {push: {tags: [v1]}}\n",
            (
                ".github/workflows/ci.yml does not run on pushes to mergeq/** -> if a required context comes from it, "
                "add `push: {branches: ['mergeq/**']}` under its `on:`"
            ),
        ),
        (
            "on: {push: {branches-ignore: ['**']}}\n",
            (
                ".github/workflows/ci.yml does not run on pushes to mergeq/** -> take the pattern that matches mergeq/ "
                "out of its `on.push.branches-ignore`"
            ),
        ),
        (
            "jobs: {}\n",
            ".github/workflows/ci.yml cannot be read: it has no `on:` -> mend it; GitHub does not run it either",
        ),
    ],
)
def test_ci_is_read_from_the_workflows_of_the_default_branch(
    github: Sandbox, doctor: Doctor, text: str, seen: str
) -> None:
    github.world.create_repo("acme/ci", files={**FILES, ".github/workflows/ci.yml": text}, labels=LABELS)

    assert about(doctor("acme/ci", "--json", config=STAGING), "ci") == [seen]


@pytest.mark.parametrize(
    ("text", "is_heard"),
    [
        ("on: repository_dispatch\n", True),
        ("on: [push, repository_dispatch]\n", True),
        ("on: {repository_dispatch: }\n", True),
        ("on: {repository_dispatch: {types: mergeq}}\n", True),
        ("on: {repository_dispatch: {types: [deploy]}}\n", False),
        ("on: [push]\n", False),
    ],
)
def test_where_ci_is_dispatched_workflows_are_read_for_that(
    github: Sandbox, doctor: Doctor, text: str, is_heard: bool
) -> None:
    github.world.create_repo("acme/ci", files={**FILES, ".github/workflows/ci.yml": text}, labels=LABELS)
    dispatched = "retest: staging, staging: {trigger: {kind: repository_dispatch}}"

    (seen,) = about(doctor("acme/ci", "--json", config=STAGING.replace("retest: staging", dispatched)), "ci")

    assert seen.startswith("repository_dispatch mergeq runs" if is_heard else "no workflow of GitHub Actions runs on")


def test_a_workflow_that_is_no_yaml_is_one_warning(github: Sandbox, doctor: Doctor) -> None:
    github.world.create_repo("acme/ci", files={**FILES, ".github/workflows/ci.yml": "on: [push\n"}, labels=LABELS)

    (seen,) = about(doctor("acme/ci", "--json"), "ci")

    assert seen.startswith(".github/workflows/ci.yml cannot be read: .github/workflows/ci.yml:")


def test_labels_and_branches_that_are_only_in_the_configuration_are_named(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    misspelt = CONFIG.replace("approved]", "aproved]").replace("- orgs: [acme]", "- repos: [acme/probe]")
    misspelt = misspelt.replace("      labels:", "      includedBranches: [main, relase]\n      labels:")
    github.world.push(healthy, "release", {"a": "b\n"})

    result = doctor(healthy, "--json", config=misspelt)

    assert about(result, "branches") == [
        "the configuration names the branch relase, which is not there -> did you mean release?"
    ]
    assert about(result, "labels") == [
        "`labels` of a query names the label aproved, which acme/probe does not have -> did you mean approved?"
    ]


def test_webhooks_that_are_not_taken_are_told_without_what_is_secret_in_them(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    github.world.add_hook("http://user:hunter2@127.0.0.1:9/hook?token=sesame", "s", ("push",), repo=healthy)
    github.world.push(healthy, "main", {"b.txt": "b\n"})
    github.settle()

    result = doctor(healthy, "--json")

    seen = [one for one in about(result, "webhooks") if one.startswith("http://127.0.0.1:9/hook")]
    assert len(seen) == 2
    assert "1 of its newest 1 deliveries were not taken: push at " in seen[1]
    assert "hunter2" not in result.output
    assert "sesame" not in result.output


def test_a_workflow_token_that_may_write_is_told(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    github.world.repo(healthy).workflows_may_write = True

    assert [kind for kind, topic, _ in told(doctor(healthy, "--json")) if topic == "workflow-token"] == ["warning"]


def test_without_a_configuration_the_repository_alone_is_looked_at(doctor: Doctor, healthy: str) -> None:
    result = doctor(healthy, "--json", config=None)

    assert result.exit_code == 0
    assert [(kind, topic) for kind, topic, _ in told(result)] == [("note", "configuration")]


def test_somebody_who_may_only_read_is_told_what_is_missing_and_what_could_not_be_looked_at(
    github: Sandbox, doctor: Doctor, healthy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.world.users.set_role("zoe", "read")
    monkeypatch.setenv("GITHUB_TOKEN", github.world.users.issue_token("zoe"))

    result = doctor(healthy, "--json")

    found = {(kind, topic) for kind, topic, _ in told(result)}
    assert result.exit_code == 1
    assert ("problem", "credentials") in found
    assert {("note", "webhooks"), ("note", "workflow-token")} <= found


@pytest.mark.parametrize(
    ("repo", "code", "said"),
    [
        ("acme/nothing", 1, "acme/nothing could not be read: GitHub answered 404 Not Found; check the name and the"),
        ("acme", 64, "'acme' is not of the form ORG/REPO"),
        ("acme/", 64, "'acme/' is not of the form ORG/REPO"),
    ],
)
def test_a_repository_that_is_not_there_is_one_line(doctor: Doctor, repo: str, code: int, said: str) -> None:
    result = doctor(repo)

    assert said in (str(result.exception) if code == 1 else result.output)
    assert "Traceback" not in result.output


@pytest.fixture
def as_app(github: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Be an App with these permissions, installed in acme."""

    def become(permissions: dict[str, str], **details: Any) -> Any:
        app = github.world.register_app("queue", permissions=permissions, **details)
        github.world.install_app(app, "acme")
        (tmp_path / "app.pem").write_text(app.pem)
        monkeypatch.delenv("GITHUB_TOKEN")
        monkeypatch.setenv("GITHUB_APP_ID", str(app.app.id))
        monkeypatch.setenv("GITHUB_APP_PRIVATE_KEY_FILE", str(tmp_path / "app.pem"))
        return app

    return become


def test_an_app_with_exactly_what_is_needed_has_nothing_to_be_done(
    github: Sandbox, doctor: Doctor, healthy: str, as_app: Callable[..., Any]
) -> None:
    """Also the proof that the table of needs is enough for all that doctor looks at."""
    permissions = {need.permission: need.access for need in NEEDS}
    as_app(permissions, events=EVENTS, hook_url=f"{github.url}/_sim/hits")

    result = doctor(healthy, "--json")

    assert told(result) == []
    assert json.loads(result.stdout)["who"] == "the GitHub App queue"


def test_an_app_hears_which_permission_and_event_it_lacks(
    github: Sandbox, doctor: Doctor, healthy: str, as_app: Callable[..., Any]
) -> None:
    permissions = {need.permission: need.access for need in NEEDS if need.permission != "statuses"}
    as_app(permissions, events=[event for event in EVENTS if event != "status"], hook_url=f"{github.url}/_sim/hits")

    result = doctor(healthy, "--json")

    assert result.exit_code == 1
    assert about(result, "credentials")[0].startswith("the GitHub App queue: the permission statuses: write is missing")
    assert about(result, "webhooks")[0].startswith(f"{github.url}/_sim/hits: does not send status -> ")


OLD = frozenset(
    {
        ("Ref", "rules"),
        ("PullRequestParameters", "allowedMergeMethods"),
        ("PullRequest", "isInMergeQueue"),
        ("PullRequest", "isMergeQueueEnabled"),
        ("BranchProtectionRule", "lockBranch"),
        ("Repository", "squashMergeCommitMessage"),
    }
)


def test_an_older_enterprise_server_is_told_with_all_that_it_lacks(
    github: Sandbox, doctor: Doctor, healthy: str
) -> None:
    github.world.enterprise, github.world.lacks = "3.9.4", OLD

    result = doctor(healthy, "--json")

    assert json.loads(result.stdout)["version"] == "3.9.4"
    assert [one.partition(";")[0] for one in about(result, "server")] == [
        "GitHub Enterprise Server 3.9.4 does not know rulesets",
        "GitHub Enterprise Server 3.9.4 does not know the merge methods that a ruleset allows",
        "GitHub Enterprise Server 3.9.4 does not know a merge queue of its own",
        "GitHub Enterprise Server 3.9.4 does not know locked branches",
        "GitHub Enterprise Server 3.9.4 does not know settings for the messages of merges",
    ]


def test_a_newer_one_lacks_nothing(github: Sandbox, doctor: Doctor, healthy: str) -> None:
    github.world.enterprise = "3.19.0"

    assert about(doctor(healthy, "--json"), "server") == [
        "GitHub Enterprise Server 3.19.0 knows all that mergeq asks for -> "
    ]
