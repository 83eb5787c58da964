"""Untrusted mathematics: no answer runs code, hangs the evaluator or costs its memory."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from datachef.core import BenchmarkItem
from datachef.core.system.confinement import available_layers
from datachef.reward.metrics import make_metric, math_match
from datachef.reward.metrics.math_match import MathServer

pytest.importorskip("math_verify")

CODE = [
    "__import__('os').system('touch {file}')",
    "open('{file}', 'w')",
    "(lambda: 0).__globals__['__builtins__']['open']('{file}', 'w')",
    r"\text{{__import__('os').system('touch {file}')}}",
    r"\mathrm{{exec}}(open('{file}', 'w'))",
    r"\input{{{file}}}",
    r"\write18{{touch {file}}}",
    r"\immediate\write18{{touch {file}}}",
    r"\begin{{pmatrix}} __import__('os').system('touch {file}') \end{{pmatrix}}",
    r"x = [c for c in ().__class__.__base__.__subclasses__()][0]; open('{file}', 'w')",
]
BOMBS = [
    "9^{9^{9^{9}}}", "9**9**9**9", "1000000000!", "((((9!)!)!)!)", r"\binom{10^{12}}{10^{6}}",
    r"\sum_{i=1}^{10^{12}} i!", r"\prod_{i=1}^{10^9} i", r"\int_0^1 x^{x^{x^{x}}} dx",
    r"\lim_{x \to 0} \frac{\sin^{99} x}{x^{99}}", "(x+y+z+w)^{5000}", "{" * 5000 + "}" * 5000,
    r"\frac{" * 900 + "1" + "}{2}" * 900, "(" * 3000 + "1" + ")" * 3000, "-" * 20000 + "1",
    r"\sqrt{" * 900 + "2" + "}" * 900, "1," * 20000 + "1", "0.1" * 3000, "1" * 50000,
    r"\begin{pmatrix}" + "1&" * 3000 + r"1\end{pmatrix}", "e^{10^{10^{10}}}", "2^{-10^{20}}",
    r"\tan(10^{10000})", "10^{100000000}", r"\gamma(10^{20})", r"\zeta(10^{30}i)",
]  # fmt: skip
TEXTS = [
    "a" + "$" * 50_000 + "a", "a" + ". " * 25_000 + "a", " " * 50_000 + "a", "answer is " * 9000,
    r"\boxed{" * 9000, r"\text" + " " * 50_000, "a" + "." * 50_000 + "a", "1," * 25_000 + "a",
]  # fmt: skip


def test_no_answer_is_run(tmp_path: Path) -> None:
    file = tmp_path / "ran"
    for code in CODE:
        written = code.format(file=file)
        for response in (rf"\boxed{{{written}}}", f"The answer is ${written}$", written):
            assert not make_metric("math_match").score(response, BenchmarkItem("?", "7"))
            assert not file.exists(), response


@pytest.mark.skipif("files" not in available_layers(), reason="no layer around files here")
def test_what_a_parser_would_run_finds_walls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "child.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport runpy\n"
        f"runpy.run_path({str(math_match._PROGRAM)!r}, run_name='__main__')\n"
    )
    # Stands for a hole in the parser: it runs the text that it is given.
    (tmp_path / "math_verify.py").write_text(
        "import os\n"
        "class Any:\n  def __init__(self, **_): pass\n"
        "ExprExtractionConfig = LatexExtractionConfig = Any\n"
        "def parse(text, *_, **__): return eval(text)\n"
        "def verify(gold, given, **_): return gold == given\n"
    )
    monkeypatch.setattr(math_match, "_PROGRAM", program)
    math_match._end()
    server = MathServer()
    try:
        assert server.equal("7", "3 + 4")
        for attack in (
            f"open({str(tmp_path / 'ran')!r}, 'w')",
            "os.fork()",
            "os.kill(os.getppid(), 9)",
            "os.setpriority(0, os.getppid(), 19)",
            "len(open('/etc/passwd').read())",
        ):
            assert not server.equal("0", f"0 * ({attack} is None)"), attack
            assert not server.equal("None", attack), attack
        assert not (tmp_path / "ran").exists()
        assert server.equal("7", "3 + 4")
    finally:
        math_match._end()


@pytest.mark.slow
def test_bombs_are_wrong_answers_and_the_next_one_is_judged() -> None:
    server = MathServer(seconds=1.5)
    for bomb in BOMBS:
        assert not server.equal("$7$", rf"$\boxed{{{bomb}}}$"), bomb[:40]
    assert server.equal("$0.5$", r"$\frac{1}{2}$")


@pytest.mark.parametrize(
    "metric", ["number_match", "exact_match", "multiple_choice", "label", "yes_no"]
)
def test_long_answers_are_read_in_proportion_to_their_length(metric: str) -> None:
    gold = {"multiple_choice": "B", "label": "good", "yes_no": "yes"}.get(metric, "123456")
    choices = ("sand", "snow") if metric == "multiple_choice" else ("good", "bad")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for text in TEXTS:
        assert not make_metric(metric).score(text, BenchmarkItem("?", gold, choices)), text[:20]
    # Seconds of the processor, where what grows with the square takes minutes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 20
