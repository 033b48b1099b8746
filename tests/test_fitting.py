"""What every fit shares: rows and their order, resident data, the loop, checkpoints."""

import itertools
import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf import fitting, losses
from deepcluster_tf.files import checksums
from deepcluster_tf.fitting import checkpoints
from deepcluster_tf.fitting.resident import taken
from deepcluster_tf.networks import to_unit

BATCH = 4
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 1), np.uint8)
TARGET = np.random.default_rng(1).dirichlet(np.ones(3), 10).astype(np.float32)


def tiny(kind=fitting.ResidentModel, target=None, images=IMAGES, optimizer="adam", per_call=1):
    """A compiled model that rebuilds 2x2 images (and assigns them, if there is a target): always the same weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 2, 1))
    z = keras.layers.Dense(4, use_bias=False)(keras.layers.Flatten()(inputs))
    outputs = {"reconstruction": keras.layers.Reshape((2, 2, 1))(z)}
    loss, weights = {"reconstruction": "mse"}, {"reconstruction": 1.0}
    if target is not None:
        outputs["assignments"] = keras.layers.Dense(3, "softmax", use_bias=False)(z)
        loss["assignments"], weights["assignments"] = losses.kl_divergence, 0.5
    model = kind(inputs, outputs)
    model.compile(optimizer, loss, loss_weights=weights, steps_per_execution=per_call)
    if kind is fitting.ResidentModel:
        model.hold(images, target if target is None else keras.Variable(target, trainable=False))
    return model


def rows_from(iteration):
    return fitting.ordered_rows(len(IMAGES), BATCH, iteration)


def batches(rows, count):
    return [batch.numpy() for batch in rows.take(count)]


def assert_same(first, second, rtol=0.0):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.fixture(scope="module")
def plainly_trained():
    """The weights after each of seven steps of a plain Keras model on the same batches."""
    model = tiny(keras.Model)
    found = [weights(model)]
    for rows in batches(rows_from(0), 7):
        unit = np.float32(IMAGES[rows]) / 255
        model.train_on_batch(unit, {"reconstruction": unit})
        found.append(weights(model))
    return found


def test_a_view_moves_images_and_what_is_rebuilt_but_not_the_target():
    model = tiny(target=TARGET)
    model.view = lambda images, training: 1 - images if training else images
    images, targets = model._batch(np.arange(3))
    np.testing.assert_allclose(images, 1 - np.float32(IMAGES[:3]) / 255, rtol=1e-6)
    np.testing.assert_array_equal(targets["reconstruction"], images)
    np.testing.assert_array_equal(targets["assignments"], TARGET[:3])


class Seen(keras.callbacks.Callback):
    """Notes the iterations done at the end of each epoch; ends the fit after some of them."""

    def __init__(self, stop_after=np.inf):
        super().__init__()
        self.epochs, self.stop_after = [], stop_after

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, checkpoints.iterations_done(self.model)))
        self.model.stop_training = len(self.epochs) >= self.stop_after


# The order of the rows

SIZES = [(10, 4, 3), (12, 4, 3), (9, 4, 3), (3, 4, 1), (4, 4, 1), (1, 1, 1)]  # n, batch size, batches


@pytest.mark.parametrize(("n", "batch_size", "per_epoch"), SIZES)
@pytest.mark.parametrize("ordered", [True, False])
def test_an_epoch_holds_every_row_once_and_no_batch_is_empty(n, batch_size, per_epoch, ordered):
    rows = fitting.ordered_rows(n, batch_size) if ordered else fitting.shuffled_rows(n, batch_size, seed=3)
    found = batches(rows, 3 * per_epoch)
    last = n - (per_epoch - 1) * batch_size
    assert [len(batch) for batch in found] == ([batch_size] * (per_epoch - 1) + [last]) * 3 and last > 0
    for start in range(0, 3 * per_epoch, per_epoch):
        epoch = np.concatenate(found[start : start + per_epoch])
        np.testing.assert_array_equal(epoch if ordered else np.sort(epoch), np.arange(n))
    assert {batch.dtype for batch in found} == {np.dtype(np.int64)}


def test_shuffled_rows_differ_between_epochs_and_seeds_and_are_repeatable():
    first, again, other = (np.array(batches(fitting.shuffled_rows(64, 32, seed), 6)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    orders = [*first.reshape(3, 64), *other.reshape(3, 64), np.arange(64)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(orders, 2))


@pytest.mark.parametrize(("n", "batch_size", "per_epoch"), SIZES)
def test_rows_started_later_are_the_tail_of_the_uninterrupted_ones(n, batch_size, per_epoch):
    count = 3 * per_epoch
    shuffled = batches(fitting.shuffled_rows(n, batch_size, 7), count)
    ordered = batches(fitting.ordered_rows(n, batch_size), count)
    for start in {0, 1, per_epoch, 2 * per_epoch - 1}:
        assert_same(batches(fitting.ordered_rows(n, batch_size, start), count - start), ordered[start:])
        assert_same(batches(fitting.shuffled_rows(n, batch_size, 7, start), count - start), shuffled[start:])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((140, 120), 20),
        ((140, 0), 140),
        ((274,), 137),
        ((280,), 140),
        ((141,), 47),
        ((149,), 1),
        ((1,), 1),
        ((6, 9), 3),
    ],
)
def test_steps_per_call_by_hand(steps, expected):
    assert fitting.steps_per_call(*steps) == expected


def test_steps_per_call_is_the_largest_that_divides():
    for a, b in np.random.default_rng(0).integers(1, 400, (50, 2)).tolist():
        assert fitting.steps_per_call(a, b) == max(d for d in range(1, 141) if a % d == b % d == 0)


# Resident data


@pytest.mark.parametrize("images", [IMAGES, np.float32(IMAGES) / 255], ids=["uint8", "float32"])
def test_a_resident_model_trains_as_a_plain_one(images, plainly_trained):
    model = tiny(images=images)
    model.fit(rows_from(0), steps_per_epoch=7, shuffle=False, verbose=0)
    assert_same(weights(model), plainly_trained[7], rtol=1e-6)
    assert not np.allclose(plainly_trained[7], plainly_trained[0])


def test_a_resident_model_with_a_target_trains_as_a_plain_one():
    resident, plain = tiny(target=TARGET), tiny(keras.Model, TARGET)
    resident.fit(rows_from(0), steps_per_epoch=4, shuffle=False, verbose=0)
    for rows in batches(rows_from(0), 4):
        unit = np.float32(IMAGES[rows]) / 255
        plain.train_on_batch(unit, {"reconstruction": unit, "assignments": TARGET[rows]})
    assert_same(weights(resident), weights(plain), rtol=1e-6)


def test_a_renewed_target_is_trained_on():
    """The step reads the variable, and not the values that it had when the step was traced."""
    resident, plain = tiny(target=np.zeros_like(TARGET)), tiny(keras.Model, TARGET)
    resident.optimizer.learning_rate = 0.0
    resident.fit(rows_from(0), steps_per_epoch=1, shuffle=False, verbose=0)
    resident.target.assign(TARGET)
    loss = resident.fit(rows_from(0), steps_per_epoch=1, shuffle=False, verbose=0).history["loss"]
    unit = np.float32(IMAGES[:BATCH]) / 255
    expected = plain.evaluate(unit, {"reconstruction": unit, "assignments": TARGET[:BATCH]}, verbose=0)
    assert loss == pytest.approx([expected if np.isscalar(expected) else expected[0]])


def test_data_held_anew_are_trained_on():
    model = tiny(images=np.zeros_like(IMAGES), optimizer=keras.optimizers.SGD(0.0))
    fit = lambda: model.fit(rows_from(0), steps_per_epoch=3, shuffle=False, verbose=0).history["loss"][0]
    assert fit() == 0  # there is no bias: black is rebuilt exactly
    model.hold(IMAGES)
    assert fit() > 0.01


@pytest.mark.filterwarnings("ignore:There are non-GPU devices")
def test_a_mirrored_model_trains_and_resumes_as_a_plain_one(tmp_path, plainly_trained):
    path = tmp_path / "checkpoint.weights.h5"
    for iterations in (3, 6):
        with fitting.scope(fitting.strategy("mirrored")):
            mirrored = tiny()
        fitting.train(
            mirrored, rows_from, 3, iterations, checkpoints.restore(mirrored, path), [checkpoints.Checkpoint(path)]
        )
    assert_same(weights(mirrored), plainly_trained[6], rtol=1e-6)


def test_the_strategies_names():
    assert fitting.strategy("none") is None
    with fitting.scope(None):
        assert not tf.distribute.has_strategy()
    with pytest.raises(ValueError, match="must be none or mirrored; received 'tpu'"):
        fitting.strategy("tpu")


# Running a model over everything


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 10])
@pytest.mark.parametrize("scale", [None, np.float32(255), np.float64(255)], ids=["uint8", "float32", "float64"])
def test_batched_is_the_models_own_output(n, scale):
    model = tiny(keras.Model)
    encode = fitting.batched(keras.Model(model.inputs, model.outputs[0]), batch_size=3)
    inputs = IMAGES[:n] if scale is None else IMAGES[:n] / scale
    expected = model(to_unit(IMAGES[:n]))["reconstruction"]
    for _ in range(2):
        found = encode(inputs)
        assert found.dtype == np.float32 and found.shape == (n, 2, 2, 1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_batched_traces_once_for_any_number_of_inputs():
    traced = []
    double = fitting.batched(lambda inputs, training: traced.append(inputs.shape) or 2 * inputs, batch_size=3)
    for n in (1, 2, 3, 5, 7):
        np.testing.assert_array_equal(double(np.ones((n, 2), "float32")), np.full((n, 2), 2))
    assert len(traced) == 1


def test_batched_follows_the_weights_and_takes_embeddings():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    decode = fitting.batched(model, batch_size=2)
    z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)  # negative ones too, and none is scaled
    for _ in range(2):
        np.testing.assert_allclose(decode(z, "a bar"), z @ model.weights[0].numpy(), rtol=1e-5, atol=1e-6)
        model.weights[0].assign(model.weights[0] + 1)


# The loop


@pytest.mark.parametrize(
    ("steps", "iterations", "per_call", "epochs"),
    [
        (3, 7, 1, [(0, 3), (1, 6), (2, 7)]),
        (4, 6, 2, [(0, 4), (1, 6)]),
        (3, 6, 3, [(0, 3), (1, 6)]),
        (5, 3, 1, [(0, 3)]),
        (3, 0, 3, []),
    ],
)
def test_train_does_exactly_the_iterations_in_the_order_of_the_rows(
    steps, iterations, per_call, epochs, plainly_trained
):
    assert fitting.steps_per_call(steps, iterations % steps) == per_call
    model = tiny(per_call=per_call)
    seen, history = Seen(), fitting.History(None)
    with fitting.Progress("a fit", iterations, 0) as progress:
        fitting.train(model, rows_from, steps, iterations, 0, [seen, history, progress])
        assert progress.bar.n == progress.bar.total == iterations
    assert seen.epochs == epochs
    assert [(row["epoch"] - 1, row["iteration"]) for row in history.rows] == epochs
    assert_same(weights(model), plainly_trained[iterations], rtol=1e-6)


@pytest.mark.parametrize(
    "part", [np.s_[:], np.s_[7:], np.s_[..., :1], np.s_[::-1], np.s_[3:20:2, 1:]], ids=["all", "7:", "one", "back", "2"]
)
def test_rows_of_a_mapped_file_are_those_of_the_array(part, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 30, 31, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped, held = np.load(tmp_path / "images.npy", mmap_mode="r")[part], images[part]
    for rows in (np.array([0, len(held) - 1, 3, 3]), np.array([], int), slice(2, 5)):
        np.testing.assert_array_equal(taken(mapped, rows), held[rows])


def test_a_resumed_fit_ends_as_an_uninterrupted_one(tmp_path):
    path, seen = tmp_path / "checkpoint.weights.h5", Seen()
    whole = tiny(target=TARGET)
    fitting.train(whole, rows_from, 3, 7, 0, [])
    for done, iterations in ((0, 3), (3, 6), (6, 7), (7, 7)):
        model = tiny(target=TARGET)
        assert checkpoints.restore(model, path) == done
        fitting.train(model, rows_from, 3, iterations, done, [seen, checkpoints.Checkpoint(path)])
    assert seen.epochs == [(0, 3), (1, 6), (2, 7)]
    assert_same(weights(model), weights(whole))


def test_a_callback_ends_the_fit_also_before_its_short_last_epoch():
    model = tiny()
    seen = Seen(stop_after=2)
    fitting.train(model, rows_from, 3, 7, 0, [seen])
    assert seen.epochs == [(0, 3), (1, 6)] and model.stop_training
    fitting.train(model, rows_from, 3, 20, 6, [seen])  # stopped before it began
    assert checkpoints.iterations_done(model) == 6


@pytest.mark.parametrize(("value", "loss"), [(np.nan, "nan"), (1e30, "inf")])
def test_a_loss_that_is_no_number_ends_the_fit_before_it_is_recorded(value, loss, tmp_path):
    path = tmp_path / "checkpoint.weights.h5"
    model, history = (
        tiny(images=np.full(IMAGES.shape, value, np.float32)),
        fitting.History(tmp_path / "history.csv"),
    )
    with pytest.raises(FloatingPointError, match=f"loss is {loss} after 1 iterations: expected a finite number"):
        fitting.train(
            model, rows_from, 1, 2, 0, [fitting.FiniteLoss(), history, checkpoints.Checkpoint(path, seconds=0)]
        )
    assert history.rows == [] and list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_end_the_fit_though_the_mean_loss_is_one():
    callback = fitting.FiniteLoss()
    callback.set_model(tiny())
    assert callback.on_epoch_end(0, {"loss": 0.5}) is None
    first = callback.model.trainable_variables[0]
    first.assign(np.full(first.shape, np.nan))
    with pytest.raises(FloatingPointError, match="weights are no longer finite after 0 iterations"):
        callback.on_epoch_end(0, {"loss": 0.5})


# Checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    """A model trained for three steps, and its checkpoint."""
    model, path = tiny(target=TARGET), tmp_path / "new" / "checkpoint.weights.h5"
    fitting.train(model, rows_from, 3, 3, 0, [checkpoints.Checkpoint(path)])
    return model, path


def test_a_checkpoint_holds_weights_moments_and_iterations(checkpoint):
    model, path = checkpoint
    again = tiny(target=TARGET)
    assert checkpoints.restore(again, path) == checkpoints.iterations_done(again) == 3
    assert_same(weights(again), weights(model))
    moments = [[v.numpy() for v in m.optimizer.variables] for m in (again, model)]
    assert_same(*moments)
    assert sum(np.abs(value).max() > 0 for value in moments[0]) == 6  # iterations, rate, two moments of two weights


def test_where_there_is_no_checkpoint_nothing_is_restored(tmp_path):
    model = tiny()
    assert checkpoints.restore(model, None) == checkpoints.restore(model, tmp_path / "none.weights.h5") == 0
    assert_same(weights(model), weights(tiny()))


def test_checkpoints_wait_their_seconds_but_not_at_the_end(tmp_path):
    saved = {}
    for seconds in (0, 1e9):
        path = tmp_path / f"{seconds}.weights.h5"
        callback = checkpoints.Checkpoint(path, seconds)
        callback.set_model(tiny())
        callback.on_epoch_end(0, {})
        saved[seconds] = path.exists()
        callback.on_train_end({})
        assert path.exists()
    assert saved == {0: True, 1e9: False}


@pytest.mark.parametrize("breaks", ["write_bytes", "replace"])
def test_a_failing_save_leaves_the_old_checkpoint_whole(breaks, checkpoint, monkeypatch):
    model, path = checkpoint
    before = path.read_bytes()

    def half_written(self, content):
        self.write_text(before[:100].decode("latin1"))
        raise OSError("No space left on device")

    def refused(source, to):
        raise OSError("No space left on device")

    if breaks == "replace":
        monkeypatch.setattr(os, "replace", refused)
    else:
        monkeypatch.setattr(pathlib.Path, "write_bytes", half_written)
    with pytest.raises(OSError, match="No space left"):
        fitting.train(model, rows_from, 3, 6, 3, [checkpoints.Checkpoint(path)])
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == [path, checksums(path)]
    assert checkpoints.restore(tiny(target=TARGET), path) == 3


def test_a_batch_too_small_for_its_devices_is_refused():
    class Four:
        num_replicas_in_sync = 4

    assert fitting.replicas(None, 33, 16) == 1
    assert fitting.replicas(Four(), 36, 16) == fitting.replicas(Four(), 32, 16) == 4
    with pytest.raises(
        ValueError, match="33 images in batches of 16 leave a last batch of 1: expected an image for each"
    ):
        fitting.replicas(Four(), 33, 16)
    with pytest.raises(ValueError, match="batches of 18 images cannot be shared evenly by 4 devices"):
        fitting.replicas(Four(), 100, 18)
    with pytest.raises(ValueError, match="batches of 10 images cannot be shared evenly by 4 devices"):
        fitting.replicas(Four(), 10, 16)


def test_steps_whose_gradients_overflow_are_counted_too(tmp_path):
    """Else a fit with 16 bits would go on before the place where it stood."""

    def model():
        keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        made.compile(checkpoints.LossScale(keras.optimizers.SGD(), initial_scale=1e38), "mse")
        return made

    fitted, x = model(), np.ones((8, 3), "float32")
    fitted.fit(x, 1e3 * x[:, :2], batch_size=2, epochs=3, verbose=0)
    assert checkpoints.iterations_done(fitted) == 12 > int(fitted.optimizer.iterations) > 0
    checkpoints.save_weights(fitted, tmp_path / "checkpoint.weights.h5", checked=True)
    again = model()
    assert checkpoints.iterations_done(again) == 0
    assert checkpoints.restore(again, tmp_path / "checkpoint.weights.h5") == 12
