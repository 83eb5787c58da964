"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datachef.core.cli.state import only_json

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
PoolFile = Annotated[
    Path | None,
    typer.Option("--pool", help="Bind the recipe to the sources of this pool.yaml, and no others."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Override a place of the recipe; repeatable."),
]
CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", help="Where results are kept; DATACHEF_CACHE or .datachef by default."),
]
AsJson = Annotated[
    bool, typer.Option("--json", callback=only_json, help="Print JSON, for machines.")
]
