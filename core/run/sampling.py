"""A recipe on samples of its sources: for a quick look at what it does, and for its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from datachef.core.contracts.corpus import MixOperator, Size
from datachef.core.contracts.source import Source, SourceError
from datachef.core.errors import RunError
from datachef.core.recipe.checked import CheckedRecipe, reference_sources
from datachef.core.recipe.checking import expected_sizes
from datachef.core.registry.promises import ask
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.rows.inspection import SourceInfo, SourceInspector, SourceSample
from datachef.core.run.source_samples import SampleStore


def on_samples(
    checked: CheckedRecipe,
    samples: Mapping[str, SourceSample],
    inspector: SourceInspector,
    vocabulary: Vocabulary,
) -> CheckedRecipe:
    """The recipe with the samples in the place of its sources, whose steps are scaled to them;
    sources without a sample are left out. The steps on the corpus stay as they are written."""
    sources = {
        name: _sampled(found, samples[name], vocabulary)
        for name, found in checked.source_info.items()
        if name in samples
    }
    found = {name: inspector.inspect(source) for name, source in sources.items()}
    return replace(checked, sources=sources, source_info=found, samples=samples, written=checked)


def _sampled(found: SourceInfo, sample: SourceSample, vocabulary: Vocabulary) -> Source:
    """The file with the sample in the place of the source."""
    data = {"path": sample.path, "format": found.format.model_dump(mode="json")}
    source = vocabulary.source("path", data)
    steps = tuple(step.scaled(sample.rate) for step in found.source.steps)
    max_failed = max(found.source.max_failed, sample.failed)
    return source.model_copy(update={"steps": steps, "max_failed": max_failed})


def sampled_recipe(
    checked: CheckedRecipe, rows: int, cache: Path, vocabulary: Vocabulary
) -> CheckedRecipe:
    """The recipe on samples of `rows` rows of each source, drawn by its seed, its mix and its steps
    on the corpus scaled to them.

    A mix keeps the shares of the sources and repeats no row, unless the samples are the sources.
    Raises `RunError` for a source that cannot be sampled.
    """
    store = SampleStore(cache / "samples", rows, checked.recipe.seed)
    samples = {}
    for name, found in checked.source_info.items():
        try:
            samples[name] = store.sample(found)
        except SourceError as error:
            raise RunError(f"sources.{name}: {error}", error.hint) from error
    sampled = on_samples(checked, samples, SourceInspector(), vocabulary)
    if all(sample.rate == 1 for sample in samples.values()):
        return sampled
    mix = checked.recipe.mix
    mix = None if mix is None else ask(mix, "without_repeats")
    steps = tuple(step.scaled(_scale(sampled, mix)) for step in checked.recipe.steps)
    recipe = checked.recipe.model_copy(update={"mix": mix, "steps": steps})
    return replace(sampled, recipe=recipe)


def _scale(sampled: CheckedRecipe, mix: MixOperator | None) -> float:
    """How large the corpus on the samples is for that on the whole sources, by what `mix` takes of
    the samples and the mix of the recipe of the sources, as far as is known before any step."""
    taking_part = sampled.samples.keys() - reference_sources(sampled)
    found = (expected_sizes(sampled) or {}).items()
    sizes = {name: size for name, size in found if name in taking_part}
    rates = {name: sampled.samples[name].rate for name in sizes}
    whole = {n: Size(size.rows / rates[n], size.tokens / rates[n]) for n, size in sizes.items()}
    all_rows = _rows_of(sampled.recipe.mix, whole)
    return min(_rows_of(mix, sizes) / all_rows, 1.0) if all_rows else 1.0


def _rows_of(mix: MixOperator | None, sizes: Mapping[str, Size]) -> float:
    """The number of rows that a mix takes of sources of these sizes."""
    epochs = dict.fromkeys(sizes, 1.0) if mix is None else ask(mix, "epochs", sizes)
    return sum(size.rows * epochs[name] for name, size in sizes.items())
