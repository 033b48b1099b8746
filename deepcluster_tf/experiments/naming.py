"""Someone names the clusters of a finished run, of any method: the most typical images of each are shown."""

from __future__ import annotations

import contextlib
from pathlib import Path

from deepcluster_tf.annotation.file import File
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.experiments import finished, results
from deepcluster_tf.experiments.protocols.annotated import require_names
from deepcluster_tf.experiments.protocols.named import questions
from deepcluster_tf.files import locked


def name(
    directory: Path,
    class_names: tuple[str, ...] = (),
    answers: Path | str | None = None,
    port: int = 8765,
    data_dir: str | None = None,
    progress: bool = True,
) -> dict[int, str]:
    """Ask for a name of each cluster, and write every answer at once to `names.csv` in the run's folder.

    `finished.cluster_names` reads it: predictions, sorted folders, SavedModels and the run's page have these names. Two
    clusters may have the same; one that shows none of them keeps its number.

    Args:
        directory: the run's folder.
        class_names: what can be named; () for the classes of the run's data.
        answers: a file of answers, such as another run's `names.csv`; None asks a person in the browser, who sees what
            was answered before and may change it.
        port: of the page.
        data_dir: a folder with the data set's published files.
        progress: show bars.

    Returns:
        the names, by cluster.

    Raises:
        ValueError: there is no such run on this machine, or nothing to be named; the answers are not those of its
            clusters.
        OSError: the port is in use, or an answer cannot be written.
    """
    run = finished.contents(directory, data_dir, progress)
    names = class_names or run.dataset.class_names
    if len(set(names)) < 2 or "" in names:
        raise ValueError(f"{directory} has no names of classes: expected CLASSES=name,name,... with two names or more")
    require_names(names)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(directory))  # two pages would write over one another's answers
        ledger = Ledger(None, names, directory / results.NAMES)
        if answers:
            ledger.annotator = File(answers, names)
        else:
            from deepcluster_tf.annotation.browser import Browser  # which needs flask, an extra

            ledger.annotator = Browser(names, port)
            stack.callback(ledger.annotator.close)
        ledger.ask(
            questions(run.dataset.images, run.clusters, -finished.from_means(run.embeddings, run.clusters), epoch=0),
            again=True,
        )
    return finished.read_names(directory)
