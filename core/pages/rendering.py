"""Pages from templates: escaped, with their style and script inside, and how they are written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

import jinja2
import orjson

from datachef.core.cli.display import duration, size
from datachef.core.distribution import version
from datachef.core.escaping import escaped, one_line
from datachef.core.system.outputs import write_file

MARK = "<!doctype html>\n<!-- made by chef"
_HERE = "datachef.core.pages"


def rendered(package: str, template: str, values: Mapping[str, Any], script: str = "") -> str:
    """A page from a template of a package, which extends `base.html.jinja` and may take macros from
    `parts.html.jinja` and from templates of its package; `values` have its `title`. `script` is a
    file of the package, or none."""
    style = _text(_HERE, "page.css")
    code = _text(package, script) if script else ""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _template(package, name)), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: escaped(value) if type(value) is str else value,
    )  # fmt: skip
    environment.filters |= {
        "bytes": size, "duration": duration, "number": number, "line": one_line,
        "count": lambda value: f"{value:,}", "percent": lambda value: f"{value:.1%}",
        "json": lambda value: orjson.dumps(value).decode(), "signed": lambda value: f"{value:+,}",
        "score": lambda value: "" if value is None else f"{value:.4f}",
        "bounds": lambda pair: "" if pair is None else f"{pair[0]:.4f} to {pair[1]:.4f}",
    }  # fmt: skip
    # Macros are imported without what a page is given, except for what is global.
    environment.globals |= {
        "mark": MARK, "style": style, "script": code, "datachef": version(),
        "style_hash": _hash(style), "script_hash": _hash(code),
    }  # fmt: skip
    return environment.from_string(_text(package, template)).render(**values)


def write_page(file: Path, page: str) -> None:
    """Writes a page to a file, in the place of another page or of nothing.

    Raises `DatachefError` where something else is there."""
    write_file(file, page.encode(), "page", lambda raw: raw.startswith(MARK.encode()))


def number(value: float) -> str:
    """A number with as many digits as people read."""
    if value in (inf, -inf):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")


def _template(package: str, name: str) -> str:
    own = files(package).joinpath(name)
    return own.read_text("utf-8") if own.is_file() else _text(_HERE, name)


def _hash(text: str) -> str:
    """What a Content-Security-Policy knows an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
