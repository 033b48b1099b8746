"""SCAN: semantic clustering by adopting nearest neighbours (Van Gansbeke et al., 2020; named in Singh's slides).

Three stages. A pretext gives embeddings in which neighbours are mostly of one class: a contrastive encoder, or a
pretrained network that stays frozen. Then heads learn to put an image and its neighbours into one cluster, and all
images into clusters of like sizes. Last, the images of which the best head is sure become labels for all.

Deviations from the paper:
1. The contrastive encoder is `Siamese`, small enough for two cores, not a ResNet-18; Adam everywhere. Heads alone, on
   a frozen backbone, learn ten times faster than the paper's 0.0001: of the two rates the loss is lower. Embeddings of
   the contrastive encoder are scaled first, to values of a mean deviation of 1: their length is free, and where it is
   small, heads learn little and move the encoder much.
   It learns with a temperature of 0.2, in batches of 256 and for 100 epochs; the paper has 0.1, 512 and 500.
2. With a frozen backbone the heads see features, and only they learn: nothing is moved in clustering, and in
   self-labelling every second value is dropped instead. On few images they take 500 steps at least.
3. Several heads learn side by side, and the one is kept whose loss over all images, not moved, is least; the paper does
   so for checkpoints. The entropy weighs 1 in that loss, as in the paper's validation.
   Batches of clustering have 1,000 images, not 128; self-labelling has 50 epochs, not 200; no weights are decayed.
4. Where self-labelling empties a cluster, the network and head of the stage before are kept; the paper goes on.
5. Known labels, where some are given, take the place of the neighbour's assignment, as SDCEC sets rows of its target,
   and of the pseudo-label in self-labelling; the heads begin towards the mean embeddings of their classes, as SDCEC's
   centres do. The paper knows no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from deepcluster_tf import clustering, fitting, networks
from deepcluster_tf.files import copy
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.layers import ClusterHead
from deepcluster_tf.methods import pretext
from deepcluster_tf.methods.base import BackboneMethod, part, whole_or_nothing
from deepcluster_tf.methods.base.given import Images, Labels
from deepcluster_tf.methods.heads import (
    NeighborModel,
    Pairs,
    SelfLabelModel,
    Split,
    clustering_loss,
    head_loss,
    one_hot,
    smallest,
    towards_classes,
)
from deepcluster_tf.settings import setting

DROPPED = 0.5  # of a feature's values, for want of views
LEAST_STEPS = 500  # of heads alone, on few images
LEAST = 0.1  # of the mean size of a cluster, below which a head's cluster counts as empty


@dataclass(kw_only=True, eq=False)
class SCAN(BackboneMethod):
    """Clusters by nearest neighbours, on a contrastive encoder or a frozen backbone.

    Attributes after `fit`:
        encoder_: Keras model. kmeans_, mixture_: fitted to its embeddings. assigners_: these as Keras layers by name,
            and "scan", the head.
        labels_: int64 (n,). history_: a list of dicts, one an epoch. notices_: what went otherwise than planned.
        stages_: a dict a stage: its name, the share of confident images, and what `score` said.
        head_losses_: float (heads,), by which the head was chosen.
    """

    in_stages = True
    whole_batches = True

    n_clusters: int = setting(10, "number of clusters", low=2)
    stages: int = setting(3, "2: pretext and clustering, 3: self-labelling too", low=2, high=3)
    backbone: str = setting(
        "none",
        "none: a contrastive encoder of its own; or a network that stays frozen: EfficientNetLite0, 1 or 2, or one of "
        "keras.applications, such as ResNet50",
    )
    backbone_side: int = setting(
        0, "height and width at which a backbone sees the images; 0 for those of its training", low=0
    )
    network: str = setting(
        "full", "the contrastive encoder: full, or small, for a first look", choices=("full", "small")
    )
    pretext_epochs: int = setting(100, "of the contrastive encoder", low=0)
    flip: bool = setting(True, "let left be right in every second view")
    neighbors: int = setting(20, "nearest images of which one is drawn at each step", low=1)
    entropy_weight: float = setting(5.0, "of the entropy of a batch's mean assignment", low=0, high=1e6)
    heads: int = setting(30, "that learn side by side; the one of the least loss is kept", low=1)
    batch_size: int = setting(1000, "images a step", low=2)
    epochs: int = setting(50, "of clustering", low=0)
    learning_rate: float = setting(
        0.0,
        "of clustering and self-labelling; 0: 0.0001 for an encoder of its own, 0.001 for heads alone",
        low=0,
        high=1,
    )
    self_labelling_epochs: int = setting(50, "of self-labelling", low=0)
    confidence: float = setting(0.99, "above which an assignment becomes a label", low=0, below=1)
    n_components: int = setting(
        50, "principal components that the mixture sees, at most the values and the images", low=1
    )
    assign_by: str = setting("scan", "whose clusters `predict` gives", choices=("scan", "mixture", "kmeans"))
    n_init: int = setting(3, "starts of k-means and of the mixture", low=1)
    seed: int = setting(0, "of everything random", low=0, high=2_147_483_647)
    optimizer: keras.optimizers.Optimizer | str | None = part("any optimizer of Keras, in place of the method's own")

    def check_settings(self) -> None:
        """Refuse settings out of range, before there are data; raises ValueError."""
        super().check_settings()
        if self._frozen:
            self._require_backbone()
        for name in ("pretext_epochs",) if self._frozen else ("backbone_side",):
            if getattr(self, name) != self.defaults()[name]:
                raise ValueError(f"{name} has no effect with the backbone {self.backbone}: leave it out")

    def _check(self, images):
        self._require_at_most("neighbors", len(images) - 1)
        if self._frozen:
            networks.require_colours(images.shape[1:])

    @property
    def _frozen(self) -> bool:
        return self.backbone != "none"

    @property
    def counts_steps(self) -> bool:
        """Whether an experiment may set its epochs by the steps that they come to: heads alone have their own least."""
        return not self._frozen

    @whole_or_nothing
    def fit(
        self,
        images: Images,
        labels: Labels = None,
        *,
        directory: Path | str | None = None,
        shared: Path | str | None = None,
        score: Callable[[np.ndarray], dict] | None = None,
        progress: bool = True,
        strategy=None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> SCAN:
        """Carry out the stages, then cluster the embeddings by k-means and a mixture too.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or floats in 0..1.
            labels: int (n,), the cluster that an image is known to belong to, -1 where unknown; None: all unknown.
            directory: where checkpoints and logs go, and whence an interrupted call goes on; None keeps nothing.
            shared: where that goes which several fits to these images have in common; None: into `directory`.
            score: clusters (n,) -> named numbers to report after each stage; they reach the report alone.
            progress: show bars.
            strategy: a `tf.distribute.Strategy` to train the contrastive encoder under.
            callbacks: of Keras, called in all training beside the method's own.

        Returns:
            self.

        Raises:
            ValueError: settings, images or labels are out of range, or `directory` belongs to another fit.
            FloatingPointError: the loss is no longer a number.
        """
        self._score = score or (lambda clusters: {})
        how = {"progress": progress, "strategy": strategy, "callbacks": callbacks}
        return super().fit(images, labels, directory=directory, shared=shared, **how)

    def _learn(self, images, directory, progress, strategy):
        self._labels = self._take_labels(self._labels, len(images))
        self.stages_, self._found = [], []
        checkpoints.expect(directory and directory / "clustering", seed=self.seed, n_clusters=self.n_clusters)
        data = self._make_features(images, progress) if self._frozen else self._contrast(images, progress, strategy)
        self._build_assigners()
        z = self.transform(images)
        if self._frozen:
            self._normal = layers.Normalization(name="normal")
            self._normal.adapt(z)
        nearest = self._nearest(z, directory, progress)
        self._clustering(data, z, nearest, directory, progress)
        if self.stages > 2:
            self._self_labelling(data, directory, progress)

    # ------------------------------------------------------------------ 1: the pretext, and its neighbours

    def steps_of(self, epochs: str, n: int) -> int:
        """As of every method; the pretext has batches of its own."""
        of_pretext = epochs == "pretext_epochs"
        return self._pretext().steps_of("epochs", n) if of_pretext else super().steps_of(epochs, n)

    def _pretext(self):
        return pretext.pretext(self.network, self.pretext_epochs, self.flip, self.seed)

    def _contrast(self, images, progress, strategy):
        learned, self._features_of = self._pretext(), None  # of an earlier fit, on a backbone
        self._pretext_seconds = pretext.learn(learned, images, self._shared, progress, strategy, self._callbacks)
        self.encoder_ = pretext.encoder(learned)
        self._view = lambda number: learned.view(number, images.shape[-1] == 3)
        self._embed = fitting.batched(self.encoder_)
        self._scale(self.transform(images))
        return images

    def _scale(self, z: np.ndarray) -> None:
        """Make the mean deviation of the values of embeddings z 1."""
        last, deviation = self.encoder_.get_layer("embedding"), z.std(axis=0).mean()
        last.set_weights([weights / max(deviation, 1e-12) for weights in last.get_weights()])

    def _nearest(self, z, directory, progress) -> np.ndarray:
        """The nearest images of each by the cosine of their embeddings, int (n, neighbors), without itself."""

        def make():
            everyone = np.arange(len(z))
            label = "neighbours" if progress else None
            found = clustering.most_similar(z, everyone, self.neighbors + 1, progress=label)
            others = [row[row != i][: self.neighbors] for i, row in enumerate(found)]
            return {"nearest": np.array(others, np.int32)}

        place = self._place if self._frozen else directory
        kept = place and place / f"neighbors-{self.neighbors}.npz"
        return fitting.kept_arrays(kept, checkpoints.digest(z), make, ("nearest",))["nearest"]

    # ------------------------------------------------------------------ 2: clustering

    def _clustering(self, data, z, nearest, directory, progress):
        """Train the heads, and keep the one of the least loss."""
        keras.utils.set_random_seed(self.seed)
        own, theirs = (keras.Input(self._shape(data), name=name) for name in ("own", "neighbor"))
        heads, split = layers.Dense(self.heads * self.n_clusters, name="heads"), Split(self.heads, name="split")
        moved = [split(heads(self._trunk(self._moved(x, number)))) for number, x in enumerate((own, theirs))]
        model = NeighborModel([own, theirs], {"pairs": Pairs(name="pairs")(moved)}, name="scan")
        model.nearest, model.seed = ops.convert_to_tensor(nearest), self.seed
        model.known = ops.convert_to_tensor(one_hot(self._labels, self.n_clusters))
        if (self._labels >= 0).any():
            seen = np.asarray(self._normal(z)) if self._frozen else z
            heads.set_weights(towards_classes(*heads.get_weights(), seen, self._labels, self.n_clusters))
        loss = lambda known, pairs: clustering_loss(known, pairs, self.entropy_weight)
        how = {"neighbors": self.neighbors, "heads": self.heads, "entropy_weight": self.entropy_weight}
        self._fit(model, {"pairs": loss}, data, self.epochs, directory, "clustering", how, progress)
        p = fitting.batched(keras.Model(own, layers.Softmax()(split(heads(self._trunk(own))))))(data)
        self.head_losses_ = np.array([head_loss(p[:, head], nearest) for head in range(self.heads)])
        best = int(np.argmin(self.head_losses_))
        self._head = [w.reshape(*w.shape[:-1], self.heads, -1)[..., best, :] for w in heads.get_weights()]
        self._keep("clustering", p[:, best])
        empty = [head for head in range(self.heads) if smallest(p[:, head]) < LEAST]
        if empty:
            self._found.append(
                f"{len(empty)} of {self.heads} heads collapsed, with a cluster below {LEAST:.0%} of the mean size"
                + (", the one kept among them: more of the entropy's weight (ENTROPY) may help" * (best in empty))
            )

    # ------------------------------------------------------------------ 3: self-labelling

    def _self_labelling(self, data, directory, progress):
        """Train on the images of which the head is sure, as classes."""
        own = keras.Input(self._shape(data), name="own")
        head = layers.Dense(self.n_clusters, activation="softmax", name="head")
        strong = layers.Dropout(DROPPED, seed=self.seed)(own) if self._frozen else self._moved(own, 2)
        model = SelfLabelModel(own, {"labels": head(self._trunk(strong))}, name="self-labelling")
        head.set_weights(self._head)
        teacher = keras.Model(own, head(self._trunk(own)))
        model.teacher, model.confidence = lambda x: teacher(x, training=False), self.confidence
        model.known = ops.convert_to_tensor(one_hot(self._labels, self.n_clusters))
        how = {"confidence": self.confidence, "head": checkpoints.digest(self._head[0])}
        epochs, before = self.self_labelling_epochs, self.encoder_.get_weights()
        self._fit(
            model, {"labels": "categorical_crossentropy"}, data, epochs, directory, "self-labelling", how, progress
        )
        p = fitting.batched(teacher)(data)
        if smallest(p) >= LEAST or self.stages_[-1]["smallest"] < LEAST:
            self._head = head.get_weights()
            self._keep("self-labelling", p)
        else:  # few sure images drew all others into their clusters
            self.encoder_.set_weights(before)
            self._note("self-labelling", p)
            self._found.append(
                f"self-labelling left a cluster with less than {LEAST:.0%} of the mean size: the clusters of the stage "
                "before are kept"
            )

    # ------------------------------------------------------------------ what both stages share

    def _shape(self, data) -> tuple[int, ...]:
        return data.shape[1:]

    def _moved(self, x, number: int):
        """A strongly moved view of images; features stay as they are."""
        return x if self._frozen else self._view(number)(x)

    def _trunk(self, x):
        """What the heads see: embeddings of images, or features, each value with mean 0 and deviation 1."""
        return self._normal(x) if self._frozen else self.encoder_(x)

    def _fit(self, model, loss, data, epochs, directory, stage, how, progress):
        """Train a stage's model, from wherever it stopped."""
        place = directory and directory / stage
        batch_size = min(self.batch_size, len(data))
        rate = self.learning_rate or (1e-3 if self._frozen else 1e-4)
        steps = len(data) // batch_size
        if self._frozen:
            epochs = max(epochs, -(-LEAST_STEPS // steps)) if epochs else 0
        if place:
            mine = {"batch_size": batch_size, "epochs": epochs, "learning_rate": rate, "seed": self.seed}
            names = ("n_clusters", "flip", "optimizer", "precision")
            own = {name: value for name, value in self._made_of().items() if name in names}
            begun = {} if self._frozen else {"encoder": checkpoints.flat(self.encoder_.get_weights())}
            checkpoints.claim(place, {**mine, **how, **own}, images=data, labels=self._labels, **begun)
        optimizer = self._optimizer(lambda: keras.optimizers.Adam(rate))
        model.compile(optimizer, loss, steps_per_execution=fitting.steps_per_call(steps), jit_compile=False)
        model.hold(data)
        rows = lambda iteration: fitting.shuffled_rows(len(data), batch_size, self.seed, iteration, whole=True)
        history = self._train(model, rows, steps, epochs * steps, place, stage, progress)
        self.history_ += [{"stage": stage, **row} for row in history]
        self.n_iter_ += fitting.iterations_of(history)
        if place and history:
            copy(place / "history.csv", directory / f"{stage}.csv")

    def _keep(self, stage: str, p: np.ndarray) -> None:
        """Take over the head."""
        kernel, bias = self._head
        if self._frozen:  # the head that is kept sees features as they are
            mean, deviation = (np.array(w).reshape(-1) for w in (self._normal.mean, ops.sqrt(self._normal.variance)))
            deviation[deviation <= keras.config.epsilon()] = np.inf  # what is the same for all images says nothing
            kernel, bias = kernel / deviation[:, None], bias - (mean / deviation) @ kernel
        self.assigners_["scan"].set_weights([kernel, bias])
        self._note(stage, p)

    def _note(self, stage: str, p: np.ndarray) -> None:
        """Report what a stage came to."""
        sure = {"confident": float(np.mean(p.max(axis=1) > self.confidence)), "smallest": smallest(p)}
        self.stages_.append({"stage": stage, **sure, **self._score(p.argmax(axis=1))})

    def _cluster(self, images, progress):
        super()._cluster(images, progress)
        self.notices_ += self._found
        if not self._frozen:
            self.seconds_["pretext"] = self._pretext_seconds

    # ------------------------------------------------------------------ the networks

    def _build(self, image_shape):
        if self._frozen:
            self.encoder_ = self._build_backbone(image_shape, pretrained=False)
        else:
            start = self._pretext()
            start._build(image_shape)
            self.encoder_ = pretext.encoder(start)
        self._embed = fitting.batched(self.encoder_, fitting.STEP)
        self._build_assigners()

    def _build_assigners(self):
        super()._build_assigners()
        self._add_assigner("scan", ClusterHead(self.n_clusters, name="scan"))
