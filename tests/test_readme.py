"""README and pages keep their word: their Python runs, their tables are those of the results, their commands exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf import experiments
from deepcluster_tf.command import targets
from deepcluster_tf.command.commands import COMMANDS
from deepcluster_tf.experiments import EXPERIMENTS, TABLES, options, running
from deepcluster_tf.reporting import report, tables

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "results"
PAGES = [REPOSITORY / "README.md", *RESULTS.glob("*.md"), *RESULTS.glob("methods/*.md"), *RESULTS.glob("guides/*.md")]
IDS = [path.relative_to(REPOSITORY).as_posix() for path in PAGES]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.S)


def test_the_readme_is_read_to_its_end():
    assert len(PAGES[0].read_text().splitlines()) < 200


def test_everything_made_from_results_is_up_to_date(tmp_path):
    """What `make tables report` would write is what is there; a user's own runs may not be in the tables yet."""
    status = ["git", "status", "--porcelain", "--", "results/runs"]
    if subprocess.run(status, cwd=REPOSITORY, capture_output=True, text=True).stdout:
        pytest.skip("there are runs that are not committed: make tables puts them into the tables")
    shutil.copy(PAGES[0], tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "runs").symlink_to(RESULTS / "runs")
    for path in PAGES[1:]:
        copied = tmp_path / path.relative_to(REPOSITORY)
        copied.parent.mkdir(exist_ok=True)
        shutil.copy(path, copied)
    written = tables.write_pages(tmp_path / "README.md", tmp_path / "results")
    assert {path.relative_to(tmp_path).as_posix() for path in written} == set(IDS)
    for path in written:
        assert path.read_text() == (REPOSITORY / path.relative_to(tmp_path)).read_text(), path
    made = {path.name: path.read_text() for path in tables.write_all(tmp_path / "results")}
    assert made == {path.name: path.read_text() for path in (RESULTS / "tables").iterdir()}
    assert (RESULTS / "report" / "index.html").read_text() == report.page(RESULTS)


def test_every_method_has_its_page_with_its_deviations_and_tables():
    said = "\n".join(path.read_text() for path in PAGES)
    for experiment in EXPERIMENTS.values():
        assert f"<!-- deviations {experiment.method.partition(':')[0]}:" in said
    assert all(f"<!-- table {name}:" in said for name in TABLES)


def test_every_logged_number_is_explained():
    """Each column of the CSV files that recorded fits wrote stands on the page with its method's deviations."""
    common, logged = (RESULTS / "README.md").read_text(), {}
    for path in RESULTS.glob("runs/*/*/seed-*/*.csv"):
        if path.name in ("history.csv", "curve.csv", "readings.csv", "clustering.csv", "self-labelling.csv"):
            method = EXPERIMENTS[path.parts[-4]].method.partition(":")[0]
            with path.open() as file:
                logged.setdefault(method, set()).update([path.name, *file.readline().strip().split(",")])
    assert {"dcec", "vae", "siamese"} <= logged.keys()
    for method, names in logged.items():
        (page,) = (text for path in PAGES if f"<!-- deviations {method}:" in (text := path.read_text()))
        assert not [name for name in names if f"`{name}`" not in page + common], method


def test_a_comment_that_names_nothing_is_refused(tmp_path):
    for wrong in (
        "<!-- table fashion-dced: -->\n<!-- end -->",
        "<!-- deviations dced: -->\n<!-- end -->",
        "<!-- times: -->",
    ):
        (tmp_path / "README.md").write_text(wrong)
        with pytest.raises(ValueError, match=r"README\.md: expected the comment of a table, a method or times"):
            tables.write_pages(tmp_path / "README.md", tmp_path / "results")


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_lead_somewhere(path):
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    files = set(tracked.stdout.splitlines())
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if link.startswith("https://"):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (path.parent / place).resolve() if place else path
        name = target.relative_to(REPOSITORY).as_posix()
        assert name in files or any(file.startswith(f"{name}/") for file in files), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, link


def commands(text):
    """The words of every `make` command of a page, without what is to be filled in."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"`[^`]+`", lambda code: code[0].replace("\n", " "), text)  # which may go on in the next line
    return [words.split() for words in re.findall(r"(?:^    |`)make ([^`#\n]+)", text, re.M) if "TARGET" not in words]


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_make_command_exists_and_takes_its_values(path):
    for words in commands(path.read_text()):
        names = [word for word in words if "=" not in word and word != "..."]
        given = dict(word.split("=", 1) for word in words if "=" in word)
        if not names or names[0] == "digits-linear" or given.keys() & {"PYTHON", "VENV"}:  # the former is of an example
            continue
        targets.require([name for name in names if name != "help"] or ["help"], [*given.keys() - {"HELP"}])
        for name in names:
            if name in EXPERIMENTS:
                settings, _ = options.parse_experiment(experiments.get(name), given)
                running.prepare(experiments.get(name), settings)
            elif name in COMMANDS:
                known = targets.variables(name)
                options.parse({k: v for k, v in given.items() if k in known}, known, name)


def test_the_main_commands_are_in_the_readme():
    used = {words[0] for words in commands(PAGES[0].read_text())}
    assert {"fashion-dcec", "test", "tables", "report", "digits-dcec", "export"} <= used


# ---------------------------------------------------------------------- the Python of the pages


def test_the_first_ten_lines_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    code = blocks("README.md")[0]
    assert len([line for line in code.splitlines() if line]) == 10
    exec(code.replace("max_iterations=500", "max_iterations=500, n_init=2"), {})
    acc, _ = capsys.readouterr().out.splitlines()[-2:]
    assert float(acc) > 0.7


def test_saved_model_examples_run(monkeypatch, tmp_path):
    (tmp_path / "results").symlink_to(RESULTS)
    monkeypatch.chdir(tmp_path)
    short, names = {}, {}
    exec(blocks("README.md")[1], short)
    assert short["found"]["cluster"].shape == (3,) and short["embeddings"].shape == (3, 10)
    first, second = blocks("results/guides/models.md")
    exec(first, names)
    assert names["found"]["cluster"].shape == (3,) and names["embeddings"].shape == (3, 10)
    exec(second, names)
    assert Path("model.tflite").stat().st_size > 500_000  # with its weights


def test_method_example_runs(digits, some_labels, monkeypatch, tmp_path):
    from conftest import SMALL

    monkeypatch.chdir(tmp_path)
    (block,) = blocks("results/guides/library.md")
    code = block.replace("DCEC(n_clusters=10)", "DCEC(n_clusters=10, **SMALL)")
    assert code != block
    names = {"images": digits.images, "labels": some_labels, "SMALL": {**SMALL, "pretraining_epochs": 1}}
    exec(code, names)
    assert (tmp_path / "my-model" / "saved_model.pb").exists() and (tmp_path / "my.keras").exists()
    assert np.isfinite(names["dcec"].cluster_centers_).all()


def test_no_page_has_python_that_no_test_runs():
    of = {name: len(blocks(name)) for name in IDS if blocks(name)}
    assert of == {
        "README.md": 2,
        "results/guides/models.md": 2,
        "results/guides/library.md": 1,
        "results/guides/adding.md": 1,
    }


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    import nbclient
    import nbformat

    book = nbformat.read(RESULTS / "guides" / "first-steps.ipynb", 4)
    assert not any(cell.get("outputs") for cell in book.cells)  # committed without what it shows
    nbclient.NotebookClient(book, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", ()))
    assert float(re.search(r"ACC (0\.\d+)", said)[1]) > 0.8


RUNS = {" ".join(words) for path in PAGES for words in commands(path.read_text()) if words[0] in EXPERIMENTS}
ASKED = ("ANNOTATOR=browser", "ANSWERS=", "CLASSES=")  # a person answers: tests/test_browser.py, test_annotated.py


@pytest.fixture(scope="module")
def place(digits, tmp_path_factory):
    """Where the commands of the pages run, so that they have pretrained networks and features in common."""
    root = tmp_path_factory.mktemp("commands")
    for i, (image, label) in enumerate(zip(digits.images[:320, ..., 0], digits.labels % 5, strict=False)):
        (root / "sorted" / f"class {label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(image, np.ones((4, 4), np.uint8))).save(root / "sorted" / f"class {label}" / f"{i}.png")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("words", sorted(run for run in RUNS if not any(word in run for word in ASKED)))
def test_every_experiment_of_a_page_runs(words, place):
    """On its small budget, as `make` calls it; folders of photographs are played by 320 digits."""
    given = [re.sub("IMAGES=.*", f"IMAGES={place}/sorted", word) for word in words.split() if word != "QUICK=1"]
    command = [sys.executable, "-m", "runners.run", *given, "QUICK=1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    name = given[0]
    assert [*place.glob(f"results/runs/{name}/*quick*/seed-*/result.json")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted({w[0] for p in PAGES for w in commands(p.read_text()) if w[0].endswith("-table")})
)
def test_every_table_of_a_page_says_what_it_would_run(name, place):
    command = [sys.executable, "-m", "runners.run", name, "DRY=1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "to run" in done.stdout, done.stderr[-2000:]
