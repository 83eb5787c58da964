"""File formats are registered, ours as well as others', and many small files are read together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, Partition, PluginError, RecipeError
from datachef.core.registry.host import Host as AnyHost
from datachef.core.run.together import MOST_TOGETHER, together

MakeCorpus = Callable[..., Any]

PLUGIN = """
from datachef.core import Part, RawRow, Reader, hookimpl

class FastaReader(Reader):
    name = "fasta"
    suffixes = ("fasta", "fa")

    def split(self, file):
        with file.open() as stream:
            entries = stream.read().count(b">")
        return [Part(file.size // entries, {"entry": n}, 1) for n in range(entries)]

    def read(self, file, place):
        with file.open() as stream:
            entry = stream.read().decode().split(">")[1:][place["entry"]]
        head, *lines = entry.split("\\n")
        if not head:
            yield RawRow(place["entry"], 1, len(entry), None, "no_name", "a sequence has a name")
        else:
            yield RawRow(place["entry"], 1, len(entry), {"text": "".join(lines).LOWER})

class Unfinished(Reader):
    name = "unfinished"

class Misnamed(FastaReader):
    name = "Fasta 2"

class OneSuffix(FastaReader):
    name = "one"
    suffixes = "fasta"

class Strange(FastaReader):
    name = "strange"
    holds = "sequences"

@hookimpl
def datachef_readers():
    return [FastaReader, Unfinished, Misnamed, OneSuffix, Strange]
"""
UPPER = PLUGIN.replace(".LOWER", "")
LOWER = PLUGIN.replace(".LOWER", ".lower()")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    (tmp_path / "fasta_reader.py").write_text(UPPER)
    (tmp_path / "proteins.fasta").write_text(">a\nMKV\nLAA\n>\nGG\n>b\nGGS\n")
    return tmp_path


def test_files_in_a_format_of_a_plugin(fasta: Path, make_corpus: MakeCorpus) -> None:
    source = {"path": str(fasta / "proteins.fasta"), "max_failed": 0.5}
    corpora = []
    for engine in ("inline", "local"):
        made = make_corpus({"s": source}, plugins=[fasta / "fasta_reader.py"], engine=engine)
        assert made.rows["text"].to_list() == ["MKVLAA", "GGS"]
        assert made.rejects["reason"].to_list() == ["no_name"]
        corpora.append(made.rows)
    assert corpora[0].equals(corpora[1])


def test_a_format_is_named_where_the_suffix_does_not_tell_it(
    fasta: Path, make_corpus: MakeCorpus
) -> None:
    file = fasta / "proteins.dat"
    file.write_text(">a\nMKV\n")
    plugins = [fasta / "fasta_reader.py"]
    made = make_corpus({"s": {"path": str(file), "file_format": "fasta"}}, plugins=plugins)
    assert made.rows["text"].to_list() == ["MKV"]
    with pytest.raises(RecipeError, match="nothing registered reads the format 'fastq'"):
        make_corpus({"s": {"path": str(file), "file_format": "fastq"}}, plugins=plugins)
    with pytest.raises(RecipeError, match="no reader for files that end in 'dat'"):
        make_corpus({"s": {"path": str(file)}}, plugins=plugins)


def test_a_changed_reader_reads_its_files_again_and_no_others(
    fasta: Path, make_corpus: MakeCorpus
) -> None:
    (fasta / "a.jsonl").write_text('{"text": "A ROW"}\n')
    plugin = fasta / "fasta_reader.py"
    sources = {
        "rows": {"path": str(fasta / "a.jsonl")},
        "proteins": {"path": str(fasta / "proteins.fasta"), "max_failed": 0.5},
    }
    first = make_corpus(sources, plugins=[plugin])
    again = make_corpus(sources, plugins=[plugin])
    assert again.report.partitions_cached == first.report.partitions == 4
    plugin.write_text(LOWER)
    changed = make_corpus(sources, plugins=[plugin])
    assert changed.rows["text"].to_list() == ["A ROW", "mkvlaa", "ggs"]
    assert changed.report.partitions_cached == 1


def test_what_is_wrong_with_a_reader_is_told_and_the_others_work(fasta: Path) -> None:
    host = Host([str(fasta / "fasta_reader.py")], only={"sources"})
    assert {"fasta", "jsonl", "warc"} <= set(host.vocabulary.readers)
    (broken,) = host.broken
    for told in (
        "Unfinished does not define read()",
        "Misnamed: name is the str 'Fasta 2'",
        "suffixes is a string, not a tuple of them: write ('fasta',)",
        "Strange: holds is the str 'sequences'",
    ):
        assert told in broken.error


def test_two_readers_of_one_suffix_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        UPPER.replace('"fasta", "fa"', '"jsonl",').split("class Unfinished")[0]
        + "@hookimpl\ndef datachef_readers():\n    return [FastaReader]\n"
    )
    host = AnyHost([str(tmp_path / "other.py")], only={"sources"})
    with pytest.raises(PluginError, match="two packages register the suffix 'jsonl'"):
        _ = host.vocabulary


class TestManySmallFiles:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        folder = tmp_path / "many"
        folder.mkdir()
        for number in range(600):
            (folder / f"{number:04}.json").write_text(
                json.dumps([{"text": f"{number} {line}"} for line in range(2)])
            )
        (folder / "0100.json").write_text('[{"text": "100 0"}, {"text": "1')
        (folder / "0200.json").write_text('[{"text": "200 0"}, {"other": 1}]')
        return folder

    def test_are_few_tasks_with_the_same_rows_and_the_same_accounts(
        self, many: Path, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = {"s": {"path": str(many / "*.json"), "max_failed_files": 1}}
        made = make_corpus(source, engine="local")
        assert made.report.partitions < 20
        monkeypatch.setattr("datachef.core.run.together.MANY", 10**6)
        alone = make_corpus(source)
        assert alone.report.partitions == 600
        assert made.rows.equals(alone.rows)
        assert made.rejects.equals(alone.rejects)
        for corpus in (made, alone):
            entry = next(e for e in corpus.report.ledger if e.op == "read")
            assert (entry.rows_in, entry.rows_out) == (1_199, 1_198)
            assert entry.failed == {"missing_field": 1}
            assert entry.broken["0100.json"].rows_read == 1
        assert made.rejects.select("file", "line").row(0) == ("0200.json", 1)
        assert made.rows["id"][0].startswith("s/0000.json:")

    def test_a_new_file_costs_only_its_neighbours(
        self, many: Path, make_corpus: MakeCorpus
    ) -> None:
        source = {"s": {"path": str(many / "*.json"), "max_failed_files": 1}}
        first = make_corpus(source)
        (many / "0000a.json").write_text('[{"text": "a new one"}]')
        again = make_corpus(source)
        assert again.rows.height == first.rows.height + 1
        assert again.report.partitions - again.report.partitions_cached <= 2

    def test_parts_of_large_files_and_those_of_unknown_size_stay_alone(self) -> None:
        small = [Partition(f"{n}.txt", "", 100) for n in range(3_000)]
        parts = [Partition("large.jsonl", "", 100, {"start": n}) for n in range(2)]
        unknown = [Partition("unknown", "", 0)]
        groups = together([*small[:1500], *parts, *unknown, *small[1500:]])
        assert [part for group in groups for part in group] == [
            *small[:1500], *parts, *unknown, *small[1500:],
        ]  # fmt: skip
        for group in groups:
            assert len(group) <= MOST_TOGETHER
            if group[0] in (*parts, *unknown):
                assert len(group) == 1
        assert len(groups) < 30
