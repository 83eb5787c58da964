"""Signals of filters: measured on rows, remembered in the cache, and decided on by rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from datachef.core.contracts.filter import Filter
from datachef.core.errors import PluginError, RunError
from datachef.core.registry.promises import ask
from datachef.core.run.stage import key_of
from datachef.core.run.steps import ROW, AnyStep, groups
from datachef.core.run.store import Store
from datachef.core.system.containment import ENDINGS

Place = tuple[int, int]
TEXT = "_text"
_SHOWN_CHARACTERS = 200


class Intermediates:
    """What consecutive filters compute on the way to their signals, each expression once.

    The columns are kept beside the rows, and follow them as rows are dropped: each when it is next
    asked for, since many are not.
    """

    def __init__(self) -> None:
        self._expressions: dict[str, pl.Expr] = {}
        self._columns: dict[str, pl.Series] = {}
        self._dropped: dict[str, list[pl.Series]] = {}

    def beside(self, operator: Filter, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the intermediates of this filter, of which some may be there already."""
        wanted = _intermediates(operator)
        known = self._expressions
        if any(name in known and not known[name].meta.eq(wanted[name]) for name in wanted):
            known.clear()
        for name, expression in wanted.items():
            if name not in known:
                values = rows.select(expression.alias(name))[name]
                _refuse_other_height(operator, name, values, rows)
                self._columns[name], self._dropped[name] = values, []
                known[name] = expression
            for kept in self._dropped[name]:
                self._columns[name] = self._columns[name].filter(kept)
            self._dropped[name] = []
            rows = rows.with_columns(self._columns[name])
        return rows

    def keep(self, kept: pl.Series) -> None:
        """Follows the rows: `kept` says which of them stay."""
        for masks in self._dropped.values():
            masks.append(kept)


def measure(
    operator: Filter, rows: pl.DataFrame, shared: Intermediates | None = None
) -> pl.DataFrame:
    """The lasting signals of a filter under their own names, one row per row.

    All expressions run as one query, in which equal parts are computed once.
    """
    view = (shared or Intermediates()).beside(operator, rows)
    lasting = {n: s for n, s in operator.signals().items() if not n.startswith("_")}
    expressions = {n: s for n, s in lasting.items() if isinstance(s, pl.Expr)}
    table = view.lazy().select(**expressions).collect()
    columns = {name: table[name] for name in expressions}
    for name, function in lasting.items():
        if not isinstance(function, pl.Expr):
            columns[name] = _series(operator, name, function(view.clone()))
    for name, values in columns.items():
        _refuse_other_height(operator, name, values, rows)
    return pl.DataFrame([columns[name] for name in lasting])


def _refuse_other_height(
    operator: Filter, name: str, values: pl.Series, rows: pl.DataFrame
) -> None:
    if len(values) != rows.height:
        raise PluginError(
            f"the signal {name} of {operator.op} has {len(values)} values, not {rows.height}",
            hint="a signal gives one value per row, in the order of the batch",
        )


def _series(operator: Filter, name: str, values: Any) -> pl.Series:
    if not isinstance(values, pl.Series):
        kind = "None" if values is None else f"a {type(values).__name__}"
        raise PluginError(
            f"the signal {name} of {operator.op} gave {kind}, not a polars Series",
            hint="a signal gives one value per row, in the order of the batch",
        )
    if values.dtype == pl.Object:
        raise PluginError(
            f"the signal {name} of {operator.op} gave Python objects, which cannot be stored",
            hint="give numbers, strings, booleans, or lists of them",
        )
    return values.alias(name)


def decide(operator: Filter, signals: pl.DataFrame) -> pl.Series:
    """The reason for which each row is dropped, null where it is kept.

    `signals` has the columns of the batch and this filter's signals under their own names. Raises
    `PluginError` where the rules cannot be evaluated on any rows of these types.
    """
    try:
        return _reasons(operator, signals)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if signals.height:
            decide(operator, signals.clear())  # of other rows the same may be true
            raise
        rules = ", ".join(operator.rules())
        words = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise PluginError(
            f"the rules of {operator.op} ({rules}) cannot be evaluated: {words}",
            hint="a rule is a condition on the filter's signals",
        ) from error


def details(operator: Filter, dropped: pl.DataFrame) -> pl.Series:
    """What the filter says of each dropped row, as `detail`; empty where it says nothing."""
    answer = ask(operator, "details", dropped)
    if answer is None:
        return pl.repeat("", dropped.height, dtype=pl.String, eager=True).alias("detail")
    if not isinstance(answer, pl.Series) or len(answer) != dropped.height:
        given = (
            f"{len(answer)} values"
            if isinstance(answer, pl.Series)
            else f"a {type(answer).__name__}"
        )
        raise PluginError(
            f"details() of {operator.op} gave {given} for {dropped.height} dropped rows",
            hint="details() gives a polars Series with one text per dropped row, or None",
        )
    return answer.cast(pl.String).alias("detail")


def deciding(
    operator: Filter, rows: pl.DataFrame, signals: pl.DataFrame, reasons: pl.Series
) -> pl.Series:
    """What decided on each dropped row, as a JSON object: the signals that its rule reads, and the
    columns that the filter reads beside the content."""
    dropped = reasons.is_not_null()
    read = sorted(operator.reads() & set(rows.columns) - {"id", "text", "messages"})
    told = rows.select("id", *read).with_columns(signals).filter(dropped)
    told = told.with_columns(
        pl.col(pl.String).str.slice(0, _SHOWN_CHARACTERS),
        pl.col(pl.Float32, pl.Float64).round_sig_figs(6),
    )
    reasons = reasons.filter(dropped)
    value = pl.repeat("", told.height, eager=True).alias("signals")
    for reason in reasons.unique():
        named = dict.fromkeys((*operator.rules()[reason].meta.root_names(), *read))
        known = [n for n in named if n in told.columns and not told.schema[n].is_nested()]
        if known:
            places = (reasons == reason).arg_true()
            as_json = told[places].select(pl.struct(known).struct.json_encode()).to_series()
            value = value.scatter(places, as_json)
    return value


def refuse_neighbours(
    operator: Filter, rows: pl.DataFrame, signals: pl.DataFrame, reasons: pl.Series
) -> None:
    """Raises `PluginError` where a row is measured or judged otherwise with fewer rows beside it.

    `signals` and `reasons` are those of all rows; some rows are tried again by themselves.
    What looks at other rows (a mean, a rank, the row before) would depend on where batches are cut.
    """
    for places in some_rows(rows.height):
        some, known = rows[places], signals[places]
        try:
            again = measure(operator, some)
            judged = decide(operator, some.with_columns(known))
        except ENDINGS:
            continue  # a row that breaks it fails where it is processed
        other = [
            f"the signal {name}" for name in known.columns if _differ(again[name], known[name])
        ]
        if not judged.equals(reasons[places], null_equal=True):
            other.append("one of the rules")
        if other:
            raise PluginError(
                f"{other[0]} of {operator.op} gives a row another value when other rows are "
                "beside it",
                hint="a filter looks at each row by itself (no mean, rank or shift over the rows, "
                "nothing random); what needs the whole corpus is a CorpusOperator",
            )


def some_rows(height: int) -> list[list[int]]:
    """Rows of a batch on which it is tried whether the others matter to them: some of them, and
    in a small batch, where these are few, also the first alone."""
    step = max(2, height // 16)
    some = list(range(step - 1, height, step))
    return [some] if len(some) > 8 else [[0], some]


def unlike(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    """Whether tables differ by more than how compiled code rounds in batches of other sizes."""
    if first.height != second.height or not first["id"].equals(second["id"]):
        return True
    shared = [name for name in first.columns if name in second.columns]
    return any(_differ(first[name], second[name]) for name in shared)


def _differ(first: pl.Series, second: pl.Series) -> bool:
    """Whether values differ by more than how compiled code rounds in batches of other sizes."""
    from polars.testing import assert_series_equal

    if first.dtype == second.dtype and first.equals(second, null_equal=True):
        return False  # as nearly always; what follows is slow
    try:
        assert_series_equal(first, second, check_dtypes=False, rel_tol=1e-3, abs_tol=1e-6)
    except AssertionError:
        return True
    return False


def _reasons(operator: Filter, signals: pl.DataFrame) -> pl.Series:
    reason = pl.lit(None, pl.String)
    for name, rejects in reversed(list(operator.rules().items())):
        reason = pl.when(rejects).then(pl.lit(name)).otherwise(reason)
    # a filter without rules would give one literal instead of a value per row
    values = signals.select(reason.alias("reason"))["reason"]
    return values if len(values) == signals.height else values.new_from_index(0, signals.height)


def _intermediates(operator: Filter) -> Mapping[str, pl.Expr]:
    found = {}
    for name, signal in operator.signals().items():
        if name.startswith("_"):
            if not isinstance(signal, pl.Expr):
                raise PluginError(f"{operator.op}: the intermediate {name} must be an expression")
            found[name] = signal
    return found


class SignalMemory(Protocol):
    """Remembers signals: of each filter, by its group and its place in it."""

    def recall(self, group: int, place: int, rows: pl.DataFrame) -> pl.DataFrame | None:
        """What is known of these rows (`ROW` and `text`): `ROW` and the signals; None where that is
        nothing."""

    def remember(self, group: int, place: int, rows: pl.DataFrame, signals: pl.DataFrame) -> None:
        """Takes what was measured of some of the rows: `ROW` and the signals."""


class SignalCache:
    """The signals of the filters of one partition.

    A filter's key is the partition's input, all steps before its group of consecutive filters, and
    what its signals depend on: no threshold of the group. It holds the rows that were ever
    measured. Rows are known by their number, so that nothing is kept of rows that may be others in
    the next run: where `partition_input` is None, and after a step whose failures may pass. What
    `texts` remembers besides need not be of this partition.
    """

    def __init__(
        self,
        store: Store,
        partition_input: str | None,
        steps: Sequence[AnyStep],
        texts: TextMemory | None = None,
    ) -> None:
        self._store = store
        self._texts = texts
        self._text_keys: dict[Place, str] = {}
        self._keys: dict[Place, str] = {}
        self._files: dict[Place, str] = {}
        self._known: dict[Place, pl.DataFrame] = {}
        self._new: dict[Place, list[pl.DataFrame]] = {}
        before: list[Any] = [partition_input]
        lasting = partition_input is not None
        for index, group in enumerate(groups(steps)):
            for place, filter_step in enumerate(group if isinstance(group, list) else ()):
                operator = filter_step.operator
                if operator.signal_names():
                    identity = {**filter_step.identity, **operator.signal_identity()}
                    if lasting:
                        self._open((index, place), key_of("signals", before, identity))
                    if texts is not None and operator.reads() == {"text"}:
                        self._text_keys[index, place] = key_of("texts", identity)
            members: Sequence[AnyStep] = group if isinstance(group, list) else [group]
            before.extend([step.path, step.identity] for step in members)
            lasting = lasting and not any(step.operator.transient for step in members)

    def _open(self, place: Place, key: str) -> None:
        self._keys[place] = key
        record = self._store.record(key)
        if record is not None:
            (facts,) = record["files"]
            self._files[place] = facts["file"]
            try:
                self._known[place] = self._store.read(key, facts)
            except RunError:
                return  # damaged, or replaced by another run just now: as good as none

    @property
    def keys(self) -> list[str]:
        """Under which the signals are kept."""
        return sorted(self._keys.values())

    def recall(self, group: int, place: int, rows: pl.DataFrame) -> pl.DataFrame | None:
        known = self._known.get((group, place))
        if known is not None:
            found = rows.select(ROW).join(known, on=ROW, maintain_order="left")
            if found.height:
                return found
        if self._texts is not None and (group, place) in self._text_keys:
            return self._texts.recall(self._text_keys[group, place], rows)
        return None

    def remember(self, group: int, place: int, rows: pl.DataFrame, signals: pl.DataFrame) -> None:
        if not signals.height:
            return
        if (group, place) in self._keys:
            self._new.setdefault((group, place), []).append(signals)
        if self._texts is not None and (group, place) in self._text_keys:
            self._texts.remember(self._text_keys[group, place], rows, signals)

    def finish(self) -> None:
        """Writes what was measured, once the whole partition has passed."""
        for place, frames in self._new.items():
            key = self._keys[place]
            known = [self._known[place]] if place in self._known else []
            table = pl.concat([*known, *frames]).sort(ROW)
            facts = self._store.write(key, "signals.parquet", table)
            self._store.finish(key, {"files": [facts]}, anew=True)
            if (old := self._files.get(place)) not in (None, facts["file"]):
                self._store.discard(key, old)


class TextMemory:
    """What was measured of texts, for a process that meets the same texts again and again.

    `key` names what was measured: signals of a filter or summaries that depend on `text` alone.
    """

    def __init__(self, most_texts: int = 1_000_000) -> None:
        self._most = most_texts
        self._known: dict[str, pl.DataFrame] = {}

    def recall(self, key: str, rows: pl.DataFrame) -> pl.DataFrame | None:
        """`ROW` and what is known of the rows whose text was met before."""
        known = self._known.get(key)
        if known is None:
            return None
        found = _by_text(rows).join(known, on=TEXT, maintain_order="left").drop(TEXT)
        return found if found.height else None

    def remember(self, key: str, rows: pl.DataFrame, measured: pl.DataFrame) -> None:
        """Takes `ROW` and what was measured of some of the rows."""
        fresh = _by_text(rows).join(measured, on=ROW).drop(ROW)
        known = self._known.get(key)
        if known is not None and known.height < self._most:
            fresh = pl.concat([known, fresh])
        self._known[key] = fresh.unique(TEXT, keep="first", maintain_order=True)


def _by_text(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(ROW, pl.col("text").hash(seed=0).alias(TEXT))
