"""What datatrove's source says of its steps: parsed, not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Kind = Literal["filter", "formatter", "extractor"]
_FOLDERS: dict[Kind, str] = {
    "filter": "filters", "formatter": "formatters", "extractor": "extractors",
}  # fmt: skip
# Left out: what goes to the network by itself, runs code, or depends on the rows before.
WITHOUT = {
    "C4BadWordsFilter": "it downloads its lists, and draws by chance from row to row",
    "FastTextClassifierFilter": "it downloads its model",
    "LambdaFilter": "it runs code",
    "LanguageFilter": "it downloads its model",
    "PIIFormatter": "which replacement it takes depends on the rows before",
    "PIIReplacer": "which replacement it takes depends on the rows before",
    "ReadabilityInscriptis": "it needs a package that is not on PyPI",
    "SamplerFilter": "it draws by chance from row to row",
    "URLFilter": "it unpacks lists into a cache of its own",
    "UnigramLogProbFilter": "it downloads its frequencies",
}
_PARAMETERS_WITHOUT = {"exclusion_writer", "batch_size", "timeout", "include_images"}
# trafilatura's deduplication removes what stood on pages before.
_FIXED = {"Trafilatura": {"deduplicate": False}}
_PLAIN = {"int": int, "float": float, "bool": bool, "str": str}
_NGRAMS = range(2, 11)


@dataclass(frozen=True)
class StepParameter:
    """A parameter of a step: its type, as Python has it, and its default; `...` where it has none.

    Of one that is `computed` the default is not known: left out, datatrove's holds.
    """

    name: str
    type: Any
    default: Any
    computed: bool = False


@dataclass(frozen=True)
class StepSignature:
    """A step of datatrove: its class and module, parameters, and the reasons of its drops; whether
    it, being a filter, also rewrites text."""

    name: str
    module: str
    kind: Kind
    summary: str
    parameters: tuple[StepParameter, ...]
    fixed: dict[str, Any]
    reasons: tuple[str, ...]
    rewrites: bool


def signatures() -> Iterator[StepSignature]:
    """All steps that can be operators, where datatrove is installed."""
    spec = find_spec("datatrove")
    for place in (spec.submodule_search_locations or []) if spec else []:
        root = Path(place) / "pipeline"
        for kind, folder in _FOLDERS.items():
            for file in sorted((root / folder).glob("*.py")):
                tree = ast.parse(file.read_text(encoding="utf-8"))
                module = f"datatrove.pipeline.{folder}.{file.stem}"
                for node in tree.body:
                    if isinstance(node, ast.ClassDef) and _is_step(node, kind):
                        yield _signature(node, module, kind)


def _is_step(node: ast.ClassDef, kind: Kind) -> bool:
    base = f"Base{kind.capitalize()}"
    bases = {ast.unparse(one) for one in node.bases}
    return base in bases and node.name not in WITHOUT and node.name != base


def _signature(node: ast.ClassDef, module: str, kind: Kind) -> StepSignature:
    written = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    fixed = _FIXED.get(node.name, {})
    left_out = _PARAMETERS_WITHOUT | set(fixed)
    parameters = [p for init in written for p in _parameters(init) if p.name not in left_out]
    summary = (ast.get_docstring(node) or "").strip().partition("\n")[0].strip()
    return StepSignature(
        node.name,
        module,
        kind,
        summary,
        tuple(parameters),
        fixed,
        tuple(_reasons(node)),
        rewrites=any(_sets_text(found) for found in ast.walk(node)),
    )


def _sets_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(ast.unparse(t) == "doc.text" for t in node.targets)


def _parameters(init: ast.FunctionDef) -> Iterator[StepParameter]:
    named = init.args.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(named) - len(init.args.defaults))
    for argument, default in zip(named, [*defaults, *init.args.defaults], strict=True):
        value = ... if default is None else _value(default)
        kind = _type(argument.annotation, value)
        if kind is not None and value is _COMPUTED:
            yield StepParameter(argument.arg, kind | None, None, computed=True)
        elif kind is not None:
            yield StepParameter(argument.arg, kind, value)


_COMPUTED = object()


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:  # languages are constants of a class
        return _COMPUTED


def _type(annotation: ast.expr | None, default: Any) -> Any:
    """The type that an annotation names, of those that recipes can write; None for others."""
    if annotation is None:
        return type(default) if type(default) in _PLAIN.values() else None
    text = ast.unparse(annotation)
    optional = text.endswith("| None") or default is None
    text = text.removesuffix("| None").strip()
    kind: Any = _PLAIN.get(text)
    if text.startswith("Literal["):
        kind = Literal[ast.literal_eval(f"({text[8:-1]},)")]
    elif text == "list[str]":
        kind = tuple[str, ...]
    elif text == "tuple[tuple[int, float]]":
        kind = tuple[tuple[int, float], ...]
    if kind is None:
        return None
    return kind | None if optional else kind


def _reasons(node: ast.ClassDef) -> Iterator[str]:
    """The texts that stand beside `False`, as in what is returned; for each size of n-grams one."""
    seen = set()
    for found in ast.walk(node):
        if not (isinstance(found, ast.Tuple) and len(found.elts) == 2):
            continue
        first, second = found.elts
        if not (isinstance(first, ast.Constant) and first.value is False):
            continue
        for reason in _texts(second):
            if reason not in seen:
                seen.add(reason)
                yield reason


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        return ["".join(str(size if part is None else part) for part in parts) for size in _NGRAMS]
    return []
