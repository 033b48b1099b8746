"""DEC on a contrastive encoder: DCEC's clustering layer, and the contrastive loss in place of the reconstruction.

Deep embedded clustering (Xie et al., 2016) as SDCEC trains it, target distribution, known labels and all; what holds
the embeddings together is not a decoder but that views of one image stay together.

Deviations from the paper:
1. DEC and DCEC start from an autoencoder; here from the contrastive encoder of SCAN, which is small enough for two
   cores. The contrastive loss stays, with a weight of 1, as the reconstruction does in DCEC.
2. Assignments of moved images are drawn towards a target distribution made of the images as they are (DEC-DA). It is
   renewed once an epoch.
3. Student's t with one degree of freedom has a scale, an encoding that is compared by angles has none: before
   clustering it is scaled, so that the mean squared distance from the nearest centre of k-means is 1. The contrastive
   loss does not change by that: its projector begins with batch normalisation, and without one (the small network of a
   first look) it compares angles.
4. Adam with a learning rate of 0.0001, a tenth of the pretext's; the papers have SGD with 0.1, and Adam with 0.001.
5. All clusters have the same weight in the target distribution. With the papers' target (`even=False`), in a trial on
   CIFAR-10, the largest cluster grew from renewal to renewal and the smallest shrank.
6. With a `patience`, 0 unless it is named, clustering also stops once no fewer assignments change than at the renewal
   before; the papers stop by the tolerance alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from deepcluster_tf import clustering, fitting, losses
from deepcluster_tf.files import copy
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusteringLayer
from deepcluster_tf.methods import pretext
from deepcluster_tf.methods.base import EncodingMethod, part
from deepcluster_tf.methods.renewal import TargetRenewal
from deepcluster_tf.methods.siamese import AllViews, PairModel, Siamese
from deepcluster_tf.settings import setting


@dataclass(kw_only=True, eq=False)
class DEC(EncodingMethod):
    """Deep embedded clustering of what a contrastive encoder has learned, with or without some known labels.

    Attributes after `fit`:
        encoder_: Keras model. kmeans_, mixture_: fitted to its embeddings. assigners_: these as Keras layers by name,
            and "dec", the clustering layer.
        labels_: int64 (n,). history_: a list of dicts, one a renewal of the target distribution, from iteration 0 on.
        notices_: what went otherwise than planned. converged_: whether the tolerance or the
            patience stopped it.
    """

    n_clusters: int = setting(10, "number of clusters; at least the classes that the labels name", low=2)
    network: str = setting(
        "full", "the contrastive encoder: full, or small, for a first look", choices=("full", "small")
    )
    pretext_epochs: int = setting(100, "of the contrastive encoder", low=0)
    flip: bool = setting(True, "let left be right in every second view")
    lam: float = setting(1.0, "lambda, the weight of the clustering loss; the contrastive loss has 1", low=0, high=1e6)
    even: bool = setting(True, "draw the clusters towards even sizes; the paper's target does so in part")
    batch_size: int = setting(256, "images a step", low=2)
    epochs: int = setting(20, "of clustering, at most", low=0)
    learning_rate: float = setting(1e-4, "of clustering", low=1e-7, high=1)
    tolerance: float = setting(0.001, "delta: fewer changed assignments than this share stop it", low=0, high=1)
    patience: int = setting(0, "renewals in a row that change no fewer assignments and stop it; 0: never", low=0)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=0
    )
    assign_by: str = setting("dec", "whose clusters `predict` gives", choices=("dec", "mixture", "kmeans"))
    n_init: int = setting(20, "starts of k-means, also of the one that gives the first centres", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    starts_a_mixture = 5
    whole_batches = True

    def _check(self, images):
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"views need images of one or three channels; received {images.shape[-1]}")

    def steps_of(self, epochs: str, n: int) -> int:
        """As of every method; the pretext has batches of its own."""
        of_pretext = epochs == "pretext_epochs"
        return self._pretext().steps_of("epochs", n) if of_pretext else super().steps_of(epochs, n)

    def _pretext(self) -> Siamese:
        return pretext.pretext(self.network, self.pretext_epochs, self.flip, self.seed)

    def _build(self, image_shape):
        start = self._pretext()
        start._build(image_shape)
        self._take(start)

    def _take(self, start: Siamese) -> None:
        self.encoder_ = pretext.encoder(start)
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()

    def _build_assigners(self):
        super()._build_assigners()
        self._add_assigner("dec", ClusteringLayer(self.n_clusters, name="assignments"))

    def _learn(self, images, directory, progress, strategy):
        labels = self._take_labels(self._labels, len(images))
        checkpoints.expect(directory and directory / "clustering", seed=self.seed, n_clusters=self.n_clusters)
        start = self._pretext()
        self._pretext_seconds = pretext.learn(start, images, self._shared, progress, strategy, self._callbacks)
        self._take(start)
        self._scale(self.transform(images))
        place = directory and directory / "clustering"
        if place:
            weights = checkpoints.flat(self.encoder_.get_weights())
            checkpoints.claim(place, self._made_of(), images=images, labels=labels, encoder=weights)
        batch_size = min(self.batch_size, len(images))
        steps = len(images) // batch_size
        model = self._model(start, steps, images)
        how = {
            "tolerance": self.tolerance,
            "n_init": self.n_init,
            "seed": self.seed,
            "progress": progress,
            "beside": "pairs",
            "patience": self.patience,
            "target": losses.even_target if self.even else losses.target_distribution,
        }
        renewal = TargetRenewal(self.encoder_, self.assigners_["dec"], images, labels, **how)
        rows = lambda iteration: fitting.shuffled_rows(len(images), batch_size, self.seed, iteration, whole=True)
        self.history_ = self._train(model, rows, steps, self.epochs * steps, place, "clustering", progress, renewal)
        if place:
            copy(place / "history.csv", directory / "history.csv")
        self.n_iter_ = self.history_[-1]["iteration"]
        self.converged_ = renewal.converged(self.history_[-1]) or renewal.stalled()
        self._found = renewal.notices(self.history_)

    def _scale(self, z: np.ndarray) -> None:
        """Make the mean squared distance of embeddings z from the nearest centre of k-means 1."""
        inertia = clustering.kmeans(z, self.n_clusters, 1, self.seed).inertia_ / len(z)
        last = self.encoder_.get_layer("embedding")
        last.set_weights([weights / np.sqrt(max(inertia, 1e-12)) for weights in last.get_weights()])

    def _model(self, start: Siamese, steps: int, images: np.ndarray) -> DECModel:
        """The contrastive model, with assignments of the first view beside the pairs."""
        inputs, colours = self.encoder_.input, images.shape[-1] == 3
        z, other = (self.encoder_(start.view(number, colours)(inputs)) for number in (0, 1))
        project = pretext.projected(start)
        pairs = AllViews(start.temperature, name="pairs")([project(z), project(other)])
        model = DECModel(inputs, {"pairs": pairs, "assignments": self.assigners_["dec"](z)}, name="dec_model")
        model.compile(
            self._optimizer(lambda: keras.optimizers.Adam(self.learning_rate)),
            {"pairs": losses.nt_xent, "assignments": losses.kl_divergence},
            loss_weights={"pairs": 1.0, "assignments": self.lam},
            steps_per_execution=fitting.steps_per_call(steps),
            jit_compile=False,
        )
        model.hold(images, keras.Variable(np.zeros((len(images), self.n_clusters), "float32"), trainable=False))
        return model

    def _cluster(self, images, progress):
        super()._cluster(images, progress)
        self.notices_ += self._found
        self.seconds_["pretext"] = self._pretext_seconds


class DECModel(PairModel):
    """A resident model of pairs of views, and of the target distribution of the first."""

    def _batch(self, rows):
        images, targets = super()._batch(rows)
        return images, {"pairs": targets["pairs"], "assignments": ops.take(self.target, rows, axis=0)}
