import json
import threading
from dataclasses import replace

import pytest

from datachef.core import (
    Completion,
    DatachefError,
    LLMBackend,
    LLMError,
    Request,
    RunError,
    Services,
    TransientLLMError,
)
from datachef.core.language_models.client import LLMClient, Persistence
from datachef.core.system.folder import LocalFolder
from datachef.plugins import openai_backend
from datachef.plugins.openai_backend import OpenAIBackend


def asking(prompt, **parameters):
    return Request("tiny", (("user", prompt),), max_tokens=50, **parameters)


def client_of(server, folder, **options):
    return LLMClient("openai", lambda: OpenAIBackend(server.url), folder, **options)


def test_answer_with_its_size(llm_server, tmp_path):
    answer = client_of(llm_server, tmp_path).complete(asking("hello", seed=3))
    assert answer == Completion("answer to hello", 7, 5)
    sent = llm_server.calls[0]
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["seed"]) == (
        "tiny", 50, 0, 3,
    )  # fmt: skip
    assert "response_format" not in sent


def test_another_machine_finds_the_answer_where_results_lie(llm_server, tmp_path):
    shared = LocalFolder(tmp_path / "shared")
    for machine in ("one", "other", "other"):
        client = client_of(llm_server, tmp_path / machine, shared=shared)
        assert client.complete(asking("hello", seed=3)).text == "answer to hello"
    assert llm_server.prompts() == ["hello"]
    assert list((tmp_path / "other").rglob("*.json"))


def test_schema_is_sent(llm_server, tmp_path):
    schema = {"type": "object", "properties": {}}
    client_of(llm_server, tmp_path).complete(asking("x", response_schema=schema))
    sent = llm_server.calls[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == schema


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


class Picky:
    """A server that refuses some ways of saying a request, in the words of servers there are."""

    def __init__(self, server, *, tokens=False, formats=()):
        self.said = []
        self._tokens, self._formats, self._reply = tokens, formats, server.reply

    def __call__(self, request):
        format = request.get("response_format", {}).get("type", "words")
        limit = next(name for name in request if "_tokens" in name)
        self.said.append((limit, format))
        if self._tokens and limit == "max_tokens":
            return 400, self._refused(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
            )
        if format in self._formats:
            return 400, self._refused(f"This response_format type is unavailable now: {format}")
        return self._reply(request)

    def _refused(self, message):
        return json.dumps({"error": {"message": message}}).encode()


@pytest.mark.parametrize("formats", [(), ("json_schema",), ("json_schema", "json_object")])
def test_what_a_server_does_not_know_is_said_otherwise(llm_server, tmp_path, monkeypatch, formats):
    server = Picky(llm_server, tokens=True, formats=formats)
    monkeypatch.setattr(llm_server, "reply", server)
    client = client_of(llm_server, tmp_path)
    spoken = [*formats, ("json_schema", "json_object", "words")[len(formats)]]
    client.complete(asking("Where?", response_schema=SCHEMA))
    assert server.said == [("max_tokens", spoken[0])] + [
        ("max_completion_tokens", format) for format in spoken
    ]
    (answered,) = llm_server.calls
    prompt = answered["messages"][-1]["content"]
    assert (json.dumps(SCHEMA) in prompt) == bool(formats)
    assert answered["max_completion_tokens"] == 50
    del server.said[:]
    client.complete(asking("And where?", response_schema=SCHEMA))
    assert server.said == [("max_completion_tokens", spoken[-1])], "it is known by now"
    client.complete(asking("Where?", response_schema=SCHEMA))
    assert len(server.said) == 1, "the answer is kept under what was asked"


def test_what_is_refused_in_every_way_fails(llm_server, tmp_path, monkeypatch):
    server = Picky(llm_server, formats=("json_schema", "json_object", "words"))
    monkeypatch.setattr(llm_server, "reply", server)
    with pytest.raises(LLMError, match="response_format"):
        client_of(llm_server, tmp_path).complete(asking("Where?", response_schema=SCHEMA))
    assert [format for _, format in server.said] == ["json_schema", "json_object", "words"]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_transient_errors_are_repeated(llm_server, tmp_path, status):
    llm_server.script.extend([status, status])
    assert client_of(llm_server, tmp_path).complete(asking("a")).text == "answer to a"
    assert len(llm_server.calls) == 3


@pytest.mark.parametrize(
    "body", [b"not json", b"{}", b'{"choices": []}', b"[1]", b'"text"', b'{"choices": [null]}']
)
def test_broken_bodies_are_repeated(llm_server, tmp_path, body):
    llm_server.script.append(body)
    client = client_of(llm_server, tmp_path, persistence=Persistence(first_wait=0.0))
    assert client.complete(asking("a")).text == "answer to a"
    assert len(llm_server.calls) == 2


def test_gives_up_after_all_attempts(llm_server, tmp_path):
    llm_server.script.extend([500] * 10)
    with pytest.raises(TransientLLMError, match="500"):
        client_of(llm_server, tmp_path, persistence=Persistence(3)).complete(asking("a"))
    assert len(llm_server.calls) == 3
    assert not list(tmp_path.rglob("*.json"))


def test_bad_request_is_not_repeated(llm_server, tmp_path):
    llm_server.script.append(400)
    with pytest.raises(LLMError, match="400") as caught:
        client_of(llm_server, tmp_path).complete(asking("a"))
    assert not isinstance(caught.value, TransientLLMError)
    assert len(llm_server.calls) == 1


def body_of(finish_reason="stop", **message):
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    return json.dumps({"choices": [choice | {"finish_reason": finish_reason}]}).encode()


CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("body", "completion"),
    [
        (body_of(content=""), Completion("")),
        (body_of(content=None, reasoning_content="So."), Completion("")),
        (body_of(content=None, finish_reason="length"), Completion("", 0, 0, True, "length")),
        (
            body_of(content="half of", finish_reason="length"),
            Completion("half of", 0, 0, True, "length"),
        ),
        (
            body_of(content="part", finish_reason="content_filter"),
            Completion("part", finish_reason="content_filter"),
        ),
        (
            body_of(content="Let me look.", tool_calls=[CALL]),
            Completion("Let me look.", finish_reason="tool_calls"),
        ),
        (body_of(content=None, refusal="I can't."), Completion("", refusal="I can't.")),
        (
            body_of(content=[{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]),
            Completion("in parts"),
        ),
        (body_of(content="\ud83d\ude00"), Completion("😀")),
        (body_of(content="ok", finish_reason=None), Completion("ok")),
    ],
)
def test_answers_tell_how_they_end(llm_server, tmp_path, body, completion):
    llm_server.script.append(body)
    client = client_of(llm_server, tmp_path)
    assert client.complete(asking("a")) == completion
    assert client.complete(asking("a")) == completion
    assert len(llm_server.calls) == 1


def test_half_a_surrogate_pair_costs_one_request(llm_server, tmp_path):
    llm_server.script.append(body_of(content="half \ud83d of it"))
    half, whole = client_of(llm_server, tmp_path).complete_all([asking("a"), asking("b")], 1)
    assert isinstance(half, LLMError)
    assert "surrogate" in half.message
    assert whole.text == "answer to b"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_key_or_model_stops_everything(llm_server, tmp_path, status):
    llm_server.script.extend([status] * 10)
    with pytest.raises(RunError) as caught:
        client_of(llm_server, tmp_path).complete_all([asking("a"), asking("b")], 1)
    assert "DATACHEF_LLM_API_KEY" in caught.value.hint


def test_server_that_stays_away_stops_everything(tmp_path):
    backend = OpenAIBackend("http://127.0.0.1:9/v1")
    client = LLMClient("openai", lambda: backend, tmp_path, Persistence(2, 0), patience=3)
    with pytest.raises(RunError, match="3 requests in a row"):
        client.complete_all([asking(str(i)) for i in range(50)], 2)


def test_second_time_comes_from_the_cache(llm_server, tmp_path):
    requests = [asking(f"q{i}") for i in range(20)]
    first = client_of(llm_server, tmp_path).complete_all(requests, 4)
    assert len(llm_server.calls) == 20

    def unreachable() -> LLMBackend:
        raise AssertionError("the cache knows all answers")

    again = LLMClient("openai", unreachable, tmp_path).complete_all(requests, 4)
    assert again == first


def test_answers_of_another_model_of_the_same_name_are_asked_anew(tmp_path):
    class Named(LLMBackend):
        weights = "old"

        @classmethod
        def identity(cls, model):
            return f"{model}-{cls.weights}"

        def complete(self, request):
            return Completion(self.weights)

    def said():
        return LLMClient("named", Named, tmp_path).complete(asking("hello")).text

    assert said() == "old"
    Named.weights = "new"
    assert said() == "new"
    Named.weights = "old"
    Named.complete = None  # nobody is asked
    assert said() == "old"


def test_cache_is_json_in_subfolders(llm_server, tmp_path):
    client_of(llm_server, tmp_path).complete(asking("é"))
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    assert path.parent.name == path.name[:2]
    content = json.loads(path.read_text("utf-8"))["content"]
    assert content["completion"]["text"] == "answer to é"
    assert content["request"]["messages"] == [["user", "é"]]


def test_damaged_cache_file_is_asked_again(llm_server, tmp_path):
    client = client_of(llm_server, tmp_path)
    client.complete(asking("a"))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(path.read_bytes()[:20])
    assert client.complete(asking("a")).text == "answer to a"
    assert len(llm_server.calls) == 2
    assert json.loads(path.read_text())["content"]["completion"]["text"] == "answer to a"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
        {"response_schema": {}},
        {"messages": (("system", "a"),)},
    ],
)
def test_any_change_asks_again(llm_server, tmp_path, change):
    client = client_of(llm_server, tmp_path)
    client.complete(asking("a"))
    client.complete(replace(asking("a"), **change))
    assert len(llm_server.calls) == 2


def test_order_is_kept_and_concurrency_bounded(llm_server, tmp_path):
    llm_server.delays = {f"q{i}": 0.05 * (i % 3 == 0) for i in range(24)}
    requests = [asking(f"q{i}") for i in range(24)]
    answers = client_of(llm_server, tmp_path).complete_all(requests, 4)
    assert [a.text for a in answers] == [f"answer to q{i}" for i in range(24)]
    assert 2 <= llm_server.most_at_once <= 4


def test_equal_requests_are_asked_once(llm_server, tmp_path):
    answers = client_of(llm_server, tmp_path).complete_all([asking("a")] * 10, 5)
    assert [a.text for a in answers] == ["answer to a"] * 10
    assert len(llm_server.calls) == 1


def test_failures_stand_among_answers(llm_server, tmp_path, refusal):
    def answer(prompt):
        if prompt == "bad":
            raise refusal(400)
        return prompt

    llm_server.answer = answer
    good, bad = client_of(llm_server, tmp_path).complete_all([asking("good"), asking("bad")], 2)
    assert good.text == "good"
    assert isinstance(bad, LLMError)


def test_backend_is_built_once(tmp_path):
    built = []

    class Echo(LLMBackend):
        def __init__(self):
            built.append(threading.get_ident())

        def complete(self, request):
            return Completion(request.messages[-1][1])

    client = LLMClient("echo", Echo, tmp_path)
    client.complete_all([asking(str(i)) for i in range(20)], 8)
    assert len(built) == 1


def test_waits_grow_and_respect_the_server(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(threading.Event, "wait", lambda _, seconds: waits.append(seconds))
    errors = [TransientLLMError("x"), TransientLLMError("x"), TransientLLMError("x", "", 500.0)]

    class Flaky(LLMBackend):
        def complete(self, request):
            if errors:
                raise errors.pop(0)
            return Completion("done")

    assert LLMClient("flaky", Flaky, tmp_path).complete(asking("a")).text == "done"
    assert waits[1] == 2 * waits[0] > 0
    assert waits[2] == 60


def test_environment_names_the_server(llm_server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    monkeypatch.setenv("OPENAI_API_KEY", "of another service")
    monkeypatch.setenv("OPENAI_ORG_ID", "of another service")
    monkeypatch.delenv("DATACHEF_LLM_BASE_URL", raising=False)
    (build,) = openai_backend.datachef_llm_backends().values()
    with pytest.raises(DatachefError) as caught:
        build()
    assert "DATACHEF_LLM_BASE_URL" in caught.value.hint
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    monkeypatch.setenv("DATACHEF_LLM_API_KEY", "mine")
    build().complete(asking("a"))
    assert llm_server.seen_headers[0]["authorization"] == "Bearer mine"
    assert "another service" not in str(llm_server.seen_headers)


def test_unknown_backend_has_a_hint(tmp_path):
    services = Services({"openai": OpenAIBackend.from_environment}, tmp_path)
    with pytest.raises(DatachefError) as caught:
        services.llm("open_ai")
    assert "did you mean openai?" in caught.value.hint
    assert services.llm("openai") is services.llm("openai")
