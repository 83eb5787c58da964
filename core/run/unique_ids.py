"""No two rows of a corpus have one id, whatever sources and operators made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from datachef.core.errors import PluginError, is_panic
from datachef.core.run.store import Store
from datachef.core.system_errors import raise_environment_failure

# So many ids are compared at once, as numbers of 8 bytes.
AT_ONCE = 32 * 2**20


def refuse_neighbouring_copies(ids: pl.Series) -> None:
    """Raises `PluginError` where an id stands twice in a column in which equal ones are neighbours:
    in shuffled order they are, as the order is made from the ids."""
    repeated = ids.filter(ids == ids.shift(1))
    if len(repeated):
        raise _repeated(repeated[0])


def refuse_copies(store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raises `PluginError` where an id stands twice in tables of the store, and `RunError` where
    one of them turns out damaged.

    Only the ids are read, as often as there are `AT_ONCE` rows, and never held as text. Their files
    are verified where something is wrong; later, whoever writes the rows does so anyway.
    """
    rounds = -(-sum(facts["rows"] for _, facts in tables) // AT_ONCE)
    for number in range(rounds):
        found = []
        for key, facts in tables:
            ids = _ids(store, key, facts).hash().to_numpy()
            found.append(ids if rounds == 1 else ids[ids % rounds == number])
        numbers = np.sort(np.concatenate(found))
        twice = numbers[1:][numbers[1:] == numbers[:-1]]
        if len(twice):
            _look_again(store, tables, pl.Series(twice, dtype=pl.UInt64))


def _ids(store: Store, key: str, facts: Mapping[str, Any]) -> pl.Series:
    path = store.folder(key) / str(facts["file"])
    try:
        return pl.read_parquet(path, columns=["id"])["id"]
    except BaseException as error:
        if not isinstance(error, OSError | pl.exceptions.PolarsError) and not is_panic(error):
            raise
        raise_environment_failure(error, str(path))
        return _verified_ids(store, key, facts)


def _verified_ids(store: Store, key: str, facts: Mapping[str, Any]) -> pl.Series:
    return store.scan(key, facts).select("id").collect()["id"]


def _look_again(
    store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]], numbers: pl.Series
) -> None:
    """Two ids may have one number by chance: tells them by their text."""
    suspects = []
    for key, facts in tables:
        ids = _verified_ids(store, key, facts)
        suspects.append(ids.filter(ids.hash().is_in(numbers.implode())))
    refuse_neighbouring_copies(pl.concat(suspects).sort())


def _repeated(row: str) -> PluginError:
    return PluginError(
        f"two rows of the corpus have the id {row!r}",
        "a source that reads a row twice, or gives two rows one position, or an operator that "
        "makes rows and numbers them twice; its author has to mend it",
    )
