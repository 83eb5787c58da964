"""What the machine lacks (memory, disk, files) ends a run with its name, and never costs a row."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core import RunError
from datachef.core.system.failures import environment_failure

PLUGIN = '''
import errno, os, sqlite3, zlib
from pathlib import Path
from typing import Literal

import orjson, polars as pl, pyarrow as pa, zstandard

from datachef.core import CorpusOperator, Filter, Transform, hookimpl

def system(number):
    return OSError(number, os.strerror(number))

def sqlite_full():
    database = sqlite3.connect(":memory:")
    database.execute("create table t (x)")
    database.execute("pragma max_page_count = 1")
    database.execute("insert into t values (zeroblob(1000000))")

def chained():
    try:
        raise MemoryError
    except MemoryError as error:
        raise ValueError("this row is bad") from error

def grouped():
    raise ExceptionGroup("several", [ValueError("x"), system(errno.EMFILE)])

def throw(error):
    raise error

TROUBLES = {
    "memory": lambda: bytearray(1 << 60),
    "arrow": lambda: pa.allocate_buffer(1 << 60),
    "space": lambda: throw(system(errno.ENOSPC)),
    "quota": lambda: throw(system(errno.EDQUOT)),
    "files": lambda: throw(system(errno.EMFILE)),
    "disk": lambda: throw(system(errno.EIO)),
    "no_memory": lambda: throw(system(errno.ENOMEM)),
    "thread": lambda: throw(RuntimeError("can't start new thread")),
    "zlib": lambda: throw(zlib.error("Error -4 while decompressing data: out of memory")),
    "zstd": lambda: throw(zstandard.ZstdError("Allocation error : not enough memory")),
    "polars": lambda: throw(pl.exceptions.ComputeError("Too many open files (os error 24)")),
    "sqlite": sqlite_full,
    "chained": chained,
    "grouped": grouped,
}

def meet(batch):
    for text in batch["text"]:
        if text.startswith("TROUBLE ") and not Path(os.environ["REMEDY"]).exists():
            TROUBLES[text.split()[1]]()
        if text.startswith("SAY "):
            raise ValueError(text[4:])
        if text.startswith("COMPUTE "):
            raise pl.exceptions.ComputeError(text[8:])

class Measure(Filter):
    """Measures."""
    op: Literal["measure"] = "measure"
    def signals(self):
        def measured(batch):
            meet(batch)
            return batch["text"].str.len_chars()
        return {"chars": measured}
    def rules(self):
        return {}

class Rewrite(Transform):
    """Rewrites."""
    op: Literal["rewrite"] = "rewrite"
    def transform(self, batch):
        meet(batch)
        return batch

class Summarize(CorpusOperator):
    """Summarizes."""
    op: Literal["summarize"] = "summarize"
    def summarize(self, batch):
        meet(batch)
        return batch.select("id")
    def resolve(self, summaries, context):
        return summaries.head(0).with_columns(pl.lit("none").alias("reason")).collect()

@hookimpl
def datachef_operators():
    return [Measure, Rewrite, Summarize]
'''
SAID = {
    "memory": "not enough memory",
    "arrow": "not enough memory",
    "space": "no space is left",
    "quota": "quota",
    "files": "too many files",
    "disk": "the disk reports an error",
    "no_memory": "not enough memory",
    "thread": "no more processes or threads",
    "zlib": "not enough memory",
    "zstd": "not enough memory",
    "polars": "too many files",
    "sqlite": "no space is left",
    "chained": "not enough memory",
    "grouped": "too many files",
}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMEDY", str(tmp_path / "remedy"))
    path = tmp_path / "troubled.py"
    path.write_text(PLUGIN)
    return path


def write_rows(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.mark.parametrize(
    ("trouble", "op"),
    [
        *((trouble, "measure") for trouble in SAID),
        *((trouble, op) for trouble in ("memory", "space") for op in ("rewrite", "summarize")),
    ],
)
def test_what_the_machine_lacks_ends_the_run_and_is_forgotten_with_it(
    trouble: str, op: str, tmp_path: Path, plugin: Path, make_corpus: Callable[..., Any]
) -> None:
    texts = [f"row {number}" for number in range(40)]
    texts[17] = f"TROUBLE {trouble}"
    rows = write_rows(tmp_path / "rows.jsonl", texts)
    sources = {"s": {"path": str(rows), "max_failed": 1.0}}
    with pytest.raises(RunError, match=SAID[trouble]) as caught:
        make_corpus(sources, plugins=[plugin], steps=[{"op": op}])
    assert caught.value.exit_code == 5
    assert not (tmp_path / "corpus").exists()
    (tmp_path / "remedy").touch()
    made = make_corpus(sources, plugins=[plugin], steps=[{"op": op}])
    assert made.rows["text"].to_list() == texts
    assert made.rejects.height == 0


def test_what_a_worker_lacked_is_known_to_whoever_asked_for_the_run(
    tmp_path: Path, plugin: Path, make_corpus: Callable[..., Any]
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", ["TROUBLE space"])
    with pytest.raises(RunError, match="no space is left") as caught:
        make_corpus(str(rows), plugins=[plugin], steps=[{"op": "measure"}], engine="local")
    failure = environment_failure(caught.value)
    assert failure is not None
    assert failure.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "said",
    [
        "out of memory",
        "malloc of size 64 failed",
        "std::bad_alloc and more",
        "Not enough memory",
        "No space left on device (os error 28)",
        "Too many open files (os error 24)",
    ],
)
def test_rows_that_only_speak_of_it_cost_themselves(
    said: str, tmp_path: Path, plugin: Path, make_corpus: Callable[..., Any]
) -> None:
    quoted = f"conversion from `str` to `i64` failed for {said}"
    texts = ["one", f"SAY {said}", f"COMPUTE {quoted}", "two"]
    rows = write_rows(tmp_path / "rows.jsonl", texts)
    made = make_corpus(
        {"s": {"path": str(rows), "max_failed": 1.0}}, plugins=[plugin], steps=[{"op": "measure"}]
    )
    assert made.rows["text"].to_list() == ["one", "two"]
    assert made.rejects["reason"].to_list() == ["ValueError", "ComputeError"]


def run_chef(folder: Path, recipe: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(recipe)
    asked = (*arguments, "run", "recipe.yaml", "--workers", 1, "--output", "corpus")
    return chef(*asked, folder=folder, DATACHEF_PLUGINS="engines,sources")


def entry_of_reading(folder: Path) -> dict[str, Any]:
    entries = json.loads((folder / "corpus" / "ledger.json").read_text())
    return next(entry for entry in entries if entry["op"] == "read")


READING = """
import errno, resource, sys
from datachef.core.files.readers import read_file
from datachef.core.system.failures import environment_failure

rows = read_file(sys.argv[1])
print(len(next(rows).data))
pages = int(open("/proc/self/statm").read().split()[5])
bound = pages * resource.getpagesize() + (int(sys.argv[2]) << 20)
resource.setrlimit(resource.RLIMIT_DATA, (bound, resource.RLIM_INFINITY))
try:
    print(next(rows).reason or "whole")
except Exception as error:
    print(errno.errorcode[environment_failure(error).errno])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded by what Linux counts")
@pytest.mark.parametrize(("megabytes", "outcome"), [(60, "ENOMEM"), (4_000, "whole")])
def test_a_row_for_which_memory_does_not_suffice_is_not_taken_for_no_json(
    megabytes: int, outcome: str, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"a": 1}\n{"a": [' + "1," * 10_000_000 + "1]}\n")
    done = subprocess.run(
        [sys.executable, "-c", READING, str(rows), str(megabytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", outcome]


LEAKING = """
import os, resource
from typing import Literal
from datachef.core import Filter, hookimpl

KEPT = []

class Leak(Filter):
    \"\"\"Leaves no file to open.\"\"\"
    op: Literal["leak"] = "leak"
    def signals(self):
        def leaked(batch):
            if not os.path.exists("remedy"):
                used = len(os.listdir("/proc/self/fd"))
                resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, resource.getrlimit(7)[1]))
            return batch["text"].str.len_chars()
        return {"chars": leaked}
    def rules(self):
        return {}

@hookimpl
def datachef_operators():
    return [Leak]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux shows them")
def test_files_that_cannot_be_opened_for_want_of_handles_are_not_broken(tmp_path: Path) -> None:
    for name in "abc":
        write_rows(tmp_path / f"{name}.jsonl", [f"{name} {number}" for number in range(50)])
    (tmp_path / "leak.py").write_text(LEAKING)
    recipe = (
        "name: n\nsources:\n  s:\n    path: '*.jsonl'\n    max_failed_files: 3\n"
        "    steps: [{op: leak}]\n"
    )
    done = run_chef(tmp_path, recipe, "--plugin", "leak.py")
    assert done.returncode == 5, done.stderr
    assert "too many files are open" in done.stderr
    (tmp_path / "remedy").touch()
    done = run_chef(tmp_path, recipe, "--plugin", "leak.py")
    assert done.returncode == 0, done.stderr
    entry = entry_of_reading(tmp_path)
    assert entry["rows_out"] == 150
    assert "broken" not in entry
