"""What the site has from elsewhere in the repository, so that no text is written twice.

MkDocs calls what begins with `on_`. The experiments keep their addresses; a notebook becomes
a page with its outputs, the gallery a page of cards, and CONTRIBUTING.md a page of its own.
"""

import json
import re
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_SHOWN = {".md", ".png", ".csv", ".py"}
_ROOT = Path(__file__).resolve().parent.parent
_FIGURE = "application/vnd.plotly.v1+json"
_PLOTLY = "javascripts/plotly.min.js"
_NOT_TRANSLATED = ("contributing.md", "tutorial.md")  # the tutorial offers its notebook as a file
_ASKED_FOR = {"own_data.md", "concepts.md", "cluster.md", "predictions.md", "troubleshooting.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that do not lie in docs/, the pages of the notebooks, and the gallery."""
    for path in sorted((_ROOT / "experiments").rglob("*")):
        if path.suffix in _SHOWN:
            at = path.relative_to(_ROOT).as_posix()
            files.append(File.generated(config, at, abs_src_path=str(path)))
    contributing = (_ROOT / "CONTRIBUTING.md").read_text("utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "contributing.md", content=contributing))
    (examples,) = (one["Gallery"] for one in config.nav or [] if "Gallery" in one)
    cards, drawn = [], [f'<script src="../{_PLOTLY}"></script>']
    for at in ("tutorial.md", *examples[1:]):
        notebook = (_ROOT / "docs" / at).with_suffix(".ipynb").read_text("utf-8")
        text, images = page(notebook, at)
        files.append(File.generated(config, at, content=text))
        for place, image in images.items():
            files.append(File.generated(config, place, content=image))
        if at != "tutorial.md":
            card, script = _card(notebook, text, Path(at).stem)
            cards.append(card)
            drawn.append(script)
    head = (_ROOT / "docs/gallery/head.md").read_text("utf-8")
    index = [head, '<div class="grid cards" markdown>', *cards, "</div>", *drawn]
    files.append(File.generated(config, examples[0], content="\n\n".join(index)))
    plotly = find_spec("plotly")  # its script is a part of the package, which is not imported
    assert plotly is not None
    assert plotly.origin is not None
    script = Path(plotly.origin).parent / "package_data/plotly.min.js"
    files.append(File.generated(config, _PLOTLY, abs_src_path=str(script)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the repository those of the site; let a search find first what users ask."""
    if page.file.src_uri.startswith(("experiments/", "reference/")):
        page.meta["search"] = {"boost": 0.25}
    elif page.file.src_uri in _ASKED_FOR:
        page.meta["search"] = {"boost": 2}
    return _links(markdown, page.file.src_uri)


def on_post_page(output: str, **_: object) -> str:
    """Name the search for screen readers."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


on_post_template = on_post_page  # of the page that is shown where there is none


def page(notebook: str, at: str) -> tuple[str, dict[str, bytes]]:
    """Return the cells of a notebook and their outputs as Markdown, and images by their path."""
    images = {}
    up, stem = "../" * at.count("/"), Path(at).stem
    title, *parts = "".join(json.loads(notebook)["cells"][0]["source"]).partition("\n")
    parts = [title, f'<script src="{up}{_PLOTLY}"></script>', "".join(parts)]
    for cell in json.loads(notebook)["cells"][1:]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        language, text = ("sh", text[7:]) if text.startswith("%%bash") else ("python", text)
        if not text.startswith("from IPython"):  # what shows a picture
            parts.append(f"```{language}\n{text.strip()}\n```")
        for number, output in enumerate(cell["outputs"]):
            name = f"{cell['id']}-{number}"
            if image := output.get("data", {}).get("image/png"):
                place = f"images/{stem}/{name}.png"
                images[place] = b64decode("".join(image))
                parts.append(f"![What the cell draws]({up}{place})")
            else:
                parts.append(_shown(output, name))
    return "\n\n".join(parts) + "\n", images


def _links(markdown: str, at: str) -> str:
    """Return a page of docs/ with the places on the site of what its links lead to."""
    if at in _NOT_TRANSLATED or at.startswith("experiments/"):
        return markdown
    up = "../" * at.count("/")
    for there, here in (("experiments/", "experiments/"), ("CONTRIBUTING.md", "contributing.md")):
        markdown = markdown.replace(f"](../{up}{there}", f"]({up}{here}")
    markdown = markdown.replace("](gallery/)", "](gallery/index.md)")
    return re.sub(r"\]\(((?:\.\./)?(?:gallery/\w+|tutorial))\.ipynb", r"](\1.md", markdown)


def _card(notebook: str, text: str, name: str) -> tuple[str, str]:
    """Return an example as an item of the gallery, with its last figure, and what draws it."""
    title, _, lead, *_ = "".join(json.loads(notebook)["cells"][0]["source"]).split("\n")
    figure, script = f'<span class="figure" id="{name}"></span>', ""
    if pictures := re.findall(r"!\[[^]]*\]\((.*?)\)", text):
        figure = f"![]({pictures[-1]})"
    elif charts := re.findall(r"<script>Plotly.newPlot\(\"[^\"]*\", (.*)\)</script>", text):
        script = f'<script>Plotly.newPlot("{name}", small({charts[-1]}))</script>'
    return f"-   **[{title[2:]}]({name}.md)**\n\n    {lead}\n\n    {figure}", script


def _shown(output: dict[str, Any], name: str) -> str:
    """Return an output as Markdown: the richest form that it has."""
    data = output.get("data", {})
    if _FIGURE in data:
        figure = {"data": data[_FIGURE]["data"], "layout": data[_FIGURE]["layout"]}
        numbers = json.dumps(figure).replace("<", "\\u003c")
        draw = f'Plotly.newPlot("{name}", {numbers})'
        return f'<div id="{name}"></div>\n<script>{draw}</script>'
    if "text/html" in data:
        table = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        return re.sub(r"<table[^>]*>", "<table>", table)  # the theme draws tables without a class
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```"
