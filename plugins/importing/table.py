"""What stands for the operators of other libraries, as `table.yaml` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

# What says how other libraries run an operator, not what it decides.
_OF_RUNNING = frozenset({
    "accelerator", "auto_op_parallelism", "batch_mode", "batch_size", "cpu_required",
    "exclusion_writer", "gpu_required", "mem_required", "num_cpus", "num_gpus", "num_proc",
    "text_field", "text_key", "timeout", "turbo", "work_dir",
})  # fmt: skip

# Steps with all rules turned off, for a library in which each of the rules is an operator.
RULES_OFF: Mapping[str, Mapping[str, Any]] = {
    "gopher_quality_filter": {
        "min_words": 0, "max_words": 100_000_000, "min_mean_word_length": 0,
        "max_mean_word_length": 100, "max_symbol_ratio": 1, "max_bullet_lines": 1,
        "max_ellipsis_lines": 1, "min_alpha_words": 0, "min_stop_words": 0,
    },
    "clean_refinedweb_lines": {
        "max_capitals": 1, "min_words_per_line": 0, "max_navigation_words": 0,
        "max_removed_words": 1,
    },
}  # fmt: skip

# Why some have none, by patterns of their names.
_WITHOUT: Mapping[str, str] = {
    "image_*": "recipes are about text",
    "video_*": "recipes are about text",
    "audio_*": "recipes are about text",
    "python_*": "recipes run no code; an operator of your own does",
    "LambdaFilter": "recipes run no code; an operator of your own does",
    "suffix_filter": "name the files by a pattern in `path`",
    "generate_*": "generate_question_answer_pairs asks a model that you name",
    "optimize_*": "rephrase_text asks a model that you name",
    "*_annotator": "no step reads the field that it adds",
}


class Equivalent(BaseModel):
    """The steps that do here what an operator of another library does, and how they are set.

    `parameters` has names of its parameters with those of ours; a parameter goes to every step that
    has it. `values` replaces single values, and `convert` names a function for others; null stands
    for the default of ours. `defaults` are its defaults where ours are others. `only` has
    parameters without an equivalent, with the value at which nothing is lost, and `without_effect`
    those on which nothing depends. `fixed` is what our steps need besides. `where` says of which
    column a condition is made. `note` says what is different all the same, and `to_do` what is left
    to do. `when` holds for the values of an operator that does several things. A `part` is one rule
    of a step in which the others are off; neighbours become one step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[str, ...]
    parameters: Mapping[str, str] = {}
    values: Mapping[str, Mapping[Any, Any]] = {}
    convert: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    only: Mapping[str, Any] = {}
    without_effect: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = {}
    where: Mapping[str, str] = {}
    note: str = ""
    to_do: str = ""
    when: Mapping[str, Any] = {}
    part: bool = False

    def fits(self, given: Mapping[str, Any]) -> bool:
        """Whether this is what stands for the operator with these parameters."""
        values = {**self.defaults, **given}
        return all(values.get(name) == value for name, value in self.when.items())

    def translated(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Parameters of ours, and those of the given ones that have no equivalent."""
        ours, lost = dict(self.fixed), []
        known = {*self.without_effect, *self.when, *self.where.values(), *_OF_RUNNING}
        for name, value in {**self.defaults, **given}.items():
            if name in self.parameters:
                ours |= self._renamed(name, value)
            elif (name in self.only and value != self.only[name]) or (
                name not in self.only and name not in known
            ):
                lost.append(f"{name}: {value!r}")
        if self.where:
            ours["where"] = _condition(self.where, given)
        return ours, lost

    def _renamed(self, name: str, value: Any) -> dict[str, Any]:
        if name in self.convert:
            value = _CONVERSIONS[self.convert[name]](value)
        if name in self.values:
            value = self.values[name].get(value, value)
        if isinstance(value, Mapping):
            return dict(value)
        absent = value is None and name in self.values
        return {} if absent else {self.parameters[name]: value}


def _label(pairs: Any) -> dict[str, Any]:
    """The label and its least score, of the first pair; classifiers of several are not ours."""
    pair = pairs[0] if pairs and isinstance(pairs[0], list | tuple) else pairs
    return {"label": pair[0].removeprefix("__label__"), "min_probability": pair[1]} if pair else {}


def _ngrams(kind: str, sizes: Iterable[int], pairs: Any) -> dict[str, Any]:
    """The greatest share for each size; a size that is not listed has no rule."""
    off = {f"{kind}_{size}_gram": 1.0 for size in sizes}
    return off | {f"{kind}_{size}_gram": share for size, share in pairs or ()}


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "one_less": lambda value: max(value - 1, 0),
    "complement": lambda value: round(1 - value, 6),
    "label": _label,
    "top_n_grams": lambda pairs: _ngrams("top", range(2, 5), pairs),
    "dup_n_grams": lambda pairs: _ngrams("dup", range(5, 11), pairs),
}


def _condition(where: Mapping[str, str], given: Mapping[str, Any]) -> str:
    """The condition on a column that the parameters of an operator make."""
    name = str(given.get(where["column"], ""))
    found = name if name.isidentifier() else f"column({name!r})"
    for kind, form in (("equal", "{} == {!r}"), ("not_equal", "{} != {!r}"), ("in", "{} in {!r}")):
        if kind in where:
            value = given.get(where[kind])
            return form.format(found, _listed(value) if kind == "in" else value)
    low, high = given.get(where["min"]), given.get(where["max"])
    left = "" if low is None or low < -1e15 else f"{low} <= "
    right = "" if high is None or high > 1e15 else f" <= {high}"
    return f"{left}{found}{right}" if left or right else f"{found} is not null"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=1)
def table() -> Mapping[str, Mapping[str, list[Equivalent]]]:
    """What stands for each operator, by library and name."""
    raw = yaml.safe_load(Path(__file__).with_name("table.yaml").read_bytes())
    listed = {
        library: {name: _listed(entry) for name, entry in operators.items()}
        for library, operators in raw.items()
    }
    return TypeAdapter(dict[str, dict[str, list[Equivalent]]]).validate_python(listed)


def equivalent(library: str, name: str, given: Mapping[str, Any]) -> Equivalent | None:
    """What stands for an operator of a library with these parameters."""
    return next((e for e in table()[library].get(name, []) if e.fits(given)), None)


def reason_without(name: str) -> str:
    """Why nothing stands for an operator."""
    fitting = (why for pattern, why in _WITHOUT.items() if fnmatchcase(name, pattern))
    return next(fitting, "no step does what it does")


def peer_names() -> dict[str, str]:
    """The operators of other libraries by name, each with those of ours, in a sentence."""
    found: dict[str, str] = {}
    for library, operators in table().items():
        for name, entries in operators.items():
            steps = " and ".join(dict.fromkeys(s for entry in entries for s in entry.steps))
            if steps and steps != name:
                found[name] = f"what {library} calls {name} is {steps} here"
    return found
