"""An input that changes while it is read ends the run, and leaves no trace in the cache."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from datachef.core import Recipe, RunError, Task, path_identity
from datachef.core.run import partition
from datachef.core.system import paths
from datachef.reward.evaluation import (
    EvaluationSettings,
    Scoring,
    TaskScorer,
    evaluator as evaluator_module,
)
from datachef.reward.evaluation.evaluator import Evaluator
from datachef.reward.history import History

MakeCorpus = Callable[..., Any]

# Reads a file besides the rows, and does something to a file once the rows have begun to come.
PLUGIN = """
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from datachef.core import TextTransform, hookimpl


class Meddler(TextTransform):
    '''Appends what its file holds to each text.'''

    op: Literal["meddler"] = "meddler"
    file: str = Field("", max_length=999, description="Read besides the rows.")
    victim: str = Field("", max_length=999, description="What changes.")
    way: str = Field("", max_length=999, description="How.")

    def files(self):
        return (self.file,) if self.file else ()

    def identity(self):  # the victim is no parameter of what it does to rows
        return {**super().identity(), "parameters": {}}

    @cached_property
    def _suffix(self):
        return Path(self.file).read_text() if self.file else ""

    def rewrite(self, text):
        suffix = self._suffix
        if self.victim and Path(self.victim + ".new").exists():
            change(self.way, self.victim, self.victim + ".new")
        return text + suffix


def change(way, old, new):
    if way == "replaced":
        os.replace(new, old)
        return
    status = os.stat(old)
    if way == "gone":
        os.unlink(old)
    elif way == "cut off":
        os.truncate(old, status.st_size // 2)
    elif way == "appended":
        with open(old, "ab") as stream:
            stream.write(Path(new).read_bytes())
    else:
        with open(old, "r+b") as stream:
            stream.write(Path(new).read_bytes())
        if way == "rewritten with its old date":
            os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.unlink(new)


@hookimpl
def datachef_operators():
    return [Meddler]
"""

WAYS = ["replaced", "gone", "cut off", "appended", "rewritten", "rewritten with its old date"]
ROWS = 3_000


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "meddler.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows reach the steps while the rest of their file is not read yet."""
    monkeypatch.setattr(partition, "BATCH_BYTES", 20_000)


def lines(word: str, rows: int = ROWS) -> bytes:
    return b"".join(b'{"text": "%s %05d"}\n' % (word.encode(), number) for number in range(rows))


def parquet(path: Path, word: str) -> None:
    texts = [f"{word} {number:05d}" for number in range(ROWS)]
    pl.DataFrame({"text": texts}).write_parquet(path, row_group_size=500, compression="lz4")


def write(path: Path, word: str) -> Path:
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines(word), mtime=0))
    elif path.name.endswith(".csv"):
        path.write_text("text\n" + "".join(f"{word} {number:05d}\n" for number in range(ROWS)))
    elif path.name.endswith(".parquet"):
        parquet(path, word)
    else:
        path.write_bytes(lines(word))
    return path


def texts(made: Any) -> set[str]:
    return {text.split()[0] for text in made.rows["text"]}


def source(path: Path, way: str = "", **more: Any) -> dict[str, Any]:
    step = {"op": "meddler", "victim": str(path) if way else "", "way": way}
    return {"s": {"path": str(path), "max_failed_files": 9, "max_failed": 1, **more,
                  "steps": [step]}}  # fmt: skip


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        *(("a.jsonl", way) for way in WAYS),
        *(("a.jsonl.gz", way) for way in ("cut off", "rewritten")),
        *(("a.csv", way) for way in ("cut off", "rewritten with its old date")),
        *(("a.parquet", way) for way in ("cut off", "replaced")),
    ],
)
def test_data_that_changes_while_it_is_read(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, name: str, way: str
) -> None:
    path = write(tmp_path / name, "old")
    content = path.read_bytes()
    before = make_corpus(source(path), plugins=[plugin], steps=[])
    (tmp_path / "cache").rename(tmp_path / "cache.old")
    write(tmp_path / f"{name}.tmp", "new").rename(tmp_path / f"{name}.new")
    with pytest.raises(RunError, match=rf"{path}: it (changed|is gone)") as raised:
        make_corpus(source(path, way), plugins=[plugin])
    assert "run again" in raised.value.hint
    assert json.loads((tmp_path / "corpus" / "manifest.json").read_bytes()) == before.manifest

    # the old content again, whose identity is that of the run that failed where it is small
    path.write_bytes(content)
    again = make_corpus(source(path), plugins=[plugin])
    assert again.rows.equals(before.rows)
    write(path, "new")
    new = make_corpus(source(path), plugins=[plugin])
    assert texts(new) == {"new"}
    assert new.report.rows == ROWS


@pytest.mark.parametrize("way", ["replaced", "gone", "rewritten"])
def test_data_that_changes_after_it_was_read(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, way: str
) -> None:
    """Seen before the corpus is published: the manifest tells what the file held."""
    path = write(tmp_path / "a.jsonl", "old")
    before = make_corpus(source(path), plugins=[plugin])
    write(tmp_path / "a.jsonl.new", "new")
    with pytest.raises(RunError, match=rf"{path}: it (changed|is gone)"):
        make_corpus(source(path, way), plugins=[plugin], rejects={"keep": "none"})
    assert json.loads((tmp_path / "corpus" / "manifest.json").read_bytes()) == before.manifest


def test_a_large_file_that_is_rewritten_in_its_middle_within_a_run(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
) -> None:
    """Neither its size, nor its ends, nor its date tell."""
    path = tmp_path / "a.jsonl"
    old, new = lines("old", 40_000), lines("new", 40_000)
    path.write_bytes(old)
    ends = 100_000
    (tmp_path / "a.jsonl.new").write_bytes(old[:ends] + new[ends:-ends] + old[-ends:])
    with pytest.raises(RunError, match=rf"{path}: it changed"):
        make_corpus(source(path, "rewritten with its old date"), plugins=[plugin])
    assert not (tmp_path / "corpus").exists()


def test_only_the_mode_and_another_link_between_runs_refuse_nothing(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines("old", 40_000))
    first = make_corpus(source(path), plugins=[plugin])
    path.chmod(0o600)
    os.link(path, tmp_path / "other")
    assert make_corpus(source(path), plugins=[plugin]).rows.equals(first.rows)


@pytest.mark.parametrize("way", ["replaced", "gone", "rewritten with its old date"])
def test_a_file_that_an_operator_reads(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, way: str
) -> None:
    path = write(tmp_path / "a.jsonl", "row")
    read = tmp_path / "model"

    def run(way: str = "") -> set[str]:
        step = {"op": "meddler", "file": str(read), "victim": str(read) if way else "", "way": way}
        made = make_corpus({"s": {"path": str(path), "steps": [step]}}, plugins=[plugin])
        return set(made.rows["text"].str.slice(-4))

    read.write_text(" old")
    Path(f"{read}.new").write_text(" new")
    with pytest.raises(RunError, match=rf"{read}: it changed after the run was planned"):
        run(way)
    for suffix in (" old", " new"):
        read.write_text(suffix)
        assert run() == {suffix}


def test_a_benchmark_that_changes_while_rows_are_compared_with_it(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,dedup")
    path = write(tmp_path / "a.jsonl", "row")
    bench = tmp_path / "bench.jsonl"
    item = '{"question": "one two three four five six seven eight nine %s", "answer": "1"}\n'
    bench.write_text(item % "ten")
    (tmp_path / "bench.jsonl.new").write_text(item % "six")
    steps = [
        {"op": "decontaminate",
         "benchmark": {"path": str(bench), "prompt": "question", "answer": "answer"}},
        {"op": "meddler", "victim": str(bench), "way": "replaced"},
    ]  # fmt: skip
    with pytest.raises(RunError, match=rf"{bench}: it changed after the run was planned"):
        make_corpus({"s": {"path": str(path), "steps": steps}}, plugins=[plugin])


def test_a_tokenizer_that_changes_while_tokens_are_counted(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"row": 0, "?": 1}, unk_token="?")  # noqa: S106 - a word
    tokenizer = tokenizers.Tokenizer(model)
    words = tmp_path / "tokenizer.json"
    tokenizer.save(str(words))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(words) + ".new")
    path = write(tmp_path / "a.jsonl", "row")
    content, other = words.read_bytes(), Path(f"{words}.new").read_bytes()
    with pytest.raises(RunError, match=rf"{words}: it changed after the run was planned"):
        make_corpus(source(path) | {"t": source(words, "replaced")["s"] | {"path": str(path)}},
             plugins=[plugin], tokenizer=str(words))  # fmt: skip
    # one token a row, or two; neither is remembered as the other
    for raw, each in ((content, 1), (other, 2), (content, 1)):
        words.write_bytes(raw)
        made = make_corpus(source(path), plugins=[plugin], tokenizer=str(words))
        assert made.report.tokens == each * ROWS


def test_a_local_dataset_that_changes(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "train.jsonl", "old")
    link = tmp_path / "train.jsonl"  # what is written into it does not lie in the folder
    link.symlink_to(folder / "train.jsonl")
    write(tmp_path / "train.jsonl.new", "new")
    step = {"op": "meddler", "victim": str(link), "way": "rewritten"}
    with pytest.raises(RunError, match=rf"{folder}: it changed after the run was planned"):
        make_corpus({"s": {"hf": str(folder), "steps": [step]}}, plugins=[plugin])
    assert texts(make_corpus({"s": {"hf": str(folder)}})) == {"new"}


@pytest.mark.parametrize("way", ["replaced", "cut off", "rewritten with its old date"])
def test_every_worker_notices(
    make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, way: str
) -> None:
    """Cut into partitions that several processes read."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines("old" * 50, 150_000))
    (tmp_path / "a.jsonl.new").write_bytes(lines("new" * 50, 150_000))
    with pytest.raises(RunError, match=rf"{path}: it (changed|is gone)"):
        make_corpus(source(path, way), plugins=[plugin], engine="local")
    assert not (tmp_path / "corpus").exists()


def test_a_recipe_is_read_once(make_corpus: MakeCorpus, tmp_path: Path, plugin: Path) -> None:
    """Whoever edits it meanwhile, for the next run, changes nothing of this one."""
    path = write(tmp_path / "a.jsonl", "row")
    recipe = tmp_path / "recipe.yaml"
    (tmp_path / "recipe.yaml.new").write_text("name: another\n")
    sources = {"s": {"path": str(path), "steps": [
        {"op": "meddler", "victim": str(recipe), "way": "replaced"}]}}  # fmt: skip
    made = make_corpus(sources, plugins=[plugin])
    assert recipe.read_text() == "name: another\n"
    assert made.manifest["recipe"]["name"] == "test"
    assert made.report.rows == ROWS


def test_a_file_that_may_not_be_read_does_not_hide_the_others_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("open.jsonl", "secret.jsonl"):
        (tmp_path / name).write_text("one")
    identity_of = paths.file_identity

    def refusing(path: Path) -> str:
        if path.name == "secret.jsonl":
            raise PermissionError(errno.EACCES, "no", str(path))
        return identity_of(path)

    monkeypatch.setattr(paths, "file_identity", refusing)
    seen = [path_identity(tmp_path)]
    for name in ("open.jsonl", "secret.jsonl"):
        (tmp_path / name).write_text("another")
        assert path_identity(tmp_path) not in seen
        seen.append(path_identity(tmp_path))


def test_a_folder_is_known_by_what_lies_behind_its_links_too(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        (place / "sub").mkdir(parents=True)
        (place / "sub" / "file").write_text("old")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    seen = [path_identity(folder)]
    assert [name for name, _ in seen[0]] == ["linked/sub/file", "sub/file"]
    for changed in (folder, elsewhere):
        (changed / "sub" / "file").write_text("new")
        assert path_identity(folder) not in seen
        seen.append(path_identity(folder))


@pytest.mark.parametrize("changed", ["benchmark", "examples", "model"])
def test_what_was_measured_with_changing_files_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    task = {}
    for name in ("benchmark", "examples"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text('{"question": "one?", "answer": "1"}\n')
        task[name] = {"path": str(path), "prompt": "question", "answer": "answer"}
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "manifest.json").write_text('{"outputs": [{"rows": 1, "checksum": "c"}]}')
    (tmp_path / "recipe.yaml").write_text("name: r\n")
    checked = SimpleNamespace(recipe=Recipe(name="r", sources={"s": {}}))
    check = SimpleNamespace(passed=lambda: checked)
    reward: Any = SimpleNamespace(
        task=Task(name="t", **task),  # type: ignore[arg-type]
        assess=lambda document, base_dir: SimpleNamespace(check=check, features={}),
        base_model=lambda name, checked: name,
        plugin_functions=SimpleNamespace(codes={}),
        cache=tmp_path / "cache",
    )
    host: Any = SimpleNamespace(vocabulary=SimpleNamespace(fingerprint="v"))
    history = History(tmp_path / "history.sqlite")
    settings = EvaluationSettings(base_model=str(model))
    evaluator = Evaluator(reward, host, history, settings, tmp_path / "work")
    accounts = SimpleNamespace(whole=[])
    report = SimpleNamespace(folder=corpus, rows=1, tokens=1, accounts=accounts)
    monkeypatch.setattr(evaluator, "_make_corpus", lambda recipe: report)
    victims = {"model": model / "model.safetensors"}
    victim = victims.get(changed, tmp_path / f"{changed}.jsonl")

    def evaluate(*_: Any, seeds: Any, **__: Any) -> Any:
        scores = {"bits_saved": 0.5}
        for seed in seeds:
            if seed == 1:
                victim.write_text(victim.read_text() + " ")
            yield SimpleNamespace(seed=seed, scores=scores, versions={}, seconds=1.0, tuned={})

    scoring = Scoring(score_name="bits_saved", chance=0, base=0.4, base_scores={})
    monkeypatch.setattr(TaskScorer, "decide", lambda *_: scoring)
    monkeypatch.setattr(evaluator_module, "evaluate", evaluate)
    named = model if changed == "model" else victim
    with pytest.raises(RunError, match=rf"{named}: it changed"):
        evaluator.measure(tmp_path / "recipe.yaml", [0, 1])
    assert [measured.seed for measured in history.measurements()] == [0]
