"""A third-party package: one operator, one recipe rule, one command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import polars as pl
import typer

from datachef.core import Filter, Operator, Problem, Recipe, hookimpl, threshold


class ShoutingFilter(Filter):
    """Drops rows written mostly in capitals."""

    op: Literal["shouting_filter"] = "shouting_filter"
    max_upper_share: float = threshold(0.5, ge=0, le=1, description="Largest share of capitals.")

    def signals(self) -> Mapping[str, pl.Expr]:
        letters = pl.col("text").str.count_matches(r"\p{L}")
        upper = pl.col("text").str.count_matches(r"\p{Lu}")
        return {"upper_share": pl.when(letters > 0).then(upper / letters).otherwise(0.0)}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"shouting": pl.col("upper_share") > self.max_upper_share}


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [ShoutingFilter]


@hookimpl
def datachef_recipe_rules(recipe: Recipe) -> Iterator[Problem]:
    if recipe.name.startswith("secret"):
        yield Problem(
            "secret_name", "no recipe may be called secret", "name", "choose another name"
        )


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    @app.command("sample-hello")
    def hello() -> None:
        """Say hello."""
        print("hello from the sample plugin")
