"""The web page in a real browser with a real reader: what a person does and sees, a screen reader says, paper shows."""

import functools
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from model.file_reading import FileReading
from serving.web.app import make_app
from tests.serving.fronts import running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
PATIENCE_MS = 180_000
"""For machines that do other work at the same time."""
# The contrast of each text against what lies behind it, as WCAG 2 counts it; returns those below 4.5 to 1.
FAINT = """() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => { for (; node; node = node.parentElement) {
    const found = colour(getComputedStyle(node).backgroundColor); if (found.length < 4 || found[3] > 0) return found; }
    return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() && [...node.childNodes]
    .some((child) => child.nodeType === 3 && child.data.trim())).map((node) => {
      const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), node.className || node.tagName, node.textContent.slice(0, 40)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""

pytestmark = [pytest.mark.live, pytest.mark.slow,
              pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]


@pytest.fixture(scope="module")
def reading(packaged):
    return FileReading.open(packaged.package)


@pytest.fixture(scope="module")
def address(reading):
    with running(make_app(functools.partial(reading.read, explain=True))) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, address):
    """The page at a phone's width; no script may fail and nothing be asked of another address."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page, faults, asked = context.new_page(), [], []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    # A refused file is a failed request to a browser; nothing else is.
    assert not [fault for fault in faults if "status of 4" not in fault]
    assert not [url for url in asked if not url.startswith((address, "blob:", "data:"))]
    context.close()


@pytest.fixture(scope="module")
def sample(packaged):
    return (packaged.package / "sample.png").read_bytes()


def give(page, data, wait="#results .title"):
    page.set_input_files("#file", {"name": "DOE JOHN 1950.png", "mimeType": "image/png", "buffer": data})
    page.wait_for_selector(wait)


def as_png(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


BLANK = as_png(Image.fromarray(np.full((600, 800, 3), 255, np.uint8)))


def test_a_reading_is_shown_said_and_printed(opened, sample, reading):
    give(opened, sample)
    labels = reading.reading.meta["label_names"]
    meters = opened.get_by_role("meter")
    assert meters.count() == len(labels)
    assert "Probability of " in meters.first.get_attribute("aria-label")
    assert "likely (threshold" in meters.first.get_attribute("aria-valuetext")
    assert opened.get_by_role("status").text_content() == "The page is read."
    assert opened.evaluate("document.activeElement.className") == "title"
    assert opened.get_by_role("note").get_by_text("Not for diagnosis without a physician").is_visible()
    assert opened.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0 || "
                           "!image.checkVisibility())")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"
    assert "DOE" not in opened.content()
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        assert opened.evaluate(FAINT) == []
    opened.emulate_media(media="print", color_scheme="dark")
    assert not opened.locator(".ask").is_visible() and opened.locator(".caution").is_visible()
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.get_by_text("Confirmed by (physician)").is_visible()


def test_a_page_is_read_anew_where_its_arrangement_is_chosen(opened, sample, reading):
    def read_as():
        return opened.locator(".technical dd").all_text_contents()

    give(opened, sample)
    assert "3x4+1R" in read_as()
    with opened.expect_response("**/read?layout=6x2%2B1R"):
        opened.get_by_label("Arrangement of the leads").select_option("6x2+1R")
    opened.wait_for_selector("#results .title")
    assert "6x2+1R" in read_as() and "3x4+1R" not in read_as()
    assert opened.locator(".doubt li").count(), "the page has another number of rows"
    assert opened.locator("#results .page").count() == 1


def test_nothing_that_is_said_while_a_page_is_read_is_kept_from_a_screen_reader(opened, sample):
    opened.route("**/read", lambda route: None)
    opened.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": sample})
    status = opened.get_by_role("status")
    status.get_by_text("Reading the page").wait_for()
    assert opened.evaluate("!document.querySelector('#status').closest('[aria-busy=true]')")
    assert opened.locator("#results").get_attribute("aria-busy") == "true"


def held_back(page, name):
    """Load the page anew without one of its files; returns what lets that file come."""
    held = []
    page.route(f"**/{name}", lambda route: held.append(route))
    with page.expect_request(f"**/{name}"):
        page.reload(wait_until="commit")
    while not held:  # a request is told of before it is handed over
        page.wait_for_timeout(20)
    return held.pop().continue_


def test_a_file_chosen_before_the_script_came_is_read(opened, sample):
    release = held_back(opened, "page.js")
    opened.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": sample})
    release()
    opened.wait_for_selector("#results .title")


def test_only_the_last_of_two_files_is_shown_and_in_plain_words_however_late_they_come(opened, sample):
    release = held_back(opened, "words.json")
    for data in (BLANK, sample):
        with opened.expect_response("**/read"):
            opened.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": data})
    assert not opened.locator("#results .title").count()
    release()
    opened.wait_for_selector("#results .title")
    assert opened.locator(".findings .code").first.text_content(), "in plain words, the label beside them"
    assert not opened.get_by_role("alert").text_content(), "the first was given up"


def test_labels_stand_in_for_words_that_do_not_come(opened, sample):
    opened.route("**/words.json", lambda route: route.fulfill(status=404))
    opened.reload()
    give(opened, sample)
    assert "NORM" in opened.locator(".findings strong").all_text_contents()


def test_each_picture_opens_in_full_size(opened, sample):
    give(opened, sample)
    links = opened.evaluate("[...document.querySelectorAll('.pictures img')].map((image) => "
                            "image.closest('a').href === image.src && image.alt.length > 0)")
    assert links == [True] * 3


def test_words_and_marks_say_what_is_uncertain(opened):
    said = opened.evaluate("""async () => {
      const { summary, undecided, verdict, wordsLoaded } = await import("/static/words.js");
      await wordsLoaded;
      const one = (present, plausible) => ({ label: "MI", present, plausible, probability: .4, threshold: .3 });
      return [verdict(one(true, ["present"])), verdict(one(false, ["present"])), undecided(one(true, [])),
              undecided({ label: "MI", present: true }), summary([one(false, ["absent", "present"])]),
              summary([{ ...one(true, ["present"]), label: "NORM" }]), summary([one(true, ["present"])])];
    }""")
    assert said[0] == "Reported: 40\u00a0% likely (threshold 30\u00a0%)"
    assert said[1].startswith("Uncertain, not reported: ")
    assert said[2:4] == [True, False]
    assert said[4].endswith("disease. It cannot rule out: Sign of a heart attack, recent or old.")
    assert said[5] == "The model reports: Normal ECG. That does not rule out disease."
    assert said[6] == "The model reports: Sign of a heart attack, recent or old."


def test_a_refusal_says_why_and_what_to_do(opened, sample):
    give(opened, BLANK, "#alert .refusal")
    alert = opened.get_by_role("alert")
    assert "This page was not read" in alert.text_content() and "No ECG grid here" in alert.text_content()
    assert alert.locator("li").count() == 3
    alert.get_by_alt_text("The picture that you sent").wait_for()
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        assert opened.evaluate(FAINT) == []
    give(opened, sample)
    assert not alert.text_content(), "the next page takes the refusal away"


def test_a_file_of_several_pages_shows_each(opened, sample):
    page = Image.open(io.BytesIO(sample)).convert("RGB")
    blank = Image.new("RGB", page.size, "white")
    give(opened, as_png(page, "TIFF", save_all=True, append_images=[blank], compression="tiff_deflate"))
    assert opened.locator("article").count() == 2
    assert "Page 2 of 2 was not read" in opened.locator("article").nth(1).text_content()
    assert opened.get_by_role("status").text_content() == "1 of 2 pages read."


def test_everything_is_reached_by_keyboard_and_has_a_name(opened, sample):
    give(opened, sample)
    opened.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(12):
        opened.keyboard.press("Tab")
        reached.append(opened.evaluate("document.activeElement.id || document.activeElement.className || "
                                       "document.activeElement.tagName"))
    assert {"skip", "file", "camera", "button print", "SUMMARY"} <= set(reached)
    assert opened.get_by_label("Choose a file").count() == opened.get_by_label("Take a photo").count() == 1
    assert opened.evaluate("[...document.images].every((image) => image.hasAttribute('alt'))")


def test_a_file_can_be_dropped_and_one_that_is_too_large_is_not_sent(opened, sample):
    opened.evaluate("""(bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], "page.png"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }""", list(sample))
    opened.wait_for_selector("#results .title")
    give(opened, b"0" * 30_000_001, "#alert .refusal")
    assert "This file was not sent" in opened.get_by_role("alert").text_content()
