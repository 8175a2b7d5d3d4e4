"""What is told when GitHub does not merge."""

import pytest

from mergeq.core.refusal import MergeRefusal, failed_merges

UNMERGEABLE = "PR is unmergable. Do the Tide merge requirements match the GitHub settings for the repo? "
FORBIDDEN = (
    "Tide needs to be configured to use the 'rebase' merge method for this repo"
    " or the repo needs to allow merge commits: "
)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        pytest.param(MergeRefusal.HEAD_MODIFIED, "PR was modified: ", id="T5.7"),
        pytest.param(MergeRefusal.BASE_CHANGED, "base branch was modified: ", id="T5.8"),
        pytest.param(
            MergeRefusal.UNAUTHORIZED, "branch needs to be configured to allow this robot to push: ", id="T5.9"
        ),
        pytest.param(MergeRefusal.METHOD_FORBIDDEN, FORBIDDEN, id="T5.10"),
        pytest.param(MergeRefusal.UNMERGEABLE, UNMERGEABLE, id="T5.11"),
        pytest.param(MergeRefusal.OTHER, "", id="T5.12"),
    ],
)
def test_a_refusal_is_told_in_tide_s_words_and_then_in_github_s(refusal: MergeRefusal, words: str) -> None:
    assert refusal.told("no way") == f"{words}no way"


def test_what_is_wrong_with_the_branch_stops_the_others_too() -> None:
    """T11.217, T11.218."""
    stopping = {refusal for refusal in MergeRefusal if refusal.stops_others}

    assert stopping == {MergeRefusal.UNAUTHORIZED, MergeRefusal.METHOD_FORBIDDEN}


@pytest.mark.parametrize(
    ("targets", "merged", "failures", "line"),
    [
        pytest.param((5,), (), {5: "no"}, "failed merging [5]: #5: no", id="T5.14 one alone"),
        pytest.param((1, 2), (), {1: "no"}, "failed merging [1] from batch [1 2]: #1: no", id="T5.14 the first"),
        pytest.param(
            (1, 2, 3),
            (1, 3),
            {2: UNMERGEABLE + "no"},
            f"failed merging [2] from batch [1 2 3], partial merge [1 3]: #2: {UNMERGEABLE}no",
            id="T11.225 one of three",
        ),
        pytest.param(
            (1, 2, 3),
            (1,),
            {2: "no", 3: "never"},
            "failed merging [2 3] from batch [1 2 3], partial merge [1]: #2: no; #3: never",
            id="T5.14 two of three",
        ),
        pytest.param(
            (5,), (), {5: ""}, "failed merging [5]: #5: merge error (contact Prow admin)", id="T11.226 for operators"
        ),
        pytest.param((1, 2), (1, 2), {}, "", id="T11.224 all landed"),
    ],
)
def test_one_line_tells_all_that_failed(
    targets: tuple[int, ...], merged: tuple[int, ...], failures: dict[int, str], line: str
) -> None:
    assert failed_merges(targets, merged, failures) == line
