"""The order of the rows: a function of the seed and of the place where training stands, never of what happened before.

That is what lets an interrupted fit go on and end with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import tensorflow as tf


def shuffled_rows(n: int, batch_size: int, seed: int, first_iteration: int = 0, whole: bool = False) -> tf.data.Dataset:
    """Batches of row numbers, shuffled anew each epoch by a permutation drawn from (seed, epoch) alone.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of an epoch holds what is left, never nothing.
        seed: non-negative int.
        first_iteration: the iteration to begin at.
        whole: leave out a last batch that is short.

    Returns:
        an endless data set of int64 (batch,).
    """

    def epoch_rows(epoch):
        return tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=(seed, epoch))

    batches = n // batch_size if whole else -(-n // batch_size)
    epochs = tf.data.Dataset.counter(start=first_iteration // batches)
    rows_of = lambda epoch: tf.data.Dataset.from_tensor_slices(epoch_rows(epoch)).batch(batch_size, whole)
    return _plain(epochs.flat_map(rows_of).skip(first_iteration % batches))


def ordered_rows(n: int, batch_size: int, first_iteration: int = 0) -> tf.data.Dataset:
    """Batches of row numbers in the order of the data, round after round.

    Args:
        n: number of rows.
        batch_size: rows a batch; the last batch of a round holds what is left, never nothing.
        first_iteration: the iteration to begin at.

    Returns:
        an endless data set of int64 (batch,).
    """
    batches = -(-n // batch_size)

    def batch(iteration):
        start = (iteration % batches) * batch_size
        return tf.range(start, tf.minimum(start + batch_size, n), dtype=tf.int64)

    return _plain(tf.data.Dataset.counter(start=first_iteration).map(batch))


def rows_between(first: int, last: int, batch_size: int) -> tf.data.Dataset:
    """Batches of the row numbers from `first` to `last`, once, in order: for validation."""
    return tf.data.Dataset.range(first, last).batch(batch_size)


def _plain(rows: tf.data.Dataset) -> tf.data.Dataset:
    """Without autotuning: there is nothing to tune, and its thread holds up the end of a fit by many seconds."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.with_options(options)
