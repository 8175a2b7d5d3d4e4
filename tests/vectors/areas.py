"""Which vectors are answered where, which of them belong to a later change, and which cannot be answered at all."""

from collections.abc import Mapping

from tests.vectors.frame import Op

_AREAS: tuple[tuple[Mapping[str, Op], Mapping[str, Op]], ...] = ()

OPS: dict[str, Op] = {name: op for ops, _ in _AREAS for name, op in ops.items()}
GO: dict[str, Op] = {name: op for _, go in _AREAS for name, op in go.items()}

NOT_YET = frozenset(
    {
        "bp",
        "bp_equal",
        "bp_policy",
        "Config.GetPolicy",
        "Policy.Apply",
        "equalBranchProtections",
        "makeRequest",
        "makeReviews",
        "protector.UpdateBranch",
        "validateRestrictions",
    }
)
"""What belongs to branch protection and comes with it: counted as not run."""

LEFT_OUT: frozenset[str] = frozenset()
"""Recorded functions whose inputs do not suffice for an answer; tests/README.md gives the reason for each."""
