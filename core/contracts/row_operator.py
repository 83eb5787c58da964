"""An operator made of a function of one row: the short way, and the slow one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_type_hints, overload

from pydantic import create_model

from datachef.core.contracts.transform import Transform

if TYPE_CHECKING:
    import polars as pl

Row: TypeAlias = dict[str, Any]
RowFunction: TypeAlias = Callable[..., "bool | str | Row | list[Row]"]

REJECTED = "rejected"


class RowOperator(Transform):
    """Base of what `row_operator` makes: calls a function with every row by itself."""

    max_rows: ClassVar[int | None] = None
    read_columns: ClassVar[tuple[str, ...]] = ("text",)
    written_columns: ClassVar[tuple[str, ...]] = ()
    own_reasons: ClassVar[tuple[str, ...]] = ()

    # The function that was decorated.
    function: ClassVar[RowFunction]

    def reads(self) -> set[str]:
        return set(self.read_columns)

    def writes(self) -> set[str]:
        return set(self.written_columns)

    def reasons(self) -> tuple[str, ...]:
        return (REJECTED, *self.own_reasons, *super().reasons())

    def transform(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        import polars as pl

        parameters = {name: getattr(self, name) for name in type(self).model_fields if name != "op"}
        reasons: list[str | None] = []
        places: list[int] = []
        answers: list[Row | None] = []
        for place, row in enumerate(_rows(batch)):
            answer = self.function(row, **parameters)
            reason = self._reason(answer)
            reasons.append(reason)
            if reason is None:
                made = answer if isinstance(answer, list) else [answer]
                places += [place] * len(made)
                answers += [None if one is True else _checked(one) for one in made]
        return _updated(batch[places], answers), pl.Series(reasons, dtype=pl.String)

    def _reason(self, answer: Any) -> str | None:
        """The reason of the drop in an answer; None where the row stays."""
        if answer is False:
            return REJECTED
        if not isinstance(answer, str):
            return None
        if answer not in self.reasons():
            raise ValueError(f"{self.op} drops a row as {answer!r}, which reasons= does not name")
        return answer


@overload
def row_operator(function: RowFunction, /) -> type[RowOperator]: ...
@overload
def row_operator(
    *,
    reads: Sequence[str] = ("text",),
    writes: Sequence[str] = (),
    reasons: Sequence[str] = (),
    version: int = 1,
) -> Callable[[RowFunction], type[RowOperator]]: ...
def row_operator(
    function: RowFunction | None = None,
    /,
    *,
    reads: Sequence[str] = ("text",),
    writes: Sequence[str] = (),
    reasons: Sequence[str] = (),
    version: int = 1,
) -> type[RowOperator] | Callable[[RowFunction], type[RowOperator]]:
    """Makes an operator of a function of one row, named as the function.

    The function is given a row as a dictionary, `messages` as a list of turns, and says what
    becomes of it:

    - `True`: it stays; `False`: it is dropped as `rejected`;
    - a string: it is dropped for this reason, which is one of `reasons`;
    - a dictionary: these columns are changed or added, the others stay;
    - a list of dictionaries: as many rows are made of it, or none.

    Its other arguments are the parameters: annotated, with a `pydantic.Field` (or `threshold`,
    `input_file`, ...) that has a description, and bounds for numbers. The docstring's first line is
    what people and policies read. `reads` are columns that must be there, `writes` those that it
    adds; `version` is raised when the same parameters mean something else. An exception fails the
    row that raises it.

    Every row becomes a dictionary and is looked at in Python, which is several times slower than a
    `Filter` or a `TextTransform` over a batch.
    """
    if function is None:
        return lambda decorated: row_operator_of(decorated, reads, writes, reasons, version)
    return row_operator_of(function, reads, writes, reasons, version)


def row_operator_of(
    function: RowFunction,
    reads: Sequence[str],
    writes: Sequence[str],
    reasons: Sequence[str],
    version: int,
) -> type[RowOperator]:
    """The class of the operator. Raises `TypeError` for a function that cannot be one."""
    name = function.__name__
    kind = create_model(
        name,
        __base__=RowOperator,
        __module__=function.__module__,
        __doc__=inspect.getdoc(function),
        **{"op": (Literal[name], name), **_parameters(function)},
    )
    kind.__qualname__ = function.__qualname__
    kind.function = staticmethod(function)
    kind.read_columns, kind.written_columns = tuple(reads), tuple(writes)
    kind.own_reasons, kind.version = tuple(reasons), version
    return kind


def _parameters(function: RowFunction) -> dict[str, Any]:
    where = f"@row_operator {function.__qualname__}"
    if not inspect.getdoc(function):
        raise TypeError(f"{where}: write a docstring; its first line is shown by `chef ops`")
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise TypeError(f"{where}: the first argument is the row")
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in parameters[1:]:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{where}: name the parameters, without * and **")
        if name not in hints:
            raise TypeError(f"{where}: annotate the parameter {name} with its type")
        if hasattr(RowOperator, name) or name in RowOperator.model_fields:
            raise TypeError(f"{where}: {name} is a name of every operator, choose another")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], default)
    return fields


def _rows(batch: pl.DataFrame) -> Iterator[Row]:
    from datachef.core.text.conversations import turns_of

    for row in batch.iter_rows(named=True):
        if row.get("messages") is not None:
            row["messages"] = turns_of(row["messages"])
        yield row


def _checked(answer: Any) -> Row:
    if not isinstance(answer, Mapping):
        kind = "None" if answer is None else f"a {type(answer).__name__}"
        raise TypeError(
            f"the function gave {kind}: return True, False, a reason, a row or a list of rows"
        )
    return dict(answer)


def _updated(rows: pl.DataFrame, answers: Sequence[Row | None]) -> pl.DataFrame:
    """The rows with the columns that the answers name; where an answer is None, as they are."""
    from datachef.core.text.conversations import turns_of, with_text

    names = list(dict.fromkeys(name for answer in answers if answer for name in answer))
    conversations = "messages" in rows.columns
    old = {name: rows[name].to_list() if name in rows.columns else None for name in names}
    told = rows["messages"].to_list() if conversations else [None] * rows.height
    spoken = False
    columns: list[pl.Series] = []
    for name in names:
        values = list(old[name] or [None] * rows.height)
        if name == "messages":
            values = [None if turns is None else turns_of(turns) for turns in values]
        for place, answer in enumerate(answers):
            if answer is None or name not in answer:
                continue
            new = answer[name]
            if name in ("id", "source") and new != values[place]:
                raise ValueError(f"the {name} of a row stays as it is")
            if name == "text":
                _refuse_unfit_text(new, values[place], told[place], answer)
            values[place] = new
        spoken |= name == "messages"
        columns.append(_column(name, values, rows))
    changed = rows.with_columns(columns)
    return with_text(changed) if spoken else changed


def _refuse_unfit_text(new: Any, old: Any, messages: Any, answer: Row) -> None:
    if not isinstance(new, str):
        raise TypeError(f"the text of a row is a string, not a {type(new).__name__}")
    if messages is not None and new != old and "messages" not in answer:
        raise ValueError("the text of a conversation is made of its messages: return messages")


def _column(name: str, values: list[Any], rows: pl.DataFrame) -> pl.Series:
    """The values in the type of the column that they replace, where they fit into it."""
    import polars as pl

    from datachef.core.text.conversations import turns_column

    if name == "messages":
        return turns_column(values)
    if name in rows.columns:
        try:
            return pl.Series(name, values, dtype=rows.schema[name], strict=True)
        except (TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, values, strict=False)
