"""What is read again and what is not: marks, events that come too early, sweeps, and what time alone changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mergeq import jobs, sweep
from mergeq.core.marks import Announced, Hint, Mark
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import CONFIG, READY, Mergeq
from tests.shell.quirky import status_of
from tests.shell.test_budget import points, ready
from tests.shell.test_landing import MAIN, fault, hits
from tests.shell.test_staging import STAGED

ORG = 'is:pr state:open archived:false org:"acme"'


@pytest.fixture
def told(mergeq: Mergeq) -> Mergeq:
    """mergeq where a webhook of the organization has come just now."""
    hear(mergeq)
    return mergeq


def hear(mergeq: Mergeq, scope: str = "acme") -> None:
    """A webhook has come that is about nothing here."""
    mergeq.store.deliver(mergeq.store.new_id(), [], mergeq.services.now(), scope=scope)


def turn(mergeq: Mergeq, *marks: Mark) -> None:
    """Mark, and work."""
    jobs._send_for(mergeq.services, mergeq.store.mark(marks, mergeq.services.now()))
    mergeq.work()


def wait(mergeq: Mergeq, clock: ManualClock, seconds: float) -> None:
    """Let time go by, and do what is due then."""
    clock.advance(seconds)
    jobs.tick_once(mergeq.services)
    mergeq.work()


def asked(github: Sandbox) -> int:
    return hits(github, "graphql:")


# what is marked is read


def test_a_branch_without_marks_is_judged_again_for_nothing(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    github.settle()
    mergeq.sweep_and_work()
    before, saved = asked(github), mergeq.store.pool(MAIN)

    jobs._send_for(mergeq.services, mergeq.store.send([MAIN], mergeq.services.now()))
    mergeq.work()

    again = mergeq.store.pool(MAIN)
    assert saved is not None
    assert again is not None
    assert asked(github) == before
    [first, after] = saved.pool.standings, again.pool.standings
    shown = tuple(replace(one, pull=replace(one.pull, contexts=first[0].pull.contexts)) for one in after)
    assert (again.id != saved.id, replace(again.pool, standings=shown)) == (True, saved.pool)
    assert "tide" in {one.name for one in after[0].pull.contexts or ()}
    assert status_of(github, pull) == "Not mergeable. Needs approved label."


def test_an_event_about_one_pull_request_costs_one_look_at_it(github: Sandbox, mergeq: Mergeq) -> None:
    pulls = [
        github.world.open_pull("acme/rocket", title=f"Part {n}", files={f"{n}.txt": "1"}, labels=["lgtm"])
        for n in range(3)
    ]
    mergeq.sweep_and_work()
    before = asked(github)
    github.world.add_label(pulls[1], "do-not-merge/hold")
    github.world.add_label(pulls[2], "do-not-merge/hold")

    turn(mergeq, Mark(MAIN, pulls[1].number))

    pool = mergeq.store.pool(MAIN)
    assert pool is not None
    assert asked(github) == before + 1
    assert [one.pull.number for one in pool.pool.standings if len(one.pull.labels) > 1] == [pulls[1].number]


def test_a_pull_request_that_was_never_read_is_found_by_its_number(github: Sandbox, mergeq: Mergeq) -> None:
    first = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq.sweep_and_work()
    second = github.world.open_pull("acme/rocket", title="Add wings", files={"wings.txt": "1"})

    turn(mergeq, Mark(MAIN, second.number))

    pool = mergeq.store.pool(MAIN)
    assert pool is not None
    assert [standing.pull.number for standing in pool.pool.standings] == [first.number, second.number]


def test_one_that_wants_another_branch_now_is_judged_there(github: Sandbox, mergeq: Mergeq) -> None:
    other = Branch("acme", "rocket", "next")
    github.world.push("acme/rocket", "next", {"next.txt": "1"})
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq.sweep_and_work()
    github.world.retarget(pull, "next")

    turn(mergeq, Mark(MAIN, pull.number))
    mergeq.sweep_and_work()

    assert mergeq.store.pool(MAIN) is None
    moved = mergeq.store.pool(other)
    assert moved is not None
    assert [standing.pull.base for standing in moved.pool.standings] == ["next"]


def test_a_branch_whose_tip_is_marked_is_listed_and_read_where_it_changed(github: Sandbox, mergeq: Mergeq) -> None:
    closed, changed, same = (
        github.world.open_pull("acme/rocket", title=f"Part {n}", files={f"{n}.txt": "1"}) for n in range(3)
    )
    mergeq.sweep_and_work()
    read = hits(github, "graphql:Pulls")
    github.world.close_pull(closed)
    github.world.add_label(changed, "lgtm")

    turn(mergeq, Mark(MAIN))

    pool = mergeq.store.pool(MAIN)
    assert pool is not None
    assert [(one.pull.number, one.pull.labels) for one in pool.pool.standings] == [
        (changed.number, ("lgtm",)),
        (same.number, ()),
    ]
    assert hits(github, "graphql:Pulls") == read + 1


def test_a_blocker_is_told_on_every_pull_request_in_the_pool_for_one_look_at_the_branch(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    """T12.25, T12.26."""
    mergeq = start_mergeq(STAGED)
    pulls = [ready(github, f"Part {n}") for n in range(3)]
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    mergeq.sweep_and_work()
    before, told = asked(github), [status_of(github, pull) for pull in pulls]
    github.world.open_issue("acme/rocket", "freeze", labels=["tide/merge-blocker"])

    turn(mergeq, Mark(MAIN))

    assert asked(github) == before + 1
    assert not any("blocked" in text for text in told)
    assert all("blocked" in status_of(github, pull) for pull in pulls)


def test_another_configuration_is_told_on_every_pull_request_for_nothing(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path, clock: ManualClock
) -> None:
    """T12.26."""
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    mergeq.sweep_and_work()
    before, told = asked(github), status_of(github, pull)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("labels: [lgtm, approved]", "labels: [lgtm, tested]"))
    clock.advance(5)

    assert mergeq.services.follow()
    jobs._judge_again(mergeq.services)
    mergeq.work()

    assert (told, status_of(github, pull)) == (
        "Not mergeable. Needs approved label.",
        "Not mergeable. Needs tested label.",
    )
    assert asked(github) == before


# events come before what they are about


def test_what_an_event_said_is_looked_for_until_github_shows_it(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    mergeq.sweep_and_work()
    told = Hint(Announced.UPDATED, at=mergeq.services.now() + 4)

    turn(mergeq, Mark(MAIN, pull.number, hint=told))
    early = set(mergeq.store.marks(MAIN))
    clock.advance(5)
    github.world.add_label(pull, "approved")
    wait(mergeq, clock, 0)

    assert early == {str(pull.number)}
    assert str(pull.number) not in mergeq.store.marks(MAIN)
    assert pull.merged


def test_what_never_shows_is_looked_for_eight_times_and_no_more(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq.sweep_and_work()
    before = hits(github, "graphql:Look")

    turn(mergeq, Mark(MAIN, pull.number, hint=Hint(Announced.UPDATED, at=mergeq.services.now() + 1e6)))
    for _ in range(20):
        mergeq.store.set_swept(ORG, clock.now() + 300)
        wait(mergeq, clock, 300)

    assert hits(github, "graphql:Look") == before + 8
    assert mergeq.store.marks(MAIN) == {}
    assert mergeq.store.is_idle()


def test_events_about_our_own_landing_cost_nothing(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    base = str(github.world.repo("acme/rocket").git.tip("main"))
    github.world.open_pull("acme/rocket", title="Add wings", files={"wings.txt": "1"})
    pull = ready(github)
    mergeq.sweep_and_work()
    before = asked(github)

    turn(
        mergeq,
        Mark(MAIN, hint=Hint(Announced.MOVED, name=base)),
        Mark(MAIN, pull.number, hint=Hint(Announced.LEFT)),
    )
    at_once = asked(github)
    mergeq.store.set_swept(ORG, clock.now() + 60)
    wait(mergeq, clock, 25)

    assert pull.merged
    assert at_once == before
    assert asked(github) == before + 1
    assert mergeq.store.marks(MAIN) == {}


def test_a_conflict_with_the_new_base_is_told_soon_after_somebody_pushed(
    github: Sandbox, told: Mergeq, clock: ManualClock
) -> None:
    pull = ready(github, labels=["lgtm"])
    told.sweep_and_work()
    base = str(github.world.repo("acme/rocket").git.tip("main"))
    github.world.push("acme/rocket", "main", {"fins.txt": "another\n"})

    turn(told, Mark(MAIN, hint=Hint(Announced.MOVED, name=base)))
    for _ in range(3):
        wait(told, clock, 25)

    pool = told.store.pool(MAIN)
    assert pool is not None
    assert pool.pool.base_sha != base
    assert [reason.clause.value for reason in pool.pool.standings[0].reasons] == ["conflict", "labels"]
    assert status_of(github, pull) == "Not mergeable. PR has a merge conflict."


# sweeps


def test_a_sweep_reads_what_changed_of_all_repositories_together(github: Sandbox, mergeq: Mergeq) -> None:
    for name in ("acme/launchpad", "acme/tower", "acme/dish"):
        github.world.create_repo(name, files={"README.md": "x"})
        for n in range(3):
            github.world.open_pull(name, title=f"Part {n}", files={f"{n}.txt": "1"})
    mergeq.sweep_and_work()
    first = {name: hits(github, f"graphql:{name}") for name in ("OpenPulls", "States", "Pulls", "Look")}

    mergeq.sweep_and_work()

    assert first == {"OpenPulls": 1, "States": 1, "Pulls": 1, "Look": 0}
    assert len(mergeq.store.branches()) == 3
    assert hits(github, "graphql:Pulls") == 1


def test_a_result_that_all_together_do_not_show_is_read_at_the_next_sweep(github: Sandbox, mergeq: Mergeq) -> None:
    """One of two red results turns green: all together stay red, and nothing else of the pull request changes."""
    pull = ready(github)
    for name in ("one", "two"):
        github.world.set_status("acme/rocket", pull.head_sha, context=name, state="failure")
    mergeq.sweep_and_work(2)
    before = status_of(github, pull)
    github.world.set_status("acme/rocket", pull.head_sha, context="two", state="success")

    mergeq.sweep_and_work()

    assert "one, two" in before
    assert "two" not in status_of(github, pull)


def test_one_that_search_misses_is_asked_for_before_it_is_forgotten(github: Sandbox, mergeq: Mergeq) -> None:
    """D11."""
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq.sweep_and_work()
    fault(github, "search.drop", times=None, args={"prs": [pull.number]})

    mergeq.sweep_and_work()

    pool = mergeq.store.pool(MAIN)
    assert pool is not None
    assert [one.pull.number for one in pool.pool.standings] == [pull.number]


def test_what_is_known_by_an_old_name_of_a_repository_is_known_by_the_new_one_alone(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """Q27."""
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq.sweep_and_work()
    fault(github, "repo.rename", match={"repo": "acme/rocket"}, args={"to": "launcher"})

    mergeq.sweep_and_work(3)

    assert mergeq.store.branch_of("acme/rocket", pull.number) is None
    assert mergeq.store.branch_of("acme/launcher", pull.number) == Branch("acme", "launcher", "main")
    assert [str(saved.pool.branch) for saved in mergeq.store.pools()] == ["acme/launcher:main"]


def test_where_webhooks_come_sweeps_are_rare(github: Sandbox, told: Mergeq) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})

    told.sweep_and_work(59)
    in_the_hour = hits(github, "graphql:OpenPulls")
    told.sweep_and_work(2)

    assert (in_the_hour, hits(github, "graphql:OpenPulls")) == (1, 2)


def test_the_hours_between_are_configured(github: Sandbox, start_mergeq: Callable[..., Mergeq]) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"})
    mergeq = start_mergeq(CONFIG + "mergeq: {sweep: {period: 5m, with_webhooks: 10m}}\n")

    mergeq.sweep_and_work(11)

    assert hits(github, "graphql:OpenPulls") == 3
    assert mergeq.services.config.sweep.with_webhooks == 600


def test_what_no_webhook_told_is_counted_and_brings_back_frequent_sweeps_until_one_comes(
    github: Sandbox, told: Mergeq
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    told.sweep_and_work()
    github.world.add_label(pull, "approved")

    told.sweep_and_work(60)
    missed = points(told, "mergeq_sweep_missed_total", scope="acme")
    page, metrics = told.web.get("/tide").text, told.web.get("/metrics").text
    swept = hits(github, "graphql:OpenPulls")
    told.sweep_and_work(5)
    often = hits(github, "graphql:OpenPulls") - swept
    hear(told)
    told.sweep_and_work(5)

    assert (pull.merged, missed) == (True, 1)
    assert "Webhooks of acme did not tell everything" in page
    assert 'mergeq_webhooks_working{scope="acme"} 0.0' in metrics
    assert "did not tell everything" not in told.web.get("/tide").text
    assert 'mergeq_webhooks_working{scope="acme"} 1.0' in told.web.get("/metrics").text
    assert often == 5
    assert hits(github, "graphql:OpenPulls") - swept - often <= 1


def test_the_webhook_of_one_repository_says_nothing_about_its_neighbours() -> None:
    assert sweep.works({"acme/rocket": 5.0}, {}, "acme/rocket")
    assert not sweep.works({"acme/rocket": 5.0}, {}, "acme")
    assert not sweep.works({"acme/rocket": 5.0}, {}, "acme/tower")
    assert sweep.works({"acme": 5.0}, {}, "acme/tower")
    assert not sweep.works({"acme": 5.0}, {"acme/tower": 6.0}, "acme/tower")


# what time alone changes


def test_who_stood_back_is_tried_again_in_time_though_sweeps_are_rare(
    github: Sandbox, told: Mergeq, clock: ManualClock
) -> None:
    """T12.7."""
    fault(github, "merge.base_modified", times=3)
    pull = ready(github)
    told.sweep_and_work()
    before = pull.is_open

    wait(told, clock, 299)
    still = pull.is_open
    wait(told, clock, 2)

    assert (before, still, pull.merged) == (True, True, True)
    assert hits(github, "graphql:OpenPulls") == 1


def test_a_staged_result_of_which_no_webhook_told_is_seen_within_two_minutes(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    mergeq = start_mergeq(STAGED)
    hear(mergeq)
    pull = ready(github)
    mergeq.sweep_and_work()
    github.settle()

    wait(mergeq, clock, 121)

    assert pull.merged
    assert hits(github, "graphql:OpenPulls") == 1


def test_a_branch_that_could_not_be_read_is_tried_again_by_itself(
    github: Sandbox, told: Mergeq, clock: ManualClock
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    told.sweep_and_work()
    github.world.add_label(pull, "approved")
    fault(github, "graphql.5xx", match={"route": "graphql:Look"}, times=6)

    turn(told, Mark(MAIN, pull.number))
    page = told.web.get("/tide").text
    wait(told, clock, 61)

    assert "GitHub answered 502" in page
    assert pull.merged


@pytest.mark.parametrize(
    ("route", "path", "seconds"),
    [
        ("graphql:Look", ["repository", "issues"], 61),
        ("graphql:Look", ["nodes", 0, "statusCheckRollup"], 301),
    ],
    ids=["the blockers", "a pull request"],
)
def test_what_could_not_be_read_in_full_is_read_again_by_itself(
    github: Sandbox, told: Mergeq, clock: ManualClock, route: str, path: list[str | int], seconds: int
) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=["lgtm"])
    github.settle()
    told.sweep_and_work()
    github.world.add_label(pull, "approved")
    fault(github, "graphql.partial", match={"route": route}, args={"path": path})

    turn(told, Mark(MAIN, pull.number))
    before = pull.is_open
    wait(told, clock, seconds)

    assert (before, pull.merged) == (True, True)
    assert hits(github, "graphql:OpenPulls") == 1


# statuses


def test_statuses_that_can_wait_are_written_one_a_second_and_all_in_the_end(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    for name in ("acme/launchpad", "acme/tower", "acme/dish"):
        github.world.create_repo(name, files={"README.md": "x"})
    names = ("acme/rocket", "acme/launchpad", "acme/tower", "acme/dish")
    files = {"fins.txt": "1"}
    pulls = [github.world.open_pull(name, title=f"Part {n}", files=files) for name in names for n in range(24)]
    clock.advance(3600)
    best = ready(github, "Add wings")

    mergeq.sweep_and_work()
    at_once = sum(bool(status_of(github, pull)) for pull in pulls)
    for _ in range(40):
        wait(mergeq, clock, 1)

    assert best.merged
    assert 48 <= at_once <= 72
    assert all(status_of(github, pull) for pull in pulls)


def test_a_status_that_was_written_is_not_written_again_by_what_was_read_before(
    github: Sandbox, mergeq: Mergeq
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "1"}, labels=[READY[0]])
    mergeq.sweep_and_work()
    before = hits(github, "POST /repos/{owner}/{repo}/statuses")

    for _ in range(3):
        jobs._send_for(mergeq.services, mergeq.store.send([MAIN], mergeq.services.now()))
        mergeq.work()

    assert hits(github, "POST /repos/{owner}/{repo}/statuses") == before == 1
