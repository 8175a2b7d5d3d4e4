"""The golden vectors, where they are beside this checkout: a file of them is a test."""

from pathlib import Path

import pytest

from tests.vectors.__main__ import Tally, lines_of

FOLDER = Path(__file__).parents[2].parent / "shared" / "vectors"
FILES = sorted(FOLDER.glob("*.jsonl.gz"))

pytestmark = pytest.mark.skipif(not FILES, reason="the golden vectors are not beside this checkout")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_the_vectors_are_answered_as_tide_answered_them(file: Path) -> None:
    tally = Tally()
    for line in lines_of(file):
        tally.add(line)

    assert tally.failures == []
    assert tally.passed + tally.not_yet.total() + tally.unanswered.total() > 0
