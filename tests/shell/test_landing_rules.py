"""Every rule that GitHub knows of a branch is kept by a token that could pass it by (D19): by a push and by a merge."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull, Restrictions, ReviewRule
from mergeq.sandbox.ruleset_forms import PARAMETERS
from mergeq.sandbox.rulesets import OF_PUSHES
from tests.conftest import Mergeq
from tests.shell.quirky import REQUIRED, STAGED, ready, reasons, work
from tests.shell.test_landing_by_push import tip
from tests.shell.test_rulesets import ADMINS, by_pull, checks

WAYS = {"by push": STAGED, "by merge": REQUIRED}
QUEUE = {
    "check_response_timeout_minutes": 60,
    "grouping_strategy": "ALLGREEN",
    "max_entries_to_build": 5,
    "max_entries_to_merge": 5,
    "merge_method": "MERGE",
    "min_entries_to_merge": 1,
    "min_entries_to_merge_wait_minutes": 5,
}
SCANNING = {"tool": "CodeQL", "alerts_threshold": "errors", "security_alerts_threshold": "high_or_higher"}


def pattern(text: str) -> dict[str, Any]:
    return {"operator": "contains", "pattern": text}


def ruled(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"type": kind, **({"parameters": parameters} if parameters else {})}


CLASSIC: dict[str, tuple[dict[str, Any], str]] = {
    "status": ({"required_contexts": ["e2e"]}, "e2e"),
    "status, strict": ({"required_contexts": ["ci/test"], "strict": True}, "to contain the tip of its base"),
    "reviews": ({"required_reviews": 1}, "approving reviews"),
    "reviews by code owners": ({"required_reviews": 0, "code_owners": True}, "approving reviews"),
    "reviews after the last push": ({"require_last_push_approval": True}, "approving reviews"),
    "conversation_resolution": ({"required_conversation_resolution": True}, "every conversation resolved"),
    "linear_history": ({"required_linear_history": True}, "without merge commits"),
    "signatures": ({"required_signatures": True}, "commits must have verified signatures"),
    "lock_branch": ({"lock_branch": True}, "the branch is locked"),
    "restrictions": ({"restrictions": Restrictions(users=("release-bot",))}, "only release-bot may"),
    "restrictions to nobody": ({"restrictions": Restrictions()}, "only administrators may"),
    "environments": ({"environments": ("prod",)}, "required deployments"),
    "queue": ({"queue": True}, "another queue"),
}
"""Each switch of classic protection that a landing may break, by the sandbox's name for it, and what is said then."""

KEPT_BY_A_PUSH = {("status, strict", "by push")}

HARMLESS_CLASSIC = {"force_pushes", "deletions", "block_creations", "fork_syncing", "forcers", "enforce_admins"}

RULES: dict[str, tuple[dict[str, Any], str]] = {
    "update": (ruled("update", update_allows_fetch_and_merge=False), "a ruleset restricts updates"),
    "required_linear_history": (ruled("required_linear_history"), "without merge commits"),
    "required_signatures": (ruled("required_signatures"), "commits must have verified signatures"),
    "pull_request": (by_pull(required_approving_review_count=1), "approving reviews"),
    "required_status_checks": (checks({"context": "e2e"}), "e2e"),
    "merge_queue": (ruled("merge_queue", **QUEUE), "another queue"),
    "required_deployments": (
        ruled("required_deployments", required_deployment_environments=["prod"]),
        "required deployments",
    ),
    "workflows": (ruled("workflows", workflows=[{"path": ".github/workflows/a.yml", "repository_id": 1}]), "workflows"),
    "code_scanning": (ruled("code_scanning", code_scanning_tools=[SCANNING]), "code scanning"),
    "license_compliance_scanning": (ruled("license_compliance_scanning"), "license compliance scanning"),
    "file_path_restriction": (
        ruled("file_path_restriction", restricted_file_paths=["fins.txt"]),
        "file path restriction",
    ),
    "file_extension_restriction": (
        ruled("file_extension_restriction", restricted_file_extensions=["*.txt"]),
        "file extension restriction",
    ),
    "max_file_path_length": (ruled("max_file_path_length", max_file_path_length=3), "max file path length"),
    "max_file_size": (ruled("max_file_size", max_file_size=1), "max file size"),
    "commit_message_pattern": (ruled("commit_message_pattern", **pattern("JIRA-")), "commit message pattern"),
    "commit_author_email_pattern": (ruled("commit_author_email_pattern", **pattern("@acme")), "author email pattern"),
    "committer_email_pattern": (ruled("committer_email_pattern", **pattern("@acme")), "committer email pattern"),
}
"""The same of rulesets, by GitHub's name of each type."""

HARMLESS_RULES: dict[str, dict[str, Any]] = {
    "creation": ruled("creation"),
    "deletion": ruled("deletion"),
    "non_fast_forward": ruled("non_fast_forward"),
    "branch_name_pattern": ruled("branch_name_pattern", **pattern("release")),
    "copilot_code_review": ruled("copilot_code_review", review_on_push=True, review_draft_pull_requests=False),
}


def not_quite_ready(github: Sandbox) -> Pull:
    """Green and labelled, with a conversation left open, on a base that went on since."""
    pull = ready(github, files={"fins.txt": "x\n", "CODEOWNERS": "* @owen\n"})
    github.world.open_thread(pull, by="ben")
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n", "CODEOWNERS": "* @owen\n"})
    return pull


def protect(github: Sandbox, *, code_owners: bool = False, queue: bool = False, **asked: Any) -> None:
    """Protect main by rules that do not bind administrators, of whom mergeq is one."""
    environments = asked.pop("environments", None)
    rule = github.world.protect("acme/rocket", "main", enforce_admins=False, **asked)
    reviews = replace(rule.reviews or ReviewRule(0), code_owners=True) if code_owners else rule.reviews
    rule = replace(rule, queue=queue, environments=environments, reviews=reviews)
    github.world.repo("acme/rocket").protections["main"] = rule


def rule_on(github: Sandbox, kind: str, rule: dict[str, Any], **more: Any) -> None:
    """Put one rule on the default branch, or where it is about pushes on all that is pushed."""
    if kind == "workflows":
        (asked,) = rule["parameters"]["workflows"]
        rule = ruled(kind, workflows=[asked | {"repository_id": github.world.repo("acme/rocket").id}])
    more |= {"target": "push"} if kind in OF_PUSHES else {}
    github.world.add_ruleset("acme/rocket", rules=[rule], **more)


def told(mergeq: Mergeq, pull: Pull) -> str:
    """All that is said of why it has not landed."""
    return " ".join([*reasons(mergeq, pull), *(record.err for record in mergeq.history())])


def bypassed(github: Sandbox) -> list[str]:
    """What somebody was let past on main."""
    suites = github.world.repo("acme/rocket").rule_suites
    return [text for one in suites if (one.ref, one.result) == ("refs/heads/main", "bypass") for text in one.sentences]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("switch", CLASSIC)
def test_an_owners_token_does_not_get_past_classic_protection(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], switch: str, way: str
) -> None:
    if (switch, way) in KEPT_BY_A_PUSH:
        pytest.skip("what is pushed holds the tip of the base, which is all that the rule asks")
    mergeq, (asked, said) = start_mergeq(WAYS[way]), CLASSIC[switch]
    pull = not_quite_ready(github)
    protect(github, **asked)
    before = tip(github)

    work(github, mergeq, 3)

    assert (pull.is_open, tip(github)) == (True, before)
    assert said in told(mergeq, pull)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RULES)
def test_an_owners_token_does_not_get_past_a_ruleset(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], kind: str, way: str
) -> None:
    mergeq, (rule, said) = start_mergeq(WAYS[way]), RULES[kind]
    pull = not_quite_ready(github)
    rule_on(github, kind, rule, bypass=[ADMINS])
    before = tip(github)

    work(github, mergeq, 3)

    assert (pull.is_open, tip(github), bypassed(github)) == (True, before, [])
    assert said in told(mergeq, pull)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", HARMLESS_RULES)
def test_a_rule_that_no_landing_breaks_is_no_obstacle(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], kind: str, way: str
) -> None:
    mergeq, pull = start_mergeq(WAYS[way]), not_quite_ready(github)
    github.world.add_ruleset("acme/rocket", rules=[HARMLESS_RULES[kind]], bypass=[ADMINS])
    protect(github)

    work(github, mergeq, 3)

    assert (pull.merged, bypassed(github)) == (True, [])


def test_every_rule_that_the_sandbox_knows_was_tried() -> None:
    assert {*RULES, *HARMLESS_RULES, "tag_name_pattern"} == {*PARAMETERS}


@pytest.mark.parametrize("kind", ["commit_message_pattern", "max_file_size"])
def test_a_rule_that_github_holds_us_to_is_left_to_it(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], kind: str
) -> None:
    """Where nobody may pass it by, what is met lands, and GitHub says so where it is not."""
    mergeq, (rule, _) = start_mergeq(REQUIRED), RULES[kind]
    pull = ready(github)
    rule_on(github, kind, rule)

    work(github, mergeq, 3)

    assert pull.merged is (kind == "max_file_size")
    assert pull.merged or "Commit message must contain" in told(mergeq, pull)
