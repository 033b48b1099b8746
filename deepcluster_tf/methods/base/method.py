"""What every method has: settings by name, checked input, a fit that resumes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import keras
import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from deepcluster_tf import fitting, networks
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.methods.base import given, parts
from deepcluster_tf.methods.base.given import Images, Labels
from deepcluster_tf.settings import Settings

Fit = TypeVar("Fit", bound=Callable[..., Any])
FEW = 64  # images that a network sees at a time where no setting says how many


def whole_or_nothing(fit: Fit) -> Fit:
    """A fit after whose failure the object is what it was before: no half-fitted model is left behind.

    Its arguments are looked at before. Where Keras's policy asks for mixed precision, the networks follow it, and
    nothing else does.
    """

    @functools.wraps(fit)
    def guarded(self, *args, **how):
        given.require_how(how)
        before = dict(vars(self))
        try:
            with networks.mixed():
                found = fit(self, *args, **how)
            self._fitted_with = self.get_settings()
            self._fitted_parts = {name: getattr(self, name) for name in parts.names(type(self))}
            return found
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return cast(Fit, guarded)


def _is_plain(value: object) -> bool:
    """Whether a value is data, and no network or function, which `_build` makes anew."""
    if isinstance(value, (dict, list, tuple)):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return not callable(value)


class Method(Settings, ClusterMixin, TransformerMixin, BaseEstimator):
    """Base of the methods, which are estimators of scikit-learn whose X are images.

    A subclass is a keyword-only dataclass whose fields are its settings. Its `_check(images)` refuses what does not fit
    the images, its `_build(image_shape)` makes the networks, and `_whole()` gives a Keras model of all that `save`
    keeps. What else a fitted model knows that `load` must know too, it names in `_learned`.
    """

    _learned = ("class_names_",)  # attributes of JSON types, which `save` writes beside the weights

    _callbacks = ()  # the user's, while a fit goes on

    # the settings, and the user's own parts, of the networks that are there, from which `set_params` may have moved on
    _fitted_with: dict = {}
    _fitted_parts: dict = {}

    _kept = ()  # what `load` leaves beside settings and the user's own parts

    class_names_ = ()  # the names of the first clusters, in order, where labels were no numbers of clusters

    keeps_embeddings = True  # whether a run keeps `transform` of all images on its machine

    decoder_ = None  # a method without one reconstructs nothing

    whole_batches = False  # whether an epoch leaves out the images of a last batch that is not full

    counts_steps = True  # whether an experiment may set its epochs by the steps that they come to

    @property
    def packages(self) -> list[str]:
        """The packages beyond the usual ones that these settings need, by their names on PyPI."""
        return []

    @property
    def images_a_step(self) -> int:
        """How many images a network sees at a time while it learns."""
        return getattr(self, "batch_size", FEW)

    def steps_of(self, epochs: str, n: int) -> int:
        """The steps of one of the epochs that a setting of this name counts, with n images."""
        return max(n // self.batch_size, 1) if self.whole_batches else -(-n // self.batch_size)

    def _require_fitted(self, whole: bool = True) -> None:
        """Refuse what needs a fitted model, or, where not the whole is needed, its networks.

        Raises:
            sklearn.exceptions.NotFittedError: there is none yet.
        """
        if not hasattr(self, "encoder_") or whole and not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit or load first")

    def get_params(self, deep: bool = True) -> dict:
        """All settings, and the user's own networks and optimizer, by name; `deep` is there for scikit-learn."""
        return {name: getattr(self, name) for name in (*self.declared(), *parts.names(type(self)))}

    def _made_of(self) -> dict:
        """What a fit depends on beside its data: the settings, and the user's own parts where there are any."""
        own = {name: getattr(self, name) for name in parts.names(type(self))}
        said = {name: parts.describe(given) for name, given in own.items() if given is not None}
        said |= {"precision": networks.precision()} if networks.precision() != "float32" else {}
        return {**self.get_settings(), **said}

    def _optimizer(self, usual: Callable[[], keras.optimizers.Optimizer]) -> keras.optimizers.Optimizer:
        """A new optimizer, the user's or the method's; with 16 bits it scales the loss, or gradients vanish."""
        if getattr(self, "optimizer", None) is None:
            new = usual()
        else:
            own = keras.optimizers.get(self.optimizer)
            new = type(own).from_config(own.get_config())
        return checkpoints.LossScale(new) if networks.precision() == "mixed_float16" else new

    def _network(
        self, what: str, shape: tuple[int, ...], usual: Callable[[], keras.Model], gives: tuple[int, ...] = ()
    ) -> keras.Model:
        """The user's encoder or decoder, copied, or the method's."""
        given = getattr(self, what, None)
        return usual() if given is None else networks.to_float32(parts.network(given, what, shape, gives))

    def check(self, images: Images) -> np.ndarray:
        """Refuse settings or images out of range; returns the images as `fit` uses them.

        Raises:
            ValueError: with what was expected and what was received.
        """
        fitting.require_usual_keras()
        self.check_settings()
        parts.require_optimizer(getattr(self, "optimizer", None))
        images = given.images_of(images)
        if len(images) < 2:
            raise ValueError("clustering needs two images or more; received one")
        self._require_at_most("n_clusters", len(images))
        self._check(images)
        return images

    def _check(self, images: np.ndarray) -> None:
        """Refuse settings that do not fit the images, beyond what every method refuses."""

    def transform(self, images: Images) -> np.ndarray:
        """Embeddings, float32 (n, embedding_dim), of images (n, height, width, channels)."""
        images = self._given(images)
        return self._embed(images)

    def to_count(self, images: np.ndarray, shared: Path, progress: bool) -> tuple[str, np.ndarray]:
        """In what clusters are counted before there is a fit: its name, and float (n, d). Here the pixels.

        Args:
            images: (n, height, width, channels).
            shared: the folder of what several fits to these images have in common.
            progress: show bars.
        """
        given.require_in_memory(images)
        return "pixels", np.asarray(networks.to_unit(images)).reshape(len(images), -1)

    def _given(self, images) -> np.ndarray:
        """Images for the fitted model, as it uses them; a ValueError if they are not of its shape."""
        self._require_fitted(whole=False)
        return given.images_of(images, self.encoder_.input_shape[1:])

    def _take_labels(self, labels, n: int) -> np.ndarray:
        """The clusters that labels stand for, int64 (n,), -1 where unknown; sets `class_names_`."""
        found, self.class_names_ = given.labels_of(labels, n, self.n_clusters)
        return found

    def fit_predict(self, images: Images, labels: Labels = None, **how) -> np.ndarray:
        """Fit, and give the clusters of the images, int64 (n,); arguments as `fit`."""
        return self.fit(images, labels, **how).labels_

    @property
    def n_features_in_(self) -> int:
        """The values of an image; an AttributeError before `fit`, as scikit-learn has it."""
        if not hasattr(self, "encoder_"):
            raise AttributeError(f"this {type(self).__name__} is not fitted: call fit or load first")
        return int(np.prod(self.encoder_.input_shape[1:]))

    @property
    def model_(self) -> keras.Model:
        """The fitted networks as one Keras model, which shares their weights, has `summary()` and saves as `.keras`.

        float32 images (n, height, width, channels) in 0..1 -> a dict: "embeddings" float32 (n, d), "reconstructions"
        where there is a decoder, and soft assignments float32 (n, n_clusters) by what made them.
        """
        self._require_fitted()
        z = self.encoder_.output
        outputs = {"embeddings": z, **{by: head(z) for by, head in self._heads().items()}}
        if self.decoder_ is not None:
            outputs["reconstructions"] = self.decoder_(z)
        return keras.Model(self.encoder_.input, outputs, name=type(self).__name__.lower())

    def _heads(self) -> dict[str, Callable]:
        """Layers or models from embeddings to soft assignments, by name."""
        return {}

    def main_head(self) -> Callable:
        """The layer or model, embeddings to soft assignments, whose clusters `predict` gives."""
        self._require_fitted()
        heads = self._heads()
        return heads[getattr(self, "assign_by", next(iter(heads)))]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    # ------------------------------------------------------------------ kept and taken up again

    def save(self, path: Path | str) -> None:
        """Write the fitted model to one `.weights.h5` file: weights, settings, shape of the images and classes.

        `deepcluster_tf.load` makes the same model of it. The file is whole at every moment, and reading it runs no code
        of it.

        Raises:
            ValueError: the name ends otherwise, or nothing is fitted.
        """
        self._require_fitted()
        if not str(path).endswith(".weights.h5"):
            raise ValueError(f"the file must be called something.weights.h5, as load expects; received {path}")
        checkpoints.save_weights(self._whole(), path, about=self._about())

    def _about(self) -> dict:
        now = self.get_settings()
        chosen = {name: value for name, value in now.items() if name == "assign_by"}  # of the heads that are there
        return {
            "method": type(self).__name__,
            "settings": {**now, **self._fitted_with, **chosen},
            "own": [name for name in ("encoder", "decoder") if self._fitted_parts.get(name) is not None],
            "image_shape": list(self.encoder_.input_shape[1:]),
            "learned": {name: np.asarray(getattr(self, name)).tolist() for name in self._learned},
        }

    @whole_or_nothing
    def load(self, path: Path | str, image_shape: tuple[int, int, int] | None = None) -> Method:
        """Take a fitted model from `save`, ready for `transform`, `predict` and `export`.

        Args:
            path: the `.weights.h5` file, of a model with the same settings.
            image_shape: (height, width, channels); None: as the file has it.

        Raises:
            ValueError: the file is missing, damaged or of another model.
        """
        about = checkpoints.read_about(path)
        if image_shape is None and not about:
            raise ValueError(f"{path} does not say of which images it is: expected their image_shape beside it")
        self._forget()
        self._take_learned(about.get("learned", {}))
        with fitting.draws_kept():
            self._build(tuple(image_shape or about["image_shape"]))
        checkpoints.load_weights(self._whole(), path)
        return self

    def _forget(self) -> None:
        """Leave nothing of an earlier fit: settings, the user's own parts, and what scikit-learn is told, stay."""
        for name in vars(self).keys() - {*self.get_params(), *self._kept}:
            if not name.startswith(("_sklearn", "_metadata")):
                delattr(self, name)

    def _take_learned(self, learned: dict) -> None:
        for name, value in learned.items():
            if name in self._learned:
                setattr(self, name, tuple(value) if isinstance(value, list) else value)

    def __getstate__(self) -> dict:
        """What pickle, joblib and deepcopy keep: settings, what `fit` found, and the weights of the networks."""
        if not hasattr(self, "encoder_"):
            return {"attributes": vars(self).copy()}
        own = [*parts.names(type(self)), "_fitted_parts"]
        attributes = {name: value for name, value in vars(self).items() if name in own or _is_plain(value)}
        weights = self._whole().get_weights()
        return {"attributes": attributes, "weights": weights, "image_shape": self.encoder_.input_shape[1:]}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state["attributes"])
        if "weights" in state:
            vars(self).update({**self._fitted_with, **self._fitted_parts})
            with networks.mixed(), fitting.draws_kept():
                self._build(state["image_shape"])
            self._whole().set_weights(state["weights"])
            vars(self).update(state["attributes"])

    def _encoder_functions(self) -> dict:
        """What every SavedModel offers: `embed` and, with a decoder, `reconstruct`, functions of images in 0..1."""
        encode = lambda images: self.encoder_(images, training=False)
        functions = {"embed": lambda images: {"embeddings": encode(images)}}
        if self.decoder_ is not None:
            functions["reconstruct"] = lambda images: {"reconstructions": self.decoder_(encode(images), training=False)}
        return functions

    def _reconstruction_model(
        self, images: np.ndarray, steps: int, loss: str = "mse", view: keras.Model | None = None
    ) -> fitting.ResidentModel:
        """Encoder and decoder, compiled to learn the images that it holds, or views of them, in epochs of `steps`."""
        outputs = {"reconstruction": self.decoder_(self.encoder_.output)}
        model = fitting.ResidentModel(self.encoder_.input, outputs, name="autoencoder")
        model.view = view
        model.compile(
            self._optimizer(keras.optimizers.Adam),
            {"reconstruction": loss},
            steps_per_execution=fitting.steps_per_call(steps),
            jit_compile=False,
        )
        model.hold(images)
        return model

    def _train(
        self,
        model,
        rows,
        steps: int,
        iterations: int,
        directory: Path | None,
        phase: str,
        progress: bool,
        *callbacks,
        validation=None,
    ) -> list[dict]:
        """Fit a compiled resident model, from its checkpoint if there is one; returns the rows of its history.

        `callbacks` may have `begin(done, history)`, called once the weights are those to start from.
        """
        checkpoint = directory and directory / "checkpoint.weights.h5"
        done = checkpoints.restore(model, checkpoint)
        history = fitting.History(directory and directory / "history.csv", done)
        if done and (not history.rows or history.rows[-1]["iteration"] != done):
            raise ValueError(f"{directory}/history.csv does not end where the checkpoint stands: remove {directory}")
        keepers = []
        if directory:
            board = keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False)
            keepers = [board, checkpoints.Checkpoint(checkpoint)]
        stopping = [callback for callback in callbacks if isinstance(callback, fitting.EarlyStopping)]
        soonest = (lambda: stopping[0].last_epoch * steps) if stopping else None
        with fitting.Progress(phase, iterations, done, progress, soonest) as bar:
            for callback in callbacks:
                callback.set_model(model)
                callback.begin(done, history)
            own = [fitting.Draws(), fitting.FiniteLoss(), *callbacks, history, bar, *keepers]
            try:
                fitting.train(model, rows, steps, iterations, done, [*own, *self._callbacks], validation)
            finally:
                model.release()
        return history.rows
