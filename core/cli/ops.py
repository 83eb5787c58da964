"""`chef ops` and `chef plugins`: what is registered, and from where."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.core.registry.host import Plugin
    from datachef.core.registry.vocabulary import Vocabulary


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
        print_json([described(n, vocabulary) for n in ([name] if name else vocabulary)])
    elif name is not None:
        _show(described(name, vocabulary))
    else:
        from rich.table import Table

        table = Table("operator", "shape", "from", "what it does")
        for known in vocabulary:
            kind = vocabulary[known]
            table.add_row(known, kind.shape, vocabulary.package(known), kind.summary())
        console().print(table)


def described(name: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """All that there is to say of an operator, as JSON-ready data."""
    import inspect

    kind = vocabulary[name]
    schema = kind.model_json_schema(by_alias=True)
    parameters = {n: p for n, p in schema["properties"].items() if n != "op"}
    for parameter, field in kind.model_fields.items():
        if field.default_factory is not None:
            parameters[parameter].setdefault("default", field.default_factory())  # type: ignore[call-arg]
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
            type_of(schema),
            str(schema.get("default", "required")),
            range_of(schema),
            schema.get("description", ""),
        )
    out.print(table)
    if operator["reasons"]:
        out.print(f"drops rows as: {', '.join(operator['reasons'])}")


def type_of(schema: dict[str, Any]) -> str:
    """The type of a parameter, in words, from its JSON Schema."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(type_of(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    return str(schema.get("type") or schema.get("const") or schema.get("$ref", "").split("/")[-1])


def range_of(schema: dict[str, Any]) -> str:
    """The bounds of a parameter, from its JSON Schema; empty where it has none."""
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
