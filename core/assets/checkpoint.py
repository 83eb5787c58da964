"""Language models among the assets, as checkpoints that transformers loads."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datachef.core.assets.store import asset_checksum, asset_folder, assets_folder
from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.core.system.atomic import replacing
from datachef.core.system.lock import alone

CONVERTED = ".checkpoints"


def checkpoint_folder(name: str) -> Path:
    """The folder of an asset as a checkpoint: weights as safetensors, configuration, tokenizer.

    A model that comes as GGUF is converted on the first call, to 16 bits, and kept beside the
    assets; whoever asks at the same time waits. Raises `MissingAssetError` where the asset is not
    there, and `MissingPackageError` without the packages that convert it.
    """
    folder = asset_folder(name)
    weights = sorted(folder.glob("*.gguf"))
    if not weights:
        return folder
    made = assets_folder() / CONVERTED / f"{name}-{asset_checksum(name)[:16]}"
    if not made.is_dir():
        made.parent.mkdir(exist_ok=True)
        with alone(made, threading.Event()):
            if not made.is_dir():
                with replacing(made) as staging:
                    _convert(weights[0], staging)
    return made


def _convert(weights: Path, folder: Path) -> None:
    for needed in ("gguf", "torch", "transformers"):  # transformers reads the file with gguf
        if find_spec(needed) is None:
            raise MissingPackageError(needed, extra("models"), f"the model in {weights}")
    import torch
    import transformers

    where: dict[str, Any] = {"gguf_file": weights.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(weights.parent), **where)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        str(weights.parent),
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.float16,
        **where,
    )
    # What is saved is an ordinary checkpoint, and says nothing of what it was made from.
    vars(model.config).pop("quantization_config", None)
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
