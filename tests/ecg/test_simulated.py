"""The simulator: what each finding does is measured on the trace, against the same patients without it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.signal import find_peaks

from ecg.leads import LEADS, lead_index
from ecg.sources.simulated import simulate
from ecg.sources.simulator.cohort import FINDINGS, plan
from ecg.sources.simulator.recording import GAIN
from tests.ecg.delineation import beats, median_beat, widths

SEED = 3
PATIENTS = 12


@cache
def traces(*findings: str) -> tuple[np.ndarray, ...]:
    """The records of the same twelve patients, as if each had just `findings`; (12, 1000) in mV."""
    visits = {visit.patient.name: visit for visit in plan(records=30, seed=SEED)}
    chosen = list(visits.values())[:PATIENTS]
    return tuple(simulate(replace(visit, findings=frozenset(findings)), seed=SEED) / GAIN for visit in chosen)


@cache
def medians(*findings: str):
    return [median_beat(trace) for trace in traces(*findings)]


def irregularity(trace: np.ndarray) -> float:
    rr = np.diff(beats(trace))
    return float(rr.std() / rr.mean())


def p_height(beat) -> float:
    return beat.p_peak()[1]


@pytest.mark.parametrize("finding", FINDINGS)
def test_limb_leads_obey_einthoven_and_goldberger(finding):
    for trace in traces(finding):
        steps = {name: np.rint(trace[lead_index(name)] * GAIN) for name in LEADS}
        assert np.array_equal(steps["III"], steps["II"] - steps["I"])
        assert np.abs(steps["aVR"] + (steps["I"] + steps["II"]) / 2).max() <= 0.5
        assert np.abs(steps["aVL"] - (steps["I"] - steps["II"] / 2)).max() <= 0.5
        assert np.abs(steps["aVF"] - (steps["II"] - steps["I"] / 2)).max() <= 0.5


def test_normal_is_within_normal_limits():
    for trace, beat in zip(traces("NORM"), medians("NORM"), strict=True):
        rate = 6000 / np.diff(beats(trace)).mean()
        pr = (beat.onset - beat.p_peak()[0]) * 10 + 35
        assert 48 <= rate <= 100
        assert irregularity(trace) < 0.10
        assert 110 <= pr <= 200
        assert beat.j - beat.onset <= 11
        assert 0.05 <= p_height(beat) <= 0.25
        assert beat.sokolow_lyon() < 3.5
        assert max(abs(beat.st(name)) for name in LEADS) < 0.13
        assert beat.qrs("V1").sum() < 0 < beat.qrs("V6").sum(), "R grows from V1 to V6"


def test_fibrillation_is_irregular_and_has_no_p():
    assert min(map(irregularity, traces("AFIB"))) > 0.15
    slow = [beat for trace, beat in zip(traces("AFIB"), medians("AFIB"), strict=True) if len(beats(trace)) <= 14]
    assert slow, "at a slow rate the end of diastole is clear of the T wave"
    before = [np.ptp(beat.lead("II")[beat.onset - 18:beat.onset - 3]) for beat in slow]
    normal = [np.ptp(beat.lead("II")[beat.onset - 18:beat.onset - 3]) for beat in medians("NORM")]
    assert np.median(before) < 0.6 * np.median(normal)


def test_first_degree_block_prolongs_pr_alone():
    for with_block, without in zip(medians("1AVB"), medians("NORM"), strict=True):
        peak, height = with_block.p_peak()
        pr = (with_block.onset - peak) * 10 + 35
        assert 225 <= pr <= 350
        assert height > 0.05
        assert abs((with_block.j - with_block.onset) - (without.j - without.onset)) <= 1


def test_right_bundle_branch_block():
    for beat in medians("CRBBB"):
        v1 = beat.qrs("V1")
        assert 120 <= (beat.j - beat.onset) * 10 <= 190
        late = v1[len(v1) // 2:].max()
        assert late > 0.4 and v1[:len(v1) // 2].max() < late, "rsR'"
        assert beat.qrs("I")[-9:].min() < -0.1 and beat.qrs("V6")[-9:].min() < -0.15, "wide S"
        assert beat.lead("V1")[beat.j + 4:beat.j + 25].min() < -0.1, "discordant T"


def test_left_bundle_branch_block():
    for beat in medians("CLBBB"):
        assert 130 <= (beat.j - beat.onset) * 10 <= 200
        assert beat.qrs("V1").min() < -0.6 and beat.qrs("V1")[:-3].max() < 0.15, "QS"
        assert beat.qrs("V6").min() > -0.15 and beat.qrs("V6").max() > 0.5, "broad R without q"
        assert beat.qrs("I").min() > -0.15 and beat.qrs("I").max() > 0.3
        assert beat.lead("V6")[beat.j + 4:beat.j + 25].min() < -0.1 < 0.1 < beat.lead("V1")[beat.j + 4:].max()
    notched = [len(find_peaks(beat.qrs("V6"), height=0.5 * beat.qrs("V6").max())[0]) >= 2 for beat in medians("CLBBB")]
    assert np.mean(notched) > 0.6


def test_premature_beats_are_early_wide_and_compensated():
    for trace in traces("PVC"):
        at = beats(trace)
        rr, width = np.diff(at) / np.median(np.diff(at)), widths(trace, at)
        wide = np.flatnonzero(width >= 130)
        inner = wide[(wide >= 1) & (wide < len(at) - 1)]
        assert len(inner) >= 1 and len(wide) <= 5
        assert np.median(np.delete(width, wide)) <= 110
        sinus = np.median(np.delete(np.diff(at), np.concatenate([inner - 1, inner])))
        before, after = np.diff(at)[inner - 1] / sinus, np.diff(at)[inner] / sinus
        assert before.max() < 0.85 and after.min() > 1.1, rr
        assert np.abs(before + after - 2).max() < 0.25


ELEVATED = {"anterior": ("V2", "V3", "V4"), "inferior": ("II", "III", "aVF"), "lateral": ("I", "aVL", "V5", "V6")}
RECIPROCAL = {"anterior": ("III", "aVF"), "inferior": ("I", "aVL"), "lateral": ("III", "aVF")}


def test_st_elevation_has_a_territory_and_its_mirror():
    seen = set()
    for beat in medians("STE"):
        territory = max(ELEVATED, key=lambda place: np.mean([beat.st(name) for name in ELEVATED[place]]))
        seen.add(territory)
        assert min(beat.st(name) for name in ELEVATED[territory]) > 0.08
        assert max(beat.st(name) for name in ELEVATED[territory]) > 0.2
        if territory != "anterior":
            assert min(beat.st(name) for name in RECIPROCAL[territory]) < -0.1
    assert len(seen) >= 2


def test_st_depression_is_widespread_with_avr_elevated():
    for beat in medians("STD"):
        assert max(beat.st(name) for name in ("II", "V4", "V5", "V6")) < -0.1
        assert beat.st("V5") < -0.15 and beat.st("aVR") > 0.05


def test_hypertrophy_meets_sokolow_lyon():
    assert min(beat.sokolow_lyon() for beat in medians("LVH")) > 3.5
    assert max(beat.j - beat.onset for beat in medians("LVH")) <= 12


def test_findings_add_up():
    for trace, beat in zip(traces("CRBBB", "1AVB"), medians("CRBBB", "1AVB"), strict=True):
        assert (beat.j - beat.onset) >= 12
        assert (beat.onset - beat.p_peak()[0]) * 10 + 35 >= 225
        assert irregularity(trace) < 0.1


def test_qt_shortens_with_the_rate_and_is_longer_in_women():
    patients = {visit.patient.name: visit.patient for visit in plan(records=600, seed=SEED)}.values()
    qt = {sex: np.mean([p.qt_at_60 for p in patients if p.sex == sex]) for sex in "FM"}
    assert 0.005 < qt["F"] - qt["M"] < 0.02
    visit = replace(plan(records=1, seed=SEED)[0], findings=frozenset({"NORM"}))
    peaks = []
    for rate in (55.0, 90.0):
        beat = median_beat(simulate(replace(visit, patient=replace(visit.patient, rate=rate)), seed=SEED) / GAIN)
        peaks.append(int(beat.lead("V4")[beat.j + 4:beat.j + 28].argmax()))
    assert peaks[0] - peaks[1] >= 3, "the T peak comes at least 30 ms earlier at 90 than at 55 a minute"
