"""What each source and step adds to the score of a recipe: the recipe is scored without each."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datachef.core.contracts.corpus import MixOperator
from datachef.core.contracts.reward import Reward, Score, unavailable
from datachef.core.errors import DatachefError, dotted
from datachef.core.registry.vocabulary import Vocabulary

_SCHEMA = "output.schema"


@dataclass(frozen=True)
class Variant:
    """A recipe without one of its parts: `path` is the place of the part, `what` the operator or
    source. `data` is None where the part cannot be left out, and `reason` says why."""

    path: str
    what: str
    data: Any
    reason: str = ""


@dataclass(frozen=True)
class Contribution:
    """What a part of a recipe adds to the score; negative where the recipe is better without it.

    `path` is its place in the recipe, `what` the operator or source, `without` the score of the
    recipe that lacks it: None where the part cannot be left out. `effect` is the difference of
    the predictions, or of the values where the reward gives no prediction; where the two scores
    cannot be compared it is None, and `reason` says why.
    """

    path: str
    what: str
    effect: float | None
    without: Score | None = None
    reason: str = ""

    def to_data(self) -> dict[str, Any]:
        """As plain data, with the value of the score without the part."""
        without = None if self.without is None else self.without.value
        return {
            "path": self.path, "what": self.what, "effect": self.effect, "without": without,
            "reason": self.reason,
        }  # fmt: skip


def leave_one_out(
    recipe: Mapping[str, Any],
    base_dir: Path,
    reward: Reward,
    score: Score,
    vocabulary: Vocabulary,
) -> list[Contribution]:
    """The contribution of every source and step, greatest effect first.

    Relative paths start at `base_dir`; `vocabulary` has the operators of the recipe. The variants
    write rows in the schema of the recipe's corpus, whatever would be the default without the part.
    What the schema itself adds is a separate contribution, where all rows are written as plain text
    but could be written as conversations, or could be once a source is left out.
    """
    variants = list(without_each(in_form(recipe, score.schema), vocabulary))
    found = [
        Contribution(part.path, part.what, None, reason=part.reason)
        for part in variants
        if part.data is None
    ]
    whole = [part for part in variants if part.data is not None]
    for part, other in zip(whole, _scores(whole, base_dir, reward), strict=True):
        found.append(_contribution(part, score, other))
    if score.schema == "text":
        talking = list(_as_conversations(recipe, variants))
        scores = _scores(talking, base_dir, reward)
        if talking and scores[0].gate != "check":
            talking, scores = talking[:1], scores[:1]
        for part, other in zip(talking, scores, strict=True):
            if other.gate != "check":
                found.append(_contribution(part, score, other))
    return sorted(found, key=lambda part: -abs(part.effect) if part.effect is not None else 1.0)


def in_form(data: Any, schema: str) -> Any:
    """The recipe with an explicit `output.schema`; unchanged where no schema is given."""
    if not schema:
        return data
    output = data.get("output")
    return {**data, "output": {**(output if isinstance(output, dict) else {}), "schema": schema}}


def without_each(data: Any, vocabulary: Vocabulary) -> Iterator[Variant]:
    """The recipe without each of its sources and steps in turn."""
    sources = data.get("sources") or {}
    for name in sources:
        place = dotted(("sources", name))
        if len(sources) == 1:
            yield Variant(place, name, None, "the only source")
        elif (rest := _without_source(data, name, vocabulary)) is None:
            yield Variant(place, name, None, "no other source has a weight")
        else:
            yield Variant(place, name, rest)
        for index, step in enumerate((sources[name] or {}).get("steps") or ()):
            rest = copy.deepcopy(data)
            del rest["sources"][name]["steps"][index]
            yield Variant(dotted(("sources", name, "steps", index)), step["op"], rest)
    for index, step in enumerate(data.get("steps") or ()):
        rest = copy.deepcopy(data)
        del rest["steps"][index]
        yield Variant(dotted(("steps", index)), step["op"], rest)


def _without_source(data: Any, name: str, vocabulary: Vocabulary) -> Any:
    rest = copy.deepcopy(data)
    del rest["sources"][name]
    mix = rest.get("mix") or {}
    kind = vocabulary.operator_type(mix["op"]) if mix else None
    if kind is not None and issubclass(kind, MixOperator):
        weights = mix.get(kind.weights_parameter())
        if isinstance(weights, dict):
            weights.pop(name, None)
            if not any(weights.values()):
                return None
    return rest


def _as_conversations(data: Any, variants: Sequence[Variant]) -> Iterator[Variant]:
    """The recipe, whole and without each of its sources, with rows written as conversations."""
    yield Variant(_SCHEMA, "text", in_form(data, "messages"))
    for part in variants:
        if part.data is not None and part.path == dotted(("sources", part.what)):
            path = f"{part.path}, {_SCHEMA}"
            yield Variant(path, f"{part.what}, text", in_form(part.data, "messages"))


def _scores(variants: Sequence[Variant], base_dir: Path, reward: Reward) -> list[Score]:
    recipes = [part.data for part in variants]
    try:
        return reward.score_all(recipes, base_dir)
    except DatachefError as error:
        if unavailable(error):
            raise
        return [_score(recipe, base_dir, reward) for recipe in recipes]


def _score(recipe: Mapping[str, Any], base_dir: Path, reward: Reward) -> Score:
    """The score of a variant; an error of the variant stops it at the gate `runs`."""
    try:
        return reward.score(recipe, base_dir)
    except DatachefError as error:
        if unavailable(error):
            raise
        return Score(value=-2.0, gate="runs", reasons=(error.message,))


def _contribution(part: Variant, score: Score, other: Score) -> Contribution:
    effect, reason = None, ""
    if other.gate:
        reason = f"stopped: {other.gate}: {other.reasons[0] if other.reasons else ''}"
    elif score.gate:
        reason = "the recipe itself is stopped"
    elif score.predicted is not None and other.predicted is not None:
        effect = score.predicted - other.predicted
    elif score.predicted is None and other.predicted is None:
        effect = score.value - other.value
    else:
        reason = "nothing is predicted"
    return Contribution(part.path, part.what, effect, other, reason)
