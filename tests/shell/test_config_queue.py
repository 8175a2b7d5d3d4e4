"""Our own `mergeq:` section: the queue's levels, the other sections, its schema, and what it refuses."""

import json
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Any

import jsonschema
import pytest

from mergeq import shipped
from mergeq.config.reading import seconds_of
from mergeq.core.budget import BudgetValues
from mergeq.core.contexts import EmptyContexts
from mergeq.core.pull import Branch
from mergeq.core.queue import (
    Drafts,
    Forks,
    Landing,
    Order,
    QueueValues,
    Retest,
    StagingValues,
    Trigger,
    TriggerKind,
    UpdateMethod,
)
from tests.shell.test_config import MAIN, Load, Refuse, loaded, refused, warned, write

__all__ = ["loaded", "refused", "warned", "write"]  # the fixtures

CHOICES: dict[str, type[StrEnum]] = {
    "retest": Retest,
    "update_method": UpdateMethod,
    "landing": Landing,
    "order": Order,
    "drafts": Drafts,
    "empty_contexts": EmptyContexts,
}
TESTED = "tide: {context_options: {required-contexts: [ci]}}\n"
AROUND = [
    pytest.param("{}", id="everywhere"),
    pytest.param("orgs: {{acme: {{{}}}}}", id="in an org"),
    pytest.param("orgs: {{acme: {{repos: {{rocket: {{{}}}}}}}}}", id="in a repository"),
    pytest.param("orgs: {{acme: {{repos: {{rocket: {{branches: {{main: {{{}}}}}}}}}}}}}", id="on a branch"),
]


# Levels


@pytest.mark.parametrize(
    ("branch", "order"),
    [
        ("acme/rocket:main", Order.ENTERED),
        ("acme/rocket:next", Order.NUMBER),
        ("acme/other:main", Order.ENTERED),
        ("other/rocket:main", Order.NUMBER),
    ],
)
def test_the_narrowest_level_of_the_queue_wins(loaded: Load, branch: str, order: Order) -> None:
    found = loaded(
        """
mergeq:
  queue:
    order: number
    orgs:
      acme:
        order: entered
        repos:
          rocket:
            order: number
            branches:
              main: {order: entered}
"""
    )

    assert found.queue_values(Branch.parse(branch)).order is order


def test_a_narrower_level_inherits_what_it_does_not_set(loaded: Load) -> None:
    found = loaded("mergeq: {queue: {drafts: include, orgs: {acme: {order: number}}}}\n").for_branch(MAIN)

    assert found.queue == QueueValues(drafts=Drafts.INCLUDE, order=Order.NUMBER)


def test_every_key_of_the_queue_is_read(loaded: Load) -> None:
    found = loaded(
        TESTED
        + """
mergeq:
  queue:
    retest: staging
    update_method: merge
    landing: pull-request
    slots: 4
    batch_size_limit: 8
    order: number
    landings_per_cycle: 3
    overtake: [priority/critical]
    drafts: include
    empty_contexts: allow
    settle: 1m30s
    voided_by_push: [lgtm, approved]
    head_only_contexts: [dco]
    staging_contexts: [e2e]
    context_apps: {e2e: github-actions}
    staging:
      prefix: queue/
      scratch_prefix: scratch/
      start_timeout: 5m
      timeout: 1h30m
      retries: 0
      keep: 12h
      forks: never
      sensitive_paths: [".github/**", Makefile]
      allow_label: may-run
      trigger: {kind: push}
"""
    ).for_branch(MAIN)

    assert found.queue == QueueValues(
        retest=Retest.STAGING,
        update_method=UpdateMethod.MERGE,
        landing=Landing.PULL_REQUEST,
        slots=4,
        batch_size_limit=8,
        order=Order.NUMBER,
        landings_per_cycle=3,
        overtake=("priority/critical",),
        drafts=Drafts.INCLUDE,
        empty_contexts=EmptyContexts.ALLOW,
        settle=90.0,
        voided_by_push=("lgtm", "approved"),
        head_only_contexts=frozenset({"dco"}),
        staging_contexts=frozenset({"e2e"}),
        context_apps={"e2e": "github-actions"},
        staging=StagingValues(
            prefix="queue/",
            scratch_prefix="scratch/",
            start_timeout=300.0,
            timeout=5400.0,
            retries=0,
            keep=43200.0,
            forks=Forks.NEVER,
            sensitive_paths=(".github/**", "Makefile"),
            allow_label="may-run",
        ),
    )


def test_maps_merge_by_key_and_lists_replace(loaded: Load) -> None:
    """Design §8."""
    found = loaded(
        """
mergeq:
  queue:
    context_apps: {ci: jenkins, e2e: jenkins}
    overtake: [urgent]
    voided_by_push: [lgtm, approved]
    staging: {prefix: q/, timeout: 1h}
    orgs:
      acme:
        context_apps: {e2e: any}
        overtake: [p0]
        voided_by_push: []
        staging: {timeout: 2h}
"""
    ).queue_values(MAIN)

    assert found.context_apps == {"ci": "jenkins", "e2e": "any"}
    assert (found.overtake, found.voided_by_push) == (("p0",), ())
    assert found.staging == StagingValues(prefix="q/", timeout=7200.0)


def test_a_trigger_is_replaced_as_a_whole(loaded: Load) -> None:
    configuration = loaded(
        """
mergeq:
  queue:
    staging: {trigger: {kind: cloudevents, url: 'http://[::1]:8000/x', secret_env: MERGEQ_SECRET_CI}}
    orgs:
      acme:
        staging: {trigger: {kind: repository_dispatch}}
        repos: {rocket: {staging: {trigger: {kind: repository_dispatch, event_type: stage}}}}
      other: {staging: {trigger: {kind: push}}}
"""
    )

    assert [
        configuration.queue_values(Branch.parse(name)).staging.trigger
        for name in ("else/where:main", "acme/probe:main", "acme/rocket:main", "other/one:main")
    ] == [
        Trigger(TriggerKind.CLOUDEVENTS, url="http://[::1]:8000/x", secret_env="MERGEQ_SECRET_CI"),
        Trigger(TriggerKind.REPOSITORY_DISPATCH),
        Trigger(TriggerKind.REPOSITORY_DISPATCH, "stage"),
        Trigger(),
    ]


REFUSED = {Landing.FAST_FORWARD}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    ("name", "choice"), [(name, choice) for name, kind in CHOICES.items() for choice in kind if choice not in REFUSED]
)
def test_every_choice_at_every_level_reaches_the_branch(loaded: Load, around: str, name: str, choice: StrEnum) -> None:
    found = loaded(f"{TESTED}mergeq: {{queue: {{{around.format(f'{name}: {choice}')}}}}}\n").for_branch(MAIN)

    assert getattr(found.queue, name) is choice


def test_the_example_in_the_readme_is_read_and_is_the_defaults_but_for_its_lists(loaded: Load) -> None:
    text = (shipped("policies") / "README.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\nmergeq:")[2].partition("```")[0]

    found = loaded(f"mergeq:{example}").queue_values(MAIN)

    assert found == QueueValues(
        batch_size_limit=8,
        overtake=("priority/critical",),
        head_only_contexts=frozenset({"dco"}),
        staging_contexts=frozenset({"e2e"}),
        context_apps={"e2e": "github-actions"},
    )


def test_a_default_that_is_written_out_is_no_matter(warned: Refuse) -> None:
    text = "mergeq: {queue: {update_method: merge, overtake: [], landings_per_cycle: 1, settle: 0m, retest: head}}\n"

    assert warned(text) == []


# Several files


def test_our_own_section_may_be_spread_over_files(loaded: Load) -> None:
    found = loaded(
        tide="tide: {queries: [{orgs: [acme]}]}\n",
        ours="mergeq: {status_context: queue, queue: {order: number, staging: {prefix: q/}}}\n",
        more="mergeq: {queue: {drafts: include, staging: {keep: 1h}, orgs: {acme: {order: entered}}}}\n",
    )

    settings = found.for_branch(MAIN)
    assert settings.status_context == "queue"
    assert settings.queue == QueueValues(drafts=Drafts.INCLUDE, staging=StagingValues(prefix="q/", keep=3600.0))
    assert found.queue_values(Branch("other", "x", "main")).order is Order.NUMBER


@pytest.mark.parametrize(
    ("section", "place", "key"),
    [
        pytest.param("queue: {order: number}", "1:25", "order", id="for everyone"),
        pytest.param(
            "queue: {orgs: {acme: {repos: {rocket: {order: number}}}}}",
            "1:56",
            "orgs.acme.repos.rocket.order",
            id="for a repository",
        ),
        pytest.param("queue: {staging: {keep: 1h}}", "1:34", "staging.keep", id="within a map"),
    ],
)
def test_one_setting_of_ours_may_stand_in_one_file_only(refused: Refuse, section: str, place: str, key: str) -> None:
    assert refused(a=f"mergeq: {{{section}}}\n", b=f"mergeq: {{{section}}}\n") == [
        f"b.yaml:{place}: mergeq.queue.{key}: is set in a.yaml:{place} too; keep one"
    ]


def test_also_what_is_the_same_in_both_may_stand_in_one_file_only(refused: Refuse) -> None:
    assert refused(a="mergeq: {status_context: x}\n", b="mergeq: {status_context: x}\n") == [
        "b.yaml:1:26: mergeq.status_context: is set in a.yaml:1:26 too; keep one"
    ]


# The other sections


SECTIONS = """
mergeq:
  protection:
    mode: observe
    fields: preserve
    period: 6h
    jitter: 10m
    backend: classic
    contexts_from_tide: none
    verify_restrictions: false
    enable_apps_restrictions: false
    gate: {max_repos_changed: 50, max_weakening: 10, max_removals: 5, ack_by: [acme/admins]}
    policy_owners: [acme/admins]
    breakglass_team: acme/oncall
    floor: {required_pull_request_reviews: {required_approving_review_count: 1}}
    max_exemption: 336h
    exemptions:
    - {id: rel-1, target: "acme/rocket:release-*", until: 2026-12-01T00:00:00Z, owner: jo, reason: hotfix, ticket: X-1,
       patch: {enforce_admins: false}, remove: {contexts: [slow]}}
    orgs:
      acme:
        mode: enforce
        remove: {contexts: [old]}
        repos:
          rocket:
            checks: [{context: build, app: github-actions}]
            ownership: {enforce_admins: preserve, required_status_checks: external}
            required_conversation_resolution: true
            require_last_push_approval: true
            lock_branch: false
            allow_fork_syncing: false
            block_creations: false
            required_deployments: [prod]
            bypass_force_push_allowances: {apps: []}
            patterns: {"release-*": {protect: true}, "~DEFAULT_BRANCH": {protect: true}}
            branches: {main: {remove: {restrictions: {teams: [x]}}}}
  notifications:
  - {kind: slack, url_env: MERGEQ_SECRET_SLACK, events: [landed, evicted, halted, drift, held]}
  - {kind: webhook, url: "https://hooks.test/x", secret_env: MERGEQ_SECRET_HOOK, events: [halted]}
  orgs: {acme: {notifications: [{kind: slack, url_env: MERGEQ_SECRET_ACME, events: [held]}]}}
  web: {read: public, admins: [acme/admins]}
  budget: {reserve: 20%, floors: {landing: 500, protection: 200}}
  sweep: {period: 1m, with_webhooks: 1h}
  history: {hot: 100000, keep: 400d}
"""


def test_every_section_is_read_and_what_nothing_follows_from_yet_is_told_once_each(
    loaded: Load, warned: Refuse
) -> None:
    told = [line.split(": ")[1:] for line in warned(SECTIONS) if "is not applied yet" in line]

    says = "is not applied yet; remove it, or know that it has no effect"
    inert = ("history", "notifications", "orgs", "web", "protection.policy_owners", "protection.breakglass_team")
    assert sorted(told) == sorted([f"mergeq.{name}", says] for name in inert)
    found = loaded(SECTIONS)
    assert found.protection_said[
        "protection", "orgs", "acme", "repos", "rocket", "branches", "main", "remove", "restrictions", "teams"
    ] == ["x"]
    assert found.not_applied["history", "keep"] == "400d"


def test_the_budget_is_read_and_keeps_the_floors_that_are_not_named(loaded: Load) -> None:
    found = loaded("mergeq: {budget: {reserve: 5%, floors: {landing: 50}}}\n").budget

    assert found == BudgetValues(0.05, {"landing": 50, "protection": 200})


def test_the_schema_says_the_defaults_of_the_budget(schema: dict[str, Any]) -> None:
    said = schema["$defs"]["budget"]["properties"]
    floors = {name: float(node["description"].split()[-1]) for name, node in said["floors"]["properties"].items()}

    assert BudgetValues(0.2, floors) == BudgetValues()
    assert said["reserve"]["description"].endswith("Default: 20%.")


def test_sections_may_be_spread_over_files_key_by_key(loaded: Load, refused: Refuse) -> None:
    one, two = "mergeq: {web: {read: public}}\n", "mergeq: {web: {admins: [acme/admins]}}\n"

    assert loaded(a=one, b=two).not_applied == {("web", "read"): "public", ("web", "admins"): ["acme/admins"]}
    assert refused(a=one, b=one) == ["b.yaml:1:22: mergeq.web.read: is set in a.yaml:1:22 too; keep one"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        pytest.param("protection: {mode: enforced}", "protection.mode: 'enforced' is not one of [", id="a choice"),
        pytest.param("protection: {gate: {max: 1}}", "protection.gate.max: is not a key", id="a key of the gate"),
        pytest.param("protection: {period: 6}", "protection.period: 6 is not of type 'string'", id="no duration"),
        pytest.param('protection: {period: "6h\\n"}', "protection.period: '6h\\n' is not written", id="a line break"),
        pytest.param(
            "protection: {breakglass_team: oncall}", "protection.breakglass_team: 'oncall' is not", id="a team"
        ),
        pytest.param(
            "protection: {orgs: {acme: {protect: true}}}",
            "protection.orgs.acme.protect: is not a key that is known here",
            id="what belongs to Prow's section",
        ),
        pytest.param(
            "protection: {orgs: {acme: {ownership: {zzz: preserve}}}}",
            "protection.orgs.acme.ownership: 'zzz' is not one of [",
            id="ownership of nothing",
        ),
        pytest.param(
            "protection: {floor: {required_pull_request_reviews: {required_approving_review_count: 7}}}",
            "protection.floor.required_pull_request_reviews.required_approving_review_count: 7 is greater than",
            id="more reviews than GitHub takes",
        ),
        pytest.param(
            "protection: {exemptions: [{id: a, target: acme/rocket:main, owner: jo, reason: x}]}",
            "protection.exemptions.0: 'until' is a required property",
            id="an exemption without an end",
        ),
        pytest.param(
            "protection: {exemptions: [{id: a, target: a/b, until: 2026-12-01T00:00:00Z, owner: j, reason: x}]}",
            "protection.exemptions.0.target: 'a/b' is not written as it must be",
            id="an exemption of a whole repository",
        ),
        pytest.param(
            "notifications: [{kind: slack, events: [held]}]",
            "notifications.0: 'url_env' is a required property",
            id="nowhere to send to",
        ),
        pytest.param(
            "notifications: [{kind: webhook, events: [held]}]",
            "notifications.0: 'url' is a required property",
            id="no address",
        ),
        pytest.param(
            "notifications: [{kind: slack, url_env: GITHUB_TOKEN, events: [held]}]",
            "notifications.0.url_env: 'GITHUB_TOKEN' is not written as it must be",
            id="another variable's secret",
        ),
        pytest.param(
            "notifications: [{kind: pager, url: x}]", "notifications.0: 'events' is a required property", id="no events"
        ),
        pytest.param(
            "web: {read: members}",
            "web.read: 'members' is not available in this version; choose public",
            id="a restriction that nobody would keep",
        ),
        pytest.param("web: {read: all}", "web.read: 'all' is not one of ['public', 'members', 'github']", id="readers"),
        pytest.param("budget: {reserve: 20}", "budget.reserve: 20 is not of type 'string'", id="no percentage"),
        pytest.param("budget: {reserve: 120%}", "budget.reserve: '120%' is not written", id="more than everything"),
        pytest.param("budget: {floors: {landings: 1}}", "budget.floors.landings: is not a key", id="a purpose"),
        pytest.param("history: {hot: -1}", "history.hot: -1 is less than the minimum of 0", id="less than none"),
        pytest.param("orgs: {acme: {queue: {}}}", "orgs.acme.queue: is not a key", id="a queue's org beside the queue"),
    ],
)
def test_a_section_is_checked_although_nothing_follows_from_it_yet(refused: Refuse, section: str, says: str) -> None:
    lines = refused(f"mergeq: {{{section}}}\n")

    assert lines[0].split(": ", maxsplit=1)[1].startswith(f"mergeq.{says}")


# What is refused


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "mergeq: {colour: red}",
            "1:18: mergeq.colour: is not a key that is known here; remove it",
            id="an unknown key",
        ),
        pytest.param(
            "mergeq: {queue: {slot: 2}}",
            "1:24: mergeq.queue.slot: is not a key that is known here; did you mean 'slots'?",
            id="an unknown key of the queue",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {retry: 2}}}",
            "1:35: mergeq.queue.staging.retry: is not a key that is known here; did you mean 'retries'?",
            id="an unknown key of staging",
        ),
        pytest.param(
            "mergeq: {queue: {orgs: {acme: {branches: {}}}}}",
            "1:42: mergeq.queue.orgs.acme.branches: is not a key that is known here; remove it",
            id="a key at the wrong level",
        ),
        pytest.param(
            "mergeq: {queue: {order: random}}",
            "1:25: mergeq.queue.order: 'random' is not one of ['entered', 'number']; Who is served first: ",
            id="a wrong choice",
        ),
        pytest.param(
            "mergeq: {queue: {slots: 0}}",
            "1:25: mergeq.queue.slots: 0 is less than the minimum of 1; How many staging runs ",
            id="no slot",
        ),
        pytest.param(
            "mergeq: {queue: {settle: 10}}",
            "1:26: mergeq.queue.settle: 10 is not of type 'string'; ",
            id="a bare number for a duration",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {timeout: 1 day}}}",
            "1:37: mergeq.queue.staging.timeout: '1 day' is not written as it must be; ",
            id="not a duration",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {keep: -1h}}}",
            "1:34: mergeq.queue.staging.keep: '-1h' is not written as it must be; ",
            id="a negative duration",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {prefix: /x}}}",
            "1:36: mergeq.queue.staging.prefix: '/x' is not written as it must be; ",
            id="not the beginning of a branch's name",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {trigger: {kind: pigeon}}}}",
            "1:44: mergeq.queue.staging.trigger.kind: 'pigeon' is not one of "
            "['push', 'repository_dispatch', 'cloudevents']; `push` (default): ",
            id="a trigger of no kind that is known",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {trigger: {kind: cloudevents, url: 'https://ci.test/'}}}}",
            "1:37: mergeq.queue.staging.trigger: 'secret_env' is a required property; ",
            id="events that nobody signs",
        ),
        pytest.param(
            "mergeq: {queue: {staging: {trigger: {kind: cloudevents, url: 'https://ci.test/', secret_env: AWS_KEY}}}}",
            "1:94: mergeq.queue.staging.trigger.secret_env: 'AWS_KEY' is not written as it must be; ",
            id="a variable that may not be named",
        ),
        *(
            pytest.param(
                "mergeq: {queue: {staging: {trigger: "
                f"{{kind: cloudevents, url: '{url}', secret_env: MERGEQ_SECRET_X}}}}}}}}",
                f"1:62: mergeq.queue.staging.trigger.url: {line}",
                id=url,
            )
            for url, line in (
                (
                    "http://ci.test/",
                    "would send what CI is told through the net in the clear; use https, or a loopback",
                ),
                ("http://127.evil.test/", "would send what CI is told through the net in the clear; "),
                ("https://jo:pw@ci.test/", "holds a name or a password; leave it out; "),
                ("https://[::1/", "is no address: Invalid IPv6 URL; write it as https://HOST/PATH"),
            )
        ),
        pytest.param("mergeq: {status_context: ''}", "1:26: mergeq.status_context: ", id="an empty name"),
        pytest.param("mergeq: {status_context: 7}", "1:26: mergeq.status_context: 7 ", id="a name that is a number"),
        pytest.param("mergeq: [x]", "1:9: mergeq: ['x'] is not of type 'object'; ", id="a list"),
        pytest.param("mergeq: {queue: }", "1:17: mergeq.queue: None is not of type 'object'; ", id="no value"),
    ],
)
def test_whatever_our_own_section_does_not_know_is_refused(refused: Refuse, text: str, line: str) -> None:
    (found,) = refused(text + "\n")

    assert found.startswith(f"config.yaml:{line}")


def test_every_wrong_key_has_its_own_line(refused: Refuse) -> None:
    found = refused("mergeq:\n  queue:\n    zzz: 1\n    slots: x\n    orgs: {acme: {qqq: 2}}\n")

    assert sorted(line.split(": ")[1] for line in found) == [
        "mergeq.queue.orgs.acme.qqq",
        "mergeq.queue.slots",
        "mergeq.queue.zzz",
    ]


# Nothing lands untested


STAGING = "mergeq: {{queue: {{{}}}}}\n".format
UNTESTED = (
    "retest: no context is required on staged commits here, so nothing could ever be called tested; "
    "name some under `tide.context_options` or `staging_contexts`"
)


@pytest.mark.parametrize(
    ("queue", "place"),
    [
        pytest.param("retest: staging", "1:26: mergeq.queue.", id="everywhere"),
        pytest.param("orgs: {acme: {retest: staging}}", "1:40: mergeq.queue.orgs.acme.", id="in an org"),
        pytest.param(
            "orgs: {acme: {repos: {rocket: {retest: staging}}}}",
            "1:57: mergeq.queue.orgs.acme.repos.rocket.",
            id="in a repository",
        ),
        pytest.param(
            "retest: head, orgs: {acme: {repos: {rocket: {branches: {main: {retest: staging}}}}}}",
            "1:89: mergeq.queue.orgs.acme.repos.rocket.branches.main.",
            id="on a branch",
        ),
        pytest.param(
            "retest: staging, staging_contexts: [e2e], orgs: {acme: {staging_contexts: [], retest: staging}}",
            "1:104: mergeq.queue.orgs.acme.",
            id="where a narrower level takes them away",
        ),
    ],
)
def test_staging_that_would_test_nothing_is_refused(refused: Refuse, queue: str, place: str) -> None:
    """D3."""
    assert refused(STAGING(queue)) == [f"config.yaml:{place}{UNTESTED}"]


def test_every_level_that_stages_for_nothing_is_named(refused: Refuse) -> None:
    found = refused(STAGING("retest: staging, orgs: {acme: {retest: staging}}"))

    assert [line.split(": ")[1] for line in found] == ["mergeq.queue.retest", "mergeq.queue.orgs.acme.retest"]


def test_updating_that_would_test_nothing_is_refused(refused: Refuse) -> None:
    """D3: what is only required of staged commits does not help, what is only reported on heads does."""
    (line,) = refused(STAGING("retest: update, staging_contexts: [e2e]"))

    assert line.endswith(
        "no context is required here, so nothing could ever be called tested; name some under `tide.context_options`"
    )


def test_updating_counts_what_is_only_reported_on_heads(loaded: Load) -> None:
    more = "tide: {context_options: {required-contexts: [dco]}}\n"

    assert loaded(more + STAGING("retest: update, head_only_contexts: [dco]")).for_branch(MAIN).contexts.required


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("tide: {context_options: {required-contexts: [dco]}}\n", id="only on the head"),
        pytest.param("tide: {context_options: {required-contexts: [tide]}}\n", id="only our own status"),
        pytest.param("tide: {context_options: {required-if-present-contexts: [ci]}}\n", id="only if present"),
        pytest.param(
            "tide: {context_options: {orgs: {other: {required-contexts: [ci]}}}}\n", id="only beside that level"
        ),
        pytest.param("presubmits: {other/x: [{name: ci, always_run: true}]}\n", id="only in another repository's jobs"),
        pytest.param("presubmits: {acme/x: [{name: ci, always_run: true, optional: true}]}\n", id="only optional jobs"),
        pytest.param(
            "branch-protection: {orgs: {acme: {protect: true, required_status_checks: {contexts: [ci]}}}}\n",
            id="only in protection that is not asked",
        ),
    ],
)
def test_what_would_not_be_awaited_on_the_staged_commit_does_not_count(refused: Refuse, more: str) -> None:
    """T0.6."""
    (line,) = refused(more + STAGING("head_only_contexts: [dco], orgs: {acme: {retest: staging}}"))

    assert line.endswith(UNTESTED)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("tide: {context_options: {required-contexts: [ci]}}\n", id="for everyone"),
        pytest.param("tide: {context_options: {orgs: {acme: {required-contexts: [ci]}}}}\n", id="at that level"),
        pytest.param(
            "tide: {context_options: {orgs: {acme: {repos: {x: {branches: {main: {required-contexts: [ci]}}}}}}}}\n",
            id="for a branch below",
        ),
        pytest.param("presubmits: {acme/x: [{name: ci, always_run: true, branches: [^main$]}]}\n", id="by a job below"),
        pytest.param(
            "tide: {context_options: {from-branch-protection: true}}\n"
            "branch-protection:\n"
            "  orgs: {acme: {repos: {x: {protect: true, required_status_checks: {contexts: [ci]}}}}}\n",
            id="by protection below",
        ),
    ],
)
def test_staging_is_taken_where_something_is_required_there_or_below(loaded: Load, more: str) -> None:
    """Branches that get nothing are held at run time."""
    assert loaded(more + STAGING("orgs: {acme: {retest: staging}}")).queue_values(MAIN).retest is Retest.STAGING


def test_contexts_of_staging_alone_are_enough(loaded: Load) -> None:
    found = loaded(STAGING("retest: staging, orgs: {acme: {repos: {x: {staging_contexts: [e2e]}}}}"))

    assert found.queue_values(Branch("acme", "x", "main")).staging_contexts == {"e2e"}


# The schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found = json.loads((shipped("schemas") / "mergeq.schema.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


LEVELS = {"queue": "orgs", "org": "repos", "repo": "branches", "branch": None}


def objects(node: object, path: str = "mergeq") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object, wherever it is nested, with its path."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield path, node
        for name, child in node.items():
            yield from objects(child, f"{path}.{name}")


def test_the_schema_is_valid(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_schema_describes_every_property(schema: dict[str, Any]) -> None:
    def undescribed(node: dict[str, Any], path: str) -> list[str]:
        bare = []
        for name, child in node.get("properties", {}).items():
            target = schema["$defs"][child["$ref"].rpartition("/")[2]] if "$ref" in child else child
            bare += [] if target.get("description") else [f"{path}.{name}"]
        return bare

    assert [bare for path, node in objects(schema) for bare in undescribed(node, path)] == []
    assert [name for name, node in schema["$defs"].items() if not node.get("description")] == []


def test_the_schema_refuses_unknown_keys_everywhere(schema: dict[str, Any]) -> None:
    """A mapping by names that people choose has a schema for its values instead."""
    open_ended = [path for path, node in objects(schema) if node["additionalProperties"] is not False]

    assert {path.rpartition(".")[2] for path in open_ended} == {
        "orgs",
        "repos",
        "branches",
        "context_apps",
        "ownership",
        "patterns",
    }


def test_the_schema_offers_what_the_core_knows(schema: dict[str, Any]) -> None:
    staging = schema["$defs"]["staging"]["properties"]

    assert {name: schema["$defs"][name]["enum"] for name in CHOICES} == {
        name: [choice.value for choice in kind] for name, kind in CHOICES.items()
    }
    assert staging["forks"]["enum"] == [choice.value for choice in Forks]


def test_the_schema_says_which_choice_is_the_default_of_the_core(schema: dict[str, Any]) -> None:
    said = [(getattr(QueueValues(), name), schema["$defs"][name]["description"]) for name in CHOICES]
    said.append((StagingValues().forks, schema["$defs"]["staging"]["properties"]["forks"]["description"]))

    assert [text for default, text in said if f"`{default}` (default)" not in text] == []
    assert [text for _, text in said if text.count("(default)") != 1] == []


def test_the_schema_says_the_other_defaults_of_the_core(schema: dict[str, Any]) -> None:
    staging = {name: node["description"] for name, node in schema["$defs"]["staging"]["properties"].items()}
    queue = {name: node["description"] for name, node in schema["$defs"].items()}

    def told_wrong(values: QueueValues | StagingValues, described: dict[str, str]) -> dict[str, str]:
        told = {name: text.partition("Default: ")[2].removesuffix(".") for name, text in described.items()}
        wrong: dict[str, str] = {}
        for name in (one.name for one in fields(values)):
            default = getattr(values, name)
            if isinstance(default, float):
                right = seconds_of(told[name]) == default
            elif isinstance(default, tuple | frozenset):
                right = told[name] == (", ".join(default) or "none")
            elif isinstance(default, StrEnum | dict | StagingValues | Trigger | None):
                continue  # a choice, said above, or not set
            else:
                right = told[name].split(",")[0] == str(default)
            wrong |= {} if right else {name: told[name]}
        return wrong

    assert told_wrong(QueueValues(), queue) == {}
    assert told_wrong(StagingValues(), staging) == {}


def test_every_level_of_the_queue_takes_the_same_keys(schema: dict[str, Any]) -> None:
    keys = {name: set(schema["$defs"][name]["properties"]) - {below} for name, below in LEVELS.items()}

    assert keys["queue"] == keys["org"] == keys["repo"] == keys["branch"]


def test_the_queue_takes_exactly_what_the_core_has_values_for(schema: dict[str, Any]) -> None:
    assert set(schema["$defs"]["queue"]["properties"]) - {"orgs"} == {one.name for one in fields(QueueValues)}
    assert set(schema["$defs"]["staging"]["properties"]) == {one.name for one in fields(StagingValues)}
    trigger = schema["$defs"]["staging"]["properties"]["trigger"]["properties"]
    assert set(trigger) == {one.name for one in fields(Trigger)}
    assert trigger["event_type"]["description"].endswith(f"Default: {Trigger().event_type}.")
