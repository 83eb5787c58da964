"""Places of the network that a user allows, in `--allow-network` and everywhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command import chef
from web_server import LINES, Web

from datachef.core import DatachefError
from datachef.core.cli.state import take_network
from datachef.core.system.network import ALLOWED, Network, NotAllowedError, is_public, places

pytest.importorskip("aiohttp")
pytestmark = pytest.mark.usefixtures("nothing_allowed")


def test_the_option_stands_anywhere_and_reaches_the_workers(web: Web, tmp_path: Path) -> None:
    web.files["/a.jsonl"] = LINES
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: r\nsources: {{s: {{path: '{web.url}/a.jsonl'}}}}\n")
    out = tmp_path / "out"
    refused = chef("run", recipe, "-o", out)
    assert refused.returncode == 2
    assert "--allow-network=127.0.0.1" in refused.stderr
    assert chef("--allow-network", "check", recipe).returncode == 2  # no public address
    assert web.asked == []
    done = chef("--allow-network=127.0.0.1", "run", recipe, "-o", out, "--workers", "2")
    assert "5 rows" in done.stdout, done.stderr
    wrong = chef("check", recipe, "--allow-network=http://a/b")
    assert (wrong.returncode, "is no place on the network" in wrong.stderr) == (1, True)


@pytest.mark.parametrize("place", ["huggingface.co", "localhost", "s3://bucket", "a.org,10.0.0.1"])
def test_places_behind_a_space_are_told(place: str) -> None:
    with pytest.raises(DatachefError, match="behind an equals sign") as caught:
        take_network(["run", "recipe.yaml", "--allow-network", place])
    assert caught.value.hint == f"--allow-network={place}"


@pytest.mark.parametrize("word", ["run", "recipe.yaml", "--workers=2", "my/folder.d", "."])
def test_other_words_after_the_option_are_the_commands(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "")
    assert take_network(["--allow-network", word]) == [word]
    assert os.environ[ALLOWED] == "*"


class TestPlaces:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254",
         "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
         "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe",
         "192.0.0.192", "168.63.129.16", "::ffff:192.0.0.192", "fec0::1", "3fff::1",
         "fd00:ec2::254"],
    )  # fmt: skip
    def test_no_public_address(self, address: str) -> None:
        from ipaddress import ip_address

        assert not is_public(ip_address(address))
        with pytest.raises(NotAllowedError):
            Network(places(["*", "*.example.org"])).check_address("a.example.org", address)

    def test_a_host_by_its_whole_name_may_be_private_but_no_more(self) -> None:
        network = Network(places(["data.example.org", "localhost", "10.0.0.0/8", "169.254.1.1"]))
        network.check_address("data.example.org", "192.168.0.7")
        network.check_address("localhost", "127.0.0.1")
        network.check("http", "10.9.8.7", 80)
        network.check("http", "169.254.1.1", 80)
        for host, address in [
            ("data.example.org", "127.0.0.1"),
            ("data.example.org", "169.254.169.254"),
            ("sub.data.example.org", "192.168.0.7"),
        ]:
            with pytest.raises(NotAllowedError):
                network.check_address(host, address)

    @pytest.mark.parametrize(
        "also",
        ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "intern:8443", "s3://intern",
         "sftp://127.0.0.1"],
    )  # fmt: skip
    def test_a_port_or_a_protocol_that_is_named_opens_no_other(self, also: str) -> None:
        network = Network(places(["*", also]))
        for host in ("127.0.0.1", "localhost", "::1"):
            with pytest.raises(NotAllowedError):
                network.check("http", host, 22)
        for address in ("10.0.0.1", "127.0.0.1"):
            with pytest.raises(NotAllowedError):
                network.check_address("intern", address, 22)

    def test_the_port_that_is_named_is_open(self) -> None:
        network = Network(places(["127.0.0.1:8000", "localhost:8000", "https://intern:8443"]))
        network.check("http", "127.0.0.1", 8000)
        network.check("http", "localhost", 8000)
        network.check_address("localhost", "127.0.0.1", 8000)
        network.check("https", "intern", 8443)
        network.check_address("intern", "10.0.0.1", 8443)
        Network(places(["data.example.org:443"])).check("https", "data.example.org")

    @pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "localhost"])
    @pytest.mark.parametrize("protocol", ["ftp", "sftp", "hdfs", "smb"])
    def test_a_pattern_of_servers_means_no_address_that_is_not_public(
        self, protocol: str, host: str
    ) -> None:
        with pytest.raises(NotAllowedError) as caught:
            Network(places([f"{protocol}://*"])).check(protocol, host)
        assert f"--allow-network={protocol}://{host}," in caught.value.hint
        Network(places([f"{protocol}://{host}"])).check(protocol, host)

    @pytest.mark.parametrize(
        ("allowed", "reached", "refused"),
        [
            ("*.example.org", "a.example.org", "example.org.evil.net"),
            ("example.org", "EXAMPLE.org.", "a.example.org"),
            ("huggingface.co", "cdn-lfs.hf.co", "huggingface.co.evil.net"),
            ("https://huggingface.co/", "cdn-lfs.hf.co", "huggingface.co.evil.net"),
            ("münchen.de", "xn--mnchen-3ya.de", "munchen.de"),
        ],
    )
    def test_names(self, allowed: str, reached: str, refused: str) -> None:
        network = Network(places([allowed]))
        network.check("https", reached, 443)
        with pytest.raises(NotAllowedError):
            network.check("https", refused, 443)
        with pytest.raises(NotAllowedError):
            network.check("s3", reached)

    @pytest.mark.parametrize("wrong", ["http://a/b", "a b", "1", "2130706433", "a@b", "", "a:b"])
    def test_what_is_no_place(self, wrong: str) -> None:
        with pytest.raises(DatachefError, match="is no place on the network"):
            places([wrong])
