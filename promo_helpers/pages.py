"""The executed notebooks as web pages: `python -m promo_helpers.pages` writes build/html/<run>.html and an index with their questions.

A page holds its text, tables and pictures, so that it opens from the disk; only formulas are set by MathJax, which a browser fetches.
"""

import html
import re
import sys
from pathlib import Path

from promo_helpers import collect, depends, paths
from promo_helpers.files import replace_folder, scratch_beside, write_text

INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>The notebooks</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #22313f }}
dt {{ margin-top: 1.2rem; font-weight: 600 }} dd {{ margin: 0 }} small {{ color: #667 }}</style></head>
<body><h1>The notebooks</h1><p>Each page is one run of a notebook, with its figures, as the paper was made from it.</p>
<dl>
{rows}
</dl></body></html>
"""


def head(cells: list[dict[str, str]]) -> tuple[str, str]:
    """Title and question of a notebook, from its first cell of text; empty where it has none."""
    text = next((c["source"] for c in cells if c["cell_type"] == "markdown"), "")
    title = re.search(r"^# (.+)$", text, re.M)
    question = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", text, re.S)
    return title.group(1) if title else "", " ".join(question.group(1).split()) if question else ""


def write(profile: str) -> Path:
    """Write a page for each executed notebook of a profile, and their index; returns the index. Raises SystemExit where there is none."""
    import nbformat  # with nbconvert a second and a half, which only this command needs
    from nbconvert import HTMLExporter

    stamps = [s for run in depends.runs(profile) if (s := depends.stamp_of(run, profile)).is_file()]
    if not stamps:
        sys.exit(collect.nothing())
    folder, exporter, rows = paths.out() / "build" / "html", HTMLExporter(embed_images=True), []
    scratch = scratch_beside(folder)
    scratch.mkdir(parents=True)
    for stamp in stamps:
        notebook = nbformat.read(stamp, as_version=4)
        page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": stamp.stem}})
        write_text(scratch / f"{stamp.stem}.html", page)
        title, question = (html.escape(re.sub(r"[*`]", "", text)) for text in head(notebook.cells))
        rows.append(
            f'<dt><a href="{stamp.stem}.html">{title or stamp.stem}</a> <small>{stamp.stem}</small></dt><dd>{question}</dd>'
        )
    write_text(scratch / "index.html", INDEX.format(rows="\n".join(rows)))
    replace_folder(scratch, folder)
    return folder / "index.html"


if __name__ == "__main__":
    try:
        print(f"The notebooks as pages: {paths.shown(write(collect.profile()))}")
    except depends.Unreadable as problem:
        sys.exit(str(problem))
