"""Checkpoints and tokenizers: loaded from a folder or the Hub, or made on the spot; saved whole."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from datachef.core.distribution import extra
from datachef.core.errors import MissingModelError, optional_package
from datachef.core.system.network import hub_refusal

# ChatML, with marks around what an assistant says, so that training knows its tokens.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a checkpoint, with a chat template and a padding token in any case.

    One without a template gets ChatML, one without padding pads with its end token. Raises
    `MissingModelError` where there is no such checkpoint.
    """
    transformers = training_package("transformers")
    with _explained(model):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(model), local_files_only=_stays_here(model)
        )
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(model: str | Path, dtype: str = "float32") -> Any:
    """The causal language model of a checkpoint; weights are read from safetensors alone.

    `dtype` is a torch name such as "bfloat16". Raises `MissingModelError` where there is none.
    """
    training_package("torch")
    transformers = training_package("transformers")
    with _explained(model):
        return transformers.AutoModelForCausalLM.from_pretrained(
            str(model), dtype=dtype, use_safetensors=True, local_files_only=_stays_here(model)
        )


def is_local(model: str | Path) -> bool:
    """Whether a checkpoint is a folder of this machine, for which nothing is asked of the hub."""
    return isinstance(model, Path) or Path(model).is_dir()


def _stays_here(model: str | Path) -> bool:
    return is_local(model) or hub_refusal() is not None


@contextmanager
def quiet(*, offline: bool) -> Iterator[None]:
    """Training libraries without bars, notices and telemetry; `offline` keeps them off the hub,
    where they are kept anyway unless the user allowed it."""
    datasets = training_package("datasets")
    hub = training_package("huggingface_hub.constants")
    notices = training_package("transformers.utils.logging")
    trl = logging.getLogger("trl")
    verbosity, level = notices.get_verbosity(), trl.level
    bars, dataset_bars = notices.is_progress_bar_enabled(), datasets.are_progress_bars_disabled()
    telemetry, was_offline = hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_OFFLINE
    notices.set_verbosity_error()
    notices.disable_progress_bar()
    datasets.disable_progress_bars()
    trl.setLevel(logging.ERROR)
    hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_OFFLINE = (
        True,
        was_offline or offline or hub_refusal() is not None,
    )
    try:
        with catch_warnings():
            # What these libraries tell one another's authors.
            simplefilter("ignore", FutureWarning)
            yield
    finally:
        hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_OFFLINE = telemetry, was_offline
        trl.setLevel(level)
        notices.set_verbosity(verbosity)
        if bars:
            notices.enable_progress_bar()
        if not dataset_bars:
            datasets.enable_progress_bars()


@contextmanager
def _explained(model: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        refused = None if is_local(model) else hub_refusal()
        if refused is not None:
            message = f"the model {model} is not on this machine, and {refused}"
            raise MissingModelError(message, refused.hint) from error
        reason = str(error).strip().splitlines()[0]
        raise MissingModelError(
            f"cannot load the model {model}: {reason}",
            hint="name a folder with a checkpoint (config.json, safetensors, tokenizer.json) or a "
            "model of the hub",
        ) from error


EXTRA = extra("train")


def training_package(module: str) -> Any:
    """A module of torch, transformers, TRL and the like; `MissingPackageError` without it."""
    return optional_package(module, EXTRA, "training language models")


PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"


def byte_level_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Byte-level BPE of at most `vocabulary` tokens learned from texts, for ChatML."""
    tokenizers = training_package("tokenizers")
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = byte_level(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return training_package("transformers").PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
    )
