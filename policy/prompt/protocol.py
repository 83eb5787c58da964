"""What a prompt says of the task: how a recipe's corpus is measured, and within which budget."""

from __future__ import annotations

from pathlib import Path

from datachef.core.benchmark import read_benchmark
from datachef.core.task import SCORED_BY, Budget, Task
from datachef.policy.prompt.guard import BenchmarkGuard
from datachef.policy.prompt.quoting import named, quoted
from datachef.policy.prompt.sources import quoted_texts
from datachef.policy.prompt.spread import spread

EXAMPLES = 2
INSTRUCTION_CHARACTERS = 2_000


def task_block(task: Task) -> str:
    """The instruction and the protocol."""
    instruction = quoted(task.instruction.strip(), INSTRUCTION_CHARACTERS)
    lines = [f"instruction: {instruction}"] if task.instruction.strip() else []
    place = Path(task.base_model)
    lines += [
        f"base model: {named(place.name if place.is_absolute() else task.base_model)}",
        f"metric: {task.metric}; {SCORED_BY[task.metric]}",
        "protocol: your recipe makes a training corpus of the sources; the base model is fine-tuned"
        " on it and asked the questions of a benchmark that it has not seen, and the recipe scores"
        " by how probable the right answers have become. Rows with questions of the benchmark are"
        " dropped from every corpus, and a corpus that repeats a source too often scores below all"
        " others.",
    ]
    return "\n".join(lines)


def task_examples(task: Task, guard: BenchmarkGuard) -> list[str]:
    """A line for each of a few examples of the task's training split that are not in the benchmark
    too. Raises `DatachefError` where the split cannot be read."""
    items = read_benchmark(task.examples) if task.examples is not None else []
    found: list[str] = []
    for item in spread(items):
        if len(found) == EXAMPLES:
            break
        if item.prompt.strip() and not guard.refuses([item.prompt, item.answer]):
            found.append(f"example: {quoted_texts({'prompt': item.prompt, 'answer': item.answer})}")
    return found


def size_of(budget: Budget) -> str:
    """The budget in its unit, with all its digits."""
    return f"{budget.rows} rows" if budget.tokens is None else f"{budget.tokens} tokens"
