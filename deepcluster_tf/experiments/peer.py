"""One fit of ClustPy's, carried out by the Python of an environment of its own: nothing of this package is imported."""

import inspect
import json
import resource
import sys
import time
from importlib import metadata

import numpy as np

_NEIGHBORS = {"n_neighbors": 20, "min_dist": 0.0}


def fit(how: dict) -> dict:
    """Fit an algorithm of ClustPy's.

    Args:
        how: "images", the name of a file of float32 (n, pixels) in 0..1, "algorithm", "n_clusters", "seed", "threads",
            and "epochs", those that are not the library's own by ClustPy's name for them.

    Returns:
        "clusters", int (n,), "seconds" of the fit, "peak_gib" of the process's memory, and "versions", as JSON.
    """
    import clustpy.deep
    import torch

    torch.set_num_threads(how["threads"])
    algorithm, settings = getattr(clustpy.deep, how["algorithm"]), dict(how["epochs"])
    if "manifold_class" in inspect.signature(algorithm).parameters:
        from umap import UMAP

        # scikit-learn's t-SNE, the default, refuses ten dimensions; these settings are those of N2D's authors
        settings |= {"manifold_class": UMAP, "manifold_params": {"n_components": how["n_clusters"], **_NEIGHBORS}}
    images, start = np.load(how["images"]), time.perf_counter()
    fitted = algorithm(n_clusters=how["n_clusters"], random_state=how["seed"], **settings).fit(images)
    seconds, kibibytes = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    versions = {name: metadata.version(name) for name in ("clustpy", "torch")}
    clusters = np.asarray(fitted.labels_, np.int64)
    return {
        "clusters": clusters, "seconds": seconds, "peak_gib": kibibytes / 2**20, "versions": json.dumps(versions)
    }  # fmt: skip


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    np.savez(asked["to"], **fit(asked))
