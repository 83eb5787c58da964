"""`chef import`: pipelines of other libraries as recipes, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import chef
from pydantic import ValidationError

from datachef.core import Host, check_recipe, document
from datachef.core.registry.vocabulary import Vocabulary
from datachef.plugins.importing.pipelines import read_pipeline
from datachef.plugins.importing.recipe import ImportRemark, imported_recipe
from datachef.plugins.importing.table import Equivalent, table

ROOT = Path(__file__).parents[3]
ENTRIES = [
    pytest.param(entry, id=f"{library} {name}")
    for library, operators in table().items()
    for name, entries in operators.items()
    for entry in entries
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Host().vocabulary


def imported(
    written: str, tmp_path: Path, vocabulary: Vocabulary, suffix: str = "yaml"
) -> tuple[list[dict[str, Any]], list[ImportRemark]]:
    file = tmp_path / f"pipeline.{suffix}"
    file.write_text(written)
    recipe, remarks = imported_recipe(read_pipeline(file), vocabulary, None)
    return recipe["steps"], remarks


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_table_names_operators_and_parameters_that_are_there(
    entry: Equivalent, vocabulary: Vocabulary
) -> None:
    fields = {name for step in entry.steps for name in vocabulary[step].model_fields}
    assert {*entry.parameters.values(), *entry.fixed} <= fields
    assert not {*entry.parameters, *entry.where.values()} & {*entry.only, *entry.without_effect}
    for step in entry.steps:
        given = {k: v for k, v in entry.fixed.items() if k in vocabulary[step].model_fields}
        try:
            vocabulary.operator({"op": step, **given})
        except ValidationError as error:
            assert {item["type"] for item in error.errors()} == {"missing"}  # noqa: PT017


def test_data_juicers_names_become_ours(tmp_path: Path, vocabulary: Vocabulary) -> None:
    steps, remarks = imported(
        """
        process:
          - words_num_filter: {min_num: 20, max_num: 9223372036854775807, lang: en}
          - alphanumeric_filter: {min_ratio: 0.4, max_ratio: 999}
          - language_id_score_filter: {lang: [zh, en]}
          - specified_numeric_field_filter: {field_key: stars, min_value: 3}
          - specified_field_filter: {field_key: meta.kind, target_value: [a, b]}
          - document_deduplicator: {lowercase: true}
          - document_minhash_deduplicator: {num_bands: 25, num_rows_per_band: 10}
          - topk_specified_field_selector: {field_key: stars, top_ratio: 0.2, reverse: false}
          - whitespace_normalization_mapper:
        """,
        tmp_path,
        vocabulary,
    )
    assert steps == [
        {"op": "word_count_filter", "min": 20},
        {"op": "alphanumeric_filter", "min": 0.4},
        {"op": "language_filter", "languages": ["zh", "en"], "min_confidence": 0.8},
        {"op": "column_filter", "where": "3 <= stars"},
        {"op": "column_filter", "where": "column('meta.kind') in ['a', 'b']"},
        {"op": "exact_dedup", "normalize": "case"},
        {"op": "minhash_dedup", "bands": 25, "rows": 10, "similarity": 0.7},
        {"op": "top_selection", "by": "stars", "share": 0.2, "order": "ascending"},
        {"op": "normalize_whitespace"},
    ]
    assert {remark.kind for remark in remarks} == {"different"}


def test_what_has_no_equivalent_is_told_with_the_reason(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    steps, remarks = imported(
        """
        process:
          - image_blur_mapper: {}
          - python_lambda_mapper: {lambda_str: "lambda x: x"}
          - words_num_filter: {tokenization: true, min_num: 3}
          - made_up_filter: {}
        """,
        tmp_path,
        vocabulary,
    )
    assert steps == [{"op": "word_count_filter", "min": 3}]
    assert [(r.place, r.kind, r.text) for r in remarks] == [
        ("process[0]", "missing", "recipes are about text"),
        ("process[1]", "missing", "recipes run no code; an operator of your own does"),
        ("process[2]", "missing", "there is no parameter for tokenization: True"),
        ("process[3]", "missing", "no step does what it does"),
    ]


def test_rules_of_datamap_become_one_step(tmp_path: Path, vocabulary: Vocabulary) -> None:
    steps, _ = imported(
        """
        {"name": "Web", "pipeline": [
          {"name": "page_len_filter", "kwargs": {"length_type": "word", "lower_bound": 30}},
          {"name": "alphabetic_word_ratio_filter", "kwargs": {"max_ratio": 0.3}},
          {"name": "massive_web_repetition_filter"},
          {"name": "page_len_filter", "kwargs":
            {"length_type": "char", "lower_bound": 150, "ignore_punctuation": false}},
          {"name": "ratio_line_modifier", "kwargs": {"check": "uppercase", "upper_bound": 0.4}},
          {"name": "fasttext_annotator", "kwargs":
            {"fast_text_file": "q.bin", "output_field": "m"}},
          {"name": "float_filter", "kwargs": {"float_field": "m.__label__hq", "lower_bound": 0.1}},
          {"name": "float_filter", "kwargs": {"float_field": "score", "lower_bound": 2}}
        ]}
        """,
        tmp_path,
        vocabulary,
        "json",
    )
    off = {"min_mean_word_length": 0, "max_mean_word_length": 100, "max_symbol_ratio": 1}
    off |= {"max_bullet_lines": 1, "max_ellipsis_lines": 1, "min_stop_words": 0}
    words = {"min_words": 30, "max_words": 100_000_000, "min_alpha_words": 0.7}
    lines = {"max_capitals": 0.4, "min_words_per_line": 0}
    assert steps == [
        {"op": "gopher_quality_filter", **off, **words},
        {"op": "gopher_repetition_filter"},
        {"op": "text_length_filter", "min": 150},
        {
            "op": "clean_refinedweb_lines",
            **lines,
            "max_navigation_words": 0,
            "max_removed_words": 1,
        },
        {"op": "fasttext_filter", "model": "q.bin", "min_probability": 0.1},
        {"op": "column_filter", "where": "2 <= score"},
    ]


SCRIPT = """
import os
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, LambdaFilter
from datatrove.pipeline.filters import GopherRepetitionFilter as Repetition
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter

os.mkdir("ran")
pipeline = [
    WarcReader("crawl/*.warc.gz"),
    Trafilatura(favour_precision=False),
    Repetition(top_n_grams=((2, 0.3),), exclusion_writer=JsonlWriter("removed")),
    GopherQualityFilter(min_doc_words=None, max_symbol_word_ratio=None),
    C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=3),
    LambdaFilter(lambda document: True),
]
"""


def test_a_script_of_datatrove_is_parsed_and_not_run(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steps, remarks = imported(SCRIPT, tmp_path, vocabulary, "py")
    off = {"top_3_gram": 1.0, "top_4_gram": 1.0}
    assert steps == [
        {"op": "extract_html", "favor": "balanced"},
        {"op": "gopher_repetition_filter", "counting": "datatrove", "top_2_gram": 0.3, **off},
        {"op": "gopher_quality_filter", "min_words": 0, "max_symbol_ratio": 1},
        {"op": "clean_c4_lines", "terminal_punctuation": False},
        {"op": "c4_quality_filter", "terminal_punctuation": False, "min_sentences": 3},
    ]
    assert [(r.place, r.name) for r in remarks] == [("line 16", "LambdaFilter")]
    assert not (tmp_path / "ran").exists()


def test_the_command_writes_a_recipe_that_passes_the_check(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "A page about whales."}\n')
    peer = ROOT / "benchmarks" / "peers" / "recipe_data_juicer.yaml"
    done = chef("import", str(peer), "--path", "rows.jsonl", "--output", "r.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("process[8] document_minhash_deduplicator differs: ")
    written = (tmp_path / "r.yaml").read_text()
    assert "# process[8] document_minhash_deduplicator differs: " in written
    checked = check_recipe(tmp_path / "r.yaml", Host())
    assert not checked.problems
    again = chef("import", str(peer), "--output", "rows.jsonl", folder=tmp_path)
    assert again.returncode == 1 and "is not an imported recipe" in again.stderr


def test_its_exit_code_says_that_something_is_missing(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("process: [{image_blur_mapper: {}}]\n")
    done = chef("import", "p.yaml", "--json", folder=tmp_path)
    assert done.returncode == 2
    assert [remark["name"] for remark in json.loads(done.stdout)["result"]["remarks"]] == [
        "image_blur_mapper"
    ]
    (tmp_path / "other.yaml").write_text("rules: []\n")
    done = chef("import", "other.yaml", folder=tmp_path)
    assert done.returncode == 1 and "a list `process`" in done.stderr
    (tmp_path / "odd.yaml").write_text(
        "pipeline: [3, {name: newline_removal_modifier, kwargs: {max_consecutive: many}}]\n"
    )
    done = chef("import", "odd.yaml", folder=tmp_path)
    assert done.returncode == 2 and "its parameters cannot be read" in done.stderr
    (tmp_path / "bytes.yaml").write_bytes(b"process: \xff\n")
    done = chef("import", "bytes.yaml", folder=tmp_path)
    assert done.returncode == 1 and "bytes.yaml cannot be read" in done.stderr
    done = chef("import", "finweb", folder=tmp_path)
    assert done.returncode == 1 and "c4, dclm, fineweb" in done.stderr


@pytest.mark.parametrize("preset", ["c4", "dclm", "fineweb"])
def test_a_preset_lacks_nothing_but_its_files(preset: str, tmp_path: Path) -> None:
    done = chef("import", preset, "--output", "recipe.yaml", folder=tmp_path)
    assert done.returncode == 0 and " to do: " in done.stderr
    problems = check_recipe(tmp_path / "recipe.yaml", Host()).problems
    assert {problem.code for problem in problems} == {"no_file"}
    assert "to_do" not in document.read(tmp_path / "recipe.yaml").data


def test_a_name_of_another_library_is_told_by_ours(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "A page about whales."}\n')
    names = ["document_simhash_deduplicator", "words_num_filter", "C4QualityFilter"]
    steps = [{"op": name} for name in names]
    recipe = {"name": "peers", "sources": {"s": {"path": "rows.jsonl"}}, "steps": steps}
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    assert [
        problem.hint for problem in check_recipe(tmp_path / "recipe.yaml", Host()).problems
    ] == [
        "what Data-Juicer calls document_simhash_deduplicator is simhash_dedup here",
        "what Data-Juicer calls words_num_filter is word_count_filter here",
        "what datatrove calls C4QualityFilter is clean_c4_lines and c4_quality_filter here",
    ]
