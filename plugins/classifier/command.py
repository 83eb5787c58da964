"""`chef train-classifier`: a fastText classifier from two sources, for `fasttext_filter`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datachef.core import DatachefError, MissingPackageError, extra, run_recipe
from datachef.core.cli.state import AsJson, get_host, print_json
from datachef.core.system.paths import expanded

if TYPE_CHECKING:
    import polars as pl

POSITIVE, NEGATIVE = "hq", "lq"
# How fastText's files begin.
_MAGIC = (793712314).to_bytes(4, "little")
# Of this many rows of each source, every tenth tells how good the classifier is.
_FEWEST = 20
_HELD_OUT = 10


@dataclass(frozen=True)
class ClassifierQuality:
    """How a classifier does on rows that it was not trained on.

    `auc` is the probability that a row of the positive source has the higher score of two;
    `best_tenth` is the score that a tenth of the negative rows reach.
    """

    trained_rows: int
    held_out_rows: int
    auc: float
    accuracy: float
    best_tenth: float


def train_classifier(
    positive: Annotated[
        str, typer.Option(help="Rows as they should be: a path, pattern or URL of a source.")
    ],
    negative: Annotated[str, typer.Option(help="Rows to tell them from, such as raw web pages.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model, a .bin file.")],
    rows: Annotated[
        int, typer.Option(min=2 * _FEWEST, help="Greatest number of rows of each source.")
    ] = 200_000,
    epochs: Annotated[int, typer.Option(min=1, max=1000)] = 5,
    learning_rate: Annotated[float, typer.Option(min=1e-4, max=10)] = 0.1,
    ngrams: Annotated[int, typer.Option(min=1, max=5, help="Longest sequence of words.")] = 2,
    dimensions: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    buckets: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Hash buckets of sequences of words.")
    ] = 200_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a fastText classifier that tells the rows of one source from those of another.

    With the settings of DCLM (arXiv 2406.11794), but a tenth of its hash buckets, so that the file
    has some 100 MB. As many rows of both are taken, without duplicates; a tenth of them is held out
    and tells how good the classifier is.
    """
    from datachef.operators.models.fasttext_classifier import train

    if output.is_file() and not _is_model(output.read_bytes()):
        raise DatachefError(f"{output} exists and is no classifier", "choose another output")
    with tempfile.TemporaryDirectory(prefix="datachef-classifier-") as place:
        texts = _read(positive, negative, rows, seed, Path(place))
        model = Path(place) / "model.bin"
        split = {label: _split(column) for label, column in texts.items()}
        try:
            train(
                [(label, kept) for label, (kept, _) in split.items()], model, epochs=epochs,
                learning_rate=learning_rate, ngrams=ngrams, dimensions=dimensions,
                buckets=buckets, seed=seed,
            )  # fmt: skip
        except ImportError as error:
            raise MissingPackageError("fasttext", extra("fasttext"), "train-classifier") from error
        except RuntimeError as error:
            raise DatachefError(
                f"the training failed: {error}", "try a lower --learning-rate"
            ) from error
        quality = _quality(model, split)
        _write(model, output)
    if as_json:
        print_json({"model": str(output), **asdict(quality)})
    else:
        _show(output, quality)


def _read(positive: str, negative: str, rows: int, seed: int, place: Path) -> dict[str, pl.Series]:
    """The texts of both sources by label, as many of each, without duplicates."""
    import polars as pl

    from datachef.core import document

    sources = {
        label: {"path": path if "://" in path else str(expanded(path).absolute())}
        for label, path in ((POSITIVE, positive), (NEGATIVE, negative))
    }
    recipe = place / "recipe.yaml"
    sampled = {"op": "sample", "rows": rows}
    recipe.write_text(
        document.dump(
            {
                "name": "classifier",
                "seed": seed,
                "sources": {
                    name: source | {"steps": [sampled]} for name, source in sources.items()
                },
                "steps": [{"op": "exact_dedup"}],
                "output": {"format": "parquet", "schema": "text", "columns": ["source"]},
            }
        )
    )
    corpus = run_recipe(recipe, place / "corpus", host=get_host(), cache=place / "cache")
    table = pl.read_parquet(corpus.folder / "data" / "*.parquet", columns=["source", "text"])
    texts = {label: table.filter(source=label)["text"].drop_nulls() for label in sources}
    fewest = min(map(len, texts.values()))
    if fewest < _FEWEST:
        count = " and ".join(f"{len(column):,} {label}" for label, column in texts.items())
        raise DatachefError(
            f"there are {count} rows without duplicates", f"{_FEWEST} of each are needed"
        )
    return {
        label: column.sample(fewest, seed=seed, shuffle=True) for label, column in texts.items()
    }


def _split(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The rows to train on, and those held out."""
    held = max(len(texts) // _HELD_OUT, 2)
    return texts[held:], texts[:held]


def _quality(model: Path, split: dict[str, tuple[pl.Series, pl.Series]]) -> ClassifierQuality:
    from datachef.operators.models.fasttext_classifier import TextClassifier

    classifier = TextClassifier(model)
    good, bad = (classifier.probabilities(held, POSITIVE) for _, held in split.values())
    both = good.clone().append(bad)
    ranks = both.rank("average").to_numpy()[: len(good)]
    auc = (float(ranks.sum()) - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad))
    right = int((good >= 0.5).sum()) + int((bad < 0.5).sum())
    return ClassifierQuality(
        trained_rows=sum(len(kept) for kept, _ in split.values()),
        held_out_rows=len(both),
        auc=auc,
        accuracy=right / len(both),
        best_tenth=float(bad.quantile(0.9, "higher") or 0.0),
    )


def _write(model: Path, output: Path) -> None:
    from datachef.core.system.outputs import write_file

    write_file(output, model.read_bytes(), "classifier", _is_model)


def _is_model(raw: bytes) -> bool:
    return raw.startswith(_MAGIC)


def _show(output: Path, quality: ClassifierQuality) -> None:
    print(f"{output}: trained on {quality.trained_rows:,} rows")
    print(
        f"of {quality.held_out_rows:,} rows held out: AUC {quality.auc:.3f}, "
        f"accuracy {quality.accuracy:.3f}"
    )
    print("a tenth of the negative rows pass this step:")
    print(
        f"  - {{op: fasttext_filter, model: {output}, min_probability: {quality.best_tenth:.4f}}}"
    )
