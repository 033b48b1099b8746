"""The page in a real headless Chromium, as a person uses it: make test-slow (Debian: chromium, chromium-driver)."""

import shutil
import threading

import numpy as np
import pytest

from deepcluster_tf.annotation import Answer, Question
from deepcluster_tf.annotation.browser import Browser
from deepcluster_tf.annotation.ledger import Ledger

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium") or not shutil.which("chromedriver"), reason="no chromium"),
]


@pytest.fixture
def window():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def browser(digits):
    browser = Browser(digits.class_names, port=0)
    yield browser
    browser.close()


def questions(digits, epoch, n):
    pictures = digits.images / np.float32(255)
    how = {"splits": True, "decoded": True, "learns": True}
    return [Question(epoch, str(i), pictures[i], digits.images[i : i + 8], 100 + i, **how) for i in range(n)]


def until(window, what):
    WebDriverWait(window, 15).until(lambda _: what())


def text(window, name):
    return window.find_element(By.ID, name).text


def press(window, *keys):
    """Press keys, each once the page shows what the one before did."""
    look = lambda: [text(window, name) for name in ("where", "about", "sure")]
    for key in keys:
        before = look()
        window.find_element(By.TAG_NAME, "body").send_keys(key)
        WebDriverWait(window, 15).until(lambda _, before=before: look() != before)


def test_a_person_names_two_rounds(window, browser, digits, tmp_path):
    ledger = Ledger(browser, digits.class_names, tmp_path / "annotations.csv")
    window.get(browser.url)
    until(window, lambda: "Nothing waits to be named" in text(window, "message"))
    rounds = []
    asking = threading.Thread(
        target=lambda: rounds.extend(ledger.ask(questions(digits, epoch, n)) for epoch, n in ((1, 5), (2, 2))),
        daemon=True,
    )
    asking.start()
    until(window, lambda: text(window, "where") == "After epoch 1: 0 of 5 answered")
    picture = window.find_element(By.ID, "picture")
    until(window, lambda: picture.get_property("naturalWidth") == 8)
    assert picture.size["width"] >= 200
    assert len(window.find_elements(By.CSS_SELECTOR, "#nearest img")) == 8
    assert not window.find_element(By.ID, "finish").is_enabled()

    press(window, "0")
    press(window, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert text(window, "sure") == "90 %"
    press(window, "1")
    assert text(window, "where") == "After epoch 1: 2 of 5 answered" and text(window, "sure") == "100 %"
    kept = [line.rpartition(",")[0] for line in (tmp_path / "annotations.csv").read_text().splitlines()[1:]]
    assert kept == ["1,0,100,0,1.0", "1,1,101,1,0.9"]
    window.save_screenshot(str(tmp_path / "round.png"))

    press(window, "7")  # a mistake, undone
    press(window, Keys.BACKSPACE)
    assert text(window, "where") == "After epoch 1: 2 of 5 answered" and "cluster 2," in text(window, "about")
    assert len(window.find_elements(By.CSS_SELECTOR, "#all button.answered")) == 2
    press(window, "n")
    window.find_element(By.ID, "undo").click()  # by mouse, and after it the keys go on
    until(window, lambda: "2 of 5" in text(window, "where"))
    press(window, "n")
    window.refresh()
    until(window, lambda: text(window, "where") == "After epoch 1: 3 of 5 answered")
    assert "cluster 3," in text(window, "about")

    window.switch_to.new_window("tab")  # the first tab is closed, and another opened
    first, second = window.window_handles
    window.switch_to.window(first)
    window.close()
    window.switch_to.window(second)
    window.get(browser.url)
    until(window, lambda: text(window, "where") == "After epoch 1: 3 of 5 answered")
    window.find_element(By.CSS_SELECTOR, "#classes button[data-label='3']").click()
    until(window, lambda: "4 of 5" in text(window, "where"))
    press(window, "4")
    window.save_screenshot(str(tmp_path / "answered.png"))
    window.find_element(By.ID, "finish").click()

    until(window, lambda: text(window, "where") == "After epoch 2: 0 of 2 answered")  # by itself
    press(window, "0", "1")
    press(window, Keys.ENTER)
    until(window, lambda: "Nothing waits to be named" in text(window, "message"))
    window.save_screenshot(str(tmp_path / "waiting.png"))
    asking.join(10)
    assert rounds[0] == [Answer(0, 1.0), Answer(1, 0.9), Answer(-1, 1.0), Answer(3, 1.0), Answer(4, 1.0)]
    assert rounds[1] == [Answer(0, 1.0), Answer(1, 1.0)]
    assert [entry for entry in window.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_page_is_used_by_keyboard_and_by_ear(window, browser, digits):
    asking = threading.Thread(target=lambda: list(browser.annotate(questions(digits, 2, 3), {})), daemon=True)
    browser.training(3, 5, None)
    asking.start()
    window.get(browser.url)
    until(window, lambda: text(window, "where") == "Round 2 of 4, after epoch 2: 0 of 3 answered")
    names = {image.get_attribute("alt") for image in window.find_elements(By.CSS_SELECTOR, "img")}
    assert len(names) == 1 + 8 + 3 and "" not in names  # each says something else
    seven = window.find_element(By.CSS_SELECTOR, "#classes button[data-label='7']")
    assert seven.get_attribute("aria-pressed") == "false"
    seven.send_keys(Keys.SPACE)  # a press by keyboard: the focus stays for the next picture
    until(window, lambda: "1 of 3" in text(window, "where"))
    assert window.switch_to.active_element == seven
    press(window, Keys.ARROW_LEFT)
    pressed = window.find_elements(By.CSS_SELECTOR, "[aria-pressed='true']")
    assert [button.get_attribute("data-label") for button in pressed] == ["7"]
    first = window.find_element(By.CSS_SELECTOR, "#all button")
    assert first.get_attribute("aria-label") == "cluster 0, 7"
    assert "its parts are shown to you next" in text(window, "none-hint") and "weighs" in text(window, "sure-hint")

    window.find_element(By.ID, "shortcuts").click()  # letters may be another program's
    window.find_element(By.TAG_NAME, "body").send_keys("3", Keys.BACKSPACE, "n")
    window.refresh()
    until(window, lambda: "1 of 3" in text(window, "where"))
    assert not window.find_element(By.ID, "shortcuts").is_selected()
    assert not window.find_element(By.CSS_SELECTOR, ".hint.keys").is_displayed()
    window.find_element(By.ID, "shortcuts").click()
    press(window, "3")
    assert "2 of 3" in text(window, "where")


def test_on_a_phone_nothing_is_scrolled_to_answer(window, browser, digits, tmp_path):
    threading.Thread(target=lambda: list(browser.annotate(questions(digits, 1, 3), {})), daemon=True).start()
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    window.get(browser.url)
    until(window, lambda: len(window.find_elements(By.CSS_SELECTOR, "#nearest img")) == 8)
    for what in ("#picture", "#nearest img:last-child", "#classes button:last-child", "#none", "#confidence"):
        place = window.find_element(By.CSS_SELECTOR, what).rect
        assert place["y"] + place["height"] <= 844 and place["x"] + place["width"] <= 390, what
    assert window.execute_script("return document.documentElement.scrollWidth") <= 390
    window.save_screenshot(str(tmp_path / "phone.png"))


def test_while_training_goes_on_the_page_says_how_long(window, browser):
    window.get(browser.url)
    for seconds, said in ((None, "epoch 3 of 5. If"), (20, "less than a minute is left"), (130, "about 2 minutes are")):
        browser.training(3, 5, seconds)
        until(window, lambda said=said: said in text(window, "message") and "epoch 3 of 5" in text(window, "message"))


def test_the_page_says_that_training_stopped(window, digits):
    browser = Browser(digits.class_names, port=0)
    asking = threading.Thread(target=lambda: list(browser.annotate(questions(digits, 1, 3), {})), daemon=True)
    asking.start()
    window.get(browser.url)
    until(window, lambda: "0 of 3" in text(window, "where"))
    browser.close()
    until(window, lambda: "The command has stopped" in text(window, "error"))


def test_a_tab_of_an_earlier_start_says_to_open_the_new_address(window, digits):
    """The same command, started again at the same port, has another token."""
    first = Browser(digits.class_names, port=0)
    threading.Thread(target=lambda: list(first.annotate(questions(digits, 1, 3), {})), daemon=True).start()
    window.get(first.url)
    until(window, lambda: "0 of 3" in text(window, "where"))
    first.close()
    second = Browser(digits.class_names, port=first.server.port)
    try:
        until(window, lambda: "Open the whole address that the command printed last" in text(window, "message"))
        assert not window.find_element(By.ID, "round").is_displayed()
        window.refresh()
        assert "Open the whole address" in window.find_element(By.TAG_NAME, "body").text
        window.get(second.url)
        until(window, lambda: "Nothing waits to be named" in text(window, "message"))
    finally:
        second.close()


def asked(browser, some):
    threading.Thread(target=lambda: list(browser.annotate(some, {})), daemon=True).start()


def focused(window):
    return window.execute_script("return document.activeElement.dataset.label || document.activeElement.id")


def test_rounds_are_counted_from_the_first_epoch_that_asks(window, browser, digits):
    browser.training(3, 30, 20, 15)
    window.get(browser.url)
    until(window, lambda: "The first pictures appear here by themselves after epoch 15." in text(window, "message"))
    asked(browser, questions(digits, 16, 2))
    until(window, lambda: text(window, "where") == "Round 2 of 15, after epoch 16: 0 of 2 answered")


HINTS = {  # what is asked -> the picture's name, about it, what becomes of one without a name, and of how sure one is
    "a centre in training": (
        {"decoded": True, "learns": True}, "After epoch 1: 0 of 1 answered", "centre of cluster 3, decoded",
        "cluster 3, 1,200 images", "learn no name in this round", "weighs when its images are learned from",
    ),
    "an image in training": (
        {"cluster": "image 512", "learns": True}, "After epoch 1: 0 of 1 answered", "image 512", "image 512",
        "learn no name in this round", "weighs when its images are learned from",
    ),
    "an image of a clustering": (
        {}, "0 of 1 answered", "most typical image of cluster 3", "cluster 3, 1,200 images",
        "the name of the likeliest cluster that has one", "It is kept beside the name",
    ),
    "a finished run": (
        {"epoch": 0}, "0 of 1 answered", "most typical image of cluster 3", "cluster 3, 1,200 images",
        "the cluster keeps its number", "It is kept beside the name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HINTS)
def test_the_page_says_what_is_asked_and_what_becomes_of_it(window, browser, digits, kind):
    how, *expected = HINTS[kind]
    of = {"epoch": 1, "cluster": "3", "picture": digits.images[0] / np.float32(255), "nearest": digits.images[:8]}
    asked(browser, [Question(**{**of, "size": 1200, **how})])
    window.get(browser.url)
    until(window, lambda: "answered" in text(window, "where"))
    assert text(window, "where") == expected[0] and text(window, "about") == expected[2]
    assert window.find_element(By.ID, "picture").get_attribute("alt") == expected[1]
    assert expected[3] in text(window, "none-hint") and expected[4] in text(window, "sure-hint")


def test_names_that_differ_in_case_alone_have_keys_by_their_order(window, digits):
    of = Browser(("A", "a", "B"), port=0)
    try:
        asked(of, questions(digits, 1, 2))
        window.get(of.url)
        until(window, lambda: "0 of 2" in text(window, "where"))
        keys = [key.text for key in window.find_elements(By.CSS_SELECTOR, "#classes kbd")]
        assert keys == ["0", "1", "2"]
        press(window, "1")
        assert [answer.label for answer in of.answers.values()] == [1]
    finally:
        of.close()


def test_enter_after_a_click_answers_no_other_picture(window, browser, digits):
    asked(browser, questions(digits, 1, 2))
    window.get(browser.url)
    until(window, lambda: "0 of 2" in text(window, "where"))
    for n in (1, 2):
        window.find_element(By.CSS_SELECTOR, "#classes button[data-label='3']").click()
        until(window, lambda n=n: f"{n} of 2" in text(window, "where"))
        assert focused(window) == "3"
        window.switch_to.active_element.send_keys(Keys.ENTER)  # finishes, once nothing is left
    until(window, lambda: "Nothing waits to be named" in text(window, "message"))


def test_a_button_that_has_nothing_left_to_do_keeps_the_focus(window, browser, digits):
    asked(browser, questions(digits, 1, 2))
    window.get(browser.url)
    until(window, lambda: "0 of 2" in text(window, "where"))
    press(window, "3")
    window.execute_script("document.getElementById('undo').focus()")
    window.switch_to.active_element.send_keys(Keys.SPACE)
    until(window, lambda: "0 of 2" in text(window, "where"))
    assert focused(window) == "undo"
    assert window.find_element(By.ID, "undo").get_attribute("aria-disabled") == "true"


CONTRAST = """
const light = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { const c = getComputedStyle(e).backgroundColor;
  return c === "rgba(0, 0, 0, 0)" && e.parentElement ? behind(e.parentElement) : c; };
return [...document.querySelectorAll("body *")]
  .filter((e) => e.offsetParent && !e.closest(":disabled, [aria-disabled=true]"))
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.id || e.className || e.tagName]; });
"""


def test_texts_can_be_read(window, browser, digits):
    """WCAG AA: 4.5 to 1, of every text, also of what is pressed."""
    browser.training(1, 5, None)
    asked(browser, questions(digits, 1, 3))
    window.get(browser.url)
    until(window, lambda: "0 of 3" in text(window, "where"))
    press(window, "7", Keys.ARROW_LEFT)
    window.execute_script("document.getElementById('error').textContent = 'Not saved'")
    found = window.execute_script(CONTRAST)
    assert len(found) > 20 and {name for _, name in found} >= {"error", "undo", "none-hint", "where"}
    assert [each for each in found if each[0] < 4.5] == []
