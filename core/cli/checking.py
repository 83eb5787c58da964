"""`chef check`, `chef plan` and `chef schema`: everything short of running."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import words
from datachef.core.cli.state import (
    AsJson,
    CachePlace,
    Overrides,
    PoolFile,
    RecipeFile,
    console,
    get_host,
    print_json,
    write_json,
)

if TYPE_CHECKING:
    from datachef.core.errors import Problem
    from datachef.core.recipe.checked import CheckedRecipe
    from datachef.core.run.plan import Plan
    from datachef.core.run.stage import PartitionWork
    from datachef.core.run.store import Store


def register(app: typer.Typer) -> None:
    app.command("check")(check)
    app.command("plan")(plan)
    app.command("schema")(schema)


def check(
    recipe: RecipeFile, pool: PoolFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Report every problem of a recipe at once; exit code 2 when there is one.

    Warnings are printed too; they do not change the exit code.
    """
    from datachef.core.api import check_recipe

    result = check_recipe(recipe, get_host(), pool, overrides or [])
    if as_json:
        print_json([asdict(problem) for problem in (*result.problems, *result.warnings)])
    else:
        for problem in (*result.problems, *result.warnings):
            print(problem)
        if not result.problems:
            print(f"{recipe}: no problems")
    if result.problems:
        raise typer.Exit(2)


def plan(
    recipe: RecipeFile,
    pool: PoolFile = None,
    overrides: Overrides = None,
    cache: CachePlace = None,
    as_json: AsJson = False,
) -> None:
    """Show the stages of a recipe, what is in the cache, and what it asks of sources and models.

    Of what is not in the cache, though the recipe was run before, say what changed since then.
    """
    from datachef.core.api import plan_recipe, worker_config
    from datachef.core.run.changes import changes
    from datachef.core.run.file_store import FileStore

    host = get_host()
    checked, planned = plan_recipe(recipe, host, pool, overrides or [])
    store = FileStore.of(worker_config(host, cache))
    rows: list[dict[str, Any]] = []
    for number, phase in enumerate(planned.phases, start=1):
        stages: dict[int, list[PartitionWork]] = {}
        for item in phase.partitions:
            stages.setdefault(id(item.stage), []).append(item)
        for items in stages.values():
            rows.append(_stage(number, items, store))
        for decision in phase.decisions:
            keys = (*decision.parts, decision.key)
            found = store.records(keys)
            cached = len(keys) if decision.key in found else len(found)
            rows.append(
                {"phase": number, "work": f"decide {decision.label}", "partitions": len(keys),
                 "cached": cached, "bytes": 0, "places": [decision.step.path]}
            )  # fmt: skip
    changed = changes(store, checked, planned)
    operators = dict(planned.steps)
    for row in rows:
        row["changed"] = list(_changed(row, changed or {}, operators))
    mixed, warnings = _mix(checked, planned, store)
    missing = {
        place for row in rows for place in row["places"] if row["cached"] < row["partitions"]
    }
    calls, decisions = _calls(checked, missing), _decisions(checked, missing)
    for row in rows:
        del row["places"]
    if as_json:
        told = [w.to_data() for w in warnings]
        print_json(
            {
                "stages": rows,
                "mix": mixed,
                "decisions": decisions,
                "language_models": calls,
                "warnings": told,
            }
        )
        return
    from rich.table import Table

    from datachef.core.cli.display import size

    table = Table("phase", "work", "partitions", "cached", "input")
    for row in rows:
        table.add_row(
            *(str(row[k]) for k in ("phase", "work", "partitions", "cached")), size(row["bytes"])
        )
    console().print(table)
    if changed is not None and missing:
        lines = dict.fromkeys(line for row in rows for line in row["changed"])
        lines |= {f"{place}: removed": None for place, s in changed.items() if s == ["removed"]}
        unchanged = "nothing changed since the last run: it was removed from the cache, or rows of "
        unchanged += "it failed for reasons that may pass"
        for line in lines or [unchanged]:
            console().print(line, soft_wrap=True)
    if mixed:
        _show_mix(mixed)
    _show_decisions(decisions)
    _show_calls(calls)
    for problem in warnings:
        console().print(str(problem), soft_wrap=True)


def _changed(
    row: dict[str, Any], changed: dict[str, list[str]], operators: dict[str, str]
) -> Iterator[str]:
    """What changed in a stage of which something is not in the cache."""
    if row["cached"] == row["partitions"]:
        return
    from datachef.core.run.changes import EVERYWHERE

    yield from changed.get(EVERYWHERE, ())
    for place in row["places"]:
        for said in changed.get(place, ()):
            yield f"{place} {operators[place]}: {said}"


def _mix(
    checked: CheckedRecipe, planned: Plan, store: Store
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """What the mix asks of each source beside what it holds, and what to warn of: as an earlier run
    of the same found it, or else by estimate."""
    from datachef.core.recipe.checking import EXPECTED, expected_sizes
    from datachef.core.registry.promises import ask
    from datachef.core.run.summary import RunMix

    operator, warnings = checked.recipe.mix, list(checked.warnings)
    if operator is None:
        return [], warnings
    record = store.record(planned.mix or "")
    known = RunMix.of(operator, planned, {planned.mix or "": record} if record else {})
    sizes = known.sizes if known else expected_sizes(checked)
    if sizes is None:
        return [], warnings
    if known:
        warnings = [w for w in warnings if w.code != EXPECTED] + known.shortages()
    asked, epochs = ask(operator, "asked", sizes), ask(operator, "epochs", sizes)
    return [
        {
            "source": name, "asked": asked.get(name, 0.0), "unit": operator.unit,
            "holds": round(getattr(size, operator.unit)), "estimated": known is None,
            "epochs": epochs.get(name, 0.0),
        }
        for name, size in sizes.items()
    ], warnings  # fmt: skip


def _calls(checked: CheckedRecipe, missing: Set[str]) -> list[dict[str, Any]]:
    """What steps will ask of language models, but for steps whose results are in the cache."""
    from datachef.core.recipe.model_calls import expected_calls

    found = expected_calls(checked, get_host().vocabulary) or []
    return [asdict(step) for step in found if step.step in missing]


def _decisions(checked: CheckedRecipe, missing: Set[str]) -> list[dict[str, Any]]:
    """What decisions will need that are not in the cache."""
    from datachef.core.recipe.expected import expected_decisions

    found = expected_decisions(checked, get_host().vocabulary)
    return [asdict(needs) for needs in found if needs.step in missing]


def _show_decisions(decisions: list[dict[str, Any]]) -> None:
    from datachef.core.cli.display import size

    for needs in decisions:
        console().print(
            f"{needs['step']} {needs['op']}: a decision on up to {needs['rows']:,} rows takes "
            f"about {size(needs['memory'])} of memory and {size(needs['disk'])} of disk",
            soft_wrap=True,
        )


def _show_calls(calls: list[dict[str, Any]]) -> None:
    for step in calls:
        budget, cost = step["budget_tokens"], step["cost"]
        console().print(
            f"{step['step']} {step['op']}: up to {step['calls']:,} calls of {step['model']} "
            f"({step['backend']}), about {step['prompt_tokens']:,} tokens of prompts and at most "
            f"{step['answer_tokens']:,} of answers"
            + ("" if budget is None else f"; budget {budget:,} in all")
            + ("" if cost is None else f"; costs at most about {cost:,.4f}"),
            soft_wrap=True,
        )


def _show_mix(mixed: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("source", "asked", f"holds, in {mixed[0]['unit']}", "epochs")
    for row in mixed:
        about = "about " if row["estimated"] else ""
        table.add_row(
            row["source"], f"{row['asked']:.1%}", f"{about}{row['holds']:,}", f"{row['epochs']:.2f}"
        )
    console().print(table)


def _stage(number: int, items: list[PartitionWork], store: Store) -> dict[str, Any]:
    stage = items[0].stage
    parts = [f"read {stage.source.name}"] if stage.source else []
    parts += [step.data["op"] for step in stage.steps]
    parts += [f"summarize for {stage.summarizes_for.data['op']}"] if stage.summarizes_for else []
    parts += ["write"] if stage.output else []
    return {
        "phase": number,
        "work": " > ".join(parts),
        "partitions": len(items),
        "cached": sum(store.record(item.key) is not None for item in items),
        "bytes": sum(item.size for item in items),
        "places": [
            *([f"sources.{stage.source.name}"] if stage.source else []),
            *(step.path for step in stage.all_steps),
            *(["output"] if stage.output else []),
        ],
    }


def _kinds() -> Iterable[str]:
    from datachef.core.registry.vocabulary import SCHEMAS

    return SCHEMAS


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of printing.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="recipe, pool or task.", autocompletion=words(_kinds))
    ] = "recipe",
) -> None:
    """Write the JSON Schema of recipes over what is installed, for editors to complete with."""
    from datachef.core.errors import DatachefError, did_you_mean
    from datachef.core.escaping import indented_json
    from datachef.core.registry.vocabulary import SCHEMAS
    from datachef.core.system.outputs import write_file

    if kind not in SCHEMAS:
        raise DatachefError(f"no schema of a {kind!r}", did_you_mean(kind, SCHEMAS))
    described = SCHEMAS[kind](get_host().vocabulary)
    if output is None:
        write_json(described)
    else:
        if not output.absolute().parent.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(output))
        write_file(output, indented_json(described), "schema", _is_schema)
        print(f"wrote {output}")


def _is_schema(raw: bytes) -> bool:
    import orjson

    return str(orjson.loads(raw)["title"]).startswith("datachef ")
