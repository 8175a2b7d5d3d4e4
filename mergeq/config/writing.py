"""A configuration written down, for a person to go on with."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from mergeq.core.plan_text import visible


def as_yaml(document: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """A document as YAML, in its own order, below a comment of some lines."""
    told = "".join(f"# {visible(' '.join(line.split()))}\n" for line in comments)
    return told + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
