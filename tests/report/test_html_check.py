"""The check of pages finds what is wrong with a page."""
import pytest

from tests.report.html_check import check


def page(body: str) -> str:
    return (f"<!DOCTYPE html>\n<html><head><title>x</title></head><body><h1>x</h1><main>{body}</main></body></html>")


def test_a_good_page() -> None:
    found = check(page('<section id="a"><h2>Head</h2><p>1 &lt; 2<br></p></section><a href="#a">there</a>'))
    assert found.headings == ["Head"]
    assert "1 < 2" in found.text


@pytest.mark.parametrize("body", [
    "<script>alert(1)</script>", '<img src="data:image/png;base64,AA" alt="x" onerror="x()">', '<img src="x.png" alt="x">',
    '<img src="data:image/png;base64,AA">', "<p><div></div></p>", "<p><b></p></b>", "<p>", "</p>", '<a href="http://x">x</a>',
    '<a href="#b">x</a>', "<table><tbody><tr><td>1</td></tr><tr><td>1</td><td>2</td></tr></tbody></table>",
    "<table><tr><td>1</td></tr></table>",
    '<p id="a">x</p><p id="a">y</p>', "<!-- x -->", "<iframe></iframe>", "<br/>", "<svg></svg>", '<p class="a" class="b">x</p>',
])
def test_every_mistake_is_found(body: str) -> None:
    with pytest.raises(AssertionError):
        check(page(body))
