"""A change of the configuration is in force at the next sync; one that is invalid is said and changes nothing."""

import os
from pathlib import Path

from structlog.testing import capture_logs

from mergeq import jobs
from mergeq.config import Followed
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import CONFIG, READY, Mergeq

MAIN = Branch.parse("acme/rocket:main")


def rewrite(folder: Path, text: str) -> None:
    """Replace the configuration as an operator does: by renaming."""
    (folder / "new").write_text(text)
    (folder / "new").replace(folder / "config.yaml")


def test_what_a_new_configuration_admits_lands_at_the_next_beat_of_the_tick(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=("lgtm",))
    github.settle()
    mergeq.sweep_and_work()
    assert mergeq.history() == []

    rewrite(tmp_path, CONFIG.replace("[lgtm, approved]", "[lgtm]"))
    jobs.tick_once(mergeq.services)
    mergeq.work()

    assert [record.outcome for record in mergeq.history()] == ["LANDED"]
    assert mergeq.history()[0].config == mergeq.services.config.digest


def test_a_repository_that_comes_under_a_query_is_found_at_once(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path, clock: ManualClock
) -> None:
    github.world.create_repo("hooli/nucleus", files={"ci.sh": "true\n", "a.txt": "a\n"})
    github.world.open_pull("hooli/nucleus", title="Add b", files={"b.txt": "b\n"})
    github.settle()
    clock.advance(86400)
    mergeq.sweep_and_work()

    rewrite(tmp_path, CONFIG.replace("[acme]", "[acme, hooli]"))
    jobs.tick_once(mergeq.services)
    mergeq.work()

    assert mergeq.store.pool(Branch.parse("hooli/nucleus:main")) is not None


def test_a_job_that_was_queued_before_the_change_works_by_the_new_configuration(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    jobs.tick_once(mergeq.services)
    rewrite(tmp_path, CONFIG.replace("[lgtm, approved]", "[lgtm, approved, really]"))
    mergeq.work()

    assert mergeq.history() == []
    saved = mergeq.store.pool(MAIN)
    assert saved is not None
    assert saved.config == mergeq.services.config.digest


def test_a_tick_that_was_away_has_judged_again_what_another_configuration_judged(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=("lgtm",))
    github.settle()
    mergeq.sweep_and_work()
    assert not mergeq.store.is_dirty(MAIN)
    rewrite(tmp_path, CONFIG.replace("[lgtm, approved]", "[lgtm]"))
    mergeq.services.follow()

    jobs._judge_again(mergeq.services)

    assert mergeq.store.is_dirty(MAIN)


def test_an_unchanged_configuration_marks_nothing(github: Sandbox, mergeq: Mergeq, tmp_path: Path) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=("lgtm",))
    github.settle()
    mergeq.sweep_and_work()
    os.utime(tmp_path / "config.yaml", ns=(1, 1))

    jobs.tick_once(mergeq.services)
    jobs._judge_again(mergeq.services)

    assert mergeq.store.is_idle()


def test_an_invalid_configuration_is_said_on_page_metric_and_log_and_changes_nothing(
    github: Sandbox, mergeq: Mergeq, tmp_path: Path
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()
    good = mergeq.services.config.digest
    assert "mergeq_config_valid 1.0" in mergeq.web.get("/metrics").text

    rewrite(tmp_path, CONFIG.replace("orgs: [acme]", "orgs: acme"))
    with capture_logs() as log:
        page, metrics = mergeq.web.get("/tide").text, mergeq.web.get("/metrics").text
        mergeq.sweep_and_work()

    assert "The newest configuration is not in force" in page
    assert "config.yaml:5:13: tide.queries.0.orgs: must be a list" in page
    assert "mergeq_config_valid 0.0" in metrics
    assert [(record.outcome, record.config) for record in mergeq.history()] == [("LANDED", good)]
    said = [entry for entry in log if entry["event"] == "configuration not taken up"]
    assert [(entry["log_level"], entry["in_force"]) for entry in said] == [("error", good)]
    assert "config.yaml:5:13" in said[0]["problem"]

    rewrite(tmp_path, CONFIG)
    assert "not in force" not in mergeq.web.get("/tide").text
    assert "mergeq_config_valid 1.0" in mergeq.web.get("/metrics").text


def test_the_metrics_say_when_the_configuration_was_read(mergeq: Mergeq, tmp_path: Path, clock: ManualClock) -> None:
    clock.advance(100)
    rewrite(tmp_path, CONFIG.replace("[acme]", "[acme, hooli]"))

    said = mergeq.web.get("/metrics").text

    line = next(line for line in said.splitlines() if line.startswith("mergeq_config_loaded_timestamp "))
    assert float(line.split()[1]) == clock.now()


def test_a_folder_as_kubernetes_mounts_it_is_read_once(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for name, org in (("..1", "acme"), ("..2", "emca")):
        (mount / name).mkdir(parents=True)
        (mount / name / "config.yaml").write_text(CONFIG.replace("[acme]", f"[{org}]"))
    (mount / "..data").symlink_to("..1")
    (mount / "config.yaml").symlink_to("..data/config.yaml")
    followed = Followed([mount])
    (mount / "..tmp").symlink_to("..2")
    (mount / "..tmp").replace(mount / "..data")

    assert followed.refresh()
    assert [query.orgs for query in followed.current.queries] == [("emca",)]
