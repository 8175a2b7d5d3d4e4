"""Rulesets: written and read over REST, in force on merges, moved refs and pushes, and passed by who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mergeq.sandbox import RefusedError, Sandbox, WsgiAdapter
from mergeq.sandbox.globs import fnmatch
from tests.sandbox.conftest import BASE, FILES, Query, Rest
from tests.sandbox.test_git_http import clone, commit, git

__all__ = ("clone",)

MAIN = "refs/heads/main"
BY_PULL = "Changes must be made through a pull request."
PULL_REQUEST: dict[str, Any] = {
    "type": "pull_request",
    "parameters": {
        "required_approving_review_count": 0,
        "dismiss_stale_reviews_on_push": False,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    },
}
QUEUE: dict[str, Any] = {
    "type": "merge_queue",
    "parameters": {
        "check_response_timeout_minutes": 60,
        "grouping_strategy": "ALLGREEN",
        "max_entries_to_build": 5,
        "max_entries_to_merge": 5,
        "merge_method": "MERGE",
        "min_entries_to_merge": 1,
        "min_entries_to_merge_wait_minutes": 5,
    },
}
ADMINS = {"actor_id": 5, "actor_type": "RepositoryRole"}


def pull_request(**parameters: Any) -> dict[str, Any]:
    return PULL_REQUEST | {"parameters": PULL_REQUEST["parameters"] | parameters}


def checks(*contexts: str | dict[str, Any], strict: bool = False, **more: Any) -> dict[str, Any]:
    wanted = [{"context": context} if isinstance(context, str) else context for context in contexts]
    parameters = {"required_status_checks": wanted, "strict_required_status_checks_policy": strict}
    return {"type": "required_status_checks", "parameters": parameters | more}


def no_input(where: str) -> str:
    return f"Invalid request.\n\nInvalid property {where}: data matches no possible input. See `documentation_url`."


def found(*sentences: str) -> str:
    """The message of the APIs about these."""
    return "Repository rule violations found\n\n" + "".join(f"{sentence}\n\n" for sentence in sentences)


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def refusal(sandbox: Sandbox, new: str, ref: str = MAIN, *, force: bool = False, by: str = "mergeq-bot") -> str:
    with pytest.raises(RefusedError) as refused:
        sandbox.world.update_ref("acme/rocket", ref, new, force=force, by=by)
    assert refused.value.status == 422
    return refused.value.message


@pytest.fixture
def ana(sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.mount(BASE, WsgiAdapter(sandbox.app))
        made.headers["Authorization"] = f"Bearer {sandbox.world.users.issue_token('ana')}"
        yield made


def test_a_ruleset_is_made_read_changed_and_deleted(rest: Rest) -> None:
    conditions = {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}
    made = rest("POST", "/rulesets", name="main", enforcement="active", rules=[PULL_REQUEST], conditions=conditions)
    number = made.json()["id"]

    changed = rest("PUT", f"/rulesets/{number}", enforcement="evaluate", bypass_actors=[ADMINS]).json()
    listed = rest("GET", "/rulesets").json()
    deleted = rest("DELETE", f"/rulesets/{number}")

    assert (made.status_code, made.json()["current_user_can_bypass"]) == (201, "never")
    assert made.json()["rules"][0]["parameters"]["allowed_merge_methods"] == ["merge", "squash", "rebase"]
    assert (changed["enforcement"], changed["conditions"], changed["rules"]) == (
        "evaluate",
        conditions,
        made.json()["rules"],
    )
    assert changed["bypass_actors"] == [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    assert changed["current_user_can_bypass"] == "always"
    assert [(shown["id"], shown["source_type"], "rules" in shown) for shown in listed] == [
        (number, "Repository", False)
    ]
    assert (deleted.status_code, rest("GET", f"/rulesets/{number}").status_code) == (204, 404)


def test_rulesets_are_read_by_everybody_and_written_by_administrators(
    sandbox: Sandbox, rest: Rest, ana: requests.Session
) -> None:
    sandbox.world.add_ruleset("acme/rocket", rules=[{"type": "deletion"}], bypass=[ADMINS])
    (shown,) = ana.get(f"{BASE}/repos/acme/rocket/rulesets").json()
    whole = ana.get(f"{BASE}/repos/acme/rocket/rulesets/{shown['id']}").json()

    assert "bypass_actors" not in whole
    assert said(ana.delete(f"{BASE}/repos/acme/rocket/rulesets/{shown['id']}")) == (404, "Not Found")
    assert said(ana.get(f"{BASE}/orgs/acme/rulesets")) == (404, "Not Found")
    assert rest("GET", f"/rulesets/{shown['id']}").json()["bypass_actors"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"enforcement": "active"}, 'Invalid request.\n\n"name" wasn\'t supplied.'),
        (
            {"name": "x", "enforcement": "active", "source": "acme"},
            'Invalid request.\n\n"source" is not a permitted key.',
        ),
        (
            {"name": "x", "enforcement": "active", "rules": [{"type": "deletion"}, {"type": "explode"}]},
            no_input("/rules/1"),
        ),
        (
            {"name": "x", "enforcement": "active", "rules": [pull_request(required_approving_review_count=11)]},
            no_input("/rules/0"),
        ),
        (
            {"name": "x", "enforcement": "active", "rules": [{"type": "pull_request", "parameters": {}}]},
            no_input("/rules/0"),
        ),
        (
            {"name": "x", "enforcement": "sometimes"},
            no_input("/enforcement"),
        ),
    ],
)
def test_a_ruleset_that_does_not_fit_the_schema_is_refused(rest: Rest, sent: dict[str, Any], words: str) -> None:
    assert said(rest("POST", "/rulesets", **sent)) == (422, words)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"rules": [checks({"context": "ci", "integration_id": -1})]}, "Invalid rule 'required_status_checks': "),
        (
            {"rules": [{"type": "commit_message_pattern", "parameters": {"operator": "regex", "pattern": "("}}]},
            "Invalid rule 'commit_message_pattern': ",
        ),
        ({"conditions": {"ref_name": {"include": ["main"], "exclude": []}}}, "Invalid target patterns: 'main'"),
        (
            {"bypass_actors": [{"actor_id": 77, "actor_type": "Integration"}]},
            "Actor Integration must be part of the ruleset source or owner organization",
        ),
        ({"name": "taken"}, "Name must be unique"),
    ],
)
def test_a_ruleset_that_means_nothing_is_refused(
    sandbox: Sandbox, rest: Rest, sent: dict[str, Any], words: str
) -> None:
    sandbox.world.add_ruleset("acme/rocket", "taken", rules=[])
    answer = rest("POST", "/rulesets", **({"name": "x", "enforcement": "active"} | sent))

    assert (answer.status_code, answer.json()["message"], answer.json()["errors"]) == (
        422,
        "Validation Failed",
        [words],
    )


def test_the_native_queue_is_for_named_branches_of_organizations(
    sandbox: Sandbox, rest: Rest, session: requests.Session
) -> None:
    sandbox.world.create_repo("ana/own", files=FILES, ci=None).owner_is_user = True
    sent: dict[str, Any] = {"name": "q", "enforcement": "active", "rules": [QUEUE]}
    everywhere = {"conditions": {"ref_name": {"include": ["refs/heads/*"], "exclude": []}}}
    here = {"conditions": {"ref_name": {"include": [MAIN], "exclude": []}}}

    own = session.post(f"{BASE}/repos/ana/own/rulesets", json=sent | here)
    wild = rest("POST", "/rulesets", **(sent | everywhere))

    assert [answer.json()["errors"] for answer in (own, wild)] == [["Invalid rule 'merge_queue': "]] * 2
    assert rest("POST", "/rulesets", **(sent | here)).status_code == 201


def test_an_organization_rules_the_repositories_its_conditions_name(
    sandbox: Sandbox, rest: Rest, session: requests.Session
) -> None:
    world = sandbox.world
    other = world.create_repo("acme/boat", files=FILES, ci=None)
    other.properties["tier"] = "gold"
    refs = {"ref_name": {"include": ["~ALL"], "exclude": []}}
    named = {"repository_name": {"include": ["roc*"], "exclude": []}}
    filed = {"repository_property": {"include": [{"name": "tier", "property_values": ["gold"]}], "exclude": []}}
    sent = {"name": "a", "enforcement": "active", "rules": [{"type": "deletion"}], "conditions": refs | named}

    number = session.post(f"{BASE}/orgs/acme/rulesets", json=sent).json()["id"]
    before = [rest("GET", f"//repos/acme/{name}/rules/branches/any").json() for name in ("rocket", "boat")]
    session.put(f"{BASE}/orgs/acme/rulesets/{number}", json={"conditions": refs | filed})
    after = [rest("GET", f"//repos/acme/{name}/rules/branches/any").json() for name in ("rocket", "boat")]

    shown = {"type": "deletion", "ruleset_source_type": "Organization", "ruleset_source": "acme", "ruleset_id": number}
    assert (before, after) == ([[shown], []], [[], [shown]])
    inherited = rest("GET", f"//repos/acme/boat/rulesets/{number}").json()
    assert (inherited["source"], inherited["source_type"]) == ("acme", "Organization")
    assert rest("GET", "//repos/acme/boat/rulesets?includes_parents=false").json() == []
    assert rest("DELETE", f"//repos/acme/boat/rulesets/{number}").status_code == 404
    assert session.get(f"{BASE}/orgs/acme/rulesets/{number}").json()["name"] == "a"
    assert session.delete(f"{BASE}/orgs/acme/rulesets/{number}").status_code == 204
    assert session.get(f"{BASE}/orgs/acme/rulesets").json() == []


def test_an_organizations_ruleset_says_for_which_repositories(session: requests.Session) -> None:
    sent = {"name": "a", "enforcement": "active", "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}}}

    answer = session.post(f"{BASE}/orgs/acme/rulesets", json=sent)

    assert answer.json()["message"].startswith("Invalid request.\n\nInvalid property /conditions")
    assert session.post(f"{BASE}/orgs/nobody/rulesets", json=sent).status_code == 404


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("refs/heads/main", "refs/heads/main", True),
        ("refs/heads/rel*", "refs/heads/release", True),
        ("refs/heads/*", "refs/heads/a/b", False),
        ("refs/heads/**/*", "refs/heads/a/b/c", True),
        ("refs/heads/**/*", "refs/heads/a", True),
        ("refs/heads/mergeq/**", "refs/heads/mergeq/a", True),
        ("refs/heads/mergeq/**", "refs/heads/mergeq/a/b", False),
        ("refs/heads/v?", "refs/heads/v1", True),
        ("refs/heads/v?", "refs/heads/v/", False),
        ("refs/heads/[a-c]", "refs/heads/b", True),
        ("refs/heads/[!a-c]", "refs/heads/b", False),
        ("refs/heads/[!a-c]", "refs/heads/d", True),
        ("refs/heads/{a,b}", "refs/heads/a", False),
        ("refs/heads/a.c", "refs/heads/abc", False),
    ],
)
def test_globs_are_read_as_rubys_fnmatch_reads_paths(glob: str, name: str, fits: bool) -> None:
    assert fnmatch(glob, name) is fits


def test_every_rule_against_a_move_is_named(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    staged = rest(
        "POST", "/git/commits", message="M", tree=tree(sandbox, pull.head_sha), parents=[tip(sandbox), pull.head_sha]
    )
    rules = [
        PULL_REQUEST,
        checks("ci"),
        *({"type": t} for t in ("update", "required_linear_history", "required_signatures")),
    ]
    world.add_ruleset("acme/rocket", rules=rules)

    assert refusal(sandbox, staged.json()["sha"]) == found(
        "Cannot update this protected ref.",
        'Required status check "ci" is expected.',
        BY_PULL,
        "This branch must not contain merge commits.",
        "Commits must have verified signatures.",
    )


def tree(sandbox: Sandbox, sha: str) -> str:
    return sandbox.world.repo("acme/rocket").git.commit(sha).tree


def test_refs_are_not_forced_deleted_or_made_against_the_rules(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    before = tip(sandbox)
    world.push("acme/rocket", "main", {"a.txt": "a\n"})
    world.add_ruleset(
        "acme/rocket", rules=[{"type": t} for t in ("non_fast_forward", "deletion", "creation")], include=["~ALL"]
    )
    world.create_ref("acme/rocket", "refs/tags/v1", before)
    world.add_ruleset("acme/rocket", "tags", target="tag", rules=[{"type": "deletion"}], include=["refs/tags/v*"])

    assert refusal(sandbox, before, force=True) == found("Cannot force-push to this branch")
    assert said(rest("DELETE", "/git/refs/heads/main")) == (422, found("Cannot delete this branch"))
    made = rest("POST", "/git/refs", ref="refs/heads/new", sha=before)
    assert said(made) == (422, found("Cannot create ref due to creations being restricted."))
    assert said(rest("DELETE", "/git/refs/tags/v1")) == (422, found("Cannot delete this tag"))


def test_a_new_branch_needs_no_pull_request_and_its_checks_only_where_that_is_asked(
    sandbox: Sandbox, rest: Rest
) -> None:
    world = sandbox.world
    lenient = checks("ci", do_not_enforce_on_create=True)
    number = world.add_ruleset("acme/rocket", rules=[PULL_REQUEST, lenient], include=["~ALL"]).id
    body = {"ref": "refs/heads/mergeq/1", "sha": tip(sandbox)}

    made = rest("POST", "/git/refs", **body)
    next_one = rest(
        "POST", "/git/commits", message="M", tree=tree(sandbox, tip(sandbox)), parents=[tip(sandbox)]
    ).json()["sha"]
    moved = rest("PATCH", "/git/refs/heads/mergeq/1", sha=next_one)
    rest("PUT", f"/rulesets/{number}", rules=[checks("ci")])

    assert made.status_code == 201
    assert said(moved) == (422, found('Required status check "ci" is expected.', BY_PULL))
    assert said(rest("POST", "/git/refs", **(body | {"ref": "refs/heads/mergeq/2"}))) == (
        422,
        found('Required status check "ci" is expected.'),
    )


def test_staging_branches_are_free_once_they_are_excluded(sandbox: Sandbox, rest: Rest) -> None:
    spared = ["refs/heads/mergeq/**/*"]
    sandbox.world.add_ruleset("acme/rocket", rules=[checks("ci")], include=["~ALL"], exclude=spared)

    assert rest("POST", "/git/refs", ref="refs/heads/mergeq/1", sha=tip(sandbox)).status_code == 201
    assert rest("POST", "/git/refs", ref="refs/heads/other", sha=tip(sandbox)).status_code == 422


def test_merges_are_judged_by_every_rule_of_the_base(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.push("acme/rocket", "main", {"b.txt": "b\n"})
    world.open_thread(pull, "ben")
    asked = pull_request(required_approving_review_count=1, required_review_thread_resolution=True)
    world.add_ruleset("acme/rocket", rules=[asked, checks("ci", strict=True), {"type": "required_linear_history"}])
    world.add_ruleset("acme/rocket", "looking on", rules=[{"type": "update"}], enforcement="evaluate")
    world.add_ruleset("acme/rocket", "asleep", rules=[{"type": "update"}], enforcement="disabled")

    assert said(rest("PUT", "/pulls/1/merge")) == (
        405,
        found(
            'Required status check "ci" is expected.',
            "At least 1 approving review is required by reviewers with write access.",
            "A conversation must be resolved before this pull request can be merged.",
            "This branch must not contain merge commits.",
            "Head branch is out of date. Review and try the merge again.",
        ),
    )


def test_both_layers_bind_at_once(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=["ci"])

    assert said(rest("PUT", "/pulls/1/merge")) == (405, 'Required status check "ci" is expected.')
    world.add_ruleset("acme/rocket", rules=[checks("ci"), pull_request(required_approving_review_count=1)])
    assert said(rest("PUT", "/pulls/1/merge")) == (
        405,
        found(
            'Required status check "ci" is expected.',
            "At least 1 approving review is required by reviewers with write access.",
        ),
    )
    shown = rest("GET", "/branches/main").json()
    world.unprotect("acme/rocket", "main")
    left = rest("GET", "/branches/main").json()
    assert (shown["protected"], shown["protection"]["enabled"]) == (True, True)
    assert (left["protected"], left["protection"]["enabled"]) == (True, False)
    assert said(rest("GET", "/branches/main/protection")) == (404, "Branch not protected")


def test_methods_are_those_that_repository_and_ruleset_allow(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.add_ruleset("acme/rocket", rules=[pull_request(allowed_merge_methods=["squash"])])

    assert said(rest("PUT", "/pulls/1/merge")) == (405, "Merge commits are not allowed on this repository.")
    assert said(rest("PUT", "/pulls/1/merge", merge_method="rebase"))[0] == 405
    assert rest("PUT", "/pulls/1/merge", merge_method="squash").status_code == 200


def test_the_native_queue_lets_nobody_else_merge_or_push(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.add_ruleset("acme/rocket", rules=[QUEUE])
    words = found("Changes must be made through the merge queue")

    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    assert refusal(sandbox, pull.head_sha) == words
    rest("GET", "/pulls/1")
    assert rest("GET", "/pulls/1").json()["mergeable_state"] == "blocked"


@pytest.mark.parametrize(
    ("rule", "subject", "words"),
    [
        (
            "commit_message_pattern",
            {"operator": "regex", "pattern": "^feat"},
            "Commit message must match a given regex pattern: ^feat",
        ),
        (
            "commit_message_pattern",
            {"operator": "contains", "pattern": "Add", "negate": True},
            "Commit message must not contain a given pattern: Add",
        ),
        (
            "commit_author_email_pattern",
            {"operator": "ends_with", "pattern": "@acme.test"},
            "Author email must end with a given pattern: @acme.test",
        ),
        (
            "committer_email_pattern",
            {"operator": "starts_with", "pattern": "zoe@"},
            "Committer email must start with a given pattern: zoe@",
        ),
    ],
)
def test_commits_look_as_the_patterns_ask(
    sandbox: Sandbox, rest: Rest, rule: str, subject: dict[str, Any], words: str
) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.add_ruleset("acme/rocket", rules=[{"type": rule, "parameters": subject}])

    assert refusal(sandbox, pull.head_sha) == found(words)
    assert said(rest("PUT", "/pulls/1/merge", commit_title="feat: it", merge_method="rebase")) == (405, found(words))


def test_a_squash_is_judged_by_the_message_it_gets(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    rule = {"type": "commit_message_pattern", "parameters": {"operator": "starts_with", "pattern": "feat: "}}
    sandbox.world.add_ruleset("acme/rocket", rules=[rule])

    words = found("Commit message must start with a given pattern: feat: ")
    assert said(rest("PUT", "/pulls/1/merge", merge_method="squash")) == (405, words)
    assert rest("PUT", "/pulls/1/merge", merge_method="squash", commit_title="feat: add").status_code == 200


def test_branches_are_named_as_the_pattern_asks(sandbox: Sandbox, rest: Rest) -> None:
    rule = {"type": "branch_name_pattern", "parameters": {"operator": "regex", "pattern": "^(feature|mergeq)/"}}
    sandbox.world.add_ruleset("acme/rocket", rules=[rule], include=["~ALL"])

    refused = rest("POST", "/git/refs", ref="refs/heads/mine", sha=tip(sandbox))
    assert said(refused) == (422, found("Branch name must match a given regex pattern: ^(feature|mergeq)/"))
    assert rest("POST", "/git/refs", ref="refs/heads/feature/mine", sha=tip(sandbox)).status_code == 201


def test_actors_pass_as_they_are_named(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.users.join_team("owners", "ben")
    world.users.set_role("dora", "admin")
    bypass: list[dict[str, Any]] = [
        {"actor_id": world.app("queue").id, "actor_type": "Integration"},
        {"actor_id": world.users.team_id("acme", "owners"), "actor_type": "Team"},
        {"actor_id": world.users.id_of("eva"), "actor_type": "User"},
        {"actor_id": 1, "actor_type": "OrganizationAdmin"},
        {"actor_id": None, "actor_type": "DeployKey"},
    ]
    world.add_ruleset("acme/rocket", rules=[{"type": "update"}], bypass=bypass)

    for number, by in enumerate(("queue[bot]", "ben", "eva", "dora")):
        world.update_ref("acme/rocket", MAIN, world.push("acme/rocket", "next", {f"{number}.txt": "x\n"}), by=by)
    last = world.push("acme/rocket", "next", {"last.txt": "x\n"})
    assert refusal(sandbox, last, by="ana") == found("Cannot update this protected ref.")
    assert refusal(sandbox, last, by="other[bot]") == found("Cannot update this protected ref.")


def test_who_passes_by_pull_request_only_merges_and_does_not_push(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    bypass = [ADMINS | {"bypass_mode": "pull_request"}]
    number = world.add_ruleset("acme/rocket", rules=[PULL_REQUEST, checks("ci")], bypass=bypass).id
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})

    assert refusal(sandbox, pull.head_sha) == found('Required status check "ci" is expected.', BY_PULL)
    assert rest("GET", f"/rulesets/{number}").json()["current_user_can_bypass"] == "pull_requests_only"
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_how_writes_were_judged_is_listed(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.add_ruleset("acme/rocket", rules=[{"type": "update"}], bypass=[ADMINS])
    first, second = (world.push("acme/rocket", "next", {f"{n}.txt": "x\n"}) for n in range(2))
    refusal(sandbox, first, by="ana")
    world.update_ref("acme/rocket", MAIN, first)
    world.create_ref("acme/rocket", "refs/heads/free", second)

    suites = rest("GET", "/rulesets/rule-suites").json()
    passed = rest("GET", "/rulesets/rule-suites?rule_suite_result=bypass&actor_name=mergeq-bot").json()

    assert [(suite["result"], suite["actor_name"], suite["after_sha"]) for suite in suites] == [
        ("bypass", "mergeq-bot", first),
        ("fail", "ana", first),
    ]
    assert passed == suites[:1]
    whole = rest("GET", f"/rulesets/rule-suites/{suites[1]['id']}").json()
    assert [rule["details"] for rule in whole["rule_evaluations"]] == ["Cannot update this protected ref."]
    assert rest("GET", "/rulesets/rule-suites/1").status_code == 404


def test_graphql_says_the_same(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    ahead = world.push("acme/rocket", "next", {"a.txt": "a\n"})
    world.add_ruleset("acme/rocket", rules=[checks("ci")], include=["~ALL"])
    ids = query('{repository(owner: "acme", name: "rocket") { id ref(qualifiedName: "main") { id } }}')
    repo, main = ids["data"]["repository"]["id"], ids["data"]["repository"]["ref"]["id"]
    create = """mutation($repo: ID!, $oid: GitObjectID!) {
      createRef(input: {repositoryId: $repo, name: "refs/heads/x", oid: $oid}) { clientMutationId } }"""
    update = """mutation($ref: ID!, $oid: GitObjectID!) {
      updateRef(input: {refId: $ref, oid: $oid}) { ref { target { oid } } } }"""

    errors = [query(create, repo=repo, oid=tip(sandbox))["errors"], query(update, ref=main, oid=ahead)["errors"]]
    world.set_status("acme/rocket", ahead, context="ci")

    words = found('Required status check "ci" is expected.')
    assert [(error["type"], error["message"]) for (error,) in errors] == [("UNPROCESSABLE", words)] * 2
    assert query(update, ref=main, oid=ahead)["data"] == {"updateRef": {"ref": {"target": {"oid": ahead}}}}
    (back,) = query(update, ref=main, oid=tip(sandbox))["data"]["updateRef"]["ref"]["target"].values()
    assert back == tip(sandbox) == ahead


def test_a_push_against_a_ruleset_is_declined_as_github_does(served: Sandbox, clone: Path) -> None:
    world = served.world
    world.add_ruleset("acme/rocket", rules=[PULL_REQUEST, {"type": "required_signatures"}])
    world.protect("acme/rocket", "main", required_contexts=["ci"])
    sha = commit(clone, "a.txt", "a\n")

    words = git("push", "origin", "main", "main:side", cwd=clone, ok=False)

    remote = [line.removeprefix("remote:").strip() for line in words.splitlines() if line.startswith("remote:")]
    assert remote == [
        "error: GH013: Repository rule violations found for refs/heads/main.",
        f"Review all repository rules at {served.url}/acme/rocket/rules?ref=refs%2Fheads%2Fmain",
        "",
        '- Required status check "ci" is expected.',
        "",
        f"- {BY_PULL}",
        "",
        "- Commits must have verified signatures.",
        "Found 1 violation:",
        "",
        sha,
        "",
    ]
    assert "! [remote rejected] main -> main (push declined due to repository rule violations)" in words
    assert world.repo("acme/rocket").git.tip("side") == sha


def test_a_push_that_passes_the_rules_says_which(served: Sandbox, clone: Path) -> None:
    world = served.world
    world.add_ruleset("acme/rocket", rules=[PULL_REQUEST], bypass=[ADMINS])
    world.protect("acme/rocket", "main", required_contexts=["ci"], enforce_admins=False)
    sha = commit(clone, "a.txt", "a\n")

    pushed = git("push", "origin", "main", cwd=clone, ok=True, words=True)

    remote = [line.removeprefix("remote:").strip() for line in pushed.splitlines() if line.startswith("remote:")]
    assert remote == [
        "Bypassed rule violations for refs/heads/main:",
        "",
        '- Required status check "ci" is expected.',
        "",
        f"- {BY_PULL}",
        "",
    ]
    assert world.repo("acme/rocket").git.tip("main") == sha


def test_an_actor_that_is_exempt_is_not_even_told(served: Sandbox, clone: Path) -> None:
    served.world.add_ruleset("acme/rocket", rules=[PULL_REQUEST], bypass=[ADMINS | {"bypass_mode": "exempt"}])
    commit(clone, "a.txt", "a\n")

    assert "remote:" not in git("push", "origin", "main", cwd=clone, ok=True, words=True)


def test_a_push_of_workflow_files_may_be_out_of_reach(served: Sandbox, clone: Path) -> None:
    served.world.faults.add("policy.no_workflows", repo="acme/rocket", times=None)
    (clone / ".github" / "workflows").mkdir(parents=True)
    commit(clone, "a.txt", "a\n")
    git("push", "-q", "origin", "main", cwd=clone)
    commit(clone, ".github/workflows/ci.yml", "on: push\n")

    words = git("push", "origin", "main", cwd=clone, ok=False)

    said = "refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml`"
    assert f"remote: - {said} without `workflows` permission" in words
