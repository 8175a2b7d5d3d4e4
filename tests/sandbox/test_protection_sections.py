"""Each section of classic protection read and changed by itself, and what the newer ones are good for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox, WsgiAdapter
from mergeq.sandbox.records import RequiredCheck, Restrictions
from tests.sandbox.conftest import BASE, FILES, Query, Rest

PATH = "/branches/main/protection"
OFF: dict[str, Any] = {
    "required_status_checks": None,
    "enforce_admins": True,
    "required_pull_request_reviews": None,
    "restrictions": None,
}
NOT_AUTHORIZED = (
    "You're not authorized to push to this branch. "
    "Visit https://docs.github.com/articles/about-protected-branches/ for more information."
)


@pytest.fixture
def ana(sandbox: Sandbox) -> Iterator[requests.Session]:
    """Somebody who may write and is no administrator."""
    with requests.Session() as made:
        made.mount(BASE, WsgiAdapter(sandbox.app))
        made.headers["Authorization"] = f"Bearer {sandbox.world.users.issue_token('ana')}"
        yield made


def ask(session: requests.Session, method: str, path: str, **json: Any) -> tuple[int, Any]:
    answer = session.request(method, f"{BASE}/repos/acme/rocket{path}", json=json or None)
    body = answer.json() if answer.content else None
    return answer.status_code, body["message"] if isinstance(body, dict) and answer.status_code >= 400 else body


def listed(session: requests.Session, method: str, path: str, sent: Any) -> Any:
    answer = session.request(method, f"{BASE}/repos/acme/rocket{PATH}{path}", json=sent)
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(rest: Rest, **fields: Any) -> Any:
    answer = rest("PUT", PATH, **(OFF | fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def test_administrators_are_bound_and_let_go_on_a_route_of_its_own(rest: Rest) -> None:
    put(rest, enforce_admins=False)

    bound = rest("POST", f"{PATH}/enforce_admins").json()
    let_go = rest("DELETE", f"{PATH}/enforce_admins")

    assert bound == {"url": f"{BASE}/repos/acme/rocket/branches/main/protection/enforce_admins", "enabled": True}
    assert (let_go.status_code, rest("GET", f"{PATH}/enforce_admins").json()["enabled"]) == (204, False)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("required_status_checks", "Required status checks not enabled"),
        ("required_status_checks/contexts", "Required status checks not enabled"),
        ("required_pull_request_reviews", "Pull request reviews not enabled"),
        ("restrictions", "Push restrictions not enabled"),
        ("restrictions/teams", "Push restrictions not enabled"),
    ],
)
def test_a_section_that_is_off_is_not_found_and_neither_is_one_of_a_free_branch(
    rest: Rest, section: str, words: str
) -> None:
    free = rest("GET", f"{PATH}/{section}")
    put(rest)
    off = rest("GET", f"{PATH}/{section}")

    assert (free.status_code, free.json()["message"]) == (404, "Branch not protected")
    assert (off.status_code, off.json()["message"]) == (404, words)


def test_contexts_are_listed_added_replaced_and_taken_away(rest: Rest, session: requests.Session) -> None:
    put(rest, required_status_checks={"strict": True, "contexts": ["build"]})
    path = "/required_status_checks/contexts"

    assert listed(session, "POST", path, {"contexts": ["lint", "build"]}) == ["lint", "build"]
    assert listed(session, "DELETE", path, ["build"]) == ["lint"]
    assert listed(session, "PUT", path, {"contexts": ["e2e"]}) == ["e2e"]
    assert rest("GET", f"{PATH}{path}").json() == ["e2e"]
    assert rest("GET", f"{PATH}/required_status_checks").json()["strict"] is True
    wrong = rest("PUT", f"{PATH}{path}", context="e2e")
    assert (wrong.status_code, wrong.json()["message"]) == (422, 'Invalid request.\n\n"contexts" wasn\'t supplied.')


def test_a_change_of_the_checks_section_leaves_out_what_it_does_not_mention(rest: Rest) -> None:
    put(rest, required_status_checks={"strict": False, "checks": [{"context": "build", "app_id": -1}]})

    stricter = rest("PATCH", f"{PATH}/required_status_checks", strict=True).json()
    other = rest("PATCH", f"{PATH}/required_status_checks", contexts=["lint"]).json()
    dropped = rest("DELETE", f"{PATH}/required_status_checks")

    assert (stricter["strict"], stricter["contexts"]) == (True, ["build"])
    assert (other["strict"], other["contexts"]) == (True, ["lint"])
    assert (dropped.status_code, "required_status_checks" in rest("GET", PATH).json()) == (204, False)


def test_the_reviews_section_is_changed_field_by_field(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.users.join_team("owners", "ben")
    sandbox.world.app("queue")
    sandbox.world.users.id_of("ana")
    shown = put(
        rest,
        required_pull_request_reviews={
            "required_approving_review_count": 2,
            "require_code_owner_reviews": True,
            "dismissal_restrictions": {"users": ["ana"], "teams": ["owners"]},
            "bypass_pull_request_allowances": {"apps": ["queue"]},
        },
    )["required_pull_request_reviews"]

    changed = rest("PATCH", f"{PATH}/required_pull_request_reviews", dismissal_restrictions={}).json()
    dropped = rest("DELETE", f"{PATH}/required_pull_request_reviews")

    assert [user["login"] for user in shown["dismissal_restrictions"]["users"]] == ["ana"]
    assert [app["slug"] for app in shown["bypass_pull_request_allowances"]["apps"]] == ["queue"]
    assert (changed["required_approving_review_count"], changed["require_code_owner_reviews"]) == (2, True)
    assert "dismissal_restrictions" not in changed
    assert "bypass_pull_request_allowances" in changed
    assert (dropped.status_code, "required_pull_request_reviews" in rest("GET", PATH).json()) == (204, False)


def test_who_may_push_is_named_kind_by_kind(sandbox: Sandbox, rest: Rest, session: requests.Session) -> None:
    for login in ("ana", "ben"):
        sandbox.world.users.id_of(login)
    sandbox.world.users.join_team("owners", "ben")
    sandbox.world.app("queue")
    put(rest, restrictions={"users": ["ana"], "teams": []})

    added = listed(session, "POST", "/restrictions/users", {"users": ["ben"]})
    left = listed(session, "DELETE", "/restrictions/users", ["ana"])
    teams = listed(session, "PUT", "/restrictions/teams", ["owners"])
    apps = listed(session, "PUT", "/restrictions/apps", {"apps": ["queue"]})
    stranger = rest("POST", f"{PATH}/restrictions/users", users=["nobody"])

    assert [user["login"] for user in added] == ["ana", "ben"]
    assert [user["login"] for user in left] == ["ben"]
    assert ([team["slug"] for team in teams], [app["slug"] for app in apps]) == (["owners"], ["queue"])
    assert stranger.status_code == 422
    whole = rest("GET", f"{PATH}/restrictions").json()
    assert [len(whole[kind]) for kind in ("users", "teams", "apps")] == [1, 1, 1]
    assert rest("DELETE", f"{PATH}/restrictions").status_code == 204
    assert "restrictions" not in rest("GET", PATH).json()


def test_a_repository_of_a_person_names_nobody(sandbox: Sandbox, session: requests.Session) -> None:
    own = sandbox.world.create_repo("ana/own", files=FILES, ci=None)
    own.owner_is_user = True
    body = OFF | {"restrictions": {"users": ["ana"], "teams": []}}

    answer = session.put(f"{BASE}/repos/ana/own/branches/main/protection", json=body)

    words = "Only organization repositories can have users and team restrictions"
    assert (answer.status_code, answer.json()["errors"][0]) == (422, words)


def test_creating_a_branch_is_restricted_only_where_that_is_asked_for(
    sandbox: Sandbox, rest: Rest, ana: requests.Session
) -> None:
    rest("POST", "/git/refs", ref="refs/heads/release/0", sha=tip(sandbox))
    put(rest, restrictions={"users": [], "teams": []})
    repo = sandbox.world.repo("acme/rocket")
    repo.protections["release/*"] = repo.protections.pop("main")
    new = {"ref": "refs/heads/release/1", "sha": tip(sandbox)}

    assert ask(ana, "POST", "/git/refs", **new)[0] == 201
    rest("PUT", "/branches/release/0/protection", **OFF)
    put(rest, restrictions={"users": [], "teams": []}, block_creations=True)
    repo.protections["release/*"] = repo.protections.pop("main")
    assert ask(ana, "POST", "/git/refs", **(new | {"ref": "refs/heads/release/2"})) == (422, NOT_AUTHORIZED)


def test_code_owners_of_what_is_changed_must_approve(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    owners = "* @dora\n/docs/ @acme/writers # all of it\n*.md @ben @cem\nfree.txt\n"
    world.push("acme/rocket", "main", {".github/CODEOWNERS": owners})
    world.users.join_team("writers", "eva")
    put(rest, required_pull_request_reviews={"required_approving_review_count": 0, "require_code_owner_reviews": True})
    pull = world.open_pull("acme/rocket", title="Add", files={"docs/a/b.txt": "x\n", "lib/x.md": "y\n", "free.txt": ""})

    def said() -> str:
        message: str = rest("PUT", "/pulls/1/merge").json()["message"]
        return message

    assert said() == "Waiting on code owner review from acme/writers and/or ben and/or cem."
    world.review(pull, "cem")
    world.review(pull, "dora")
    assert said() == "Waiting on code owner review from acme/writers."
    world.review(pull, "eva")
    assert said() == "Pull Request successfully merged"


def test_changes_to_files_of_nobody_wait_for_nobody(sandbox: Sandbox, rest: Rest) -> None:
    put(rest, required_pull_request_reviews={"required_approving_review_count": 0, "require_code_owner_reviews": True})
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "x\n"})

    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_who_may_do_without_a_pull_request_still_needs_the_checks(
    sandbox: Sandbox, rest: Rest, ana: requests.Session
) -> None:
    world = sandbox.world
    put(
        rest,
        required_status_checks={"strict": False, "contexts": ["ci"]},
        required_pull_request_reviews={"bypass_pull_request_allowances": {"users": ["ana"]}},
    )
    staged = world.push("acme/rocket", "next", {"a.txt": "a\n"})
    move = {"sha": staged}

    assert ask(ana, "PATCH", "/git/refs/heads/main", **move) == (422, 'Required status check "ci" is expected.')
    world.set_status("acme/rocket", staged, context="ci")
    refused = rest("PATCH", "/git/refs/heads/main", **move).json()["message"]
    assert refused == "At least 1 approving review is required by reviewers with write access."
    assert ask(ana, "PATCH", "/git/refs/heads/main", **move)[0] == 200


def test_a_status_posted_by_an_app_counts_as_that_apps(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    builder = world.app("builder").id
    world.protect("acme/rocket", "main", required_contexts=[RequiredCheck("build", builder)])

    world.set_status("acme/rocket", pull.head_sha, context="build", by="ana")
    foreign = rest("PUT", "/pulls/1/merge").json()["message"]
    world.set_status("acme/rocket", pull.head_sha, context="build", by="builder[bot]")

    assert foreign == 'Required status check "build" was not set by the expected GitHub app.'
    assert rest("PUT", "/pulls/1/merge").status_code == 200
    shown = put(rest, required_status_checks={"strict": False, "contexts": ["build"]})
    assert shown["required_status_checks"]["checks"] == [{"context": "build", "app_id": builder}]


def test_people_who_may_not_write_are_dropped_without_a_word(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.users.id_of("ana")
    sandbox.world.users.set_role("zoe", "read")

    shown = put(rest, restrictions={"users": ["zoe", "ana"], "teams": []})

    assert [user["login"] for user in shown["restrictions"]["users"]] == ["ana"]


def test_a_private_repository_on_the_free_plan_has_no_protection(sandbox: Sandbox, rest: Rest) -> None:
    repo = sandbox.world.repo("acme/rocket")
    repo.private = repo.free_plan = True
    answers = [
        rest("GET", PATH),
        rest("PUT", PATH, **OFF),
        rest("POST", "/rulesets", name="x", enforcement="active"),
    ]

    words = "Upgrade to GitHub Pro or make this repository public to enable this feature."
    assert [(answer.status_code, answer.json()["message"]) for answer in answers] == [(403, words)] * 3


def test_force_pushes_may_be_left_to_some(sandbox: Sandbox, ana: requests.Session, rest: Rest) -> None:
    world = sandbox.world
    before = tip(sandbox)
    world.push("acme/rocket", "main", {"a.txt": "a\n"})
    repo = world.repo("acme/rocket")
    repo.protections["main"] = replace(world.protect("acme/rocket", "main"), forcers=Restrictions(users=("ana",)))
    back = {"sha": before, "force": True}

    refused = rest("PATCH", "/git/refs/heads/main", **back)

    assert refused.json()["message"] == "Cannot force-push to a protected branch"
    assert ask(ana, "PATCH", "/git/refs/heads/main", **back)[0] == 200


def test_readers_see_the_part_of_a_rule_that_is_for_them(sandbox: Sandbox, query: Query) -> None:
    only = Restrictions(users=("ana",))
    sandbox.world.protect("acme/rocket", "ma*", ["ci"], 1, restrictions=only, required_signatures=True)
    sandbox.world.users.set_role("mergeq-bot", "read")
    look = """{ repository(owner: "acme", name: "rocket") { ref(qualifiedName: "main") {
      branchProtectionRule {pattern} refUpdateRule { pattern allowsDeletions allowsForcePushes blocksCreations
      requiredApprovingReviewCount requiredStatusCheckContexts requiresCodeOwnerReviews
      requiresConversationResolution requiresLinearHistory requiresSignatures
      viewerAllowedToDismissReviews viewerCanPush } } } }"""

    assert query(look)["data"]["repository"]["ref"] == {
        "branchProtectionRule": None,
        "refUpdateRule": {
            "pattern": "ma*",
            "allowsDeletions": False,
            "allowsForcePushes": False,
            "blocksCreations": False,
            "requiredApprovingReviewCount": 1,
            "requiredStatusCheckContexts": ["ci"],
            "requiresCodeOwnerReviews": False,
            "requiresConversationResolution": False,
            "requiresLinearHistory": False,
            "requiresSignatures": True,
            "viewerAllowedToDismissReviews": False,
            "viewerCanPush": False,
        },
    }
