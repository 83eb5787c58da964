"""A Parquet file behind a URL, of which the footer is fetched, and the row groups that are read."""

from __future__ import annotations

import struct
from typing import Any

from datachef.core.files.ranges import PartialCopy
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import Network
from datachef.core.system.paths import is_url

# At the end of the file: how long the footer is, and four letters.
_END = struct.Struct("<I4s")


class ParquetCopy(PartialCopy):
    """What this machine has of a file: to begin with its footer."""

    def __init__(self, url: str, network: Network) -> None:
        super().__init__(url, network)
        length, letters = _END.unpack(self.read(max(0, self.size - _END.size), _END.size))
        if letters == b"PAR1":
            self.fetch(max(0, self.size - _END.size - length), self.size)
        else:  # whatever it is, its reader says
            self.fetch(0, self.size)

    def fetch_rows(self, metadata: Any, start: int, stop: int) -> None:
        """Has the row groups with these rows in the file; no byte is asked for twice."""
        first = 0
        chunks: list[tuple[int, int]] = []
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            if first < stop and first + group.num_rows > start:
                chunks += [_chunk(group.column(place)) for place in range(group.num_columns)]
            first += group.num_rows
        if chunks:
            self.fetch(min(begin for begin, _ in chunks), max(end for _, end in chunks))


def parquet_copy(path: str, network: Network) -> ParquetCopy | None:
    """What is fetched of a file behind a URL; None of a local file, and of one that only comes as a
    whole or not at all: whoever fetches it so tells why."""
    if not is_url(path):
        return None
    try:
        return ParquetCopy(path, network)
    except Exception as error:  # noqa: BLE001 - of the network, and the library of any protocol
        raise_environment_failure(error)
        return None


def _chunk(column: Any) -> tuple[int, int]:
    """The bytes of a file that a column of a row group is in."""
    pages = [column.data_page_offset]
    if column.has_dictionary_page and column.dictionary_page_offset:
        pages.append(column.dictionary_page_offset)
    return min(pages), min(pages) + column.total_compressed_size
