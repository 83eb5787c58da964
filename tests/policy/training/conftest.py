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
from datachef.policy.grammar import Grammar, written
from datachef.policy.prompt import TRUNCATION
from datachef.policy.prompt.writer import Brief
from datachef.policy.recipe_task import Assignment, make_tiny_policy
from datachef.policy.scored_recipes import Objective, Recipe
from datachef.policy.settings import Limits, TaskAndPool, TrainSettings
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, OneOf, Record, Selection
from datachef.policy.space.nodes import Sequence as Items
from datachef.policy.training.grammar_trainer import ALGORITHMS, Book
from datachef.policy.training.train import configuration

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
        "steps": Items(OneOf((JUMP, JUST)), 1),
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
def assignment(small_pool: Path, host: Host) -> Assignment:
    """A task over two sources and four operators."""
    task = small_pool.with_name("task.yaml")
    task.write_text(TASK)
    small_pool.with_name("test.jsonl").write_text('{"ask": "1 + 1?", "tell": "2"}\n')
    limits = Limits(operators=OPERATORS, source_steps=1, corpus_steps=1, values=3, weights=(1, 4))
    return Assignment.of(host, task, small_pool, limits)


@pytest.fixture
def wide(small_pool: Path) -> Assignment:
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
    limits = Limits(operators=(*OPERATORS, *more), source_steps=2, corpus_steps=1, values=2)
    plugin = Path(__file__).with_name("even_mix.py")
    return Assignment.of(Host((str(plugin),)), task, pool, limits)


@pytest.fixture
def model(assignment: Assignment, models: Path) -> Path:
    """A policy of 300 tokens and one layer that knows nothing yet."""
    drafts = [assignment.space.draw(RandomChooser(number)) for number in range(200)]
    asked = assignment.writer.messages(assignment.space, len(TRUNCATION))
    texts = [*(message["content"] for message in asked), *map(written, drafts)]
    return make_tiny_policy(texts, models, vocabulary=300, hidden=32, layers=1)


@pytest.fixture
def settings(assignment: Assignment, tmp_path: Path) -> Callable[..., TrainSettings]:
    """Makes settings of a short training."""

    def made(**changed: Any) -> TrainSettings:
        usual = {
            "tasks": [{"task": assignment.task, "pool": assignment.pool}],
            "output": tmp_path / "output",
            "steps": 2,
            "recipes_per_step": 8,
            "recipes_per_brief": 8,
            "batch": 8,
            "learning_rate": 1e-2,
        }
        return TrainSettings.model_validate(usual | changed)

    return made


@pytest.fixture
def reward() -> Fondness:
    return Fondness()


@pytest.fixture
def objective(reward: Fondness, tmp_path: Path) -> Objective:
    return Objective(reward, tmp_path)


@pytest.fixture
def problems(assignment: Assignment, host: Host) -> Callable[[Recipe], list[Problem]]:
    """What `chef check` says of a recipe."""
    folder = assignment.pool.parent

    def found(recipe: Recipe) -> list[Problem]:
        data = {**recipe, "task": str(assignment.task)}
        parsed = document.parse(document.dump(data))
        return list(check_document(parsed, folder, host, pool=assignment.pool).problems)

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
    brief = Brief(space, ({"role": "user", "content": "Write."},))
    drafts = [space.draw(RandomChooser(number)) for number in range(200)]
    folder = make_tiny_policy(
        [*map(written, drafts)], models, vocabulary=280, hidden=32, layers=1, positions=512
    )
    tokenizer = load_tokenizer(folder)

    def worth(tokens: Sequence[int]) -> float:
        draft = orjson.loads(text_of(tokens, tokenizer))
        jumps = [step.get("far", 0.0) for step in draft["steps"]]
        return len(draft["sources"]) + sum(jumps) / 10

    def made(
        algorithm: Literal["grpo", "rloo", "ppo"] = "grpo",
        *,
        jumps: bool = True,
        kind: type[Any] | None = None,
        temperature: float = 1.0,
        entropy: float = 0.0,
        **options: Any,
    ) -> Enumerated:
        trainer, _ = ALGORITHMS[algorithm]
        book = Book(tokenizer, jumps=jumps)
        assert book.add(brief)
        settings = TrainSettings(
            tasks=(TaskAndPool(task=tmp_path, pool=tmp_path),),
            output=tmp_path / "enumerated",
            algorithm=algorithm,
            recipes_per_step=256,
            recipes_per_brief=256,
            batch=256,
            entropy=entropy,
            temperature=temperature,
            trainer={"save_strategy": "no", "logging_strategy": "no", **options},
        )
        with quiet(offline=True):
            built = (kind or trainer)(
                model=str(folder),
                reward_funcs=lambda completion_ids, **_: [worth(text) for text in completion_ids],
                args=configuration(settings, steps=12),
                train_dataset=Dataset.from_list([{"prompt": list(brief.messages)}] * 12),
                processing_class=tokenizer,
            )
        built.book = book
        # Such a model is far from even, and far from what it is without a grammar.
        with torch.no_grad():
            built.model.lm_head.weight *= 10
        built.model.eval()
        prompt = prompt_tokens(brief, tokenizer)
        texts = list(every_text(book.grammar(prompt)))
        return Enumerated(built, tokenizer, prompt, texts, torch.tensor([*map(worth, texts)]))

    return made
