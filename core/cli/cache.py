"""`chef cache`: what the cache holds, and what of it may go."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.state import AsJson, CachePlace, bytes_of, console, get_host, print_json
from datachef.core.errors import did_you_mean

if TYPE_CHECKING:
    from datachef.core.run.cache import CacheContents, CachedResult

_AGE = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Show what the cache holds, remove what is not needed, find what is damaged.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command("prune")(prune)
    group.command("verify")(verify)
    app.add_typer(group, name="cache")


def list_(cache: CachePlace = None, as_json: AsJson = False) -> None:
    """List what the cache holds: the results of each recipe, their size, and when they were last
    used."""
    contents = _contents(cache)
    rows = [_summed(contents, name) for name in [*sorted(_recipes(contents)), None]]
    if as_json:
        print_json(
            {"cache": contents.place, "bytes": contents.bytes, "recipes": rows,
             "others": contents.others}
        )  # fmt: skip
        return
    from rich.table import Table

    from datachef.core.cli.display import place, size

    table = Table(header_style="bold")
    for name in ("results of", "results", "size", "not shared", "last used"):
        table.add_column(name, justify="left" if name == "results of" else "right")
    for row in rows:
        used = datetime.fromtimestamp(row["used"]).isoformat(" ", "minutes") if row["used"] else ""
        table.add_row(
            row["recipe"] or "no recipe as it last ran", f"{row['results']:,}", size(row["bytes"]),
            size(row["own_bytes"]), used,
        )  # fmt: skip
    out = console()
    out.print(table)
    others = [f"{size(count)} in {name}" for name, count in contents.others.items()]
    held = ", ".join([f"{size(contents.bytes)} of results", *others])
    out.print(f"{place(contents.place)}: {held}", soft_wrap=True)


def prune(
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="What no other recipe needs.")
    ] = None,
    unused: Annotated[
        bool, typer.Option("--unused", help="What no recipe needs as it last ran.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="What was last used longer ago, such as 12h, 30d or 8w."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(
            parser=bytes_of,
            metavar="SIZE",
            help="What was used longest ago, until the rest is not larger: 100GB.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it; without this, only say what would go.")
    ] = False,
    cache: CachePlace = None,
    as_json: AsJson = False,
) -> None:
    """Remove results that all given conditions apply to, after showing them.

    What a living run needs stays, and so do answers of language models, which were paid for.
    """
    if recipe is None and not unused and older_than is None and max_size is None:
        raise typer.BadParameter("say what may go: --unused, --older-than, --recipe or --max-size")
    age = _age(older_than)
    contents = _contents(cache)
    if recipe is not None and recipe not in _recipes(contents):
        known = did_you_mean(recipe, _recipes(contents))
        raise typer.BadParameter(f"the cache knows of no recipe {recipe!r}; {known}")
    chosen = contents.prunable(recipe=recipe, unused=unused, older_than=age, most_bytes=max_size)
    freed = sum(result.bytes for result in chosen)
    number, before = len(contents.results), contents.bytes
    if yes:
        contents.remove(chosen)
    if as_json:
        print_json(
            {"removed": yes, "results": [result.key for result in chosen], "bytes": freed,
             "bytes_left": before - freed}
        )  # fmt: skip
        return
    from datachef.core.cli.display import size

    for names, results in _by_recipes(chosen).items():
        total = size(sum(result.bytes for result in results))
        print(f"{', '.join(names) or 'no recipe'}: {len(results):,} results, {total}")
    said = "removed" if yes else "would be removed"
    print(f"{len(chosen):,} of {number:,} results {said}, {size(freed)} of {size(before)}")
    if chosen and not yes:
        print("add --yes to remove them")


def verify(cache: CachePlace = None, as_json: AsJson = False) -> None:
    """Read all results and compare them with their checksums; forget those that are damaged, so
    that the next run makes them anew. Exit code 1 where some are."""
    from datachef.core.escaping import one_line

    contents = _contents(cache)
    number = len(contents.results)
    damaged = []
    for result, wrong in contents.damaged():
        damaged.append({"result": result.key, "recipes": sorted(result.recipes), "damage": wrong})
        contents.remove([result])
        if not as_json:
            print(
                one_line(f"{result.key} ({', '.join(sorted(result.recipes)) or 'unused'}): {wrong}")
            )
    if as_json:
        print_json({"results": number, "damaged": damaged})
    else:
        after = "; they are forgotten, and made anew by the next run" if damaged else ""
        print(f"{len(damaged):,} of {number:,} results are damaged{after}")
    if damaged:
        raise typer.Exit(1)


def _contents(cache: str | None) -> CacheContents:
    from datachef.core.api import worker_config
    from datachef.core.run.cache import CacheContents
    from datachef.core.run.file_store import FileStore

    return CacheContents(FileStore.of(worker_config(get_host(), cache)).folder)


def _recipes(contents: CacheContents) -> set[str]:
    return {recipe for result in contents.results.values() for recipe in result.recipes}


def _summed(contents: CacheContents, recipe: str | None) -> dict[str, Any]:
    """What the cache holds for a recipe, or for none."""
    wanted = set() if recipe is None else {recipe}
    found = [
        r for r in contents.results.values() if wanted <= r.recipes and (recipe or not r.recipes)
    ]
    own = [result for result in found if result.recipes == wanted]
    return {
        "recipe": recipe,
        "results": len(found),
        "bytes": sum(result.bytes for result in found),
        "own_bytes": sum(result.bytes for result in own),
        "used": max((result.used for result in found), default=None),
    }


def _by_recipes(results: list[CachedResult]) -> dict[tuple[str, ...], list[CachedResult]]:
    found: dict[tuple[str, ...], list[CachedResult]] = {}
    for result in results:
        found.setdefault(tuple(sorted(result.recipes)), []).append(result)
    return dict(sorted(found.items()))


def _age(said: str | None) -> timedelta | None:
    if said is None:
        return None
    found = _AGE.fullmatch(said)
    if found is None:
        raise typer.BadParameter(f"{said!r} is no age: a number and m, h, d or w, such as 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
