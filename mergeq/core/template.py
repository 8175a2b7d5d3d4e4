"""Go's `text/template`, as far as commit messages need it (T1.47; https://pkg.go.dev/text/template).

Values are plain data: no method of Go and no attribute of Python can be reached. What is not understood is refused when
a template is parsed, and what a template may cost is bounded when it is rendered.
"""

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from mergeq.core.go_values import (
    Failed,
    Moment,
    Nil,
    Struct,
    Unsupported,
    Value,
    pieces,
    raw,
    shown,
    sprint,
    sprintf,
    sprintln,
    text_of,
)

_MOST_TEXT = 262_144  # characters of an answer, and of any text on the way; GitHub takes no body above 65,536
_MOST_STEPS = 100_000
_CHARACTERS_A_STEP = 16
_DEEPEST = 50
_LONGEST_NUMBER = 400


class Unparsable(ValueError):
    """A text that is no template, or none that is supported; says where and why as ``LINE: WHY``."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; None is the word nil."""

    value: Value


@dataclass(frozen=True, slots=True)
class Dot:
    """The value at hand."""


@dataclass(frozen=True, slots=True)
class Field:
    """Fields of the value at hand, or of a variable, or of what is in parentheses."""

    path: tuple[str, ...]
    of: "Variable | Pipe | Function | None" = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with its dollar sign; a lone one is what the template was given."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands of which each gets the result of the one before as its last argument; the result may be put into
    variables, new ones unless it `assigns`.
    """

    commands: tuple[tuple["Operand", ...], ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False


Operand = Literal | Dot | Field | Variable | Function | Pipe


@dataclass(frozen=True, slots=True)
class Control:
    """``{{if}}``, ``{{with}}`` or ``{{range}}`` with what stands in it and in its else."""

    word: str
    pipe: Pipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """``{{break}}``, or with `goes_on` ``{{continue}}``."""

    goes_on: bool


Node = str | Pipe | Control | Leave


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was parsed from `source`."""

    source: str
    nodes: tuple[Node, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a template made of a value; `failure` says why it made nothing."""

    text: str = ""
    failure: str = ""


def parse(source: str) -> Template:
    """Read a template. Raises Unparsable."""
    return Template(source, _Parser(source).parsed())


def render(template: Template, data: Value) -> Rendering:
    """Execute a template; it fails where Go's fails, and where it would take too long or write too much."""
    run = _Run(data)
    try:
        run.walk(data, template.nodes)
    except (Failed, Unsupported) as error:
        return Rendering(failure=str(error))
    return Rendering(shown("".join(run.written)))


# Reading

_ENDS = r"(?=[ \t\r\n.,|:()]|\}\}|\Z)"
_TOKEN = re.compile(
    rf"""
    (?P<declare>:=) | (?P<assign>=) | (?P<pipe>\|) | (?P<comma>,) | (?P<open>\() | (?P<close>\))
    | (?P<text>"(?:[^"\\\n]|\\[^\n])*") | (?P<raw>`[^`]*`) | (?P<char>'(?:[^'\\\n]|\\[^\n])*')
    | (?P<variable>\$\w*){_ENDS} | (?P<field>\.[^\W\d]\w*){_ENDS} | (?P<dot>\.){_ENDS}
    | (?P<number>[+-]?\.?\d(?:[eE][+-]?|[\w.])*) | (?P<word>\w+){_ENDS}
    """,
    re.VERBOSE,
)
_SPACES = " \t\r\n"
_BLANKS = re.compile(r"[ \t\r\n]*")
_LEFT_TRIM = re.compile(r"-[ \t\r\n]")
_RIGHT = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_NO_COMMANDS: Mapping[str, Value] = {"true": True, "false": False, "nil": None}
_CONSTANTS = {"dot", "number", "text", "raw", "char"}
_CONTROLS = ("if", "with", "range")
_BEYOND = {"html", "js", "urlquery", "call"}
_INTEGER = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)", re.ASCII
)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_ESCAPE = re.compile(
    r"""\\(?:(?P<short>[abfnrtv\\'"])|(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})
    |u(?P<low>[0-9a-fA-F]{4})|U(?P<high>[0-9a-fA-F]{8}))|(?P<plain>[^\\])""",
    re.VERBOSE | re.DOTALL,
)
_SHORT = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_TIMES = {"UpdatedAt", "UpdatedAtTime"}


@dataclass(frozen=True, slots=True)
class _Token:
    """A text, or a word of an action; `left` and `right` are the braces around one. `spaced`: there are blanks before
    it.
    """

    kind: str
    text: str
    at: int
    spaced: bool = False


def _wrong(source: str, at: int, why: str) -> Unparsable:
    return Unparsable(f"{source.count(chr(10), 0, at) + 1}: {why}")


def _tokens(source: str) -> Iterator[_Token]:
    at, trims = 0, False
    while True:
        start = source.find("{{", at)
        text = source[at:] if start < 0 else source[at:start]
        inside = start + 2
        marked = start >= 0 and bool(_LEFT_TRIM.match(source, inside))
        text = text.lstrip(_SPACES) if trims else text
        if text := text.rstrip(_SPACES) if marked else text:
            yield _Token("text node", text, at)
        if start < 0:
            yield _Token("end", "", len(source))
            return
        inside += 2 if marked else 0
        if source.startswith("/*", inside):
            end = _end_of_comment(source, start, inside)
        else:
            yield _Token("left", "{{", start)
            end = yield from _action(source, inside)
        at, trims = end.end(), len(end[0]) > 2


def _end_of_comment(source: str, start: int, at: int) -> re.Match[str]:
    closed = source.find("*/", at + 2)
    if closed < 0:
        raise _wrong(source, start, "unclosed comment")
    if (end := _RIGHT.match(source, closed + 2)) is None:
        raise _wrong(source, start, "comment ends before closing delimiter")
    return end


def _action(source: str, at: int) -> Generator[_Token, None, re.Match[str]]:
    """The words of an action; returns the match of the braces that end it, with their trim marker."""
    parentheses = 0
    while True:
        behind = at if (blanks := _BLANKS.match(source, at)) is None else blanks.end()
        end = _RIGHT.match(source, max(behind - 1, at)) or _RIGHT.match(source, behind)
        if end is not None:
            if parentheses:
                raise _wrong(source, at, "unclosed left paren")
            yield _Token("right", "}}", at)
            return end
        at, spaced = behind, behind > at
        if at == len(source):
            raise _wrong(source, at, "unclosed action")
        if (token := _TOKEN.match(source, at)) is None:
            raise _wrong(source, at, _unread(source[at]))
        kind = str(token.lastgroup)
        parentheses += {"open": 1, "close": -1}.get(kind, 0)
        if parentheses < 0:
            raise _wrong(source, at, "unexpected right paren")
        yield _Token(kind, token[0], at, spaced)
        at = token.end()


def _unread(char: str) -> str:
    """What is wrong with an action that goes on by this character."""
    unended = {'"': "unterminated quoted string", "`": "unterminated raw quoted string", "'": "unterminated character"}
    return unended.get(char, f"unexpected {char!r} in action")


class _Parser:
    """Reads the tokens of one source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = [*_tokens(source)]
        self._next = 0
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0

    def parsed(self) -> tuple[Node, ...]:
        """Everything; raises Unparsable."""
        nodes, end = self._nodes()
        if end != "end of text":
            raise self._wrong(f"unexpected {{{{{end}}}}}")
        return nodes

    def _wrong(self, why: str) -> Unparsable:
        return _wrong(self._source, self._tokens[max(self._next - 1, 0)].at, why)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _close(self, after: str) -> None:
        token = self._take()
        if token.kind != "right":
            raise self._wrong(f"unexpected {token.text!r} in {after}")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"is nested deeper than {_DEEPEST}")

    def _nodes(self) -> tuple[tuple[Node, ...], str]:
        """What stands up to ``{{else``, ``{{end}}`` or the end of the text, and which it is."""
        nodes: list[Node] = []
        while (token := self._take()).kind != "end":
            if token.kind == "text node":
                nodes.append(token.text)
                continue
            word = self._peek().text if self._peek().kind == "word" else ""
            if word == "end":
                self._take()
                self._close("end")
                return tuple(nodes), word
            if word == "else":
                self._take()
                return tuple(nodes), word
            nodes.append(self._node(word))
        return tuple(nodes), "end of text"

    def _node(self, word: str) -> Node:
        if word in _CONTROLS:
            self._take()
            return self._control(word)
        if word in {"break", "continue"}:
            self._take()
            self._close(word)
            if not self._ranges:
                raise self._wrong(f"{{{{{word}}}}} outside {{{{range}}}}")
            return Leave(goes_on=word == "continue")
        if word in {"define", "template", "block"}:
            raise self._wrong(f"{{{{{word}}}}} is not supported")
        return self._pipe("command", "right")

    def _control(self, word: str) -> Control:
        self._deeper()
        known = len(self._variables)
        pipe = self._pipe(word, "right")
        self._ranges += word == "range"
        body, end = self._nodes()
        self._ranges -= word == "range"
        otherwise: tuple[Node, ...] = ()
        if end == "else" and word != "range" and self._peek().text == word:
            self._take()
            otherwise = (self._control(word),)
        elif end == "else":
            self._close("else")
            otherwise, end = self._nodes()
            if end == "else":
                raise self._wrong("expected end; found {{else}}")
        if end == "end of text":
            raise self._wrong("unexpected EOF")
        del self._variables[known:]
        self._depth -= 1
        return Control(word, pipe, body, otherwise)

    def _pipe(self, context: str, end: str) -> Pipe:
        names, assigns = self._declared(context)
        commands: list[tuple[Operand, ...]] = []
        while self._peek().kind != end:
            if commands and (self._peek().text in _NO_COMMANDS or self._peek().kind in _CONSTANTS):
                raise self._wrong(f"non executable command in pipeline stage {len(commands) + 1}")
            commands.append(self._command(context))
            self._check_format(commands[-1])
        self._take()
        if not commands:
            raise self._wrong(f"missing value for {context}")
        return Pipe(tuple(commands), names, assigns)

    def _check_format(self, command: tuple[Operand, ...]) -> None:
        """Refuse a format that is there to be read and not supported."""
        match command:
            case [Function("printf"), Literal(str(written)), *_]:
                try:
                    deque(pieces(written), maxlen=0)
                except Unsupported as error:
                    raise self._wrong(str(error)) from None

    def _declared(self, context: str) -> tuple[tuple[str, ...], bool]:
        """The variables that a pipe is put into, and whether they are there already."""
        names: list[str] = []
        while self._peek().kind == "variable":
            after = self._tokens[self._next + 1].kind
            if after == "comma" and (context != "range" or names):
                raise self._wrong(f"too many declarations in {context}")
            if after not in {"declare", "assign", "comma"}:
                break
            names.append(self._take().text)
            self._take()
            self._variables.append(names[-1])
            if after != "comma":
                return tuple(names), after == "assign"
        if names:
            raise self._wrong("range can only initialize variables")
        return (), False

    def _command(self, context: str) -> tuple[Operand, ...]:
        operands = [self._operand(context)]
        while True:
            token = self._peek()
            if token.kind in {"pipe", "right", "close"}:
                self._next += token.kind == "pipe"
                return tuple(operands)
            if not token.spaced:
                self._take()
                raise self._wrong(f"unexpected {token.text!r} in operand")
            operands.append(self._operand("operand"))

    def _operand(self, context: str) -> Operand:
        token = self._peek()
        term = self._term(context)
        path: list[str] = []
        while self._peek().kind == "field" and not self._peek().spaced:
            path.append(self._take().text[1:])
        if isinstance(term, Field):
            found = Field((*term.path, *path), term.of)
        elif not path:
            return term
        elif isinstance(term, Literal | Dot):
            raise self._wrong(f"unexpected . after term {token.text!r}")
        else:
            found = Field(tuple(path), term)
        if _TIMES.intersection(found.path[:-1]):
            raise self._wrong("methods of a time are not supported")
        return found

    def _term(self, context: str) -> Operand:
        token = self._take()
        match token.kind:
            case "dot":
                return Dot()
            case "field":
                return Field((token.text[1:],))
            case "variable":
                if token.text not in self._variables:
                    raise self._wrong(f"undefined variable {token.text!r}")
                return Variable(token.text)
            case "word":
                return self._word(token.text)
            case "number":
                return Literal(self._number(token.text))
            case "text":
                return Literal(self._unquoted(token.text[1:-1], "'"))
            case "raw":
                return Literal(token.text[1:-1].replace("\r", ""))
            case "char":
                char = self._unquoted(token.text[1:-1], '"')
                if len(char) != 1:
                    raise self._wrong(f"malformed character constant: {token.text}")
                return Literal(ord(char) if char < "\udc80" or char > "\udcff" else ord(char) - 0xDC00)
            case "open":
                self._deeper()
                pipe = self._pipe("parenthesized pipeline", "close")
                self._depth -= 1
                return pipe
        raise self._wrong("unexpected EOF" if token.kind == "end" else f"unexpected {token.text!r} in {context}")

    def _word(self, word: str) -> Operand:
        if word in _NO_COMMANDS:
            return Literal(_NO_COMMANDS[word])
        if word in _FUNCTIONS:
            return Function(word)
        if word in _BEYOND:
            raise self._wrong(f"function {word!r} is not supported")
        raise self._wrong(f"function {word!r} not defined")

    def _number(self, text: str) -> int | float:
        if len(text) > _LONGEST_NUMBER:
            raise self._wrong("integer overflow")
        if _INTEGER.fullmatch(text):
            digits = text.replace("_", "")
            octal = re.fullmatch(r"([+-]?)0([0-7]+)", digits)
            number = int(octal[1] + octal[2], 8) if octal else int(digits, 0)
            if -(1 << 63) <= number < 1 << 63:
                return number
            raise self._wrong(f"integer overflow: {text!r}")
        if _FLOAT.fullmatch(text) and re.search("[.eE]", text) and abs(float(text)) != float("inf"):
            return float(text)
        raise self._wrong(f"bad number syntax: {text!r}")

    def _unquoted(self, text: str, alien: str) -> str:
        """What a literal says; the other kind of quote is not to be escaped in it."""
        done: list[bytes] = []
        at = 0
        while at < len(text):
            match = _ESCAPE.match(text, at)
            code = int(match["low"] or match["high"] or "0", 16) if match else 0
            octal = int(match["octal"] or "0", 8) if match else 0
            if match is None or match["short"] == alien or octal > 255 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise self._wrong(f"invalid syntax in the constant {text!r}")
            if match["octal"] or match["byte"]:
                done.append(bytes([octal or int(match["byte"] or "0", 16)]))
            elif match["low"] or match["high"]:
                done.append(raw(chr(code)))
            else:
                done.append(raw(_SHORT.get(match["short"] or "", match["short"] or "") or match["plain"]))
            at = match.end()
        return text_of(b"".join(done))


# Rendering


class _Left(Exception):
    """``{{break}}`` or ``{{continue}}`` was met."""

    def __init__(self, *, goes_on: bool) -> None:
        self.goes_on = goes_on


class _Run:
    """One execution."""

    def __init__(self, data: Value) -> None:
        self.written: list[str] = []
        self._size = 0
        self._steps = 0
        self._variables: list[tuple[str, Value]] = [("$", data)]

    def walk(self, dot: Value, nodes: Sequence[Node]) -> None:
        """Write what the nodes make of the value at hand. Raises Failed and Unsupported."""
        for node in nodes:
            self._spend()
            match node:
                case str():
                    self._write(node)
                case Pipe():
                    value = self._pipe(dot, node)
                    if not node.variables:
                        self._write(_printed(value))
                case Leave():
                    raise _Left(goes_on=node.goes_on)
                case Control():
                    mark = len(self._variables)
                    try:
                        self._control(dot, node)
                    finally:
                        del self._variables[mark:]
                case _:
                    assert_never(node)

    def _control(self, dot: Value, node: Control) -> None:
        value = self._pipe(dot, node.pipe)
        if node.word == "range":
            self._range(dot, node, value)
        elif _truth(value):
            self.walk(value if node.word == "with" else dot, node.body)
        else:
            self.walk(dot, node.otherwise)

    def _range(self, dot: Value, node: Control, value: Value) -> None:
        rounds: Iterable[tuple[Value, Value]]
        match value:
            case tuple():
                rounds = enumerate(value)
            case int() if not isinstance(value, bool):
                if len(node.pipe.variables) > 1:
                    raise Failed(f"can't use {value} to iterate over more than one variable")
                rounds = ((None, number) for number in range(value))
            case None:
                rounds = ()
            case _:
                raise Failed(f"range can't iterate over {_kind(value)}")
        mark, ran = len(self._variables), False
        for index, one in rounds:
            ran = True
            self._spend()
            for name, said in zip(reversed(node.pipe.variables), (one, index), strict=False):
                self._assign(name, said)
            try:
                self.walk(one, node.body)
            except _Left as left:
                if not left.goes_on:
                    return
            finally:
                del self._variables[mark:]
        if not ran:
            self.walk(dot, node.otherwise)

    def _spend(self, characters: int = 0) -> None:
        self._steps += 1 + characters // _CHARACTERS_A_STEP
        if self._steps > _MOST_STEPS:
            raise Failed("it takes too long")
        if characters > _MOST_TEXT:
            raise Failed("it writes too much")

    def _write(self, text: str) -> None:
        self._size += len(text)
        self._spend(len(text))
        if self._size > _MOST_TEXT:
            raise Failed("it writes too much")
        self.written.append(text)

    def _at(self, name: str) -> int:
        """Where the newest variable of a name is; it is not there when what declares it was passed over."""
        for index in reversed(range(len(self._variables))):
            if self._variables[index][0] == name:
                return index
        raise Failed(f"undefined variable: {name}")

    def _assign(self, name: str, value: Value) -> None:
        self._variables[self._at(name)] = name, value

    def _pipe(self, dot: Value, pipe: Pipe) -> Value:
        value: Value = None
        for index, command in enumerate(pipe.commands):
            value = self._command(dot, command, (value,) if index else ())
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, dot: Value, command: Sequence[Operand], last: tuple[Value, ...]) -> Value:
        """The result of a command; `last` is what the pipe hands it."""
        self._spend()
        first = command[0]
        if isinstance(first, Function):
            return self._call(dot, first.name, command[1:], last)
        if isinstance(first, Field):
            return self._fields(dot, first, has_arguments=len(command) > 1 or bool(last))
        if len(command) > 1 or last:
            raise Failed("can't give an argument to what is no function")
        if first == Literal(None):
            raise Failed("nil is not a command")
        return self._value(dot, first)

    def _value(self, dot: Value, operand: Operand) -> Value:
        match operand:
            case Literal():
                return operand.value
            case Dot():
                return dot
            case Variable():
                return self._variables[self._at(operand.name)][1]
            case Field():
                return self._fields(dot, operand, has_arguments=False)
            case Function():
                return self._call(dot, operand.name, (), ())
            case Pipe():
                return self._pipe(dot, operand)
            case _:
                assert_never(operand)

    def _fields(self, dot: Value, operand: Field, *, has_arguments: bool) -> Value:
        value = dot if operand.of is None else self._value(dot, operand.of)
        for name in operand.path:
            match value:
                case None:
                    continue
                case Struct() if name in value.fields:
                    value = value.fields[name]
                case Nil() if name in value.fields:
                    raise Failed(f"nil pointer evaluating {value.type}.{name}")
                case _:
                    raise Failed(f"can't evaluate field {name} in {_kind(value)}")
        if has_arguments and value is not None:
            raise Failed(f"{operand.path[-1]} has arguments but cannot be invoked as function")
        return value

    def _call(self, dot: Value, name: str, operands: Sequence[Operand], last: tuple[Value, ...]) -> Value:
        function, least, most = _FUNCTIONS[name]
        count = len(operands) + len(last)
        if not least <= count <= most:
            raise Failed(f"wrong number of args for {name}: got {count}")
        values: list[Value] = []
        for operand in operands:
            values.append(self._value(dot, operand))
            if name in _LAZY and _truth(values[-1]) is _LAZY[name]:
                return values[-1]
        values += last
        self._spend(sum(len(value) for value in values if isinstance(value, str)))
        result = function(values)
        self._spend(len(result) if isinstance(result, str) else 0)
        return result


def _printed(value: Value) -> str:
    match value:
        case None:
            return "<no value>"
        case Struct():
            return sprint([Struct(value.fields)])
        case _:
            return sprint([value])


def _truth(value: Value) -> bool:
    match value:
        case Struct() | Moment():
            return True
        case Nil():
            return False
        case _:
            return bool(value)


def _kind(value: Value) -> str:
    match value:
        case bool() | int() | float() | str():
            return f"{type(value).__name__} {sprint([value])[:40]}"
        case tuple():
            return "a list"
        case Nil():
            return f"nil of type {value.type}"
        case None:
            return "nil"
        case Moment():
            return "a time"
        case _:
            return "a struct"


def _basic(value: Value) -> str | None:
    """Which kind of basic value it is; None for another."""
    return {bool: "bool", int: "int", float: "float", str: "text"}.get(type(value))


def _equal(values: Sequence[Value]) -> bool:
    """Whether the first equals any of the others."""
    first, *others = values
    if not others:
        raise Failed("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(one: Value, other: Value) -> bool:
    if _basic(one) != _basic(other):
        if one is None or other is None:
            return False
        raise Failed("incompatible types for comparison")
    if _basic(one):
        return one == other
    shapes = {_shape(value) for value in (one, other) if value is not None}
    if len(shapes) > 1:
        raise Failed("non-comparable types")
    nils = [isinstance(value, Nil | None) for value in (one, other)]
    if any(nils):
        return all(nils)
    if shapes == {"pointer"}:
        return one is other
    if isinstance(one, Moment) and isinstance(other, Moment):
        return one == other
    raise Failed("non-comparable types")


def _shape(value: Value) -> str:
    if isinstance(value, tuple):
        return "list"
    return "pointer" if isinstance(value, Nil) or (isinstance(value, Struct) and value.is_pointer) else "struct"


def _less(values: Sequence[Value]) -> bool:
    one, other = values
    if isinstance(one, bool) or _basic(one) != _basic(other):
        raise Failed("incompatible types for comparison")
    if isinstance(one, str) and isinstance(other, str):
        return raw(one) < raw(other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one < other
    raise Failed("invalid type for comparison")


def _printf(values: Sequence[Value]) -> str:
    match values:
        case [str(template), *rest]:
            return sprintf(template, rest)
    raise Failed("wrong type for value; expected string")


def _length(values: Sequence[Value]) -> int:
    match values:
        case [str(text)]:
            return len(raw(text))
        case [tuple(many)]:
            return len(many)
    raise Failed(f"len of {_kind(values[0])}")


def _index(values: Sequence[Value]) -> Value:
    item, *indexes = values
    if item is None:
        raise Failed("index of untyped nil")
    for index in indexes:
        many = raw(item) if isinstance(item, str) else item
        if not isinstance(many, bytes | tuple):
            raise Failed(f"can't index {_kind(item)}")
        item = many[_place(index, len(many) - 1)]
    return item


def _slice(values: Sequence[Value]) -> Value:
    item, *indexes = values
    many = raw(item) if isinstance(item, str) else item
    if not isinstance(many, bytes | tuple):
        raise Failed(f"can't slice {_kind(item)}")
    if len(indexes) == 3 and isinstance(many, bytes):
        raise Failed("cannot 3-index slice a string")
    places = [_place(index, len(many)) for index in indexes]
    start, end, *rest = (*places, *(0, len(many))[len(places) :])
    if start > end or (rest and end > rest[0]):
        raise Failed(f"invalid slice index: {start}, {end}")
    cut = many[start:end]
    return text_of(cut) if isinstance(cut, bytes) else cut


def _place(index: Value, most: int) -> int:
    if type(index) is not int:
        raise Failed(f"cannot index by {_kind(index)}")
    if not 0 <= index <= most:
        raise Failed(f"index out of range: {index}")
    return index


_MANY = 1_000
_FUNCTIONS: Mapping[str, tuple[Callable[[Sequence[Value]], Value], int, int]] = {
    "and": (lambda values: values[-1], 1, _MANY),
    "or": (lambda values: values[-1], 1, _MANY),
    "not": (lambda values: not _truth(values[0]), 1, 1),
    "eq": (_equal, 1, _MANY),
    "ne": (lambda values: not _equal(values), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda values: _less(values) or _equal(values), 2, 2),
    "gt": (lambda values: not (_less(values) or _equal(values)), 2, 2),
    "ge": (lambda values: not _less(values), 2, 2),
    "len": (_length, 1, 1),
    "index": (_index, 1, _MANY),
    "slice": (_slice, 1, 4),
    "print": (sprint, 0, _MANY),
    "println": (sprintln, 0, _MANY),
    "printf": (_printf, 1, _MANY),
}
"""What may be called: how, and with how many arguments."""
_LAZY = {"and": False, "or": True}
"""What looks at no more arguments than it must, and what it stops at."""
