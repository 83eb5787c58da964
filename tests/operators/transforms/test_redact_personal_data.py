import json
import time

import polars as pl
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.core import run_recipe, turns_column
from datachef.operators.transforms.redact_personal_data import ALL, RedactPersonalData


def redacted(text, **parameters):
    return RedactPersonalData(**parameters).rewrite(pl.Series("text", [text]))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jane.doe+x@mail.example.co.uk.", "write to <EMAIL_ADDRESS>."),
        ("<mailto:a@b.org>,c_d@e-f.io", "<mailto:<EMAIL_ADDRESS>>,<EMAIL_ADDRESS>"),
        ("邮箱abc@qq.com谢谢", "邮箱<EMAIL_ADDRESS>谢谢"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC X", "IBAN <IBAN_CODE> BIC X"),
        ("GB82WEST12345698765432, ok", "<IBAN_CODE>, ok"),
        ("IBAN FR1420041010050500013M02606 DANKE", "IBAN <IBAN_CODE> DANKE"),
        ("card 4111 1111 1111 1111 exp", "card <CREDIT_CARD> exp"),
        ("card 5500-0000-0000-0004", "card <CREDIT_CARD>"),
        ("amex 378282246310005!", "amex <CREDIT_CARD>!"),
        ("3782 822463 10005", "<CREDIT_CARD>"),
        ("from 84.17.52.201 today", "from <IP_ADDRESS> today"),
        ("[84.17.52.201]:25 http://84.17.52.201/x", "[<IP_ADDRESS>]:25 http://<IP_ADDRESS>/x"),
        ("84.17.52.201.", "<IP_ADDRESS>."),
        ("at 2a00:1450:4001:81b::200e now", "at <IP_ADDRESS> now"),
        ("2a00:1450:4001:81b:0:0:0:200e: up", "<IP_ADDRESS>: up"),
        ("call (415) 555-2671 now", "call <PHONE_NUMBER> now"),
        ("call 415-863-2671, or", "call <PHONE_NUMBER>, or"),
        ("call 1-415-863-2671", "call <PHONE_NUMBER>"),
        ("Tel. +49 30 901820.", "Tel. <PHONE_NUMBER>."),
        ("+44 20 7946 0958/+33 1 70 18 99 00", "<PHONE_NUMBER>/<PHONE_NUMBER>"),
    ],
)
def test_found(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BE68 5390 0754 7034 AT61 1904 3002 3457 3201.", "<IBAN_CODE> <IBAN_CODE>."),
        ("AT611904300234573201 LT12 1000 0111 0100 1000", "<IBAN_CODE> <IBAN_CODE>"),
        ("BE68539007547034 BE68539007547034 DE89370400440532013000", " ".join(["<IBAN_CODE>"] * 3)),
        ("XX12 3456 BE68 5390 0754 7034", "XX12 3456 <IBAN_CODE>"),
        ("4111 1111 1111 1111 5500 0000 0000 0004", "<CREDIT_CARD> <CREDIT_CARD>"),
        ("4111 1111 1111 1111 4012 8888 8888 1881 4111 1111 1111 1111.",
         "<CREDIT_CARD> <CREDIT_CARD> <CREDIT_CARD>."),
        ("3782 822463 10005 4111 1111 1111 1111", "<CREDIT_CARD> <CREDIT_CARD>"),
        ("84.17.52.201 84.17.52.202", "<IP_ADDRESS> <IP_ADDRESS>"),
    ],
)  # fmt: skip
def test_neighbours_are_all_found(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("region", "text", "expected"),
    [
        ("DE", "12.03.2024 030 12345678", "12.03.2024 <PHONE_NUMBER>"),
        ("DE", "Nr. 4711 030 901820, 5", "Nr. 4711 <PHONE_NUMBER>, 5"),
        ("FR", "2024 01 70 18 99 00", "2024 <PHONE_NUMBER>"),
        ("GB", "12/03/2024 020 7946 0958", "12/03/2024 <PHONE_NUMBER>"),
        ("DE", "030 901820 030 12345678", "<PHONE_NUMBER> <PHONE_NUMBER>"),
        ("US", "+49 30 901820 (415) 863-2671", "<PHONE_NUMBER> <PHONE_NUMBER>"),
        ("DE", "2021-10-05 12:30 05.10.2021 10/05/2021", "2021-10-05 12:30 05.10.2021 10/05/2021"),
    ],
)
def test_a_phone_number_behind_other_numbers(region, text, expected):
    assert redacted(text, phone_region=region) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ü DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000 é", "ü <IBAN_CODE> é"),
        ("card 4111\u20111111\u20111111\u20111111", "card <CREDIT_CARD>"),
        ("card 4111\u202f1111\u20091111\u30001111", "card <CREDIT_CARD>"),
        ("カード４１１１１１１１１１１１１１１１。", "カード<CREDIT_CARD>。"),
        ("+49\u00a030\u00a0901820", "<PHONE_NUMBER>"),
        ("(415)\u00a0863\u20112671", "<PHONE_NUMBER>"),
        (
            "jane＠example.org ﹫ ｊ．ｄｏｅ＠ｅｘａｍｐｌｅ．ｏｒｇ",
            "<EMAIL_ADDRESS> ﹫ <EMAIL_ADDRESS>",
        ),
        ("\u06f8\u06f4.17.52.201", "<IP_ADDRESS>"),
        ("4\u00a0000 e\u0301 \u2011 ＠", "4\u00a0000 e\u0301 \u2011 ＠"),
    ],
)
def test_other_characters_hide_nothing_and_stay_elsewhere(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("an müller@firma.de.", "an <EMAIL_ADDRESS>."),
        ("user@müller.de", "<EMAIL_ADDRESS>"),
        ("mu\u0308ller@firma.de", "<EMAIL_ADDRESS>"),
        ("почта: иван.петров@почта.рф, да", "почта: <EMAIL_ADDRESS>, да"),
        ("张三@例子.公司 谢谢", "<EMAIL_ADDRESS> 谢谢"),
        ("abc@例子.com谢谢", "<EMAIL_ADDRESS>谢谢"),
        ("메일은 abc@naver.com으로", "메일은 <EMAIL_ADDRESS>으로"),
        ("γιώργος@παράδειγμα.ελ", "<EMAIL_ADDRESS>"),
    ],
)
def test_addresses_in_any_script(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:org/repo.git",
        "icon@2x.png and lodash@4.17.21 and pkg@1.2.0-rc.b",
        "@decorator a@b x @ y.com",
        "version 4.0.30319.1, v1.22.33.44, Chrome/103.0.12.34, Firefox 103.0.0.0.1",
        "oid 1.3.6.1.4.1.311.21 and section 3.1.2.4 of it",
        "10.0.0.1 192.168.1.255 127.0.0.1 172.16.5.4 169.254.1.1 255.255.255.0 0.0.0.0",
        "192.0.2.44 198.51.100.7 203.0.113.9 are for documentation, 300.1.22.4 is nothing",
        "2021-10-05 12:30:45 05.10.2021 10/05/2021 2021:10:05 12:30:45.123456",
        "::1 fe80::1 2001:db8::1 std::vector<int> a::b 00:1a:2b:3c:4d:5e",
        "4111 1111 1111 1112 and 4111111111111112",
        "id 41111111111111111111, 0.4111111111111111, x4111111111111111",
        "4444 4444 4444 4444",
        "1616161616161616 1234567890123456",
        "DE89 3704 0044 0532 0130 01 and XX82WEST12345698765432",
        "SKU AB12 3456 7890 1234 5678",
        "1 + 2 = 3, +1 +2 +3, -415-863-2671-9, 3.14159265358979",
        "2023 2024 2025 2026, 1234567890, 100,000,000 and 415863267",
        "ISBN 978-3-16-148410-0 and 0-306-40615-2",
        "$415-863-2671 123-45-6789",
    ],
)
def test_left_alone(text):
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("DE", "030 901820"),
        ("FR", "01 70 18 99 00"),
        ("GB", "020 7946 0958"),
        ("GB", "(020) 7946 0958"),
        ("US", "(415) 863-2671"),
        ("CN", "138 0013 8000"),
    ],
)
def test_national_formats(region, text):
    assert redacted(f"Tel: {text} x", phone_region=region) == "Tel: <PHONE_NUMBER> x"
    assert redacted(f"Tel: {text} x", phone_region=None) == f"Tel: {text} x"


def test_only_the_kinds_asked_for():
    text = "a@example.org 84.17.52.201"
    assert redacted(text, kinds=("ip_address",)) == "a@example.org <IP_ADDRESS>"
    assert "phonenumbers" not in RedactPersonalData(kinds=("iban_code",)).requires()
    with pytest.raises(ValidationError):
        RedactPersonalData(kinds=("iban_code", "iban_code"))


def test_order_of_kinds_means_nothing():
    assert RedactPersonalData(kinds=ALL[::-1]) == RedactPersonalData()


PIECES = st.sampled_from(
    [
        "a@example.org", "84.17.52.201", "4111 1111 1111 1111", "(415) 863-2671", "+49 30 901820",
        "GB82WEST12345698765432", "2a00:1450:4001:81b::200e", " ",
        ".", "-", "1", ":", "x", "+", "\n",
    ]
)  # fmt: skip


@pytest.mark.parametrize("replacement", ["tag", "specimen"])
@given(text=st.lists(PIECES, max_size=12).map("".join))
def test_neighbours_do_not_matter_and_rows_keep_their_place(replacement, text):
    operator = RedactPersonalData(replacement=replacement)
    together = operator.rewrite(pl.Series("text", ["a", text, None, "b@example.org"])).to_list()
    assert together[1] == redacted(text, replacement=replacement)
    assert together[0] == "a"
    assert together[2] is None


def test_specimens_stay_as_they_are():
    text = "b@c.org +49 30 901820 (415) 863-2671 84.17.52.201 2a00:1450:4001:81b::200e"
    text += " 5500-0000-0000-0004 GB82WEST12345698765432"
    once = redacted(text, replacement="specimen")
    assert once.split()[0] == "email@example.com"
    assert redacted(once, replacement="specimen") == once


def test_input_is_not_written_to():
    series = pl.Series("text", ["a@b.org"])
    RedactPersonalData().rewrite(series)
    assert series.to_list() == ["a@b.org"]


def test_turns():
    turns = [{"role": "user", "content": "I am a@b.org"}, {"role": "assistant", "content": "ok"}]
    batch = pl.DataFrame({"id": ["r"], "text": ["I am a@b.org\n\nok"], "messages": [turns]})
    rows = RedactPersonalData().process(batch).rows
    assert rows["text"].to_list() == ["I am <EMAIL_ADDRESS>\n\nok"]
    assert rows["messages"][0][0]["content"] == "I am <EMAIL_ADDRESS>"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1",
        "1 ",
        "a@",
        "a.",
        "x@a.a",
        "+1",
        "AB12 ",
        "200-",
        "2001:",
        "(212 ",
        "1.2",
        "ü",
        "ü@",
        "DE89 ",
        "4111 1111 1111 1111 ",
    ],
)
def test_time_is_linear(unit):
    series = pl.Series("text", [(unit * 10**6)[: 10**6]])
    operator = RedactPersonalData()
    operator.rewrite(series[:0])
    started = time.process_time()
    operator.rewrite(series)
    assert time.process_time() - started < 60  # where it grows with the square, it is hours


@pytest.mark.parametrize("replacement", ["tag", "specimen"])
def test_what_was_replaced_is_counted_by_kind(replacement):
    texts = [
        "a@b.org, email@example.com and <EMAIL_ADDRESS>",
        "from 84.17.52.201 to 84.17.52.202",
        "nothing",
    ]
    turns = [{"role": "user", "content": "I am c@d.org"}, {"role": "assistant", "content": "Hi"}]
    batch = pl.DataFrame(
        {"id": list("0123"), "source": "s", "text": [*texts, "I am c@d.org\n\nHi"]}
    ).with_columns(turns_column([None, None, None, turns]))
    operator = RedactPersonalData(replacement=replacement, keep_counts=True, kinds=ALL[:4])
    made = operator.process(batch)
    assert made.counted == {"email_address": 3, "ip_address": 2}
    assert made.rows["email_address_count"].to_list() == [2, 0, 0, 1]
    assert made.rows["ip_address_count"].to_list() == [0, 2, 0, 0]
    assert operator.writes() <= set(made.rows.columns)
    plain = RedactPersonalData(replacement=replacement, kinds=ALL[:4]).process(batch)
    assert plain.counted == made.counted
    assert plain.rows.columns == batch.columns


def test_the_ledger_adds_up_what_was_replaced(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a@b.org"}\n{"text": "c@d.org e@f.org"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: t\nsources: {s: {path: rows.jsonl}}\nsteps: [{op: redact_personal_data}]\n"
    )
    report = run_recipe(
        recipe, tmp_path / "corpus", engine="inline", workers=1, cache=tmp_path / "cache"
    )
    ledger = json.loads((report.folder / "ledger.json").read_bytes())
    (entry,) = (step for step in ledger if step["op"] == "redact_personal_data")
    assert entry["counted"] == {"email_address": 3}
