"""Run by vLLM's interpreter: `draft_in_process.py MODEL BRIEFS DRAFTS` samples drafts for pickled
prompts, and writes them and the errors of what cannot work as JSON."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from datachef.core import DatachefError
from datachef.policy.decoding.vllm import VLLMDecoder
from datachef.policy.prompt.writer import Prompt

OPTIONS = {
    "dtype": "float32",
    "max_model_len": 8192,
    "enforce_eager": True,
    # On the CPU a prompt that is read in chunks and sampled with a seed ends the engine.
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 8192,
}


def main(model: str, asked: Path, written: Path) -> None:
    prompts: list[Prompt] = pickle.loads(asked.read_bytes())  # noqa: S301 - our own test's
    decoder = VLLMDecoder(model, max_tokens=2000, options=OPTIONS)
    found: dict[str, object] = {
        "first": decoder.sample(prompts, seed=1),
        "again": decoder.sample(prompts, seed=1),
        "other": decoder.sample(prompts, seed=2),
    }
    long = Prompt(prompts[0].space, ({"role": "user", "content": "Write. " * 10_000},))
    found["too long"] = error_of(decoder, long)
    decoder._max_tokens = 5
    found["cut off"] = error_of(decoder, prompts[0])
    written.write_text(json.dumps(found))


def error_of(decoder: VLLMDecoder, prompt: Prompt) -> tuple[str, str]:
    try:
        decoder.sample([prompt])
    except DatachefError as error:
        return error.message, error.hint
    raise AssertionError("a draft where none can be")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
