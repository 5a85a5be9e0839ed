"""What a reader of the page sees, types and hears, in Chromium."""

import json
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog import schema
from tests.browser import chromium, get, until
from tests.catalog.conftest import HOSTILE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def chrome():
    with chromium() as browser:
        if browser is None:
            pytest.skip("needs Chromium on the path, and Playwright (extra dev)")
        yield browser


@pytest.fixture
def page(chrome):
    """A page that must load nothing from elsewhere, run no script but ours, and raise no error."""
    context = chrome.new_context(viewport={"width": 1280, "height": 900})
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None,
    )
    page.on(
        "request",
        lambda asked: (
            wrong.append(asked.url) if not re.match(r"http://127\.0\.0\.1:", asked.url) else None
        ),
    )
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    yield page
    context.close()
    assert not wrong


def goes(page, address):
    page.goto("about:blank")  # a new page, not a step within one
    page.goto(address)
    page.wait_for_selector("html[data-ready]")


def test_the_first_page_shows_the_tree_and_pictures_over_it(page, base):
    goes(page, base)
    assert page.title() == "TreeOfLife sample world · TreeOfLife sample world"
    kingdoms = page.locator("#tree > li .name").all_inner_texts()
    assert kingdoms == ["Animalia", "Bacteria", "Chromista", "Fungi", "Plantae", "Protozoa"]
    until(
        page,
        "[...document.querySelectorAll('#spread img')].slice(0, 8).every(i => i.complete && i.naturalWidth > 60)",
    )
    assert page.locator("#spread li").count() == 48
    page.locator("#where").scroll_into_view_if_needed()
    page.wait_for_selector("#where svg")
    assert page.locator("#where svg[role=img]").get_attribute("aria-label").startswith("Map of ")


def test_the_tree_is_walked_by_keyboard(page, base):
    goes(page, base)
    page.locator("#tree > li >> nth=0").focus()
    focused = "document.activeElement.querySelector('.name').innerText"
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.querySelectorAll('li').length > 3")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Arthropoda"
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.querySelectorAll('li').length > 1")
    assert (
        page.evaluate("document.activeElement.ariaExpanded") == "true"
        and page.evaluate("document.activeElement.ariaLevel") == "2"
    )
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Arthropoda')")
    assert page.evaluate(focused) == "Arthropoda", "the focus stays in the tree"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == "Animalia"
    page.keyboard.press("End")
    assert page.evaluate(focused) == "Protozoa"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("lepiota procera", "Macrolepiota procera"),
        ("great spotted", "Dendrocopos major"),
        ("CHELONIA", "Chelonia mydas"),
    ],
)
def test_search_finds_by_synonym_common_and_scientific_name_and_is_heard(page, base, typed, found):
    goes(page, base)
    page.fill("#search", typed)
    page.wait_for_selector("#found [role=option]")
    until(page, "document.getElementById('said').textContent.includes(' found')")
    texts = page.locator("#found [role=option]").all_inner_texts()
    at = next(i for i, text in enumerate(texts) if found in text)
    for _ in range(at + 1):
        page.keyboard.press("ArrowDown")
    assert page.locator("#search").get_attribute("aria-activedescendant") == f"found-{at}"
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{found}')")
    assert page.locator("#found").is_hidden() and page.locator(
        "#tree [aria-current=true] .name"
    ).last.inner_text().startswith(found)


@pytest.mark.parametrize("genus", ["Chelonia", "Macrolepiota"])
def test_the_taxon_of_an_address_is_scrolled_to_in_the_tree(page, base, genus):
    page.set_viewport_size({"width": 1280, "height": 320})
    goes(page, base)
    page.fill("#search", genus)
    page.locator("#found [role=option]").first.click()
    page.wait_for_selector("#tree [aria-current=true]")
    goes(page, page.url)
    until(page, f"document.querySelector('#tree [aria-current] .name')?.innerText.startsWith('{genus}')")  # fmt: skip
    seen = """(() => { const frame = document.querySelector('.tree').getBoundingClientRect();
        const row = document.querySelector('#tree [aria-current]').firstChild.getBoundingClientRect();
        return row.top >= frame.top - 1 && row.bottom <= frame.bottom + 1; })()"""
    until(page, seen, seconds=5)
    assert page.evaluate("document.querySelector('.tree').scrollTop") > 0


def test_filters_change_what_is_shown_and_stand_in_the_address(page, base):
    goes(page, base)
    before = page.locator("h2 .soft").inner_text()
    page.select_option("select[name=countryCode]", "US")
    page.click("text=Apply")
    until(page, "location.hash.includes('countryCode=US') && !document.getElementById('spread')")
    until(page, "document.querySelector('h2 .soft').textContent.startsWith('(')")
    count = json.load(get(base, "/api/count?countryCode=US"))
    after = page.locator("h2 .soft").inner_text()
    assert before != after == f"({count['n_images']}, {count['n_open']} with pixels)"
    assert page.locator("select[name=countryCode]").input_value() == "US"


def test_the_last_address_asked_for_is_the_one_shown(page, base):
    goes(page, base)
    page.route("**/api/statistics*", lambda route: (time.sleep(0.5), route.continue_()))
    page.evaluate(
        "location.hash = '#/numbers'; setTimeout(() => { location.hash = '#/taxon?in_kingdom=Fungi'; }, 50)"
    )
    page.wait_for_selector("h1:has-text('Fungi')")
    page.wait_for_timeout(900)
    assert page.locator("h1").inner_text() == "Fungi"


def test_a_deep_link_opens_the_tree_where_it_leads(page, base):
    goes(page, f"{base}/#/taxon?in_kingdom=Animalia&in_phylum=Chordata&in_class=Aves")
    until(page, "document.querySelector('#tree [aria-current] .name')?.innerText === 'Aves'")
    page.locator("#tree [aria-current]").evaluate("item => item.querySelector('.twist').click()")
    goes(page, f"{base}/#/taxon?in_kingdom=Animalia&in_genus=Strongylocentrotus")
    until(
        page,
        "document.querySelector('#tree [aria-current] .name')?.innerText === 'Strongylocentrotus'",
    )
    assert page.locator("h1").inner_text() == "Strongylocentrotus"


def test_closing_a_taxon_keeps_the_tree_in_reach_of_the_keyboard(page, base):
    goes(page, base)
    page.locator("#tree > li >> nth=0").focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.querySelectorAll('li').length > 3")
    page.keyboard.press("ArrowDown")
    page.locator("#tree > li .twist >> nth=0").click()
    assert page.evaluate("document.querySelectorAll('#tree [tabindex=\"0\"]').length") == 1
    assert (
        page.evaluate(
            "document.querySelector('#tree [tabindex=\"0\"]').querySelector('.name').innerText"
        )
        == "Animalia"
    )


def test_more_pictures_come_by_a_button_and_take_the_focus(page, base):
    goes(page, f"{base}/#/taxon?in_kingdom=Animalia")
    assert page.locator("#pictures li").count() == 48
    page.click("text=More pictures")
    until(page, "document.querySelectorAll('#pictures li').length > 48")
    assert page.evaluate(
        "document.activeElement.closest('#pictures li') === document.querySelectorAll('#pictures li')[48]"
    )


def test_a_record_tells_all_that_is_asked_of_a_picture(page, base, sample):
    rows = pq.read_table(sample / "metadata/v1/catalog-000000.parquet").to_pylist()
    row = next(
        r
        for r in rows
        if r["keep"]
        and r["group_id"] != r["uuid"]
        and r["decimalLatitude"] is not None
        and r["match_reason"] is None
    )
    goes(page, f"{base}/#/picture/{row['uuid']}")
    until(page, "document.querySelector('figure img')?.naturalWidth > 100")
    text = page.locator("main").inner_text()
    for value in (row["canonicalName"], row["verbatimScientificName"], row["match_rule"], row["attribution"], row["license"], row["geoprivacy"],
                  str(row["decimalLatitude"]), row["taxonomy"], row["family"], row["split"], "phash_quality"):  # fmt: skip
        assert value in text, value
    assert (
        page.locator("svg.map .spot").count() == 1
        and page.locator(".record .gallery img").count() >= 1
    )
    assert page.locator("nav[aria-label=Lineage] a").count() >= 6
    page.click("text=Every field")
    assert schema.FIELDS["phash"].meaning in page.locator("details").inner_text()


def test_rejects_are_listed_with_reasons_and_lead_to_what_was_kept(page, base):
    goes(page, f"{base}/#/rejects")
    page.click("th a:has-text('duplicate_near')")
    until(page, "location.hash.includes('duplicate_near')")
    page.click("text=the one kept >> nth=0")
    page.wait_for_selector("h2:has-text('Of one organism, or alike')")
    assert "Left out because this one stayed" in page.locator("main").inner_text()
    goes(page, f"{base}/#/rejects?reason=licence_nc")
    page.click("td a:has-text('details') >> nth=0")
    page.wait_for_selector(".panel.warn")
    assert "forbids commercial use" in page.locator(".panel.warn").inner_text()
    assert page.locator("figure img").count() == 0, "what may not be shown is not"


def test_numbers_are_tables_and_figures_with_words_for_who_cannot_see_them(page, base):
    goes(page, f"{base}/#/numbers")
    text = page.locator("main").inner_text()
    for caption in (
        "Kingdoms",
        "Licences",
        "Years",
        "Countries",
        "Label completeness",
        "The long tail",
    ):
        assert caption in text
    assert (
        page.locator("svg.plot")
        .get_attribute("aria-label")
        .startswith("Pictures per species by rank: the first has")
    )
    assert page.locator("table caption").count() > 8


def test_every_control_has_a_name_every_picture_its_words_and_one_heading_leads(page, base):
    for address in ("#/", "#/rejects", "#/numbers", "#/taxon?in_kingdom=Plantae"):
        goes(page, f"{base}/{address}")
        assert page.locator("h1").count() == 1
        unnamed = page.evaluate("""() => [...document.querySelectorAll('input, select, button, a, img, svg[role=img]')].filter(one => {
          const label = one.labels?.[0]?.innerText ?? ''; return !(one.getAttribute('aria-label') || one.alt || label.trim() || one.innerText?.trim()
            || one.querySelector?.('img')?.alt); }).map(one => one.outerHTML)""")  # fmt: skip
        assert unnamed == []
    assert page.evaluate("document.documentElement.lang") == "en"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert (
        page.evaluate("document.activeElement.id") == "main"
        and page.locator("h1").inner_text() == "Plantae"
    )


def test_what_is_not_there_is_said_on_the_page(chrome, base):
    page = chrome.new_page()
    for address in ("#/picture/none", "#/taxon?in_kingdom=Nowhere", "#/picture/%E0%A4%A"):
        page.goto(f"{base}/{address}")
        page.reload()
        page.wait_for_selector("h1:has-text('Not found')")
        assert page.locator(".problem").inner_text()
    page.close()


def test_hostile_names_are_text_everywhere(page, hostile_base, hostile):
    rows = pq.read_table(hostile / "metadata/v1/catalog-000000.parquet").to_pylist()
    rejects = pq.read_table(hostile / "metadata/v1/rejects-000000.parquet").to_pylist()
    goes(page, hostile_base)
    assert page.locator("#title").inner_text().split("\n")[0].startswith('A "title"')
    kingdom = rows[0]["kingdom"]
    assert "<script>" in kingdom and page.locator("#tree .name").first.text_content() == kingdom
    page.locator("#tree .name").first.click()
    until(page, "location.hash.includes('in_kingdom')")
    page.wait_for_timeout(300)
    assert kingdom in page.locator("h1").text_content()
    for row in rows:
        goes(page, f"{hostile_base}/#/picture/{row['uuid']}")
        text = page.locator("main").text_content()
        assert kingdom in text and row["creator"] in text and (row["references"] or "") in text
        is_harmless(page)
    for address in ("#/rejects", "#/numbers"):
        goes(page, f"{hostile_base}/{address}")
        assert "pwned" in page.locator("main").text_content()
        is_harmless(page)
    assert rejects and HOSTILE[:8] in rejects[0]["verbatimScientificName"]
    page.fill("#search", "<script>")
    page.wait_for_selector("#found li")
    is_harmless(page)


def is_harmless(page):
    """Nothing ran, no link leads to a script, no element came out of a value."""
    assert page.evaluate("window.pwned") is None
    assert set(page.evaluate("[...document.links].map(a => a.protocol)")) <= {"http:", "https:"}
    assert page.locator("main script, main iframe, main b, img[src=x]").count() == 0


def test_the_screenshot_of_the_readme_is_of_the_page(chrome, base, tmp_path):
    from PIL import Image

    from tests import screenshot

    screenshot.shoot(chrome, base, tmp_path / "page.jpg")
    made = Image.open(tmp_path / "page.jpg").convert("RGB")
    shown = Image.open(ROOT / screenshot.FILE).convert("RGB")
    assert made.size == shown.size and len(made.resize((64, 64)).getcolors(4096)) > 800
    assert (ROOT / "README.md").read_text().count(f"({screenshot.FILE})") == 1
