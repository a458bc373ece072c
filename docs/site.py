"""What the site has from elsewhere in the repository, so that no text is written twice.

MkDocs calls `on_files`. The experiments keep their addresses; the tutorial's notebook becomes a
page with its outputs, and CONTRIBUTING.md a page of its own.
"""

import json
import re
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_SHOWN = {".md", ".png", ".csv", ".py"}
_ROOT = Path(__file__).resolve().parent.parent
_FIGURE = "application/vnd.plotly.v1+json"
_PLOTLY = "javascripts/plotly.min.js"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that do not lie in docs/."""
    for path in sorted((_ROOT / "experiments").rglob("*")):
        if path.suffix in _SHOWN:
            at = path.relative_to(_ROOT).as_posix()
            files.append(File.generated(config, at, abs_src_path=str(path)))
    tutorial = (_ROOT / "docs/tutorial.ipynb").read_text("utf-8")
    contributing = (_ROOT / "CONTRIBUTING.md").read_text("utf-8").replace("](docs/", "](")
    text, images = page(tutorial)
    files.append(File.generated(config, "tutorial.md", content=text))
    for at, image in images.items():
        files.append(File.generated(config, at, content=image))
    files.append(File.generated(config, "contributing.md", content=contributing))
    plotly = find_spec("plotly")  # its script is a part of the package, which is not imported
    assert plotly is not None
    assert plotly.origin is not None
    script = Path(plotly.origin).parent / "package_data/plotly.min.js"
    files.append(File.generated(config, _PLOTLY, abs_src_path=str(script)))
    return files


def page(notebook: str) -> tuple[str, dict[str, bytes]]:
    """Return the cells of a notebook and their outputs as Markdown, and images by their path."""
    images = {}
    parts = [f'<script src="{_PLOTLY}"></script>']
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for number, output in enumerate(cell["outputs"]):
            name = f"{cell['id']}-{number}"
            if image := output.get("data", {}).get("image/png"):
                at = f"images/tutorial/{name}.png"
                images[at] = b64decode("".join(image))
                parts.append(f"![What the cell draws]({at})")
            else:
                parts.append(_shown(output, name))
    title = parts.index(next(part for part in parts if part.startswith("# ")))
    parts.insert(0, parts.pop(title))  # a page begins with its title
    return "\n\n".join(parts) + "\n", images


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
