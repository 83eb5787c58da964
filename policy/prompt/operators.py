"""What a prompt says of an operator: its purpose, its place, and the values it may be given."""

from __future__ import annotations

from collections.abc import Collection

from datachef.core.operator import Operator
from datachef.policy.prompt.offers import Offer
from datachef.policy.prompt.quoting import written
from datachef.policy.space.nodes import Choice, Record

MOST_SOURCES = 8


def operator_block(kind: type[Operator], step: Record, shown: Collection[str]) -> str:
    """The name, the first line of the docstring, and a line per parameter with its default and the
    values to choose from, as far as they are shown."""
    head = kind.name()
    if "operator descriptions" in shown:
        head = f"{head}: {_line(kind.summary())}"
    if "parameters" not in shown:
        return head
    described = "parameter descriptions" in shown
    return "\n".join([head, *_parameters(kind, step, described=described)])


def place_of(offer: Offer) -> str:
    """Where a step may stand."""
    places = []
    if offer.mix:
        places.append("the mix")
    if offer.sources:
        named = ", ".join(offer.sources[:MOST_SOURCES])
        more = len(offer.sources) - MOST_SOURCES
        places.append(f"steps of {named}{f' and {more} more' if more > 0 else ''}")
    if offer.corpus:
        places.append("steps on the corpus")
    return ", ".join(places)


def _parameters(kind: type[Operator], step: Record, *, described: bool) -> list[str]:
    lines = []
    for name, node in [*step.required.items(), *step.optional.items()]:
        if name == "op" or not isinstance(node, Choice):
            continue
        values = ", ".join(map(written, node.values))
        field = kind.model_fields[name]
        if name in step.optional:
            default = field.get_default(call_default_factory=True)
            told = f"default {written(default)}, or {values}"
        else:
            told = f"always {values}" if len(node.values) == 1 else f"one of {values}"
        about = f" ({_line(field.description or '').rstrip('.')})" if described else ""
        lines.append(f"  {name}{about}: {told}")
    return lines


def _line(text: str) -> str:
    return " ".join(text.split())
