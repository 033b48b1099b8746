"""Two views of one image against mismatches: the representation and the similarity encodings of Schultz.

A shared encoder sees two views of every image of a batch, each flipped, rotated and scaled at random. The pair of
views of one image is to be told from a mismatch, a view and the view of the image before it in the shuffled batch.
`comparison="layers"` tells them by comparison layers ("Attempt 2"), "dot" by the dot product of the two encodings with
a regulariser ("Attempt 3"), "contrastive" by a matrix of all similarities in the batch, the better-behaved loss for
which the paper asks.

Deviations from the paper:
1. It prints no sizes: the encoder has four convolutions of stride 2 and 128 values, the comparison one layer of 64;
   the budget is 50 epochs, meant for twenty to thirty minutes on two quiet cores.
2. The dot product is taken for the log odds of a match, so that binary cross-entropy can compare it; the regulariser is
   the mean absolute value of the encodings, with a weight of 0.03. The paper does not print its own, which made its
   vectors very sparse and its results unstable. Ours are not sparse; with a weight of 0.1 one seed of three shrinks all
   encodings to nothing and never leaves the plateau, because near 0 the pull of a dot product goes with the encodings,
   that of their absolute value does not.
3. A batch has as many mismatches as matching pairs, each view with that of the image before it, where the paper
   draws pairs; batches are whole, so that an epoch leaves out the few images of a last short one.
4. It compares 32x32 images by their dot product when it retrieves; the representation's encodings are searched by
   their cosine, because its comparison layers are too slow over all pairs of 60,000. The SavedModel's `similarity` is
   what the comparison layers say.
5. Strong views, which are cut out of the image and of other colours, are ours: views that are only rotated, flipped
   and scaled keep their colours, by which they can be told apart. So is a temperature: without one, the cross-entropy
   over a matrix of the cosines of 256 images is ln 256 = 5.55 by chance, and cannot fall below 4.55.
6. The paper's network, of many layers and trained on very small batches, answers 0.5 for long before it learns. Ours
   has four layers and batches of 256, and leaves that plateau within the first steps; the figure of losses shows it
   with eight layers and batches of 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from deepcluster_tf import fitting, losses, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import random_view
from deepcluster_tf.methods.base import EncodingMethod, part
from deepcluster_tf.settings import setting

GUESSING = 0.99  # the share of the loss of guessing above which nothing was learned
READINGS, BETWEEN = 15, 25  # of the loss in an epoch; more where many more steps than that would lie between two


class PairModel(fitting.ResidentModel):
    """A resident model whose targets are the same for every row: a match first, then a mismatch."""

    def _batch(self, rows):
        images, targets = super()._batch(rows)
        ones = ops.ones((ops.shape(images)[0], 1))
        pairs = ops.concatenate([ones, 0 * ones], axis=1)
        return images, {name: pairs if name == "pairs" else ones for name in self.output_names}


@dataclass(kw_only=True, eq=False)
class Siamese(EncodingMethod):
    """An encoder that learns to tell two views of one image from views of two.

    Attributes after `fit`:
        encoder_, comparison_: Keras models, images to encodings, and two encodings to the log odds of a match (there
            is none for "contrastive"). kmeans_, mixture_: fitted scikit-learn estimators. assigners_: the same as
            Keras layers.
        labels_: int64 (n,). history_: a list of dicts, one an epoch; curve_: the loss, several times an epoch.
        notices_: what went otherwise than planned, in words.
        n_iter_: iterations done. converged_: None, for no rule stops it.
    """

    whole_batches = True

    n_clusters: int = setting(10, "number of clusters", low=2)
    comparison: str = setting(
        "layers",
        "of two encodings: comparison layers, their dot product, or a matrix of all similarities in a batch",
        choices=("layers", "dot", "contrastive"),
    )
    embedding_dim: int = setting(128, "values of the encoding", low=1)
    filters: tuple[int, ...] = setting((32, 64, 128, 256), "of the encoder's convolutions, one each", low=1)
    strides: tuple[int, ...] = setting((2,), "of the encoder's convolutions; the last one holds for the rest", low=1)
    normalised: bool = setting(False, "whether batch normalisation follows the encoder's convolutions")
    projector: int = setting(
        0, "values of a projection of the encoding, on which alone pairs are compared; 0 for none (contrastive)", low=0
    )
    negatives: str = setting(
        "matrix", "of a view: the others' second views, or all other views (contrastive)", choices=("matrix", "all")
    )
    units: int = setting(64, "of the comparison layer", low=1)
    regularisation: float = setting(
        0.03, "weight of the mean absolute value of the encodings (of the dot product)", low=0, high=1e6
    )
    temperature: float = setting(
        1.0, "by which cosines are divided (contrastive); 1 for none, since the paper has none", low=1e-3, high=1e3
    )
    views: str = setting(
        "plain", "flipped, rotated and scaled, or strong: cut out and of other colours too", choices=("plain", "strong")
    )
    flip: bool = setting(True, "let left be right in every second view")
    rotation: float = setting(0.08, "largest angle of a view, as a share of a full turn", low=0, high=0.5)
    zoom: float = setting(
        0.25, "largest change of scale, as a share; of a strong view half of the largest cut", low=0, high=0.45
    )
    batch_size: int = setting(256, "images a step", low=2)
    epochs: int = setting(50, "of training", low=0)
    schedule: str = setting("constant", "of the learning rate, from 0.001", choices=("constant", "cosine"))
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=0
    )
    assign_by: str = setting("kmeans", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    encoder: keras.Model | None = part("any Keras model, images to embeddings (n, d), in place of the method's own")
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        contrastive = [(name, "contrastive") for name in ("temperature", "projector", "negatives")]
        for name, comparison in (("regularisation", "dot"), ("units", "layers"), *contrastive):
            if self.comparison != comparison and getattr(self, name) != self.defaults()[name]:
                raise ValueError(f"{name} has no effect on comparison={self.comparison}: leave it out")

    def _check(self, images):
        if self.views == "strong" and images.shape[-1] not in (1, 3):
            raise ValueError(f"strong views (VIEWS) need images of one or three channels; received {images.shape[-1]}")

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        usual = lambda: networks.strided_encoder(
            image_shape, self.embedding_dim, self.filters, self.strides, self.normalised
        )
        self.encoder_ = self._network("encoder", image_shape, usual)
        if self.projector:  # which forgets what the views change, and is thrown away
            self.projector_ = networks.projector(self.encoder_.output_shape[1], self.projector)
        elif self.comparison == "contrastive":  # which is about directions alone: so are the clusterings, then
            unit = layers.UnitNormalization(axis=-1, name="unit")(self.encoder_.output)
            self.encoder_ = keras.Model(self.encoder_.input, unit, name="encoder")
        else:
            self.comparison_ = self._comparison()
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()

    def view(self, number: int, colours: bool = True) -> keras.Sequential:
        """A random view of each image of a batch, in the graph; each number draws anew."""
        strong = self.views == "strong"
        how = {"flip": self.flip, "colours": colours}
        return random_view(self.rotation, self.zoom, strong, 2 * self.seed + number, f"view{number}", **how)

    def _model(self, steps_per_call: int, iterations: int = 1) -> PairModel:
        images = self.encoder_.input
        colours = images.shape[-1] == 3
        z, other = (self.encoder_(self.view(number, colours)(images)) for number in (0, 1))
        outputs, compared_by = {}, keras.losses.BinaryCrossentropy(from_logits=True)
        if self.comparison == "contrastive":
            z, other = (self.projector_(each) if self.projector else each for each in (z, other))
            matrix, compared_by = {
                "matrix": (Matrix, losses.matching_cross_entropy), "all": (AllViews, losses.nt_xent),
            }[self.negatives]  # fmt: skip
            outputs["pairs"] = matrix(self.temperature, name="pairs")([z, other])
        else:
            mismatch = Rolled(name="mismatch")(other)
            said = [self.comparison_([z, each]) for each in (other, mismatch)]
            outputs["pairs"] = layers.Concatenate(name="pairs")(said)
        if self.comparison == "dot":
            outputs["size"] = Size(name="size")(z)
        model = PairModel(images, outputs, name="siamese")
        cosine = keras.optimizers.schedules.CosineDecay(1e-3, max(iterations, 1))
        model.compile(
            self._optimizer(lambda: keras.optimizers.Adam(cosine if self.schedule == "cosine" else 1e-3)),
            {name: compared_by if name == "pairs" else _itself for name in outputs},
            loss_weights={name: 1.0 if name == "pairs" else self.regularisation for name in outputs},
            steps_per_execution=steps_per_call,
            jit_compile=False,
        )
        return model

    def _comparison(self) -> keras.Model:
        """Two encodings -> the log odds, float (n, 1), that they are of one image."""
        pair = [keras.Input(self.encoder_.output_shape[1:], name=name) for name in ("one", "other")]
        if self.comparison == "dot":
            return keras.Model(pair, layers.Dot(1)(pair), name="comparison")
        x = layers.Dense(self.units, activation="relu", name="hidden")(layers.Concatenate()(pair))
        return keras.Model(pair, layers.Dense(1, name="same")(x), name="comparison")

    def _learn(self, images, directory, progress, strategy):
        batch_size = min(self.batch_size, len(images))  # of whole batches: in one of a single image is no mismatch
        replicas = fitting.replicas(strategy, batch_size, batch_size)
        if batch_size < 2 * replicas:
            raise ValueError(f"batches of {batch_size} leave no mismatch on each of {replicas} devices: expected more")
        if directory:
            checkpoints.claim(directory, {**self._made_of(), "replicas": replicas}, images=images)
        steps = len(images) // batch_size
        with fitting.scope(strategy):
            readings = max(READINGS, -(-steps // BETWEEN))
            call = fitting.steps_per_call(steps, most=max(steps // readings, 1))
            self._build(images.shape[1:])
            model = self._model(call, self.epochs * steps)
            model.hold(images)
        interval = -(-steps // (readings * call)) * call  # of the loss curve
        rows = lambda iteration: fitting.shuffled_rows(len(images), batch_size, self.seed, iteration, whole=True)
        curve = fitting.Readings(directory and directory / "curve.csv", steps, LossCurve(), interval)
        self.history_ = self._train(
            model, rows, steps, self.epochs * steps, directory, self.comparison, progress, curve
        )
        self.curve_, self.n_iter_, self.converged_ = curve.rows, fitting.iterations_of(self.history_), None
        others = {"matrix": batch_size, "all": 2 * batch_size - 1}[self.negatives]
        self._guessing = np.log(others if self.comparison == "contrastive" else 2)

    def _cluster(self, images, progress):
        super()._cluster(images, progress)
        last = self.history_[-1] if self.history_ else {"loss": 0.0}
        loss = last.get("pairs_loss", last["loss"])
        if loss > GUESSING * self._guessing:
            instead = "less REGULARISATION" if self.comparison == "dot" else "more EPOCHS"
            self.notices_.append(
                f"views of one image are told from those of two no better than by guessing (a loss of {loss:.4f}, of "
                f"guessing {self._guessing:.4f}): the encoding has learned nothing; try another SEED or {instead}"
            )

    def similarity(self, z, others):
        """How similar embeddings are, float (n, m).

        For "layers" and "dot" the log odds of a match, which for "dot" are the dot product; else their cosine.
        """
        if self.comparison == "dot":
            return ops.matmul(z, ops.transpose(others))
        if self.comparison == "layers":
            n, m = ops.shape(z)[0], ops.shape(others)[0]
            pairs = [ops.repeat(z, m, axis=0), ops.tile(others, (n, 1))]
            return ops.reshape(self.comparison_(pairs), (n, m))
        return super().similarity(z, others)

    def _whole(self) -> keras.Model:
        whole = super()._whole()
        if self.comparison != "layers":
            return whole
        z = self.encoder_.output
        return keras.Model(whole.input, [*whole.outputs, self.comparison_([z, z])])

    @property
    def by_dot_product(self) -> bool:
        """Whether encodings are compared by their dot product, rather than by their cosine."""
        return self.comparison == "dot"


class LossCurve:
    """The pairs' loss since the last report, out of Keras's running mean over the epoch."""

    def __call__(self, number: int, logs: dict) -> dict[str, float]:
        """The loss between the reports `number` - 1 and `number` of an epoch."""
        before = self.mean if number > 1 else 0.0
        self.mean = float(logs.get("pairs_loss", logs["loss"]))
        return {"pairs_loss": self.mean * number - before * (number - 1)}


def _itself(_, value):
    return value[:, 0]


class Rolled(layers.Layer):
    """The batch, each row in the place of the next."""

    def call(self, z):
        return ops.roll(z, 1, axis=0)


class Size(layers.Layer):
    """The mean absolute value of each encoding, float (n, 1)."""

    def call(self, z):
        return ops.mean(ops.abs(z), axis=1, keepdims=True)


class Matrix(layers.Layer):
    """The dot products of all encodings with all others of the batch, divided by a temperature: float (n, n)."""

    def __init__(self, temperature: float, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, pair):
        z, other = pair
        return ops.matmul(z, ops.transpose(other)) / self.temperature


class AllViews(Matrix):
    """The dot products of each view with all views of the batch, divided by a temperature: float (n, 2, 2n)."""

    def call(self, pair):
        views = ops.concatenate(pair, axis=0)
        return ops.stack([ops.matmul(z, ops.transpose(views)) for z in pair], axis=1) / self.temperature
