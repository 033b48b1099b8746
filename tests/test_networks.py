"""The convolutional autoencoder: shapes, parameters by hand, activations, refused sizes, and the images' scale."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcluster_tf.networks import (
    convolutional_decoder,
    convolutional_encoder,
    convolutional_padding,
    strided_encoder,
    to_unit,
)

SHAPES = [(side, side, 1) for side in (8, 12, 16, 20, 28, 32)] + [(32, 32, 3), (8, 24, 1), (12, 28, 3), (40, 16, 3)]


@pytest.mark.parametrize(
    ("image_shape", "encoder", "decoder"),
    [
        # conv 5*5*1*32 + 32, conv 5*5*32*64 + 64, conv 3*3*64*128 + 128, dense 3*3*128*10 + 10: together 137,482;
        # dense 10*1152 + 1152, conv 3*3*128*64 + 64, conv 5*5*64*32 + 32, conv 5*5*32*1 + 1: together 138,497.
        ((28, 28, 1), [832, 51_264, 73_856, 11_530], [12_672, 73_792, 51_232, 801]),  # in all 275,979
        # As above, with a last map of 1x1: dense 128*10 + 10, and dense 10*128 + 128.
        ((8, 8, 1), [832, 51_264, 73_856, 1_290], [1_408, 73_792, 51_232, 801]),  # in all 254,475
        # In colour: 5*5*3*32 + 32 at the start, 5*5*32*3 + 3 at the end, and a last map of 4x4.
        ((32, 32, 3), [2_432, 51_264, 73_856, 20_490], [22_528, 73_792, 51_232, 2_403]),
    ],
)
def test_parameters_by_hand(image_shape, encoder, decoder):
    for build, expected in ((convolutional_encoder, encoder), (convolutional_decoder, decoder)):
        assert [layer.count_params() for layer in build(image_shape).layers if layer.weights] == expected


def test_the_encoder_of_views_forgets_places():
    """conv 3x3 of 32, 64, 128, 256 and stride 2, the mean over the places, and 128 values (Schultz)."""
    encoder = strided_encoder((32, 32, 3))
    counts = [9 * i * o + o for i, o in ((3, 32), (32, 64), (64, 128), (128, 256))]
    assert [layer.count_params() for layer in encoder.layers if layer.weights] == [*counts, 256 * 128 + 128]
    assert [encoder.get_layer(f"conv{i}").output.shape[1:3] for i in (1, 2, 3, 4)] == [(m, m) for m in (16, 8, 4, 2)]
    mean = keras.Model(encoder.get_layer("conv4").output, encoder.output)
    maps = np.random.default_rng(0).uniform(size=(3, 2, 2, 256)).astype("float32")
    elsewhere = maps[:, ::-1, ::-1]  # the same things in other places
    np.testing.assert_allclose(mean(maps), mean(elsewhere), rtol=1e-4, atol=1e-5)
    signs = np.random.default_rng(1).normal(size=(1, 4, 4, 128)).astype("float32")
    rectified = np.array(encoder.get_layer("conv4")(signs))
    assert rectified.min() == 0 < rectified.max()


def test_the_documents_autoencoder_has_275_979_parameters():
    count = convolutional_encoder((28, 28, 1)).count_params() + convolutional_decoder((28, 28, 1)).count_params()
    assert count == 275_979


@pytest.mark.parametrize("image_shape", SHAPES, ids=str)
def test_the_decoder_gives_back_the_size(image_shape):
    settings = {"embedding_dim": 5, "filters": (2, 3, 4)}
    encoder, decoder = convolutional_encoder(image_shape, **settings), convolutional_decoder(image_shape, **settings)
    assert encoder.input_shape == decoder.output_shape == (None, *image_shape)
    assert encoder.output_shape == decoder.input_shape == (None, 5)
    assert encoder.get_layer("flatten").input.shape[1:] == decoder.get_layer("reshape").output.shape[1:]
    assert decoder(encoder(np.zeros((2, *image_shape), np.float32))).shape == (2, *image_shape)


@pytest.mark.parametrize(("side", "maps"), [(28, [14, 7, 3]), (32, [16, 8, 4]), (12, [6, 3, 1]), (8, [4, 2, 1])])
def test_sizes_on_the_way(side, maps):
    encoder, decoder = convolutional_encoder((side, side, 1)), convolutional_decoder((side, side, 1))
    assert [encoder.get_layer(f"conv{i}").output.shape[1:3] for i in (1, 2, 3)] == [(m, m) for m in maps]
    assert [decoder.get_layer(f"deconv{i}").input.shape[1:3] for i in (1, 2, 3)] == [(m, m) for m in maps]


def test_layers_are_the_documents():
    """conv 5x5 of 32 -> conv 5x5 of 64 -> conv 3x3 of 128 -> 10 units, stride 2, and the mirror of it."""

    def described(model):
        convolutions = [layer for layer in model.layers if "conv" in layer.name]
        return [(layer.filters, layer.kernel_size[0], layer.strides[0]) for layer in convolutions]

    assert described(convolutional_encoder((28, 28, 1))) == [(32, 5, 2), (64, 5, 2), (128, 3, 2)]
    assert described(convolutional_decoder((28, 28, 1))) == [(64, 3, 2), (32, 5, 2), (1, 5, 2)]


@pytest.mark.parametrize(
    ("build", "linear"), [(convolutional_encoder, "embedding"), (convolutional_decoder, "deconv1")]
)
def test_the_last_layer_is_linear_and_the_others_are_rectified(build, linear):
    activations = {layer.name: layer.activation for layer in build((28, 28, 1)).layers if layer.weights}
    assert len(activations) == 4 and activations.pop(linear) is keras.activations.linear
    assert set(activations.values()) == {keras.activations.relu}


@pytest.mark.parametrize("sides", [(8, 8), (16, 16), (32, 32), (8, 24), (64, 40)])
def test_multiples_of_8_are_padded(sides):
    assert convolutional_padding((*sides, 1)) == "same"


@pytest.mark.parametrize("sides", [(12, 12), (20, 20), (28, 28), (36, 36), (12, 28)])
def test_4_more_than_a_multiple_of_8_is_not_padded(sides):
    assert convolutional_padding((*sides, 3)) == "valid"


@pytest.mark.parametrize("check", [convolutional_padding, convolutional_encoder, convolutional_decoder])
@pytest.mark.parametrize("sides", [(4, 4), (0, 0), (10, 10), (14, 14), (27, 27), (30, 28), (28, 32), (8, 12), (4, 12)])
def test_other_sizes_are_refused(check, sides):
    with pytest.raises(ValueError, match=rf"multiples of 8, or both.*\(12, 20, 28.*received {sides[0]}x{sides[1]}\."):
        check((*sides, 1))


@pytest.mark.parametrize("as_given", [np.array, tf.constant], ids=["array", "tensor"])
def test_bytes_are_scaled_and_floats_are_not(as_given):
    expected = np.float32([0, 0.2, 1]).reshape(1, 3, 1, 1)
    scaled = to_unit(as_given(np.uint8([0, 51, 255]).reshape(1, 3, 1, 1)))
    np.testing.assert_array_equal(scaled, expected)
    for dtype in (np.float16, np.float32, np.float64):
        floats = to_unit(as_given(np.array([0, 0.25, 1], dtype).reshape(1, 3, 1, 1)))
        assert floats.dtype == scaled.dtype == tf.float32
        np.testing.assert_array_equal(np.ravel(floats), [0, 0.25, 1])
