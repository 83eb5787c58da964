from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from datachef.core import RecipeError, RunError
from datachef.core.rows import reader

MakeCorpus = Callable[..., Any]

GOOD = [json.dumps({"text": f"row {i}", "n": i}).encode() for i in range(20)]
TEXTS = [f"row {i}" for i in range(20)]

BAD: dict[str, tuple[bytes, str]] = {
    "broken": (b'{"text": "half', "not_json"),
    "not UTF-8": (b'{"text": "caf\xe9", "n": 1}', "not_utf8"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16-be"), "not_json"),
    "array": (b'[{"text": "a"}]', "not_an_object"),
    "string": (b'"text"', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "number": (b"12", "not_an_object"),
    "raw NUL": (b'{"text": "a\0b", "n": 1}', "not_json"),
    "NUL padding": (b"\0" * 100, "not_json"),
    "lone surrogate": (b'{"text": "\\ud800", "n": 1}', "not_json"),
    "too deep to read": (b'{"text": "a", "n": ' + b"[" * 2000 + b"]" * 2000 + b"}", "not_json"),
    "missing field": (b'{"n": 1}', "missing_field"),
    "null text": (b'{"text": null, "n": 1}', "missing_field"),
    "list for text": (b'{"text": ["a"], "n": 1}', "schema_mismatch"),
    "another schema": (b'{"question": "a", "answer": "b"}', "missing_field"),
}


def with_bad(bad: bytes, newline: bytes = b"\n") -> bytes:
    """Good rows with a blank line after the third and a bad one in line 12."""
    rows = [*GOOD[:3], b"", *GOOD[3:10], bad, *GOOD[10:]]
    return newline.join(rows) + newline


class TestBadRows:
    @pytest.mark.parametrize("partition_bytes", [50, 170, 10**6])
    @pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
    def test_one_bad_row_costs_itself_alone(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        bad: bytes,
        reason: str,
        partition_bytes: int,
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", partition_bytes)
        monkeypatch.setattr(reader, "SAMPLE_ROWS", 5)
        (tmp_path / "a.jsonl").write_bytes(with_bad(bad))
        result = make_corpus("a.jsonl")
        assert result.rows["text"].to_list() == TEXTS
        row = result.rejects.row(0, named=True)
        assert result.rejects.height == 1
        assert (row["file"], row["line"], row["reason"]) == ("a.jsonl", 12, reason)
        assert row["step"] == "sources.s"
        assert row["outcome"] == "failed"
        assert row["detail"]
        entry = result.report.ledger["sources.s"]
        assert (entry.rows_in, entry.rows_out, dict(entry.failed)) == (21, 20, {reason: 1})

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
    def test_lines_of_compressed_files(
        self, make_corpus: MakeCorpus, tmp_path: Path, pack: Any
    ) -> None:
        name = "a.jsonl.gz" if pack is gzip.compress else "a.jsonl.zst"
        (tmp_path / name).write_bytes(pack(with_bad(b"x", b"\r\n")))
        assert make_corpus(name).rejects.select("file", "line").rows() == [(name, 12)]

    def test_lines_are_counted_in_each_file_on_its_own(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 60)
        for name in "ab":
            (tmp_path / f"{name}.jsonl").write_bytes(b"\n" * 500 + with_bad(b"x") + b"\n" * 200)
        result = make_corpus("*.jsonl")
        assert result.rejects.select("file", "line").rows() == [("a.jsonl", 512), ("b.jsonl", 512)]

    def test_too_many_bad_rows_end_the_run(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(with_bad(b"broken\nbroken\n[]"))
        with pytest.raises(RunError, match=r"3 of 23 rows failed.*more than the 10%") as error:
            make_corpus("a.jsonl")
        assert "a.jsonl line 12: " in error.value.hint
        assert make_corpus({"s": {"path": "a.jsonl", "max_failed": 0.2}}).rows.height == 20
        assert not list(tmp_path.glob(".corpus*"))

    def test_a_file_without_a_good_row(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(b"no\njson\n")
        with pytest.raises(RecipeError, match="not one readable row"):
            make_corpus("a.jsonl")


class TestOddButGood:
    def test_line_ends_blank_lines_bom_and_no_final_newline(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        raw = b"\xef\xbb\xbf" + b"\r\n".join([*GOOD[:5], b"", b"  \t", *GOOD[5:]])
        (tmp_path / "a.jsonl").write_bytes(raw)
        result = make_corpus("a.jsonl")
        assert result.rows["text"].to_list() == TEXTS
        assert result.report.ledger["sources.s"].rows_in == 20

    def test_an_empty_file_among_others(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(b"")
        (tmp_path / "b.jsonl").write_bytes(b"\n".join(GOOD))
        (tmp_path / "c.jsonl").write_bytes(b"\n\n")
        assert make_corpus("*.jsonl").rows["text"].to_list() == TEXTS

    def test_nothing_but_empty_files(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(b"")
        with pytest.raises(RecipeError):
            make_corpus("a.jsonl")

    def test_escaped_nul_and_astral_characters_are_kept(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        text = "a\0b \U0001f373 \x7f"
        (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}))
        assert make_corpus("a.jsonl").rows["text"].to_list() == [text]

    def test_of_duplicate_keys_the_last_counts(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "first", "text": "last"}')
        assert make_corpus("a.jsonl").rows["text"].to_list() == ["last"]

    def test_hashes_of_64_bits_are_kept_exactly(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        numbers = [2**64 - 1, 1, 2**63]
        (tmp_path / "a.jsonl").write_text(
            "\n".join(json.dumps({"text": "a", "hash": n}) for n in numbers)
        )
        rows = make_corpus("a.jsonl", output={"columns": ["hash"]}).rows
        assert [int(value) for value in rows["hash"]] == numbers

    def test_nested_fields_are_kept_as_json(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        """Text is text, also beside lists and objects."""
        metas: list[Any] = [{"a": [1, None, "ü"]}, [1], "plain", 1.5, None]
        (tmp_path / "a.jsonl").write_text(
            "\n".join(json.dumps({"text": "a", "meta": meta}) for meta in metas)
        )
        rows = make_corpus("a.jsonl", output={"columns": ["meta"]}).rows
        assert rows["meta"].to_list() == ['{"a":[1,null,"ü"]}', "[1]", "plain", "1.5", None]

    def test_reserved_names_are_kept_under_another(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        row = {"id": "x1", "original_id": "o1", "source": "web", "body": "b", "text": "t"}
        (tmp_path / "a.jsonl").write_text(json.dumps(row))
        columns = ["original_original_id", "original_id", "original_source", "original_text"]
        result = make_corpus(
            {"s": {"path": "a.jsonl", "format": {"text": "body"}}}, output={"columns": columns}
        )
        assert result.rows.row(0, named=True) == {
            "id": result.rows["id"][0],
            "source": "s",
            "text": "b",
            "original_original_id": "x1",
            "original_id": "o1",
            "original_source": "web",
            "original_text": "t",
        }

    def test_fields_that_come_late_are_counted(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        rows = [{"text": "a"}] * 300 + [{"text": "a", "late": 1}] * 7
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert make_corpus("a.jsonl").report.ignored_fields == {"s": {"late": 7}}


GIANT = r"""
import json, sys
from pathlib import Path
from datachef.core import run_recipe

folder = Path(sys.argv[1])


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


baseline = peak()
report = run_recipe(
    folder / "recipe.yaml", folder / "corpus", engine="inline", cache=folder / "cache"
)
print(json.dumps({"rows": report.rows, "failed": report.ledger["sources.s"].failed,
                  "mib": (peak() - baseline) / 1024}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize(
    ("name", "place"), [("a.jsonl", 10), ("a.jsonl.gz", 0), ("a.jsonl.zst", 20), ("a.txt", 0)]
)
def test_a_row_of_200_mb_takes_no_memory(tmp_path: Path, name: str, place: int) -> None:
    giant = b'{"text": "' + b"x" * 200_000_000 + b'"}'
    raw = b"\n".join([*GOOD[:place], giant, *GOOD[place:]])
    if name.endswith(".gz"):
        raw = gzip.compress(raw, 1)
    elif name.endswith(".zst"):
        raw = zstandard.ZstdCompressor().compress(raw)
    (tmp_path / name).write_bytes(raw)
    del raw, giant
    (tmp_path / "recipe.yaml").write_text(
        f"name: giant\nsources:\n  s: {{path: {name}, rows: line}}\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", GIANT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"DATACHEF_PLUGINS": "engines,sources"},
    )
    result = json.loads(shown.stdout)
    print(name, result["mib"])
    (tmp_path / name).unlink()
    assert result["rows"] == 20
    assert result["failed"] == {"row_too_large": 1}
    assert result["mib"] < 300
