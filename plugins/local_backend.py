"""LLM backend that runs a small model in this process, by llama.cpp: no server, no network.

`backend: local` with `model: smollm2`, or any other asset that is one GGUF file.
"""

from __future__ import annotations

import importlib.util
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from datachef.core import (
    Completion,
    DatachefError,
    LLMBackend,
    LLMError,
    MissingAssetError,
    MissingPackageError,
    Request,
    asset_checksum,
    asset_folder,
    extra,
    hookimpl,
)

# Tokens of prompt and answer together: 190 MB for `smollm2`, whose longest context it is.
CONTEXT = 8192

_ONE_AT_A_TIME = threading.Lock()


class LocalBackend(LLMBackend):
    """Chat completions by models among the assets, one request at a time and on one core.

    Each process loads a model once, on first use; its weights are mapped from the file, so that
    processes share them. Requests do not share batches or what was computed for a prompt before,
    which would change the last bits: an answer depends on its request alone, and not on other
    requests, threads or workers. A recipe uses other cores by more workers.
    """

    @classmethod
    def problems(cls, model: str) -> Iterator[tuple[str, str]]:
        if importlib.util.find_spec("xllamacpp") is None:
            missing = _missing_package()
            yield missing.message, missing.hint
        try:
            asset_checksum(model)
        except MissingAssetError as error:
            yield error.message, error.hint

    @classmethod
    def identity(cls, model: str) -> str:
        return asset_checksum(model)

    def complete(self, request: Request) -> Completion:
        weights, checksum = _weights(request.model), asset_checksum(request.model)
        with _ONE_AT_A_TIME:
            try:
                answer = _loaded(weights, checksum).handle_chat_completions(_body(request))
            except ValueError as error:  # a schema that it cannot enforce
                raise LLMError(str(error)) from error
        if "error" in answer:
            raise LLMError(str(answer["error"].get("message", answer["error"])))
        (choice,), usage = answer["choices"], answer.get("usage", {})
        return Completion(
            choice["message"].get("content") or "",
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            truncated=choice["finish_reason"] == "length",
            finish_reason=choice["finish_reason"],
        )


def _missing_package() -> MissingPackageError:
    return MissingPackageError("xllamacpp", extra("local"), "the LLM backend local")


def _weights(model: str) -> Path:
    """The file of a model. Raises `DatachefError` for an asset that is no GGUF model."""
    found = list(asset_folder(model).glob("*.gguf"))
    if len(found) != 1:
        raise DatachefError(
            f"the asset {model} is not one GGUF file", "name a language model, such as smollm2"
        )
    return found[0]


@lru_cache(maxsize=2)  # for all backends of this process
def _loaded(weights: Path, checksum: str) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise _missing_package() from error
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights)
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1
    settings.n_gpu_layers = 0
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    settings.cache_ram_mib = 0
    settings.warmup = False
    settings.offline = True
    settings.verbosity = -1
    # It also listens on a free port of this machine, where nobody knows the key.
    settings.api_keys = [secrets.token_hex()]
    settings.ui = False
    settings.endpoint_slots = False
    return xllamacpp.Server(settings)


def _body(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed or 0,
        "cache_prompt": False,
    }
    if request.response_schema is not None:
        schema = {"name": "answer", "schema": dict(request.response_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


@hookimpl
def datachef_llm_backends() -> Mapping[str, Callable[[], LLMBackend]]:
    return {"local": LocalBackend}
