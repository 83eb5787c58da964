"""Fine-tuning before reinforcement learning: what is learned of drawn and of given recipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from datachef.core import DatachefError, document
from datachef.core.language_models.checkpoint import load_model, load_tokenizer, quiet
from datachef.policy.decoding.local import LocalDecoder, prompt_tokens
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import GrammarLimits, TrainSettings
from datachef.policy.space import RandomChooser
from datachef.policy.space.space import RecipeDraft
from datachef.policy.training.cold_start import cold_start
from datachef.policy.training.log import read_log
from datachef.policy.training.train import train

GIVEN = {
    "name": "given",
    "sources": {"second": {"steps": [{"op": "fix_unicode"}]}, "first": {}},
    "mix": {"op": "weighted_mix", "weights": {"first": 0.9, "second": 3.2}},
    "steps": [{"op": "exact_dedup"}],
}

Settings = Callable[..., TrainSettings]
Surprise = Callable[[str | Path, Sequence[RecipeDraft]], float]


@pytest.fixture
def surprise(recipe_task: RecipeTask) -> Surprise:
    """The mean surprise of a model at drafts for the whole prompt, among what is allowed."""

    def found(folder: str | Path, drafts: Sequence[RecipeDraft]) -> float:
        with quiet(offline=True):
            model, tokenizer = load_model(folder), load_tokenizer(folder)
        decoder = LocalDecoder(model, tokenizer)
        prompt = recipe_task.prompt(decoder.count_tokens, 256)
        grammar, prompt = (
            Grammar(prompt.space.schema(), tokenizer),
            prompt_tokens(prompt, tokenizer),
        )
        losses = []
        for draft in drafts:
            text = grammar.encode(draft_text(draft))
            with torch.no_grad():
                logits = model(torch.tensor([prompt + text])).logits[0, len(prompt) - 1 :]
            losses.append(0.0)
            for decision in grammar.decisions(text):
                allowed = torch.from_numpy(decision.allowed)
                chosen = int((allowed == text[decision.index]).nonzero().item())
                losses[-1] -= logits[decision.index, allowed].log_softmax(0)[chosen].item()
        return fmean(losses)

    return found


@pytest.fixture
def given(tmp_path: Path) -> Path:
    file = tmp_path / "given.yaml"
    file.write_text(document.dump(GIVEN))
    return file


@pytest.mark.parametrize(
    ("changed", "less"), [({}, 2.0), ({"lora": {"rank": 16}}, 0.5)], ids=["all", "lora"]
)
def test_drafts_that_were_never_shown_are_less_surprising(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    surprise: Surprise,
    changed: dict[str, Any],
    less: float,
) -> None:
    asked = settings(cold_start={"drawn": 80, "epochs": 2, "learning_rate": 1e-2}, **changed)
    folder = cold_start(asked, [recipe_task], [tracker], model)
    assert folder == asked.output / "cold-start"
    drafts = [recipe_task.space.draw(RandomChooser(f"other {number}")) for number in range(30)]
    assert surprise(folder, drafts) < surprise(model, drafts) - less
    # Nobody asked for the best of them.
    assert tracker.scored == []


def test_given_recipes_are_learned(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    surprise: Surprise,
    given: Path,
) -> None:
    cold = {"recipes": [given], "drawn": 0, "epochs": 60, "learning_rate": 1e-2}
    folder = cold_start(settings(cold_start=cold), [recipe_task], [tracker], model)
    draft = recipe_task.space.draft(GIVEN)
    assert [source["weight"] for source in draft["sources"].values()] == [1, 4]
    assert surprise(folder, [draft]) < 0.5 < surprise(model, [draft])
    decoder = LocalDecoder.of(folder)
    prompt = recipe_task.prompt(decoder.count_tokens, 256)
    assert decoder.sample([prompt], temperature=0) == [draft]


def test_the_best_of_what_was_drawn_are_kept(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path, reward: Any
) -> None:
    cold = {"drawn": 80, "kept": 0.2, "epochs": 10, "learning_rate": 1e-2}
    folder = cold_start(settings(cold_start=cold), [recipe_task], [tracker], model)
    assert len(tracker.scored) == 80
    drawn = fmean(each.score.value for each in tracker.scored)
    assert drawn < 0.6
    decoder = LocalDecoder.of(folder)
    prompt = recipe_task.prompt(decoder.count_tokens, 256)
    written = decoder.sample([prompt] * 40)
    assert fmean(list(draft["sources"]) == ["first"] for draft in written) > drawn + 0.2


@pytest.mark.parametrize("search", ["tpe", "evolution"])
def test_what_a_search_found_is_learned(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path, search: str
) -> None:
    cold = {"search": search, "drawn": 60, "epochs": 10, "learning_rate": 1e-2}
    folder = cold_start(settings(cold_start=cold), [recipe_task], [tracker], model)
    values = [each.score.value for each in tracker.scored]
    assert len(values) == 60
    assert [one.value for one in read_log(Path(folder))] == values
    assert fmean(values[40:]) > fmean(values[:20])
    decoder = LocalDecoder.of(folder)
    prompt = recipe_task.prompt(decoder.count_tokens, 256)
    written = [recipe_task.space.recipe(draft, "w") for draft in decoder.sample([prompt] * 40)]
    assert fmean(score.value for score in tracker.score_all(written)) > fmean(values[:20])


def test_what_is_done_is_not_done_again(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path
) -> None:
    asked = settings(cold_start={"drawn": 8, "kept": 0.5})
    folder = Path(cold_start(asked, [recipe_task], [tracker], model))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert cold_start(asked, [recipe_task], [tracker], "no such model") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(tracker.scored) == 8


def test_without_one_the_model_stays_as_it_is(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path
) -> None:
    asked = settings()
    assert cold_start(asked, [recipe_task], [tracker], model) == model
    assert not asked.output.exists()


def test_a_seed_tells_all_weights(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    weights: Callable[[Path], dict[str, torch.Tensor]],
    tmp_path: Path,
) -> None:
    found = []
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        asked = settings(cold_start={"drawn": 16}, output=tmp_path / name, seed=seed)
        found.append(weights(Path(cold_start(asked, [recipe_task], [tracker], model))))
    assert all(torch.equal(part, found[1][name]) for name, part in found[0].items())
    assert not all(torch.equal(part, found[2][name]) for name, part in found[0].items())


def test_reinforcement_begins_where_it_ended(
    settings: Settings, wide: RecipeTask, tracker: ScoreTracker, model: Path
) -> None:
    subsets = {"held_out": ["sample", "even_mix"], "operators": [0.5, 1.0]}
    asked = settings(cold_start={"drawn": 24}, subsets=subsets, trainer={"learning_rate": 0.0})
    folder = Path(cold_start(asked, [wide], [tracker], model))
    checkpoint = train(asked, [wide], [tracker], folder)
    before, after = load_model(folder).state_dict(), load_model(checkpoint).state_dict()
    assert all(torch.equal(part, after[name]) for name, part in before.items())
    assert not all(
        torch.equal(part, load_model(model).state_dict()[n]) for n, part in before.items()
    )


@pytest.mark.parametrize("cold", [{"drawn": 0}, {"drawn": 10, "kept": 0.01}])
def test_a_cold_start_without_recipes_is_refused(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    cold: dict[str, Any],
) -> None:
    with pytest.raises(DatachefError, match="no recipes"):
        cold_start(settings(cold_start=cold), [recipe_task], [tracker], model)


def test_a_given_recipe_with_what_is_held_out_is_refused(
    settings: Settings, recipe_task: RecipeTask, tracker: ScoreTracker, model: Path, given: Path
) -> None:
    cold = {"recipes": [given], "drawn": 0}
    asked = settings(cold_start=cold, subsets={"held_out": ["exact_dedup"]})
    with pytest.raises(DatachefError, match="exact_dedup"):
        cold_start(asked, [recipe_task], [tracker], model)
    assert not (asked.output / "cold-start").exists()


def test_steps_may_have_reasons(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    given: Path,
    host: Any,
) -> None:
    limits = GrammarLimits(
        operators=recipe_task.space.operators,
        source_steps=1,
        corpus_steps=1,
        weights=(1, 4),
        reason_characters=5,
    )
    reasoned = RecipeTask.load(host, recipe_task.task, recipe_task.pool, limits)
    asked = settings(cold_start={"recipes": [given], "drawn": 4})
    decoder = LocalDecoder.of(cold_start(asked, [reasoned], [tracker], model))
    prompt = reasoned.prompt(decoder.count_tokens, 256)
    assert reasoned.space.root.contains(decoder.sample([prompt])[0])


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"mix": {"op": "weighted_mix", "temperature": 0.37}}, "mix is not in the space"),
        ({"steps": [{"op": "sample"}]}, r"steps\[0\] is not in the space"),
        ({"sources": {"third": {}}}, "no source 'third'"),
    ],
)
def test_a_given_recipe_outside_the_space_says_where(
    settings: Settings,
    recipe_task: RecipeTask,
    tracker: ScoreTracker,
    model: Path,
    given: Path,
    changed: dict[str, Any],
    place: str,
) -> None:
    given.write_text(document.dump(GIVEN | changed))
    asked = settings(cold_start={"recipes": [given], "drawn": 0})
    with pytest.raises(DatachefError, match=place):
        cold_start(asked, [recipe_task], [tracker], model)
