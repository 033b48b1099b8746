"""The pages in a real headless Chromium, as a person uses them: make test-slow (Debian: chromium, chromium-driver)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from deepcluster_tf.reporting import report
from deepcluster_tf.reporting.report import one_run, pages

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium") or not shutil.which("chromedriver"), reason="no chromium"),
]
EVIL = '<img src=x onerror="document.title=1">'


@pytest.fixture
def window():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    resize(driver, 1200, 900)
    yield driver
    faults = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    driver.quit()
    assert not faults


def resize(window, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def until(window, what):
    WebDriverWait(window, 20).until(lambda _: what())


def fits(window):
    return window.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture(scope="module")
def overview(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    shutil.copytree("results/runs", root / "runs", ignore=shutil.ignore_patterns("*.npz", "*.h5", "report", "work"))
    (root / "figures").symlink_to(Path("results/figures").resolve())
    return report.write(root)


def test_all_that_is_recorded(window, overview):
    window.get(overview.as_uri())
    table = window.find_element(By.CSS_SELECTOR, "#fashion-dcec table")
    button = table.find_elements(By.CSS_SELECTOR, "th button")[3]
    assert button.text == "ACC ours"
    button.send_keys(Keys.SPACE)
    acc = [float(row.text.split()[0]) for row in table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(4)")]
    assert acc == sorted(acc) and len(acc) > 8
    button = table.find_elements(By.CSS_SELECTOR, "th button")[3]
    button.send_keys(Keys.ENTER)
    acc = [float(row.text.split()[0]) for row in table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(4)")]
    assert acc == sorted(acc, reverse=True)
    head = table.find_elements(By.TAG_NAME, "th")[3]
    assert head.get_attribute("aria-sort") == "descending"

    days = (
        "[...document.querySelectorAll('#run-list tbody tr')].map((row) => row.cells[arguments[0]].textContent.trim())"
    )
    heads = [each.text for each in window.find_elements(By.CSS_SELECTOR, "#run-list thead th")]
    date = heads.index("date")
    window.find_elements(By.CSS_SELECTOR, "#run-list thead th button")[date].send_keys(Keys.SPACE)
    dates = window.execute_script(f"return {days}", date)
    assert dates == sorted(dates) and len({*dates}) > 2

    count = lambda: window.find_element(By.ID, "run-count").text
    everything = int(count().split()[0])
    window.find_element(By.ID, "run-search").send_keys("mnist-vae mixture")
    found = int(count().split()[0])
    assert 0 < found < everything
    shown = [row for row in window.find_elements(By.CSS_SELECTOR, "#run-list tbody tr") if row.is_displayed()]
    assert len(shown) == found and all("mnist-vae" in row.text for row in shown)
    window.find_element(By.CSS_SELECTOR, '[data-table="fashion-dcec"].runs-of').click()
    assert "fashion-dcec/sup-0.01/seed-0" in window.find_element(By.ID, "run-list").text

    lines = lambda: window.execute_script("return document.getElementById('curve-plot').data.map((t) => t.name)")
    until(window, lines)
    assert all(name.startswith("fashion-dcec/") for name in lines())
    before = len(lines())
    window.find_element(By.ID, "curve-search").send_keys("mnist-vae seed-4")
    [box, *_] = [b for b in window.find_elements(By.CSS_SELECTOR, "#curve-runs input") if not b.is_selected()]
    window.execute_script("arguments[0].click()", box)
    until(window, lambda: len(lines()) == before + 1)
    Select(window.find_element(By.ID, "curve-against")).select_by_value("minutes")
    until(window, lambda: window.execute_script("return $('curve-plot').layout.xaxis.title.text") == "minutes")
    resize(window, 390, 844)
    until(window, lambda: fits(window))


def test_without_its_scripts_the_page_is_read_all_the_same(overview, tmp_path, window):
    shutil.copy(overview, tmp_path / "index.html")
    window.get((tmp_path / "index.html").as_uri())
    assert "make report" in window.find_element(By.ID, "curves-missing").text
    assert "0.7552" in window.find_element(By.ID, "fashion-dcec").text
    window.find_element(By.ID, "run-search").send_keys("fashion-dcec")
    assert window.find_element(By.ID, "run-count").text.startswith("1")
    window.get_log("browser")  # that the scripts are missing, which was to be seen


@pytest.fixture(scope="module", params=[300, 70_000])
def a_run(request, tmp_path_factory):
    """The page of a run of so many images, whose classes have names that are markup."""
    n, rng = request.param, np.random.default_rng(0)
    folder = tmp_path_factory.mktemp(f"run-{n}")
    clusters = np.arange(n) % 3
    z = rng.normal(size=(n, 2)) + 8 * np.eye(3)[clusters][:, :2]
    images = np.uint8(np.clip(rng.normal(80 * clusters[:, None, None, None], 20, (n, 8, 8, 1)), 0, 255))
    low, high = z.min(axis=0), z.max(axis=0)
    at = np.uint16(65535 * (z - low) / (high - low))
    names = [EVIL, "cat & dog", "third"]
    rows = [np.flatnonzero(clusters == j) for j in range(3)]
    points = {
        "n": n, "x": pages.packed(at[:, 0], "uint16"), "y": pages.packed(at[:, 1], "uint16"),
        "cluster": pages.packed(clusters, "int16"),
        "class": pages.packed((clusters + (rng.random(n) < 0.1)) % 3, "int16"),
        "confidence": pages.packed(rng.integers(80, 256, n), "uint8"),
        "nearest": pages.packed((np.arange(n)[:, None] + 3 * np.arange(1, 13)) % n, "int32"),
        "typical": [each[:12].tolist() for each in rows], "doubtful": [each[-12:].tolist() for each in rows],
        "sizes": [len(each) for each in rows], "clusterNames": names, "classNames": names,
        "files": [f"{i} {EVIL}.png" for i in range(n)] if n < 1000 else [], "rows": [],
        "sheet": {"tile": [8, 8], "wide": 32, "tiles": 1024},
    }  # fmt: skip
    one_run._write_sheets(folder, images, progress=False)
    pages.put_script(folder)
    pages.write_data(folder / "points.js", "points", points)
    history = {"iteration": [1, 2, 3], "loss": [3.0, None, 1.0], "changed": [0.5, 0.2, 0.1]}
    pages.write_data(folder / "curves.js", "recorded", {"curves": {"": {"history": history}}})
    result = {"date": "2026-01-01", "data": {"n": n}, "settings": {"seed": 0}, "notices": [EVIL], "versions": {}}
    values = {"name": EVIL, "command": "make dcec", "machine": "", "scores": [], "shown": n}
    return n, pages.write_text(
        folder / "index.html", pages.render("run.html", result={**result, "git_commit": None}, **values)
    )


def place_of(window, i):
    """Where a point is in the window."""
    return window.execute_script(
        "const r = $('map').getBoundingClientRect(), L = $('map')._fullLayout, i = arguments[0];"
        "return [r.x + L.xaxis._offset + L.xaxis.l2p(P.x[i]), r.y + L.yaxis._offset + L.yaxis.l2p(P.y[i])]",
        i,
    )


def shown(window):
    return int(window.find_element(By.ID, "shown").text.split()[0].replace(",", ""))


def test_a_run(window, a_run):
    n, path = a_run
    window.get(path.as_uri())
    until(window, lambda: window.execute_script("return $('map')._fullLayout !== undefined"))
    assert shown(window) == n and window.title == EVIL  # nobody's markup was carried out
    x, y = place_of(window, 7)
    for shift in (4, 0):
        actions = ActionChains(window)
        actions.w3c_actions.pointer_action.move_to_location(int(x) + shift, int(y))
        actions.perform()
    until(window, lambda: window.find_element(By.ID, "under").is_displayed())
    assert "cluster" in window.find_element(By.ID, "under").text
    ActionChains(window).click().perform()
    until(window, lambda: len(window.find_elements(By.CSS_SELECTOR, "#chosen .pictures button")) == 12)
    first = window.find_element(By.CSS_SELECTOR, "#chosen .pictures button")
    said = first.get_attribute("aria-label")
    first.send_keys(Keys.ENTER)  # a picture is a button: the keyboard goes from image to image
    until(window, lambda: said.split(",")[0] in window.find_element(By.CSS_SELECTOR, "#chosen p").text)
    number = window.find_element(By.ID, "number")
    number.clear()
    number.send_keys("5", Keys.TAB)
    until(window, lambda: window.find_element(By.CSS_SELECTOR, "#chosen p").text.startswith("image 5 "))

    Select(window.find_element(By.ID, "cluster-filter")).select_by_value("1")
    until(window, lambda: shown(window) == n // 3 + (n % 3 > 1))
    Select(window.find_element(By.ID, "class-filter")).select_by_value("2")
    until(window, lambda: 0 < shown(window) < n // 6)
    Select(window.find_element(By.ID, "colour")).select_by_value("confidence")
    assert len(window.find_elements(By.CSS_SELECTOR, "#cluster-list article")) == 3
    assert EVIL in window.find_element(By.ID, "cluster-list").text
    table = window.find_element(By.ID, "meeting-table").text
    assert EVIL in table and "cat & dog" in table
    assert window.execute_script("return $('curve-plot').data[0].y") == [3, None, 1]
    assert window.title == EVIL
    resize(window, 390, 844)
    until(window, lambda: fits(window))


def test_70_000_points_move(window, a_run):
    """A pan of the map: also where a processor plays the graphics card, several pictures a second."""
    n, path = a_run
    window.get(path.as_uri())
    until(window, lambda: window.execute_script("return $('map')._fullLayout !== undefined"))
    milliseconds = window.execute_async_script(
        "const done = arguments[0], start = performance.now(); let k = 0;"
        "const move = () => Plotly.relayout('map', { 'xaxis.range': [1000 * k, 40000 + 1000 * k] });"
        "const next = () => requestAnimationFrame(step);"
        "const step = () => (++k > 10 ? done((performance.now() - start) / 10) : move().then(next));"
        "step();"
    )
    assert milliseconds < 1000, json.dumps({n: milliseconds})
