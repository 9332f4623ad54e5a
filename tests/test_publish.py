"""Links of the pages: from a notebook to where a page of it lies."""

from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml

from interest_lib import publish

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "reports" / "full"
STUDY = yaml.safe_load((ROOT / "study.yml").read_text(encoding="utf-8"))
PAGES = {f"{notebook}.html" for notebook in STUDY["notebooks"]}


class Links(HTMLParser):
    """Addresses that a page links to, except places on the page itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href") or ""
        if tag == "a" and address and not address.startswith("#"):
            self.found.append(address)


def page_of(folder: Path, text: str, **settings: bool) -> str:
    path = folder / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="text")]), path)
    return publish.page(path, "book", "complete_journey", **settings)


@pytest.mark.parametrize("notebook", STUDY["notebooks"])
def test_every_relative_link_of_a_page_leads_to_a_page_or_a_file_of_the_project(notebook: str) -> None:
    html = publish.page(ROOT / "notebooks" / f"{notebook}.ipynb", notebook, "complete_journey")
    relative = [address.partition("#")[0] for address in Links(html).found if "://" not in address]
    assert len(PAGES & set(relative)) >= 1, "a page links its neighbours"
    for address in set(relative) - PAGES:
        target = (RUN / address).resolve()
        assert target.is_relative_to(ROOT) and target.is_file(), f"{notebook}.html links to {address}"


@pytest.mark.parametrize(
    ("written", "on_page"),
    [
        ("03_decay.ipynb", "03_decay.html"),
        ("03_decay.ipynb#the-test", "03_decay.html#the-test"),
        ("../docs/own_log.md", "../../docs/own_log.md"),
        ("../docs/own_log.md#columns", "../../docs/own_log.md#columns"),
        ("study.mplstyle", "../../notebooks/study.mplstyle"),
        ("https://example.org/a/../b.ipynb", "https://example.org/a/../b.ipynb"),
        ("mailto:us@example.org", "mailto:us@example.org"),
    ],
)
def test_a_link_is_written_for_the_folder_in_which_the_page_lies(
    written: str, on_page: str, tmp_path: Path
) -> None:
    html = page_of(tmp_path, f"See [the *[first]* text]({written}) and [below](#end).")
    assert Links(html).found == [on_page]
    assert 'href="#end"' in html


def test_outside_of_the_project_links_to_its_files_are_words(tmp_path: Path) -> None:
    text = "Of [own logs](../docs/own_log.md), [decay](03_decay.ipynb) and [more](https://example.org)."
    html = page_of(tmp_path, text, within_project=False)
    assert Links(html).found == ["03_decay.html", "https://example.org"]
    assert "Of own logs, " in html
