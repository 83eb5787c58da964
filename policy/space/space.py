"""The space of recipes: from a draft to its recipe, from a recipe to its draft, and parts of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson
from pydantic import ValidationError

from datachef.core.contracts.corpus import MixOperator
from datachef.core.contracts.task import Budget
from datachef.core.errors import DatachefError
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.rows.inspection import SourceInfo
from datachef.policy.space.nodes import (
    Choice,
    Chooser,
    ListOf,
    Node,
    OneOf,
    Record,
    Schema,
    Selection,
    SharedNode,
    same_value,
)
from datachef.policy.space.steps import REASON, operator_name

# A recipe in the form that is generated: every source has its weight beside it, and steps may have
# reasons.
RecipeDraft = dict[str, Any]

# In a draft, the share of the task's budget that the recipe takes.
BUDGET = "budget"


@dataclass(frozen=True)
class RecipeSpace:
    """All drafts of recipes, as the node `root`.

    A draft is a recipe in the form that is generated: every source has its weight beside it, so no
    weight can be missing or unknown. `operators` can be written somewhere in it; `left_out` says
    why the others cannot. `sources` describes the sources, by name.
    """

    root: Record
    operators: tuple[str, ...]
    left_out: Mapping[str, str]
    sources: Mapping[str, SourceInfo]
    budget: Budget | None
    vocabulary: Vocabulary

    def schema(self) -> Schema:
        """The JSON Schema of drafts."""
        definitions: Schema = {}
        return {**self.root.schema(definitions), "$defs": definitions}

    def draw(self, chooser: Chooser) -> RecipeDraft:
        """A draft by the choices of `chooser`."""
        draft: RecipeDraft = self.root.draw(chooser, "")
        return draft

    def recipe(self, draft: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The recipe of a draft, without the reasons of its steps."""
        drafted: Mapping[str, Any] = draft["sources"]
        sources = {key: _with_steps(source.get("steps", ())) for key, source in drafted.items()}
        data: dict[str, Any] = {"name": name, "sources": sources}
        if "mix" in draft:
            weights = {key: source["weight"] for key, source in drafted.items()}
            data["mix"] = self._mix(_plain(draft["mix"]), weights, draft.get(BUDGET))
        return data | _with_steps(draft.get("steps", ()))

    def draft(self, recipe: Mapping[str, Any], share: float | None = None) -> RecipeDraft:
        """The draft of a recipe, which is plain data as in a YAML file.

        Weights become the nearest ones on offer, parameters with their default value are left out,
        and those that always have another value here get it where the recipe leaves them out.
        `share`, of the task's budget, is by default what the recipe says, or else all of it.
        Raises `DatachefError` if a part of the recipe is not in the space.
        """
        mix = dict(recipe.get("mix") or {})
        kind = self.mix_type(mix["op"]) if mix else None
        weights = mix.pop(kind.weights_parameter(), None) if kind is not None else None
        budget = mix.pop(kind.budget_parameter(), None) if kind is not None else None
        share = share or self._share(budget)
        plain = {**recipe, "mix": mix}
        return draft_of(self.root, plain, weights or {}, share, self._is_default)

    def mix_type(self, name: str) -> type[MixOperator] | None:
        """The class of a mix; None where no mix has this name."""
        kind = self.vocabulary.operator_type(name)
        return kind if kind is not None and issubclass(kind, MixOperator) else None

    def narrowed(
        self,
        operators: Collection[str],
        sources: Collection[str],
        budget: Budget | None = None,
    ) -> RecipeSpace:
        """The part of this space with these operators and sources only, within `budget` if given.

        If none of the operators is a mix, all mixes stay, since every draft has one. Raises
        `DatachefError` if no source is left.
        """
        root, written = narrow_root(self.root, operators, sources)
        names = tuple(name for name in self.operators if name in written)
        gone = {name: "not offered here" for name in self.operators if name not in written}
        kept = {name: self.sources[name] for name in self.sources if name in sources}
        return replace(
            self,
            root=root,
            operators=names,
            left_out={**self.left_out, **gone},
            sources=kept,
            budget=budget or self.budget,
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that may be written: it changes with operators, sources and limits."""
        raw = orjson.dumps(self.schema(), option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(raw, digest_size=16).hexdigest()

    def _is_default(self, op: str, name: str, value: Any) -> bool:
        """Whether a parameter has this value if a step does not write it."""
        if op not in self.vocabulary:
            return False
        field = self.vocabulary[op].model_fields.get(name)
        return (
            field is not None and not field.is_required() and same_value(value, field.get_default())
        )

    def _share(self, said: Any) -> float | None:
        """The share of the task's budget that a mix takes; None if it names none, or another
        unit."""
        if self.budget is None or said is None:
            return None
        try:
            given = Budget.model_validate(said)
        except ValidationError as error:
            hint = "give exactly one of tokens and rows"
            raise DatachefError(f"mix.budget is no budget: {said}", hint) from error
        for part, whole in ((given.tokens, self.budget.tokens), (given.rows, self.budget.rows)):
            if part and whole:
                return part / whole
        return None

    def _mix(
        self, drafted: dict[str, Any], weights: Mapping[str, float], share: float | None
    ) -> dict[str, Any]:
        """The mix of a recipe, with weights and budget where its operator takes them."""
        kind = self.mix_type(drafted["op"])
        assert kind is not None
        name = kind.weights_parameter()
        assert name is not None
        mix = {"op": drafted["op"], name: weights, **drafted}
        budget = kind.budget_parameter()
        if share is None or self.budget is None or budget is None:
            return mix
        unit = "tokens" if self.budget.tokens is not None else "rows"
        amount = int(share * (self.budget.tokens or self.budget.rows or 0))
        return mix | {budget: {unit: amount}} if amount else mix


def _with_steps(steps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    plain = [_plain(step) for step in steps]
    return {"steps": plain} if plain else {}


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != REASON}


def narrow_root(
    root: Record, operators: Collection[str], sources: Collection[str]
) -> tuple[Record, set[str]]:
    """The root of the narrower space, and the operators that can still be written in it.

    Raises `DatachefError` if no source is left.
    """
    written: set[str] = set()

    def within(one_of: OneOf) -> OneOf:
        kept = tuple(
            node for node in one_of.alternatives if operator_name(_record(node)) in operators
        )
        return OneOf(kept)

    def with_steps(record: Record) -> Record:
        """A source or the root, without `steps` if no operator is left for them."""
        required = dict(record.required)
        steps = required.pop("steps", None)
        if isinstance(steps, ListOf) and isinstance(steps.item, OneOf):
            left = within(steps.item)
            written.update(operator_name(_record(node)) for node in left.alternatives)
            if left.alternatives:
                required["steps"] = ListOf(left, steps.most)
        return Record(required, record.optional)

    selection = root.required["sources"]
    assert isinstance(selection, Selection)
    fields = {
        name: with_steps(record)
        for name, record in selection.fields.items()
        if name in sources and isinstance(record, Record)
    }
    if not fields:
        raise DatachefError("no source is left", "name at least one that the pool has")
    required: dict[str, Node] = {**root.required, "sources": Selection(fields)}
    mixes = root.required.get("mix")
    if isinstance(mixes, OneOf):
        left = within(mixes) if within(mixes).alternatives else mixes
        written.update(operator_name(_record(node)) for node in left.alternatives)
        required["mix"] = left
    return with_steps(Record(required, root.optional)), written


def _record(node: Node) -> Record:
    record = node.node if isinstance(node, SharedNode) else node
    assert isinstance(record, Record)
    return record


# Whether a parameter (operator, name, value) has a value if a step does not write it.
IsDefault = Callable[[str, str, Any], bool]


def draft_of(
    root: Record,
    recipe: Mapping[str, Any],
    weights: Mapping[str, float],
    share: float | None,
    is_default: IsDefault,
) -> dict[str, Any]:
    """The draft, in the space of `root`, of a recipe whose mix is without its weights and budget.

    Weights become the nearest ones on offer, in proportion, and the share of the budget the nearest
    to `share`, by default the largest. Raises `DatachefError` if a part of the recipe is not in the
    space.
    """
    selection = root.required["sources"]
    assert isinstance(selection, Selection)
    given: Mapping[str, Any] = recipe["sources"]
    for name in given:
        if name not in selection.fields:
            raise DatachefError(f"no source {name!r} in the space", "name it in the limits")
    mix = recipe.get("mix")
    draft: dict[str, Any] = {"sources": {}}
    for name, source in given.items():
        record = selection.fields[name]
        assert isinstance(record, Record)
        draft["sources"][name] = _held_steps(record, source or {}, f"sources.{name}", is_default)
    if "mix" in root.required:
        mix = mix or {"op": _first_mix(root.required["mix"])}
        draft["mix"] = _held(root.required["mix"], mix, "mix", is_default)
        _set_weights(draft["sources"], selection, weights)
    if BUDGET in root.required:
        choice = root.required[BUDGET]
        assert isinstance(choice, Choice)
        wanted = max(choice.values) if share is None else share
        draft[BUDGET] = min(choice.values, key=lambda value: abs(value - wanted))
    draft |= _held_steps(root, recipe, "", is_default)
    arranged: dict[str, Any] = _arranged(root, draft)
    return arranged


def _held_steps(
    record: Record, data: Mapping[str, Any], where: str, is_default: IsDefault
) -> dict[str, Any]:
    steps = list(data.get("steps") or ())
    node = record.required.get("steps")
    if not isinstance(node, ListOf):
        if steps:
            raise DatachefError(f"{where}: no steps are written here")
        return {}
    held = [
        _held(node.item, step, f"{where}.steps[{index}]".lstrip("."), is_default)
        for index, step in enumerate(steps)
    ]
    if len(held) > node.most:
        raise DatachefError(f"{where}: more than {node.most} steps", "raise the limits")
    return {"steps": held}


def _held(
    node: Node, step: Mapping[str, Any], where: str, is_default: IsDefault
) -> Mapping[str, Any]:
    """A step as the node has it: with an empty reason if the node has reasons, with parameters
    that have their default value only if the node requires them, and with those that it leaves out
    although they always have one other value here."""
    for record in _records(node):
        if operator_name(record) == step["op"]:
            written = {
                name: value
                for name, value in step.items()
                if name in record.required or not is_default(step["op"], name, value)
            }
            reason = {REASON: ""} if REASON in record.required else {}
            held = {**reason, **_fixed(record), **written}
            if record.contains(held):
                return held
    raise DatachefError(
        f"{where} is not in the space: {step}",
        "offer the operator, and the values of its parameters, in the limits; with least_kept: 0 "
        "they offer also what keeps few of the first rows of a source",
    )


def _fixed(record: Record) -> dict[str, Any]:
    """The parameters that have the same value in all these steps."""
    return {
        name: node.values[0]
        for name, node in record.required.items()
        if isinstance(node, Choice) and len(node.values) == 1
    }


def _records(node: Node) -> Iterator[Record]:
    if isinstance(node, SharedNode):
        yield from _records(node.node)
    elif isinstance(node, OneOf):
        for alternative in node.alternatives:
            yield from _records(alternative)
    elif isinstance(node, Record):
        yield node


def _set_weights(
    sources: dict[str, dict[str, Any]], selection: Selection, weights: Mapping[str, float]
) -> None:
    """Gives each source the weight on offer nearest to its own, all scaled by one factor."""
    record = selection.fields[next(iter(sources))]
    assert isinstance(record, Record) and isinstance(record.required["weight"], Choice)
    offered = record.required["weight"].values
    given = {name: float(weights.get(name, 1.0)) for name in sources}
    for name in [name for name, weight in given.items() if weight <= 0]:
        raise DatachefError(f"the weight of {name} is 0", "leave the source out")

    def nearest(weight: float) -> Any:
        return min(offered, key=lambda value: abs(math.log(value / weight)))

    def error(scale: float) -> float:
        scaled = [weight * scale for weight in given.values()]
        return sum(abs(math.log(nearest(weight) / weight)) for weight in scaled)

    scales = [value / weight for value in offered for weight in given.values()]
    scale = min(scales, key=lambda scale: (round(error(scale), 9), abs(math.log(scale))))
    for name, source in sources.items():
        source["weight"] = nearest(given[name] * scale)


def _first_mix(node: Node) -> str:
    assert isinstance(node, OneOf)
    record = node.alternatives[0]
    assert isinstance(record, Record) and isinstance(record.required["op"], Choice)
    return str(record.required["op"].values[0])


def _arranged(node: Node, value: Any) -> Any:
    """A value of the node, with the fields of its objects in the order of the node."""
    if isinstance(node, SharedNode):
        return _arranged(node.node, value)
    if isinstance(node, OneOf):
        return _arranged(next(n for n in node.alternatives if n.contains(value)), value)
    if isinstance(node, ListOf):
        return [_arranged(node.item, item) for item in value]
    if isinstance(node, Record | Selection):
        fields = node.fields if isinstance(node, Selection) else {**node.required, **node.optional}
        return {name: _arranged(fields[name], value[name]) for name in fields if name in value}
    return value
