"""What mergeq reads when GitHub is broken, slow, behind, in parts, or somewhere else by now: nothing lands by mistake,
and what can land does.
"""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from mergeq import jobs
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.doctor import examine
from mergeq.github import documents
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import Method
from mergeq.store import ALL
from tests.conftest import CONFIG, FILES, READY, Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import STAGED, foreign, listen, read, ready, reasons, status_of, sweep_until, warned

MAIN = Branch("acme", "rocket", "main")
ONE_REPO = CONFIG.replace("orgs: [acme]", "repos: [acme/rocket]")


def look(mergeq: Mergeq, branch: Branch = MAIN) -> None:
    """Give a branch its turn, whatever search finds."""
    mergeq.store.mark_parts([branch], [ALL], mergeq.services.now())
    mergeq.services.queue.enqueue(jobs.turn, str(branch))
    mergeq.work()


@pytest.mark.quirk("Q1")
@pytest.mark.parametrize("code", [502, 503])
def test_error_pages_for_a_moment_are_not_noticed(github: Sandbox, mergeq: Mergeq, quirk: Quirk, code: int) -> None:
    quirk.on("graphql.5xx", code=code, html=True, times=2)
    pull = ready(github)

    with capture_logs() as log:
        mergeq.sweep_and_work()

    assert (pull.merged, quirk.requests("/merge"), quirk.hits) == (True, 1, 2)
    assert (warned(log), "could not be read" in read(mergeq)) == ([], False)


@pytest.mark.quirk("Q1", "Q2")
@pytest.mark.parametrize("switch", ["graphql.5xx", "graphql.timeout"])
def test_a_branch_that_cannot_be_read_waits_and_says_so_until_it_can(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str
) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(pull, "approved")
    quirk.on(switch, route="graphql:Look", times=6)

    with capture_logs() as log:
        look(mergeq)
    is_waiting, page = pull.is_open, read(mergeq)
    mergeq.sweep_and_work()

    said = f"acme/rocket:main could not be read: GitHub answered {502 if switch == 'graphql.5xx' else 504}"
    assert is_waiting
    assert f"Not all is well. {said}" in page
    assert [line.startswith(f"branch not readable: {said}") for line in warned(log)] == [True]
    assert (pull.merged, quirk.requests("/merge")) == (True, 1)


@pytest.mark.quirk("Q3")
def test_results_that_are_missing_from_an_answer_are_not_taken_for_none(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(CONFIG + "mergeq: {queue: {empty_contexts: allow}}\n")
    fine, broken = ready(github, "Fine"), ready(github, "Broken")  # a sweep reads the newest first
    quirk.on("graphql.partial", route="graphql:Pulls", path="nodes.0.statusCheckRollup", times=None)

    mergeq.sweep_and_work()

    assert (broken.is_open, fine.merged) == (True, True)
    assert "Not read from GitHub in full: #2. What is not read does not land." in read(mergeq)


@pytest.mark.quirk("Q3")
@pytest.mark.parametrize(
    ("path", "named"),
    [("repository.issues", "the blocker issues"), ("repository.ref.rules", "the rules of the branch")],
)
def test_a_gap_that_could_hide_something_about_the_branch_stops_it(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, path: str, named: str
) -> None:
    pulls = [ready(github, title, labels=("lgtm",)) for title in ("One", "Two")]
    mergeq.sweep_and_work()
    for pull in pulls:
        github.world.add_label(pull, "approved")
    quirk.on("graphql.partial", route="graphql:Look", path=path, times=None)

    look(mergeq)

    assert [pull.is_open for pull in pulls] == [True, True]
    assert quirk.requests("/merge") == 0
    assert f"WAIT not everything could be read from GitHub: {named}" in read(mergeq)


@pytest.mark.quirk("Q4")
@pytest.mark.parametrize("kind", ["RATE_LIMITED", "RATE_LIMIT"])
def test_a_used_up_budget_is_not_taken_for_an_empty_branch(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, kind: str
) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(pull, "approved")
    quirk.on("graphql.rate_limited", route="graphql:Look", type=kind)

    with capture_logs() as log:
        look(mergeq)
    known, page = mergeq.store.pool(MAIN), read(mergeq)
    waiting = pull.is_open and known is not None and len(known.pool.standings) == 1
    sweep_until(mergeq, pull, clock, 65)

    assert waiting
    assert "GitHub's limit makes everything wait until 10:01:01 UTC: API rate limit exceeded for user ID 1000." in page
    assert [line.startswith("branch held back: ") for line in warned(log)] == [True]
    assert (pull.merged, quirk.requests("/merge")) == (True, 1)


@pytest.mark.quirk("Q5")
def test_an_error_without_a_type_is_tried_again(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.on("graphql.untyped", times=2)
    pull = ready(github)

    with capture_logs() as log:
        mergeq.sweep_and_work()

    assert (pull.merged, quirk.requests("/merge"), quirk.hits) == (True, 1, 2)
    assert (warned(log), "could not be read" in read(mergeq)) == ([], False)


@pytest.mark.quirk("Q5")
def test_an_error_without_a_type_that_stays_is_said_in_githubs_words(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(pull, "approved")
    quirk.on("graphql.untyped", route="graphql:Look", times=None)

    look(mergeq)

    assert pull.is_open
    assert "acme/rocket:main could not be read: Something went wrong while executing your query." in read(mergeq)


@pytest.mark.quirk("Q18")
def test_a_head_that_its_branch_has_left_is_not_judged(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    pull = ready(github)
    old = pull.head_sha
    quirk.on("read.stale_head", pr=pull.number, delay=90_000)
    github.world.push_to_pull(pull, {"engine.txt": "BROKEN\n"})

    mergeq.sweep_and_work()
    asked, page = quirk.requests("/merge"), read(mergeq)
    github.settle()
    clock.advance(90)
    mergeq.sweep_and_work()

    assert pull.head_sha != old
    assert (asked, quirk.requests("/merge"), pull.is_open) == (0, 0, True)
    assert "The CI results of this commit could not be read." in page
    assert status_of(github, pull) == "Not mergeable. Job ci/test has not succeeded."


@pytest.mark.quirk("Q19")
def test_what_search_misses_lands_with_what_it_finds(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    missed, found = ready(github, "Missed"), ready(github, "Found")
    quirk.on("search.drop", prs=[missed.number], times=None)

    mergeq.sweep_and_work()

    assert (missed.merged, found.merged) == (True, True)
    assert "Landed as" in read(mergeq, f"/pr/acme/rocket/{missed.number}")


@pytest.mark.quirk("Q19")
def test_a_branch_that_search_has_lost_is_not_forgotten(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    quirk.on("search.drop", prs=[pull.number], times=None)
    is_shown = f"#{pull.number} Add fins" in read(mergeq)
    github.world.add_label(pull, "approved")

    mergeq.sweep_and_work()

    assert (is_shown, pull.merged) == (True, True)


@pytest.mark.quirk("Q20")
def test_what_search_still_believes_is_read_again_before_it_counts(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    held, merged, opened = ready(github, "Held"), ready(github, "Merged"), ready(github, "Opened", labels=("lgtm",))
    quirk.on("search.lag", ms=600_000, times=None)
    list(mergeq.services.github.open_pulls("is:pr"))
    github.world.add_label(held, "do-not-merge/hold")
    github.world.merge_pull(merged)
    github.world.add_label(opened, "approved")

    mergeq.sweep_and_work()

    assert (held.is_open, opened.merged, quirk.requests("/merge")) == (True, True, 1)
    assert status_of(github, held) == "Not mergeable. Should not have do-not-merge/hold label."


@pytest.mark.quirk("Q21")
def test_a_query_too_long_for_search_finds_its_branch_all_the_same(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    labels = [f"needs/{n}-{'x' * 30}" for n in range(10)]
    mergeq = start_mergeq(f"tide: {{queries: [{{orgs: [acme], labels: {labels}}}]}}\n".replace("'", '"'))
    pull, lacking = ready(github, labels=labels), ready(github, "Lacking", labels=labels[1:])
    quirk.on("search.strict_2025", times=None)
    text = " ".join(["is:pr", "org:acme", *(f"label:{label}" for label in labels)])
    asked = {"query": "query($q: String!) { search(type: ISSUE, first: 1, query: $q) { issueCount } }"}
    long = foreign(github, "/graphql", body={**asked, "variables": {"q": text}}).get_json()

    mergeq.sweep_and_work()

    assert (long["data"]["search"]["issueCount"], quirk.hits) == (0, 1)
    assert (pull.merged, lacking.is_open) == (True, True)
    assert status_of(github, lacking).startswith("Not mergeable. Needs needs/0-xxx")


@pytest.mark.quirk("Q21")
@pytest.mark.parametrize("switch", ["search.strict_2025", "search.legacy_or"])
def test_every_search_looks_in_one_place_which_both_ways_of_reading_understand(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, switch: str
) -> None:
    github.world.create_repo("acme/launchpad", files=FILES)
    mergeq = start_mergeq(CONFIG.replace("orgs: [acme]", "repos: [acme/rocket, acme/launchpad]"))
    pulls = [ready(github, "One"), ready(github, "Two", "acme/launchpad")]
    quirk.on(switch, times=None)
    broad = foreign(github, "/search/issues?q=is:pr+repo:acme/rocket+repo:acme/launchpad").get_json()

    mergeq.sweep_and_work()

    assert (broad["total_count"], quirk.hits) == (0 if switch == "search.strict_2025" else 2, 1)
    assert [pull.merged for pull in pulls] == [True, True]


@pytest.mark.quirk("Q22")
def test_what_is_beyond_the_last_hit_that_github_shows_is_asked_for_by_its_age(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    for name in "abc":
        github.world.create_repo(f"acme/{name}", files=FILES)
    pulls = []
    for name in "abc":
        pulls.append(ready(github, f"For {name}", f"acme/{name}"))
        clock.advance(10)
    quirk.on("search.cap", n=2, times=None)

    with capture_logs() as log:
        mergeq.sweep_and_work()

    assert ([pull.merged for pull in pulls], warned(log)) == ([True, True, True], [])


@pytest.mark.quirk("Q22")
def test_hits_that_move_from_page_to_page_are_found_by_the_next_sweep_at_the_latest(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "OPEN_PULLS", documents.OPEN_PULLS.replace("first: 100", "first: 1"))
    for name in "abc":
        github.world.create_repo(f"acme/{name}", files=FILES)
    pulls = [ready(github, f"For {name}", f"acme/{name}") for name in "abc"]
    quirk.on("search.shift", times=2)

    with capture_logs() as log:
        mergeq.sweep_and_work(2)

    assert ([pull.merged for pull in pulls], warned(log)) == ([True, True, True], [])
    assert quirk.requests("{pull_number}/merge") == 3


@pytest.mark.quirk("Q23")
def test_commits_are_rebased_in_the_order_of_their_parents(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = start_mergeq(STAGED)
    quirk.on("commits.shuffle", times=None)
    steps = [{"count.txt": f"{n}\n"} for n in range(3)]
    pull = ready(github, files=None, commits=steps, labels=(*READY, "tide/rebase"))
    github.world.push("acme/rocket", "main", {"moved.txt": "on\n"})

    for _ in range(2):
        mergeq.sweep_and_work()
        github.settle()

    assert pull.merged
    record = mergeq.history()[0]
    assert (record.outcome.value, record.tested_tree) == ("LANDED", record.landed_tree)
    assert "landed as tested" in read(mergeq, f"/pr/acme/rocket/{pull.number}")


@pytest.mark.quirk("Q27", "Q28")
@pytest.mark.parametrize(
    ("switch", "to", "name"), [("repo.rename", "booster", "acme/booster"), ("repo.transfer", "other", "other/rocket")]
)
def test_a_repository_that_moved_is_served_under_its_new_name_alone(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, switch: str, to: str, name: str
) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    quirk.on(switch, after=1, to=to)
    github.world.add_label(pull, "approved")

    look(mergeq)
    asked = quirk.hits
    look(mergeq)
    is_waiting, page = pull.is_open, read(mergeq)
    mergeq.sweep_and_work()

    assert (asked, is_waiting) == (1, True)
    assert f"Not all is well. acme/rocket is called {name} now" in page
    assert pull.merged == name.startswith("acme/")
    assert quirk.requests("{pull_number}/merge") == int(pull.merged)
    assert bool(mergeq.history(f"{name}:main")) == pull.merged
    assert [record.outcome for record in mergeq.history() if record.outcome is not Outcome.STALE] == []


@pytest.mark.quirk("Q27")
def test_a_repository_renamed_between_the_last_look_and_the_merge_lands_once_and_under_one_name(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    pull = ready(github)
    quirk.on("repo.rename", after=1, to="booster")

    mergeq.sweep_and_work(3)

    assert pull.merged
    assert len([*mergeq.history(), *mergeq.history("acme/booster:main")]) >= 1
    landed = [
        r for b in ("acme/rocket:main", "acme/booster:main") for r in mergeq.history(b) if r.outcome.value == "LANDED"
    ]
    assert len(landed) == 1


@pytest.mark.quirk("Q29")
def test_a_renamed_branch_is_served_under_its_new_name(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    quirk.on("branch.rename", after=1, to="trunk")
    github.world.add_label(pull, "approved")

    look(mergeq)
    look(mergeq)
    is_waiting, page = pull.is_open, read(mergeq)
    mergeq.sweep_and_work()

    assert is_waiting
    assert "Not all is well. acme/rocket:main does not exist on GitHub" in page
    assert (pull.merged, len(mergeq.history("acme/rocket:trunk"))) == (True, 1)


@pytest.mark.quirk("Q30")
def test_an_archived_repository_is_left_alone_and_the_page_says_so(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    github.world.create_repo("acme/other", files=FILES)
    pull, fine = ready(github, labels=("lgtm",)), ready(github, "Fine", "acme/other")
    mergeq.sweep_and_work()
    quirk.on("repo.archive", after=1)
    github.world.add_label(pull, "approved")

    look(mergeq)

    assert (pull.is_open, fine.merged, quirk.requests("{pull_number}/merge")) == (True, True, 1)
    assert reasons(mergeq, pull) == ["needs a repository that can be written, but the repository is archived"]


@pytest.mark.quirk("Q70")
def test_an_event_that_comes_before_what_it_tells_of_is_made_up_for(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    listen(github, mergeq)
    quirk.on("read.not_yet", ms=30_000, times=None)
    pull = ready(github)

    with capture_logs() as log:
        look(mergeq)
        early = pull.is_open
        mergeq.sweep_and_work()

    assert (early, pull.merged, warned(log)) == (True, True, [])


@pytest.mark.quirk("Q79")
def test_settings_that_changed_are_known_at_once_though_their_tag_has_not(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk
) -> None:
    quirk.on("etag.stale_repo_settings", times=None)
    first = ready(github, "First")
    mergeq.sweep_and_work()
    second = ready(github, "Second")
    tag = foreign(github, "/repos/acme/rocket").headers["ETag"]
    github.world.repo("acme/rocket").allowed = frozenset({Method.SQUASH})

    others = foreign(github, "/repos/acme/rocket", headers={"If-None-Match": tag})
    mergeq.sweep_and_work()
    examined = examine(mergeq.services.settings, "acme/rocket")

    assert (others.status_code, quirk.hits) == (304, 1)
    assert (first.merged, second.is_open, quirk.requests("{pull_number}/merge")) == (True, True, 1)
    assert status_of(github, second) == 'Not mergeable. Merge type "merge" disallowed by repo settings'
    said = "main: the configuration says merge, but GitHub allows squash there"
    assert said in [one["seen"] for one in examined["findings"]]


@pytest.mark.quirk("Q84")
@pytest.mark.parametrize("config", [CONFIG, STAGED], ids=["by its head", "staged"])
def test_an_older_server_without_rulesets_merge_queues_and_limits_is_served(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, config: str
) -> None:
    quirk.on("profile.ghes", times=None)
    mergeq = start_mergeq(config)
    pull, held = ready(github), ready(github, "Held", labels=("lgtm",))

    with capture_logs() as log:
        for _ in range(2):
            mergeq.sweep_and_work()
            github.settle()

    assert quirk.hits > 2
    assert warned(log) == [
        f"GitHub tells of no limit for {kind}, so no budget is kept there" for kind in ("graphql", "core")
    ]
    assert (pull.merged, held.is_open) == (True, True)
    assert status_of(github, held) == "Not mergeable. Needs approved label."


@pytest.mark.quirk("Q85")
@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("mergeStateStatus", ""),
        ("mergeable", ""),
        ("reviewDecision", ""),
        ("conclusion", "e2e failed"),
        ("status", "e2e is still running"),
        ("authorAssociation", ""),
    ],
)
def test_values_that_nobody_knows_yet_stop_only_what_depends_on_them(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, field: str, why: str
) -> None:
    pull = ready(github)
    github.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion="success")
    quirk.on("schema.future", field=field, times=None)

    mergeq.sweep_and_work()

    assert pull.merged == (not why)
    assert pull.merged or reasons(mergeq, pull) == [f"needs e2e to be green on {pull.head_sha[:7]}, but {why}"]


@pytest.mark.quirk("Q85")
def test_a_rule_that_nobody_knows_yet_holds(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    pull = ready(github)
    github.world.add_ruleset("acme/rocket", rules=[{"type": "deletion"}])
    quirk.on("schema.future", field="type", times=None)
    quirk.on("mergeable.stuck", pr=pull.number, times=None)

    mergeq.sweep_and_work()

    assert (pull.is_open, quirk.requests("{pull_number}/merge")) == (True, 0)
    assert "phase of the moon" in status_of(github, pull)
