"""Branches, pull requests and blockers as values."""

from dataclasses import replace

import pytest

from mergeq.core.pull import Branch, Mergeable, Protection, Row, blocker
from tests.builders import pr


@pytest.mark.parametrize("text", ["acme/rocket:main", "acme/rocket:release/1.2", "acme/rocket.js:v1:rc"])
def test_a_branch_is_written_as_it_was_read(text: str) -> None:
    assert str(Branch.parse(text)) == text


def test_a_branch_is_read_into_its_three_parts() -> None:
    assert Branch.parse("acme/rocket:release/1.2") == Branch("acme", "rocket", "release/1.2")


def test_a_branch_knows_its_repository() -> None:
    assert Branch("acme", "rocket", "main").full_repo == "acme/rocket"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("acme", id="an org"),
        pytest.param("acme/rocket", id="a repository"),
        pytest.param("rocket:main", id="no org"),
        pytest.param("/rocket:main", id="an empty org"),
        pytest.param("acme/:main", id="an empty repository"),
        pytest.param("acme/rocket:", id="an empty branch"),
        pytest.param("acme/rocket/engine:main", id="too many slashes"),
        pytest.param("acme/rocket:my branch", id="a blank in the branch"),
        pytest.param("acme/rocket:main\n", id="a line end"),
    ],
)
def test_text_of_another_form_is_not_a_branch(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form ORG/REPO:BRANCH"):
        Branch.parse(text)


def test_a_refused_branch_is_quoted_in_the_error() -> None:
    with pytest.raises(ValueError, match="'acme#main'"):
        Branch.parse("acme#main")


def test_a_pull_request_is_written_with_its_number() -> None:
    assert str(pr(7)) == "acme/rocket#7"


def test_a_pull_request_wants_to_reach_its_base() -> None:
    assert pr(base="release/1").branch == Branch("acme", "rocket", "release/1")


@pytest.mark.parametrize(
    ("title", "branches"),
    [
        pytest.param("", set(), id="T11.290 empty"),
        pytest.param("BAD THINGS (all branches blocked)", set(), id="T11.290 no token"),
        pytest.param("branch:foo", {"foo"}, id="T11.291 bare"),
        pytest.param("branch: foo-bar", {"foo-bar"}, id="T11.291 a blank before the name"),
        pytest.param('branch:"FOO-bar"', {"FOO-bar"}, id="T11.291 quoted, and the case is kept"),
        pytest.param("BAD THINGS (BLOCKING BRANCH:foo branch:bar) AHHH", {"foo", "bar"}, id="T11.292 two, any case"),
        pytest.param('branch: "foo" branch: "bar"', {"foo", "bar"}, id="T11.292 two, quoted"),
        pytest.param("stop branch:release-1.11", {"release-1.11"}, id="T11.293 a dot"),
        pytest.param("stop branch:slash/in/name", {"slash/in/name"}, id="T11.293 slashes"),
        pytest.param("stop branch:main.", {"main"}, id="T7.4 the name ends at a word"),
        pytest.param("stop branch:füchse", {"f"}, id="T7.4 the name is ASCII"),
        pytest.param("stop subbranch:main", set(), id="T7.4 the token starts a word"),
    ],
)
def test_a_blocker_names_its_branches_in_its_title(title: str, branches: set[str]) -> None:
    assert set(blocker(1, title, "").branches) == branches


@pytest.mark.parametrize("title", ["Outage", "Outage branch:", "Outage branch:-", 'Outage branch: ""'])
def test_a_blocker_that_names_no_branch_stops_every_branch(title: str) -> None:
    assert blocker(1, title, "").applies_to("any/branch")


def test_a_blocker_that_names_a_branch_stops_that_branch_alone() -> None:
    outage = blocker(1, "Outage branch:main", "")

    assert outage.applies_to("main")
    assert not outage.applies_to("Main")  # T7.5
    assert not outage.applies_to("maintenance")


def test_the_shown_title_of_a_blocker_has_no_branch_tokens() -> None:
    """T7.6."""
    shown = blocker(7, "Outage branch:main BRANCH:next, see chat", "https://github.test/acme/rocket/issues/7")

    assert shown.title == "Outage  , see chat"
    assert (shown.number, shown.url) == (7, "https://github.test/acme/rocket/issues/7")


ROW = Row("acme", "rocket", 7, "PR_7", "main", "1" * 40, updated_at=5.0, results=(("PENDING", 1),))


def test_a_row_is_of_a_pull_request_and_of_the_branch_it_wants_to_reach() -> None:
    assert (str(ROW), str(ROW.branch)) == ("acme/rocket#7", "acme/rocket:main")


def test_an_opinion_of_github_is_told_from_what_somebody_did() -> None:
    clean = replace(ROW, mergeable=Mergeable.MERGEABLE, merge_state="CLEAN")
    pushed = replace(clean, head_sha="2" * 40)

    assert (ROW.differs_from(None), clean.differs_from(ROW), pushed.differs_from(ROW)) == (True, False, True)
    assert (clean.thinks_otherwise(ROW), ROW.thinks_otherwise(clean), pushed.thinks_otherwise(ROW)) == (
        True,
        False,
        False,
    )


def test_a_status_of_ours_moves_from_one_count_to_another() -> None:
    first = replace(ROW, results=()).with_status(None, "PENDING")

    assert (first.results, first.with_status("PENDING", "SUCCESS").results) == ((("PENDING", 1),), (("SUCCESS", 1),))


def test_apps_that_were_known_by_number_get_their_names() -> None:
    asked = Protection(required=(("e2e", "App 7"), ("lint", "App 8"), ("unit", None)))

    assert asked.naming({7: "ci"}).required == (("e2e", "ci"), ("lint", "App 8"), ("unit", None))
