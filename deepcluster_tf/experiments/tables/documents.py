"""What the documents print, or claim in words: a table each."""

from __future__ import annotations

from deepcluster_tf.experiments.registry import Row, Table

LEVELS = (0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)
_ALONE = {"reconstruction": 0.0}  # the clustering loss
SUPERVISION = Table(
    "fashion-dcec", "SDCEC", "supervision", "Table 1",
    "all 70,000 images of Fashion-MNIST, the supervised ones included; ACC one to one",
    rows=(
        *(Row(f"{100 * x:g} %", "fashion-dcec", {"supervision": x}, printed=f"{x:g}") for x in LEVELS),
        # the lambda of the DCEC authors' command line
        Row("0 %, lambda 0.1", "fashion-dcec", {"supervision": 0.0, "lam": 0.1}, beyond=True),
        # what the author's released code comes to, whose one output is compiled with two losses
        *(
            Row(f"{100 * x:g} %, no reconstruction", "fashion-dcec", {"supervision": x, **_ALONE}, beyond=True)
            for x in (0.0, 0.01)
        ),
    ),
)  # fmt: skip

KMEANS, MIXTURE, N2D = {"by": "kmeans"}, {"by": "mixture"}, {"by": "n2d"}
_SIGMOID, _POOLING = {"activation": "sigmoid"}, {"architecture": "pooling"}
_RECTIFIED = {"embedding_activation": "relu"}
AUTOENCODERS = Table(
    "fashion-encodings", "Akula", "encodings", "sections 5.1 to 5.4",
    "The paper's accuracy is purity over the 60,000 training images: each cluster takes its majority class. Its "
    "60.795 % stands beside the mixture on the encodings, as its section 3.7 and conclusion say, though the heading of "
    'section 5.4 says "without auto encoder"; the mixture on raw pixels has a row of its own. It is fitted to their '
    "first 50 principal components, which makes its cost bearable: a full covariance of 784 dimensions has 307,720 "
    "values a component.",
    rows=(
        Row("raw pixels, k-means", "fashion-raw", **KMEANS, printed="raw pixels, kmeans"),
        Row("raw pixels, their first 50 principal components, Gaussian mixture", "fashion-raw", **MIXTURE),
        Row("dense autoencoder, k-means", "fashion-ae", **KMEANS, printed="autoencoder, kmeans"),
        Row("dense autoencoder, Gaussian mixture", "fashion-ae", **MIXTURE, printed="autoencoder, mixture"),
        Row("dense autoencoder, UMAP and a mixture", "fashion-ae", **N2D),
        Row("dense autoencoder, sigmoid, k-means", "fashion-ae", _SIGMOID, **KMEANS),
        Row("dense autoencoder, sigmoid, Gaussian mixture", "fashion-ae", _SIGMOID, **MIXTURE),
        Row("dense autoencoder, ReLU on the encoding, k-means", "fashion-ae", _RECTIFIED, **KMEANS),
        Row("dense autoencoder, ReLU on the encoding, Gaussian mixture", "fashion-ae", _RECTIFIED, **MIXTURE),
        Row("convolutions, pooling, dropout, k-means", "fashion-ae", _POOLING, **KMEANS),
        Row("convolutions, pooling, dropout, Gaussian mixture", "fashion-ae", _POOLING, **MIXTURE),
    ),
    seeds=3,
)  # fmt: skip


def _of(k: int, *, by: str = "mixture", **more) -> dict:
    """Settings of so many clusters."""
    return {"n_clusters": k, "clustering": by, **more} if by != "kmeans" else {"n_clusters": k, **more}


def _single(query: str, k: int) -> dict:
    return {"query": query, "n_clusters": k}


_SPREAD = {"distance": "mahalanobis", "decay": "gaussian"}
NAMES = Table(
    "mnist-vae", "VAE with named clusters", "annotation", "section 4 and Figure 4",
    "Accuracy of the class head on the 10,000 test images after the last epoch, and how many pictures were named on "
    "the way. The paper's annotator is a person; here a reader stood in for that person: a small classifier, trained "
    "apart on the training images, that sees the picture and nothing else; it is the same for all seeds. It names a "
    "picture of which it is 70 % sure and sees no digit in any other, which a person might; the bolder one names a "
    "picture as soon as one class is likelier than all others together. The paper prints 75 % for k-means; 93.47 % "
    "for the mixture is the authors' later report, whose number of named pictures is not printed; the paper names 10 "
    "to 16 an epoch, about 40 to 64 in five epochs, which is what the rows of 16 clusters, none split, do; the others "
    "name more. Its authors also ran twice as many clusters, which is what the row of 32 does. Its text trains five "
    "epochs and its Figure 4 counts six: one row has six. Reconstructions are read by a reader that is sure by 0.7, "
    "whoever named; Figure 5 has beside it what the same reader names rightly however unsure, and the paper's person "
    'lies between the two. "single images" are what naming centres is compared with: so many training images after '
    "each epoch, named by the same reader (which knows them), each with a weight of its own in the same loss: a "
    "cluster's name reaches thousands of images, theirs one each.",
    rows=(
        Row("k-means, as published", "mnist-vae", printed="k-means", curve="k-means centres"),
        Row("k-means, a bolder reader", "mnist-vae", {"threshold": 0.5}),
        Row("k-means, learning rate 0.001", "mnist-vae", {"learning_rate": 0.001}),
        Row("k-means, 16 clusters", "mnist-vae", _of(16, by="kmeans")),
        Row("k-means, 16 clusters, none split", "mnist-vae", _of(16, by="kmeans", depth=1)),
        Row("k-means, 16 clusters, Mahalanobis distance, Gaussian decay", "mnist-vae",
            _of(16, by="kmeans", **_SPREAD)),
        Row("Gaussian mixture, its posterior as confidence", "mnist-vae", {"clustering": "mixture"}, printed="mixture"),
        Row("Gaussian mixture, 16 clusters", "mnist-vae", _of(16)),
        Row("Gaussian mixture, 16 clusters, learning rate 0.001", "mnist-vae", _of(16, learning_rate=0.001)),
        Row("Gaussian mixture, 24 clusters", "mnist-vae", _of(24)),
        Row("Gaussian mixture, 16 clusters, none split", "mnist-vae", _of(16, depth=1), printed="mixture",
            curve="mixture centres, 16 an epoch"),
        Row("Gaussian mixture, 16 clusters, none split, six epochs", "mnist-vae", _of(16, depth=1, epochs=6)),
        Row("Gaussian mixture, 24 clusters, none split", "mnist-vae", _of(24, depth=1),
            curve="mixture centres, 24 an epoch"),
        Row("Gaussian mixture, 32 clusters, none split", "mnist-vae", _of(32, depth=1)),
        Row("Gaussian mixture, 40 clusters, none split", "mnist-vae", _of(40, depth=1),
            curve="mixture centres, 40 an epoch"),
        Row("single images, at random, 16 an epoch", "mnist-vae", _single("random", 16),
            curve="random images, 16 an epoch"),
        Row("single images, the most uncertain, 16 an epoch", "mnist-vae", _single("uncertain", 16),
            curve="uncertain images, 16 an epoch"),
        Row("single images, at random, 90 an epoch", "mnist-vae", _single("random", 90),
            curve="random images, 90 an epoch"),
        Row("single images, the most uncertain, 90 an epoch", "mnist-vae", _single("uncertain", 90),
            curve="uncertain images, 90 an epoch"),
        Row("no names (gamma = 0)", "mnist-vae", {"gamma": 0.0}),
    ),
    drawn=tuple(
        Row(f"{z} latent dimensions, no names", "mnist-vae", {"gamma": 0.0, "z_dim": z})
        for z in (1, 2, 3, 4, 5, 9, 13, 17, 21)  # of the paper's Figure 5
    ),
    seeds=5,
)  # fmt: skip

_MATRIX, _SIMILAR = {"comparison": "contrastive"}, "similarity, matrix of a batch"
STRONG = {**_MATRIX, "views": "strong", "temperature": 0.2}
_NEGATIVES = {**STRONG, "negatives": "all"}  # and so on, to the encoder with which SCAN and DEC begin
_NORMALISED = {**_NEGATIVES, "normalised": True}
_PROJECTED = {**_NORMALISED, "projector": 128}
_EIGHT_LAYERS = {"filters": (32, 64, *[128] * 6), "batch_size": 16}
CIFAR = Table(
    "cifar-encodings", "Schultz", "clusterings", 'section "Scoring"',
    "Adjusted Rand index over all 60,000 images of CIFAR-10; agglomerative clustering over 10,000 and affinity "
    "propagation over 2,000 of them, drawn at random, because their memory grows with the square. The equivalent "
    "accuracy is that of simulated labels with the same index. The papers print no number: they claim that the "
    "similarity scores best, that the representation trains most steadily, that every learned encoding is above the "
    "control, and the control above random guessing.",
    rows=(
        Row("images scaled to 8x8 (control)", "cifar-control"),
        Row("192 principal components", "cifar-control", {"reducer": "pca"}, beyond=True),
        Row("convolutional autoencoder", "cifar-ae"),
        Row("residual autoencoder", "cifar-resnet", beyond=True),
        Row("residual autoencoder, cross-entropy", "cifar-resnet", {"loss": "binary_crossentropy"}, beyond=True),
        Row("representation", "cifar-representation"),
        Row("similarity, dot product", "cifar-similarity"),
        Row("similarity, dot product, regulariser of 0.1", "cifar-similarity", {"regularisation": 0.1}, beyond=True),
        Row(_SIMILAR, "cifar-similarity", _MATRIX, beyond=True),
        Row(f"{_SIMILAR}, temperature 0.2", "cifar-similarity", {**_MATRIX, "temperature": 0.2}, beyond=True),
        Row(f"{_SIMILAR}, temperature 0.2, strong views", "cifar-similarity", STRONG, beyond=True),
        Row("and all 2n - 2 negatives", "cifar-similarity", _NEGATIVES, beyond=True),
        Row("and batch normalisation", "cifar-similarity", _NORMALISED, beyond=True),
        Row("and a projector, thrown away", "cifar-similarity", _PROJECTED, beyond=True),
        Row("and a cosine schedule", "cifar-similarity", {**_PROJECTED, "schedule": "cosine"}, beyond=True),
    ),
    drawn=(
        Row("similarity, eight layers, batches of 16, no regulariser", "cifar-similarity",
            {**_EIGHT_LAYERS, "regularisation": 0.0, "epochs": 1}),
        Row("representation, eight layers, batches of 16", "cifar-representation", {**_EIGHT_LAYERS, "epochs": 1}),
    ),
    seeds=3,
)  # fmt: skip
