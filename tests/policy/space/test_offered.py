"""Every operator that is installed can be chosen by a policy, or says in a sentence why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, document, run_recipe
from datachef.core.recipe.checked import source_steps
from datachef.core.recipe.checking import check_document
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space

POOL = """
sources:
  documents: {path: documents.jsonl}
  dialogues: {path: dialogues.jsonl, format: {prompt: question, completion: answer}}
  columns: {path: columns.jsonl, format: {text: text}}
  choices: {path: choices.jsonl, format: {prompt: question, completion: answer}}
language_models: {models: [small], budget_tokens: 1_000}
"""
TASK = """
name: sums
instruction: Add.
benchmark: {path: test.jsonl}
examples: {path: dialogues.jsonl, prompt: question, answer: answer}
metric: number_match
budget: {tokens: 10_000}
"""
ADAPTATION = (
    "answer_form", "chain_of_thought", "prompt_form", "split_turns", "system_prompt",
    "to_messages", "truncate_tokens",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with documents, conversations, scores, options, and columns that hold turns."""
    place = tmp_path_factory.mktemp("pool")
    numbers = range(60)
    rows: dict[str, list[dict[str, object]]] = {
        "documents": [{"text": f"Page {i} tells of rivers.", "score": i / 10} for i in numbers],
        "dialogues": [
            {"question": f"{i} + 1?", "answer": f"One more.\n#### {i + 1}", "score": i / 10}
            for i in numbers
        ],
        "columns": [
            {"text": f"row {i}", "instruction": f"{i} + 1?", "output": str(i + 1), "score": i / 10}
            for i in numbers
        ],
        "choices": [
            {
                "question": f"{i} + 1?\nA) {i}\nB) {i + 1}",
                "answer": "answer2",
                "score": i / 10,
            }
            for i in numbers
        ],
        "test": [
            {"prompt": f"Question: Of {i + 100} cows one is sold. Left?\nAnswer:", "answer": "9"}
            for i in numbers
        ],
    }
    for name, lines in rows.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (place / f"{name}.jsonl").write_text(text)
    (place / "task.yaml").write_text(TASK)
    (place / "pool.yaml").write_text(POOL)
    return place


def space_of(folder: Path, operators: tuple[str, ...] | None = None, **limited: Any) -> RecipeSpace:
    """Whatever a step keeps of these few words."""
    limits = GrammarLimits(operators=operators, least_kept=0, **limited)
    return recipe_space(Host(), folder / "pool.yaml", folder / "task.yaml", limits)


@pytest.fixture(scope="module")
def space(folder: Path) -> RecipeSpace:
    return space_of(folder)


def test_every_operator_is_offered_or_says_why_not(space: RecipeSpace) -> None:
    for name in space.vocabulary:
        kind = space.vocabulary[name]
        if "needs the asset" in space.left_out.get(name, ""):
            continue  # offered wherever somebody fetched it
        if name in space.operators:
            assert not kind.not_for_policies, f"{name} is offered, and says that it is not"
        else:
            told = kind.not_for_policies
            assert told, f"{name} is not offered ({space.left_out[name]}): say why, or let it be"
            assert told.endswith(".") and "." not in told[:-1], f"{name}: one sentence"
    assert set(ADAPTATION) <= set(space.operators)


def test_what_is_left_out_is_told_with_the_reason(folder: Path, space: RecipeSpace) -> None:
    assert "free text" in space.left_out["regex_filter"]
    limits = GrammarLimits(operators=("answer_form", "weighted_mix"))
    without_task = recipe_space(Host(), folder / "pool.yaml", limits=limits).left_out
    assert "no task says what form answers have" in without_task["answer_form"]


def test_a_step_that_takes_long_is_offered_where_it_is_asked_for(
    folder: Path, smollm2: Path, space: RecipeSpace
) -> None:
    assert "takes about a second" in space.left_out["perplexity_filter"]
    assert "perplexity_filter" in space_of(folder, ("perplexity_filter", "weighted_mix")).operators


def test_steps_that_adapt_are_written_with_all_their_values(folder: Path) -> None:
    space = space_of(folder, (*ADAPTATION, "weighted_mix"))
    drafts = [space.draw(RandomChooser(seed)) for seed in range(300)]
    written: dict[str, set[str]] = {}
    for draft in drafts:
        for source in draft["sources"].values():
            for step in source.get("steps", ()):
                values = written.setdefault(step["op"], set())
                values |= {f"{key}={value}" for key, value in step.items()}
    assert set(written) == set(ADAPTATION)
    assert {"form=letter", "form=number", "solution=keep", "wording=boxed"} <= written[
        "answer_form"
    ]
    assert {"place=think_tags", "trigger=drop"} <= written["chain_of_thought"]
    assert {"option_labels=parentheses", "answer_label=A:"} <= written["prompt_form"]
    for draft in drafts[:12]:
        recipe = {**space.recipe(draft, "drafted"), "task": "task.yaml"}
        parsed = document.parse(document.dump(recipe))
        found = check_document(parsed, folder, Host(), pool=folder / "pool.yaml")
        assert not found.problems


def test_steps_that_select_toward_the_task_are_written_with_all_their_values(folder: Path) -> None:
    named = ("diverse_sample", "task_ranking", "task_similarity", "weighted_mix")
    space = space_of(folder, named)
    drafts = [space.draw(RandomChooser(seed)) for seed in range(150)]
    steps = [
        step
        for draft in drafts
        for own in (draft, *draft["sources"].values())
        for step in own.get("steps", ())
    ]
    written = {f"{step['op']}.{key}={value}" for step in steps for key, value in step.items()}
    assert {
        "diverse_sample.method=facility_location",
        "task_ranking.regularization=0.01",
        "task_similarity.to=mean",
    } <= written
    assert "task_similarity.by=embeddings" not in written, "a model takes long"
    by = {"task_similarity.by": ("ngrams", "embeddings")}
    assert "embeddings" in str(space_of(folder, named, parameters=by).schema())
    for draft in drafts[:12]:
        recipe = {**space.recipe(draft, "drafted"), "task": "task.yaml"}
        parsed = document.parse(document.dump(recipe))
        assert not check_document(parsed, folder, Host(), pool=folder / "pool.yaml").problems


SYNTHESIS = (
    "answer_question", "back_translate", "evol_instruct", "generate_question",
    "generate_question_answer_pairs", "judge_score", "rejection_sampling", "rephrase_text",
    "self_instruct", "to_multiple_choice",
)  # fmt: skip


def test_steps_that_ask_models_are_written_with_the_models_of_the_pool(folder: Path) -> None:
    space = space_of(folder, (*SYNTHESIS, "weighted_mix"))
    drafts = [space.draw(RandomChooser(seed)) for seed in range(120)]
    steps = [
        step
        for draft in drafts
        for part in (draft, *draft["sources"].values())
        for step in part.get("steps", ())
    ]
    assert {step["op"] for step in steps if "model" in step} == set(SYNTHESIS)
    assert {step["model"] for step in steps if step["op"] in SYNTHESIS} == {"small"}
    assert {"decompose", "concise"} <= {step.get("style") for step in steps}
    assert not {"prompt", "system", "gold"} & {name for step in steps for name in step}
    for draft in drafts[:12]:
        recipe = {**space.recipe(draft, "drafted"), "task": "task.yaml"}
        parsed = document.parse(document.dump(recipe))
        assert not check_document(parsed, folder, Host(), pool=folder / "pool.yaml").problems


def test_a_written_recipe_adapts_to_the_task(folder: Path, tmp_path: Path) -> None:
    recipe = """
name: adapted
task: task.yaml
pool: pool.yaml
sources:
  dialogues: {steps: [{op: prompt_form}, {op: answer_form, solution: drop, wording: bare}]}
  columns: {steps: [{op: to_messages}, {op: prompt_form}, {op: answer_form, wording: bare}]}
  choices: {steps: [{op: prompt_form}, {op: answer_form, form: letter, wording: bare}]}
output: {format: jsonl, schema: messages}
"""
    path = folder / "recipe.yaml"
    path.write_text(recipe)
    run_recipe(path, output=tmp_path / "corpus", cache=tmp_path / "cache", workers=1)
    lines = [
        json.loads(line)
        for file in sorted((tmp_path / "corpus" / "data").iterdir())
        for line in file.read_text().splitlines()
    ]
    said = {tuple(turn["content"] for turn in line["messages"]) for line in lines}
    assert ("Question: 3 + 1?\nAnswer:", "4") in said
    assert ("Question: 3 + 1?\nA) 3\nB) 4\nAnswer:", "B") in said
    assert len(lines) == 180


def test_a_task_that_is_an_argument_fills_in_what_steps_leave_open(folder: Path) -> None:
    recipe = """
name: argued
sources:
  dialogues:
    path: dialogues.jsonl
    format: {prompt: question, completion: answer}
    steps: [{op: prompt_form}, {op: answer_form}, {op: system_prompt}]
"""
    parsed = document.parse(recipe)
    without = check_document(parsed, folder, Host())
    assert {problem.path for problem in without.problems} == {
        "sources.dialogues.steps[1]",
        "sources.dialogues.steps[2].prompt",
    }
    checked = check_document(parsed, folder, Host(), task=folder / "task.yaml").passed()
    prompt, answer, system = (placed.operator for placed in source_steps(checked, "dialogues"))
    assert (prompt.question_label, prompt.answer_label) == ("Question:", "Answer:")
    assert (answer.form, answer.wording, answer.solution) == ("number", "hashes", "drop")
    assert system.prompt == "Add."
