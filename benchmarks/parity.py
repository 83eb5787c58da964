"""Decisions and speed of our filters beside those of datatrove and Data-Juicer, one by one.

    python benchmarks/parity.py [FILES...] [--rows 4000] [--peers datatrove,data_juicer]

Each filter looks at each page by itself with the reference's default parameters; each reference is
installed into an environment of its own on first use. Prints the share of pages on which both
decide alike, the same of pages in which newlines alone end lines, both speeds in megabytes of text
per second of processor time, their ratio, and with `--examples` pages on which they differ. Speeds
are those of the filter alone, over rows in memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import stopwordsiso
from peers.environment import peer_python

from datachef.core import Host
from datachef.core.run.signals import decide, measure

HERE = Path(__file__).resolve().parent
# Libraries read these where they are loaded.
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
DATA = Path(os.environ.get("DATACHEF_TEST_DATA", HERE.parent.parent / "shared" / "data"))
# What ends a line for us, and for the references only in some filters.
OTHER_LINE_ENDS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
SUFFIXES = (".md", ".html", ".txt")


@dataclass(frozen=True)
class Pair:
    """A filter of a reference and the step of ours that stands for it, with the same parameters."""

    peer: str
    theirs: str
    step: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decisions:
    """Which rows are kept, and in how many seconds that was decided."""

    kept: frozenset[str]
    seconds: float


def pairs(work: Path) -> list[Pair]:
    """What is compared; files of words and a tokenizer are in `work`."""
    lists, words, tokenizer = str(work), str(work / "flagged.txt"), str(work / "tokenizer")

    def juicer(theirs: str, op: str, **more: Any) -> Pair:
        given = more.pop("parameters", {})
        return Pair("data_juicer", theirs, {"op": op, **more}, given)

    return [
        *(
            Pair("datatrove", name, {"op": f"{name}_filter"})
            for name in ("gopher_quality", "c4_quality", "fineweb_quality", "c4_paragraph")
        ),
        Pair(
            "datatrove",
            "gopher_repetition",
            {"op": "gopher_repetition_filter", "counting": "datatrove"},
        ),
        juicer("alphanumeric_filter", "alphanumeric_filter"),
        juicer("average_line_length_filter", "average_line_length_filter"),
        juicer("character_repetition_filter", "character_repetition_filter"),
        juicer(
            "flagged_words_filter",
            "flagged_words_filter",
            words=words,
            parameters={"flagged_words_dir": lists},
        ),
        juicer("maximum_line_length_filter", "maximum_line_length_filter"),
        juicer("special_characters_filter", "special_characters_filter"),
        juicer("stopwords_filter", "stop_words_filter", parameters={"stopwords_dir": lists}),
        juicer("text_length_filter", "text_length_filter"),
        juicer(
            "token_num_filter",
            "token_count_filter",
            tokenizer=str(Path(tokenizer) / "tokenizer.json"),
            parameters={"hf_tokenizer": tokenizer},
        ),
        juicer("word_repetition_filter", "word_repetition_filter"),
        juicer("words_num_filter", "word_count_filter"),
        juicer(
            "specified_numeric_field_filter",
            "column_filter",
            where="3 <= score <= 8",
            parameters={"field_key": "score", "min_value": 3, "max_value": 8},
        ),
        juicer(
            "suffix_filter",
            "column_filter",
            where="suffix in ['.md', '.txt']",
            parameters={"suffixes": [".md", ".txt"]},
        ),
    ]


def sample(files: list[str], rows: int) -> list[dict[str, Any]]:
    """Pages at even distances, with a number and a suffix beside the text to decide on."""
    every: list[dict[str, Any]] = []
    for name in files:
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rb") as stream:
            every += [json.loads(line) for line in stream]
    chosen = every[:: max(1, len(every) // rows)][:rows]
    return [
        {
            "id": str(number),
            "text": row["text"],
            "score": number % 10,
            "suffix": SUFFIXES[number % len(SUFFIXES)],
        }
        for number, row in enumerate(chosen)
    ]


def prepare(rows: list[dict[str, Any]], work: Path) -> Path:
    """Writes the pages, the lists of words and a tokenizer that was trained on the pages."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    source = work / "sample.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    listed = DATA / "noise" / "bad_words.jsonl"
    entries = [json.loads(line) for line in listed.open(encoding="utf-8")]
    flagged = sorted({entry["text"].lower() for entry in entries if entry["lang"] == "en"})
    (work / "flagged.txt").write_text("\n".join(flagged), encoding="utf-8")
    (work / "flagged_words.json").write_text(json.dumps({"en": flagged}), encoding="utf-8")
    stop_words = sorted(stopwordsiso.stopwords("en"))
    (work / "stopwords.json").write_text(json.dumps({"en": stop_words}), encoding="utf-8")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4_000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((row["text"] for row in rows[:500]), trainer)
    (work / "tokenizer").mkdir()
    tokenizer.save(str(work / "tokenizer" / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (work / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    return source


def ours(pair: Pair, rows: list[dict[str, Any]]) -> Decisions:
    """Decides on all rows as a run does, in one batch."""
    operator: Any = Host().vocabulary.operator(pair.step)
    batch = pl.DataFrame(rows)
    measure(operator, batch.head(10))  # loads word lists and models
    started = time.process_time()
    reasons = decide(operator, batch.hstack(measure(operator, batch)))
    seconds = time.process_time() - started
    return Decisions(frozenset(batch["id"].filter(reasons.is_null())), seconds)


def of_datatrove(compared: list[Pair], source: Path, work: Path) -> dict[str, Decisions]:
    names = ",".join(pair.theirs for pair in compared)
    folder = work / "datatrove"
    run_peer("datatrove", "run_datatrove.py", source, folder, "--filters", names)
    timing = json.loads((folder / "timing.json").read_text())["filters"]
    rows = [json.loads(line) for line in (folder / "decisions.jsonl").open(encoding="utf-8")]
    return {
        name: Decisions(
            frozenset(row["id"] for row in rows if row[name] is True), timing[name]["cpu_seconds"]
        )
        for name in timing
    }


def of_data_juicer(compared: list[Pair], source: Path, work: Path) -> dict[str, Decisions]:
    wanted, found = work / "filters.json", work / "data_juicer.json"
    wanted.write_text(json.dumps({pair.theirs: pair.parameters for pair in compared}))
    run_peer("data_juicer", "decide_data_juicer.py", source, found, str(wanted))
    return {
        name: Decisions(frozenset(result["kept"]), result["seconds"])
        for name, result in json.loads(found.read_text()).items()
    }


def run_peer(name: str, script: str, source: Path, output: Path, *more: str) -> None:
    command = [str(peer_python(name)), str(HERE / "peers" / script), str(source), str(output)]
    done = subprocess.run([*command, *more], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-4_000:]}")


PEERS = {"datatrove": of_datatrove, "data_juicer": of_data_juicer}


def lines(
    compared: list[Pair],
    theirs: Mapping[str, Decisions],
    rows: list[dict[str, Any]],
    examples: int,
) -> Iterator[str]:
    """The table of one reference, and pages on which a filter decides otherwise."""
    megabytes = sum(len(row["text"].encode()) for row in rows) / 1e6
    texts = {row["id"]: row["text"] for row in rows}
    plain = {page for page, text in texts.items() if not OTHER_LINE_ENDS.search(text)}
    yield "| reference | ours | alike | plain lines | kept | theirs | MB/s | theirs | ratio |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    shown = []
    for pair in compared:
        own, other = ours(pair, rows), theirs[pair.theirs]
        differing = own.kept ^ other.kept
        yield (
            f"| {pair.theirs} | {pair.step['op']} | {1 - len(differing) / len(rows):.2%} "
            f"| {1 - len(differing & plain) / len(plain):.2%} "
            f"| {len(own.kept):,} | {len(other.kept):,} | {megabytes / own.seconds:.1f} "
            f"| {megabytes / other.seconds:.2f} | {other.seconds / own.seconds:.1f} |"
        )
        for page in sorted(differing, key=int)[:examples]:
            who = "ours" if page in own.kept else "theirs"
            shown.append(f"{pair.theirs}, kept by {who} alone: {texts[page][:300]!r}")
    yield from shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="jsonl or jsonl.gz; 80 MB of web pages by default")
    parser.add_argument("--rows", type=int, default=4_000, help="pages to compare")
    parser.add_argument("--peers", default="datatrove,data_juicer")
    parser.add_argument("--examples", type=int, default=0, help="pages to show for each filter")
    options = parser.parse_args()
    files = options.files or sorted(map(str, DATA.glob("web/part-00[0-3].jsonl.gz")))
    if not files:
        parser.error("no input: name some jsonl files")
    rows = sample(files, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = prepare(rows, work)
        print(f"{len(rows):,} pages, one core")
        for peer in options.peers.split(","):
            compared = [pair for pair in pairs(work) if pair.peer == peer]
            print(f"\n{peer}\n")
            for line in lines(
                compared, PEERS[peer](compared, source, work), rows, options.examples
            ):
                print(line, flush=True)


if __name__ == "__main__":
    if not ONE_THREAD.items() <= os.environ.items():
        command = [sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, check=False, env=os.environ | ONE_THREAD).returncode)
    main()
