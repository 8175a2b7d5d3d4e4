"""What a status description says about the base that was tested, as Tide's test reports write it (T3.20, T3.21)."""

_MOST = 140
_SUFFIX = " BaseSHA:"
_OLD_SUFFIX = " Basesha:"
_PADDING = "\u2001".encode()
_ELIDED = b" ... "
_SKIPPED = "[prow:skip-retest]"


def with_base_sha(text: str, base_sha: str) -> bytes:
    """A description of at most 140 bytes that names the base at its end, where people do not look. Long text is left
    out in its middle, wherever that falls: also inside a character.
    """
    suffix = f"{_SUFFIX}{base_sha}".encode() if base_sha else b""
    human, padding = text.encode(), 0
    while suffix and padding < _MOST - len(human) - len(suffix):
        suffix = _PADDING + suffix
        padding += 1
    room = _MOST - len(suffix)
    half = max(room - len(_ELIDED), 0) // 2
    if len(human) > room:
        human = human[:half] + _ELIDED + human[len(human) - half :]
    return human + suffix


def base_sha_of(description: str) -> str:
    """The base that a description names; empty when it names none."""
    for suffix in (_SUFFIX, _OLD_SUFFIX):
        match description.split(suffix):
            case [_, sha] if len(sha.encode()) == 40:
                return sha
    return ""


def skips_retest(description: str) -> bool:
    """Whether a description says that its result stands for every base."""
    return _SKIPPED in description
