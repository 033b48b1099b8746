"""What the methods share that learn an encoding and then cluster it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from sklearn.decomposition import PCA

from deepcluster_tf import clustering, export, fitting
from deepcluster_tf.layers import ClusteringLayer, MixtureLayer
from deepcluster_tf.methods.base.given import Images, Labels
from deepcluster_tf.methods.base.method import Method, whole_or_nothing


class EncodingMethod(Method):
    """Base of the methods that learn an encoding and then cluster it by k-means and by a Gaussian mixture.

    A subclass has the settings `n_clusters`, `n_init`, `seed` and `assign_by`. Its `check(images)` refuses what is out
    of range, its `_build(image_shape)` makes `encoder_` and `decoder_` and calls `_build_assigners`, and its
    `_learn(images, directory, progress, strategy)` builds and trains them. After `load`, the layers are there, but not
    `kmeans_` and `mixture_`.
    """

    _learned = (*Method._learned, "n_components_")

    in_stages = False  # whether `fit` takes labels and `score`, and leaves `stages_`
    by_dot_product = False  # whether encodings are compared by their dot product, rather than by their cosine
    starts_a_mixture = 1  # starts of k-means for each start of the mixture
    n_components = 0  # principal components that the mixture sees, at most; 0 for the encodings themselves
    _most_components = math.inf  # as many as images that it is fitted to

    @whole_or_nothing
    def fit(
        self,
        images: Images,
        labels: Labels = None,
        *,
        directory: Path | str | None = None,
        shared: Path | str | None = None,
        progress: bool = True,
        strategy=None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> EncodingMethod:
        """Learn the encoding, then cluster the encodings of the images by k-means and by a Gaussian mixture.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: int (n,), the cluster that an image is known to belong to, -1 where unknown; None: all unknown.
                Most methods use none.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            shared: where that goes which several fits to these images have in common; None: into `directory`.
            progress: show bars.
            strategy: a `tf.distribute.Strategy` to train under.
            callbacks: of Keras, called in all training beside the method's own.

        Returns:
            self.

        Raises:
            ValueError: settings or images are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
        """
        images = self.check(images)
        self._labels = labels
        self._most_components = len(images)
        self.history_, self.n_iter_, self.converged_ = [], 0, None  # of a method that trains no network
        directory = directory and Path(directory)
        self._shared = Path(shared) if shared else directory
        self._callbacks = tuple(callbacks)
        self._learn(images, directory, progress, strategy)
        self._callbacks = ()
        self._cluster(images, progress)
        return self

    def _cluster(self, images: np.ndarray, progress: bool) -> None:
        """Fit k-means and the mixture to the encodings of the images, and set `labels_`, `seconds_` and `notices_`."""
        times, bar = [time.perf_counter()], lambda name: name if progress else None
        embeddings = self.transform(images)
        times.append(time.perf_counter())
        self.kmeans_ = clustering.kmeans(embeddings, self.n_clusters, self.n_init, self.seed, bar("k-means"))
        times.append(time.perf_counter())
        self.assigners_["kmeans"].cluster_centers.assign(self.kmeans_.cluster_centers_)
        mixture = self.assigners_["mixture"]
        if self.n_components_:
            self.pca_ = PCA(self.n_components_, random_state=self.seed).fit(embeddings)
            embeddings = self.pca_.transform(embeddings)
            project, mixture = mixture.layers
            project.set_weights([self.pca_.components_.T, -self.pca_.mean_ @ self.pca_.components_.T])
        starts = max(self.n_init // self.starts_a_mixture, 1)
        self.mixture_ = clustering.gaussian_mixture(
            embeddings, self.n_clusters, starts, self.seed, bar("Gaussian mixture")
        )
        mixture.take(self.mixture_)
        times.append(time.perf_counter())
        self.labels_ = self.predict(images)
        spent = zip(("encoding", "kmeans", "mixture"), np.diff(times))
        self.seconds_ = {phase: round(float(seconds), 1) for phase, seconds in spent}
        self.notices_ = [] if self.mixture_.converged_ else ["the mixture's iterations ran out before it converged"]

    def similarity(self, z, others):
        """How similar embeddings are: their cosines, float (n, m) in -1..1, of float (n, d) and (m, d) tensors."""
        unit = lambda vectors: ops.normalize(vectors, axis=1)
        return ops.matmul(unit(z), ops.transpose(unit(others)))

    def decoded_centers(self) -> dict[str, np.ndarray]:
        """What the centres of "kmeans" and "mixture" look like, each float32 (n_clusters, height, width, channels).

        Raises:
            sklearn.exceptions.NotFittedError: nothing is fitted.
            ValueError: there is no decoder, or a loaded mixture is one of principal components.
        """
        self._require_fitted()
        if self.decoder_ is None:
            raise ValueError(f"this {type(self).__name__} has no decoder: expected a method that reconstructs images")
        centers = {"kmeans": ops.convert_to_numpy(self.assigners_["kmeans"].cluster_centers), "mixture": self._means()}
        return {by: fitting.batched(self.decoder_)(np.float32(c)) for by, c in centers.items()}

    def _means(self) -> np.ndarray:
        """The means of the mixture among the encodings, float (n_clusters, embedding_dim)."""
        if not self.n_components_:
            return ops.convert_to_numpy(self.assigners_["mixture"].means)
        if not hasattr(self, "pca_"):  # the layers know of the encodings' mean only what the components see of it
            raise ValueError(
                f"a loaded {type(self).__name__} cannot take its mixture back out of {self.n_components_} principal "
                "components: expected the one that was fitted, which pickle and joblib keep whole"
            )
        return self.pca_.inverse_transform(self.mixture_.means_)

    def _build_assigners(self) -> None:
        """The clusterings as layers, so that they are saved and exported with the encoder."""
        self.assigners_, self._posteriors, self._clusters = {}, {}, {}
        self.n_components_ = min(self.n_components, self.encoder_.output_shape[1], self._most_components)
        self._add_assigner("kmeans", ClusteringLayer(self.n_clusters, name="kmeans"))  # its largest is the nearest
        self._add_assigner("mixture", self._mixture_layer())

    def _heads(self):
        return self.assigners_

    def _take_learned(self, learned):
        super()._take_learned(learned)
        self._most_components = learned.get("n_components_", math.inf)

    def _add_assigner(self, by: str, layer: keras.layers.Layer) -> None:
        """One more way from embeddings to clusters: a layer whose outputs are soft assignments, and with `logits`."""
        layer.build((None, self.encoder_.output_shape[1]))
        self.assigners_[by] = layer
        self._posteriors[by] = fitting.batched(layer)
        self._clusters[by] = fitting.batched(lambda z, training: self._cluster_of(z, by))

    def _mixture_layer(self):
        if not self.n_components_:
            return MixtureLayer(self.n_clusters, name="mixture")
        project = keras.layers.Dense(self.n_components_, name="components")
        return keras.Sequential([project, MixtureLayer(self.n_clusters, name="posterior")], name="mixture")

    def predict_proba(self, images: Images, by: str | None = None) -> np.ndarray:
        """Soft assignments of images: the mixture's posterior, or Student's t around the centres of k-means.

        Args:
            images: (n, height, width, channels).
            by: "mixture" or "kmeans"; None: `assign_by`.

        Returns:
            float32 (n, n_clusters); rows sum to 1.
        """
        return self._of(by, images, "_posteriors")

    def predict(self, images: Images, by: str | None = None) -> np.ndarray:
        """Cluster ids, int64 (n,); arguments as `predict_proba`."""
        return self._of(by, images, "_clusters")

    def _of(self, by: str | None, images: np.ndarray, what: str) -> np.ndarray:
        self._require_fitted()
        name, by = ("assign_by", self.assign_by) if by is None else ("by", by)
        if not (isinstance(by, str) and by in self.assigners_):  # an array is equal to no word
            raise ValueError(f"{name} must be {' or '.join(self.assigners_)}; received {by!r}")
        return getattr(self, what)[by](self.transform(images))

    def _cluster_of(self, z, by: str):
        """The cluster of each embedding, int64 (n,), in the graph."""
        layer = self.assigners_[by]
        if isinstance(layer, keras.Sequential):
            components, layer = layer.layers
            z = components(z)
        return tf.argmax(layer.logits(z), axis=1)  # Keras's own treats -0.0 by bits, which TFLite cannot

    def _whole(self) -> keras.Model:
        z = self.encoder_.output
        heads = [*self.assigners_.values(), *([self.decoder_] if self.decoder_ is not None else [])]
        return keras.Model(self.encoder_.input, [head(z) for head in heads])

    def export(self, path: Path | str, names: tuple[str, ...] = ()) -> None:
        """Write a TensorFlow SavedModel that needs no part of this package; see `deepcluster_tf.export`.

        Its functions of images: `serving_default` (by `assign_by`), `mixture` and `kmeans` give "cluster" int64 (n,)
        and "assignments" float32 (n, n_clusters); `embed` gives "embeddings", `reconstruct` "reconstructions", where
        there is a decoder. `similarity` takes the batches "images" and "others" and gives "similarity" float32 (n, m).
        `names` are of the clusters: see `export.saved_model`.
        """
        self._require_fitted()

        def assign(by):
            def function(images):
                z = self.encoder_(images, training=False)
                return {"cluster": self._cluster_of(z, by), "assignments": self.assigners_[by](z)}

            return function

        def similarity(images, others):
            z, theirs = (self.encoder_(batch, training=False) for batch in (images, others))
            return {"similarity": self.similarity(z, theirs)}

        functions = {by: assign(by) for by in self.assigners_}
        functions |= {"serving_default": assign(self.assign_by), "similarity": similarity, **self._encoder_functions()}
        export.saved_model(path, functions, self.encoder_.input_shape[1:], [self._whole()], names=names)
