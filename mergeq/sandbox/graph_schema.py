"""The executable GraphQL schema: GitHub's SDL cut to size, every field of it bound to a resolver."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    is_abstract_type,
    is_object_type,
)

from mergeq.sandbox.callers import Caller
from mergeq.sandbox.ids import cursor, offset_of
from mergeq.sandbox.permissions import Needs
from mergeq.sandbox.rates import Budget
from mergeq.sandbox.records import Pull, Repo
from mergeq.sandbox.shapes import Shapes
from mergeq.sandbox.world import World

Resolver = Callable[..., Any]


@dataclass(slots=True)
class Context:
    """One request: who asks, what it costs, and which mergeabilities it has looked at."""

    world: World
    shapes: Shapes
    caller: Caller
    budget: Budget
    cost: int
    node_count: int
    looked_at: set[int] = field(default_factory=set)

    @property
    def viewer(self) -> str:
        return self.caller.login or ""

    @property
    def via_app(self) -> int | None:
        """The App (id) that asks, for itself or for somebody."""
        return None if self.caller.grant is None else self.caller.grant.app

    def require(self, needs: Needs, repo: Repo) -> None:
        """Raise GraphRefusedError FORBIDDEN, for the field that is asked for, unless the token was given this."""
        if not self.caller.may(needs, repo):
            raise GraphRefusedError("FORBIDDEN", self.caller.refusal().message)

    def html(self, repo: Repo) -> str:
        return f"{self.shapes.web}/{repo.full_name}"

    def repo_of(self, pull: Pull) -> Repo:
        return self.world.repo_of(pull)


class GraphRefusedError(GraphQLError):
    """An error as GitHub's GraphQL API words it; ``type`` stands beside the message (NOT_FOUND, …)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Connection:
    """One page of a list; ``total`` may say more than can be paged through."""

    items: Sequence[Any]
    start: int
    end: int
    total: int

    @property
    def nodes(self) -> Sequence[Any]:
        return self.items[self.start : self.end]


def connect(
    items: Sequence[Any],
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> Connection:
    """Cut the page asked for; raises GraphRefusedError for a cursor that is none."""
    start = 0 if after is None else _offset(after) + 1
    end = len(items) if before is None else min(_offset(before), len(items))
    if first is not None:
        end = min(end, start + first)
    if last is not None:
        start = max(start, end - last)
    start = min(start, len(items))
    return Connection(items, start, max(end, start), len(items))


def _offset(text: str) -> int:
    offset = offset_of(text)
    if offset is None:
        raise GraphRefusedError("INVALID_CURSOR_ARGUMENTS", f"`{text}` does not appear to be a valid cursor.")
    return offset


class Resolvers:
    """Resolvers by type and field name; fields are written in Python's case and bound to GraphQL's."""

    def __init__(self) -> None:
        self._by_field: dict[tuple[str, str], Resolver] = {}
        self._type_names: dict[type, Callable[[Any], str]] = {}
        self._absent: set[str] = set()

    def field(self, *type_names: str, name: str | None = None) -> Callable[[Resolver], Resolver]:
        """Bind the decorated ``(source, context, **arguments)`` under its own name, or ``name``."""

        def bind(resolver: Resolver) -> Resolver:
            for type_name in type_names:
                self._by_field[type_name, name or camel(resolver.__name__)] = resolver
            return resolver

        return bind

    def attributes(self, type_name: str, fields: str) -> None:
        """Bind fields to attributes of the source with the same name in Python's case."""
        for name in fields.split():
            self._by_field[type_name, name] = partial(_attribute, snake(name))

    def bind(self, type_name: str, **resolvers: Resolver) -> None:
        """Bind fields, given in Python's case, to small functions."""
        for name, resolver in resolvers.items():
            self._by_field[type_name, camel(name)] = resolver

    def never(self, type_names: str) -> None:
        """Types of which there is none here: what leads to them is null or an empty list."""
        self._absent.update(type_names.split())

    def is_a(self, python_type: type, type_name: str | Callable[[Any], str]) -> None:
        """Values of ``python_type`` are shown as ``type_name`` where an interface or union is asked for."""
        self._type_names[python_type] = type_name if callable(type_name) else lambda _value: type_name

    def type_name(self, value: object) -> str:
        return self._type_names[type(value)](value)

    def schema(self) -> GraphQLSchema:
        """The schema with everything bound; raises LookupError naming a field nothing answers."""
        schema = build_schema(sdl())
        for type_ in schema.type_map.values():
            if is_abstract_type(type_):
                _bind_abstract(type_, self.type_name)
            elif is_object_type(type_) and not type_.name.startswith("__") and type_.name not in self._absent:
                self._bind_object(type_)
        return schema

    def _bind_object(self, type_: GraphQLObjectType) -> None:
        for name, field_ in type_.fields.items():
            resolver = self._by_field.get((type_.name, name))
            if resolver is None and type_.name.endswith("Connection"):
                resolver = _CONNECTION.get(name)
            if resolver is None:
                raise LookupError(f"nothing answers {type_.name}.{name}")
            field_.resolve = partial(_resolve, resolver)
            for argument_name, argument in field_.args.items():
                argument.out_name = snake(argument_name)


def _bind_abstract(type_: GraphQLAbstractType, type_name: Callable[[object], str]) -> None:
    def resolve_type(value: Any, _info: GraphQLResolveInfo[Context], _type: GraphQLAbstractType) -> str:
        return type_name(value)

    type_.resolve_type = resolve_type


def _resolve(resolver: Resolver, source: Any, info: GraphQLResolveInfo[Context], **arguments: Any) -> Any:
    return resolver(source, info.context, **arguments)


def _attribute(name: str, source: Any, _context: Context) -> Any:
    return getattr(source, name)


def _page_info(page: Connection, _context: Context) -> Mapping[str, Any]:
    return {
        "startCursor": cursor(page.start) if page.nodes else None,
        "endCursor": cursor(page.end - 1) if page.nodes else None,
        "hasNextPage": page.end < len(page.items),
        "hasPreviousPage": page.start > 0,
    }


_CONNECTION: Mapping[str, Resolver] = {
    "nodes": lambda page, _: page.nodes,
    "edges": lambda page, _: [
        {"cursor": cursor(page.start + offset), "node": node} for offset, node in enumerate(page.nodes)
    ],
    "pageInfo": _page_info,
    "totalCount": lambda page, _: page.total,
}


def sdl() -> str:
    """The text of the sandbox's schema."""
    return (files("mergeq.sandbox") / "schema.graphql").read_text(encoding="utf-8")


def camel(name: str) -> str:
    """``merge_commit`` as GraphQL spells it: ``mergeCommit``."""
    head, *rest = name.strip("_").split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """``mergeCommit`` as Python spells it: ``merge_commit``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)
