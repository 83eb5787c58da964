"""`chef ops` and `chef plugins`: what is registered, and from where."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core.registry.host import Plugin


def register(app: typer.Typer) -> None:
    app.command("ops")(ops)
    app.command("plugins")(plugins)


def ops(
    name: Annotated[str | None, typer.Argument(help="Show this operator alone, in full.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the operators that recipes can use, or describe one."""
    from datachef.core.errors import DatachefError

    vocabulary = get_host().vocabulary
    if name is not None and name not in vocabulary:
        raise DatachefError(f"no operator {name!r}", get_host().missing(name, vocabulary))
    if as_json:
        print_json([_described(n) for n in ([name] if name else vocabulary)])
    elif name is not None:
        _show(_described(name))
    else:
        from rich.table import Table

        table = Table("operator", "shape", "from", "what it does")
        for known in vocabulary:
            kind = vocabulary[known]
            table.add_row(known, kind.shape, vocabulary.package(known), kind.summary())
        console().print(table)


def _described(name: str) -> dict[str, Any]:
    import inspect

    vocabulary = get_host().vocabulary
    kind = vocabulary[name]
    schema = kind.model_json_schema(by_alias=True)
    parameters = {n: p for n, p in schema["properties"].items() if n != "op"}
    required = any(field.is_required() for n, field in kind.model_fields.items() if n != "op")
    return {
        "op": name,
        "shape": kind.shape,
        "version": kind.version,
        "package": vocabulary.package(name),
        "description": inspect.getdoc(kind),
        "reasons": [] if required else list(kind(op=name).reasons()),
        "parameters": parameters,
    }


def _show(described: dict[str, Any]) -> None:
    from rich.table import Table

    out = console()
    facts = f"{described['op']} ({described['shape']}, version {described['version']})"
    out.print(f"{facts} from {described['package']}\n")
    out.print(f"{described['description']}\n")
    table = Table("parameter", "type", "default", "range", "meaning")
    for name, schema in described["parameters"].items():
        table.add_row(
            name,
            _type(schema),
            str(schema.get("default", "required")),
            _bounds(schema),
            schema.get("description", ""),
        )
    out.print(table)
    if described["reasons"]:
        out.print(f"drops rows as: {', '.join(described['reasons'])}")


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


def plugins(as_json: AsJson = False) -> None:
    """List the plugins that were found, with all that is wrong with them.

    Exit code 3 where two of them cannot be used together; `chef doctor` fails where one is broken.
    """
    host = get_host()
    try:
        host.examine()
    finally:
        _show_plugins(host.plugins, as_json)


def _show_plugins(found: list[Plugin], as_json: bool) -> None:
    if as_json:
        print_json([asdict(plugin) for plugin in found])
        return
    from rich.table import Table

    table = Table("plugin", "package", "version", "module", "state")
    for plugin in found:
        state = plugin.error or (f"loaded: {plugin.note}" if plugin.note else "loaded")
        table.add_row(plugin.name, plugin.package, plugin.version, plugin.module, state)
    console().print(table)
