"""Makes the raw data of these recipes, small but untidy, in `data/` beside this file.

A web archive (WARC) and its texts (WET) with pages in several languages, copies, lists, spam and
personal data; lists of hosts and words; text to train a quality classifier on; word problems and
tasks for programmers. All of it is put together from the words below.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Language:
    """Sentences with gaps, and what goes into these. Each sentence stands once on a page."""

    subjects: tuple[str, ...]
    places: tuple[str, ...]
    people: tuple[str, ...]
    reasons: tuple[str, ...]
    sentences: tuple[str, ...]
    space: str = " "


LANGUAGES = {
    "en": Language(
        (
            "lighthouse", "orchard", "railway", "library", "harbour", "glacier", "windmill",
            "archive", "bridge", "museum", "garden", "observatory", "market", "canal", "theatre",
        ),
        ("Norfolk", "Bergen", "Tasmania", "Oregon", "Galicia", "Hokkaido", "Malta", "Quebec"),
        ("engineers", "farmers", "sailors", "teachers", "painters", "students", "merchants"),
        (
            "because the old records had been lost in a fire",
            "although nobody had asked them to do it",
            "while the rest of the town was still asleep",
            "so that their children could learn from it",
            "before the storms of the winter closed the road",
            "with tools that they had made themselves",
        ),
        (
            "The {subject} in {place} was built by {people} in {number} days, {reason}.",
            "Most {people} who came to see it wrote home from {place}, {reason}.",
            "A letter that {people} sent to {place} says that {number} trees grew around it.",
            "For {number} years the {people} of {place} kept their {subject} open, {reason}.",
            "When the {people} left, {number} families from {place} took care of the {subject}.",
            "Of what was found there {people} have filled {number} pages, {reason}.",
            "No other {subject} is as well known, and {people} come to it even from {place}.",
            "Its roof was mended with {number} stones that {people} had carried from {place}.",
        ),
    ),
    "de": Language(
        (
            "der Bahnhof", "das Museum", "die Brücke", "der Garten", "das Theater",
            "die Bibliothek", "der Hafen", "die Mühle", "das Archiv", "der Leuchtturm",
        ),
        ("Bremen", "Zürich", "Graz", "Lübeck", "Basel", "Rostock", "Innsbruck"),
        ("Bauern", "Lehrer", "Maler", "Schüler", "Händler", "Matrosen"),
        (
            "weil die alten Pläne im Feuer verloren gingen",
            "obwohl niemand sie darum gebeten hatte",
            "damit ihre Kinder davon lernen",
            "bevor der Schnee den Weg versperrte",
            "mit dem Werkzeug, das sie selbst gemacht hatten",
        ),
        (
            "In {place} wurde {subject} von {number} Menschen gebaut, {reason}.",
            "Die {people}, die aus {place} kamen, haben es {number} Jahre gepflegt, {reason}.",
            "Heute ist {subject} für die {people} in {place} ein Ort der Ruhe, {reason}.",
            "Ein Brief der {people} nach {place} erzählt von {number} Bäumen und dem Weg zum See.",
            "Als die {people} gingen, blieb {subject} in {place} für {number} Tage geschlossen.",
            "Was die {people} dort fanden, füllt {number} Seiten, {reason}.",
        ),
    ),
    "zh": Language(
        ("图书馆", "博物馆", "火车站", "花园", "剧院", "灯塔", "市场", "天文台", "码头", "老桥"),
        ("北方", "海边", "山里", "城市中心", "河边", "南方的村子", "岛上"),
        ("工程师", "农民", "水手", "老师", "画家", "学生", "商人"),
        (
            "因为旧的记录被火烧了", "虽然没有人要求他们这样做", "为的是让孩子们学到知识",
            "在冬天的大雪来到以前", "用的是他们自己做的工具",
        ),
        (
            "{place}的{subject}是{people}用了{number}天建成的，{reason}。",
            "来过这里的{people}在信里说，{place}有{number}棵大树和一条小路，{reason}。",
            "{number}年以来，{people}一直保护着{place}的{subject}，{reason}。",
            "当{people}离开的时候，{place}的{number}个家庭把{subject}留了下来。",
            "在{subject}里发现的东西，{people}写满了{number}页纸，{reason}。",
            "没有别的{subject}像它这样有名，{people}也从{place}来看它。",
        ),
        space="",
    ),
    "ar": Language(
        (
            "المكتبة", "المتحف", "المحطة", "الحديقة", "المسرح", "المنارة", "السوق", "الميناء",
            "الجسر",
        ),
        ("الشمال", "الساحل", "الجبل", "المدينة", "القرية", "الجزيرة", "الوادي"),
        ("المهندسون", "الفلاحون", "البحارة", "المعلمون", "الرسامون", "الطلاب", "التجار"),
        (
            "بعد أن ضاعت السجلات القديمة في الحريق",
            "مع أن أحدا لم يطلب منهم ذلك",
            "حتى يتعلم الأطفال من هذا العمل",
            "قبل أن يغلق الثلج الطريق إلى البيوت",
            "من الحجارة التي حملوها على ظهورهم",
        ),
        (
            "جاء {people} من {place} إلى {subject} وعملوا فيها {number} يوما {reason}.",
            "كتب {people} في الرسالة أن في {place} {number} شجرة على الطريق {reason}.",
            "حافظ {people} على {subject} في {place} مدة {number} سنة {reason}.",
            "عندما رحل {people} عن {place} بقيت {number} عائلة مع {subject} بين البيوت.",
            "ما وجد {people} في {subject} كان في {number} صفحة {reason}.",
            "هذا هو المكان الذي يأتي إليه {people} من {place} ليروا {subject} وما بين الجدران.",
        ),
    ),
    "th": Language(
        ("ห้องสมุด", "พิพิธภัณฑ์", "สถานีรถไฟ", "สวนดอกไม้", "โรงละคร", "ประภาคาร", "ตลาดเก่า", "ท่าเรือ"),
        ("ทางเหนือ", "ริมทะเล", "บนภูเขา", "กลางเมือง", "ริมแม่น้ำ", "บนเกาะ"),
        ("วิศวกร", "ชาวนา", "ชาวเรือ", "ครู", "นักเรียน", "พ่อค้า", "จิตรกร"),
        (
            "เพราะบันทึกเก่าของเมืองถูกไฟไหม้",
            "แม้ว่าจะไม่มีใครขอให้ทำ",
            "เพื่อให้เด็กได้เรียนรู้จากการทำงาน",
            "ก่อนที่ฝนจะทำให้ถนนใช้ไม่ได้",
            "ด้วยเครื่องมือที่ทำขึ้นเอง",
        ),
        (
            "{subject}ที่อยู่{place}สร้างโดย{people}ในเวลา {number} วัน {reason}",
            "{people}ที่มาจาก{place}เขียนว่ามีต้นไม้ {number} ต้นและทางเดินของหมู่บ้าน {reason}",
            "เป็นเวลา {number} ปีที่{people}ดูแล{subject}และบ้านที่อยู่{place} {reason}",
            "เมื่อ{people}จากไป {number} ครอบครัวใน{place}ได้ดูแล{subject}ต่อมา",
            "สิ่งที่พบใน{subject}ทำให้{people}เขียนได้ {number} หน้า {reason}",
            "ไม่มี{subject}แห่งอื่นที่มีชื่อเสียงเท่านี้ และ{people}ก็เดินทางมาจาก{place}",
        ),
    ),
}  # fmt: skip
QUESTIONS = (
    "Why is the {subject} in {place} so well known among {people}?",
    "How do you explain to {people} from {place} what a {subject} is for?",
    "Could you tell me why {people} left the {subject} after {number} years?",
)


def sentence(chance: random.Random, language: str, template: str, subject: str) -> str:
    """A sentence with its gaps filled."""
    words = LANGUAGES[language]
    return template.format(
        subject=subject,
        place=chance.choice(words.places),
        people=chance.choice(words.people),
        reason=chance.choice(words.reasons),
        number=chance.randint(3, 900),
    )


def article(chance: random.Random, language: str = "en") -> list[str]:
    """The paragraphs of a page."""
    words = LANGUAGES[language]
    subject = chance.choice(words.subjects)
    order = chance.sample(words.sentences, len(words.sentences))
    said = [sentence(chance, language, template, subject) for template in order]
    half = len(said) // 2
    return [words.space.join(said[:half]), words.space.join(said[half:])]


def conversation(chance: random.Random) -> str:
    """A question and its answer, as a forum or an instruction set has them."""
    words = LANGUAGES["en"]
    subject = chance.choice(words.subjects)
    asked = sentence(chance, "en", chance.choice(QUESTIONS), subject)
    told = chance.sample(words.sentences, 3)
    steps = [f"{number}. {sentence(chance, 'en', t, subject)}" for number, t in enumerate(told, 1)]
    return "\n".join([asked, "Great question! Let us look at it step by step.", *steps])


def html(title: str, paragraphs: Iterable[str]) -> str:
    """A page with a menu, its content and a foot."""
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{title}</title></head><body>"
        "<nav><ul><li><a href='/'>Home</a></li><li><a href='/about'>About</a></li></ul></nav>"
        f"<main><article><h1>{title}</h1>\n{body}\n</article></main>"
        "<footer>Terms of use. Items in cart: 0.</footer></body></html>"
    )


def pages(chance: random.Random) -> list[tuple[str, list[str]]]:
    """Addresses and paragraphs, good ones and bad ones."""
    good = [article(chance) for _ in range(70)]
    found = [(f"http://www.example{n % 9}.org/page/{n}", page) for n, page in enumerate(good)]
    found += [  # near copies, with one word in another form
        (f"http://mirror.example.net/{number}", [p.replace("The ", "the ") for p in good[number]])
        for number in range(12)
    ]
    found += [(f"http://www.example.de/{n}", article(chance, "de")) for n in range(10)]
    found += [  # as an answer in a forum: what the classifier of DCLM likes
        (f"http://forum.example.net/{n}", [*conversation(chance).split("\n"), *article(chance)])
        for n in range(8)
    ]
    found += [(f"http://casino.example.com/{n}", article(chance)) for n in range(4)]
    found += [(f"http://a.example.com/free-casino/{n}", article(chance)) for n in range(4)]
    found += [
        (f"http://b.example.com/list/{n}", [f"Item {i}" for i in range(60)]) for n in range(6)
    ]
    spam = ["CLICK HERE AND WIN NOW " * 30] * 3
    found += [(f"http://c.example.com/{n}", spam) for n in range(6)]
    found += [(f"http://d.example.com/{n}", article(chance)[:1]) for n in range(3)]
    found += [("http://e.example.com/1", [*article(chance), "Lorem ipsum dolor sit amet."])]
    found += [("http://e.example.com/2", [*article(chance), "It was a damned long road."])]
    found += [
        (f"http://f.example.com/{n}", [*article(chance), f"Write to jane.doe{n}@example.org."])
        for n in range(5)
    ]
    chance.shuffle(found)
    return found


def record(kind: str, address: str, media_type: str, content: bytes) -> bytes:
    """A record of a web archive, as a member of a gzip file."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {address}\r\n"
        f"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + content + b"\r\n\r\n", mtime=0)


def response(address: str, page: str, status: str = "200 OK") -> bytes:
    """The record of what a server answered."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    media_type = "application/http; msgtype=response"
    return record("response", address, media_type, head.encode() + page.encode())


def problem(chance: random.Random) -> tuple[str, str, int]:
    """A word problem, how it is worked out, and its answer."""
    boxes, each, gift = chance.randint(2, 30), chance.randint(2, 40), chance.randint(1, 60)
    thing = chance.choice(("apples", "pencils", "marbles", "stamps", "tickets"))
    name = chance.choice(("Ana", "Ben", "Chidi", "Dara", "Emre"))
    question = (
        f"{name} has {boxes} boxes with {each} {thing} in each of them and buys {gift} more. "
        f"How many {thing} are there?"
    )
    total = boxes * each + gift
    worked = f"{boxes} boxes with {each} {thing} hold {boxes * each}, and {gift} more make {total}."
    return question, worked, total


def worked_problems(chance: random.Random, count: int) -> Iterator[dict[str, str]]:
    """Problems whose solutions end in several forms; some say no number at the end, or two."""
    for number in range(count):
        question, worked, total = problem(chance)
        ends = (
            f"\n#### {total}", f"\nThe answer is {total}.", f"\nSo we get $\\boxed{{{total}}}$.",
            f"\nAnswer: {total:,}.00", "\nI hope that this helps!",
        )  # fmt: skip
        solution = "It is a lot." if number % 17 == 0 else worked
        yield {"question": question, "answer": solution + ends[number % len(ends)]}


FUNCTIONS = (
    ("double", "returns twice a number", "return value * 2", "(7) == 14"),
    ("square", "returns the square of a number", "return value * value", "(7) == 49"),
    ("is_even", "says whether a number is even", "return value % 2 == 0", "(7) is False"),
    ("digits", "counts the digits of a number", "return len(str(abs(value)))", "(-41) == 2"),
    ("halve", "returns half of a number, rounded down", "return value // 2", "(7) == 3"),
    ("negate", "returns a number with the other sign", "return -value", "(7) == -7"),
)


def programs(chance: random.Random, count: int) -> Iterator[dict[str, str]]:
    """Tasks, tests and answers with code: some of them broken, wrong, refused, or without code."""
    for number in range(count):
        name, does, body, result = FUNCTIONS[number % len(FUNCTIONS)]
        name = f"{name}_{chance.randint(1, 400)}"
        task = f"Write a Python function `{name}` that {does}."
        wrong = number % 7 == 2
        code = f"def {name}(value):\n    {body}{' + 1' * wrong}\n"
        if number % 11 == 3:
            code = code.replace("(value):", "(value:")
        answer = f"It takes one line:\n\n```python\n{code}```\n"
        if number % 13 == 5:
            answer = "I'm sorry, but as an AI language model I cannot write programs."
        elif number % 13 == 7:
            answer = "Think of it yourself; it is a good exercise."
        yield {"task": task, "solution": answer, "tests": f"assert {name}{result}"}


def write_rows(name: str, rows: Iterable[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (DATA / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_list(name: str, *entries: str) -> None:
    (DATA / "lists" / name).write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")


def main() -> None:
    chance = random.Random(0)
    (DATA / "lists").mkdir(parents=True, exist_ok=True)
    found = pages(chance)
    title = "A page of the example"
    archive = [response(address, html(title, paragraphs)) for address, paragraphs in found]
    archive.append(response("http://g.example.com/gone", html("Gone", []), "404 Not Found"))
    (DATA / "crawl.warc.gz").write_bytes(b"".join(archive))
    texts = [
        record("conversion", address, "text/plain", "\n".join(["Home", "About", *p]).encode())
        for address, p in found
    ]
    (DATA / "crawl.wet.gz").write_bytes(b"".join(texts))
    write_list("hosts.txt", "casino.example.com")
    write_list("banned_words.txt", "casino")
    write_list("soft_words.txt", "free", "win")
    write_list("bad_words.txt", "damned")

    write_rows("conversations.jsonl", ({"text": conversation(chance)} for _ in range(300)))
    write_rows("web.jsonl", ({"text": "\n\n".join(article(chance))} for _ in range(300)))
    for number, language in enumerate(LANGUAGES):
        rows = [{"text": "\n".join(article(chance, language))} for _ in range(40 - 6 * number)]
        write_rows(f"pages.{language}.jsonl", [*rows, *rows[:3]])

    test = [problem(chance) for _ in range(20)]
    write_rows("problems.test.jsonl", ({"question": q, "answer": str(a)} for q, _, a in test))
    planted = [{"question": q.upper(), "answer": f"{w}\n#### {a}"} for q, w, a in test[:5]]
    write_rows("worked.jsonl", [*worked_problems(chance, 200), *planted])
    asked = (problem(chance) for _ in range(40))
    write_rows("unsolved.jsonl", ({"question": q, "answer": str(a)} for q, _, a in asked))

    write_rows("programs.jsonl", programs(chance, 60))
    tests = "assert add_all([1, 2, 3]) == 6"
    task = {"task": "Write a Python function `add_all` that adds up a list.", "tests": tests}
    write_rows("programs.test.jsonl", [task])


if __name__ == "__main__":
    main()
