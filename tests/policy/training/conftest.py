from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
import torch
from datasets import Dataset

from datachef.core import Host, Problem, Reward, Score, document
from datachef.core.language_models.checkpoint import load_model, load_tokenizer, quiet
from datachef.core.recipe.checking import check_document
from datachef.policy.decoding.local import prompt_tokens, text_of
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.model import make_tiny_policy
from datachef.policy.prompt import TRUNCATION
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import Recipe, RecipeTask, ScoreTracker
from datachef.policy.settings import GrammarLimits, TaskAndPool, TrainSettings
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, ListOf, OneOf, Record, Selection
from datachef.policy.training.grammar_trainer import ALGORITHMS, GrammarCache
from datachef.policy.training.train import trl_config

TASK = """
name: sums
instruction: Add.
benchmark: {path: test.jsonl, prompt: ask, answer: tell}
metric: exact_match
budget: {tokens: 1_000}
"""
OPERATORS = ("exact_dedup", "fix_unicode", "length_filter", "weighted_mix")
JUMP = Record({"op": Choice(("jump",))}, {"far": Choice((0.5, 10))})
JUST = Record({"op": Choice(("just",))}, {})
# 24 drafts, of which most can be spelled in several ways.
SMALL = Record(
    {
        "sources": Selection({"a": Choice((1, 10)), "b": Choice((1,))}),
        "steps": ListOf(OneOf((JUMP, JUST)), 1),
    },
    {},
)


class Fondness(Reward):
    """1 for recipes of the first source alone, 0 for others; knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Recipe] = []

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        self.asked.append(recipe)
        return Score(float(set(recipe["sources"]) == {"first"}))


@dataclass(frozen=True)
class Enumerated:
    """A trainer of TRL under the grammar of `SMALL`, whose texts are all known, and what each of
    them is worth."""

    trainer: Any
    tokenizer: Any
    prompt: list[int]
    texts: list[tuple[int, ...]]
    worth: torch.Tensor

    def batch(self) -> dict[str, torch.Tensor]:
        """All texts, as TRL's trainers hand them to their loss."""
        width, count = max(map(len, self.texts)), len(self.texts)
        texts = torch.full((count, width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(texts)
        for row, text in enumerate(self.texts):
            texts[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        prompts = torch.tensor([self.prompt] * count)
        return {
            "prompt_ids": prompts,
            "prompt_mask": torch.ones_like(prompts),
            "completion_ids": texts,
            "completion_mask": mask,
        }

    def scored(self, **more: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The trainer's log-probabilities and entropies of all texts, token by token."""
        batch = self.batch()
        logps, entropies, _ = self.trainer._get_per_token_logps_and_entropies(
            self.trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
            compute_entropy=True,
            **more,
        )
        return logps, entropies

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        """Of a loss, over all weights of the model."""
        weights = list(self.trainer.model.parameters())
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def host() -> Host:
    return Host()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tiny models are kept."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def recipe_task(small_pool: Path, host: Host) -> RecipeTask:
    """A task over two sources and four operators."""
    task = small_pool.with_name("task.yaml")
    task.write_text(TASK)
    small_pool.with_name("test.jsonl").write_text('{"ask": "1 + 1?", "tell": "2"}\n')
    limits = GrammarLimits(
        operators=OPERATORS, source_steps=1, corpus_steps=1, values=3, weights=(1, 4)
    )
    return RecipeTask.load(host, task, small_pool, limits)


@pytest.fixture
def wide(small_pool: Path) -> RecipeTask:
    """A task over four sources and eight operators, of which two mix."""
    rows = small_pool.with_name("first.jsonl").read_text()
    names = ("first", "second", "third", "fourth")
    for name in ("third", "fourth"):
        small_pool.with_name(f"{name}.jsonl").write_text(rows)
    pool, task = small_pool.with_name("wide_pool.yaml"), small_pool.with_name("wide_task.yaml")
    pool.write_text(document.dump({"sources": {name: {"path": f"{name}.jsonl"} for name in names}}))
    task.write_text(TASK)
    small_pool.with_name("test.jsonl").write_text('{"ask": "1 + 1?", "tell": "2"}\n')
    more = ("even_mix", "gopher_quality_filter", "gopher_repetition_filter", "sample")
    limits = GrammarLimits(operators=(*OPERATORS, *more), source_steps=2, corpus_steps=1, values=2)
    plugin = Path(__file__).with_name("even_mix.py")
    return RecipeTask.load(Host((str(plugin),)), task, pool, limits)


@pytest.fixture
def model(recipe_task: RecipeTask, models: Path) -> Path:
    """A policy of 300 tokens and one layer that knows nothing yet."""
    drafts = [recipe_task.space.draw(RandomChooser(number)) for number in range(200)]
    asked = recipe_task.writer.messages(recipe_task.space, len(TRUNCATION))
    texts = [*(message["content"] for message in asked), *map(draft_text, drafts)]
    return make_tiny_policy(texts, models, vocabulary=300, hidden=32, layers=1)


@pytest.fixture
def settings(recipe_task: RecipeTask, tmp_path: Path) -> Callable[..., TrainSettings]:
    """Makes settings of a short training."""

    def made(**changed: Any) -> TrainSettings:
        usual = {
            "tasks": [{"task": recipe_task.task, "pool": recipe_task.pool}],
            "output": tmp_path / "output",
            "steps": 2,
            "recipes_per_step": 8,
            "recipes_per_prompt": 8,
            "batch": 8,
            "learning_rate": 1e-2,
        }
        return TrainSettings.model_validate(usual | changed)

    return made


@pytest.fixture
def reward() -> Fondness:
    return Fondness()


@pytest.fixture
def tracker(reward: Fondness, tmp_path: Path) -> ScoreTracker:
    return ScoreTracker(reward, tmp_path)


@pytest.fixture
def problems(recipe_task: RecipeTask, host: Host) -> Callable[[Recipe], list[Problem]]:
    """What `chef check` says of a recipe."""
    folder = recipe_task.pool.parent

    def found(recipe: Recipe) -> list[Problem]:
        data = {**recipe, "task": str(recipe_task.task)}
        parsed = document.parse(document.dump(data))
        return list(check_document(parsed, folder, host, pool=recipe_task.pool).problems)

    return found


@pytest.fixture
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """The weights that a checkpoint holds."""

    def read(checkpoint: Path) -> dict[str, torch.Tensor]:
        return dict(load_model(checkpoint).state_dict())

    return read


@pytest.fixture
def enumerated(
    host: Host,
    models: Path,
    tmp_path: Path,
    every_text: Callable[[Grammar], Iterator[tuple[int, ...]]],
) -> Callable[..., Enumerated]:
    """Makes a trainer over a space whose texts are all known."""
    space = RecipeSpace(SMALL, (), {}, {}, None, host.vocabulary)
    prompt = Prompt(space, ({"role": "user", "content": "Write."},))
    drafts = [space.draw(RandomChooser(number)) for number in range(200)]
    folder = make_tiny_policy(
        [*map(draft_text, drafts)], models, vocabulary=280, hidden=32, layers=1, positions=512
    )
    tokenizer = load_tokenizer(folder)

    def worth(tokens: Sequence[int]) -> float:
        draft = orjson.loads(text_of(tokens, tokenizer))
        jumps = [step.get("far", 0.0) for step in draft["steps"]]
        return len(draft["sources"]) + sum(jumps) / 10

    def made(
        algorithm: Literal["grpo", "rloo", "ppo"] = "grpo",
        *,
        fast_forward: bool = True,
        kind: type[Any] | None = None,
        temperature: float = 1.0,
        entropy: float = 0.0,
        **options: Any,
    ) -> Enumerated:
        trainer, _ = ALGORITHMS[algorithm]
        grammars = GrammarCache(tokenizer, fast_forward=fast_forward)
        assert grammars.add(prompt)
        settings = TrainSettings(
            tasks=(TaskAndPool(task=tmp_path, pool=tmp_path),),
            output=tmp_path / "enumerated",
            algorithm=algorithm,
            recipes_per_step=256,
            recipes_per_prompt=256,
            batch=256,
            entropy=entropy,
            temperature=temperature,
            trainer={"save_strategy": "no", "logging_strategy": "no", **options},
        )
        with quiet(offline=True):
            built = (kind or trainer)(
                model=str(folder),
                reward_funcs=lambda completion_ids, **_: [worth(text) for text in completion_ids],
                args=trl_config(settings, steps=12),
                train_dataset=Dataset.from_list([{"prompt": list(prompt.messages)}] * 12),
                processing_class=tokenizer,
            )
        built.grammars = grammars
        # Such a model is far from even, and far from what it is without a grammar.
        with torch.no_grad():
            built.model.lm_head.weight *= 10
        built.model.eval()
        asked = prompt_tokens(prompt, tokenizer)
        texts = list(every_text(grammars.grammar(asked)))
        return Enumerated(built, tokenizer, asked, texts, torch.tensor([*map(worth, texts)]))

    return made
