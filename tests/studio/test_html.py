"""The helper that judges pages must itself see what it is for."""

import pytest

from tests.html import assert_no_inline


def test_clean_page_passes() -> None:
    assert_no_inline('<link rel="stylesheet" href="a.css"><script src="a.js"></script><p class="x">style</p>')


def test_json_block_is_data() -> None:
    assert_no_inline('<script type="application/json">{"a": 1}</script>')


@pytest.mark.parametrize(
    "html",
    [
        '<p style="color:red">x</p>',
        "<style>p{}</style>",
        "<script>alert(1)</script>",
        '<script type="module">x()</script>',
        '<button onclick="x()">x</button>',
        '<a href=" javascript:x()">x</a>',
    ],
)
def test_inline_is_found(html: str) -> None:
    with pytest.raises(AssertionError):
        assert_no_inline(html)
