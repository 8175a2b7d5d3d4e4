"""The messages of what lands: configured, else GitHub's own; and what authors write cannot steer CI."""

import pytest

from mergeq.core.message import CommitTemplate, Message, by_default, neutral, to_ask_for, to_write
from mergeq.core.pull import Commit, Method, Repository
from mergeq.core.template import parse
from tests.builders import pr

NOTHING = CommitTemplate()
BLANK = Repository(merge_message="BLANK", squash_message="BLANK")
ONE = (Commit("a", "Add fins\n\nFour of them.\n", "ana", "ana@x", "ana"),)
TWO = (*ONE, Commit("b", "Paint them\n", "Ben Bo", "ben@x", "ben"))


@pytest.mark.parametrize(
    "marker",
    [
        "[skip ci]",
        "[CI SKIP]",
        "[no ci]",
        "[skip actions]",
        "[actions skip]",
        "[skip azp]",
        "[azurepipelines skip]",
        "[skip travis]",
        "[skip appveyor]",
        "[skip-ci]",
        "[CF-Pages-Skip]",
        "***NO_CI***",
    ],
)
def test_a_marker_that_silences_ci_is_made_harmless(marker: str) -> None:
    assert neutral(f"Fix {marker} it") == f"Fix ({marker.strip('[]*')}) it"


def test_the_trailer_that_silences_ci_is_made_harmless() -> None:
    assert neutral("Fix\n\nskip-checks: true") == "Fix\n\nskip-checks = true"


def test_other_brackets_are_left_alone() -> None:
    assert neutral("[core] mend ci skip") == "[core] mend ci skip"


def test_a_merge_names_the_branch_that_was_merged() -> None:
    pull = pr(1, head_owner="ben", head_ref="fix/fins")

    assert by_default(pull, Method.MERGE, Repository(), ()) == Message(
        "Merge pull request #1 from ben/fix/fins", "Change 1"
    )
    assert by_default(pr(1), Method.MERGE, BLANK, ()) == Message("Merge pull request #1 from acme/patch-1", "")


def test_a_merge_is_titled_as_the_repository_is_set_up() -> None:
    repository = Repository(merge_title="PR_TITLE", merge_message="PR_BODY")

    assert by_default(pr(1, body="why"), Method.MERGE, repository, ()) == Message("Change 1 (#1)", "why")


@pytest.mark.parametrize(
    ("repository", "title", "body"),
    [
        (Repository(), "Add fins (#1)", "Four of them."),
        (Repository(squash_title="PR_TITLE"), "Change 1 (#1)", "Four of them."),
        (Repository(squash_message="PR_BODY"), "Add fins (#1)", "why"),
        (BLANK, "Add fins (#1)", ""),
    ],
    ids=["as its commit", "titled as it is itself", "with its body", "without a body"],
)
def test_a_squash_of_one_commit(repository: Repository, title: str, body: str) -> None:
    assert by_default(pr(1, body="why\n"), Method.SQUASH, repository, ONE) == Message(title, body)


def test_a_squash_of_several_lists_them_and_names_who_else_wrote_them() -> None:
    listed = "* Add fins\n\nFour of them.\n\n* Paint them"
    trailer = "Co-authored-by: Ben Bo <ben@x>"

    assert by_default(pr(1), Method.SQUASH, Repository(), TWO) == Message(
        "Change 1 (#1)", f"{listed}\n\n---------\n\n{trailer}"
    )
    assert by_default(pr(1), Method.SQUASH, BLANK, TWO).body == trailer


def test_a_co_author_is_named_once() -> None:
    again = (Commit("c", "Third\n\nCo-authored-by: Ben Bo <BEN@x>", "ana", "ana@x", "ana"), *TWO[1:])
    nobody = (Commit("c", "Bot's", "renovate[bot]", "1+renovate[bot]@x"), Commit("d", "Unsigned", "x", ""))

    assert by_default(pr(1), Method.SQUASH, Repository(), again).body.lower().count("co-authored-by") == 1
    assert "co-authored" not in by_default(pr(1, author="renovate[bot]"), Method.SQUASH, BLANK, nobody).body.lower()


def test_a_rebase_keeps_the_messages_there_are() -> None:
    assert by_default(pr(1, title="[skip ci]"), Method.REBASE, Repository(), ()) == Message()


def test_what_no_template_says_is_left_to_github() -> None:
    """T1.46."""
    assert to_ask_for(NOTHING, pr(1), Method.SQUASH, Repository(), TWO) == Message()


def test_a_default_that_would_silence_ci_is_said_differently() -> None:
    """Q87."""
    sly = (*ONE, Commit("b", "Fix\n\nskip-checks: true", "ana", "ana@x", "ana"))

    assert to_ask_for(NOTHING, pr(1, title="Fix [skip ci]"), Method.MERGE, Repository(), ()) == Message(
        body="Fix (skip ci)"
    )
    squash = to_ask_for(NOTHING, pr(1), Method.SQUASH, Repository(), sly)
    assert (squash.title, squash.body.endswith("skip-checks = true")) == ("", True)


def test_a_template_cannot_carry_what_silences_ci() -> None:
    template = CommitTemplate(parse("{{.Title}}"), parse(" {{.Nothing}}"))

    message = to_ask_for(template, pr(1, title="Fix [no ci]"), Method.MERGE, BLANK, ())

    assert (message.title, message.body) == ("Fix (no ci)", "")
    assert message.failures == ("the template for the commit body failed: can't evaluate field Nothing in a struct",)


def test_a_staged_commit_says_in_full_what_the_landing_will() -> None:
    """D4: where a template says nothing, what GitHub will say."""
    titled = CommitTemplate(title=parse("{{.Number}}: {{.Title}}"))

    assert str(to_write(titled, pr(1), Method.MERGE, Repository(), ())) == "1: Change 1\n\nChange 1"
    assert str(to_write(NOTHING, pr(1), Method.SQUASH, BLANK, ONE)) == "Add fins (#1)"


def test_a_body_of_one_blank_is_none() -> None:
    """GitHub would take an empty text for no wish (spec of the merge call)."""
    blank = CommitTemplate(body=parse(" "))

    assert to_ask_for(blank, pr(1), Method.MERGE, Repository(), ()).body == " "
    assert str(to_write(blank, pr(1), Method.MERGE, Repository(), ())) == "Merge pull request #1 from acme/patch-1"
