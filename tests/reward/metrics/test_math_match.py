from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from datachef.core import BenchmarkItem
from datachef.reward.metrics import make_metric
from datachef.reward.metrics.math_match import MathMatch, MathServer, same_latex

pytest.importorskip("math_verify")

RIGHT = [
    (r"\frac{1}{2}", r"so \boxed{\frac12}"), (r"\frac{1}{2}", "The answer is $0.5$."),
    ("x^2+2x+1", r"\boxed{(x+1)^2}"), (r"2\sqrt{3}", r"\boxed{\sqrt{12}}"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3,\pi/2)}"), ("1,000", r"\boxed{1000}"),
    (r"\text{Evelyn}", r"\boxed{Evelyn}"), ("14", r"\boxed{14 \text{ apples}}"),
    (r"90^\circ", r"\boxed{90}"), (r"\{1,2\}", r"\boxed{\{2,1\}}"), ("0.75", "the answer is 3/4"),
    ("x=5", r"\boxed{5}"), (r"the result is \boxed{7}", "7"), ("-1", "x = -1"),
    ("5\n6", r"\boxed{6}"), (r"\begin{pmatrix}1\\2\end{pmatrix}",
                              r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}"),
]  # fmt: skip
WRONG = [
    (r"\frac{1}{2}", r"\boxed{0.51}"), (r"\frac{1}{2}", r"\boxed{\frac{2}{1}}"), ("5", ""),
    (r"(3,\pi/2)", r"\boxed{(3,\pi)}"), ("x+1", r"\boxed{x-1}"), ("2", r"\boxed{}"),
    ("5", r"\boxed{5} no, \boxed{6}"), ("11", "__import__('os').getpid()"), ("3", "\ud800"),
    ("5", "}{" * 50),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("gold", "response"), RIGHT)
def test_what_is_equal(gold: str, response: str) -> None:
    assert make_metric("math_match").score(response, BenchmarkItem("?", gold))


@pytest.mark.slow
@pytest.mark.parametrize(("gold", "response"), WRONG)
def test_what_is_not_equal(gold: str, response: str) -> None:
    assert not make_metric("math_match").score(response, BenchmarkItem("?", gold))


@pytest.mark.slow
@pytest.mark.parametrize("bomb", ["9^{9^{9^{9}}}", "(2^{3^{4^5}})!", r"\sum_{i=1}^{10^{12}} i!"])
def test_a_comparison_that_gets_stuck_is_ended_and_the_next_one_answered(bomb: str) -> None:
    server = MathServer(seconds=2.0)
    assert not server.equal("$7$", rf"$\boxed{{{bomb}}}$")
    assert server.equal("$0.5$", r"$\frac{1}{2}$")


@pytest.mark.slow
def test_threads_may_ask_at_once() -> None:
    judge = MathMatch()
    verdicts: dict[int, bool] = {}

    def ask(number: int) -> None:
        item = BenchmarkItem("?", str(number % 3))
        verdicts[number] = judge.score(rf"\boxed{{\frac{{{number}}}{{1}}}}", item)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {number: number < 3 for number in range(9)}


@pytest.mark.slow
def test_the_process_ends_with_the_interpreter_and_silently() -> None:
    code = (
        "from datachef.reward.metrics.math_match import MathServer as S\n"
        "assert S().equal('$2$', '$\\\\frac{4}{2}$')\nprint(S._child.process.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_spacing_and_variants_of_commands_make_no_difference() -> None:
    for one, other in (
        (r"\dfrac{1}{2}", r"\frac 1 2"), (r"\left(1,\, 2\right)", "(1,2)"), (r"\$5", "5"),
        (r"\text{no}", "no"), (r"\sqrt2", r"\sqrt{2}"), (r"30^{\circ}", "30"), ("5.", "5"),
    ):  # fmt: skip
        assert same_latex(one, other)
    assert not same_latex("", "")
    assert not same_latex("12", "1 3")
    assert not same_latex(r"\frac{1}{2}", r"\frac{2}{1}")


def test_equal_latex_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(MathServer, "equal", refuse)
    assert make_metric("math_match").score(r"\boxed{x^2}", BenchmarkItem("?", "x^2"))
