"""A repository on which all is well, and one thing spoiled at a time."""

from dataclasses import replace
from typing import Any

import pytest

from mergeq.core.checkup import (
    EVENTS,
    NEEDS,
    BranchSeen,
    Classic,
    Finding,
    Hook,
    Identity,
    Rule,
    Seen,
    Severity,
    Wanted,
    Workflow,
    is_matched,
    judge,
    labels_of,
)
from mergeq.core.contexts import ContextPolicy
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pull import BranchFacts, Method, Protection, Repository
from mergeq.core.queue import Retest, StagingValues, Trigger, TriggerKind
from tests.builders import BASE, MAIN, pr, query, settings

GRANTED = {need.permission: need.access for need in NEEDS}
APP = Identity("the GitHub App queue", is_app=True, granted=GRANTED)
BEARER = Identity("jo", scopes=frozenset({"repo", "workflow"}), role=frozenset({"push", "admin"}))
REQUIRED = Protection(required=(("ci/test", None),))
HOOK = Hook("https://queue.test/webhooks/github", frozenset(EVENTS), tried=3)


def branch(**changes: Any) -> BranchSeen:
    facts = {key: changes.pop(key) for key in ("pulls", "protection", "repository") if key in changes}
    values: dict[str, Any] = {
        "name": "main",
        "facts": BranchFacts(MAIN, BASE, **{"protection": REQUIRED, **facts}),
        "is_protected": True,
        "classic": Classic(enforce_admins=True),
        "reports": frozenset({("ci/test", None)}),
        "heads": 3,
    }
    return BranchSeen(**{**values, **changes})


def seen(**changes: Any) -> Seen:
    values: dict[str, Any] = {
        "full_repo": "acme/rocket",
        "identity": APP,
        "default_branch": "main",
        "branches": (branch(),),
        "branch_names": ("main",),
        "labels": ("lgtm", "Approved"),
        "hooks": (HOOK,),
        "workflows": (Workflow("ci.yml", on_push=True),),
        "workflow_token": "read",
        "listed": 2,
        "found": 2,
    }
    return Seen(**{**values, **changes})


def wanted(**changes: Any) -> Wanted:
    return Wanted({"main": settings(**changes)}, {"lgtm": "`labels`", "approved": "`labels`"}, is_covered=True)


def found(what: Seen, config: Wanted | None = None, about: str = "") -> list[Finding]:
    """What asks for something to be done, or for one topic everything."""
    findings = judge(what, config or wanted())
    return [one for one in findings if one.about == about or (not about and one.severity is not Severity.OK)]


def only(what: Seen, config: Wanted | None = None) -> Finding:
    """The one thing that is found."""
    (finding,) = found(what, config)
    return finding


def test_a_repository_on_which_all_is_well_has_nothing_to_be_done() -> None:
    assert found(seen()) == []
    assert {one.about for one in judge(seen(), wanted())} == {
        "credentials",
        "branches",
        "labels",
        "merge-methods",
        "contexts",
        "bypass",
        "staging",
        "ci",
        "workflow-token",
        "webhooks",
        "search",
    }


@pytest.mark.parametrize(
    ("identity", "severity", "words"),
    [
        pytest.param(
            replace(APP, granted=GRANTED | {"contents": "read"}),
            Severity.PROBLEM,
            "the GitHub App queue: the permission contents: write is missing; "
            "it is for merging, staging refs, dispatches",
            id="an App that may only read",
        ),
        pytest.param(
            replace(APP, granted={key: value for key, value in GRANTED.items() if key != "workflows"}),
            Severity.WARNING,
            "the GitHub App queue: the permission workflows: write is missing; "
            "it is for pull requests that change `.github/workflows`",
            id="an App without what is needed at times",
        ),
        pytest.param(
            replace(BEARER, scopes=frozenset({"repo"})),
            Severity.WARNING,
            "jo: the scope `workflow` is missing; it is for pull requests that change `.github/workflows`",
            id="a classic token without a scope",
        ),
        pytest.param(
            replace(BEARER, role=frozenset({"pull"})),
            Severity.PROBLEM,
            "jo: the scope `repo` is missing; it is for merging, staging refs, dispatches",
            id="a classic token of a reader",
        ),
        pytest.param(
            replace(BEARER, scopes=frozenset({"repo", "workflow", "delete_repo"})),
            Severity.WARNING,
            "the token could also do what mergeq never does: delete_repo",
            id="a classic token that may do too much",
        ),
    ],
)
def test_what_the_credentials_lack_is_named_with_what_it_is_for(
    identity: Identity, severity: Severity, words: str
) -> None:
    finding = only(seen(identity=identity))

    assert (finding.about, finding.severity, finding.seen) == ("credentials", severity, words)
    assert finding.remedy


def test_of_a_fine_grained_token_only_the_role_is_known() -> None:
    reader = Identity("jo", role=frozenset({"pull"}))
    writer = Identity("jo", role=frozenset({"push"}))

    assert [one.severity for one in found(seen(identity=reader), about="credentials")] == ["problem", "note"]
    assert [one.seen for one in found(seen(identity=writer), about="credentials")] == [
        "jo may write",
        "GitHub does not tell what a fine-grained token may do",
    ]


def test_of_an_app_that_could_not_be_asked_nothing_is_claimed() -> None:
    unknown = seen(identity=Identity("the GitHub App", is_app=True), gaps={"credentials": "it is not installed"})

    assert only(unknown).seen == "could not be looked at: it is not installed"


def test_an_archived_repository_is_a_problem() -> None:
    assert only(seen(is_archived=True)).seen == "acme/rocket is archived and read-only"


def test_what_an_older_server_lacks_is_said() -> None:
    assert only(seen(server="3.9.1", lacking=("rulesets",))).seen == (
        "GitHub Enterprise Server 3.9.1 does not know rulesets; mergeq goes on without"
    )
    assert found(seen(lacking=("rulesets",)))[0].seen.startswith("this GitHub does not know")
    assert found(seen(server="3.19"), about="server")[0].severity is Severity.OK


def test_without_a_configuration_nothing_is_compared_with_one() -> None:
    asked = [one for one in judge(seen(), None) if one.severity is not Severity.OK]

    assert [(one.about, one.severity) for one in asked] == [("configuration", Severity.NOTE)]


def test_a_repository_that_no_query_covers_never_merges_anything() -> None:
    assert only(seen(), replace(wanted(), is_covered=False)).severity is Severity.PROBLEM


@pytest.mark.parametrize(
    ("name", "remedy"), [("mian", "did you mean main?"), ("release-1", "create it, or mend the name")]
)
def test_a_branch_that_is_not_there_is_named_with_what_may_be_meant(name: str, remedy: str) -> None:
    assert only(seen(missing_branches=frozenset({name}))).remedy == remedy


def test_a_branch_that_cannot_be_read_is_a_problem_and_nothing_more_is_said_of_it() -> None:
    blind = seen(branches=(BranchSeen("main", why="the rules of the branch could not be read"),))

    assert only(blind).seen == "main: the rules of the branch could not be read"


def test_labels_compare_without_case_and_a_missing_one_is_named_with_what_may_be_meant() -> None:
    missing = replace(wanted(), labels={"LGTM": "a", "aproved": "b", "hold": "c"})

    assert [(one.seen, one.remedy) for one in found(seen(), missing)] == [
        ("b names the label aproved, which acme/rocket does not have", "did you mean Approved?"),
        ("c names the label hold, which acme/rocket does not have", "create it in the repository"),
    ]
    assert found(seen(labels=None), missing) == []


def test_every_label_of_queries_is_asked_for_with_what_names_it() -> None:
    found = labels_of([query(labels=("a,b",), missing_labels=("hold",))], {"tide.squash_label": "sq", "none": ""})

    assert found == {"sq": "`tide.squash_label`", **dict.fromkeys("ab", "`labels` of a query")} | {
        "hold": "`missingLabels` of a query"
    }


def test_a_merge_method_that_github_does_not_allow_is_a_problem() -> None:
    squash = branch(repository=Repository(frozenset({Method.SQUASH})))

    assert only(seen(branches=(squash,))).seen == "main: the configuration says merge, but GitHub allows squash there"


def test_linear_history_leaves_no_room_for_merge_commits() -> None:
    linear = branch(protection=replace(REQUIRED, linear_history=True))

    assert only(seen(branches=(linear,))).severity is Severity.PROBLEM


def test_a_label_for_a_method_that_is_not_allowed_is_noted() -> None:
    methods = MergeMethods(squash_label="sq", merge_label="mg")
    no_squash = branch(repository=Repository(frozenset({Method.MERGE})))

    assert only(seen(branches=(no_squash,)), wanted(methods=methods)).seen == (
        "main: the label sq asks for squash, but GitHub allows merge there"
    )


def test_a_required_context_that_never_reports_is_a_problem() -> None:
    silent = branch(protection=Protection(required=(("ci/tset", None),)))

    assert only(seen(branches=(silent,))) == Finding(
        Severity.PROBLEM,
        "contexts",
        "main: ci/tset is required by GitHub's protection, and none of the newest 3 heads has it",
        "did you mean ci/test? Otherwise start what reports it, or require it no more",
    )


def test_what_the_configuration_requires_is_compared_too_but_not_our_own_context() -> None:
    policy = ContextPolicy(required=frozenset({"tide", "e2e"}))

    assert only(seen(), wanted(contexts=policy)).seen.startswith("main: e2e is required by the configuration")


def test_a_context_that_comes_from_another_app_is_told_from_one_that_stays_away() -> None:
    pinned = branch(protection=Protection(required=(("ci/test", "github-actions"),)))

    assert only(seen(branches=(pinned,))) == Finding(
        Severity.PROBLEM,
        "contexts",
        "main: ci/test is required from github-actions by GitHub's protection, but comes from a status",
        "require it from a status, or have github-actions report it",
    )


def test_contexts_are_not_compared_where_nothing_was_reported_or_required() -> None:
    assert only(seen(branches=(branch(heads=0),))).severity is Severity.NOTE
    assert only(seen(branches=(branch(protection=Protection()),))).severity is Severity.NOTE


def test_protection_of_which_nothing_can_be_seen_is_a_problem() -> None:
    hidden = seen(branches=(branch(classic=None, protection=Protection()),))

    assert [one.seen for one in found(hidden, about="protection")] == [
        "main: is protected, but by what cannot be seen, so mergeq cannot hold itself to it"
    ]


def test_protection_whose_demands_can_be_seen_is_none() -> None:
    assert found(seen(branches=(branch(classic=None),))) == []


def test_a_locked_branch_and_rules_that_only_github_judges_are_told() -> None:
    odd = branch(protection=replace(REQUIRED, is_locked=True, unjudged=("code scanning",)))

    assert [(one.severity, one.about) for one in found(seen(branches=(odd,)))] == [
        ("problem", "protection"),
        ("note", "protection"),
    ]


@pytest.mark.parametrize(
    ("classic", "identity", "severity"),
    [
        (Classic(enforce_admins=True, restricts_pushes=True), APP, Severity.PROBLEM),
        (Classic(enforce_admins=True, restricts_pushes=True, names_us=frozenset({"pushers"})), APP, None),
        (Classic(enforce_admins=False, restricts_pushes=True), BEARER, Severity.WARNING),
    ],
)
def test_who_may_not_push_cannot_merge(classic: Classic, identity: Identity, severity: Severity | None) -> None:
    limited = seen(branches=(branch(classic=classic),), identity=identity)

    told = [one.severity for one in found(limited) if one.about == "protection"]

    assert told == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classic": Classic(enforce_admins=False)}, "administrators are not held to its protection"),
        (
            {"classic": Classic(enforce_admins=True, names_us=frozenset({"reviews"}))},
            "is on the list of those who need no pull request",
        ),
        (
            {"classic": Classic(enforce_admins=True, names_us=frozenset({"forcers"}))},
            "is on the list of those who may force-push",
        ),
        ({"rules": (Rule("deletion", "all", "always"),)}, "may pass the ruleset all by (always)"),
        ({"rules": (Rule("deletion", "all", "pull_requests_only"),)}, "may pass the ruleset all by (by pull request)"),
    ],
)
def test_every_bypass_that_is_held_is_named(changes: dict[str, Any], words: str) -> None:
    """D19."""
    finding = only(seen(identity=BEARER, branches=(branch(**changes),)))

    assert finding.about == "bypass"
    assert finding.seen.startswith(f"jo on main: {words}; ")


def test_a_rule_that_binds_us_is_no_bypass() -> None:
    assert found(seen(branches=(branch(rules=(Rule("deletion", "all", "never"), Rule("update", "b"))),))) == []


def test_that_no_bypass_is_held_is_not_said_where_that_could_not_be_seen() -> None:
    assert [one.severity for one in found(seen(gaps={"bypass": "403"}), about="bypass")] == ["note"]


@pytest.mark.parametrize(
    "changes", [{"rules": (Rule("merge_queue", "q"),)}, {"pulls": (pr(in_merge_queue=True),)}], ids=["rule", "pull"]
)
def test_a_merge_queue_of_githubs_own_is_in_the_way(changes: dict[str, Any]) -> None:
    finding = only(seen(branches=(branch(**changes),)))

    assert (finding.severity, finding.about) == ("problem", "merge-queue")


@pytest.mark.parametrize(
    ("retest", "severity"), [(Retest.STAGING, Severity.PROBLEM), (Retest.HEAD, Severity.NOTE), (None, Severity.NOTE)]
)
def test_a_ruleset_that_covers_staging_refs_is_in_the_way_where_they_are_used(
    retest: Retest | None, severity: Severity
) -> None:
    """Q52."""
    rules = (Rule("creation", "all"), Rule("phase_of_the_moon", "all"), Rule("required_signatures", "free", "always"))
    config = wanted(retest=retest) if retest else None
    (finding,) = (one for one in judge(seen(staging_rules=rules), config) if one.about == "staging")

    assert (finding.severity, finding.seen, finding.remedy) == (
        severity,
        "the ruleset all covers refs/heads/mergeq/** and refuses there creating refs",
        "exclude `refs/heads/mergeq/**/*` in its target branches",
    )


def test_rules_about_pushes_are_told_for_they_keep_pull_requests_from_being_staged() -> None:
    """Q52."""
    rules = (
        Rule("max_file_size", "small"),
        Rule("file_path_restriction", "small"),
        Rule("max_file_size", "ours", "always"),
    )
    findings = [one for one in judge(seen(push_rules=rules), None) if "pushes of" in one.seen]

    assert [(one.severity, one.about) for one in findings] == [("note", "staging")]
    assert "the ruleset small refuses pushes of files over a certain size, files at certain paths" in findings[0].seen


def test_scratch_refs_are_used_where_pull_requests_are_brought_up_to_date() -> None:
    rules = (Rule("non_fast_forward", "all"),)

    assert only(seen(scratch_rules=rules), wanted(retest=Retest.UPDATE)).severity is Severity.PROBLEM


def test_classic_protection_of_a_wildcard_is_in_the_way_too() -> None:
    finding = only(seen(classic_patterns=("main", "*/*"), prefixes=("mergeq/", "scratch-")))

    assert finding.seen == "the branch protection of */* covers refs/heads/mergeq/**"


@pytest.mark.parametrize(
    ("workflow", "remedy"),
    [
        (
            Workflow("ci.yml"),
            "if a required context comes from it, add `push: {branches: ['mergeq/**']}` under its `on:`",
        ),
        (
            Workflow("ci.yml", on_push=True, branches=("main", "*")),
            "if a required context comes from it, add `'mergeq/**'` to its `on.push.branches`",
        ),
        (
            Workflow("ci.yml", on_push=True, branches_ignore=("mergeq/**",)),
            "take the pattern that matches mergeq/ out of its `on.push.branches-ignore`",
        ),
    ],
)
def test_ci_that_does_not_hear_of_staging_refs_is_told_how_to(workflow: Workflow, remedy: str) -> None:
    finding = only(seen(workflows=(workflow,)), wanted(retest=Retest.STAGING))

    assert (finding.severity, finding.remedy) == (Severity.PROBLEM, remedy)
    assert only(seen(workflows=(workflow,))).severity is Severity.NOTE


def test_a_second_workflow_need_not_run_on_staging_refs() -> None:
    both = (Workflow("ci.yml", on_push=True, branches=("mergeq/**",)), Workflow("docs.yml"))

    assert only(seen(workflows=both), wanted(retest=Retest.STAGING)).severity is Severity.NOTE


def test_the_last_pattern_that_matches_decides_what_a_workflow_hears() -> None:
    patterns = ("**", "!mergeq/**", "mergeq/main-*")

    assert Workflow("ci.yml", on_push=True, branches=patterns).hears("mergeq/main-1")
    assert not Workflow("ci.yml", on_push=True, branches=patterns[:2]).hears("mergeq/main-1")


def test_workflows_that_cannot_be_read_or_are_not_there_are_told() -> None:
    broken = (Workflow("ci.yml", why="it has no `on:`"), Workflow("b.yml", on_push=True))

    assert only(seen(workflows=broken)).seen == "ci.yml cannot be read: it has no `on:`"
    assert only(seen(workflows=())).remedy == ""
    assert only(seen(workflows=()), wanted(retest=Retest.STAGING)).remedy.startswith("have it build pushes to")
    assert found(seen(workflows=None)) == []


def test_a_token_of_workflows_that_may_write_is_a_warning() -> None:
    assert only(seen(workflow_token="write")).severity is Severity.WARNING
    assert found(seen(workflow_token=None), about="workflow-token") == []


@pytest.mark.parametrize(
    ("hooks", "words", "remedy"),
    [
        ((), "no active webhook sends anything", "add one to /webhooks/github"),
        ((replace(HOOK, is_active=False),), "no active webhook sends anything", "add one"),
        ((replace(HOOK, is_json=False),), f"{HOOK.url}: sends forms", "set its content type"),
        (
            (replace(HOOK, events=frozenset({"push"})),),
            f"{HOOK.url}: does not send branch_protection_configuration",
            "subscribe",
        ),
        ((replace(HOOK, failed=("push at 1: 401",)),), f"{HOOK.url}: 1 of its newest 3", "give the webhook the secret"),
        ((replace(HOOK, failed=("push at 1: 503",)),), f"{HOOK.url}: 1 of its newest 3", "set MERGEQ_WEBHOOK_SECRET"),
        ((replace(HOOK, failed=("push: timed out",)),), f"{HOOK.url}: 1 of its newest 3", "see that the address"),
    ],
)
def test_webhooks_that_do_not_arrive_are_told_with_what_to_do(hooks: tuple[Hook, ...], words: str, remedy: str) -> None:
    finding = only(seen(hooks=hooks))

    assert finding.seen.startswith(words)
    assert finding.remedy.startswith(remedy)


def test_a_webhook_that_sends_everything_is_enough_and_hooks_that_cannot_be_read_are_not_judged() -> None:
    assert found(seen(hooks=(replace(HOOK, events=frozenset({"*"})),))) == []
    assert found(seen(hooks=None)) == []


def test_pull_requests_that_search_does_not_find_are_told() -> None:
    assert only(seen(found=1)).seen == "search finds 1 of the 2 open pull requests of acme/rocket"
    assert found(seen(found=None)) == []


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("main", "main", True),
        ("*", "mergeq/a", False),
        ("**", "mergeq/a", True),
        ("**/*", "a", True),
        ("mergeq/**/*", "mergeq/a/b", True),
        ("v?.x", "v1.x", True),
        ("v?.x", "v1ax", False),
    ],
)
def test_a_star_stays_within_a_part_and_two_do_not(pattern: str, name: str, matches: bool) -> None:
    assert is_matched(name, pattern) is matches


DISPATCHING = StagingValues(trigger=Trigger(TriggerKind.REPOSITORY_DISPATCH))


def test_where_ci_is_dispatched_some_workflow_has_to_hear_it() -> None:
    deaf = (Workflow("ci.yml", on_push=True), Workflow("other.yml", on_dispatch=True, types=("deploy",)))
    asked = wanted(retest=Retest.STAGING, staging=DISPATCHING)

    finding = only(seen(workflows=deaf), asked)
    assert (finding.severity, finding.seen) == (
        Severity.WARNING,
        "no workflow of GitHub Actions runs on repository_dispatch mergeq",
    )
    assert "`repository_dispatch: {types: [mergeq]}`" in finding.remedy
    for hearing in (Workflow("s.yml", on_dispatch=True), Workflow("s.yml", on_dispatch=True, types=("mergeq",))):
        assert found(seen(workflows=(*deaf, hearing)), asked) == []


def test_where_events_go_elsewhere_it_is_said_that_this_cannot_be_seen() -> None:
    events = StagingValues(trigger=Trigger(TriggerKind.CLOUDEVENTS, url="https://ci.test/in?key=hidden"))
    asked = wanted(retest=Retest.STAGING, staging=events)

    for workflows in ((), None):
        assert only(seen(workflows=workflows), asked).seen == (
            "CI is told of staged commits at https://ci.test/in; what it starts is not seen from here"
        )
