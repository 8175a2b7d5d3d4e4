"""Rules about deployments, workflows, scans and pushed files; deployments themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import FILES, Query, Rest
from tests.sandbox.test_git_http import clone, commit, git
from tests.sandbox.test_rulesets import ADMINS, MAIN, found, no_input, refusal, said, tip
from tests.sandbox.test_webhooks import Receiver, receiver

__all__ = ("clone", "receiver")

STAGING = {"type": "required_deployments", "parameters": {"required_deployment_environments": ["staging", "eu"]}}
CODEQL = {"tool": "CodeQL", "alerts_threshold": "errors", "security_alerts_threshold": "high_or_higher"}
SCAN = {"type": "code_scanning", "parameters": {"code_scanning_tools": [CODEQL]}}
PATHS = {"type": "file_path_restriction", "parameters": {"restricted_file_paths": [".github/**/*", "secret.txt"]}}
SCANNERS = "github-advanced-security"


def opened(sandbox: Sandbox, **more: Any) -> Any:
    return sandbox.world.open_pull("acme/rocket", title="Add", **({"files": {"a.txt": "a\n"}} | more))


def merging(rest: Rest) -> tuple[int, str]:
    return said(rest("PUT", "/pulls/1/merge"))


def deploy(rest: Rest, ref: str, environment: str, state: str = "success", **more: Any) -> int:
    fields = {"auto_merge": False, "required_contexts": [], "production_environment": False} | more
    made = rest("POST", "/deployments", ref=ref, environment=environment, **fields).json()
    rest("POST", f"/deployments/{made['id']}/statuses", state=state)
    return int(made["id"])


def test_a_head_must_be_deployed_where_the_rule_says(sandbox: Sandbox, rest: Rest) -> None:
    pull = opened(sandbox)
    sandbox.world.add_ruleset("acme/rocket", rules=[STAGING])

    neither = merging(rest)
    more = {"type": "required_deployments", "parameters": {"required_deployment_environments": ["a", "b", "c"]}}
    other = sandbox.world.add_ruleset("acme/rocket", "more", rules=[more], enforcement="active")
    all_of_them = merging(rest)
    rest("DELETE", f"/rulesets/{other.id}")
    deploy(rest, pull.head_sha, "staging", "failure")
    deploy(rest, pull.head_sha, "eu")
    one = merging(rest)
    moved = refusal(sandbox, pull.head_sha)
    states = [rest("GET", "/pulls/1").json()["mergeable_state"] for _ in range(3)]
    deploy(rest, pull.head_sha, "staging")

    assert neither == (405, found("Missing successful active staging and eu deployments."))
    three = "Missing successful active a, b, and c deployments."
    assert all_of_them == (405, found("Missing successful active staging and eu deployments.", three))
    assert one == (405, found("Missing successful active staging deployment."))
    assert moved == found("Missing successful active staging deployment.")
    assert states[-1] == "blocked"
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_deployment_that_another_one_replaced_is_not_active(sandbox: Sandbox, rest: Rest) -> None:
    pull = opened(sandbox)
    sandbox.world.add_ruleset("acme/rocket", rules=[STAGING])
    for environment in ("staging", "eu"):
        deploy(rest, pull.head_sha, environment)

    deploy(rest, "main", "staging")

    assert merging(rest) == (405, found("Missing successful active staging deployment."))


def test_classic_protection_asks_for_deployments_over_graphql(sandbox: Sandbox, query: Query, rest: Rest) -> None:
    pull = opened(sandbox)
    repo = rest("GET", "").json()["node_id"]
    make = """mutation($input: CreateBranchProtectionRuleInput!) { createBranchProtectionRule(input: $input) {
      branchProtectionRule { id requiresDeployments requiredDeploymentEnvironments } } }"""
    change = make.replace("create", "update").replace("Create", "Update")
    sent = {"repositoryId": repo, "pattern": "main", "isAdminEnforced": True}
    asked = {"requiresDeployments": True, "requiredDeploymentEnvironments": ["staging"]}

    made = query(make, input=sent | asked)["data"]["createBranchProtectionRule"]["branchProtectionRule"]
    refused = merging(rest)
    rule = {"branchProtectionRuleId": made["id"]}
    kept = query(change, input=rule)["data"]["updateBranchProtectionRule"]["branchProtectionRule"]
    bare = query(change, input=rule | {"requiresDeployments": False, "isAdminEnforced": True})
    again = query(change, input=rule | {"requiresDeployments": True})

    assert (made["requiresDeployments"], made["requiredDeploymentEnvironments"]) == (True, ["staging"])
    assert kept["requiredDeploymentEnvironments"] == ["staging"]
    assert refused == (405, "Missing successful active staging deployment.")
    assert not bare["data"]["updateBranchProtectionRule"]["branchProtectionRule"]["requiresDeployments"]
    assert again["data"]["updateBranchProtectionRule"]["branchProtectionRule"]["requiredDeploymentEnvironments"] == []
    assert rest("PUT", "/pulls/1/merge").status_code == 200, pull


def test_what_became_of_deployments_is_kept_and_told(sandbox: Sandbox, receiver: Receiver, rest: Rest) -> None:
    made = rest("POST", "/deployments", ref="main", environment="qa", payload={"a": 1}, description="first").json()
    first = rest("POST", f"/deployments/{made['id']}/statuses", state="success", log_url="https://ci.test/1").json()
    second = deploy(rest, "main", "qa", "success", transient_environment=True)
    statuses = rest("GET", f"/deployments/{made['id']}/statuses").json()
    moved = rest("POST", f"/deployments/{second}/statuses", state="in_progress", environment="qa-2").json()
    listed = rest("GET", "/deployments?environment=qa-2").json()
    sandbox.settle()

    assert (made["sha"], made["ref"], made["task"], made["production_environment"]) == (
        *(tip(sandbox), "main", "deploy"),
        False,
    )
    assert (first["target_url"], first["log_url"]) == ("https://ci.test/1", "https://ci.test/1")
    assert [one["state"] for one in statuses] == ["inactive", "success"]
    assert (moved["environment"], [one["id"] for one in listed]) == ("qa-2", [second])
    assert (listed[0]["environment"], listed[0]["original_environment"]) == ("qa-2", "qa")
    assert rest("GET", f"/deployments/{second}/statuses/{moved['id']}").json() == moved
    assert rest("GET", f"/deployments/{made['id']}").json()["payload"] == {"a": 1}
    assert [rest("GET", f"/deployments/{path}").status_code for path in ("1", f"{second}/statuses/1")] == [404, 404]
    assert receiver.names() == ["deployment.created", "deployment_status.created"] * 2 + [
        "deployment_status.created",
        "deployment_status.created",
    ]


def test_a_branch_is_brought_up_to_date_before_it_is_deployed(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.push("acme/rocket", "topic", {"a.txt": "a\n"})
    world.push("acme/rocket", "clash", {"engine.py": "mine\n"})
    world.push("acme/rocket", "main", {"engine.py": "theirs\n"})

    merged = rest("POST", "/deployments", ref="topic")
    made = rest("POST", "/deployments", ref="topic")
    conflict = rest("POST", "/deployments", ref="clash")
    missing = rest("POST", "/deployments", ref="nowhere")

    assert said(merged) == (202, "Auto-merged main into topic on deployment.")
    assert (made.status_code, made.json()["production_environment"]) == (201, True)
    assert said(conflict) == (409, "Conflict merging main into clash.")
    assert said(missing) == (422, "No ref found for: nowhere")


def test_what_is_not_green_is_not_deployed_unless_nothing_need_be(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.set_status("acme/rocket", tip(sandbox), context="ci", state="pending")
    sandbox.world.set_check_run("acme/rocket", tip(sandbox), name="lint", conclusion="success")

    wishes: list[dict[str, Any]] = [{}, *({"required_contexts": names} for names in (["ci"], ["lint"], []))]
    asked = [rest("POST", "/deployments", ref="main", **more).status_code for more in wishes]

    assert asked == [409, 409, 201, 201]
    assert said(rest("POST", "/deployments", ref="main")) == (409, "Conflict: Commit status checks failed for main.")
    long = rest("POST", "/deployments", ref="main", required_contexts=[]).json()["id"]
    assert rest("POST", f"/deployments/{long}/statuses", state="error", description="x" * 141).status_code == 422
    assert rest("POST", f"/deployments/{long}/statuses", state="odd").status_code == 422


def test_a_required_workflow_must_have_passed(sandbox: Sandbox, rest: Rest) -> None:
    world, number = sandbox.world, sandbox.world.repo("acme/rocket").id
    paths = [f".github/workflows/{name}.yml" for name in ("audit", "lint")]
    pull = opened(sandbox)
    workflows = [{"path": path, "repository_id": number} for path in paths]
    rule = {"type": "workflows", "parameters": {"workflows": workflows}}
    world.add_ruleset("acme/rocket", rules=[rule], include=["~ALL"])
    words = found("Required workflow '.github/workflows/audit.yml, .github/workflows/lint.yml' is not satisfied")

    refused = merging(rest), refusal(sandbox, pull.head_sha)
    created = rest("POST", "/git/refs", ref="refs/heads/new", sha=tip(sandbox))
    for path, conclusion in zip(paths, ("success", "failure"), strict=True):
        world.set_check_run("acme/rocket", pull.head_sha, name=path, conclusion=conclusion, app="github-actions")
    red = merging(rest)
    world.set_check_run("acme/rocket", pull.head_sha, name=paths[1], conclusion="success", app="github-actions")

    assert refused == ((405, words), words)
    assert said(created) == (422, words)
    assert red == (405, words)
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_workflow_of_no_repository_is_no_rule(rest: Rest) -> None:
    rule = {"type": "workflows", "parameters": {"workflows": [{"path": "ci.yml", "repository_id": 7}]}}

    answer = rest("POST", "/rulesets", name="x", enforcement="active", rules=[rule])

    assert (answer.status_code, answer.json()["errors"]) == (422, ["Invalid rule 'workflows': "])


def test_scans_must_be_there_for_the_base_and_the_head_and_have_found_nothing(sandbox: Sandbox, rest: Rest) -> None:
    world, pull = sandbox.world, opened(sandbox)
    world.add_ruleset("acme/rocket", rules=[SCAN])

    def scan(sha: str, conclusion: str) -> None:
        world.set_check_run("acme/rocket", sha, name="CodeQL", conclusion=conclusion, app=SCANNERS)

    bare = merging(rest)
    scan(tip(sandbox), "success")
    waits, pushed = merging(rest), refusal(sandbox, pull.head_sha)
    scan(pull.head_sha, "failure")
    red = merging(rest)
    scan(pull.head_sha, "neutral")

    none = "Waiting for Code Scanning results. Code Scanning may not be configured for the target branch."
    waiting = found(f"Code scanning is waiting for results from CodeQL for the commit {pull.head_sha[:7]}.")
    assert bare == (405, found(none))
    assert (waits, pushed) == ((405, waiting), waiting)
    assert red == (405, found(f"Code scanning has found alerts by CodeQL for the commit {pull.head_sha[:7]}."))
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_licenses_are_waited_for_and_copilot_is_not(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    pull = opened(sandbox)
    rules: list[dict[str, Any]] = [{"type": "license_compliance_scanning"}, {"type": "copilot_code_review"}]
    made = rest(
        "POST",
        "/rulesets",
        name="x",
        enforcement="active",
        rules=rules,
        conditions={"ref_name": {"include": [MAIN], "exclude": []}},
    )

    refused = merging(rest)
    name = "License compliance"
    sandbox.world.set_check_run("acme/rocket", pull.head_sha, name=name, conclusion="success", app=SCANNERS)
    graph = query(
        """{ repository(owner: "acme", name: "rocket") { rulesets(first: 1) {
          nodes { rules(first: 9) { totalCount } } } } }"""
    )

    assert made.json()["rules"][1]["parameters"] == {"review_draft_pull_requests": False, "review_on_push": False}
    assert [rule["type"] for rule in rest("GET", "/rules/branches/main").json()] == [rule["type"] for rule in rules]
    assert graph["data"]["repository"]["rulesets"]["nodes"] == [{"rules": {"totalCount": 0}}]
    assert refused == (405, found(f"License compliance is waiting for results for the commit {pull.head_sha[:7]}."))
    assert rest("PUT", "/pulls/1/merge").status_code == 200


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("max_file_size", {"max_file_size": 0}),
        ("max_file_size", {"max_file_size": 101}),
        ("max_file_path_length", {"max_file_path_length": 40_000}),
        ("file_path_restriction", {"restricted_file_paths": "x"}),
        ("file_extension_restriction", {}),
        ("code_scanning", {"code_scanning_tools": [CODEQL | {"alerts_threshold": "some"}]}),
        ("code_scanning", {"code_scanning_tools": [CODEQL | {"more": 1}]}),
        ("workflows", {"workflows": [{"path": "ci.yml"}]}),
        ("workflows", {"workflows": ["ci.yml"]}),
        ("required_deployments", {"required_deployment_environments": [1]}),
    ],
)
def test_parameters_that_do_not_fit_are_refused(rest: Rest, kind: str, parameters: dict[str, Any]) -> None:
    target = "push" if kind.startswith(("max", "file")) else "branch"
    rule = {"type": kind, "parameters": parameters}

    answer = rest("POST", "/rulesets", name="x", target=target, enforcement="active", rules=[rule])

    assert said(answer) == (422, no_input("/rules/0"))


def test_pushes_have_rulesets_of_their_own(rest: Rest) -> None:
    def made(target: str, rule: dict[str, Any], **more: Any) -> requests.Response:
        return rest("POST", "/rulesets", name=target, target=target, enforcement="active", rules=[rule], **more)

    ours = made("push", PATHS).json()
    refs = {"conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}}

    assert (ours["target"], ours["conditions"]) == ("push", {})
    assert made("branch", PATHS).json()["errors"] == ["Invalid rule 'file_path_restriction': "]
    assert made("push", {"type": "deletion"}).json()["errors"] == ["Invalid rule 'deletion': "]
    assert said(made("push", PATHS, **refs)) == (422, no_input("/conditions"))
    assert [one["id"] for one in rest("GET", "/rulesets?targets=push").json()] == [ours["id"]]
    assert not rest("GET", "/branches/main").json()["protected"]


EXTENSIONS = {"restricted_file_extensions": ["*.exe", "jar"]}
FILE_RULES = [
    ("file_path_restriction", {"restricted_file_paths": ["lib/*"]}, "lib/a.txt", "File path is restricted"),
    ("file_extension_restriction", EXTENSIONS, "b.jar", "File extension is restricted"),
    ("max_file_path_length", {"max_file_path_length": 20}, "a/very/long/path.txt.md", "File path is too long"),
    ("max_file_size", {"max_file_size": 1}, "big.txt", "File is too large"),
]


@pytest.mark.parametrize(("kind", "parameters", "path", "words"), FILE_RULES, ids=[rule[0] for rule in FILE_RULES])
def test_files_are_not_let_in_against_the_rules(
    sandbox: Sandbox, rest: Rest, kind: str, parameters: dict[str, Any], path: str, words: str
) -> None:
    text = "x" * (1024 * 1024 + 1) if kind == "max_file_size" else "x\n"
    blob = rest("POST", "/git/blobs", content=text).json()["sha"]
    entry = {"path": path, "mode": "100644", "type": "blob", "sha": blob}
    tree = rest("POST", "/git/trees", base_tree=tip(sandbox), tree=[entry]).json()["sha"]
    wrong = rest("POST", "/git/commits", message="M", tree=tree, parents=[tip(sandbox)]).json()["sha"]
    undone = rest("POST", "/git/commits", message="N", tree=f"{_tree(sandbox)}", parents=[wrong]).json()["sha"]
    sandbox.world.add_ruleset("acme/rocket", rules=[{"type": kind, "parameters": parameters}], target="push")

    refused = [rest("POST", "/git/refs", ref="refs/heads/x", sha=sha) for sha in (wrong, undone)]
    free = sandbox.world.push("acme/rocket", "free", {"fine.txt": "x\n"})

    assert [said(answer) for answer in refused] == [(422, found(words))] * 2
    assert rest("PATCH", "/git/refs/heads/main", sha=free).status_code == 200


def test_a_submodule_has_no_size_and_a_merge_brings_what_is_new_in_it(sandbox: Sandbox, rest: Rest) -> None:
    world, size = sandbox.world, {"type": "max_file_size", "parameters": {"max_file_size": 1}}
    world.add_ruleset("acme/rocket", rules=[PATHS, size], target="push")
    side = world.push("acme/rocket", "side", {"a.txt": "a\n"})
    main = world.push("acme/rocket", "main", {"b.txt": "b\n"})

    def merged(path: str, mode: str, sha: str) -> int:
        entries = [{"path": path, "mode": mode, "type": "commit" if mode == "160000" else "blob", "sha": sha}]
        tree = rest("POST", "/git/trees", base_tree=main, tree=entries).json()["sha"]
        commit_ = rest("POST", "/git/commits", message="M", tree=tree, parents=[main, side]).json()["sha"]
        return rest("POST", "/git/refs", ref=f"refs/heads/{path}", sha=commit_).status_code

    blob = rest("POST", "/git/blobs", content="x").json()["sha"]
    assert merged("lib", "160000", "1" * 40) == 201
    assert merged("secret.txt", "100644", blob) == 422


def _tree(sandbox: Sandbox) -> str:
    return sandbox.world.repo("acme/rocket").git.commit(tip(sandbox)).tree


def test_a_fork_brings_files_in_by_a_merge_but_not_against_the_rules(sandbox: Sandbox, rest: Rest) -> None:
    opened(sandbox, files={"secret.txt": "x\n"}, fork="zoe")
    opened(sandbox, files={"secret.txt": "y\n"}, head="ours")
    sandbox.world.add_ruleset("acme/rocket", rules=[PATHS], target="push")

    foreign = said(rest("PUT", "/pulls/1/merge"))
    own = rest("PUT", "/pulls/2/merge")

    assert foreign == (405, found("File path is restricted"))
    assert own.status_code == 200, "its commits were let in before the rule was there"


def test_forks_are_bound_by_the_rules_about_pushes_too(sandbox: Sandbox) -> None:
    world = sandbox.world
    fork = world.fork(world.repo("acme/rocket"), "zoe")
    world.create_repo("acme/other", files=FILES, ci=None)
    world.add_ruleset("acme", "all", rules=[PATHS], target="push")
    wrong = world.push("acme/rocket", "x", {"secret.txt": "x\n"})
    fork.git.fetch(world.repo("acme/rocket").git_dir, wrong, "refs/tmp/x")

    with pytest.raises(Exception, match="File path is restricted"):
        world.create_ref(fork, "refs/heads/x", wrong, by="zoe")

    world.delete_repo("acme/rocket")
    world.create_ref(fork, "refs/heads/x", wrong, by="zoe")
    assert fork.fork_of is None


def test_a_commit_by_an_api_is_a_push(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    sandbox.world.add_ruleset("acme/rocket", rules=[PATHS], target="push")
    make = """mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }"""
    sent = {
        "branch": {"repositoryNameWithOwner": "acme/rocket", "branchName": "main"},
        "expectedHeadOid": tip(sandbox),
        "message": {"headline": "M"},
        "fileChanges": {"additions": [{"path": "secret.txt", "contents": "eA=="}]},
    }

    assert query(make, input=sent)["errors"][0]["message"] == found("File path is restricted")
    contents = rest("PUT", "/contents/secret.txt", message="M", content="eA==")
    assert said(contents) == (409, found("File path is restricted"))


def test_a_push_of_restricted_files_is_declined_as_github_does(served: Sandbox, clone: Path) -> None:
    served.world.add_ruleset("acme/rocket", rules=[PATHS], target="push", bypass=[])
    for path in (".github/workflows/build.yaml", ".github/workflows/deploy.yaml"):
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        commit(clone, path, "on: push\n")

    words = git("push", "origin", "main", cwd=clone, ok=False)

    remote = [line.removeprefix("remote:").rstrip() for line in words.splitlines() if line.startswith("remote:")]
    assert remote == [
        " error: GH013: Repository rule violations found for refs/heads/main.",
        f" Review all repository rules at {served.url}/acme/rocket/rules?ref=refs%2Fheads%2Fmain",
        "",
        " - GITHUB PUSH PROTECTION",
        f"   {'—' * 41}",
        "     Resolve the following violations before pushing again",
        "",
        "     - File path is restricted",
        "       Found 2 violations:",
        "",
        "       .github/workflows/build.yaml",
        "       .github/workflows/deploy.yaml",
        "",
    ]
    assert "! [remote rejected] main -> main (push declined due to repository rule violations)" in words


def test_who_may_bypass_the_rules_about_pushes_is_told_so(served: Sandbox, clone: Path) -> None:
    served.world.add_ruleset("acme/rocket", rules=[PATHS], target="push", bypass=[ADMINS])
    sha = commit(clone, "secret.txt", "x\n")

    words = git("push", "origin", "main", cwd=clone, ok=True, words=True)

    assert "remote: Bypassed rule violations for refs/heads/main:" in words
    assert "- File path is restricted" in words
    assert served.world.repo("acme/rocket").git.tip("main") == sha
