"""What the mask in the log-probabilities is worth: the same trainer with it and without.

    python benchmarks/policy/masking.py [--seeds 4] [--steps 40] [--output FILE]

Recipes are sampled under the grammar in all rows; what differs is what their tokens are scored by:

- masked: their probability among what the grammar allows, as datachef trains.
- unmasked, decisions: among the whole vocabulary, where the grammar leaves a choice.
- unmasked, all tokens: likewise everywhere, as TRL's own trainer scores.

Reward is the mean over the last five steps of training a tiny policy from random weights, on a pool
that this script writes, by a rule that it knows: most of one source, filtered and without copies.
Cosine is that of the direction that training expects to follow and the gradient of the expected
reward, both by enumeration of all texts of a small grammar, over random models. Intervals are 95%
by Student's t over seeds; models and calls are the same in all rows.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import torch
from datasets import Dataset

from datachef.core import Host, Reward, Score
from datachef.core.contracts.reward import mean_interval
from datachef.core.language_models.checkpoint import load_tokenizer, quiet
from datachef.policy.decoding.local import prompt_tokens, text_of, token_positions
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.model import make_tiny_policy, policy_model
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import GrammarLimits, TaskAndPool, TrainSettings
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, ListOf, OneOf, Record, Selection
from datachef.policy.training.grammar_trainer import (
    ALGORITHMS,
    GRPO,
    GrammarCache,
    GrammarGRPOMixin,
)
from datachef.policy.training.train import train, trl_config

RECIPES = 16
LAST = 5
# A model of random weights is all but even among tokens; a trained one is not.
SHARPNESS = 10
SOURCES = ("pages", "dialogues", "notes", "spam")
OPERATORS = (
    "exact_dedup", "fix_unicode", "gopher_quality_filter", "length_filter", "sample",
    "weighted_mix",
)  # fmt: skip
TASK = """
name: sums
instruction: Add.
benchmark: {path: test.jsonl, prompt: ask, answer: tell}
metric: exact_match
budget: {tokens: 1_000}
"""
SMALL = Record(
    {
        "sources": Selection({"a": Choice((1, 10)), "b": Choice((1,))}),
        "steps": ListOf(
            OneOf(
                (
                    Record({"op": Choice(("jump",))}, {"far": Choice((0.5, 10))}),
                    Record({"op": Choice(("just",))}, {}),
                )
            ),
            1,
        ),
    },
    {},
)


class Unmasked(GRPO):
    """Scores decisions among the whole vocabulary."""

    def _score(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start = input_ids.shape[1] - width
        logits = model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=token_positions(attention_mask),
            logits_to_keep=width + 1,
            use_cache=False,
        ).logits[:, :-1]
        distribution = (logits.float() / self.temperature).log_softmax(dim=2)
        logps = distribution.gather(2, input_ids[:, start:, None])[..., 0]
        entropies = -(distribution.exp() * distribution).sum(2)
        counted = self._counted(input_ids, attention_mask, start)
        return logps * counted, entropies * counted

    def _counted(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, start: int
    ) -> torch.Tensor:
        """1 for tokens that are scored."""
        decided = self.grammars.decisions(input_ids, attention_mask, start)
        here = torch.zeros_like(attention_mask[:, start:])
        return here.index_put((decided.rows, decided.columns), torch.ones_like(decided.rows))


class UnmaskedEverywhere(Unmasked):
    """Scores all tokens among the whole vocabulary."""

    def _counted(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, start: int
    ) -> torch.Tensor:
        return attention_mask[:, start:]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        # Without marks where the grammar left no choice.
        found: dict[str, Any] = super(GrammarGRPOMixin, self)._generate_and_score_completions(
            inputs
        )
        return found


TRAINERS: dict[str, type[Any]] = {
    "masked": GRPO,
    "unmasked, decisions": Unmasked,
    "unmasked, all tokens": UnmaskedEverywhere,
}


class Taste(Reward):
    """Likes four fifths of pages, their short rows dropped, and no copies; dislikes all other
    steps, and stops recipes with spam."""

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        if "spam" in recipe["sources"]:
            return Score(-1.5, gate="guardrails")
        weights = recipe["mix"]["weights"]
        share = weights.get("pages", 0) / sum(weights.values())
        of_sources = [s for source in recipe["sources"].values() for s in source.get("steps", ())]
        own = [step["op"] for step in recipe["sources"].get("pages", {}).get("steps", ())]
        last = [step["op"] for step in recipe.get("steps", ())]
        liked = ("length_filter" in own) + ("exact_dedup" in last)
        others = len(of_sources) + len(last) - liked
        return Score(0.5 * (1 - abs(share - 0.8)) + 0.25 * liked - 0.08 * others)


@dataclass
class TrainerResult:
    """Of one way to score: final rewards, seconds a step and cosines, each by seed."""

    rewards: list[float]
    seconds: list[float]
    cosines: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--output", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: TrainerResult([], [], []) for name in TRAINERS}
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        recipe_task = assignment_in(work)
        for seed in range(options.seeds):
            for name, kind in TRAINERS.items():
                reward, seconds = trained(kind, recipe_task, work, seed, options.steps)
                found[name].rewards.append(reward)
                found[name].seconds.append(seconds)
                found[name].cosines.append(cosine_of(kind, work, seed))
                print(f"{name}, seed {seed}: {reward:.3f}", flush=True)
    report = told(found, options)
    print(report)
    if options.output:
        options.output.write_text(report)


def assignment_in(work: Path) -> RecipeTask:
    """A task over a pool of four sources, written there."""
    texts = {
        "pages": [{"text": f"Page {i} is about rivers and what swims there."} for i in range(60)],
        "dialogues": [{"ask": f"{i} + 1?", "tell": str(i + 1)} for i in range(60)],
        "notes": [{"text": f"Note {i} is a short one."} for i in range(60)],
        "spam": [{"text": f"Buy {i} now and get one more!"} for i in range(60)],
        "test": [{"ask": "1 + 1?", "tell": "2"}],
    }
    for name, rows in texts.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (work / f"{name}.jsonl").write_text(lines)
    sources: dict[str, dict[str, Any]] = {name: {"path": f"{name}.jsonl"} for name in SOURCES}
    sources["dialogues"]["format"] = {"prompt": "ask", "completion": "tell"}
    (work / "pool.yaml").write_text(json.dumps({"sources": sources}))
    (work / "task.yaml").write_text(TASK)
    limits = GrammarLimits(operators=OPERATORS, source_steps=1, corpus_steps=1, values=3)
    return RecipeTask.load(Host(), work / "task.yaml", work / "pool.yaml", limits)


def trained(
    kind: type[Any], recipe_task: RecipeTask, work: Path, seed: int, steps: int
) -> tuple[float, float]:
    """The reward at the end of a training, and its seconds a step."""
    model = policy_model("tiny", [recipe_task], work / "models", seed)
    settings = TrainSettings(
        tasks=(TaskAndPool(task=recipe_task.task, pool=recipe_task.pool),),
        output=work / f"{kind.__name__} {seed}",
        steps=steps,
        recipes_per_step=RECIPES,
        recipes_per_prompt=RECIPES,
        batch=RECIPES,
        learning_rate=2e-3,
        schedule="constant",
        save_steps=10_000,
        seed=seed,
    )
    means: list[float] = []
    with instead_of_grpo(kind):
        started = time.process_time()
        train(
            settings,
            [recipe_task],
            [ScoreTracker(Taste(), work)],
            model,
            on_progress=lambda _, mean: means.append(mean),
        )
        seconds = time.process_time() - started
    return fmean(means[-LAST:]), seconds / steps


@contextmanager
def instead_of_grpo(kind: type[Any]) -> Iterator[None]:
    before = ALGORITHMS["grpo"]
    ALGORITHMS["grpo"] = (kind, before[1])
    yield
    ALGORITHMS["grpo"] = before


def cosine_of(kind: type[Any], work: Path, seed: int) -> float:
    """Between what training expects to follow and the gradient of the expected reward."""
    space = RecipeSpace(SMALL, (), {}, {}, None, Host().vocabulary)
    prompt = Prompt(space, ({"role": "user", "content": "Write."},))
    drafts = [draft_text(space.draw(RandomChooser(number))) for number in range(200)]
    folder = make_tiny_policy(drafts, work / "models", seed=seed, vocabulary=280, hidden=32)
    tokenizer = load_tokenizer(folder)
    grammars = GrammarCache(tokenizer)
    grammars.add(prompt)
    prompt = prompt_tokens(prompt, tokenizer)
    texts = list(every_text(grammars.grammar(prompt)))
    worth = torch.tensor([worth_of(orjson.loads(text_of(text, tokenizer))) for text in texts])
    inputs = batch_of(prompt, texts, tokenizer.pad_token_id)
    exact_trainer, trainer = (
        trainer_of(each, folder, prompt, grammars, tokenizer, work) for each in (GRPO, kind)
    )
    probabilities = logps_of(exact_trainer, inputs).exp()
    exact = gradient((probabilities * worth).sum(), exact_trainer.model)
    shares = probabilities.detach()
    surplus = shares * (worth - (shares * worth).sum())
    followed = gradient((logps_of(trainer, inputs) * surplus).sum(), trainer.model)
    return torch.nn.functional.cosine_similarity(exact, followed, dim=0).item()


def every_text(grammar: Grammar, start: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """All texts of a finite grammar that begin so, token by token."""
    state, text = grammar.start(), list[int]()
    while len(text) < len(start):
        forced = state.forced()
        text += forced
        if not forced:
            state.advance(start[len(text)])
            text.append(start[len(text)])
    text += state.forced()
    if state.finished:
        yield tuple(text)
        return
    for token in state.allowed():
        yield from every_text(grammar, (*text, int(token)))


def worth_of(draft: dict[str, Any]) -> float:
    return len(draft["sources"]) + sum(step.get("far", 0) for step in draft["steps"]) / 10


def batch_of(
    prompt: Sequence[int], texts: Sequence[Sequence[int]], padding: int
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Tokens, their mask, and the width of the texts."""
    width = max(map(len, texts))
    ids = [[*prompt, *text, *[padding] * (width - len(text))] for text in texts]
    mask = [[1] * (len(prompt) + len(text)) + [0] * (width - len(text)) for text in texts]
    return torch.tensor(ids), torch.tensor(mask), width


def trainer_of(
    kind: type[Any],
    folder: Path,
    prompt: Prompt,
    grammars: GrammarCache,
    tokenizer: Any,
    work: Path,
) -> Any:
    settings = TrainSettings(
        tasks=(TaskAndPool(task=work, pool=work),), output=work / "small", model=str(folder)
    )
    with quiet(offline=True):
        trainer = kind(
            model=str(folder),
            reward_funcs=lambda completion_ids, **_: [0.0] * len(completion_ids),
            args=trl_config(settings, 1),
            train_dataset=Dataset.from_list([{"prompt": list(prompt.messages)}]),
            processing_class=tokenizer,
        )
    trainer.grammars = grammars
    with torch.no_grad():
        trainer.model.lm_head.weight *= SHARPNESS
    return trainer


def logps_of(trainer: Any, inputs: tuple[torch.Tensor, torch.Tensor, int]) -> torch.Tensor:
    """What the trainer takes for the log-probability of each text."""
    logps: torch.Tensor
    logps, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, *inputs)
    return logps.sum(1)


def gradient(value: torch.Tensor, model: Any) -> torch.Tensor:
    parts = torch.autograd.grad(value, list(model.parameters()))
    return torch.cat([part.flatten() for part in parts]).double()


def told(found: dict[str, TrainerResult], options: argparse.Namespace) -> str:
    fastest = fmean(found["masked"].seconds)
    lines = [
        "# The mask in the log-probabilities",
        "",
        f"GRPO on a tiny policy: {options.steps} steps of {RECIPES} recipes, {options.seeds} "
        "seeds. What the columns are stands in [the script](../../policy/masking.py), run as "
        f"`python benchmarks/policy/masking.py --seeds {options.seeds} --steps {options.steps}` "
        "on one core.",
        "",
        "| scored | reward at the end | cosine with the exact gradient | CPU seconds a step |",
        "|---|---|---|---|",
    ]
    for name, each in found.items():
        ratio = fmean(each.seconds) / fastest
        lines.append(
            f"| {name} | {with_interval(each.rewards)} | {with_interval(each.cosines)} "
            f"| {fmean(each.seconds):.2f} ({ratio:.1f}x) |"
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "trl", "llguidance"))
    return "\n".join([*lines, "", f"Python {platform.python_version()}, {packages}.", ""])


def with_interval(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    around = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{fmean(values):.2f}{around}"


if __name__ == "__main__":
    main()
