"""Fine-tunes a base model on a corpus with TRL, and makes the tiny model that needs no download."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from datachef.core.errors import DatachefError
from datachef.core.language_models.checkpoint import (
    byte_level_tokenizer,
    is_local,
    load_model,
    load_tokenizer,
    quiet,
    training_package,
)
from datachef.core.system.atomic import replacing
from datachef.core.system.progress import StepProgress, tell
from datachef.core.text.turns import answers
from datachef.reward.evaluation.corpus import (
    TrainingRow,
    choose_rows,
    mean_length,
    read_corpus,
    training_order,
)
from datachef.reward.evaluation.likelihoods import AnswerModel, Precision, precision
from datachef.reward.evaluation.tuning import Guide, Losses, held_out, tune, without_copies

Rate = Annotated[float, Field(gt=0, le=1)]


class Training(BaseModel):
    """How a model is fine-tuned; the defaults fit a model of a million parameters on one core.

    Of several learning rates the best is taken, recipe by recipe, and training ends when it gains
    nothing; a single one is for all recipes, and all of the steps are made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(4, ge=1, le=1_000, description="Passes over the corpus, at most.")
    max_tokens: int | None = Field(
        200_000, ge=1, description="Tokens trained on, at most, all passes together."
    )
    learning_rate: Rate | Annotated[tuple[Rate, ...], Field(min_length=1, max_length=8)] = Field(
        (1e-4, 5e-4, 2e-3), description="The peak, for AdamW, or peaks to choose from."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="How the learning rate falls after warming up."
    )
    warmup: float = Field(0.05, ge=0, le=1, description="Share of the steps that warm up.")
    batch_tokens: int = Field(
        512, ge=1, description="Tokens per step: as many rows as have them on average, or one."
    )
    max_length: int = Field(512, ge=16, description="Tokens of a row; what is beyond is cut off.")
    lora_rank: int | None = Field(
        None, ge=1, le=1_024, description="Rank of LoRA adapters (peft); none trains all weights."
    )
    dtype: Precision = Field(
        "auto",
        description="Numbers that are computed with: auto is float32, and bfloat16 from 50 million "
        "parameters on. Weights are float32, unless they are frozen under adapters.",
    )


@dataclass(frozen=True)
class FineTuned:
    """A trained checkpoint, and what `tune` chose for it: empty where nothing was to choose."""

    checkpoint: Path
    tuned: dict[str, Any]


@dataclass(frozen=True)
class ExampleLoss:
    """The losses on examples that settings are chosen by, and the texts of these examples."""

    losses: Callable[[AnswerModel], Losses]
    texts: Sequence[str]


def fine_tune(
    corpus: Path,
    base_model: str | Path,
    settings: Training,
    seed: int,
    folder: Path,
    examples: ExampleLoss | None = None,
) -> FineTuned:
    """Trains `base_model`, a folder or a model id on the Hugging Face Hub, on a corpus and saves it
    in `folder`.

    Conversations teach their assistant's turns alone, where the chat template marks them (TRL has
    templates of the usual models that do); otherwise the last answer alone. Prompts and
    completions, as turns or as text, teach the completion, and texts every token. `seed` decides
    which rows fit into the token budget, their order, and new weights. Settings that are to be
    chosen are chosen by `examples`, of which the corpus is cleared, or else by a part of the corpus
    that is held out. The result is a whole checkpoint, adapters merged, in safetensors. Raises
    `DatachefError` for a corpus that nothing can be learned from.
    """
    rows = read_corpus(corpus)
    with quiet(offline=is_local(base_model)):
        tokenizer = load_tokenizer(base_model)
        chosen = choose_rows(rows, tokenizer, settings.max_tokens, settings.max_length, seed)
        if not chosen:
            raise DatachefError(
                f"the chat template of {base_model} refuses every row of {corpus}",
                hint="most models want turns of user and assistant that alternate",
            )
        model = load_model(base_model)
        # Adapters are trained on frozen weights, which may have low precision; full training needs
        # float32.
        if settings.lora_rank is not None and _on_gpu():
            model = model.to(getattr(training_package("torch"), precision(model, settings.dtype)))
        trained, tuned = train(model, tokenizer, chosen, settings, seed, examples)
        with replacing(folder) as staging:
            trained.save_pretrained(staging)
            tokenizer.save_pretrained(staging)
    del model, trained
    # The trainer's parts refer to one another: without this they stay in memory for long.
    gc.collect()
    return FineTuned(folder, tuned)


def train(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TrainingRow],
    settings: Training,
    seed: int,
    examples: ExampleLoss | None = None,
) -> tuple[Any, dict[str, Any]]:
    """The model after training on rows with `messages`, `prompt` and `completion`, or `text`, and
    what `tune` chose.

    Raises `DatachefError` where all that could be learned lies beyond `max_length`.
    """
    trl = training_package("trl")
    datasets, transformers = training_package("datasets"), training_package("transformers")
    conversations = "messages" in rows[0]
    marked = conversations and _marks_answers(tokenizer)
    if conversations and not marked:
        rows = [pair for row in rows if (pair := _last_answer(row))["prompt"]]
    chooses = isinstance(settings.learning_rate, tuple)
    kept: list[TrainingRow] = []
    if chooses and examples is not None:
        # A corpus of nothing but examples is learned all the same.
        rows = without_copies(rows, examples.texts) or rows
    elif chooses:
        rows, kept = held_out(rows)
    # Rows of equal number would give short ones many more steps than packed text.
    length = mean_length(rows, tokenizer, settings.max_length)
    batch_size = max(1, round(settings.batch_tokens / length))
    # Before the trainer does: adapters are made before it sets its seed.
    transformers.set_seed(seed)
    with TemporaryDirectory() as scratch:
        trainer = trl.SFTTrainer(
            model=model,
            args=_arguments(
                settings,
                bf16=precision(model, settings.dtype) == "bfloat16",
                output_dir=scratch,
                per_device_train_batch_size=batch_size,
                seed=seed,
                assistant_only_loss=marked,
                packing="text" in rows[0],
            ),
            train_dataset=datasets.Dataset.from_list(list(rows), on_mixed_types="use_json"),
            eval_dataset=datasets.Dataset.from_list(kept, on_mixed_types="use_json")
            if kept
            else None,
            processing_class=tokenizer,
            peft_config=_adapters(settings.lora_rank),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.add_callback(progress_callback())
        lengths = [len(tokens) for tokens in trainer.train_dataset["input_ids"]]
        if not lengths:
            raise DatachefError(
                f"no answer of the corpus begins within {settings.max_length} tokens",
                hint="raise max_length, or shorten the prompts in the recipe",
            )
        order = training_order(lengths, batch_size, settings.epochs, settings.max_tokens, seed)
        learned = trainer.train_dataset

        def run(chosen: Sequence[int], rate: float) -> None:
            transformers.set_seed(seed)
            trainer.train_dataset = learned.select(chosen)
            # Rounded down: the first step of warming up changes nothing, and may be the only one.
            trainer.args.warmup_steps = int(settings.warmup * len(chosen) / batch_size)
            trainer.args.learning_rate = rate
            trainer.optimizer = None  # made anew, with the rate
            trainer.train()

        tuned: dict[str, Any] = {}
        if isinstance(settings.learning_rate, tuple):
            guide = _guide(tokenizer, settings, examples)
            rates = settings.learning_rate
            tuned = tune(trainer, run, order, rates, guide, batch_size)
        else:
            run(order, settings.learning_rate)
    model = trainer.model if settings.lora_rank is None else trainer.model.merge_and_unload()
    return model, tuned


def _guide(tokenizer: Any, settings: Training, examples: ExampleLoss | None) -> Guide:
    """What settings are chosen by: examples, or the rows that the trainer evaluates."""
    if examples is None:
        return Guide("corpus", _evaluated)
    losses = examples.losses

    def of_examples(trainer: Any) -> Losses:
        model = trainer.model.eval()
        return losses(AnswerModel(model, tokenizer, settings.max_length))

    return Guide("examples", of_examples)


def _evaluated(trainer: Any) -> Losses:
    """The trainer tells one loss of all rows."""
    return Losses(np.array([float(trainer.evaluate()["eval_loss"])]), np.ones(1))


def _arguments(settings: Training, **more: Any) -> Any:
    on_gpu = _on_gpu()
    return training_package("trl").SFTConfig(
        num_train_epochs=1,
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        max_length=settings.max_length,
        packing_strategy="wrapped",
        train_sampling_strategy="sequential",
        use_cpu=not on_gpu,
        gradient_checkpointing=on_gpu,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )


def progress_callback() -> Any:
    """Tells the steps of a trainer as progress."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._steps = StepProgress("training")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._steps.done(state.global_step, state.max_steps)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell("scoring answers")

    return Progress()


def _on_gpu() -> bool:
    return bool(training_package("torch").cuda.is_available())


_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def _marks_answers(tokenizer: Any) -> bool:
    """Whether a chat template, or TRL's version of it, marks the tokens of the assistant."""
    templates = training_package("trl.chat_template_utils")
    try:
        template = templates.get_training_chat_template(tokenizer)
    except ValueError:
        return False
    return bool(templates.is_chat_template_stop_token_trained(tokenizer, template))


def _last_answer(row: TrainingRow) -> TrainingRow:
    """A conversation as a prompt and its completion, the last answer."""
    turns = row["messages"]
    last = answers(turns)[-1]
    beside = {name: value for name, value in row.items() if name != "messages"}
    return {"prompt": turns[:last], "completion": turns[last : last + 1], **beside}


def _adapters(rank: int | None) -> Any:
    if rank is None:
        return None
    return training_package("peft").LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


PIECE = 1_200
ENOUGH = 2_000


def make_tiny(
    texts: Sequence[str],
    folder: Path,
    *,
    seed: int,
    vocabulary: int = 1_024,
    hidden: int = 128,
    layers: int = 4,
    tokens: int = 200_000,
) -> Path:
    """Makes a Llama model of about a million parameters and its tokenizer in `folder`.

    The tokenizer is byte-level BPE of `vocabulary` tokens learned from `texts`, with ChatML as its
    chat template. The model has `layers` layers of width `hidden` and has read `tokens` tokens of
    the texts, every other piece of them framed as a question and its answer, so that the marks of a
    conversation mean something to it. It has read little: what it knows of the pool already, no
    recipe can teach it. On one machine the same texts and seed give the same bytes,
    however many cores it has. Raises `DatachefError` where the texts are less than 2,000
    characters.
    """
    if sum(map(len, texts)) < ENOUGH:
        raise DatachefError(
            "a tiny model cannot be made of so little text",
            hint=f"give {ENOUGH:,} characters at least; a few hundred thousand are good",
        )
    with quiet(offline=True), _one_thread():
        tokenizer = byte_level_tokenizer(texts, vocabulary)
        model = _model(tokenizer, hidden, layers, seed)
        settings = Training(
            epochs=1_000, max_tokens=tokens, learning_rate=3e-3, batch_tokens=2_048, max_length=256
        )
        rows = _pieces_as_rows(texts, tokenizer, seed)
        model, _ = train(model, tokenizer, rows, settings, seed)
        with replacing(folder) as staging:
            model.save_pretrained(staging)
            tokenizer.save_pretrained(staging)
    return folder


def _model(tokenizer: Any, hidden: int, layers: int, seed: int) -> Any:
    transformers = training_package("transformers")
    transformers.set_seed(seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=3 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=max(1, hidden // 64),
            num_key_value_heads=1,
            max_position_embeddings=2_048,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _pieces_as_rows(texts: Sequence[str], tokenizer: Any, seed: int) -> list[TrainingRow]:
    """The texts in pieces; every other one is a conversation, written out."""
    rng = random.Random(seed)
    rows: list[TrainingRow] = []
    for number, piece in enumerate(_pieces(texts)):
        words = piece.split(" ")
        if number % 2 == 0 or len(words) < 2:
            rows.append({"text": piece})
            continue
        cut = rng.randrange(1, len(words))
        turns = [
            {"role": "user", "content": " ".join(words[:cut])},
            {"role": "assistant", "content": " ".join(words[cut:])},
        ]
        rows.append({"text": tokenizer.apply_chat_template(turns, tokenize=False)})
    return rows


def _pieces(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for start in range(0, len(text), PIECE):
            if (piece := text[start : start + PIECE]).strip():
                yield piece


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of numbers do not depend on how many threads share them where there is one."""
    torch = training_package("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
