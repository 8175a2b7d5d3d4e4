"""Opaque identifiers: GraphQL node ids and paging cursors, made and read in one place."""

from __future__ import annotations

import base64
import binascii


def node_id(prefix: str, *parts: object) -> str:
    """A global id that tells its kind (``PR_…``, ``R_…``) and holds the parts it was made of."""
    text = "\x1f".join(map(str, parts)).encode()
    return f"{prefix}_{base64.urlsafe_b64encode(text).decode().rstrip('=')}"


def parts_of(identifier: str) -> tuple[str, tuple[str, ...]] | None:
    """The prefix and parts of a global id; None if it is not one of ours."""
    prefix, _, encoded = identifier.partition("_")
    text = _decoded(encoded)
    return None if text is None else (prefix, tuple(text.split("\x1f")))


def cursor(offset: int) -> str:
    """The cursor of the item at a zero-based offset."""
    return base64.b64encode(f"cursor:{offset + 1}".encode()).decode()


def offset_of(text: str) -> int | None:
    """The zero-based offset a cursor stands for; None if it is none."""
    decoded = _decoded(text.rstrip("="), altchars=b"+/")
    if decoded is None or not decoded.startswith("cursor:") or not decoded[7:].isdigit():
        return None
    return int(decoded[7:]) - 1


def _decoded(encoded: str, altchars: bytes = b"-_") -> str | None:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=altchars, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
