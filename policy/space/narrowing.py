"""A part of a space: the same drafts, but for those with other operators or sources."""

from __future__ import annotations

from collections.abc import Collection

from datachef.core.errors import DatachefError
from datachef.policy.space.nodes import Node, OneOf, Record, Selection, Sequence, Shared
from datachef.policy.space.steps import operator_of


def narrowed(
    root: Record, operators: Collection[str], sources: Collection[str]
) -> tuple[Record, set[str]]:
    """The root of the narrower space, and the operators that can still be written in it.

    Raises `DatachefError` where no source is left.
    """
    written: set[str] = set()

    def within(one_of: OneOf) -> OneOf:
        kept = tuple(
            node for node in one_of.alternatives if operator_of(_record(node)) in operators
        )
        return OneOf(kept)

    def stepped(record: Record) -> Record:
        """A source or the root, without its steps where no operator is left for them."""
        required = dict(record.required)
        steps = required.pop("steps", None)
        if isinstance(steps, Sequence) and isinstance(steps.item, OneOf):
            left = within(steps.item)
            written.update(operator_of(_record(node)) for node in left.alternatives)
            if left.alternatives:
                required["steps"] = Sequence(left, steps.most)
        return Record(required, record.optional)

    selection = root.required["sources"]
    assert isinstance(selection, Selection)
    fields = {
        name: stepped(record)
        for name, record in selection.fields.items()
        if name in sources and isinstance(record, Record)
    }
    if not fields:
        raise DatachefError("no source is left", "name at least one that the pool has")
    required: dict[str, Node] = {**root.required, "sources": Selection(fields)}
    mixes = root.required.get("mix")
    if isinstance(mixes, OneOf):
        left = within(mixes) if within(mixes).alternatives else mixes
        written.update(operator_of(_record(node)) for node in left.alternatives)
        required["mix"] = left
    return stepped(Record(required, root.optional)), written


def _record(node: Node) -> Record:
    record = node.node if isinstance(node, Shared) else node
    assert isinstance(record, Record)
    return record
