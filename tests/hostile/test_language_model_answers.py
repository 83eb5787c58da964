"""Answers are paid for once, kept whole, and parsed in time that grows with their length."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from model_server import (
    NOTHING,
    Connection,
    HostileServer,
    batch,
    honest,
    kept,
    rephrased,
    services_of,
)

from datachef.core import Completion, LLMError, Request, UnparsableAnswerError, json_answer
from datachef.core.language_models.answers import answer_text
from datachef.core.language_models.client import LLMClient
from datachef.operators.synthesis.rephrase_text import RephraseText


def test_a_flipped_bit_of_a_kept_answer_is_asked_again(
    server: HostileServer, tmp_path: Path
) -> None:
    rephrased(services_of(server, tmp_path, 30), "words")
    (path,) = kept(tmp_path)
    intact = path.read_bytes()
    for damaged in (intact.replace(b"WORDS", b"WORDT"), intact.replace(b'"words"', b'"worda"'),
                    b"null", b"[]", b"", b'{"completion": null}'):  # fmt: skip
        path.write_bytes(damaged)
        rows = rephrased(services_of(server, tmp_path, 30), "words").rows
        assert rows["text"].to_list() == ["WORDS"]
        assert path.read_bytes() == intact or damaged.startswith(b'{"checksum"')


def test_equal_requests_of_several_clients_are_sent_once(
    server: HostileServer, tmp_path: Path
) -> None:
    def slow(connection: Connection) -> None:
        time.sleep(0.2)
        honest(connection)

    server.play = slow
    request = Request("tiny", (("user", "same"),), 5)
    clients = [services_of(server, tmp_path, 30).llm("openai") for _ in range(6)]
    answers: list[Completion] = []
    threads = [
        threading.Thread(target=lambda client=client: answers.append(client.complete(request)))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.text for answer in answers] == ["SAME"] * 6
    assert server.asked == {"same": 1}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == kept(tmp_path)
    assert len(kept(tmp_path)) == 1


def test_who_waited_for_a_failure_asks_itself(server: HostileServer, tmp_path: Path) -> None:
    def fails_first(connection: Connection) -> None:
        time.sleep(0.1)
        if server.asked["same"] == 1:
            connection.reply(b"{}", 400)
        else:
            honest(connection)

    server.play = fails_first
    request = Request("tiny", (("user", "same"),), 5)
    found: list[Any] = []

    def ask(client: LLMClient) -> None:
        try:
            found.append(client.complete(request).text)
        except LLMError as error:
            found.append(error.status)

    clients = [services_of(server, tmp_path, 30).llm("openai") for _ in range(3)]
    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["400", "SAME", "SAME"]
    assert server.asked == {"same": 2}


def test_nothing_more_is_sent_once_nobody_listens(server: HostileServer, tmp_path: Path) -> None:
    client = services_of(server, tmp_path, 30).llm("openai")
    requests = [Request("tiny", (("user", str(n)),), 5) for n in range(200)]
    answers = client.complete_each(requests, 2)
    for _ in range(5):
        next(answers)
    answers.close()
    time.sleep(0.2)
    assert server.asked.total() < 100


def test_a_parser_that_breaks_costs_its_row_and_no_second_call(
    server: HostileServer, tmp_path: Path
) -> None:
    class Brittle(RephraseText):
        """Breaks on one answer."""

        def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
            if answer == "B":
                raise ZeroDivisionError("a bug")
            return [{"text": answer}]

    operator = Brittle(model="tiny", prompt="{{ text }}").connect(services_of(server, tmp_path, 30))
    outcome = operator.apply(batch("a", "b", "c"), NOTHING)
    assert outcome.rows["text"].to_list() == ["A", "C"]
    assert outcome.failed.select("text", "reason", "detail").rows() == [
        ("b", "ZeroDivisionError", "a bug")
    ]
    assert server.asked == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|eot_id|>  ", "<|end|><|return|>", "<eos>\n"])
def test_marks_without_end_are_read_once(mark: str) -> None:
    assert answer_text(Completion("fine " + mark * 50_000)) == "fine"
    text = mark * 50_000 + "x"
    assert answer_text(Completion(text)) == text


@pytest.mark.parametrize("piece", ['\\"', '{"', "```a\n", "[", "<think>`", '{"a": "\\"'])
def test_what_never_becomes_json_is_given_up(piece: str) -> None:
    for text in (piece * 50_000, '"' + piece * 50_000):
        with pytest.raises(UnparsableAnswerError):
            json_answer(text)


def test_commas_before_an_end_go_and_those_in_strings_stay() -> None:
    assert json_answer('Here: {"a": ["x,]", "\\",}", ], }') == {"a": ["x,]", '",}']}
