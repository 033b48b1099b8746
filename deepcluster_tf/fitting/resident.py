"""A model that holds its images, so that Keras's `fit` is fed row numbers only, and a batch costs no copy.

Images that would take too much of the memory stay where they are, in a file that is mapped, and a batch is read when
it is needed: in the same order, to the same numbers, but for the last bits of a sum, which TensorFlow adds in another
order where the images are as large as 224x224.
"""

from __future__ import annotations

import mmap

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from deepcluster_tf.machine import is_large
from deepcluster_tf.networks import to_unit


def taken(images: np.ndarray, rows) -> np.ndarray:
    """`images[rows]`, a copy; of a mapped file the rows are fetched side by side, not page after page as it is touched.

    Args:
        images: (n, ...), in memory or mapped from a file.
        rows: int (m,), or a slice.
    """
    place = images
    while isinstance(place, np.ndarray):
        place = place.base
    ahead = isinstance(place, mmap.mmap) and hasattr(place, "madvise")  # which not every system has
    if ahead and isinstance(rows, np.ndarray) and images.strides[0] > 0:
        first, size = images.ctypes.data - np.frombuffer(place, np.uint8).ctypes.data, images.strides[0]
        for row in rows.tolist():
            start = first + row * size
            page = start - start % mmap.PAGESIZE  # where advice may begin
            place.madvise(mmap.MADV_WILLNEED, page, start + size - page)
    return images[rows]


class Reordered:
    """Images in another order, of which no copy is made.

    Args:
        images: (n, height, width, channels).
        order: int (m,), rows.
    """

    def __init__(self, images: np.ndarray, order: np.ndarray):
        self.source, self.order = images, order
        self.shape, self.dtype = (len(order), *images.shape[1:]), images.dtype
        self.nbytes = images.nbytes

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, rows):
        return taken(self.source, self.order[rows])


def reordered(images: np.ndarray, order: np.ndarray) -> np.ndarray | Reordered:
    """Images in another order; a copy, unless they are large."""
    return Reordered(images, order) if is_large(images.nbytes) else images[order]


def _on_device(images: np.ndarray) -> tf.Variable | tf.Tensor:
    """Images as a variable that can be emptied; under a strategy, which would copy it, as a tensor."""
    if tf.distribute.has_strategy() or isinstance(images, tf.Tensor):
        return ops.convert_to_tensor(images)
    return tf.Variable(images, trainable=False, shape=(None, *images.shape[1:]))


class ResidentModel(keras.Model):
    """A functional model whose training data stay on the device; `fit` receives row numbers.

    Call `hold` before `fit`. The model's inputs are the images of the rows, its targets the images again under
    the output name "reconstruction" and, if held, the rows of the target distribution under "assignments". With a
    `view` both are of moved images, the target distribution is not. A subclass may give each image a weight too.
    """

    view = None  # a model that moves the images of a batch at random, their targets with them

    def hold(self, images: np.ndarray, target=None) -> None:
        """Keep what a training step reads.

        Args:
            images: (n, height, width, channels), uint8 in 0..255 or float32 in 0..1.
            target: Keras variable (n, n_clusters), the target distribution p, or None for reconstruction alone.
        """
        self.images = images if is_large(images.nbytes) else _on_device(images)
        self.target = target
        self.train_function = self.test_function = None  # a step traced before would go on with what was held before
        inputs, targets, *weights = self._batch(np.arange(1))
        # builds the losses, which a strategy would build from row numbers
        self.compute_loss(x=inputs, y=targets, y_pred=self(inputs), sample_weight=weights[0] if weights else None)

    def release(self) -> None:
        """Let go of the images when training is over: Keras keeps what a step was traced from for good."""
        if isinstance(self.images, tf.Variable):
            self.images.assign(tf.zeros((0, *self.images.shape[1:]), self.images.dtype))

    def images_of(self, rows):
        """The images of `rows`, int (batch,): float32 (batch, height, width, channels) in 0..1."""
        if isinstance(self.images, (np.ndarray, Reordered)):
            source, rows = self.images, ops.convert_to_tensor(rows)
            read = (
                source.__getitem__
                if isinstance(source, Reordered)
                else lambda wanted: np.asarray(taken(source, wanted))
            )
            found = tf.numpy_function(read, [rows], source.dtype)
            return to_unit(tf.ensure_shape(found, (*rows.shape, *source.shape[1:])))
        held = self.images.value() if isinstance(self.images, tf.Variable) else self.images
        return to_unit(ops.take(held, rows, axis=0))

    def _batch(self, rows):
        images = self.images_of(rows)
        images = self.view(images, training=True) if self.view else images
        targets = {"reconstruction": images}
        if self.target is not None:
            targets["assignments"] = ops.take(self.target, rows, axis=0)
        return images, targets

    def train_step(self, rows):
        """One step on the images of `rows`, int (batch,); the rest is Keras's own train step."""
        return super().train_step(self._batch(rows))

    def test_step(self, rows):
        """The losses on the images of `rows`, int (batch,), without learning from them."""
        return super().test_step(self._batch(rows))
