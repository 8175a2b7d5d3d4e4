"""Reading a document: its values checked for their kind, and whatever is wrong said as `file:line:column: what; what to
do`.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import re2

from mergeq.config.documents import Document, Path_, one_line
from mergeq.core.contexts import Broken, Pattern

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 2**63 / 1e9
"""Go counts nanoseconds in 64 bits."""

_NEVER_IN_A_BRANCH = re.compile(r"[*?\[\\^~:\s]|\.\.|^[./]|[./]$")
_MAX_GUESSED = 100
_ALIKE = 0.8
_LEVELS = {"orgs", "repos", "branches"}
_KINDS = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A key path and where it stands, for what can only be said once everything is read."""

    place: str
    path: Path_

    def below(self, key: str) -> "Spot":
        """The same place, for what is under a key there."""
        return Spot(self.place, (*self.path, key))

    def line(self, what: str, remedy: str) -> str:
        """A line for a person."""
        return one_line(f"{self.place}: {'.'.join(map(str, self.path))}: {what}; {remedy}".replace(": : ", ": "))


class Reading:
    """The document being read, and what was found so far: `problems` refuse the configuration, `warnings` do not."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.warnings: list[str] = []
        self._document = Document("", None, {})
        self._guessed = 0

    def turn_to(self, document: Document) -> None:
        """Go on with another document."""
        self._document = document
        self.warnings += document.notes

    @property
    def file(self) -> str:
        return self._document.file

    def spot(self, path: Path_) -> Spot:
        """`path`, with its place in the present document."""
        return Spot(self._document.where(path), path)

    def problem(self, path: Path_, what: str, remedy: str) -> None:
        self.problems.append(self.spot(path).line(what, remedy))

    def warn(self, path: Path_, what: str, remedy: str) -> None:
        self.warnings.append(self.spot(path).line(what, remedy))

    def guess(self, key: str, known: Collection[str], misplaced: str = "") -> str:
        """What to do about a key that is not known; `misplaced` names the key under which it may belong as a name.
        Guessing ends after a hundred keys, since it takes time.
        """
        self._guessed += 1
        near = get_close_matches(key, known, n=1) if self._guessed <= _MAX_GUESSED else ()
        if misplaced and not get_close_matches(key, near, cutoff=_ALIKE):
            return f"if it is a name, put it under `{misplaced}`"
        return f"did you mean {near[0]!r}?" if near else "remove it"

    def branch_names(self, names: Iterable[str], path: Path_) -> None:
        """Warn about names that no branch can have, where Prow takes them literally (T1.34, T1.58, P1.30)."""
        if odd := [name for name in names if _NEVER_IN_A_BRANCH.search(name)]:
            more = f", like {len(odd) - 1} more here," if len(odd) > 1 else ""
            what = f"{odd[0]!r}{more} is taken for the whole name of a branch, and none can be called so"
            self.warn(path, what, "write names in full, patterns have no effect here")

    def tidy(
        self, node: Any, known: Collection[str], path: Path_, *, below: str = "", others: bool = False
    ) -> dict[str, Any]:
        """A mapping with its keys as they are known. Another case will do, as in Go, with a warning; so will a key that
        is not known, which is left out, unless there may be `others`. Anything but a mapping is a problem, and empty.
        `below` is the key under which there are mappings by name.
        """
        if not self.expect(node, dict, path):
            return {}
        tidied: dict[str, Any] = {}
        for key, value in node.items():
            meant = key if key in known else next((name for name in known if name.lower() == key.lower()), None)
            if meant is None:
                if not others:
                    misplaced = below if isinstance(value, dict) and key not in _LEVELS else ""
                    what = "is not a key that is known here, so it has no effect"
                    self.warn((*path, key), what, self.guess(key, known, misplaced))
            elif meant == key:
                tidied[key] = value
            elif meant not in node:
                self.warn((*path, key), f"is read as {meant!r}", "write it so")
                self._document.links[*path, meant] = (*path, key)
                tidied[meant] = value
        return tidied

    def expect(self, value: Any, kind: type, path: Path_) -> bool:
        """Whether the value is of that kind; if not, that is a problem."""
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return True
        shown = json.dumps(value, default=str)[:40]
        remedy = "put it in quotes" if kind is str and isinstance(value, bool | int | float) else "mend the value"
        self.problem(path, f"must be {_KINDS[kind]}, but is {shown}", remedy)
        return False

    def _filled(self, value: Any, kind: type, path: Path_) -> Any:
        """A value, or what Go makes of one that is missing: an empty text, zero, or no."""
        if value is not None:
            return value
        self.warn(path, f"has no value and is read as {json.dumps(kind())}, as in Prow", "give it one, or remove it")
        return kind()

    def names(self, value: Any, path: Path_) -> tuple[str, ...]:
        """A list of text; empty for anything else, which is a problem."""
        if not self.expect(value, list, path):
            return ()
        filled = (self._filled(item, str, (*path, index)) for index, item in enumerate(value))
        return tuple(item for index, item in enumerate(filled) if self.expect(item, str, (*path, index)))

    def map_of(self, value: Any, path: Path_, kind: type) -> dict[str, Any]:
        """A mapping to values of one kind; those of another are problems, and left out."""
        if not self.expect(value, dict, path):
            return {}
        filled = {key: self._filled(item, kind, (*path, key)) for key, item in value.items()}
        return {key: item for key, item in filled.items() if self.expect(item, kind, (*path, key))}

    def children(self, node: dict[str, Any], key: str, path: Path_) -> dict[str, Any]:
        """What is under `key` of a node, when it is a mapping; empty when nothing is there."""
        found = node.get(key)
        return found if found is not None and self.expect(found, dict, (*path, key)) else {}

    def pattern(self, text: str, path: Path_) -> Pattern | None:
        """A compiled RE2 expression (T1.3); None for what does not compile, which is a problem."""
        if isinstance(found := compiled(text), Broken):
            self.problem(path, f'regex "{text}" is not valid: {found.why}', "mend it; the syntax is RE2's")
            return None
        return found

    def duration(self, value: Any, path: Path_) -> float:
        """Seconds; what is not a duration is a problem, and a minute."""
        seconds = seconds_of(value)
        if seconds is None:
            self.problem(path, f"{value!r} is not a duration", "write it as 1m, 90s or 1h30m")
            return 60.0
        return seconds


def compiled(text: str) -> Pattern:
    """An RE2 expression (T1.3), Broken when it does not compile."""
    options = re2.Options()
    options.log_errors = False
    try:
        found: Pattern = re2.compile(text, options)
    except re2.error as error:
        return Broken(text, error.args[0].decode() if isinstance(error.args[0], bytes) else str(error))
    return found


def seconds_of(value: Any) -> float | None:
    """The seconds of a duration in Go's syntax (T1.2); None for what is not one. A lone zero needs no unit."""
    text = value if isinstance(value, str) else ""
    parts = _DURATION.findall(text)
    if text.lstrip("+-") == "0" and len(text) < 3:
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != text[text[:1] in {"+", "-"} :]:
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return None if seconds > _LONGEST else -seconds if text.startswith("-") else seconds
