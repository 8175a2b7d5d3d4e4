"""Configuration files are followed while mergeq runs, and nothing on disk can take the last good configuration away."""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mergeq.config import ConfigError, Configuration, load
from mergeq.config.watch import Followed

QUERY = "tide:\n  queries:\n    - orgs: [{org}]\n      labels: [lgtm]\n"
BROKEN = "tide:\n  queries:\n    - orgs: acme\n"


class Counting:
    """The real loader, which counts how often it was asked, and does `meanwhile` once, after it has read."""

    def __init__(self) -> None:
        self.calls = 0
        self.meanwhile: Callable[[], object] | None = None

    def __call__(self, paths: Iterable[Path]) -> Configuration:
        self.calls += 1
        try:
            return load(paths)
        finally:
            if meanwhile := self.meanwhile:
                self.meanwhile = None
                meanwhile()


def write(file: Path, text: str, age: int) -> Path:
    """Write a file whose time of change is its own, however fast the test runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, ns=(age * 10**9, age * 10**9))
    return file


def orgs(followed: Followed) -> list[str]:
    return [org for query in followed.current.queries for org in query.orgs]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "config.yaml", QUERY.format(org="acme"), 1)


def test_what_is_broken_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:3:13: .*must be a list"):
        Followed([write(tmp_path / "config.yaml", BROKEN, 1)])
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        Followed([tmp_path / "nowhere.yaml"])


def test_a_valid_change_comes_into_force_at_the_next_look(file: Path) -> None:
    followed = Followed([file])
    before = followed.current.digest
    write(file, QUERY.format(org="hooli"), 2)

    assert orgs(followed) == ["acme"]
    assert followed.refresh()
    assert orgs(followed) == ["hooli"]
    assert followed.current.digest != before
    assert followed.problem == ""


def test_files_that_stay_as_they_are_are_never_read_again(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)

    assert [followed.refresh() for _ in range(5)] == [False] * 5
    assert loader.calls == 1


def test_an_invalid_change_leaves_the_last_good_one_and_says_why_until_it_is_mended(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    good = followed.current

    write(file, BROKEN, 2)
    assert followed.refresh()
    assert followed.current is good
    assert followed.problem.startswith(f"{file}:3:13: tide.queries.0.orgs: must be a list")
    assert not followed.refresh()
    assert loader.calls == 2

    write(file, QUERY.format(org="hooli"), 3)
    assert followed.refresh()
    assert (orgs(followed), followed.problem) == (["hooli"], "")


def test_mended_to_what_was_in_force_before_is_news_too(file: Path) -> None:
    followed = Followed([file])
    write(file, BROKEN, 2)
    followed.refresh()
    write(file, QUERY.format(org="acme"), 3)

    assert followed.refresh()
    assert followed.problem == ""


def test_every_problem_has_its_line(file: Path) -> None:
    followed = Followed([file])
    write(file, "tide:\n  queries:\n    - orgs: acme\n    - repos: rocket\n", 2)
    followed.refresh()

    assert [line.split(": ")[0] for line in followed.problem.splitlines()[:1]] == [f"{file}:3:13"]
    assert any(f"{file}:4:14" in line for line in followed.problem.splitlines())


def test_a_file_that_vanishes_takes_nothing_with_it(file: Path) -> None:
    followed = Followed([file])
    file.unlink()

    assert followed.refresh()
    assert orgs(followed) == ["acme"]
    assert followed.problem == f"{file}: cannot be read (No such file or directory); check the path and its permissions"
    assert not followed.refresh()

    write(file, QUERY.format(org="acme"), 2)
    assert followed.refresh()
    assert followed.problem == ""


def test_a_folder_that_vanishes_takes_nothing_with_it(file: Path) -> None:
    followed = Followed([file.parent])
    file.parent.rename(file.parent.with_name("elsewhere"))

    assert followed.refresh()
    assert orgs(followed) == ["acme"]
    assert "cannot be read" in followed.problem


def test_files_that_appear_in_a_folder_and_go_away_again_are_followed(file: Path) -> None:
    followed = Followed([file.parent])
    extra = write(file.parent / "teams" / "hooli.yml", QUERY.format(org="hooli"), 2)

    assert followed.refresh()
    assert orgs(followed) == ["acme", "hooli"]

    extra.unlink()
    assert followed.refresh()
    assert orgs(followed) == ["acme"]


def test_what_is_no_yaml_in_a_folder_is_no_change(file: Path) -> None:
    loader = Counting()
    followed = Followed([file.parent], loader)
    write(file.parent / "README.md", "for people", 2)

    assert not followed.refresh()
    assert loader.calls == 1


def test_a_touched_file_is_read_and_is_no_news(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    write(file, QUERY.format(org="acme"), 2)

    assert not followed.refresh()
    assert loader.calls == 2


def test_a_change_of_the_same_length_and_time_is_seen_by_its_inode(file: Path) -> None:
    followed = Followed([file])
    write(file.with_suffix(".new"), QUERY.format(org="emca"), 1).replace(file)

    assert followed.refresh()
    assert orgs(followed) == ["emca"]


def test_a_swapped_link_is_followed_as_kubernetes_and_release_folders_swap_them(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    write(mount / "..2026_01" / "config.yaml", QUERY.format(org="acme"), 1)
    (mount / "..data").symlink_to("..2026_01")
    (mount / "config.yaml").symlink_to("..data/config.yaml")
    followed = Followed([mount / "config.yaml"])

    write(mount / "..2026_02" / "config.yaml", QUERY.format(org="emca"), 1)
    assert not followed.refresh()
    (mount / "..data_tmp").symlink_to("..2026_02")
    (mount / "..data_tmp").replace(mount / "..data")
    assert followed.refresh()
    assert orgs(followed) == ["emca"]

    (mount / "..2026_01" / "config.yaml").unlink()
    assert not followed.refresh()


def test_a_linked_folder_is_followed_to_its_next_release(tmp_path: Path) -> None:
    for release, org in (("1", "acme"), ("2", "emca")):
        write(tmp_path / release / "config.yaml", QUERY.format(org=org), 1)
    (tmp_path / "live").symlink_to("1")
    followed = Followed([tmp_path / "live"])

    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "live")

    assert followed.refresh()
    assert orgs(followed) == ["emca"]


@pytest.mark.parametrize("half", [BROKEN, "tide: {}\n"], ids=["broken", "valid"])
def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_look(file: Path, half: str) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    write(file, half, 2)
    loader.meanwhile = lambda: write(file, QUERY.format(org="hooli"), 3)

    assert not followed.refresh()
    assert (orgs(followed), followed.problem) == (["acme"], "")
    assert followed.refresh()
    assert (orgs(followed), followed.problem) == (["hooli"], "")


def test_a_file_that_changes_during_the_first_reading_is_read_again(file: Path) -> None:
    loader = Counting()
    loader.meanwhile = lambda: write(file, QUERY.format(org="hooli"), 2)
    followed = Followed([file], loader)

    assert followed.refresh()
    assert orgs(followed) == ["hooli"]


def test_force_reads_files_that_look_as_they_did_once(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    followed.force()

    assert not followed.refresh()
    assert not followed.refresh()
    assert loader.calls == 2


def test_whatever_reading_brings_about_the_last_good_one_stays(file: Path) -> None:
    def failing(paths: Iterable[Path]) -> Configuration:
        if file.stat().st_mtime_ns > 10**9:
            raise RecursionError("too deep")
        return load(paths)

    followed = Followed([file], failing)
    write(file, QUERY.format(org="hooli"), 2)

    assert followed.refresh()
    assert orgs(followed) == ["acme"]
    assert followed.problem == (
        "the configuration cannot be read (RecursionError: too deep); put the last good files back"
    )


def test_many_threads_that_look_at_once_read_a_change_once(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    write(file, QUERY.format(org="hooli"), 2)
    together, news = threading.Barrier(8), list[bool]()

    def look() -> None:
        together.wait(180)
        news.append(followed.refresh())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(news) == [False] * 7 + [True]
    assert loader.calls == 2
    assert orgs(followed) == ["hooli"]


def test_it_says_when_what_is_in_force_was_read(file: Path) -> None:
    times = iter((100.0, 200.0))
    followed = Followed([file], now=lambda: next(times))
    assert followed.loaded_at == 100.0

    write(file, BROKEN, 2)
    followed.refresh()
    assert followed.loaded_at == 100.0

    write(file, QUERY.format(org="hooli"), 3)
    followed.refresh()
    assert followed.loaded_at == 200.0


def test_force_may_come_in_the_middle_of_a_reading_and_is_not_lost(file: Path) -> None:
    loader = Counting()
    followed = Followed([file], loader)
    write(file, QUERY.format(org="hooli"), 2)
    loader.meanwhile = followed.force

    assert followed.refresh()
    assert not followed.refresh()
    assert loader.calls == 3
