"""The report's page: it says what it should, explains its words, and can be heard as well as seen."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from comparisons import QUICK, compare
from matplotlib.text import Text

from pyro_vae import pictures
from pyro_vae.compare.gallery import blocks, inset_of
from pyro_vae.compare.terms import TERMS, key
from pyro_vae.metrics.importance import Importance
from pyro_vae.metrics.judgement import Judgement


class Page(HTMLParser):
    """What a reader without eyes goes by."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, text):
        if text.strip() and self.inside[-1] not in ("script", "style"):
            self.texts.append((self.inside[-1], text.strip()))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(made):
    return Page((made[1] / "report.html").read_text())


def test_the_page_says_what_was_found(made, page):
    comparison, _, _ = made
    said = " ".join(" ".join(text for _, text in page.texts).split())
    found = comparison.reports["FullRank"]
    for interval in (found.figures["elbo"], found.figures["inference_gap"]):
        assert f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]" in said
    shown = found.differences["elbo"]
    assert f"{shown.value:+.2f} [{shown.low:+.2f}, {shown.high:+.2f}]" in said
    assert shown.verdict in said
    for line in comparison.answers.lines:
        assert line in said
    assert comparison.answers.why
    assert f"{found.cost.guide_parameters:,}" in said
    assert "python -m pyro_vae.svi --guide FullRank" in said
    assert "--seed 1" in said
    assert "torch " in said
    assert page.texts[page.texts.index(("h1", comparison.answers.headline))]


def test_the_coverage_error_has_its_unit_and_parts_their_intervals(made, page):
    comparison, out, _ = made
    said = " ".join(" ".join(text for _, text in page.texts).split())
    coverage = comparison.reports["FullRank"].differences["coverage_90"]
    assert "coverage error of q's densest 90% , probability" in said
    assert f"{coverage.value:+.3f} [{coverage.low:+.3f}, {coverage.high:+.3f}]" in said
    [source] = comparison.verdict.parts.values()
    assert f"{source.encoder.value:+.2f} [{source.encoder.low:+.2f}, {source.encoder.high:+.2f}]" in said
    record = json.loads((out / "comparison.json").read_text())
    [parts] = record["verdict"]["parts_of_difference"].values()
    assert parts["encoder"]["low"] == source.encoder.low
    figures = record["arms"][1]["difference_to_baseline"]
    assert (figures["coverage_90"]["unit"], figures["elbo"]["unit"]) == ("probability", "nats per image")


def test_pictures_of_metrics_have_the_words_of_their_declaration(page):
    alts = [image["alt"] for image in page.all("img")]
    assert f"{Importance.picture_alt} of FullRank, seed 0; enlarge" in alts
    assert any(text == Judgement.picture_title for tag, text in page.texts if tag == "h3")


def test_the_page_is_one_that_can_be_heard(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("img")) == 10  # five of each arm: three are drawn by evaluate
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) > 3
    assert all(head.get("scope") in ("row", "col") for head in page.all("th"))
    assert len(page.all("legend")) == len(page.all("fieldset"))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in page.all("a"):
        assert link["href"][1:] in ids
    for section in page.all("section"):
        assert section.get("aria-labelledby") in ids or section.get("aria-label")


def test_every_term_is_explained_where_it_stands_and_in_the_glossary(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name in TERMS:
        assert f"about-{key(name)}" in ids
    used = [link for link in page.all("a") if link.get("class") == "term"]
    assert len(used) > 10
    assert all(link["aria-describedby"] in ids for link in used)


def test_no_sentence_speaks_of_seconds_and_log_p_is_no_importance_weighted_bound(made):
    comparison, out, _ = made
    assert not any("second" in line for line in comparison.answers.lines)
    page = (out / "report.html").read_text()
    assert "importance-weighted one" not in page
    assert "lower bound in expectation" in page


def test_a_failed_run_is_in_the_report(made):
    _, out, comparison = made
    said = " ".join(text for _, text in Page((out.parent / "failed" / "report.html").read_text()).texts)
    assert "2 runs failed" in said
    assert "failed: " in said
    assert "no longer finite" in said
    assert comparison.reports["MeanField, lr=0.001"].differences == {}
    assert "not compared" in said
    assert comparison.answers.headline == "One seed cannot show which arm is the best."
    assert "better" not in " ".join(comparison.answers.lines)


def test_the_blocks_of_images_in_a_picture_are_found_and_no_letters():
    picture = np.full((100, 200, 3), 255, dtype=np.uint8)
    picture[40:90, 60:190] = 0
    picture[5:12, 20:26] = 0  # a letter
    [block] = blocks(picture)
    assert block == (slice(40, 90), slice(60, 190))
    assert inset_of(block, 100, 200) == "40.000% 5.000% 10.000% 30.000%"


def test_a_table_is_compared_in_words_of_rows(monkeypatch, tmp_path, capsys):
    rng = np.random.default_rng(0)
    table, out = tmp_path / "table.npy", tmp_path / "out"
    np.save(table, rng.normal(size=(200, 3)))
    drawn, original = [], pictures.figure_bytes

    def read(figure):
        drawn.append(" ".join(text.get_text() for text in figure.findobj(Text)))
        return original(figure)

    monkeypatch.setattr(pictures, "figure_bytes", read)
    words = ["--data", str(table), "--guides", "MeanField,FullRank", "--seeds", "2", *QUICK, "--measures", "elbo,gap"]
    compare(monkeypatch, *words, "--out", str(out))
    said, page = capsys.readouterr().out, (out / "report.html").read_text()
    seen = Page(page[: page.index('<section id="repeat"')])
    for text in (said, " ".join(text for _, text in seen.texts), drawn[-1]):
        assert "nats per row" in text
        assert not re.search(r"\bimages?\b", text, re.IGNORECASE)
    assert '"one":"row"' in page
