"""HTML from Python: every text is escaped, but for what was made here, so that no name of a class or file can become markup."""
from __future__ import annotations

import re
from html import escape

VOID = {"meta", "img", "br", "hr", "link"}                     # elements without an end
# What has no place in HTML: control characters, halves of pairs (names of files that are no UTF-8), signs that turn the direction of text.
ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


class Html(str):
    """Markup; any other text is taken literally."""

    __slots__ = ()


Content = str | None               # None stands for nothing


def literal(text: str) -> Html:
    """The text as HTML that shows it as it is.

    >>> literal("<b> & \\x00")
    '&lt;b&gt; &amp; �'
    """
    return text if isinstance(text, Html) else Html(escape(ODD.sub("\ufffd", text)))


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element. An attribute's name may end in _ and have _ for -; True stands for one without a value, None and False for none at all.

    >>> element("p", "1 < 2", element("br"), class_="note", aria_hidden="true")
    '<p class="note" aria-hidden="true">1 &lt; 2<br></p>'
    """
    said = "".join(f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{literal(str(value))}"')
                   for name, value in attributes.items() if value is not None and value is not False)
    inside = "".join(literal(part) for part in content if part is not None)
    return Html(f"<{tag}{said}>" if tag in VOID else f"<{tag}{said}>{inside}</{tag}>")


def joined(*parts: Content) -> Html:
    """One after the other, each on a line of its own."""
    return Html("\n".join(literal(part) for part in parts if part))


def paragraph(*content: Content, class_: str | None = None) -> Html:
    return element("p", *content, class_=class_)


def section(title: str, *content: Content, id_: str) -> Html:
    """A part of the page with its heading; nothing where there is nothing in it."""
    return element("section", element("h2", title), "\n", joined(*content), id=id_) if any(content) else Html("")


def table(heads: list[Content], rows: list[list[Content]], *, left: int = 1, class_: str | None = None, caption: str = "") -> Html:
    """The first `left` columns are words; the first cell of each row is its head. A row of one cell stands over all columns."""
    def cells(tag: str, row: list[Content]) -> list[Html]:
        return [element(tag, text, class_="words" if i < left else None, scope="col") for i, text in enumerate(row)]

    body = []
    for row in rows:
        if len(row) == 1 < len(heads):
            body.append(element("tr", element("th", row[0], colspan=len(heads), class_="words over", scope="colgroup")))
            continue
        first = element("th", row[0], class_="words" if left else None, scope="row")
        rest = [element("td", text, class_="words" if i < left else None) for i, text in enumerate(row[1:], 1)]
        body.append(element("tr", first, *rest))
    parts = [element("caption", caption) if caption else None,
             element("thead", element("tr", *cells("th", heads))) if any(heads) else None, element("tbody", *body)]
    return element("div", element("table", *parts, class_=class_), class_="wide", tabindex="0", role="region",
                   aria_label=caption or "table")
