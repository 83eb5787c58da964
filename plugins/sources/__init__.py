"""The kinds of source we register: files anywhere fsspec reaches, and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import hookimpl
from datachef.core.contracts.source import Source


@hookimpl
def datachef_sources() -> Sequence[type[Source]]:
    from datachef.plugins.sources.files import FileSource
    from datachef.plugins.sources.hub import HubSource

    return [FileSource, HubSource]
