"""The model that corpora are measured with: one that exists, or `tiny`, made of the pool's text."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import orjson
import polars as pl

from datachef.core.contracts.source import Source
from datachef.core.run.keys import key_of
from datachef.core.system.code_identity import core_code, module_code
from datachef.core.text.conversations import SEPARATOR, render_text
from datachef.core.text.formats import Conversation
from datachef.reward.evaluation.tiny import make_tiny
from datachef.reward.gates import ContaminationAudit
from datachef.reward.sampled_run import SampledRunner

TINY = "tiny"
ROWS = 300
CHARACTERS = 1_500


def base_model(
    name: str,
    sources: Mapping[str, Source],
    runner: SampledRunner,
    audit: ContaminationAudit,
    cache: Path,
    seed: int = 0,
) -> str | Path:
    """A checkpoint's folder or a name of the hub, as it is; for `tiny` the folder of a model made
    of rows of every source, and kept in the cache for whoever asks with the same rows and seed.

    The model does not get to see what holds items of the benchmark.
    """
    if name != TINY:
        return Path(name).absolute() if Path(name).exists() else name
    found = [text for source in sorted(sources) for text in _texts(runner, sources[source])]
    texts = [
        text for text, clean in zip(found, audit.clean(pl.Series(found)), strict=True) if clean
    ]
    code = key_of(core_code(), module_code(make_tiny.__module__))
    digest = blake2b(f"{seed} {code}".encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    folder = cache / "tiny" / digest.hexdigest()
    if not folder.is_dir():
        make_tiny(texts, folder, seed=seed)
    return folder


def _texts(runner: SampledRunner, source: Source) -> list[str]:
    found = runner.inspect(source)
    lines = Path(runner.sample(found).path).read_bytes().splitlines()[:ROWS]
    return [_plain(found.format.convert(orjson.loads(line)))[:CHARACTERS] for line in lines]


def _plain(content: str | Conversation) -> str:
    return content if isinstance(content, str) else SEPARATOR.join(map(render_text, content.turns))
