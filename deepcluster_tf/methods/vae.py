"""A variational autoencoder with a class head, taught by naming the centres of its clusters (VAE with named clusters).

After each epoch the latent means are clustered, the centres are decoded and shown to an annotator, and every image of
a named cluster takes the name, with a weight that falls with its distance from the centre. The weighted
cross-entropy joins the loss of the next epoch. No label of a data set is seen but through the annotator.

Deviations from the paper:
1. The binary cross-entropy is summed over the pixels and all terms are averaged over a batch (the authors' code), so
   that gamma = 150 weighs a mean.
2. "The first few epochs" without labels are one, as in its section 4. After the last epoch nobody is asked, since no
   training follows.
3. It does not say over which numbers of clusters the elbow is taken: here over 4 to 28, on 10,000 images.
4. The Gaussian decay and the Mahalanobis distance are named in a later report of the authors without a formula: here
   w = p_c exp(-d^2 / (2 a^2)), under the covariance of the cluster's own images.
5. It prints no learning rate; the authors' code has some between 0.001 and 0.005. Here 0.003; rows of the table have
   0.001.
6. It does not say what becomes of an image's name when its cluster after a later epoch shows no class: here it is
   gone, since every epoch clusters anew. Names that stay were tried on two seeds: one gained, the other lost more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from deepcluster_tf import export, fitting, losses, networks
from deepcluster_tf.annotation.ledger import Ledger
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import Sampling
from deepcluster_tf.methods.base import Method, part, whole_or_nothing
from deepcluster_tf.methods.base.given import Images, Labels
from deepcluster_tf.methods.naming import Naming
from deepcluster_tf.settings import setting


class VariationalModel(fitting.ResidentModel):
    """A resident model whose classification loss is weighted image by image: L = L_VAE + gamma w CE (eq. 3)."""

    def hold(self, images: np.ndarray, target=None) -> None:
        """Keep images, and for each the label that it was given and the weight w of that label, 0 at first."""
        self.labels = keras.Variable(np.zeros(len(images), "int32"), trainable=False, dtype="int32", name="labels")
        self.weights_of_labels = keras.Variable(np.zeros(len(images), "float32"), trainable=False, name="weights")
        super().hold(images, target)

    def _batch(self, rows):
        images, targets = super()._batch(rows)
        everyone = ops.ones_like(rows, dtype="float32")
        targets |= {"latent": everyone, "classes": ops.take(self.labels, rows)}  # "latent" is compared with N(0, I)
        weights = ops.take(self.weights_of_labels, rows)
        return images, targets, {"reconstruction": everyone, "latent": everyone, "classes": weights}


@dataclass(kw_only=True, eq=False)
class VAE(Method):
    """Semi-supervised variational autoencoder.

    Attributes after `fit`:
        encoder_, decoder_, head_: Keras models, images to z_mean, z to images, z to class probabilities.
        labels_: int64 (n,), the predicted classes. history_: a list of dicts, one an epoch.
        annotations_: how many pictures were shown. n_iter_: iterations done.
        converged_: None, for no rule stops it.
    """

    n_classes: int = setting(10, "classes that an annotator can name", low=2)
    z_dim: int = setting(10, "dimensions of the latent space", low=1)
    beta: float = setting(5.0, "weight of the KL divergence (eq. 1)", low=0, high=1e6)
    gamma: float = setting(150.0, "weight of the classification loss (eq. 3); 0 asks nobody", low=0, high=1e6)
    a: float = setting(5.0, "rate of the confidence's decay with the distance from the centre", low=1e-6, high=1e6)
    n_clusters: int = setting(0, "clusters to name after an epoch; 0 for the elbow", low=0)
    clustering: str = setting(
        "kmeans", "of the latent space; a mixture has its posterior as the confidence", choices=("kmeans", "mixture")
    )
    distance: str = setting("euclidean", "of k-means", choices=("euclidean", "mahalanobis"))
    decay: str = setting("exponential", "of the confidence", choices=("exponential", "gaussian"))
    depth: int = setting(2, "levels of the hierarchy: 1 splits no cluster, 2 those without a name", low=1, high=10)
    query: str = setting(
        "centers",
        "what is shown: centres, or for comparison K single images, at random or those of which the head is least sure",
        choices=("centers", "random", "uncertain"),
    )
    batch_size: int = setting(64, "images a step", low=1)
    learning_rate: float = setting(0.003, "of Adam", low=1e-8, high=1)
    epochs: int = setting(5, "in all; the first asks nobody", low=0)
    unsupervised_epochs: int = setting(1, "epochs before the first names", low=1)
    min_steps: int = setting(
        0, "an epoch goes over few images as often as makes so many steps, for a decoder is to be seen; 0: once", low=0
    )
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        if self.n_clusters == 1:
            raise ValueError("n_clusters must be 2 or more, or 0 for the elbow; received 1")
        if self.query != "centers" and not self.n_clusters:
            raise ValueError(
                f"query={self.query} needs n_clusters (K), the pictures to show after an epoch; received 0"
            )
        self._refuse_idle()

    def _refuse_idle(self) -> None:
        """Refuse a setting without effect: its run would repeat another under another name."""
        for idle, why, names in (
            (not self.gamma, "gamma = 0 asks nobody", ("distance", "decay", "depth", "query", "a")),
            (self.clustering == "mixture", "clustering=mixture has its posterior", ("distance", "decay", "a")),
            (
                self.query != "centers",
                f"query={self.query} shows images",
                ("clustering", "distance", "decay", "depth", "a"),
            ),
        ):
            for name in names:
                if idle and getattr(self, name) != self.defaults()[name]:
                    raise ValueError(f"{why}, where {name}={getattr(self, name)} has no effect: leave it out")

    def require_epochs_with_names(self) -> None:
        """Refuse settings by which nobody would be asked; raises ValueError."""
        if self.epochs <= self.unsupervised_epochs:
            raise ValueError(
                f"nobody would be asked: expected more epochs than the {self.unsupervised_epochs} without names; "
                f"received {self.epochs}"
            )

    def _check(self, images):
        networks.require_multiples(images.shape[1:], 4)
        if not self.n_clusters and len(images) < 28:
            raise ValueError(f"the elbow needs 28 images or more; received {len(images)}: give n_clusters (K)")

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        self._variational = networks.variational_encoder(image_shape, self.z_dim)
        self.encoder_ = keras.Model(self._variational.input, self._variational.output[0], name="means")
        self.decoder_ = networks.variational_decoder(image_shape, self.z_dim)
        z = keras.Input((self.z_dim,), name="z")
        self.head_ = keras.Model(z, keras.layers.Dense(self.n_classes, "softmax", name="classes")(z), name="head")
        self._embed = fitting.batched(self.encoder_)
        self.decode = fitting.batched(self.decoder_)
        self._classify = fitting.batched(keras.Model(self.encoder_.input, self.head_(self.encoder_.output)))

    def _model(self, images, steps) -> VariationalModel:
        z_mean, z_std = self._variational.output
        z = Sampling(self.seed, name="sampling")([z_mean, z_std])
        outputs = {
            "reconstruction": self.decoder_(z),
            "latent": keras.layers.Concatenate(name="latent")([z_mean, z_std]),
            "classes": self.head_(z),
        }
        model = VariationalModel(self._variational.input, outputs, name="vae")
        model.compile(
            self._optimizer(lambda: keras.optimizers.Adam(self.learning_rate)),
            loss={
                "reconstruction": losses.binary_cross_entropy,
                "latent": lambda _, latent: losses.kl_standard_normal(*ops.split(latent, 2, axis=-1)),
                "classes": losses.cross_entropy,
            },
            loss_weights={"reconstruction": 1.0, "latent": self.beta, "classes": self.gamma},
            steps_per_execution=fitting.steps_per_call(steps, min(steps, fitting.Readings.INTERVAL)),
            jit_compile=False,
        )
        model.hold(images)
        return model

    @whole_or_nothing
    def fit(
        self,
        images: Images,
        labels: Labels = None,
        *,
        annotator: Ledger | None = None,
        directory: Path | str | None = None,
        score: Callable[[], dict[str, float]] | None = None,
        read: Callable[[int, dict], dict[str, float]] | None = None,
        progress: bool = True,
        strategy=None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> VAE:
        """Train, asking the annotator after each epoch but the last.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: not used; there for a common interface. Names come from the annotator alone.
            annotator: asked for names; None trains without any, as gamma = 0 does.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            score: named numbers to report after each epoch. read: the same, every 300 steps of an epoch
                (see `fitting.Readings`).
            progress: show a bar, and a line after each epoch.
            strategy: a `tf.distribute.Strategy` to train under.
            callbacks: of Keras, called in all training beside the method's own.

        Returns:
            self.

        Raises:
            ValueError: settings or images are out of range, `directory` belongs to another fit, the annotator's
                classes are not as many as n_classes, or it gave no answer.
            FloatingPointError: the loss is no longer a number.
        """
        images = self.check(images)
        if annotator is not None and not hasattr(annotator, "class_names"):
            raise ValueError(f"annotator must be an annotation.ledger.Ledger, or None; received {annotator!r}")
        if annotator is not None and self.gamma:
            self.require_epochs_with_names()
            if len(annotator.class_names) != self.n_classes:
                raise ValueError(
                    f"the annotator names {len(annotator.class_names)} classes: expected n_classes={self.n_classes}"
                )
        self._callbacks = tuple(callbacks)
        directory = directory and Path(directory)
        replicas = fitting.replicas(strategy, len(images), self.batch_size)
        if directory:
            asked = list(annotator.class_names) if annotator is not None else False
            checkpoints.claim(directory, {**self._made_of(), "asked": asked, "replicas": replicas}, images=images)
        batches = -(-len(images) // self.batch_size)
        steps = batches * max(-(-self.min_steps // batches), 1)
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            model = self._model(images, steps)
        rows = lambda iteration: fitting.shuffled_rows(len(images), self.batch_size, self.seed, iteration)
        naming = Naming(self, images, annotator if self.gamma else None, directory, steps, score, progress)
        readings = fitting.Readings(directory and directory / "readings.csv", steps, read)
        self.history_ = self._train(
            model, rows, steps, self.epochs * steps, directory, "vae", progress, naming, readings
        )
        self._callbacks = ()
        self.readings_, self.centers_ = readings.rows, naming.centers
        self.n_iter_, self.converged_ = fitting.iterations_of(self.history_), None
        self.annotations_ = annotator.shown(self.epochs) if annotator else 0
        self.class_names_ = tuple(annotator.class_names) if annotator else ()
        self.labels_ = self.predict(images)
        return self

    # ------------------------------------------------------------------ the fitted model

    def predict_proba(self, images: Images) -> np.ndarray:
        """Class probabilities, float32 (n, n_classes), of images (n, height, width, channels)."""
        images = self._given(images)
        return self._classify(images)

    def predict(self, images: Images) -> np.ndarray:
        """Classes, int64 (n,), of images (n, height, width, channels)."""
        return self.predict_proba(images).argmax(axis=1)

    def reconstruct(self, images: Images) -> np.ndarray:
        """Reconstructions from the latent means, float32 in 0..1, of images (n, height, width, channels)."""
        z = self.transform(images)
        return self.decode(z)  # which is there once there is a fit

    def _heads(self):
        return {"classes": self.head_}

    def _whole(self) -> keras.Model:
        z_mean, z_std = self._variational.output
        return keras.Model(self._variational.input, [z_std, self.decoder_(z_mean), self.head_(z_mean)])

    def export(self, path: Path | str, names: tuple[str, ...] = ()) -> None:
        """Write a TensorFlow SavedModel that needs no part of this package; see `deepcluster_tf.export`.

        Its functions of images: `serving_default` gives "class" int64 (n,) and "probabilities" float32 (n, n_classes),
        `embed` "embeddings" (z_mean), `reconstruct` "reconstructions"; `generate` takes "z", float32 (n, z_dim), and
        gives "images".
        `names` are of the clusters: see `export.saved_model`.
        """
        self._require_fitted()

        def classify(images):
            probabilities = self.head_(self.encoder_(images, training=False))
            return {"class": tf.argmax(probabilities, axis=1), "probabilities": probabilities}

        def generate(z):
            return {"images": self.decoder_(z, training=False)}

        functions = {"serving_default": classify, **self._encoder_functions()}
        of_latents = {"generate": (generate, [tf.TensorSpec((None, self.z_dim), tf.float32, name="z")])}
        parts = [self._variational, self.decoder_, self.head_]
        export.saved_model(path, functions, self.encoder_.input_shape[1:], parts, of_latents, names=names)
