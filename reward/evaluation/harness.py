"""Accuracy, measured with lm-eval (https://github.com/EleutherAI/lm-evaluation-harness).

A task names either a task of the harness, or a file with a benchmark, which becomes a task of the
harness in memory, scored by our metrics: no YAML, no data set on disk, no code by name.
"""

from __future__ import annotations

import io
import logging
import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from datachef.core.contracts.code_permission import require_permission
from datachef.core.contracts.metric import AllowCode, BenchmarkItem, Choices, Metric
from datachef.core.contracts.task import BenchmarkFile, LMEvalBenchmark, Task
from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, UnavailableError, did_you_mean, optional_package
from datachef.core.language_models.checkpoint import load_model, load_tokenizer, quiet
from datachef.core.registry.installed import metric_of
from datachef.core.rows.benchmark import read_benchmark
from datachef.core.system.failures import raise_environment_failure
from datachef.reward.metrics import metric_for

MOST_AT_ONCE = 32
# Bytes for the logits of a batch of prompts of 512 tokens.
LOGITS = {"cpu": 1 << 30, "cuda": 8 << 30}
# For the standard errors that have no formula.
RESAMPLES = 1_000
ANSWERS = "answers.jsonl"


def run_harness(
    model: str | Path,
    task: Task,
    *,
    limit: int | None,
    seed: int,
    folder: Path,
    allow_code: AllowCode,
) -> dict[str, float]:
    """Measures a checkpoint on at most `limit` items of a task, drawn by `seed`.

    Returns `{metric: value, metric_stderr: value}`; see `score`. Prompts stand in the chat template
    of the checkpoint, with thinking switched off where it has that switch, and nothing is looked up
    on the network. Raises `MissingPackageError` without lm-eval, and `DatachefError` where there is
    no such checkpoint or task, and for unit tests without `allow_code`.
    """
    with _silent():
        huggingface = harness_package("lm_eval.models.huggingface")
        torch = harness_package("torch")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = load_model(model, "bfloat16" if device == "cuda" else "float32").to(device)
        at_once = LOGITS[device] // (4 * 512 * loaded.config.vocab_size)
        # A model that is handed over spares the harness from starting Accelerate, whose state would
        # stay behind for the next training.
        lm = huggingface.HFLM(
            pretrained=loaded,
            tokenizer=load_tokenizer(model),
            batch_size=max(1, min(at_once, MOST_AT_ONCE)),
            enable_thinking=False,
        )
    return score(lm, task, limit=limit, seed=seed, folder=folder, allow_code=allow_code)


def score(
    lm: Any,
    task: Task,
    *,
    limit: int | None = None,
    seed: int = 0,
    folder: Path,
    allow_code: AllowCode = False,
    chat: bool = True,
) -> dict[str, float]:
    """Measures any `lm_eval.api.model.LM`, asked in its chat template where `chat`.

    A benchmark file gives the share in [0, 1] of the items that are answered right, under the name
    of the task's metric, and what was answered to each goes to `folder/answers.jsonl`; items
    without an answer are left out. A task of the harness gives every metric as the harness reports
    it, on the scale of that metric: `acc`, `exact_match/strict-match` for one with a named filter,
    and `arc_easy/acc` where the name stands for several tasks. Standard errors are left out where
    they cannot be estimated, as from one item.
    """
    if isinstance(task.benchmark, LMEvalBenchmark):
        return _named(lm, task.benchmark.lm_eval, limit, seed, allow_code, chat)
    items = _drawn(_answered(task.benchmark, metric_of(task)), limit, seed)
    local = LocalTask.of(task, items, allow_code=allow_code)
    with _silent():
        most = int(getattr(lm, "max_length", 2**16)) // 2
        built = local.harness_task(most, chat=chat)
        results = _evaluate(lm, {"tasks": {task.name: built}}, {}, seed, chat, allow_code)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE) for answer in local.answers]
    (folder / ANSWERS).write_bytes(b"".join(lines))
    return _figures(results[task.name])


def _answered(benchmark: BenchmarkFile, metric: type[Metric]) -> list[BenchmarkItem]:
    items = read_benchmark(benchmark)
    asked = [item for item in items if not metric.needs_gold or item.answer.strip()]
    if not asked:
        raise DatachefError(
            f"{benchmark.path} has no item with an answer",
            hint="name the field that holds it as `answer`",
        )
    return asked


def _drawn(items: list[BenchmarkItem], limit: int | None, seed: int) -> list[BenchmarkItem]:
    return [items[place] for place in _places(len(items), limit, seed)]


def _places(count: int, limit: int | None, seed: int) -> list[int]:
    if limit is None or limit >= count:
        return list(range(count))
    return sorted(random.Random(seed).sample(range(count), limit))


def _named(
    lm: Any, name: str, limit: int | None, seed: int, allow_code: AllowCode, chat: bool
) -> dict[str, float]:
    with _silent():
        manager = harness_package("lm_eval.tasks").TaskManager()
        if name not in manager.task_index:
            raise DatachefError(
                f"lm-eval has no task {name!r}", hint=did_you_mean(name, manager.all_tasks)
            )
        with _explained(name):
            loaded = manager.load([name])
            if any(getattr(built, "UNSAFE_CODE", False) for built in loaded["tasks"].values()):
                _require_unconfined(name, allow_code)
            drawn = {
                each: _places(len(built.eval_docs), limit, seed)
                for each, built in loaded["tasks"].items()
            }
            results = _evaluate(lm, loaded, drawn, seed, chat, allow_code)
    if figures := _figures(results.get(name, {})):
        return figures
    return {
        f"{each}/{metric}": value
        for each in sorted(loaded["tasks"])
        for metric, value in _figures(results[each]).items()
    }


def _require_unconfined(name: str, allow_code: AllowCode) -> None:
    """Raises unless unconfined code is allowed: lm-eval runs it in this very process."""
    require_permission(f"the task {name} of lm-eval", allow_code)
    if allow_code != "unconfined":
        raise DatachefError(
            f"the task {name} of lm-eval runs code that a model wrote, which lm-eval does not "
            "confine",
            hint="give the task a benchmark file and the metric unit_tests, or allow it with "
            "--allow-code=unconfined",
        )


def _evaluate(
    lm: Any,
    tasks: Mapping[str, Any],
    drawn: Mapping[str, list[int]],
    seed: int,
    chat: bool,
    allow_code: AllowCode,
) -> dict[str, dict[str, Any]]:
    """The figures by task; every task draws with `seed`."""
    harness_package("transformers").set_seed(seed)
    for built in tasks["tasks"].values():
        if built.get_config("num_fewshot") is None:
            built.set_config(key="num_fewshot", value=0)
        built.set_fewshot_seed(seed=seed)
    found = harness_package("lm_eval.evaluator").evaluate(
        lm=lm,
        task_dict=tasks,
        samples=dict(drawn) or None,
        bootstrap_iters=RESAMPLES,
        log_samples=False,
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        confirm_run_unsafe_code=bool(allow_code),
    )
    results: dict[str, dict[str, Any]] = found["results"]
    return results


def _figures(reported: Mapping[str, Any]) -> dict[str, float]:
    """`acc,none` as `acc`, `acc_stderr,none` as `acc_stderr`, and what is no number not at all."""
    figures = {}
    for key, value in sorted(reported.items()):
        metric, comma, kind = key.partition(",")
        if not comma or isinstance(value, str):
            continue
        name, error = metric.removesuffix("_stderr"), "_stderr" * metric.endswith("_stderr")
        figures[(name if kind == "none" else f"{name}/{kind}") + error] = float(value)
    return figures


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Tasks of the harness are code of many authors, which fails in many ways."""
    try:
        yield
    except DatachefError:
        raise
    except Exception as error:
        raise_environment_failure(error)
        raise UnavailableError(
            f"lm-eval could not run its task {name}: {type(error).__name__}: {error}",
            hint="it may lack a package; its data set has to be in the cache of Hugging Face, "
            f"where `lm_eval --model dummy --tasks {name} --limit 1` puts it",
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps the harness from printing, from the network, and from starting processes."""
    hidden = {"DISABLE_MULTIPROC": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in hidden}
    disabled = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        quiet(offline=True),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        os.environ.update(hidden)
        config = harness_package("datasets.config")
        offline, config.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE, True
        try:
            yield
        finally:
            config.HF_HUB_OFFLINE = offline
            logging.disable(disabled)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


# Where a model without a chat template begins to make up another question.
ENDS = ("\n\nQuestion:", "\n\nProblem:", "\n\n\n")


def harness_package(module: str) -> Any:
    """A module of lm-evaluation-harness; `MissingPackageError` without it."""
    return optional_package(module, extra("evaluate"), "measuring accuracy")


@dataclass
class LocalTask:
    """The items of a task with a benchmark file; `answers` fills up as a model is judged.

    Metrics with a closed set of answers (`Metric.choices`) are measured by likelihood, the others
    by generation. Of equally likely choices the first counts.
    """

    task: Task
    items: Sequence[BenchmarkItem]
    metric: Metric
    choices: Sequence[Choices | None]
    answers: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, task: Task, items: Sequence[BenchmarkItem], *, allow_code: AllowCode) -> LocalTask:
        """Raises `DatachefError` where code is not allowed and where gold answers do not fit."""
        assert isinstance(task.benchmark, BenchmarkFile)
        metric = metric_for(task, allow_code=allow_code)
        return cls(task, items, metric, metric.choices(items))

    def harness_task(self, answer_tokens: int, *, chat: bool) -> Any:
        """A `ConfigurableTask` over the items in their order, without examples in the prompt."""
        datasets = harness_package("datasets")
        docs = [
            {"number": number, "prompt": item.prompt, "gold": item.answer, "choices": list(texts)}
            for number, (item, texts) in enumerate(zip(self.items, self._texts(), strict=True))
        ]
        generated = self.choices[0] is None
        tokens = min(self.metric.answer_tokens, answer_tokens)
        generation = {"until": [] if chat else list(ENDS), "do_sample": False}

        # lm-eval copies its configuration, which a function survives and a bound method does not.
        def judged(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
            return {self.task.metric: self._judge(doc["number"], results)}

        config = {
            "task": self.task.name,
            "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(docs)},
            "test_split": "test",
            "output_type": "generate_until" if generated else "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_target": "gold",
            "doc_to_choice": None if generated else "choices",
            "generation_kwargs": generation | {"max_gen_toks": tokens} if generated else None,
            "process_results": judged,
            "metric_list": [
                {"metric": self.task.metric, "aggregation": "mean", "higher_is_better": True}
            ],
            "num_fewshot": 0,
        }
        return harness_package("lm_eval.api.task").ConfigurableTask(config=config)

    def _texts(self) -> list[tuple[str, ...]]:
        return [() if choices is None else choices.texts for choices in self.choices]

    def _judge(self, number: int, results: list[Any]) -> float:
        item, choices = self.items[number], self.choices[number]
        answer: dict[str, Any] = {"prompt": item.prompt, "gold": item.answer}
        if choices is None:
            response = str(results[0])
        else:
            likelihoods = [float(likelihood) for likelihood, _ in results]
            scores = [
                likelihood / len(text.encode()) if choices.by_byte else likelihood
                for likelihood, text in zip(likelihoods, choices.texts, strict=True)
            ]
            response = choices.texts[scores.index(max(scores))]
            answer["log_likelihoods"] = dict(zip(choices.texts, likelihoods, strict=True))
        score = float(self.metric.score(response, item))
        self.answers.append({**answer, "response": response, "correct": score == 1})
        return score
