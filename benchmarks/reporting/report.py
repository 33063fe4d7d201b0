"""README's tables and plots, made from saved results: the text between <!-- bench:NAME --> and <!-- /bench:NAME -->."""
from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minicnn.benchmarks import recipe_results
from minicnn.benchmarks.recipe_results import RecipeResults
from minicnn.benchmarks.reporting import plots
from minicnn.benchmarks.reporting.drawing import digest_of, save
from minicnn.benchmarks.reporting.sections import machine_section, recipes_section, section
from minicnn.benchmarks.results import Results
from minicnn.benchmarks.suites import SUITES
from minicnn.files import write_whole

KINDS = {**{kind: kind for kind in SUITES}, "accuracy": "accuracy", "ladder": "ladder", "ladder-large": "ladder",
         "recipes": "recipes"}                                 # name of a file: kind
NAMES = (*KINDS, "machine")
MARKER = re.compile(r"^<!-- (?P<end>/?)bench:(?P<name>\S+) -->[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """What lies between a pair of markers: text[start:end]. line: of the first marker."""
    name: str
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A result file, and {path: name} of the pictures that are made from it."""
    results: Results | RecipeResults
    digest: str
    pictures: dict[Path, str]


def update(readme: Path, results_dir: Path, plots_dir: Path, check: bool = False) -> list[str]:
    """Bring the sections and plots of `readme` up to date. Returns what was written or, with `check`, what is stale.

    A plot is stale when it does not carry the SHA-256 of the results that it should show. Nothing outside the markers changes. Raises
    ValueError for unknown, unclosed or no markers, and for missing or damaged results; then nothing is written.
    """
    text = readme.read_bytes().decode("utf-8")
    places = find_places(text, readme)
    sources = {name: _source(name, results_dir, plots_dir) for name in _needed(places, readme, results_dir)}
    new, stale = _filled(text, places, sources, readme)
    shown = {place.name for place in places}
    redraw = {path: source for name, source in sources.items() if name in shown
              for path in source.pictures if digest_of(path) != source.digest}
    if not check:
        figures = {path: plots.draw(source.pictures[path], source.results) for path, source in redraw.items()
                   if isinstance(source.results, Results)}
        for path, figure in figures.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            save(figure, path, redraw[path].digest)
        if stale:
            write_whole(readme, new.encode("utf-8"))
    return [*stale, *(f"plot {path}" for path in redraw)]


def outdated(readme: Path, results_dir: Path) -> list[str]:
    """Which recipes the result files that `readme` shows were not measured by: they have other settings now. A sentence each."""
    found = []
    for name in ("accuracy", "recipes"):
        path = results_dir / f"{name}.json"
        if any(place.name == name for place in find_places(readme.read_bytes().decode("utf-8"), readme)) and path.exists():
            results = RecipeResults.load(path) if name == "recipes" else Results.load(path)
            texts = ({record.name: record.text for record in results.records.values()} if isinstance(results, RecipeResults)
                     else results.settings.get("recipes", {}))
            found += [f"recipe {recipe} was measured with other settings than it has now: "
                      f"`minicnn bench {name}{f' {recipe}' if name == 'recipes' else ''} --json {path}` measures it again"
                      for recipe in recipe_results.outdated(texts, with_goal=name == "accuracy")]
    return found


def find_places(text: str, readme: Path) -> list[Place]:
    """The pairs of markers, each marker on a line of its own. Raises ValueError if one is unknown or lacks its partner, and for none."""
    places: list[Place] = []
    opened: Place | None = None
    for match in MARKER.finditer(text):
        name, line = match["name"], text.count("\n", 0, match.start()) + 1
        if name not in NAMES:
            raise ValueError(f"{readme}, line {line}: unknown marker bench:{name}; there are: {', '.join(NAMES)}")
        if match["end"] and opened and opened.name == name:
            places.append(Place(name, opened.line, opened.start, match.start()))
            opened = None
        elif match["end"] and not opened:
            raise ValueError(f"{readme}, line {line}: <!-- /bench:{name} --> closes nothing")
        elif opened:
            break
        else:
            opened = Place(name, line, match.end() + 1, match.end() + 1)
    if opened:
        raise ValueError(f"{readme}, line {opened.line}: <!-- bench:{opened.name} --> is not closed by <!-- /bench:{opened.name} -->")
    if not places:
        raise ValueError(f"{readme}: no markers, such as a line <!-- bench:conv --> and after it a line <!-- /bench:conv -->")
    return places


def _needed(places: Sequence[Place], readme: Path, results_dir: Path) -> list[str]:
    """The result files that the markers name; where they name the machine alone, all that are there."""
    there = [name for name in KINDS if (results_dir / f"{name}.json").exists()]
    named = list(dict.fromkeys(place.name for place in places if place.name != "machine"))
    for place in places:
        lacking = place.name not in there if place.name in named else not (named or there)
        if lacking:
            raise ValueError(f"{readme}, line {place.line}: bench:{place.name} needs results that are not there: "
                             f"{results_dir / (place.name if named else '*')}.json; `minicnn bench all {results_dir}` makes them")
    return named or there


def _source(name: str, results_dir: Path, plots_dir: Path) -> Source:
    path = results_dir / f"{name}.json"
    results: Results | RecipeResults = RecipeResults.load(path) if name == "recipes" else Results.load(path)
    if results.kind != KINDS[name]:
        raise ValueError(f"{path} holds results of {results.kind}, expected {KINDS[name]}")
    if isinstance(results, Results) and results.kind == "accuracy" and "recipes" not in results.settings:
        raise ValueError(f"{path} was not measured by recipes: `minicnn bench accuracy --json {path}` measures it again")
    digest = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    return Source(results, digest, {plots_dir / f"{name}-{picture}.png": picture for picture in _drawings(results)})


def _drawings(results: Results | RecipeResults) -> list[str]:
    return plots.drawings(results) if isinstance(results, Results) else []


def _filled(text: str, places: Sequence[Place], sources: dict[str, Source], readme: Path) -> tuple[str, list[str]]:
    """The text with every section made anew, and which of them changed by that."""
    pieces, stale, end = list[str](), list[str](), 0
    for place in places:
        if place.name == "machine":
            made = machine_section({name: found for name, source in sources.items() if isinstance(found := source.results, Results)})
        elif isinstance(found := sources[place.name].results, RecipeResults):
            made = recipes_section(found)
        else:
            source = sources[place.name]
            made = section(found, {picture: Path(os.path.relpath(path, readme.parent)).as_posix()
                                            for path, picture in source.pictures.items()})
        made = f"\n{made}\n"
        if "\r\n" in text:
            made = made.replace("\n", "\r\n")
        if made != text[place.start:place.end]:
            stale.append(f"section bench:{place.name} of {readme}")
        pieces += [text[end:place.start], made]
        end = place.end
    return "".join([*pieces, text[end:]]), stale
