"""Clustering on the encodings of an autoencoder: k-means and a Gaussian mixture (Akula).

An autoencoder is trained on the images until its validation loss has not fallen for five epochs. Its encodings are
then clustered twice, by k-means and by a Gaussian mixture.

Deviations from the paper:
1. Akula does not name the batch size (here 256), the loss (here the mean squared error), the share of the
   training images kept for validation (here a tenth, drawn at random), nor the activation of the encoding (here
   linear).
2. k-means and the mixture are the best of several starts; Akula does not say how many it used.
3. Akula's abstract and conclusion speak of convolutions with pooling and dropout, without sizes and without a
   number of their own: `architecture="pooling"` is our reading of it.
4. Akula speaks of the test images (sections 1.6 and 3.6), but its matrices have 6,000 images a class, as the
   training images do. Beside its numbers the clusterings are fitted to the training images and scored on them, and on
   the test images too.
5. Akula stops when the validation loss rises five times in a row (section 3.2); here after five epochs without
   a new lowest, as Keras's early stopping does.
6. Schultz (a convolutional autoencoder of CIFAR-10 with a bottleneck of a tenth) and Singh (a residual one) print
   no sizes at all: 307 values, and networks and epochs (60 and 20 at most, meant for twenty to thirty minutes on two
   quiet cores) of our choice. The residual one's epochs run out before the stopping rule holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from deepcluster_tf import fitting, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.base import EncodingMethod, part
from deepcluster_tf.settings import setting

NETWORKS = {
    "dense": (networks.dense_encoder, networks.dense_decoder),
    "pooling": (networks.pooling_encoder, networks.pooling_decoder),
    "convolutional": (networks.convolutional_encoder, networks.convolutional_decoder),
    "residual": (networks.residual_encoder, networks.residual_decoder),
}
PLAIN = ("convolutional", "residual")  # whose activations are their own


@dataclass(kw_only=True, eq=False)
class Autoencoder(EncodingMethod):
    """An autoencoder whose encodings are clustered.

    Attributes after `fit`:
        encoder_, decoder_: Keras models.
        kmeans_, mixture_: fitted scikit-learn estimators. assigners_: the same as Keras layers, by name.
        labels_: int64 (n,). history_: a list of dicts, one an epoch.
        converged_: whether the patience ran out before the epochs did. n_iter_: iterations done.
    """

    n_clusters: int = setting(10, "number of clusters", low=2)
    architecture: str = setting(
        "dense",
        "of the network: pooling has convolutions, pooling, dropout; convolutional has convolutions of stride 2; "
        "residual is a ResNet without its head",
        choices=("dense", "pooling", "convolutional", "residual"),
    )
    loss: str = setting("mse", "of a pixel", choices=("mse", "binary_crossentropy"))
    n_components: int = setting(
        0, "principal components that the mixture sees, at most the values and the images; 0 for the encoding", low=0
    )
    embedding_dim: int = setting(10, "units of the encoding", low=1)
    activation: str = setting("relu", "of the hidden layers", choices=("relu", "sigmoid"))
    embedding_activation: str = setting("linear", "of the encoding", choices=("linear", "relu", "sigmoid"))
    batch_size: int = setting(256, "images a step", low=1)
    validation_share: float = setting(
        0.1, "share of the images, drawn at random, on which the loss decides when to stop", low=0.01, high=0.9
    )
    patience: int = setting(5, "epochs without a lower validation loss that stop it; the best weights stay", low=1)
    max_epochs: int = setting(1000, "epochs at most; in Akula's experiments a bound not meant to be reached", low=0)
    assign_by: str = setting("mixture", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(10, "starts of k-means and of the mixture", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    encoder: keras.Model | None = part("any Keras model, images to embeddings (n, d), in place of the method's own")
    decoder: keras.Model | None = part("any Keras model, embeddings to images, in place of the method's own")
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        fixed = [*(("activation", "embedding_activation") if self.architecture in PLAIN else ())]
        fixed += ["loss"] if self.architecture == "convolutional" else []  # its last layer is linear
        for name in fixed:
            if getattr(self, name) != (usual := self.defaults()[name]):
                received = f"{getattr(self, name)!r} for the {self.architecture} architecture"
                raise ValueError(f"{name} must be {usual}; received {received}")

    def _check(self, images):
        own = self.encoder is not None and self.decoder is not None
        {} if own else {
            "pooling": lambda shape: networks.require_multiples(shape, 4),
            "convolutional": networks.convolutional_padding,
            "residual": lambda shape: networks.require_multiples(shape, 8),
        }.get(self.architecture, lambda shape: None)(images.shape[1:])
        values = int(np.prod(images.shape[1:]))
        if self.encoder is None and self.embedding_dim >= values:
            raise ValueError(
                f"the encoding (DIM) must have fewer values than the images' {values}; received {self.embedding_dim}"
            )
        if not 0 < round(self.validation_share * len(images)) < len(images):
            raise ValueError(f"{len(images)} images leave none for training or none for validation: expected more")

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        encoder, decoder = NETWORKS[self.architecture]
        how = {} if self.architecture in PLAIN else {"activation": self.activation}
        last = {} if self.architecture in PLAIN else {"embedding_activation": self.embedding_activation}
        usual = lambda: encoder(image_shape, self.embedding_dim, **how, **last)
        self.encoder_ = self._network("encoder", image_shape, usual)
        dim = self.encoder_.output_shape[1]
        self.decoder_ = self._network("decoder", (dim,), lambda: decoder(image_shape, dim, **how), image_shape)
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()

    def _learn(self, images, directory, progress, strategy):
        n_train = len(images) - round(self.validation_share * len(images))
        replicas = fitting.replicas(strategy, n_train, self.batch_size)
        fitting.replicas(strategy, len(images) - n_train, self.batch_size)  # for validation
        if directory:
            checkpoints.claim(directory, {**self._made_of(), "replicas": replicas}, images=images)
        steps = -(-n_train // self.batch_size)
        order = np.random.default_rng(self.seed).permutation(len(images))  # files may be in class order
        images = fitting.reordered(images, order)
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            model = self._reconstruction_model(images, steps, self.loss)
        rows = lambda iteration: fitting.shuffled_rows(n_train, self.batch_size, self.seed, iteration)
        best = fitting.EarlyStopping(self.patience, directory and directory / "best.weights.h5")
        self.history_ = self._train(
            model, rows, steps, self.max_epochs * steps, directory, "autoencoder", progress, best,
            validation=fitting.rows_between(n_train, len(images), self.batch_size),
        )  # fmt: skip
        best.keep_best()
        self.n_iter_ = fitting.iterations_of(self.history_)
        self.converged_ = best.ran_out(self.history_)
