"""The kinds of source we register: files anywhere fsspec reaches, and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import Source, hookimpl


@hookimpl
def datachef_sources() -> Sequence[type[Source]]:
    from datachef.plugins.sources.files import FileSource
    from datachef.plugins.sources.hub import HubSource

    return [FileSource, HubSource]
