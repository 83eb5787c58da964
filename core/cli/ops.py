"""`chef ops`: the operators that are registered, and from where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import words
from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core.registry.host import Host
    from datachef.core.registry.vocabulary import Vocabulary


def register(app: typer.Typer) -> None:
    app.command("ops")(ops)


def _groups() -> set[str]:
    vocabulary = get_host().vocabulary
    return {vocabulary.group(name) for name in vocabulary}


def ops(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this operator alone, in full.",
            autocompletion=words(lambda: get_host().vocabulary),
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            "-g",
            help="List the operators of this plugin alone.",
            autocompletion=words(_groups),
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a page of Markdown for each into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the operators that recipes can use, or describe one."""
    described = [_described(n, get_host().vocabulary) for n in _chosen(get_host(), name, group)]
    if output is not None:
        _write_pages(described, output)
    if as_json:
        print_json(described)
    elif name is not None:
        _show(described[0])
    elif output is None:
        _list(described)


def _chosen(host: Host, name: str | None, group: str | None) -> list[str]:
    """The operators that are asked for, group by group."""
    from datachef.core.errors import DatachefError

    vocabulary = host.vocabulary
    groups = _groups()
    if group is not None and group not in groups:
        raise DatachefError(f"no plugin {group!r} has operators", host.missing(group, groups))
    names = [n for n in vocabulary if group is None or vocabulary.group(n) == group]
    if name is None:
        return sorted(names, key=lambda n: (vocabulary.group(n), n))
    if name not in names:
        hint = f"chef ops --group {name}" if name in groups else host.missing(name, names)
        raise DatachefError(f"no operator {name!r}" + (f" in {group}" if group else ""), hint)
    return [name]


def _list(operators: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("operator", "shape", "what it does")
    group = None
    for operator in operators:
        if group != (group := (operator["group"], operator["package"])):
            table.add_section()
            table.add_row(Text(group[0], style="bold"), "", f"from {group[1]}")
        table.add_row(f"  {operator['op']}", operator["shape"], _summary(operator))
    console().print(table)


def _described(name: str, vocabulary: Vocabulary) -> dict[str, Any]:
    import inspect

    from datachef.core.contracts.filter import Filter

    kind = vocabulary[name]
    schema = kind.model_json_schema(by_alias=True)
    parameters = {n: p for n, p in schema["properties"].items() if n != "op"}
    for parameter, field in kind.model_fields.items():
        if field.default_factory is not None:
            parameters[parameter].setdefault("default", field.default_factory())  # type: ignore[call-arg]
    required = any(field.is_required() for n, field in kind.model_fields.items() if n != "op")
    operator = None if required else kind(op=name)
    return {
        "op": name,
        "shape": kind.shape,
        "version": kind.version,
        "group": vocabulary.group(name),
        "package": vocabulary.package(name),
        "description": inspect.getdoc(kind),
        "reasons": [] if operator is None else list(operator.reasons()),
        "signals": operator.signal_names() if isinstance(operator, Filter) else [],
        "not_for_policies": kind.not_for_policies,
        "parameters": parameters,
    }


def _show(operator: dict[str, Any]) -> None:
    from rich.table import Table

    out = console()
    facts = f"{operator['op']} ({operator['shape']}, version {operator['version']})"
    out.print(f"{facts} from {operator['package']}\n")
    out.print(f"{operator['description']}\n")
    table = Table("parameter", "type", "default", "range", "meaning")
    for name, schema in operator["parameters"].items():
        table.add_row(
            name,
            _type(schema),
            str(schema.get("default", "required")),
            _bounds(schema),
            schema.get("description", ""),
        )
    out.print(table)
    if operator["reasons"]:
        out.print(f"drops rows as: {', '.join(operator['reasons'])}")
    if operator["signals"]:
        out.print(f"measures the signals: {', '.join(operator['signals'])}")
    if operator["not_for_policies"]:
        out.print(f"not offered to policies: {operator['not_for_policies']}")


def _write_pages(operators: list[dict[str, Any]], folder: Path) -> None:
    """A page for each operator, and one that lists them by group."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Operators"]
    group = None
    for operator in operators:
        name = operator["op"]
        (folder / f"{name}.md").write_text(_page(operator), encoding="utf-8")
        if group != (group := operator["group"]):
            lines += ["", f"## {group}", "", "| operator | shape | what it does |", "|---|---|---|"]
        summary = _cell(_summary(operator))
        lines.append(f"| [`{name}`]({name}.md) | {operator['shape']} | {summary} |")
    (folder / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _page(operator: dict[str, Any]) -> str:
    lines = [
        f"# {operator['op']}",
        "",
        f"Shape {operator['shape']}, version {operator['version']}, of `{operator['package']}`.",
        "",
        operator["description"],
        "",
        "| parameter | type | default | range | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, schema in operator["parameters"].items():
        default = f"`{schema['default']!r}`" if "default" in schema else "required"
        cells = (_type(schema), default, _bounds(schema), schema.get("description", ""))
        lines.append(f"| `{name}` | {' | '.join(map(_cell, cells))} |")
    if operator["reasons"]:
        reasons = ", ".join(f"`{reason}`" for reason in operator["reasons"])
        lines += ["", f"With its defaults it drops rows as {reasons}."]
    if operator["signals"]:
        signals = ", ".join(f"`{signal}`" for signal in operator["signals"])
        lines += ["", f"With its defaults it measures the signals {signals}."]
    if operator["not_for_policies"]:
        lines += ["", f"Not offered to policies: {operator['not_for_policies']}"]
    return "\n".join([*lines, ""])


def _summary(operator: dict[str, Any]) -> str:
    return str(operator["description"]).splitlines()[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type") or schema.get("const") or schema.get("$ref", "").split("/")[-1])


def _bounds(schema: dict[str, Any]) -> str:
    signs = {
        "minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<",
        "minLength": "length >=", "maxLength": "length <=", "minItems": "items >=",
        "maxItems": "items <=",
    }  # fmt: skip
    options = [schema, *schema.get("anyOf", [])]
    return ", ".join(f"{s} {o[key]}" for o in options for key, s in signs.items() if key in o)
