"""What status descriptions say about the base that was tested (T3.20, T3.21)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.description import base_sha_of, skips_retest, with_base_sha
from tests.core.trials import trials

SHA = "0123456789" * 4


def test_a_description_is_filled_up_so_that_the_base_stands_at_the_right() -> None:
    assert with_base_sha("Job succeeded.", SHA).decode() == f"Job succeeded.{chr(0x2001) * 20} BaseSHA:{SHA}"


def test_a_long_description_loses_its_middle() -> None:
    assert with_base_sha("a" * 100 + "b" * 100, SHA).decode() == f"{'a' * 43} ... {'b' * 43} BaseSHA:{SHA}"
    assert with_base_sha("a" * 100 + "b" * 100, "").decode() == f"{'a' * 67} ... {'b' * 67}"


def test_a_description_without_a_base_stays_as_it_is() -> None:
    assert with_base_sha("Job succeeded.", "") == b"Job succeeded."


@pytest.mark.parametrize(
    ("description", "sha"),
    [
        pytest.param(f"ok BaseSHA:{SHA}", SHA, id="T3.20 the present form"),
        pytest.param(f"ok Basesha:{SHA}", SHA, id="T3.20 the older form"),
        pytest.param(f"ok BaseSHA:{SHA[1:]}", "", id="T3.20 too short"),
        pytest.param(f"ok BaseSHA:{SHA} BaseSHA:{SHA}", "", id="T3.20 twice"),
        pytest.param(f"okBaseSHA:{SHA}", "", id="T3.20 no blank before it"),
        pytest.param("Job succeeded.", "", id="T3.20 none"),
        pytest.param("BaseSHA: " + "é" * 20, "", id="T3.20 a blank after it"),
        pytest.param("ok BaseSHA:" + "é" * 20, "é" * 20, id="T3.20 forty are counted in bytes"),
    ],
)
def test_the_base_of_a_description_is_its_tail_of_forty(description: str, sha: str) -> None:
    assert base_sha_of(description) == sha


@trials(100)
@given(st.text(alphabet=st.characters(codec="utf-8")).filter(lambda text: "BaseSHA:" not in text))
def test_the_base_that_was_written_is_read_again(text: str) -> None:
    """T11.175."""
    written = with_base_sha(text, SHA)

    assert len(written) <= 140
    assert base_sha_of(written.decode(errors="replace")) == SHA


def test_a_description_may_say_that_it_holds_for_every_base() -> None:
    assert skips_retest("fine [prow:skip-retest] yes")
    assert not skips_retest("fine")
