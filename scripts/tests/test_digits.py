"""The digits' training, as far as seconds go: `make digits` does the rest."""

import numpy as np

from kerasrun_export import sample_images
from kerasrun_export.backend import keras
from kerasrun_export.model import build
from scripts.digits.__main__ import SIDE, enlarged, split, write_images
from scripts.digits.twin import twin


def test_twin_computes_the_same():
    keras.utils.set_random_seed(0)
    model = build("resnext50", input_shape=(SIDE, SIDE, 3), classes=10, data_format="channels_last")
    clone, images = twin(model), sample_images.load(SIDE, SIDE, "caffe")
    want, got = (m(images, training=False).numpy() for m in (model, clone))
    assert [w.shape for w in clone.get_weights()] == [w.shape for w in model.get_weights()]
    assert np.ptp(want, axis=0).max() > 0.1, "the images should differ in their answers"
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_no_digit_is_in_both_parts():
    train, test, train_target, target = split()
    assert len(train) + len(test) == len(train_target) + len(target) == 1797
    assert min(np.bincount(target)) >= 40
    # sklearn's digits have no two of the same pixels, so an image in both would be the same digit
    # twice.
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_training_sees_what_the_files_give(tmp_path):
    _, images, _, _ = split()
    paths = write_images(images[:5], tmp_path / "images")
    loaded = np.stack(
        [keras.utils.img_to_array(keras.utils.load_img(p, target_size=(SIDE, SIDE))) for p in paths]
    )
    np.testing.assert_array_equal(enlarged(images[:5]), loaded)
