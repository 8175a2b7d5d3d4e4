"""What a GraphQL document costs and whether its lists are bounded: GitHub's rules, checked before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from mergeq.sandbox.graph_schema import GraphRefusedError

MAX_PAGE = 100
MAX_NODES = 500_000
REQUESTS_PER_POINT = 100


@dataclass(slots=True)
class Cost:
    """``requests`` as GitHub counts them assuming full pages; ``nodes`` the most that can come back."""

    requests: int = 0
    nodes: int = 0
    refusals: list[GraphRefusedError] = field(default_factory=list)

    @property
    def points(self) -> int:
        return max(1, round(self.requests / REQUESTS_PER_POINT))


def weigh(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> Cost:
    """Count a validated operation; what GitHub would refuse is in ``refusals``."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    defaults = {
        d.variable.name.value: int(d.default_value.value)
        for d in operation.variable_definitions or ()
        if isinstance(d.default_value, IntValueNode)
    }
    cost = Cost()
    walk = _Walk(schema, fragments, {**defaults, **variables}, cost)
    root = schema.get_root_type(operation.operation)
    if root is not None:
        walk.selections(operation.selection_set, root, 1)
    if cost.nodes > MAX_NODES:
        message = f"This query requests up to {cost.nodes:,} possible nodes which exceeds the maximum limit of 500,000."
        cost.refusals.append(GraphRefusedError("MAX_NODE_LIMIT_EXCEEDED", message))
    return cost


@dataclass(frozen=True, slots=True)
class _Walk:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    cost: Cost

    def selections(self, selected: SelectionSetNode | None, parent: object, times: int) -> None:
        for node in selected.selections if selected else ():
            if isinstance(node, FieldNode):
                self._field(node, parent, times)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = self.schema.get_type(condition.name.value) if condition else parent
                self.selections(node.selection_set, inner, times)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.fragments[node.name.value]
                inner = self.schema.get_type(fragment.type_condition.name.value)
                self.selections(fragment.selection_set, inner, times)

    def _field(self, node: FieldNode, parent: object, times: int) -> None:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or node.name.value not in parent.fields:
            return
        type_ = get_named_type(parent.fields[node.name.value].type)
        if type_.name.endswith("Connection"):
            times = self._connection(node, times)
        elif node.name.value == "nodes" and parent is self.schema.query_type:
            times *= self._length(node)
        self.selections(node.selection_set, type_, times)

    def _connection(self, node: FieldNode, times: int) -> int:
        name = node.name.value
        arguments = {argument.name.value: self._value(argument.value) for argument in node.arguments or ()}
        bounds = {key: value for key in ("first", "last") if (value := arguments.get(key)) is not None}
        if not bounds and not _lists(node, self.fragments):
            return times
        if not bounds:
            message = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            self.cost.refusals.append(GraphRefusedError("MISSING_PAGINATION_BOUNDARIES", message))
            return times
        for key, value in bounds.items():
            if value > MAX_PAGE:
                message = (
                    f"Requesting {value} records on the `{name}` connection exceeds "
                    f"the `{key}` limit of {MAX_PAGE} records."
                )
                self.cost.refusals.append(GraphRefusedError("EXCESSIVE_PAGINATION", message))
            elif value < 1:
                message = f"`{key}` on the `{name}` connection cannot be less than one."
                self.cost.refusals.append(GraphRefusedError("EXCESSIVE_PAGINATION", message))
        size = min(bounds.values())
        self.cost.requests += times
        self.cost.nodes += times * size
        return int(times * size)

    def _value(self, node: ValueNode) -> Any:
        if isinstance(node, VariableNode):
            return self.variables.get(node.name.value)
        return int(node.value) if isinstance(node, IntValueNode) else None

    def _length(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                return len(self.variables.get(argument.value.name.value) or ())
            return len(getattr(argument.value, "values", ()))
        return 0


def _lists(node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode]) -> bool:
    """Whether a connection is asked for what it lists; a count alone needs no bounds."""
    waiting = [*(node.selection_set.selections if node.selection_set else ())]
    while waiting:
        chosen = waiting.pop()
        if isinstance(chosen, FieldNode):
            if chosen.name.value in ("nodes", "edges"):
                return True
        elif isinstance(chosen, InlineFragmentNode):
            waiting += chosen.selection_set.selections
        elif isinstance(chosen, FragmentSpreadNode):
            waiting += fragments[chosen.name.value].selection_set.selections
    return False
