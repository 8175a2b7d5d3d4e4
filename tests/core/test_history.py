"""History records."""

from mergeq.core.history import HistoryRecord, Outcome, Target
from tests.builders import BASE


def test_a_record_claims_nothing_that_was_not_found_out() -> None:
    """D3: base and pull request were not tested together unless the record says on which tree."""
    target = Target(1, "ana", "a" * 40, "Change 1", "patch-1")

    record = HistoryRecord("id", "acme/rocket:main", 1.0, "MERGE", BASE, (target,), Outcome.REFUSED, err="405")

    assert (record.tested_tree, record.landed_tree, record.landed_sha, record.approvers) == (None, None, None, ())


def test_outcomes_are_written_as_people_read_them() -> None:
    """Design, names that outsiders rely on."""
    assert [str(outcome) for outcome in Outcome] == [
        "LANDED", "PARTIAL", "REFUSED", "STALE", "RACED", "WRONG_TREE", "LANDED_AFTER_CLOSE",
            "TRIGGERED", "RED", "ABANDONED", "PAUSED", "RESUMED", "RETRIED", "EVICTED",
    ]  # fmt: skip
