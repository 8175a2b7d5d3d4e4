"""Values as a Go program has them, and the text that Go's `fmt` package makes of them (https://pkg.go.dev/fmt).

Texts are bytes in Go: a byte that is no UTF-8 stands in a `str` as `surrogateescape` has it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

_WIDEST = 10_000  # all widths and precisions of a format together; Go takes 1e6 for each


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct, or with `is_pointer` a pointer to one."""

    fields: Mapping[str, "Value"] = field(default_factory=dict)
    is_pointer: bool = False


@dataclass(frozen=True, slots=True)
class Nil:
    """A nil pointer to a struct of this type, and the fields that such a struct would have."""

    type: str
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, which knows how to write itself."""

    text: str


Value = None | bool | int | float | str | Moment | Nil | Struct | tuple["Value", ...]
"""A tuple is a slice; None is Go's untyped nil, or no value at all."""


class Failed(Exception):
    """Go gives up here, or its answer would mean nothing outside of its process; the text says why."""


class Unsupported(ValueError):
    """A format that is not understood here; the text says which."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of a format with its flags; -1: no width or precision is given. ``%+v`` has the flag N: it names the
    fields of structs, and numbers get no plus.
    """

    letter: str
    flags: str = ""
    width: int = -1
    precision: int = -1

    def pad(self, text: str) -> str:
        """The text in its width, which counts code points."""
        if "-" in self.flags:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if "0" in self.flags else " ")


_PLAIN = Verb("v")
_PIECE = re.compile(r"%(?P<flags>[+\-# 0]*)(?P<width>\d*)(?P<precision>(?:\.\d*)?)(?P<letter>.?)|[^%]+", re.DOTALL)
_KNOWN = frozenset("vsqxXdtcobfFeEgG%")


def pieces(template: str) -> Iterator[str | Verb]:
    """A format as the texts and verbs that it is made of; a verb without a letter ends it (``%!(NOVERB)``).

    Raises Unsupported for arguments by number or by ``*``, Go syntax (``%#v``), other verbs, and what is very wide.
    """
    wide = 0
    for match in _PIECE.finditer(template):
        if match["letter"] is None:
            yield match[0]
            continue
        letter = match["letter"]
        width, precision = (int(text[:9] or -1) for text in (match["width"], match["precision"][1:]))
        if letter and (letter not in _KNOWN or (letter in "vfFeEgG" and "#" in match["flags"])):
            raise Unsupported(f"format {match[0]!r} is not supported")
        wide += max(width, precision, 0)
        if wide > _WIDEST:
            raise Unsupported(f"format {match[0]!r} is too wide")
        flags = match["flags"].replace("+", "N") if letter == "v" else match["flags"]
        yield Verb(letter, flags, width, 0 if match["precision"] == "." else precision)


def sprintf(template: str, values: Sequence[Value]) -> str:
    """The values in a format, as Go's `Sprintf` writes them, complaints and all. Raises Failed and Unsupported."""
    rest = iter(values)
    left = len(values)
    done = []
    for piece in pieces(template):
        if isinstance(piece, str):
            done.append(piece)
        elif not piece.letter:
            done.append("%!(NOVERB)")
        elif piece.letter == "%":
            done.append("%")
        elif left:
            left -= 1
            done.append(_written(next(rest), piece))
        else:
            done.append(f"%!{piece.letter}(MISSING)")
    if left:
        done.append(f"%!(EXTRA {', '.join(map(_typed, rest))})")
    return "".join(done)


def sprint(values: Sequence[Value]) -> str:
    """The values one after another, with a blank between two of which neither is a text. Raises Failed."""
    done = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            done.append(" ")
        done.append(_written(value, _PLAIN))
    return "".join(done)


def sprintln(values: Sequence[Value]) -> str:
    """The values with a blank between any two, and a line's end. Raises Failed."""
    return " ".join(_written(value, _PLAIN) for value in values) + "\n"


def raw(text: str) -> bytes:
    """The bytes of a text."""
    return text.encode(errors="surrogateescape")


def text_of(content: bytes) -> str:
    """The text of bytes, whatever they are."""
    return content.decode(errors="surrogateescape")


def shown(text: str) -> str:
    """The text for the world outside, where Go writes each byte that is no text as a replacement character."""
    return re.sub("[\udc80-\udcff]", "\ufffd", text_of(raw(text)))


def read(text: str) -> str:
    """A text from outside as a Go program would have it: half of a surrogate pair is no text."""
    return text.encode(errors="replace").decode()


def quoted(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """The text as a Go literal in double quotes, or in single ones."""
    return mark + "".join(_escaped(char, mark, ascii_only=ascii_only) for char in text) + mark


_SHORT = dict(zip("\a\b\f\n\r\t\v\\", "abfnrtv\\", strict=True))


def _escaped(char: str, mark: str, *, ascii_only: bool) -> str:
    code = ord(char)
    if char == mark or char in _SHORT:
        return "\\" + _SHORT.get(char, mark)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _written(value: Value, verb: Verb, depth: int = 0) -> str:
    match value:
        case None:
            return verb.pad("<nil>") if verb.letter == "v" else _bad(value, verb)
        case bool():
            return verb.pad(str(value).lower()) if verb.letter in "vt" else _bad(value, verb)
        case int():
            return _integer(value, verb)
        case float():
            return _float(value, verb)
        case str():
            return _text(value, verb)
        case Moment():
            if verb.letter not in "vsqxX":
                raise Failed(f"a time is not printed by %{verb.letter}")
            return _text(value.text, verb)
        case Nil():
            return verb.pad("<nil>") if verb.letter == "v" else _bad(value, verb)
        case Struct():
            if value.is_pointer and depth:
                raise Failed("a pointer inside of what is printed is only an address")
            inside = " ".join(
                (f"{name}:" if "N" in verb.flags else "") + _written(one, verb, depth + 1)
                for name, one in value.fields.items()
            )
            return ("&" if value.is_pointer else "") + "{" + inside + "}"
    return "[" + " ".join(_written(one, verb, depth + 1) for one in value) + "]"


def _bad(value: Value, verb: Verb) -> str:
    return f"%!{verb.letter}({_typed(value, Verb('v', verb.flags, verb.width, verb.precision))})"


def _typed(value: Value, verb: Verb = _PLAIN) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", Moment: "time.Time"}
    match value:
        case None:
            return "<nil>"
        case Nil():
            name = value.type
        case Struct() | tuple():
            raise Failed("what a struct or a list is called is known to Go alone")
        case _:
            name = names[type(value)]
    return f"{name}={_written(value, verb)}"


def _text(value: str, verb: Verb) -> str:
    cut = value if verb.precision < 0 else value[: verb.precision]
    match verb.letter:
        case "v" | "s":
            return verb.pad(cut)
        case "q":
            raw_mark = "#" in verb.flags and not re.search("[`\x00-\x08\x0a-\x1f\x7f\ufeff\udc80-\udcff]", cut)
            return verb.pad(f"`{cut}`" if raw_mark else quoted(cut, ascii_only="+" in verb.flags))
        case "x" | "X":
            content = raw(value) if verb.precision < 0 else raw(value)[: verb.precision]
            start = "0x" if "#" in verb.flags and content else ""
            between = " " + start if " " in verb.flags else ""
            written = start + (content.hex(between[0]).replace(" ", between) if between else content.hex())
            return verb.pad(written.upper() if verb.letter == "X" else written)
    return _bad(value, verb)


_BASES: Mapping[str, tuple[str, str]] = {"v": ("d", ""), "d": ("d", ""), "b": ("b", "0b"), "o": ("o", "0")} | {
    letter: (letter, f"0{letter}") for letter in "xX"
}


def _integer(value: int, verb: Verb) -> str:
    if verb.letter in "cq":
        char = chr(value) if 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"
        return verb.pad(char if verb.letter == "c" else quoted(char, "'", ascii_only="+" in verb.flags))
    if verb.letter not in _BASES:
        return _bad(value, verb)
    base, prefix = _BASES[verb.letter]
    sign = _sign(value < 0, verb)
    plain = Verb(verb.letter, verb.flags.replace("0", ""), verb.width)
    if verb.precision == 0 and value == 0:
        return plain.pad("")
    digits = format(abs(value), base).zfill(max(verb.precision, 0))
    if verb.precision < 0 and "0" in verb.flags and "-" not in verb.flags:
        digits = digits.zfill(verb.width - len(sign))
    if "#" in verb.flags and not (base == "o" and digits.startswith("0")):
        digits = prefix + digits
    return plain.pad(sign + digits)


def _sign(is_negative: bool, verb: Verb) -> str:
    return "-" if is_negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""


def _float(value: float, verb: Verb) -> str:
    size = abs(value)
    letter = "g" if verb.letter == "v" else verb.letter
    if letter not in "fFeEgG":
        return _bad(value, verb)
    if letter in "gG" and verb.precision < 0:
        digits = _shortest(size)
    else:
        digits = f"{size:.{6 if verb.precision < 0 else verb.precision}{letter.lower()}}"
    sign = _sign(value < 0, verb)
    if "0" in verb.flags and "-" not in verb.flags:
        digits = digits.zfill(verb.width - len(sign))
    return verb.pad(sign + (digits.upper() if letter.isupper() else digits))


def _shortest(size: float) -> str:
    """The fewest digits that tell this number from its neighbours, with an exponent below -4 and above 5."""
    number = Decimal(repr(size)).normalize()
    exponent = number.adjusted()
    if number and not -4 <= exponent < 6:
        figures = "".join(map(str, number.as_tuple().digits))
        return f"{figures[0]}{'.' if figures[1:] else ''}{figures[1:]}e{exponent:+03d}"
    return f"{number:f}"
