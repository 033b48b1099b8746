"""Clusters of the latent space take names: the hierarchy and the confidences of the VAE with named clusters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf import clustering, fitting
from deepcluster_tf.annotation import Answer, Question
from deepcluster_tf.files import read_npz, remove, replacing, verify
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.networks import to_unit

NEAREST = 8  # real images shown beside a centre
ELBOW = range(4, 29)  # numbers of clusters among which the elbow is looked for


def confidence(center_confidence, distances, a: float = 5.0, decay: str = "exponential"):
    """The confidence w_n = p_c exp(-a d_n) of an image's label (VAE with named clusters, eq. 2).

    Args:
        center_confidence: p_c in 0..1, what the annotator says of the centre.
        distances: float (n,), d_n, 0 or more.
        a: the rate of the exponential decay; of "gaussian", w = p_c exp(-d^2 / (2 a^2)), the width.
        decay: "exponential" as the paper prints, or "gaussian".

    Returns:
        float (n,) in 0..1.
    """
    exponent = -a * distances if decay == "exponential" else -np.square(distances / a) / 2
    return center_confidence * np.exp(exponent)


@dataclass(frozen=True)
class Partition:
    """A clustering of some points.

    Attributes:
        centers: float (k, d).
        assigned: int (n,).
        closeness: float (n,) in 0..1, how sure the cluster is: exp(-a d), or the mixture's posterior.
    """

    centers: np.ndarray
    assigned: np.ndarray
    closeness: np.ndarray


def partition(z: np.ndarray, k: int, *, by: str, distance: str, decay: str, a: float, seed: int) -> Partition:
    """Cluster points into k (VAE with named clusters, 3.3; the mixture is of its authors' later report).

    Args:
        z: float (n, d), n >= k.
        k: number of clusters.
        by: "kmeans", or "mixture", whose posterior takes the place of the decay.
        distance: of k-means, "euclidean", or "mahalanobis" under the covariance of the cluster's own points.
        decay, a: as `confidence` takes them.
        seed: of the starts.
    """
    if by == "mixture":
        mixture = clustering.gaussian_mixture(z, k, n_init=1, seed=seed)
        posterior = mixture.predict_proba(z.astype(np.float64))
        return Partition(mixture.means_, posterior.argmax(axis=1), posterior.max(axis=1))
    found = clustering.kmeans(z, k, n_init=5, seed=seed)
    distances = np.linalg.norm(z - found.cluster_centers_[found.labels_], axis=1)
    if distance == "mahalanobis":
        distances = np.empty(len(z))
        for j in range(k):
            rows = found.labels_ == j
            if rows.any():  # fewer different points than clusters leave some empty
                distances[rows] = mahalanobis(z[rows], found.cluster_centers_[j])
    return Partition(found.cluster_centers_, found.labels_, confidence(1.0, distances, a, decay))


def mahalanobis(z: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Distances from a centre under the points' own covariance (VAE with named clusters, its authors' later report).

    Args:
        z: float (n, d), the points of one cluster.
        center: float (d,).

    Returns:
        float64 (n,), 0 or more: sqrt((z - center)^T S^-1 (z - center)), with the pseudo-inverse where S has no inverse.
    """
    differences = (z - center).astype(np.float64)
    covariance = differences.T @ differences / len(z)
    return np.sqrt(np.maximum(np.einsum("nd,de,ne->n", differences, np.linalg.pinv(covariance), differences), 0))


def top_down(
    z: np.ndarray,
    images: np.ndarray,
    k: int,
    *,
    epoch: int,
    depth: int,
    decode: Callable[[np.ndarray], np.ndarray],
    ask: Callable[[list[Question]], list[Answer]],
    **how,
) -> tuple[np.ndarray, np.ndarray]:
    """Name clusters; split those that show no class, and name their parts (VAE with named clusters, 3.3).

    Args:
        z: float (n, d), embeddings.
        images: (n, height, width, channels), the images of the embeddings.
        k: number of clusters, and of the parts of a cluster that is split.
        epoch: after which it is.
        depth: levels of clusters; 1 splits none.
        decode: centres (k, d) -> images (k, height, width, channels).
        ask: questions -> answers.
        how: as `partition` takes it.

    Returns:
        labels, int64 (n,), -1 where no name was found, and weights w, float32 (n,), 0 there.
    """
    labels, weights = np.full(len(z), -1), np.zeros(len(z), np.float32)
    nameless = [("", np.arange(len(z)))]
    for level in range(1, depth + 1):
        groups, questions = [], []
        for name, rows in nameless:
            if len(rows) < max(k, 2):
                continue  # too few to split: they stay without a name
            found = partition(z[rows], k, **how)
            pictures = decode(np.float32(found.centers))
            for j in range(k):
                inside = found.assigned == j
                if not inside.any():  # a component to which no image belongs most: nothing to name
                    continue
                groups.append((f"{name}_{j}" if name else str(j), rows[inside], found.closeness[inside]))
                nearest = rows[np.argsort(np.linalg.norm(z[rows] - found.centers[j], axis=1), kind="stable")[:NEAREST]]
                how_it_is = {"splits": level < depth, "decoded": True, "learns": True}
                questions.append(
                    Question(epoch, groups[-1][0], pictures[j], images[nearest], int(inside.sum()), **how_it_is)
                )
        nameless = []
        for (name, rows, closeness), answer in zip(groups, ask(questions) if questions else []):
            if answer.label < 0:
                nameless.append((name, rows))
                continue
            labels[rows], weights[rows] = answer.label, answer.confidence * closeness
    return labels, weights


class Naming(keras.callbacks.Callback):
    """After each epoch: name clusters, and give the names and their weights to the model.

    What it gives lies in variables of the model, and so in its checkpoints: a resumed fit asks nothing twice.
    """

    def __init__(self, method, images, ledger, directory, steps, score=None, progress=False):
        """The callback of one fit.

        Args:
            method: a VAE whose networks are built.
            images: (n, height, width, channels) that it is fitted to.
            ledger: who is asked, or None for nobody.
            directory: where the decoded centres are kept, or None.
            steps: iterations an epoch.
            score: named numbers to report after an epoch.
            progress: write a line after each epoch.
        """
        super().__init__()
        self.method, self.images, self.ledger, self.steps = method, images, ledger, steps
        self.directory = directory
        self.path = directory and directory / "centers.npz"
        self.score, self.progress = score, progress
        self.centers = {}

    def begin(self, done: int, history: fitting.History) -> None:
        """In a resumed fit, take up the pictures of the centres so far."""
        if done and self.path and self.method.query == "centers":
            verify(self.path)
            self.centers = read_npz(self.path)

    def on_train_begin(self, logs=None):
        first = self.method.unsupervised_epochs
        if self.progress and self.ledger and first > 1:
            tqdm.write(f"nobody is asked before the end of epoch {first}: until then the network learns to draw")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._began = epoch + 1, time.perf_counter()
        self._tell(None)

    def on_train_batch_end(self, batch, logs=None):
        self._tell((time.perf_counter() - self._began) * (self.steps - batch - 1) / (batch + 1))

    def _tell(self, seconds: float | None) -> None:
        if self.ledger:
            self.ledger.training(self._epoch, self.method.epochs, seconds, self.method.unsupervised_epochs)

    def on_epoch_end(self, epoch, logs=None):
        start = time.perf_counter()
        asks = self._asks(epoch + 1)
        if self.directory and asks:
            self._keep_what_draws(epoch + 1)
        logs.update(self._name(epoch + 1))
        logs["naming_seconds"] = round(time.perf_counter() - start, 3)
        logs.update(self.score() if self.score else {})
        if self.progress:
            shown = [name for name in logs if "seconds" not in name and (asks or name not in ("named", "weight"))]
            tqdm.write(f"epoch {epoch + 1}  " + "  ".join(f"{name} {logs[name]:.4g}" for name in shown))

    def _keep_what_draws(self, epoch: int) -> None:
        """Keep the weights that draw the pictures, or take those that drew them when the last process died.

        Answers take a person's time, and the epoch before them is not in a checkpoint yet. Trained again elsewhere it
        would differ in its last digits, and so would the pictures.
        """
        for old in range(1, epoch):  # not those of later epochs: a checkpoint may be older than the last answers
            remove(self.directory / f"asked-{old}.weights.h5")
        path = self.directory / f"asked-{epoch}.weights.h5"
        if not checkpoints.restore(self.model, path):
            checkpoints.save_weights(self.model, path, checked=True)

    def _asks(self, epoch: int) -> bool:
        return self.ledger is not None and self.method.unsupervised_epochs <= epoch < self.method.epochs

    def _name(self, epoch: int) -> dict[str, float]:
        """Cluster, ask, and set the model's labels and weights; returns what a row of the history says of it."""
        method = self.method
        z = method.transform(self.images)
        some = np.sort(
            np.random.default_rng(method.seed).permutation(len(z))[:10_000]
        )  # the files may be in class order
        k = method.n_clusters or clustering.elbow(z[some], ELBOW, method.seed)
        asks = self._asks(epoch)
        if method.query == "centers":
            how = {name: getattr(method, name) for name in ("distance", "decay", "a", "seed")}
            how |= {
                "by": method.clustering,
                "epoch": epoch,
                "depth": method.depth if asks else 1,
                "decode": method.decode,
            }
            labels, weights = top_down(z, self.images, k, ask=lambda asked: self._ask(asked, asks), **how)
        else:
            labels, weights = self._by_images(k, epoch, asks)
        self.model.labels.assign(np.maximum(labels, 0))
        self.model.weights_of_labels.assign(weights)
        return {
            "clusters": k,
            "annotations": self.ledger.shown(epoch) if self.ledger else 0,
            "named": float(np.mean(labels >= 0)),
            "weight": float(weights.sum() / max(np.sum(labels >= 0), 1)),
        }

    def _ask(self, questions: list[Question], asks: bool) -> list[Answer]:
        """The annotator's answers, or none where nobody is asked; the clusters' pictures are kept either way."""
        answers = self.ledger.ask(questions) if asks else [Answer(-1, 0.0)] * len(questions)
        if "_" not in questions[0].cluster:
            pictures = np.stack([question.picture for question in questions])
            self.centers[f"pictures_{questions[0].epoch}"] = np.uint8(np.round(255 * pictures))
            self.centers[f"labels_{questions[0].epoch}"] = np.int16([answer.label for answer in answers])
            if self.path:
                with replacing(self.path, checked=True) as part:
                    np.savez_compressed(part, **self.centers)
        return answers

    def _by_images(self, k: int, epoch: int, asks: bool) -> tuple[np.ndarray, np.ndarray]:
        """Labels and weights where single images are shown, k after each epoch: those of all epochs so far."""
        labels, weights = np.full(len(self.images), -1), np.zeros(len(self.images), np.float32)
        if self.ledger is None:
            return labels, weights
        known = [int(name.split()[1]) for name in self.ledger.answers(epoch - 1)]
        k = min(k, len(labels) - len(known))
        if asks and k:
            doubt = np.random.default_rng((self.method.seed, epoch)).uniform(size=len(labels))
            if self.method.query == "uncertain":
                doubt = 1 - self.method.predict_proba(self.images).max(axis=1)
            doubt[known] = -1
            nothing = self.images[:0]
            self.ledger.ask(
                [
                    Question(epoch, f"image {row}", to_unit(self.images[row]).numpy(), nothing, 1, learns=True)
                    for row in np.argsort(-doubt, kind="stable")[:k]
                ]
            )
        for name, answer in self.ledger.answers(epoch).items():
            if answer.label >= 0:
                row = int(name.split()[1])
                labels[row], weights[row] = answer.label, answer.confidence
        return labels, weights
