"""The test for an ECG page: pages of every layout pass, other pictures do not, and its bound keeps validation pages."""

import numpy as np
import pytest

from benchmarks.foreign import KINDS, foreign
from benchmarks.refusal import PAGE, located, noises, pages, strangers
from model.params import PageParams
from model.refusal import FEATURES, PageRefusedError, bounded_on, features_of, fitted_refusal, page_features

SEED = 77
"""Of neither the fit nor the benchmark."""


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    """A clean page of each layout, found again with the usual one."""
    return [page for _, picture in pages(10, SEED) if (page := located(picture, PAGE.layout)) is not None]


def test_pictures_of_other_kinds_are_refused_with_reasons():
    passed = []
    for kind in KINDS:
        page = located(foreign(kind, SEED), PAGE.layout)
        try:
            if page is not None:
                fitted_refusal().check(page, PAGE)
                passed.append(kind)
        except PageRefusedError as error:
            assert error.reasons and error.quality < fitted_refusal().least
            assert str(error).startswith("no 12-lead ECG page: quality")
    # Smooth waves in rows on millimetre paper come nearest to an ECG.
    assert set(passed) <= {"waves on grid"}


def test_pages_of_every_layout_are_not_refused(drawn):
    assert len(drawn) == 10
    for page in drawn:
        assert fitted_refusal().check(page, PAGE) >= fitted_refusal().least


@pytest.mark.parametrize("page", [np.full((96, 192), 255, np.uint8), np.zeros((96, 192), np.uint8),
                                  np.random.default_rng(0).integers(0, 256, (96, 192), dtype=np.uint8)])
def test_empty_black_and_noisy_pages_have_features_and_are_refused(page):
    params = PageParams(height=96, width=192, px_per_mm=0.75)
    features = page_features(page, params)
    assert features.shape == (len(FEATURES),) and np.isfinite(features).all()
    with pytest.raises(PageRefusedError):
        fitted_refusal().check(page, params)


def test_noise_and_strange_features_are_refused(drawn):
    refusal, strange = fitted_refusal(), strangers(features_of(np.stack(drawn), PAGE), 500, SEED)
    assert (refusal.quality(features_of(noises(40, SEED), PAGE)) < refusal.least).all()
    assert (refusal.quality(strange) < refusal.least).mean() > 0.9


def test_the_bound_keeps_the_stated_share_of_validation_pages(drawn):
    quality = np.concatenate([fitted_refusal().quality(features_of(np.stack(drawn), PAGE)), [1e-9]])
    assert bounded_on(quality, refused=0.0).least == 1e-9
    assert bounded_on(quality, refused=0.2).least <= fitted_refusal().least
    assert bounded_on(np.array([]), refused=0.1) == fitted_refusal()


def test_the_same_seed_gives_the_same_picture():
    for kind in ("text", "photo"):
        np.testing.assert_array_equal(foreign(kind, 5), foreign(kind, 5))
        assert foreign(kind, 5).shape != foreign(kind, 6).shape
