"""YAML files as plain values that remember where they stood, so that every complaint can name its line.

Built on the C parser's events: unlike PyYAML's own loaders it takes the repeated anchors of real Prow files.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

_MAX_BYTES = 8_000_000
_MAX_NODES = 500_000
_MAX_DEPTH = 60
_TAGS = {None, "!"} | {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "map", "seq")
}
_GO_BOOLEANS = {"y": True, "Y": True, "n": False, "N": False}
_MAX_LINE = 1000

Path_ = tuple[str | int, ...]


class ConfigError(Exception):
    """A configuration that cannot be used: one line per problem, each `file:line:column: what; what to do`."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file: its `value`, and where each key path of it stands."""

    file: str
    value: Any
    marks: dict[Path_, tuple[int, int]] = field(repr=False)
    notes: tuple[str, ...] = ()
    links: dict[Path_, Path_] = field(default_factory=dict, repr=False)

    def where(self, path: Path_) -> str:
        """``file:line:column`` of the nearest thing that has a position at or above `path`; what came by an alias or a
        merge key stands where it was written.
        """
        path = self._home(path)
        for end in range(len(path), -1, -1):
            if mark := self.marks.get(path[:end]):
                return f"{self.file}:{mark[0]}:{mark[1]}"
        return self.file

    def at(self, path: Path_) -> Any:
        """The value at `path`; None when there is none."""
        found = self._walk(path)
        return self._walk(self._home(path)) if found is None else found

    def _walk(self, path: Path_) -> Any:
        value = self.value
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def _home(self, path: Path_) -> Path_:
        """The path under which the value at `path` was written."""
        for _ in range(_MAX_DEPTH):
            if path in self.marks:
                break
            end = next((end for end in range(len(path), 0, -1) if path[:end] in self.links), 0)
            if not end:
                break
            path = self.links[path[:end]] + path[end:]
        return path


def one_line(text: str) -> str:
    """A complaint as one line of bounded length, its end kept, whatever the names and values are that it quotes."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 300]}…{text[-299:]}"


def read(file: Path) -> Document:
    """Read one YAML file. Raises ConfigError with one line for anything that cannot be read as one plain document."""
    return _parsed(text_of(file), str(file))


def text_of(file: Path) -> str:
    """The text of a file that is not too long. Raises ConfigError with one line."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        why = f"{file}: cannot be read ({error.strerror}); check the path and its permissions"
        raise ConfigError(one_line(why)) from error
    return _text(raw, str(file))


def parse(raw: bytes, name: str) -> Document:
    """As `read`, for bytes that are already there."""
    return _parsed(_text(raw, name), name)


def _text(raw: bytes, name: str) -> str:
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{name}: is more than {_MAX_BYTES} bytes; split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error


def _parsed(text: str, name: str) -> Document:
    document = _document(text, name)
    if (inner := _inside_config_map(document, text)) is None:
        return document
    found = _document(inner, name)
    note = f"{name}: is a Kubernetes ConfigMap; its `config.yaml` is read, better give that as a file of its own"
    return replace(found, notes=(note, *document.notes, *found.notes))


def _document(text: str, name: str) -> Document:
    try:
        builder = _Builder(name, text)
        value = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        why = f"{spot}: is not YAML: {error.problem or error.context}; mend the syntax there"
        raise ConfigError(one_line(why)) from error
    except yaml.YAMLError as error:
        raise ConfigError(one_line(f"{name}: is not YAML: {str(error).splitlines()[0]}; mend the syntax")) from error
    return Document(name, value, builder.marks, tuple(builder.notes), builder.links)


def _inside_config_map(document: Document, text: str) -> str | None:
    """The Prow configuration that a ConfigMap holds as a block of text, its lines where they were; None for others."""
    path: Path_ = ("data", "config.yaml")
    mark, inner = document.marks.get(path), document.at(path)
    if document.at(("kind",)) != "ConfigMap" or not mark or not isinstance(inner, str):
        return None
    lines = text.splitlines(keepends=True)
    first = mark[0]
    if not lines[first - 1][mark[1] - 1 :].startswith("|"):
        return inner
    return "\n" * first + "".join(lines[first : first + len(inner.splitlines())])


class _Builder:
    """Turns events into values. Aliases share the value they name; what they would expand to is counted and bounded."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.events = iter(yaml.CSafeLoader(text).get_event, None)
        self.marks: dict[Path_, tuple[int, int]] = {}
        self.links: dict[Path_, Path_] = {}
        self.notes: list[str] = []
        self._anchors: dict[str, tuple[Any, int, Path_]] = {}
        self._resolver: Any = yaml.SafeLoader("")
        self._plain: dict[str, Any] = {}
        self._nodes = 0

    def document(self) -> Any:
        value: Any = None
        seen = False
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    self._note(event, "a second document starts here and is not read, as in Prow; keep one per file")
                    break
                seen = True
            elif not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                value, _ = self._node(event, ())
        return value

    def _node(self, event: Any, path: Path_) -> tuple[Any, int]:
        """One node and how many nodes it expands to."""
        if len(path) > _MAX_DEPTH:
            self._fail(event, "nests too deeply", f"keep below {_MAX_DEPTH} levels")
        mark = event.start_mark
        self.marks[path] = (mark.line + 1, mark.column + 1)
        if self.links:
            self.links.pop(path, None)
        kind = type(event)
        if kind is yaml.AliasEvent:
            if event.anchor not in self._anchors:
                self._fail(event, f"the alias *{event.anchor} names nothing above it", f"define &{event.anchor} first")
            value, size, home = self._anchors[event.anchor]
            if home != path:
                self.links[path] = home
            self._count(event, size)
            return value, size
        if kind is yaml.ScalarEvent:
            built = self._scalar(event), 1
        else:
            self._check_tag(event, event.tag)
            built = self._sequence(path) if kind is yaml.SequenceStartEvent else self._mapping(path)
        self._count(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = (*built, path)
        return built

    def _sequence(self, path: Path_) -> tuple[list[Any], int]:
        items: list[Any] = []
        size = 1
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            value, expanded = self._node(event, (*path, len(items)))
            items.append(value)
            size += expanded
        return items, size

    def _mapping(self, path: Path_) -> tuple[dict[str, Any], int]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        size = 1
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fail(event, "a key must be plain text", "write the key as a word or a quoted string")
            key = event.value
            self._check_tag(event, event.tag)
            if event.anchor:
                self._anchors[event.anchor] = (key, 1, path)
            value, expanded = self._node(next(self.events), (*path, key))
            size += 1 + expanded
            if key == "<<" and not event.style:
                self._merge(event, value, path, merged)
                continue
            if key in own:
                self._note(event, f"the key {key!r} stands twice here and the last one is used; remove one")
            own[key] = value
        return {**merged, **own}, size

    def _merge(self, event: Any, value: Any, path: Path_, merged: dict[str, Any]) -> None:
        """Add to `merged` what a merge key brings in; of several mappings the first wins."""
        several = isinstance(value, list)
        for index, base in enumerate(value if several else [value]):
            if not isinstance(base, dict):
                self._fail(event, "<< must be given a mapping", "merge a mapping, usually *NAME")
            home: Path_ = (*path, "<<", index) if several else (*path, "<<")
            for key in base:
                if key not in merged:
                    merged[key] = base[key]
                    if (*path, key) not in self.marks:
                        self.links[(*path, key)] = (*home, key)

    def _scalar(self, event: Any) -> Any:
        """The value of a scalar: a plain one by its form, a quoted one as it stands, a tagged one as its tag says."""
        text, tag = event.value, event.tag
        if tag is None:
            if not event.implicit[0]:
                return text
            if text not in self._plain:
                plain = self._resolver.resolve(yaml.ScalarNode, text, event.implicit)
                self._plain[text] = self._constructed(event, plain) if text not in _GO_BOOLEANS else _GO_BOOLEANS[text]
            return self._plain[text]
        self._check_tag(event, tag)
        return text if tag == "!" else self._constructed(event, tag)

    def _constructed(self, event: Any, tag: str) -> Any:
        if tag.endswith((":str", ":timestamp", ":merge", ":value")) or (event.tag is None and ":" in event.value):
            return event.value  # as in Go, to which 1:30 is no number of base 60
        try:
            return self._resolver.construct_object(yaml.ScalarNode(tag, event.value), deep=True)
        except (ValueError, LookupError, yaml.YAMLError):
            self._fail(event, f"{event.value!r} does not fit its tag {tag}", "quote it, or mend the value")

    def _check_tag(self, event: Any, tag: str | None) -> None:
        if tag not in _TAGS:
            self._fail(event, f"the tag {tag} is not allowed", "write the value without a tag")

    def _count(self, event: Any, size: int) -> None:
        self._nodes += size
        if self._nodes > _MAX_NODES:
            self._fail(event, f"expands to more than {_MAX_NODES} values", "use fewer aliases")

    def _note(self, event: Any, said: str) -> None:
        mark = event.start_mark
        self.notes.append(one_line(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {said}"))

    def _fail(self, event: Any, what: str, remedy: str) -> NoReturn:
        mark = event.start_mark
        raise ConfigError(one_line(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {what}; {remedy}"))
