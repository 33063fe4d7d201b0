"""The text of README's sections about benchmarks."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minicnn.benchmarks.recipe_results import RecipeResults
from minicnn.benchmarks.reporting import describe, memory_table, plots, recipes_table, table
from minicnn.benchmarks.reporting.describe import plural
from minicnn.benchmarks.reporting.summary import means, summary
from minicnn.benchmarks.results import Results
from minicnn.document import Block, Table, escape, markdown

FOLD = 12            # rows: longer tables are folded away under a line to click on


def section(results: Results, pictures: dict[str, str]) -> str:
    """Pictures (their names, and how README links them), what it comes to, and a row for every case."""
    links = [f"![{escape(plots.alt_text(name, results))}]({path})\n" for name, path in pictures.items()]
    suite = (f"Suite {results.suite}: {plural(len({case.id for case in results.cases}), 'problem')}, "
             f"{results.settings.get('dtype', 'float32')}, {describe.threads(results)}, {results.settings.get('rounds', '?')} rounds.")
    whole = results.kind in table.CAPTIONS
    blocks = table.detail(results) if whole else [means(results), *summary(results), *memory_table.summary(results)]
    return "\n".join([*links, *map(_folded, [suite, *blocks, *table.notes(results)])])


def recipes_section(results: RecipeResults) -> str:
    """What each recipe reaches, with the machine and day of each."""
    return markdown(recipes_table.blocks(results))


def machine_section(runs: dict[str, Results]) -> str:
    """Machine, threads, BLAS kernel, versions and peak: one sentence for all results (by name), or a line for each machine."""
    groups: dict[str, dict[str, Results]] = {}
    for name, results in runs.items():
        groups.setdefault(_setting(results), {})[name] = results
    lines = [f"Measured{_when([*group.values()])} on {setting} {describe.peak([*group.values()])}" for setting, group in groups.items()]
    if len(groups) == 1:
        return markdown(lines)
    return markdown([[f"{', '.join(group)}: {line}" for group, line in zip(groups.values(), lines, strict=True)]])


def _folded(block: Block) -> str:
    """The block as Markdown; a long table under a line to click on."""
    if not isinstance(block, Table) or len(block.rows) <= FOLD:
        return markdown([block])
    body = markdown([replace(block, title="")])
    return f"<details><summary>{escape(block.title)}, case by case</summary>\n\n{body}\n</details>\n"


def _setting(results: Results) -> str:
    """Machine, threads, BLAS and versions: runs that have this in common were made alike."""
    blas = dict.fromkeys(entrant.blas for entrant in results.entrants if entrant.blas) or [results.machine.get("blas", "unknown")]
    versions = ", ".join(f"{name} {version}" for name, version in results.machine.get("libraries", {}).items())
    return (f"{describe.machine(results.machine)}, {describe.threads(results)} for each contestant; NumPy's BLAS: {' or '.join(blas)}; "
            f"{versions}.")


def _when(runs: Sequence[Results]) -> str:
    days = sorted({str(run.machine["date"])[:10] for run in runs if run.machine.get("date")})
    revisions = list(dict.fromkeys(describe.revision(str(run.machine["revision"])) for run in runs if run.machine.get("revision")))
    span = f" on {'–'.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    return f"{span}{' at revision ' if revisions else ''}{', '.join(revisions)}"
