"""The report of a finished run: as an object, as a manifest and as a dataset card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from datachef.core.contracts.engine import RunFinished
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.recipe import Rejects
from datachef.core.contracts.source import Source
from datachef.core.distribution import version
from datachef.core.errors import Problem
from datachef.core.escaping import markdown, markdown_code
from datachef.core.language_models.client import MODEL_EFFORT
from datachef.core.language_models.prices import prices_of_environment
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.registry.host import Host
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.rows.inspection import SourceInfo, SourceSample
from datachef.core.rows.reader import REJECTS
from datachef.core.run.finished import FinishedRun
from datachef.core.run.ledger import Accounts, Ledger
from datachef.core.run.observations import some_changes, summed_signals
from datachef.core.run.plan import Plan
from datachef.core.run.stage import key_of
from datachef.core.run.store import Store
from datachef.core.run.summary import SourceShare
from datachef.core.run.thresholds import THRESHOLDS, thresholds_of
from datachef.core.system.code_identity import code_of, core_code

MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Report:
    """The result of a run; `partitions_cached` of `partitions` were there already.

    `shares` are the sources in the corpus, beside what the mix was asked for; `warnings` are what
    whoever trains on the corpus should know; `models` names the language model that a step asks, by
    its place. What lies in the folder is read when it is asked for:
    `opened`, and its tables. A notebook shows the page of the run. Of a corpus under a `url`, the
    folder has what lies beside the rows.
    """

    folder: Path
    accounts: Accounts
    rows: int
    tokens: int
    bytes_read: int
    seconds: float
    partitions: int
    partitions_cached: int
    ignored_fields: Mapping[str, Mapping[str, int]]
    shares: tuple[SourceShare, ...]
    warnings: tuple[Problem, ...]
    models: Mapping[str, str]
    url: str = ""

    @property
    def place(self) -> Path | str:
        """Where the corpus is: the folder, or the URL."""
        return self.url or self.folder

    @property
    def ledger(self) -> Ledger:
        """What every step did with the rows that reached it."""
        return self.accounts.whole

    @cached_property
    def opened(self) -> FinishedRun:
        """What the run left in its folder."""
        here = (self.folder / "data").is_dir()
        return FinishedRun.open(self.folder if here else self.place)

    @property
    def corpus(self) -> pl.LazyFrame:
        """The rows of the corpus, in their order."""
        return self.opened.corpus

    @property
    def rejects(self) -> pl.DataFrame:
        """The rejected rows that were kept, with step, reason and signals."""
        return self.opened.rejects

    @property
    def signals(self) -> pl.DataFrame:
        """How often each signal had which value."""
        return self.opened.signals

    def dataset(self, table: Literal["corpus", "rejects", "signals"] = "corpus") -> Any:
        """One of the tables as a `datasets.Dataset`."""
        return self.opened.dataset(table)

    def _repr_html_(self) -> str:
        return self.opened._repr_html_()

    def ledger_data(self, *, timed: bool = False) -> list[dict[str, Any]]:
        """The ledger as plain data. Steps on the corpus also have the rows of each source, and the
        output has its share beside the one that the mix was asked for."""
        entries = [entry.to_data(timed=timed) for entry in self.ledger]
        for entry in entries:
            if not entry["path"].startswith("sources."):
                entry["sources"] = {
                    name: {k: getattr(ledger[entry["path"]], k) for k in ("rows_in", "rows_out")}
                    for name, ledger in self.accounts.sources.items()
                }
        for share in self.shares:
            entries[-1]["sources"][share.source] |= share.to_data()
        return entries

    def effort(self) -> dict[str, Any]:
        """What the run cost: what differs from run to run. A step that was in the cache has the
        time that it took then, of all processes together, and what it asked then."""
        names = ("seconds", "bytes_read", "partitions", "partitions_cached")
        steps = {entry.path: round(entry.seconds, 3) for entry in self.ledger}
        asked = self.language_models()
        return {name: getattr(self, name) for name in names} | {
            "steps": steps, "language_models": asked
        }  # fmt: skip

    def language_models(self) -> dict[str, dict[str, Any]]:
        """What steps asked of language models, by their places: the `requests` that were answered,
        how often they were `repeated`, their tokens and, where the environment names prices, what
        these `cost`; and the answers that were `kept` from before."""
        prices, found = prices_of_environment(), {}
        for entry in self.ledger:
            if entry.path in self.models:
                model = self.models[entry.path]
                asked = {name: entry.effort[name] for name in MODEL_EFFORT}
                if (price := prices.get(model)) is not None:
                    cost = price.of(asked["prompt_tokens"], asked["answer_tokens"])
                    asked |= {"cost": round(cost, 6)}
                found[entry.path] = {"op": entry.op, "model": model, **asked}
        return found

    def finished(self) -> RunFinished:
        """The event that observers get at the end of the run."""
        names = (field.name for field in fields(RunFinished))
        return RunFinished(**{name: getattr(self, name) for name in names})

    def to_data(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "folder": str(self.place),
            "rows": self.rows,
            "tokens": self.tokens,
            "bytes_read": self.bytes_read,
            "seconds": self.seconds,
            "partitions": self.partitions,
            "partitions_cached": self.partitions_cached,
            "ignored_fields": {k: dict(v) for k, v in self.ignored_fields.items()},
            "shares": [share.to_data() for share in self.shares],
            "warnings": [problem.to_data() for problem in self.warnings],
            "language_models": self.language_models(),
            "ledger": self.ledger_data(timed=True),
        }


def manifest(
    checked: CheckedRecipe, plan: Plan, host: Host, files: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the corpus was made of and with; the same for every run of the same recipe and data."""
    written = checked.written or checked
    samples = {name: _sample(sample) for name, sample in checked.samples.items()}
    vocabulary = host.vocabulary
    used = sorted({op for _, op in plan.steps if op in vocabulary})
    packages = {vocabulary.package(op) for op in used}
    return {
        "manifest_version": MANIFEST_VERSION,
        "datachef": version(),
        "polars": pl.__version__,
        "recipe": written.recipe.to_data(),
        **({"samples": samples} if samples else {}),
        "vocabulary": vocabulary.fingerprint,
        "operators": {op: vocabulary[op].version for op in used},
        "code": {"datachef": core_code()} | {op: key_of(code_of(vocabulary[op])) for op in used},
        "plugins": [
            {"name": p.name, "package": p.package, "version": p.version}
            for p in host.plugins
            if p.package in packages and not p.error
        ],
        "inputs": {name: _input(found) for name, found in written.source_info.items()},
        "schema": plan.schema,
        "outputs": files,
    }


def _sample(sample: SourceSample) -> dict[str, Any]:
    """What of a source a recipe ran on instead of all of it."""
    return {"rows": sample.rows, "available": round(sample.available), "misfits": sample.failed}


def _input(found: SourceInfo) -> dict[str, Any]:
    return {
        "kind": found.source.key,
        "licence": found.source.licence,
        "format": found.format.model_dump(mode="json"),
        "partitions": [
            {"name": partition.name, "bytes": partition.size, "identity": partition.identity}
            for partition in found.partitions
        ],
        **found.source.provenance(),
    }


def dataset_card(
    checked: CheckedRecipe, plan: Plan, report: Report, pattern: str, features: Sequence[Any]
) -> str:
    """A README.md that `datasets` reads the layout from and people read the ledger in.

    `features` are the types of the columns, where the files do not say them.
    """
    from datachef.core import document

    written = checked.written or checked
    recipe = written.recipe
    front = document.dump(
        {
            "configs": [
                {"config_name": "default", "data_files": [{"split": "train", "path": pattern}]}
            ],
            "tags": ["datachef"],
            **({"dataset_info": {"features": list(features)}} if features else {}),
        }
    )
    lines = [
        f"---\n{front}---\n",
        f"# {markdown(recipe.name)}\n",
        *([markdown(recipe.description) + "\n"] if recipe.description else []),
        f"{report.rows:,} rows, {report.tokens:,} tokens, schema `{plan.schema}`. Made by datachef "
        f"{version()} from the recipe in `manifest.json`.\n",
        "## Use\n",
        "```python",
        "from datasets import load_dataset\n",
        'rows = load_dataset("PATH_OF_THIS_FOLDER", split="train")',
        "```\n",
        "## Sources\n",
        "| source | licence | description |",
        "|---|---|---|",
        *(_source_line(name, source) for name, source in written.sources.items()),
        *_share_lines(report),
        *_warning_lines(report),
        "\n## Ledger\n",
        "| step | operator | rows in | rows out | dropped | failed | created |",
        "|---|---|--:|--:|---|---|--:|",
        *(
            f"| {e.path} | {e.op} | {e.rows_in:,} | {e.rows_out:,} | {_reasons(e.dropped)} | "
            f"{_reasons(e.failed)} | {e.created:,} |"
            for e in report.ledger
        ),
        "",
    ]
    return "\n".join(lines)


def _source_line(name: str, source: Source) -> str:
    licence = markdown(source.licence) or "not stated"
    return f"| {name} | {licence} | {markdown(source.description)} |"


def _share_lines(report: Report) -> list[str]:
    unit = report.shares[0].unit
    lines = [
        f"| {s.source} | {'' if s.asked is None else f'{s.asked:.1%}'} | {s.share:.1%} | "
        f"{s.rows:,} | {s.tokens:,} | {'' if s.epochs is None else f'{s.epochs:.2f}'} |"
        for s in report.shares
    ]
    return [
        "\n## Shares\n",
        f"| source | asked share of {unit} | share | rows | tokens | epochs |",
        "|---|--:|--:|--:|--:|--:|",
        *lines,
    ]


def _warning_lines(report: Report) -> list[str]:
    if not report.warnings:
        return []
    found = [
        f"- {markdown(w.message)} ({markdown_code(w.code)} at {markdown_code(w.path)})"
        for w in report.warnings
    ]
    return ["\n## Warnings\n", *found]


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{markdown(reason)} {count:,}" for reason, count in sorted(counts.items()))


def gather(plan: Plan, records: Mapping[str, Any], store: Store, settings: Rejects) -> pl.DataFrame:
    """The rejected rows that are kept, in the order of the data.

    Partitions count lines from their own beginning; here they are counted from that of the file.
    """
    frames = []
    lines: Counter[str] = Counter()
    for item in (item for item in plan.partitions if item.key in records):
        record = records[item.key]
        before = 0
        if len(item.partitions) == 1 and item.stage.source is not None:
            file = f"{item.stage.source.name}/{item.partitions[0].name}"
            before = lines[file]
            lines[file] += record["lines"]
        if record["rejects"]:
            rejects = store.read(item.key, record["rejects"])
            frames.append(rejects.with_columns(pl.col("line") + before))
    table = pl.concat(frames) if frames else pl.DataFrame(schema=REJECTS)
    if settings.keep == "sample":
        table = table.group_by("step", "reason", maintain_order=True).head(settings.per_reason)
    return table.select(list(REJECTS))


def observed(plan: Plan, records: Mapping[str, Any], store: Store) -> dict[str, pl.DataFrame]:
    """What all partitions left to look at, by name: how often signals had which value, and some of
    the rows that were changed."""

    def tables(name: str) -> Iterator[pl.DataFrame]:
        for item in plan.partitions:
            facts = records.get(item.key, {}).get("observed", {})
            if name in facts:
                yield store.read(item.key, facts[name])

    return {
        "signals": summed_signals(tables("signals")),
        "changes": some_changes(tables("changes")),
    }


def threshold_table(plan: Plan, vocabulary: Vocabulary) -> pl.DataFrame:
    """The thresholds of all filters, in the order of the recipe."""
    specs = {step.path: step for stage in plan.stages for step in stage.steps}
    operators = {
        path: vocabulary.operator(specs[path].data) for path, _ in plan.steps if path in specs
    }
    rows = [
        {"step": path, **asdict(found)}
        for path, operator in operators.items()
        if isinstance(operator, Filter)
        for found in thresholds_of(operator)
    ]
    return pl.DataFrame(rows, schema=THRESHOLDS)
