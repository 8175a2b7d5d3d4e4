"""Which of two values of a field protects a branch more (P7.5): what plans, floors and effective protection go by."""

from mergeq.core.protection import ANY_APP, OFF, Actors, Check, Effect, Field, Value, Values

UNPROTECTED: Values = {**OFF, Field.FORCE_PUSHES: True, Field.DELETIONS: True}
"""What is in force on a branch without a rule: whoever may write may do everything, which a rule that says nothing
already forbids in two points.
"""

_LOOSENING = frozenset({Field.FORCE_PUSHES, Field.DELETIONS, Field.FORK_SYNC})


def effect(field: Field, before: Value, after: Value) -> Effect:
    """Whether `after` in place of `before` protects more or less.

    What loses anything weakens, whatever it gains besides: of two lists of which neither holds the other each weakens
    the other. A context may not be said to be anybody's (``""``) or be ANY_APP's: that is the same.
    """
    if is_as_strong(field, before, after):
        return Effect.NEUTRAL if is_as_strong(field, after, before) else Effect.STRENGTHEN
    return Effect.WEAKEN


def is_as_strong(field: Field, value: Value, other: Value) -> bool:
    """Whether `other` demands all that `value` does."""
    match field:
        case Field.CONTEXTS | Field.DEPLOYMENTS:
            return _demanded(value) <= _demanded(other)
        case Field.PUSHERS | Field.DISMISSERS | Field.BYPASSERS | Field.FORCERS:
            return _is_within(other, value)
        case Field.REVIEWS:
            return _rank(value) <= _rank(other)
    return bool(value) >= bool(other) if field in _LOOSENING else bool(value) <= bool(other)


def _demanded(value: Value) -> frozenset[object]:
    """What has to be there: a context of an app is there only if the context is."""
    listed = value if isinstance(value, frozenset) else frozenset()
    unpinned = {Check(one.context, ANY_APP) for one in listed if isinstance(one, Check)}
    return frozenset({one for one in listed if not isinstance(one, Check) or one.app}) | unpinned


def _is_within(narrow: Value, wide: Value) -> bool:
    """Whether nobody is named but who the other names; no list at all names everyone."""
    if not isinstance(wide, Actors):
        return True
    if not isinstance(narrow, Actors):
        return False
    return narrow.users <= wide.users and narrow.teams <= wide.teams and narrow.apps <= wide.apps


def _rank(count: Value) -> int:
    return count if isinstance(count, int) else -1
