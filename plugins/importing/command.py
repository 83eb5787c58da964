"""`chef import`: a recipe from a configuration of another library, or of a known corpus."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core import DatachefError, document
from datachef.core.cli.state import AsJson, get_host, print_json

if TYPE_CHECKING:
    from datachef.plugins.importing.recipe import ImportRemark

_PRESETS = Path(__file__).with_name("presets")
_MARK = "# made by chef import"
_KINDS = {"missing": "has no equivalent", "different": "differs", "to_do": "to do"}


def import_recipe(
    source: Annotated[
        str,
        typer.Argument(
            help="A configuration of Data-Juicer or datamap-rs (YAML, JSON), a script of datatrove "
            "(which is read, not run), or one of c4, dclm, fineweb."
        ),
    ],
    path: Annotated[
        str | None, typer.Option(help="Files of the recipe, in place of those that it would name.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The recipe, in place of standard output.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the recipe that does what a pipeline of another library does.

    What has no equivalent is listed with the reason on standard error, and as comments in the
    recipe; then the exit code is 2. What merely differs is listed too.
    """
    recipe, remarks = _recipe(source, path)
    if as_json:
        print_json({"recipe": recipe, "remarks": [asdict(remark) for remark in remarks]})
    else:
        lines = [f"{r.place} {r.name} {_KINDS[r.kind]}: {r.text}" for r in remarks]
        comments = "".join(f"# {line}\n" for line in lines)
        _write(f"{_MARK} {Path(source).name}\n{comments}{document.dump(recipe)}", output)
        for line in lines:
            typer.echo(line, err=True)
    if any(remark.kind == "missing" for remark in remarks):
        raise typer.Exit(2)


def _recipe(source: str, path: str | None) -> tuple[dict[str, Any], list[ImportRemark]]:
    from datachef.plugins.importing.pipelines import read_pipeline
    from datachef.plugins.importing.recipe import ImportRemark, imported_recipe

    presets = {preset.stem: preset for preset in sorted(_PRESETS.glob("*.yaml"))}
    if source in presets:
        preset = document.parse(presets[source].read_text(encoding="utf-8")).data
        remarks = [ImportRemark("", source, "to_do", text) for text in preset.pop("to_do", [])]
        if path is not None:
            for named in preset["sources"].values():
                named["path"] = path
        return preset, remarks
    if not Path(source).is_file():
        raise DatachefError(f"there is no file {source}", f"or name one of {', '.join(presets)}")
    return imported_recipe(read_pipeline(Path(source)), get_host().vocabulary, path)


def _write(text: str, output: Path | None) -> None:
    from datachef.core.system.outputs import write_file

    if output is None:
        typer.echo(text, nl=False)
    else:
        mark = _MARK.encode()
        write_file(output, text.encode(), "imported recipe", lambda raw: raw.startswith(mark))
