"""Messages that authors write cannot steer CI."""

import pytest

from mergeq.core.template import neutral


@pytest.mark.parametrize("marker", ["[skip ci]", "[CI SKIP]", "[no ci]", "[skip actions]", "[actions skip]"])
def test_a_marker_that_silences_ci_is_made_harmless(marker: str) -> None:
    assert neutral(f"Fix {marker} it") == f"Fix ({marker[1:-1]}) it"


def test_the_trailer_that_silences_ci_is_made_harmless() -> None:
    assert neutral("Fix\n\nskip-checks: true") == "Fix\n\nskip-checks = true"


def test_other_brackets_are_left_alone() -> None:
    assert neutral("[core] mend ci skip") == "[core] mend ci skip"
