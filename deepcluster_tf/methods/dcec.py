"""Semi-supervised deep convolutional embedded clustering (document 004)."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from tqdm.keras import TqdmCallback

from deepcluster_tf import fitting, networks


class DCEC:
    def __init__(
        self,
        *,
        n_clusters: int = 10,
        embedding_dim: int = 10,
        filters: tuple[int, int, int] = (32, 64, 128),
        batch_size: int = 256,
        pretraining_epochs: int = 200,
        seed: int = 0,
    ):
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.filters = filters
        self.batch_size = batch_size
        self.pretraining_epochs = pretraining_epochs
        self.seed = seed

    def _build(self, image_shape):
        keras.utils.set_random_seed(self.seed)
        self.encoder_ = networks.convolutional_encoder(image_shape, self.embedding_dim, self.filters)
        self.decoder_ = networks.convolutional_decoder(image_shape, self.embedding_dim, self.filters)
        self.autoencoder_ = keras.Sequential([self.encoder_, self.decoder_], name="autoencoder")

    def pretrain(self, images: np.ndarray, directory: Path):
        self._build(images.shape[1:])
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        steps = -(-len(images) // self.batch_size)
        model = fitting.ResidentModel(
            self.encoder_.input, {"reconstruction": self.decoder_(self.encoder_.output)}, name="autoencoder"
        )
        model.compile(
            "adam", {"reconstruction": "mse"}, steps_per_execution=fitting.steps_per_call(steps), jit_compile=False
        )
        model.hold(images)
        done = fitting.restore(model, directory / "checkpoint.weights.h5") // steps
        fitting.trim_history(directory / "history.csv", done)
        model.fit(
            fitting.shuffled_rows(len(images), self.batch_size, self.seed, done),
            steps_per_epoch=steps,
            epochs=self.pretraining_epochs,
            initial_epoch=done,
            shuffle=False,  # the rows come shuffled
            verbose=0,
            callbacks=[
                keras.callbacks.CSVLogger(directory / "history.csv", append=True),
                keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False),
                TqdmCallback(verbose=0, desc="pretraining"),
                fitting.Checkpoint(directory / "checkpoint.weights.h5"),
            ],
        )
        fitting.save_weights(self.autoencoder_, directory / "autoencoder.weights.h5")
        return self
