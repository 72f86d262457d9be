"""Which URLs and addresses a webhook may go to."""

import ipaddress

import pytest

from metering.delivering.addresses import BadUrl, Reach, is_public, target_of

PUBLIC = Reach(ports=frozenset({80, 443, 8443}))
DEVELOPMENT = Reach(ports=frozenset({443}), http=True, loopback=True)


def refusal(url: str, reach: Reach = PUBLIC) -> str:
    with pytest.raises(BadUrl) as refused:
        target_of(url, reach=reach)
    return str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",  # Alibaba's metadata
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",  # Azure's
        "169.254.169.254",  # everybody else's
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",  # Oracle's
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",  # mapped
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b:1::1",
        "100::1",
        "2001::1",  # Teredo
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4 of 127.0.0.1
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",  # Amazon's metadata
        "fe80::1",
        "fe80::1%eth0",
        "2600::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_on_the_public_internet(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111"]
)
def test_public_address(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]", "0.0.0.0"],
)
def test_url_of_an_inner_address_is_refused(host: str) -> None:
    assert refusal(f"https://{host}/hook") == "Isn't an address on the public internet."


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "8.8.8.08",
        "134744072",
        "1.2.3.4.5",
        "256.1.1.1",
        "example.0x10",
    ],
)
def test_odd_spelling_of_an_address_is_refused_wherever_it_leads(host: str) -> None:
    # "127.0.0.1." is the address once its dot is taken away.
    assert refusal(f"https://{host}/") in {
        "Write an address as four decimal numbers, such as 198.51.100.7.",
        "Isn't an address on the public internet.",
    }


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "Must begin with https"),
        ("ftp://example.com/", "Must begin with https"),
        ("file:///etc/passwd", "Must begin with https"),
        ("gopher://example.com:70/_x", "Must begin with https"),
        ("//example.com/", "Must begin with https"),
        ("example.com", "Must begin with https"),
        ("", "Isn't a URL"),
        ("https://", "Names no host"),
        ("https:///hook", "Names no host"),
        ("https://user@example.com/", "passwords"),
        ("https://user:secret@example.com/", "passwords"),
        ("https://example.com@127.0.0.1/", "passwords"),
        ("https://example.com:22/", "Port 22 isn't allowed; use one of 80, 443, 8443"),
        ("https://example.com:0/", "Port 0"),
        ("https://example.com:99999/", "Isn't a URL"),
        ("https://example.com:x/", "Isn't a URL"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com\\@127.0.0.1/", "Isn't a URL"),
        ("https://exa mple.com/", "Isn't a URL"),
        ("https://example.com/\r\nHost: inner", "Isn't a URL"),
        ("https://example.com/\n", "Isn't a URL"),
        ("https://exa\tmple.com/", "Isn't a URL"),
        ("https://example.com/\x00", "Isn't a URL"),
        ("https://１２７.0.0.1/", "xn--"),
        ("https://bücher.example/", "xn--"),
        ("https://exa%6dple.com/", "Isn't the name of a host"),
        ("https://-example.com/", "Isn't the name of a host"),
        ("https://a..b/", "Isn't the name of a host"),
        ("https://*.example.com/", "Isn't the name of a host"),
        ("https://[::1", "Isn't a URL"),
        ("https://[fe80::1%25eth0]/", "Isn't a"),
        ("https://[not-an-address]/", "Isn't a"),
        ("https://" + "a" * 64 + ".com/", "Isn't the name of a host"),
        ("https://example.com/" + "a" * 2000, "At most 2000 characters"),
    ],
)
def test_refusal_says_what_is_wrong(url: str, words: str) -> None:
    assert words in refusal(url)


def test_url_is_taken_apart() -> None:
    target = target_of("HTTPS://Hooks.Example.COM.:8443?a=1&b=%20", reach=PUBLIC)

    assert (target.scheme, target.host, target.port, target.path, target.address) == (
        "https",
        "hooks.example.com",
        8443,
        "/?a=1&b=%20",
        None,
    )
    assert target.host_header == "hooks.example.com:8443"
    assert target_of("https://hooks.example.com/x/", reach=PUBLIC).host_header == "hooks.example.com"
    assert target_of("https://[2606:4700::1111]:8443/", reach=PUBLIC).host_header == "[2606:4700::1111]:8443"


def test_development_may_reach_this_machine_and_no_other() -> None:
    assert target_of("http://127.0.0.1:5000/", reach=DEVELOPMENT).port == 5000
    assert target_of("http://[::1]:5000/", reach=DEVELOPMENT).port == 5000
    assert "public internet" in refusal("http://10.0.0.1/", DEVELOPMENT)
    assert "Port 5000" in refusal("http://8.8.8.8:5000/", DEVELOPMENT)
    only_loopback = Reach(ports=frozenset({443}), loopback=True)
    assert "https" in refusal("http://127.0.0.1/", only_loopback)
    only_http = Reach(ports=frozenset({80}), http=True)
    assert "public internet" in refusal("http://127.0.0.1/", only_http)
