"""Where rows come from and in what files they are written: the kinds of source we register, files
anywhere fsspec reaches and Hugging Face datasets, and the file formats of sources and corpora."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Reader, Source, Writer


@hookimpl
def datachef_sources() -> Sequence[type[Source]]:
    from datachef.plugins.sources.files import FileSource
    from datachef.plugins.sources.hub import HubSource

    return [FileSource, HubSource]


@hookimpl
def datachef_readers() -> Sequence[type[Reader]]:
    from datachef.core.files.readers import BASIC
    from datachef.plugins.sources.arrow import ArrowReader
    from datachef.plugins.sources.web_pages import HtmlReader, WarcReader

    return [*BASIC, ArrowReader, HtmlReader, WarcReader]


@hookimpl
def datachef_writers() -> Sequence[type[Writer]]:
    from datachef.plugins.sources.writers import (
        JsonLinesWriter,
        PackedJsonLinesWriter,
        ParquetWriter,
    )

    return [ParquetWriter, JsonLinesWriter, PackedJsonLinesWriter]
