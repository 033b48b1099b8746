"""The benchmark: images on which no training collapses, and the lines that it prints."""

import functools

import numpy as np
import pytest

from deepcluster_tf import benchmark
from deepcluster_tf.methods.dcec import DCEC


@pytest.mark.filterwarnings("error:cluster .* is empty")  # the beginning of a collapse
def test_a_small_number_of_images_is_timed(monkeypatch):
    product = benchmark.matrix_product
    monkeypatch.setattr(benchmark, "matrix_product", lambda: product(64, 1))  # the large one takes half a minute
    monkeypatch.setattr(benchmark, "DCEC", functools.partial(DCEC, batch_size=64, filters=(8, 16, 32)))
    lines = benchmark.measure(2000, renewals=1)
    assert [unit for what, _, unit in lines if what == "clustering steps"] == [
        "images/s",
        "GFLOP/s",
        "% of the matrix product",
    ]
    assert all(np.isfinite(value) for _, value, _ in lines)
    assert all(value > 0 for what, value, _ in lines if "outside" not in what)


@pytest.mark.parametrize("n", [-1, 0, 1, 255])
def test_too_few_images_are_refused(n):
    with pytest.raises(ValueError, match=f"^too few images to time: expected 256, a batch, or more; received {n}$"):
        benchmark.measure(n)


def test_the_images_are_those_of_their_classes():
    images, classes = benchmark.images_of_classes(500)
    assert images.shape == (500, 28, 28, 1) and images.dtype == np.uint8
    pixels = np.float32(images.reshape(500, -1))
    means = np.stack([pixels[classes == c].mean(axis=0) for c in range(10)])
    distances = np.linalg.norm(pixels[:, None] - means, axis=2)
    nearest, second = np.sort(distances, axis=1)[:, :2].T
    np.testing.assert_array_equal(distances.argmin(axis=1), classes)
    assert second.min() > 5 * nearest.max()
    np.testing.assert_array_equal(benchmark.images_of_classes(500)[0], images)
