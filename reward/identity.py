"""Names for what is measured: the same corpus or questions have the same name anywhere."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import orjson

from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.errors import DatachefError
from datachef.core.run.keys import key_of
from datachef.core.system.file_identity import checksum


def task_key(task: Task) -> str:
    """What a score depends on: the questions, by content, and how answers to them are scored."""
    benchmark = task.benchmark
    if not isinstance(benchmark, BenchmarkFile):
        return key_of("task", task.metric, benchmark.lm_eval)
    try:
        content = blake2b(Path(benchmark.path).read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise DatachefError(f"cannot read the benchmark {benchmark.path}: {error}") from error
    unsaid = {name for name in ("encoding", "csv") if getattr(benchmark, name) is None}
    fields = benchmark.model_dump(exclude={"path"} | unsaid)
    return key_of("task", task.metric, content, fields)


def weights_key(model: str) -> str | None:
    """The content of a checkpoint's folder; None for the name of a model.

    A folder keeps its path when it is trained further, and then it is another model.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return key_of("weights", [[path.name, checksum(path)] for path in files])


def corpus_key(corpus: Path) -> str:
    """The content of a finished corpus: recipes that make the same rows are measured once."""
    try:
        manifest = orjson.loads((corpus / "manifest.json").read_bytes())
        files = [[f["rows"], f["checksum"]] for f in manifest["outputs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatachefError(f"{corpus} is no finished corpus: {error}") from error
    return key_of("corpus", files)
