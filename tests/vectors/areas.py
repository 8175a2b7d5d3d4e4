"""Which vectors are answered where, and which of them cannot be answered at all."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.vectors import configs, merging, pools, protection, queries, tables
from tests.vectors.frame import Line, Op

_AREAS = (configs, merging, pools, protection, queries, tables)

OPS: Mapping[str, Op] = {name: op for area in _AREAS for name, op in area.OPS.items()}
GO: Mapping[str, Op] = {name: op for area in _AREAS for name, op in area.GO.items()}

INSUFFICIENT: Mapping[str, Callable[[dict[str, Any]], bool]] = {**configs.INSUFFICIENT, **tables.INSUFFICIENT}
"""By function, which inputs lack what its answer depends on."""


def is_left_out(line: Line) -> bool:
    """Whether the inputs of a recorded call do not suffice for an answer; tests/README.md has the reasons."""
    lacks_something = INSUFFICIENT.get(line.get("func", ""))
    return lacks_something is not None and lacks_something(line["input"])
