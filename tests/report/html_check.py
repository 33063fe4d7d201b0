"""A page is what it must be: elements inside one another, nothing from elsewhere, nothing that runs, pictures with words beside them."""
from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input", "area", "base", "col", "embed", "source", "track", "wbr"}
# elements that may stand in these only
PARENTS = {"tr": {"thead", "tbody"}, "td": {"tr"}, "th": {"tr"}, "thead": {"table"}, "tbody": {"table"}, "caption": {"table"},
           "figcaption": {"figure"}, "dt": {"div", "dl"}, "dd": {"div", "dl"}, "title": {"head", "circle"}, "style": {"head"}}
NOT_IN_P = {"p", "div", "table", "section", "figure", "pre", "ul", "dl", "h1", "h2", "h3"}      # a paragraph ends where one of them begins
TAGS = {"html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "nav", "a", "h1", "h2", "h3", "p", "b",
        "i",
        "span", "small", "code", "pre", "br", "div", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure",
        "figcaption", "img", "svg", "g", "line", "polyline", "circle", "text"}


@dataclass
class Found:
    """tags: how often each occurs. text: all that is read, style left out. pictures: their alt texts."""
    tags: dict[str, int] = field(default_factory=dict)
    text: str = ""
    pictures: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found, self.ids, self.targets = Found(), set[str](), list[str]()
        self.cells: list[list[int]] = []                       # of each open table: cells of its rows

    def handle_decl(self, decl: str) -> None:
        assert (decl, self.found.tags) == ("DOCTYPE html", {}), "something before or instead of <!DOCTYPE html>"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/> is no HTML")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        values = dict(attrs)
        assert tag in TAGS, f"<{tag}> has no place here"
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert not any(name.startswith("on") for name in names), f"<{tag}> runs something: {names}"
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            value = values.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), f"<{tag} {name}> is loaded from elsewhere: {value}"
        assert "url(" not in (values.get("style") or "")
        parent = self.open[-1] if self.open else None
        assert tag not in PARENTS or parent in PARENTS[tag], f"<{tag}> in <{parent}>"
        assert not (tag in NOT_IN_P and "p" in self.open), f"<{tag}> in a paragraph"
        if "id" in values:
            assert values["id"] not in self.ids, f"two elements with the id {values['id']}"
            self.ids.add(str(values["id"]))
        if tag == "a":
            self.targets.append(str(values["href"]))
        if tag == "img":
            assert values.get("alt"), "a picture without words"
            self.found.pictures.append(str(values["alt"]))
        if tag == "svg":
            assert (values.get("role"), bool(values.get("aria-label"))) == ("img", True), "a chart without words"
        if tag == "table":
            self.cells.append([])
        if tag == "tr":
            self.cells[-1].append(0)
        if tag in ("td", "th"):
            self.cells[-1][-1] += int(values.get("colspan") or 1)
        self.found.tags[tag] = self.found.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open[-1] == tag, f"</{tag}> ends <{self.open[-1]}>"
        self.open.pop()
        if tag == "table":
            rows = self.cells.pop()
            assert len(set(rows)) <= 1, f"rows of {sorted(set(rows))} cells in one table"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
            return
        between = self.open and self.open[-1] in ("table", "tr", "thead", "tbody", "dl", "svg", "html")
        assert not (between and data.strip()), f"text between cells: {data!r}"
        self.found.text += data
        if self.open and self.open[-1] == "h2":
            self.found.headings.append(data)


def check(page: str) -> Found:
    """Raises AssertionError, with what is wrong, for a page that is not in order; gives what stands in it."""
    page.encode("utf-8")                                       # no halves of pairs
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == [], f"not ended: {checker.open}"
    assert [checker.found.tags.get(tag) for tag in ("html", "head", "body", "h1", "main")] == [1] * 5
    missing = [target for target in checker.targets if target[1:] not in checker.ids]
    assert not missing, f"links to nothing: {missing}"
    return checker.found
