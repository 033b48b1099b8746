"""`CLUSTERS=auto`: as many clusters as the images suggest, chosen without a label.

The number is the one with the greatest mean silhouette in UMAP space, of the pixels or of a frozen backbone's features.
Tried on data whose number is known, the Davies-Bouldin index chose the same, the density of points (HDBSCAN) and the
stability under halving fewer as a rule, and the likelihood of a mixture (BIC) more.
"""

from __future__ import annotations

import numpy as np

from deepcluster_tf import clustering, datasets, fitting, machine
from deepcluster_tf.experiments import results
from deepcluster_tf.fitting import checkpoints

CANDIDATES = range(2, 31)


def count(method, dataset: datasets.Dataset, data: str, progress: bool = True) -> dict:
    """How many clusters the images suggest, and by what.

    Args:
        method: unfitted; its seed counts, and its backbone, where it has one that is frozen.
        dataset: the images. data: its name in file names.
        progress: show bars.

    Returns:
        "n_clusters"; "of", what was looked at; "candidates" and "silhouettes", a number each. Kept beside the data's
        pretrained weights, so that it is looked up when it is asked again.

    Raises:
        ValueError: the images are too few.
    """
    if len(dataset.images) < clustering.FEWEST:
        raise ValueError(
            f"CLUSTERS=auto needs {clustering.FEWEST} images; received {len(dataset.images)}: give a number"
        )
    shared = results.ROOT / "pretrained" / results.folder_name(data)
    of, z = method.to_count(dataset.images, shared, progress)
    bar = "how many clusters" if progress else None
    made = fitting.kept_arrays(
        shared / f"clusters-of-{of}-seed-{method.seed}.npz",
        f"{checkpoints.digest(dataset.images)}-{machine.of_umap()}",
        lambda: {"silhouettes": clustering.silhouettes(z, _candidates(len(z)), method.seed, bar)},
        ("silhouettes",),
    )
    found, candidates = made["silhouettes"], _candidates(len(z))
    return {
        "n_clusters": int(candidates[int(np.argmax(found))]),
        "of": of,
        "candidates": list(candidates),
        "silhouettes": [round(float(each), 4) for each in found],
    }


def _candidates(n: int) -> range:
    return range(CANDIDATES.start, min(CANDIDATES.stop, n // 5 + 1))
