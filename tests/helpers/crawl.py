"""Real pages and the steps of FineWeb that need nothing to be fetched, for runs on every engine."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from command import CHEF

FILES = 6
_PAGES = 40
_RECIPE = """
name: crawl
sources:
{sources}
steps:
  - op: minhash_dedup
output: {{shard_bytes: 100000}}
"""
_SOURCE = """  part_{number}:
    path: pages-{number}.jsonl
    steps:
      - op: logged_filter
        file: {log}
      - op: gopher_repetition_filter
      - op: gopher_quality_filter
      - op: clean_c4_lines
        terminal_punctuation: false
      - op: redact_personal_data
        kinds: [email_address, ip_address]
"""
_PLUGIN = '''
from pathlib import Path
from time import sleep
from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, hookimpl


class LoggedFilter(Filter):
    """Keeps all rows, slowly, and notes in a file which batches it was given."""

    op: Literal["logged_filter"] = "logged_filter"
    file: str = Field(description="Where batches are noted, a line each.")

    def signals(self):
        def logged(batch):
            if batch.height == 40:  # with fewer rows it is tried whether it looks at others
                with Path(self.file).open("a") as log:
                    log.write(f"{batch['source'][0]}\\n")
                sleep(0.3)
            return batch["text"].str.len_chars()

        return {"logged": logged}

    def rules(self):
        return {}


@hookimpl
def datachef_operators():
    return [LoggedFilter]
'''


@dataclass(frozen=True)
class Crawl:
    """A folder with a recipe over `FILES` units of real pages, each of which is one batch."""

    folder: Path

    @classmethod
    def write(cls, folder: Path, shared_data: Path) -> Crawl:
        crawl = cls(folder)
        with gzip.open(shared_data / "web" / "part-000.jsonl.gz", "rt", encoding="utf-8") as lines:
            for number in range(FILES):
                pages = "".join(next(lines) for _ in range(_PAGES))
                (folder / f"pages-{number}.jsonl").write_text(pages, encoding="utf-8")
        sources = "".join(_SOURCE.format(number=n, log=crawl.log) for n in range(FILES))
        (folder / "recipe.yaml").write_text(_RECIPE.format(sources=sources))
        (folder / "logging_plugin.py").write_text(_PLUGIN)
        return crawl

    @property
    def log(self) -> Path:
        return self.folder / "units.log"

    def units_done(self) -> list[str]:
        """The units that were begun since the last time, in no order."""
        found = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return found

    def start(self, name: str, *options: object) -> subprocess.Popen[str]:
        """A run with a cache and an output of this name."""
        places = ("--output", self.output(name), "--cache", self.cache(name))
        plugin = ("--plugin", self.folder / "logging_plugin.py")
        command = (*CHEF, *plugin, "run", self.folder / "recipe.yaml", *places, *options)
        return subprocess.Popen(
            [*map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def run(self, name: str, *options: object) -> dict[str, str]:
        """The digests of the corpus that a run gives."""
        running = self.start(name, *options)
        _, said = running.communicate()
        assert running.returncode == 0, said
        return self.digests(name)

    def output(self, name: str) -> Path:
        return self.folder / name

    def cache(self, name: str) -> Path:
        return self.folder / f"{name}.cache"

    def results(self, name: str) -> int:
        """How many partitions and decisions are done."""
        return len([*(self.cache(name) / "partitions").glob("*/*.json")])

    def digests(self, name: str) -> dict[str, str]:
        """All files of a corpus but the one with the times."""
        return {
            str(path.relative_to(self.output(name))): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.output(name).rglob("*"))
            if path.is_file() and path.name != "effort.json"
        }
