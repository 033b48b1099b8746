"""DeepCluster: clusters of a network's own features as the classes that it learns (Caron et al., 2018; Singh's slides).

Before every epoch the features of all images are reduced by PCA, whitened, brought to length 1 and put into clusters by
k-means; the epoch then trains the network, with a new top layer, to tell these clusters apart in moved images. At the
end the features are clustered into as many clusters as are wanted.

Deviations from the paper:
1. The network is that of `Siamese`, small enough for two cores, with batch normalisation; the paper has an AlexNet and
   a VGG-16 on ImageNet, and prints no recipe for images of 32 pixels. PCA keeps 32 of its 128 features;
   the paper's 256 of 4,096.
2. One optimiser trains all layers; that of the paper's top layer is apart and has no momentum. Here the top layer's
   momentum is taken away with its weights. The weights' decay is apart from the gradient (Keras's), and so not
   multiplied by the momentum, as it is in the authors' code.
3. Empty clusters are refilled inside scikit-learn's k-means, by the images farthest from their centres; the paper
   perturbs another centre.
4. `head="centers"` begins each epoch with the centres as the top layer, as later versions of the method do, in place of
   random weights.
5. Views are strong ones, with turns and other colours, and see no Sobel filter unless `sobel` says so; the paper cuts
   and mirrors, after a Sobel filter. There are 100 epochs, where it has hundreds.
6. An epoch has at least 100 steps: few images are drawn several times. A new top layer that is taken away after two
   steps has taught the network nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from deepcluster_tf import fitting, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import random_view
from deepcluster_tf.methods.base import EncodingMethod, part
from deepcluster_tf.settings import setting

ITERATIONS = 20  # of k-means
LEAST_STEPS = 100  # of an epoch
TEMPERATURE = 0.1  # by which cosines are divided where centres are the top layer


@dataclass(kw_only=True, eq=False)
class DeepCluster(EncodingMethod):
    """A network that learns the clusters of its own features.

    Attributes after `fit`:
        encoder_: Keras model. kmeans_, mixture_: fitted to its embeddings. assigners_: these as Keras layers by name.
        labels_: int64 (n,). history_: a list of dicts, one an epoch: "nmi" is that of the pseudo-labels with those of
            the epoch before, "smallest" and "largest" are the sizes of their clusters. notices_: in words.
    """

    n_clusters: int = setting(10, "number of clusters in the end", low=2)
    whitened: int = setting(32, "principal components of the features, whitened, that k-means sees", low=1)
    prototypes: int = setting(0, "clusters while it learns; 0 for ten times as many", low=0)
    sobel: bool = setting(False, "let the network see edges alone, by two fixed filters over the grey image")
    head: str = setting("new", "the top layer of an epoch: new weights, or the centres", choices=("new", "centers"))
    views: str = setting(
        "strong",
        "plain: flipped, rotated and scaled, or strong: cut out and of other colours",
        choices=("plain", "strong"),
    )
    flip: bool = setting(True, "let left be right in every second view")
    embedding_dim: int = setting(128, "values of the encoding", low=1)
    filters: tuple[int, ...] = setting((32, 64, 64, 128, 128), "of the encoder's convolutions, one each", low=1)
    strides: tuple[int, ...] = setting((2, 1, 2, 1, 2), "of the convolutions; the last one holds for the rest", low=1)
    batch_size: int = setting(256, "images a step", low=2)
    epochs: int = setting(100, "of training, each with clusters of its own", low=0)
    learning_rate: float = setting(0.05, "of stochastic gradient descent with a momentum of 0.9", low=1e-6, high=10)
    weight_decay: float = setting(1e-5, "of the network", low=0, high=1)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=0
    )
    assign_by: str = setting("kmeans", "whose clusters `predict` gives", choices=("mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture in the end", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    encoder: keras.Model | None = part("any Keras model, images to embeddings (n, d), in place of the method's own")
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    def _check(self, images):
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"views need images of one or three channels; received {images.shape[-1]}")
        if self._prototypes > len(images):
            raise ValueError(
                f"{self._prototypes} clusters while it learns (PROTOTYPES) need as many images; received "
                f"{len(images)}: name fewer"
            )

    @property
    def _prototypes(self) -> int:
        return self.prototypes or 10 * self.n_clusters

    def steps_of(self, epochs: str, n: int) -> int:
        """As of every method, but not fewer than a new top layer needs."""
        return max(super().steps_of(epochs, n), LEAST_STEPS)

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        images = keras.Input(image_shape, name="images")
        seen = networks.sobel(image_shape)(images) if self.sobel else images
        usual = lambda: networks.strided_encoder(seen.shape[1:], self.embedding_dim, self.filters, self.strides, True)
        network = self._network("encoder", tuple(seen.shape[1:]), usual)
        self.encoder_ = keras.Model(images, network(seen), name="encoder")
        self._embed = fitting.batched(self.encoder_)
        self._build_assigners()

    def _learn(self, images, directory, progress, strategy):
        replicas = fitting.replicas(strategy, len(images), self.batch_size)
        if directory:
            checkpoints.claim(directory, {**self._made_of(), "replicas": replicas}, images=images)
        steps = self.steps_of("epochs", len(images))
        # few images fill whole batches: one of a single image has no deviation for batch normalisation
        draws = len(images) if steps > LEAST_STEPS else steps * self.batch_size
        with fitting.scope(strategy):
            self._build(images.shape[1:])
            model, top, whiten = self._model(len(images), draws, steps)
            model.hold(images)
        rows = lambda iteration: fitting.shuffled_rows(draws, self.batch_size, self.seed, iteration)
        pseudo = PseudoLabels(self, top, whiten, images)
        iterations = self.epochs * steps
        self.history_ = self._train(model, rows, steps, iterations, directory, "deepcluster", progress, pseudo)
        self.n_iter_ = fitting.iterations_of(self.history_)

    def _model(self, n: int, draws: int, steps: int):
        images = self.encoder_.input
        how = {"flip": self.flip, "colours": images.shape[-1] == 3}
        view = random_view(strong=self.views == "strong", seed=self.seed, **how)
        top, z = Top(n, draws, self._prototypes, name="pseudo"), self.encoder_(view(images))
        whiten = layers.Dense(min(self.whitened, self.encoder_.output_shape[1], n), trainable=False, name="whiten")
        if self.head == "centers":  # which are among whitened features of length 1
            z = layers.UnitNormalization(axis=-1, name="unit")(whiten(z))
        model = PseudoModel(images, {"pseudo": top(z)}, name="deepcluster")
        model.drawn, model.assigned = top.drawn, top.assigned
        decay = self.weight_decay or None
        model.compile(
            self._optimizer(lambda: keras.optimizers.SGD(self.learning_rate, momentum=0.9, weight_decay=decay)),
            {"pseudo": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
            steps_per_execution=fitting.steps_per_call(steps),
            jit_compile=False,
        )
        return model, top, whiten

    def _cluster(self, images, progress):
        super()._cluster(images, progress)
        last = self.history_[-1] if self.history_ else None
        if last and last["largest"] > len(images) / 2:
            self.notices_.append(
                f"a pseudo-label holds {last['largest'] / len(images):.0%} of the images: a trivial one"
            )


class Top(layers.Dense):
    """The layer that tells pseudo-labels apart; it keeps them, so that they are in the checkpoint."""

    def __init__(self, n: int, draws: int, prototypes: int, **kwargs):
        super().__init__(prototypes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), **kwargs)
        fixed = {"dtype": "int32", "initializer": "zeros", "trainable": False}
        self.assigned = self.add_weight(name="assigned", shape=(n,), **fixed)
        self.drawn = self.add_weight(name="drawn", shape=(draws,), **fixed)

    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)  # all of them, where `Dense` saves its kernel and bias

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)


class PseudoModel(fitting.ResidentModel):
    """A resident model of the images that were drawn for an epoch, and of their pseudo-labels."""

    def _batch(self, places):
        rows = ops.take(self.drawn, places)
        return self.images_of(rows), {"pseudo": ops.take(self.assigned, rows)}


class PseudoLabels(keras.callbacks.Callback):
    """Cluster all images before every epoch, and begin it with a new top layer.

    Args:
        method: whose settings and embeddings these are.
        top: the layer that tells pseudo-labels apart, and keeps them.
        whiten: the layer before it where the centres are its weights.
        images: all of them.
    """

    def __init__(self, method: DeepCluster, top: Top, whiten: layers.Dense, images: np.ndarray):
        super().__init__()
        self.method, self.top, self.whiten, self.images = method, top, whiten, images

    def begin(self, done: int, history: fitting.History) -> None:
        """Nothing is to be taken up: the last pseudo-labels are in the checkpoint."""

    def on_epoch_begin(self, epoch, logs=None):
        before = ops.convert_to_numpy(self.top.assigned)
        of, random = self.method, np.random.default_rng((self.method.seed, epoch))
        found = pseudo_labels(of._embed(self.images), of.whitened, of._prototypes, random)
        self.top.assigned.assign(found["labels"])
        self.top.drawn.assign(drawn_evenly(found["labels"], self.top.drawn.shape[0], random))
        kernel, bias, *_ = self.top.get_weights()
        kernel = random.normal(0, 0.01, kernel.shape)
        if of.head == "centers":
            kernel = found["centers"].T / TEMPERATURE
            self.whiten.set_weights([found["kernel"], found["bias"]])
        self.top.kernel.assign(kernel)
        self.top.bias.assign(0 * bias)
        for slot in self.model.optimizer.variables:  # the momentum of a layer that is no longer there
            if slot.path.split("/")[-1].startswith(self.top.name):
                slot.assign(ops.zeros_like(slot))
        sizes = np.bincount(found["labels"], minlength=of._prototypes)
        nmi = float(normalized_mutual_info_score(before, found["labels"])) if epoch else np.nan
        self._said = {"nmi": nmi, "smallest": sizes.min(), "largest": sizes.max()}

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._said)


def pseudo_labels(embeddings: np.ndarray, whitened: int, prototypes: int, random) -> dict[str, np.ndarray]:
    """Clusters of whitened features of length 1 (DeepCluster, section 4.1).

    Args:
        embeddings: float (n, d).
        whitened: principal components, at most n and d.
        prototypes: number of clusters.
        random: a `numpy.random.Generator`.

    Returns:
        "labels" int32 (n,), "centers" (prototypes, whitened), and the "kernel" (d, whitened) and "bias" that whiten.
    """
    seed = int(random.integers(2**31))
    pca = PCA(min(whitened, *embeddings.shape), whiten=True, random_state=seed).fit(embeddings.astype(np.float64))
    white = pca.transform(embeddings)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-12)
    with threadpool_limits(1):  # sums in one order
        found = KMeans(prototypes, n_init=1, max_iter=ITERATIONS, random_state=seed).fit(white.astype(np.float32))
    kernel = pca.components_.T / np.sqrt(np.maximum(pca.explained_variance_, 1e-12))
    of = {"labels": found.labels_.astype(np.int32), "centers": found.cluster_centers_}
    return {**of, "kernel": kernel, "bias": -pca.mean_ @ kernel}


def drawn_evenly(assigned: np.ndarray, draws: int, random) -> np.ndarray:
    """Rows for an epoch, as many from each cluster, with replacement (DeepCluster, section 3.3), int32 (draws,).

    Args:
        assigned: int (n,), the cluster of each image.
        draws: how many rows.
        random: a `numpy.random.Generator`.
    """
    clusters = [np.flatnonzero(assigned == cluster) for cluster in np.unique(assigned)]
    each = -(-draws // len(clusters))
    rows = np.concatenate([random.choice(rows, each) for rows in clusters])
    return random.permutation(rows)[:draws].astype(np.int32)
