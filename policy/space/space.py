"""Every recipe that a policy may write, and how a draft becomes a recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson
from pydantic import ValidationError

from datachef.core.errors import DatachefError
from datachef.core.survey import Survey
from datachef.core.task import Budget
from datachef.core.vocabulary import Vocabulary
from datachef.policy.space.drafting import draft_of
from datachef.policy.space.narrowing import narrowed
from datachef.policy.space.nodes import Chooser, Record, Schema
from datachef.policy.space.steps import REASON, same

WEIGHTS, BUDGET = "weights", "budget"


@dataclass(frozen=True)
class RecipeSpace:
    """Drafts of recipes, as one node, and how a draft becomes a recipe.

    In a draft every source stands with its weight, so that no weight is missing or too many.
    `operators` may be written somewhere; `left_out` tells why others may not. `surveys` are what
    the sources were found to offer.
    """

    root: Record
    operators: tuple[str, ...]
    left_out: Mapping[str, str]
    surveys: Mapping[str, Survey]
    budget: Budget | None
    vocabulary: Vocabulary

    def schema(self) -> Schema:
        """The JSON Schema of drafts."""
        definitions: Schema = {}
        return {**self.root.schema(definitions), "$defs": definitions}

    def draw(self, chooser: Chooser) -> dict[str, Any]:
        """A draft."""
        draft: dict[str, Any] = self.root.draw(chooser, "")
        return draft

    def recipe(self, draft: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The recipe that a draft stands for, without the reasons of its steps."""
        drafted: Mapping[str, Any] = draft["sources"]
        sources = {key: _stepped(source.get("steps", ())) for key, source in drafted.items()}
        data: dict[str, Any] = {"name": name, "sources": sources}
        if "mix" in draft:
            weights = {key: source["weight"] for key, source in drafted.items()}
            mix = {"op": draft["mix"]["op"], WEIGHTS: weights, **_plain(draft["mix"])}
            data["mix"] = self._within(mix, draft.get(BUDGET))
        return data | _stepped(draft.get("steps", ()))

    def draft(self, recipe: Mapping[str, Any], share: float | None = None) -> dict[str, Any]:
        """The draft that stands for a recipe, plain data as of a YAML file: weights become the
        nearest ones. Parameters that are written with their default are left out.

        `share` of the task's budget is by default what the recipe takes, and all where it does not
        say. Raises `DatachefError` where a part of the recipe is not in the space.
        """
        share = share or self._share(recipe)
        return draft_of(self.root, recipe, share, self._goes_without_saying)

    def narrowed(
        self,
        operators: Collection[str],
        sources: Collection[str],
        budget: Budget | None = None,
    ) -> RecipeSpace:
        """The drafts of this space that use no other operators and sources, within a budget of
        their own where one is given.

        Mixes stay if none of them is among the operators, since every draft has one. Raises
        `DatachefError` where no source is left.
        """
        root, written = narrowed(self.root, operators, sources)
        names = tuple(name for name in self.operators if name in written)
        gone = {name: "not offered here" for name in self.operators if name not in written}
        surveys = {name: self.surveys[name] for name in self.surveys if name in sources}
        return replace(
            self,
            root=root,
            operators=names,
            left_out={**self.left_out, **gone},
            surveys=surveys,
            budget=budget or self.budget,
        )

    @cached_property
    def fingerprint(self) -> str:
        """Of all that may be written: changes with operators, sources and limits."""
        raw = orjson.dumps(self.schema(), option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(raw, digest_size=16).hexdigest()

    def _goes_without_saying(self, op: str, name: str, value: Any) -> bool:
        """Whether a parameter has this value where a step does not write it."""
        if op not in self.vocabulary:
            return False
        field = self.vocabulary[op].model_fields.get(name)
        return field is not None and not field.is_required() and same(value, field.get_default())

    def _share(self, recipe: Mapping[str, Any]) -> float | None:
        """How much of the budget a recipe takes; None where it does not say, or in another unit."""
        said = (recipe.get("mix") or {}).get(BUDGET)
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

    def _within(self, mix: dict[str, Any], share: float | None) -> dict[str, Any]:
        if share is None or self.budget is None:
            return mix
        unit = "tokens" if self.budget.tokens is not None else "rows"
        amount = int(share * (self.budget.tokens or self.budget.rows or 0))
        return mix | {BUDGET: {unit: amount}} if amount else mix


def _stepped(steps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    plain = [_plain(step) for step in steps]
    return {"steps": plain} if plain else {}


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != REASON}
