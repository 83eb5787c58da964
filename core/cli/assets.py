"""`chef assets`: small models and other files that are fetched when somebody asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import words
from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core.assets.asset import Asset


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Fetch small models and other files that operators and rewards need.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command("get")(get)
    app.add_typer(group, name="assets")


def list_(as_json: AsJson = False) -> None:
    """List the assets, and which of them are here."""
    from datachef.core.assets.store import assets_folder, is_stored
    from datachef.core.cli.display import size

    known = get_host().assets.values()
    if as_json:
        print_json([_described(asset) for asset in known])
        return
    from rich.table import Table

    table = Table("asset", "here", "size", "licence", "what it is")
    for asset in known:
        here = "yes" if is_stored(asset.name, asset.checksum) else "no"
        table.add_row(asset.name, here, size(asset.size), asset.license, asset.description)
    out = console()
    out.print(table)
    out.print(f"kept in {assets_folder()}; chef assets get NAME fetches one")


def _described(asset: Asset) -> dict[str, Any]:
    from datachef.core.assets.store import assets_folder, is_stored

    return {
        "name": asset.name,
        "here": is_stored(asset.name, asset.checksum),
        "size": asset.size,
        "license": asset.license,
        "description": asset.description,
        "checksum": asset.checksum,
        "folder": str(assets_folder() / asset.name),
        "origins": [str(origin) for origin in asset.origins],
    }


def get(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            autocompletion=words(lambda: get_host().assets),
            show_default=False,
        ),
    ],
    given: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Take it from this file or folder instead, such as a wheel.", exists=True
        ),
    ] = None,
) -> None:
    """Fetch assets into the user's cache, and verify them."""
    from datachef.core.assets.fetching import fetch_asset
    from datachef.core.errors import DatachefError

    assets = get_host().assets
    for name in names:
        if name not in assets:
            raise DatachefError(f"no asset {name!r}", get_host().missing(name, assets))
    if given is not None and len(names) > 1:
        raise DatachefError("--from is for one asset", "name one")
    for name in names:
        folder = fetch_asset(assets[name], given, lambda said: print(said, flush=True))
        print(f"{name} is in {folder}")
