"""What a reader meets on a page of results or of a data set."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """Sections, attributes, pictures, links, the text that is seen, and figures by their place."""

    def __init__(self, path):
        super().__init__()
        self.open, self.attributes, self.text, self.figures = [], [], "", {}
        self.sections, self.pictures, self.links = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.attributes.extend(attrs)
        self.key = values.get("data-figure", "")
        self.sections += [values["id"]] if tag == "h2" and "id" in values else []
        self.pictures += [values["src"]] if tag == "img" else []
        self.links += [values["href"]] if values.get("href", "#")[0] != "#" else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script" and self.key:
            self.figures[self.key] = json.loads(data)
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text += data
