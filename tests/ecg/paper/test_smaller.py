"""The compiled reduction of the darkest channel, beside OpenCV's areas."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.paper.smaller import darkest, darkest_smaller


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.data(), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_areas_are_averaged_as_opencv_does(height, width, data, channels, seed):
    size = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    mine = darkest_smaller(image, size)
    theirs = cv2.resize(image.min(axis=2).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(mine, theirs, atol=0.51)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_darkest_channel(channels):
    image = np.random.default_rng(1).integers(0, 256, (7, 9, channels), np.uint8)
    np.testing.assert_array_equal(darkest(image), image.min(axis=2))
