"""The target distribution of deep embedded clustering, renewed over all images while training goes on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from tqdm.auto import tqdm

from deepcluster_tf import clustering, fitting, losses
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusteringLayer

Score = Callable[[np.ndarray], dict[str, float]]


class TargetRenewal(keras.callbacks.Callback):
    """Renew the target distribution over all images every T iterations, and stop once assignments stand still.

    Whatever it keeps follows from the weights, and whether it had converged from the history: a resumed fit needs no
    more than those.
    """

    def __init__(
        self,
        encoder: keras.Model,
        layer: ClusteringLayer,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        tolerance: float,
        n_init: int,
        seed: int,
        score: Score | None = None,
        progress: bool = False,
        beside: str = "reconstruction",
        patience: int = 0,
        target: Callable = losses.target_distribution,
    ):
        """The callback of one fit.

        Args:
            encoder: images to embeddings.
            layer: embeddings to soft assignments.
            images: (n, height, width, channels), uint8 in 0..255 or float32 in 0..1.
            labels: int (n,), the cluster an image is known to belong to, -1 where unknown.
            tolerance: delta, the share of changed assignments below which training stops.
            n_init, seed: of k-means.
            score: clusters (n,) -> named numbers to report.
            progress: write a line at each renewal.
            beside: the output whose loss stands beside that of the assignments.
            patience: renewals one after the other that change no fewer assignments than the one before, after which
                training stops; 0 for never.
            target: soft assignments of all images to their target distribution, both (n, n_clusters).
        """
        super().__init__()
        self.layer, self.images, self.labels = layer, images, labels
        self.tolerance, self.n_init, self.seed = tolerance, n_init, seed
        self.score, self.progress, self.beside, self.target = score, progress, beside, target
        self.patience, self.changes = patience, []
        self.embed = fitting.batched(encoder)
        self.assigned = np.full(len(images), -1)

    def begin(self, done: int, history: fitting.History) -> None:
        """Set the centres and the first target; in a resumed fit, find the place where it stood."""
        if done:
            self._renew(relocate=False)  # what was relocated then is so in the checkpoint
            self.changes = [row["changed"] for row in history.rows]
            self.model.stop_training = self.converged(history.rows[-1]) or self.stalled()
            return
        embeddings = self.embed(self.images, "encoding" if self.progress else None)
        centers, missing = clustering.initial_centers(
            embeddings, self.labels, self.layer.n_clusters, self.n_init, self.seed
        )
        if missing and len(missing) < self.layer.n_clusters:
            warnings.warn(self._without_labels(missing), stacklevel=2)
        self.layer.cluster_centers.assign(centers)
        lossless = dict.fromkeys(("loss", "assignments_loss", f"{self.beside}_loss"), np.nan)
        history.add({"epoch": 0, "iteration": 0, **lossless, **self._renew(embeddings)})
        self.changes = [history.rows[-1]["changed"]]
        self._report(history.rows[-1])

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._renew())
        row = {"iteration": checkpoints.iterations_done(self.model), **logs}
        self.changes.append(row["changed"])
        self.model.stop_training |= self.converged(row) or self.stalled()  # a callback may have set it
        self._report(row)

    @staticmethod
    def _without_labels(classes) -> str:
        return f"no labelled image of class {', '.join(map(str, classes))}: those centres start from k-means"

    def notices(self, rows: list[dict]) -> list[str]:
        """What a reader of the result should know, in words; it follows from labels and history alone."""
        missing = np.setdiff1d(np.arange(self.layer.n_clusters), self.labels)
        said = [self._without_labels(missing)] if 0 < len(missing) < self.layer.n_clusters else []
        return said + [
            f"iteration {row['iteration']}: {row['restarted']} empty cluster(s) restarted"
            for row in rows
            if row["restarted"]
        ]

    def converged(self, row: dict) -> bool:
        """Whether fewer than the share `tolerance` of the assignments changed in this renewal."""
        return row["iteration"] > 0 and row["changed"] < self.tolerance and not row["restarted"]

    def stalled(self) -> bool:
        """Whether the last `patience` renewals changed no fewer assignments than the one before each of them."""
        last = self.changes[-self.patience - 1 :]
        return 0 < self.patience < len(self.changes) and all(a <= b for a, b in zip(last, last[1:], strict=False))

    def _renew(self, embeddings=None, relocate=True) -> dict[str, float]:
        start = time.perf_counter()
        embeddings = self.embed(self.images) if embeddings is None else embeddings
        encoded = time.perf_counter()
        q = self.layer(embeddings)
        assigned = ops.convert_to_numpy(q).argmax(axis=1)
        centers, empty = clustering.relocate_empty(
            embeddings, ops.convert_to_numpy(self.layer.cluster_centers), assigned
        )
        if len(np.unique(assigned)) == 1:
            raise RuntimeError(
                f"all {len(assigned)} images are in cluster {assigned[0]}: the clustering has collapsed. Expected "
                f"{len(centers)} clusters; lower lambda or n_clusters, or pretrain longer"
            )
        if empty and relocate:
            warnings.warn(
                f"cluster {empty} is empty: restarted at the images farthest from their centres", stacklevel=2
            )
            self.layer.cluster_centers.assign(centers)
            q = self.layer(embeddings)
            assigned = ops.convert_to_numpy(q).argmax(axis=1)
        self.model.target.assign(losses.supervised_target(self.target(q), self.labels))
        changed = float(np.mean(assigned != self.assigned))
        self.assigned = assigned
        sizes = np.bincount(assigned, minlength=len(centers))
        return {
            **(self.score(assigned) if self.score else {}),
            "changed": changed,
            "smallest": sizes.min(),
            "largest": sizes.max(),
            "restarted": len(empty),
            "encoding_seconds": round(encoded - start, 3),
            "renewal_seconds": round(time.perf_counter() - start, 3),
        }

    def _report(self, row):
        if self.progress:
            scores = "".join(f"{name.upper()} {row[name]:.4f}  " for name in ("acc", "nmi") if name in row)
            tqdm.write(
                f"iteration {row['iteration']:>6,}  {scores}changed {row['changed']:7.2%}  "
                f"clusters {row['smallest']:,} to {row['largest']:,} images  "
                + (
                    f"{self.beside} {row[f'{self.beside}_loss']:.4f}  clustering {row['assignments_loss']:.4f}"
                    if row["iteration"]  # before the first step there is no loss
                    else ""
                )
            )
