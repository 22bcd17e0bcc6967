"""The page in a real Chromium: searching, playing from a moment, keys, a phone's width, hostile names.

They need an installed Chromium (Debian: `apt install chromium`) and the extra `browser`; without them they are skipped.
"""

import contextlib
import os
import shutil
import threading

import pytest
import uvicorn

from mcn.search.serve import server
from mcn.search.serve.app import create_app
from mcn.search.serve.opened import Opened
from tests.answers_fake import HOSTILE, HOSTILE_WORDS

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
expect = sync_api.expect
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
SECONDS = 20_000  # milliseconds that the page may take for a step


@pytest.fixture(scope="module")
def address(served, tmp_path_factory):
    """A server of its own thread."""
    app = create_app(Opened(lambda: served), tmp_path_factory.mktemp("cache"))
    with server.listening("127.0.0.1", 0) as listener:
        running = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield server.address(listener, "127.0.0.1", "")
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]
        with contextlib.closing(
            playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        ) as browser:
            yield browser


@pytest.fixture
def page(browser, address):
    """The page, which must neither complain nor reach for another address while a test uses it."""
    complaints = []
    with contextlib.closing(
        browser.new_context(viewport={"width": 1280, "height": 800})
    ) as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on(
            "request",
            lambda asked: asked.url.startswith(address) or complaints.append(asked.url),
        )
        page.goto(address)
        yield page
        assert [one for one in complaints if "422" not in one] == []


def search(page, text):
    page.get_by_role("searchbox", name="What to look for").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text(text)


def film(page):
    """currentTime, paused, seconds of film that are there."""
    return page.evaluate(
        "() => { const f = document.getElementById('film');"
        " return { time: f.currentTime, paused: f.paused, length: f.duration, width: f.videoWidth } }"
    )


def wait_until_playing(page, after):
    page.wait_for_function(
        "after => { const f = document.getElementById('film');"
        " return !f.paused && f.readyState >= 2 && f.currentTime > after }",
        arg=after,
    )


def test_search_click_and_it_plays_from_the_moment(page):
    search(page, "stir the soup")
    cards = page.locator(".card")
    expect(cards.first).to_contain_text("soup.mp4")
    expect(cards.first).to_contain_text("stir the soup")
    expect(cards.first.locator(".source")).to_have_text("said")
    expect(cards.first.locator("mark").first).to_have_text("stir")
    image = cards.first.locator("img")
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
    )
    cards.first.get_by_role("button", name="Play soup.mp4").click()
    wait_until_playing(page, 1.333)
    state = film(page)
    assert 1.333 <= state["time"] < 3
    assert state["length"] == pytest.approx(4, abs=0.1)
    assert state["width"] == 160
    expect(page.locator("#timeline .hits button")).to_have_count(3)
    expect(page.locator("#transcript li")).to_have_count(3)
    expect(page.locator("#transcript [aria-current]")).to_contain_text("stir the soup")


def test_the_timeline_and_the_transcript_lead_to_their_moments(page):
    search(page, "soup")
    page.get_by_role("button", name="Play soup.mp4").first.click()
    wait_until_playing(page, 1)
    page.locator("#transcript li button").first.click()
    page.wait_for_function("document.getElementById('film').currentTime < 1")
    page.get_by_role("group", name="Moments found in this video").get_by_role("button").last.click()
    page.wait_for_function("document.getElementById('film').currentTime >= 2.667")


def test_what_browsers_do_not_play_is_played_from_its_preview(page):
    search(page, "fry")
    page.get_by_role("button", name="Play pan.avi").click()
    wait_until_playing(page, 2)
    assert film(page)["length"] == pytest.approx(4.08, abs=0.2)


def test_sound_alone_is_played(page):
    search(page, "talk")
    expect(page.locator(".card .no-picture")).to_have_count(1)
    page.get_by_role("button", name="Play talk.m4a").click()
    wait_until_playing(page, 0)


def test_the_keyboard_is_enough(page):
    page.locator("body").click(position={"x": 5, "y": 700})
    page.keyboard.press("/")
    page.keyboard.type("the")
    page.keyboard.press("Enter")
    expect(page.locator(".card").nth(3)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".card .open").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card .open").nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    wait_until_playing(page, 0)
    page.keyboard.press(" ")
    page.wait_for_function("document.getElementById('film').paused")
    page.keyboard.press(" ")
    page.wait_for_function("!document.getElementById('film').paused")
    page.keyboard.press("Escape")
    expect(page.locator("#player")).to_be_hidden()
    expect(page.locator(".card .open").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("searchbox", name="What to look for")).to_be_focused()
    page.locator(".card .open").first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_names_and_words_are_shown_as_text(page):
    search(page, "stir")
    card = page.locator(".card", has_text="<img")
    expect(card.locator(".open")).to_have_text(HOSTILE)
    expect(card.locator(".said")).to_have_text(HOSTILE_WORDS)
    card.locator(".open").click()
    wait_until_playing(page, 0)
    expect(page.locator("#film-name")).to_have_text(HOSTILE)
    expect(page.locator("#transcript li")).to_contain_text([HOSTILE_WORDS])
    page.get_by_role("button", name="Videos").click()
    expect(page.locator("#video-list .open", has_text="<img")).to_have_text(HOSTILE)
    assert page.title() == "stir – search videos"
    assert page.locator("script").count() == 1
    search(page, "<b>bold</b>")
    expect(page.locator("#status")).to_contain_text("No moment fits “<b>bold</b>”")
    page.get_by_role("button", name="Show the nearest anyway").click()
    expect(page.locator("#status")).to_contain_text("The nearest ones:")
    expect(page.locator(".card").first).to_contain_text("too far to fit")


def test_more_like_this_and_by_picture(page, tmp_path):
    search(page, "chop")
    page.get_by_role("button", name="More like this").first.click()
    expect(page.locator("#status")).to_contain_text("for soup.mp4 at 0:00")
    expect(page.locator(".card .source").first).to_have_text("seen")
    picture = tmp_path / "picture.png"
    page.screenshot(path=picture)
    page.locator("#picture").set_input_files(picture)
    expect(page.locator("#status")).to_contain_text("5 moments for the picture picture.png")


def test_filters_narrow_the_moments(page):
    search(page, "the")
    whole = page.locator(".card").count()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Folder").fill("garden")
    page.keyboard.press("Tab")
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator("#filter-count")).to_have_text("1")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".card")).to_have_count(whole)
    page.get_by_label("One moment of each video").check()
    expect(page.locator(".card")).to_have_count(4)


def test_the_list_of_videos_says_what_became_of_each(page):
    page.get_by_role("button", name="Videos").click()
    expect(page.locator(".video")).to_have_count(7)
    broken = page.locator(".video", has_text="broken.mp4")
    expect(broken.locator(".status")).to_have_text("failed")
    expect(broken).to_contain_text("unreadable: no index")
    page.get_by_label("Status").select_option("failed")
    expect(page.locator(".video")).to_have_count(1)
    page.get_by_label("Status").select_option("")
    page.get_by_label("Part of the name").fill("pan")
    expect(page.locator(".video")).to_have_count(1)
    page.get_by_role("button", name="Play pan.avi").click()
    wait_until_playing(page, 0)


def test_a_broken_video_is_told_in_words(page):
    page.get_by_role("button", name="Videos").click()
    page.get_by_role("button", name="Play broken.mp4").click()
    expect(page.locator("#film-note")).to_contain_text("unreadable")


def test_the_map_is_walked_by_keys_and_played(page):
    page.get_by_role("button", name="Map").click()
    expect(page.locator("#map-status")).to_contain_text("24 moments of 6 videos")
    page.locator("#plane").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#point")).to_be_visible()
    name = page.locator("#point .name").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#film-name")).to_have_text(name)
    wait_until_playing(page, 0)


def test_the_address_holds_the_question(page, address):
    search(page, "roses")
    page.reload()
    expect(page.locator("#status")).to_contain_text("roses")
    search(page, "onion")
    page.go_back()
    expect(page.locator("#status")).to_contain_text("roses")
    expect(page.get_by_role("searchbox", name="What to look for")).to_have_value("roses")


def test_a_phone_shows_everything_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 360, "height": 740})
    search(page, "the")
    page.locator(".card .open").first.click()
    wait_until_playing(page, 0)
    for view in ("Videos", "Map", "Moments"):
        page.get_by_role("navigation").get_by_role("button", name=view).click()
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], view
    box = page.locator("#film").bounding_box()
    assert box["width"] <= 360
    for button in page.locator("#search button, nav button").all():
        assert button.bounding_box()["height"] >= 40


def test_everything_that_is_pressed_has_a_name(page):
    search(page, "the")
    page.locator(".card .open").first.click()
    wait_until_playing(page, 0)
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, a')].filter(e =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []
