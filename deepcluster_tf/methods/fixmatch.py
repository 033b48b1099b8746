"""FixMatch: few labels, and a network's own answers on weak views as targets of strong ones (Sohn et al., 2020).

It is the idea of SDCEC, known labels set among targets that the network makes itself, on views of the images: where the
network is sure of a weak view, the answer becomes the label of a strong view, unless the label is known; every step
sees labelled images too. Without any label it begins with the typical images of a clustering that needs no network.

Deviations from the paper:
1. A small network and a few thousand steps, for two cores, where the paper has a Wide-ResNet and a million; no moving
   average of the weights, for the learning rate falls to 0.
2. Three other images for each labelled one, where the paper has seven, and fewer where many labels are known, down to
   one (`labelled_count`); the threshold is 0.9, not 0.95, and the learning rate 0.04, not 0.03. The weights' decay is
   apart from the gradient (Keras's), and so not multiplied by the momentum, as it is in the paper's code.
3. Before the threshold an answer is divided by the mean of the answers so far, and multiplied by the shares of the
   classes among the labels, as in ReMixMatch: with few labels one class would swallow others.
4. Strong views are those of our contrastive methods and an erased rectangle, not RandAugment. A strong view of an image
   whose label is known learns that label, where the paper learns the network's answer.
5. Without labels, those images count as labelled that are the most typical of the clusters of UMAP and a Gaussian
   mixture (N2D) on the pixels; the paper always has labels.
6. These choices were made on labels that a user has: weak views of labelled images, as in the paper, on 6,300 labels of
   one with 10 % of Fashion-MNIST's, scored on 700 others; known labels of strong views, up to one labelled image for
   each other one, and the last of the six convolutions, on 25,000 of one with 50 %, scored on 10,000 others. The steps
   take less time than SDCEC does.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from deepcluster_tf import clustering, fitting, losses, machine, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusterHead, random_view
from deepcluster_tf.methods.base import EncodingMethod, part
from deepcluster_tf.methods.base.given import require_in_memory
from deepcluster_tf.networks import to_unit
from deepcluster_tf.settings import setting

EPOCH = 100  # steps between two lines of the history
SHIFT = 0.07  # of a weak view, as a share of the side: two pixels of 28
ROTATION, CUT, ERASED = 0.055, 0.125, (0.02, 0.2)  # of a strong view: turns, half of the largest cut, share erased
MEMORY = 0.99  # of the mean of the answers, a step


@dataclass(kw_only=True, eq=False)
class FixMatch(EncodingMethod):
    """A classifier that learns from few labels, or from a clustering's typical images, and from its own sure answers.

    Attributes after `fit`:
        encoder_: Keras model. kmeans_, mixture_: fitted to its embeddings. assigners_: these as Keras layers by name,
            and "fixmatch", the head.
        labels_: int64 (n,). history_: a list of dicts, one every hundred steps. notices_: what went otherwise than
            planned.
    """

    n_clusters: int = setting(10, "number of clusters", low=2)
    typical: float = setting(
        0.5, "share of each cluster that counts as labelled, where no label is known", low=0.01, high=1
    )
    flip: bool = setting(True, "let left be right in every second view")
    embedding_dim: int = setting(96, "values of the encoding", low=1)
    filters: tuple[int, ...] = setting((24, 48, 48, 96, 96, 192), "of the encoder's convolutions, one each", low=1)
    strides: tuple[int, ...] = setting(
        (1, 2, 1, 2, 1, 2),
        "of the convolutions; the last one holds for the rest; 1 where a side would shrink to one place",
        low=1,
    )
    labelled: int = setting(64, "labelled images a step, and more in place of others where many are known", low=1)
    batch_size: int = setting(192, "other images a step", low=1)
    iterations: int = setting(6000, "training steps", low=0)
    confidence: float = setting(0.9, "above which an answer becomes a label", low=0, below=1)
    learning_rate: float = setting(0.04, "at first, of stochastic gradient descent; a cosine", low=1e-6, high=10)
    weight_decay: float = setting(5e-4, "of the network", low=0, high=1)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=0
    )
    assign_by: str = setting("fixmatch", "whose clusters `predict` gives", choices=("fixmatch", "mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture in the end", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    encoder: keras.Model | None = part("any Keras model, images to embeddings (n, d), in place of the method's own")
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return ["umap-learn"]  # where it is told no label

    def _check(self, images):
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"views need images of one or three channels; received {images.shape[-1]}")

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        strides = strides_of(min(image_shape[:2]), len(self.filters), self.strides)
        usual = lambda: networks.strided_encoder(
            image_shape, self.embedding_dim, self.filters, strides, normalised=True, momentum=0.99
        )
        self.encoder_ = self._network("encoder", image_shape, usual)
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()

    def _build_assigners(self):
        super()._build_assigners()
        self._add_assigner("fixmatch", ClusterHead(self.n_clusters, name="fixmatch"))

    # ------------------------------------------------------------------ whose labels are known

    def _known(self, images, told, directory, progress) -> tuple[np.ndarray, np.ndarray]:
        """The labels to learn from, int64 (n,), -1 where unknown, and the shares of the classes, float32."""
        labels = everyone = told
        if (told >= 0).any() and self.typical != self.defaults()["typical"]:
            raise ValueError("typical (TYPICAL) has no effect where labels are known: leave it out")
        if (told < 0).all():
            place = directory and directory / f"n2d-{self.n_clusters}-seed-{self.seed}.npz"
            make = lambda: self._typical(images, "UMAP and a mixture" if progress else None)
            made_of = f"{checkpoints.digest(images)}-{machine.of_umap()}"
            start = fitting.kept_arrays(place, made_of, make, ("labels", "density"))
            everyone = start["labels"]
            labels = np.where(most_typical(everyone, start["density"], self.typical), everyone, -1)
        counts = np.bincount(everyone[everyone >= 0], minlength=self.n_clusters)
        return labels, np.float32(counts / counts.sum())

    def _typical(self, images, bar) -> dict[str, np.ndarray]:
        require_in_memory(images)
        pixels = np.asarray(to_unit(images)).reshape(len(images), -1)
        found = clustering.N2D(n_clusters=self.n_clusters, seed=self.seed).fit(pixels, bar)
        return {"labels": found.labels_, "density": found.density_}

    def _cluster(self, images, progress):
        super()._cluster(images, progress)
        self.notices_ += self._found

    # ------------------------------------------------------------------ learning

    def _learn(self, images, directory, progress, strategy):
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            raise ValueError("FixMatch learns on one device, for all see one mean of its answers: expected no strategy")
        told = self._take_labels(self._labels, len(images))
        labels, shares = self._known(images, told, self._shared, progress)
        missing = np.flatnonzero(shares == 0)
        self._found = [f"no label names cluster {cluster}, so that nothing is learned of it" for cluster in missing]
        if directory:
            checkpoints.claim(directory, self._made_of(), images=images, labels=labels)
        self._build(images.shape[1:])
        self.assigners_["fixmatch"].trainable = True
        step = self.labelled + self.batch_size
        count = labelled_count(self.labelled, step, np.mean(told >= 0))
        batch_size = min(step - count, len(images))
        model = self._model(labels, shares, images.shape[-1] == 3)
        model.told, model.count = ops.convert_to_tensor(told), count
        model.hold(images)
        model.mean.assign(shares)
        rows = lambda iteration: fitting.shuffled_rows(len(images), batch_size, self.seed, iteration, whole=True)
        self.history_ = self._train(model, rows, EPOCH, self.iterations, directory, "fixmatch", progress)
        self.n_iter_ = fitting.iterations_of(self.history_)

    def _model(self, labels, shares, colours: bool) -> MatchingModel:
        images = self.encoder_.input
        head = self.assigners_["fixmatch"]
        model = MatchingModel(images, {"labels": head(self.encoder_(images))}, name="fixmatch")
        model.weak, model.strong = self._views(colours)
        model.answer = lambda x: head(self.encoder_(x, training=True))
        model.known, model.labelled = ops.convert_to_tensor(labels), ops.convert_to_tensor(np.flatnonzero(labels >= 0))
        model.shares, model.confidence, model.seed = shares, self.confidence, self.seed
        model.mean = keras.Variable(shares, trainable=False, name="mean_answer")
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, max(self.iterations, 1))
        decay = self.weight_decay or None
        model.compile(
            self._optimizer(lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)),
            {"labels": "categorical_crossentropy"},
            steps_per_execution=fitting.steps_per_call(EPOCH, self.iterations % EPOCH, most=25),
            jit_compile=False,
        )
        return model

    def _views(self, colours: bool) -> tuple[keras.Sequential, keras.Sequential]:
        """Models that move the images of a batch at random: weakly, and strongly."""
        flips = [layers.RandomFlip("horizontal", seed=self.seed + 1, name="flip")] if self.flip else []
        shift = layers.RandomTranslation(SHIFT, SHIFT, "reflect", seed=self.seed + 2, name="shift")
        moved = random_view(ROTATION, CUT, True, self.seed, "moved", flip=self.flip, colours=colours)
        erased = layers.RandomErasing(1.0, ERASED, value_range=(0, 1), seed=self.seed + 3, name="erased")
        return keras.Sequential([*flips, shift], name="weak"), keras.Sequential([moved, erased], name="strong")


class MatchingModel(fitting.ResidentModel):
    """A resident model of labelled images and others, whose labels are its own sure answers on weak views."""

    def _batch(self, rows):
        seed = ops.stack([self.seed, ops.cast(fitting.count_of(self.optimizer), "int32")])
        drawn = tf.random.stateless_uniform((self.count,), seed, 0, len(self.labelled), "int32")
        labelled = ops.take(self.labelled, drawn)
        theirs, others = self.images_of(labelled), self.images_of(rows)
        # in training mode, for the batch normalisation's running means are of strong views as well as of weak ones
        p = ops.stop_gradient(self.answer(self.weak(others, training=True)))
        targets, sure = answers(p, ops.take(self.told, rows), self.mean, self.shares, self.confidence)
        self.mean.assign(MEMORY * self.mean + (1 - MEMORY) * ops.mean(p, axis=0))
        labels = ops.one_hot(ops.take(self.known, labelled), p.shape[1], dtype=p.dtype)
        # so that the loss is the mean over the labelled images and that over the others, the unsure ones with 0
        n, m = self.count, ops.cast(ops.shape(rows)[0], p.dtype)
        weights = ops.concatenate([ops.full((n,), (n + m) / n), sure * (n + m) / m])
        seen = ops.concatenate([self.weak(theirs, training=True), self.strong(others, training=True)])
        return seen, {"labels": ops.concatenate([labels, targets])}, {"labels": weights}


def answers(p, labels, mean, shares, confidence: float):
    """Targets out of a network's answers on weak views (FixMatch, eq. 4, with ReMixMatch's alignment).

    Known labels stand among them (SDCEC, eq. 5).

    Args:
        p: float (n, n_clusters), answers; rows sum to 1.
        labels: int (n,), -1 where unknown.
        mean: float (n_clusters,), the mean of the answers so far; where it is 0, no answer counts.
        shares: float (n_clusters,), of the classes as far as known.
        confidence: above which an answer counts.

    Returns:
        float (n, n_clusters), one-hot, and float (n,), 1 where the label is known or the answer counts, else 0.
    """
    aligned = ops.divide_no_nan(p * shares, mean)
    aligned = ops.divide_no_nan(aligned, ops.sum(aligned, axis=1, keepdims=True))
    targets = ops.one_hot(ops.argmax(aligned, axis=1), p.shape[1], dtype=p.dtype)
    sure = ops.logical_or(labels >= 0, ops.max(aligned, axis=1) > confidence)
    return losses.supervised_target(targets, labels), ops.cast(sure, p.dtype)


def labelled_count(least: int, step: int, share: float) -> int:
    """How many images of a step are labelled ones: `least`, and more where many are known, up to half of them.

    Args:
        least: where few are known.
        step: images of a step, more than `least`.
        share: of all images whose label is known, in 0..1; of the step it is the square root.
    """
    return int(np.clip(round(step * np.sqrt(share)), least, max(step // 2, least)))


def strides_of(side: int, count: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of so many convolutions, the last one held for the rest, and 1 where a side would shrink to one place.

    Args:
        side: the smaller of the images.
        count: of the convolutions.
        strides: as given.
    """
    found = []
    for stride in [*strides, *[strides[-1]] * count][:count]:
        found.append(stride if side > stride else 1)
        side = -(-side // found[-1])
    return tuple(found)


def most_typical(clusters: np.ndarray, density: np.ndarray, share: float) -> np.ndarray:
    """Whether an image is among the densest share of its cluster, bool (n,); of each cluster one image at least.

    Args:
        clusters: int (n,). density: float (n,). share: in (0, 1].
    """
    chosen = np.zeros(len(clusters), bool)
    for cluster in np.unique(clusters):
        rows = np.flatnonzero(clusters == cluster)
        densest = rows[np.argsort(-density[rows], kind="stable")]
        chosen[densest[: max(round(share * len(rows)), 1)]] = True
    return chosen
