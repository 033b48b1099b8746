"""UMAP and a Gaussian mixture: N2D, "not too deep" clustering (McConville et al. 2019). NumPy in, NumPy out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from tqdm.auto import tqdm

from deepcluster_tf.clustering.partitions import gaussian_mixture

FEWEST = 50  # embeddings from which UMAP has something to go by


@dataclass(kw_only=True)
class N2D:
    """Embeddings -> their principal components -> UMAP -> a mixture, which places new embeddings too.

    Args:
        n_clusters: number of clusters.
        n_components: principal components that UMAP sees, where the embeddings have more values.
        dimensions: of UMAP.
        neighbors: of UMAP; fewer where there are few embeddings.
        n_init: starts of the mixture, of which the likeliest is kept.
        seed: of everything random.

    Attributes after `fit`:
        labels_: int64 (n,). starts_: the clusters of each start, the likeliest first.
        density_: float (n,), the logarithm of the mixture's density at each embedding.
        probabilities_: float (n, n_clusters), of each embedding's cluster.
        umap_, pca_, mixture_: fitted; pca_ is None where there was nothing to reduce.
    """

    n_clusters: int = 10
    n_components: int = 50
    dimensions: int = 10
    neighbors: int = 20
    n_init: int = 5
    seed: int = 0

    def fit(self, embeddings: np.ndarray, progress: str | None = None) -> N2D:
        """Fit to embeddings, float (n, d), n > `dimensions` + 1; `progress` names the bar to show."""
        with warnings.catch_warnings(), tqdm(total=2, desc=progress, disable=progress is None, leave=False) as bar:
            warnings.simplefilter("ignore")
            placed = self.place(embeddings)
            bar.update()
            starts = [gaussian_mixture(placed, self.n_clusters, 1, self.seed + i) for i in range(self.n_init)]
            bar.update()
        starts.sort(key=lambda mixture: -mixture.lower_bound_)
        self.mixture_ = starts[0]
        self.starts_ = [mixture.predict(placed) for mixture in starts]
        self.labels_, self.density_ = self.starts_[0], self.mixture_.score_samples(placed)
        self.probabilities_ = self.mixture_.predict_proba(placed)
        return self

    def place(self, embeddings: np.ndarray) -> np.ndarray:
        """Fit principal components and UMAP alone; where they put the embeddings, float (n, dimensions or fewer)."""
        try:
            from umap import UMAP  # which compiles itself for seconds
        except ModuleNotFoundError as error:
            raise ValueError(
                "UMAP comes from the package umap-learn: expected it installed (pip install umap-learn)"
            ) from error

        reduced = min(self.n_components, len(embeddings))
        self.pca_ = PCA(reduced, random_state=self.seed).fit(embeddings) if embeddings.shape[1] > reduced else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed takes its parallel threads
            self.umap_ = UMAP(
                n_components=min(self.dimensions, len(embeddings) - 2),
                n_neighbors=min(self.neighbors, len(embeddings) - 1),
                min_dist=0.0,
                random_state=self.seed,
            ).fit(self._reduced(embeddings))
        return self.umap_.embedding_

    def predict(self, embeddings: np.ndarray) -> np.ndarray:
        """Clusters, int64 (m,), of new embeddings, float (m, d)."""
        return self.mixture_.predict(self.umap_.transform(self._reduced(embeddings)))

    def _reduced(self, embeddings: np.ndarray) -> np.ndarray:
        return embeddings if self.pca_ is None else self.pca_.transform(embeddings)
