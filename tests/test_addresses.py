"""What opens a place is not said, wherever in an address it stands."""

import pytest

from unlearnable.addresses import shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zip://*.jpg::ftp://bob:S3CRET@host/x", "zip://*.jpg::ftp://host/x"),
        ("simplecache::s3://key:S3CRET@bucket/x?sig=S3CRET", "simplecache::s3://bucket/x"),
        ("zip://a::ftp://bob:S3::C:RET@host/x", "zip://a::ftp://host/x"),
        ("ftp://bob:S3/CRET@host", "ftp://host"),
        ("ftp://bob:S3?CR#ET@host/x", "ftp://host/x"),
        ("ftp://bob@x.org:S3/CRET@host/x", "ftp://host/x"),
        ("'https://host/x#token=S3CRET' cannot be read", "'https://host/x' cannot be read"),
        ("https://host:8080/a.tar is there", "https://host:8080/a.tar is there"),
        ("ftp://bob:S3CRET@host:21/a@2x.png", "ftp://host:21/a@2x.png"),
        ("s3://bucket/shoe#1.png", "s3://bucket/shoe#1.png"),
    ],
)
def test_what_opens_a_place_is_left_out_of_chains_and_odd_passwords(text: str, said: str) -> None:
    assert shown(text) == said
