"""All answers of public training sets are brought to the form of a benchmark, or counted.

With `-s`, pytest shows how many of each set are right by its gold field, and why others go.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datachef.operators.adaptation.answer_form import AnswerForm

LETTERS = "ABCDEFG"


class Case(NamedTuple):
    """A source: prompt and answer of a row, the gold answer, and columns beside them."""

    file: str
    form: str
    prompt: Callable[[dict[str, Any]], str]
    answer: Callable[[dict[str, Any]], str]
    gold: Callable[[dict[str, Any]], str]
    columns: tuple[str, ...] = ()
    kept: Callable[[dict[str, Any]], bool] = lambda row: True
    # The least share that is kept and right. The solutions of LLM-Adapters' mathematics are a
    # model's, and those that state another answer than the gold field are dropped.
    right: float = 0.99


def instruction(row: dict[str, Any]) -> str:
    return str(row["instruction"])


def output(row: dict[str, Any]) -> str:
    return str(row["output"])


def numbered(row: dict[str, Any]) -> str:
    return LETTERS[int(row["answer"].removeprefix("answer")) - 1]


def numbered_text(row: dict[str, Any]) -> str:
    number = int(row["answer"].removeprefix("answer"))
    listed = row["instruction"].partition("\n\nAnswer format")[0]
    found = re.search(rf"Answer{number}: (.*?)(?= Answer{number + 1}: |$)", listed, re.DOTALL)
    assert found
    return " ".join(found[1].split())


def csqa_text(row: dict[str, Any]) -> str:
    texts = {choice["label"]: choice["text"] for choice in row["question"]["choices"]}
    return str(texts[row["answerKey"]])


def final_letter(row: dict[str, Any]) -> str:
    found = re.search(r"\(([A-E])\)\.?$", row["output"])
    assert found
    return found[1]


def after_hashes(row: dict[str, Any]) -> str:
    return str(row["answer"]).rpartition("####")[2].strip().replace(",", "")


def is_letter(row: dict[str, Any]) -> bool:
    return row["answer"] in LETTERS


CASES = {
    **{
        f"{name}-{form}": Case(f"{name}_train", form, instruction, output, gold)
        for name in ("arc_easy", "arc_challenge", "openbookqa")
        for form, gold in (("letter", numbered), ("option", numbered_text))
    },
    "csqa-letter": Case(
        "csqa_train", "letter", lambda r: str(r["question"]["stem"]), csqa_text,
        lambda r: str(r["answerKey"]), ("question",),
    ),
    "csqa-option": Case(
        "csqa_train", "option", lambda r: str(r["question"]["stem"]),
        lambda r: str(r["answerKey"]), csqa_text, ("question",),
    ),
    "aqua-letter": Case("aqua_cot", "letter", instruction, output, final_letter),
    "gsm8k-number": Case(
        "gsm8k_train", "number", lambda r: str(r["question"]), lambda r: str(r["answer"]),
        after_hashes,
    ),
    "gsm8k-without-hashes": Case(
        "gsm8k_cot_flan", "number", lambda r: str(r["prompt"]), lambda r: str(r["rationale"]),
        after_hashes, right=0.98,
    ),
    "llm_adapters-number": Case(
        "llm_adapters_math", "number", instruction, output, lambda r: str(r["answer"]),
        ("answer",), kept=lambda r: not is_letter(r), right=0.77,
    ),
    "llm_adapters-letter": Case(
        "llm_adapters_math", "letter", instruction, output, lambda r: str(r["answer"]),
        ("answer",), kept=is_letter, right=0.49,
    ),
    "logical_deduction-letter": Case(
        "logical_deduction_train", "letter", lambda r: f"{r['context']}\n\n{r['question']}",
        lambda r: next(o[2:].strip() for o in r["options"] if o[0] == r["answer"]),
        lambda r: str(r["answer"]), ("options",),
    ),
    "boolq-yes_no": Case(
        "boolq_train", "yes_no", instruction, output,
        lambda r: "yes" if r["answer"] == "true" else "no",
    ),
    "tal_scq-letter": Case(
        "tal_scq_en_train", "letter", lambda r: str(r["problem"]),
        lambda r: str(r["answer_value"]), lambda r: str(r["answer_value"]),
        ("answer_option_list",),
    ),
}  # fmt: skip


def same(made: str, gold: str, form: str) -> bool:
    return float(made) == float(gold) if form == "number" else made == gold


@pytest.mark.parametrize("name", CASES)
def test_answers_become_those_of_the_gold_field(
    name: str, shared_data: Path, adapt: Any, exchange: Any
) -> None:
    case = CASES[name]
    with gzip.open(shared_data / "pool" / f"{case.file}.jsonl.gz", "rt") as lines:
        rows = [row for row in map(json.loads, lines) if case.kept(row)]
    operator = AnswerForm.model_validate({"form": case.form})
    columns = {
        column: [v if isinstance(v := row[column], str) else json.dumps(v) for row in rows]
        for column in case.columns
    }
    chats = [exchange(case.prompt(row), case.answer(row)) for row in rows]
    found = adapt(operator, chats, columns)
    answers = found.answers()
    assert len(answers) + len(found.dropped) == len(rows)
    right = sum(same(a, case.gold(rows[int(row)]), case.form) for row, a in answers.items())
    reasons = ", ".join(f"{n} {name}" for name, n in Counter(found.dropped.values()).items())
    print(f"{name}: {right:,} of {len(answers):,} kept are right, of {len(rows):,}; {reasons}")
    assert right >= case.right * len(rows)
    assert right >= 0.99 * len(answers), "what it does not know it drops"
