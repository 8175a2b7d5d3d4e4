"""How often a property is tried: a few times where seconds count (`make fast`), more often in the whole suite."""

import os

from hypothesis import HealthCheck, settings

MANY = float(os.environ.get("TRIALS", "1"))


def trials(count: int = 25) -> settings:
    """Settings for a property that is tried `count` times in the whole suite."""
    return settings(
        deadline=None, max_examples=max(1, round(count * MANY)), suppress_health_check=[HealthCheck.too_slow]
    )
