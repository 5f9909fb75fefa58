"""What each beat looks like: the waves of P, QRS, ST and T, and how the findings change them."""

from dataclasses import dataclass

import numpy as np

from ecg.sources.simulator.cohort import Patient
from ecg.sources.simulator.rhythm import Rhythm
from ecg.sources.simulator.vector import DOWER, Waves, joined, rotation, sokolow_lyon

_P = Waves.table([(34, 17, 0.035, 0.090, -0.060), (67, 17, 0.080, 0.070, 0.055)])
_T = Waves.table([(-35, 42, 0.50, 0.40, -0.30), (5, 28, 0.62, 0.48, -0.36)])
"""Right then left atrium from the onset of P; the T wave about its peak, its ascent slower than its descent."""

_NORMAL_QRS = Waves.table([(16, 7, -0.16, -0.06, -0.26), (37, 10, 1.00, 0.72, 0.10), (53, 10, 0.42, 0.26, 0.80),
                           (72, 8, -0.16, -0.10, 0.28)])
_NORMAL_MS = 92.0
_RIGHT_BLOCK_QRS = Waves.table([(16, 7, -0.16, -0.06, -0.30), (37, 10, 0.95, 0.68, 0.10), (54, 10, 0.42, 0.26, 0.62),
                                (88, 13, -0.38, -0.05, -0.42), (113, 15, -0.55, 0.05, -0.78)])
_RIGHT_BLOCK_MS = 144.0
_LEFT_BLOCK_QRS = Waves.table([(24, 12, 0.22, 0.10, 0.20), (54, 18, 0.84, 0.48, 0.82), (101, 19, 0.96, 0.34, 1.12),
                               (136, 11, 0.20, 0.00, 0.26)])
_LEFT_BLOCK_MS = 158.0
"""Septum, free wall, base and, in right block, the late right ventricle (to the right and front); in left block
the septum is crossed from the right, so the vector stays left and back with a mid-QRS notch."""

_ECTOPIC = {
    "right ventricle": Waves.table([(40, 17, 0.45, 0.85, 0.45), (85, 22, 0.60, 1.25, 0.95),
                                    (125, 17, 0.25, 0.40, 0.55)]),
    "left ventricle": Waves.table([(40, 17, -0.30, -0.65, -0.55), (85, 22, -0.75, -1.20, -0.95),
                                   (125, 17, -0.35, -0.45, -0.35)]),
}
_ECTOPIC_MS = 165.0

_ST_DIRECTIONS = {
    "anterior": ((0.35, -0.20, -0.85), "V3"),
    "inferior": ((-0.15, 1.00, 0.20), "aVF"),
    "lateral": ((0.85, -0.70, 0.25), "V5"),
    "depression": ((-0.90, -0.55, 0.20), "V5"),
}
"""Direction of the injury vector, and the lead on which its size is set."""

_SIZED_ON = {"V3": DOWER[4], "V5": DOWER[6], "aVF": DOWER[1] - DOWER[0] / 2}


@dataclass(frozen=True)
class Morphology:
    """The waves of one record's beats. `p` is None in atrial fibrillation; times in s, `st` (3,) in mV."""

    p: Waves | None
    pr: float
    qrs: Waves
    qrs_seconds: float
    st: np.ndarray
    t: Waves
    ectopic: Waves
    qt_at_60: float

    def waves(self, rhythm: Rhythm) -> Waves:
        """Lay P, QRS, ST and T on every beat of a rhythm; QT follows the rate as Hodges 1983 has it."""
        own, early = rhythm.time[~rhythm.ectopic], rhythm.time[rhythm.ectopic]
        qt = self._qt(rhythm.rr) + self.qrs_seconds - _NORMAL_MS / 1000
        t_peak = (rhythm.time + qt - 0.085)[~rhythm.ectopic]
        parts = [self.qrs.repeated(own), self.t.repeated(t_peak), self._st_waves(own, t_peak),
                 self.ectopic.repeated(early), self._ectopic_t(early)]
        if self.p is not None:
            parts.append(self.p.repeated(own - self.pr))
        return joined(*parts)

    def _qt(self, rr: np.ndarray) -> np.ndarray:
        # The QT lags behind the rate: the interval it follows is a mean over the record more than the last one.
        steady = 0.3 * rr + 0.7 * np.mean(rr)
        return self.qt_at_60 - 0.00175 * (60.0 / steady - 60.0)

    def _st_waves(self, onset: np.ndarray, t_peak: np.ndarray) -> Waves:
        """A plateau from J towards the T wave: four overlapping Gaussians, nearly flat between the outer ones."""
        j = onset + self.qrs_seconds
        step = (t_peak - j) / 4.5
        centre = j[:, None] + step[:, None] * (np.arange(4) + 0.55)
        width = np.repeat(step[:, None] * 0.62, 4, axis=1)
        return Waves(centre.ravel(), width.ravel(), np.tile(self.st * 0.64, (centre.size, 1)))

    def _ectopic_t(self, onset: np.ndarray) -> Waves:
        net = self.ectopic.peak.mean(axis=0)
        return Waves.table([(310, 52, *(-0.42 * net)), (350, 36, *(-0.38 * net))]).repeated(onset)


def morphology(rng: np.random.Generator, patient: Patient, findings: frozenset[str]) -> Morphology:
    """Draw the beats of one record of a patient who has `findings`."""
    heart = rotation(frontal=patient.axis + rng.normal(0, 3), horizontal=patient.twist + rng.normal(0, 3))
    qrs, seconds = _qrs(rng, patient, findings, heart)
    st, t = _repolarisation(rng, patient, findings, heart, qrs)
    focus = _ECTOPIC[str(rng.choice(list(_ECTOPIC)))]
    return Morphology(
        p=None if "AFIB" in findings else _P.turned(heart, gain=patient.p_gain * rng.uniform(0.9, 1.1)),
        pr=rng.uniform(0.26, 0.34) if "1AVB" in findings else patient.pr + rng.normal(0, 0.004),
        qrs=qrs, qrs_seconds=seconds, st=st, t=t,
        ectopic=focus.turned(rotation(frontal=rng.normal(0, 12), horizontal=rng.normal(0, 12)),
                             gain=rng.uniform(0.85, 1.15)),
        qt_at_60=patient.qt_at_60 + rng.normal(0, 0.006))


def _qrs(rng: np.random.Generator, patient: Patient, findings: frozenset[str],
         heart: np.ndarray) -> tuple[Waves, float]:
    """The QRS waves, turned and sized, and their duration in s."""
    if "CLBBB" in findings:
        base, natural, duration = _LEFT_BLOCK_QRS, _LEFT_BLOCK_MS, rng.uniform(146, 168)
    elif "CRBBB" in findings:
        base, natural, duration = _RIGHT_BLOCK_QRS, _RIGHT_BLOCK_MS, rng.uniform(134, 156)
    else:
        base, natural, duration = _NORMAL_QRS, _NORMAL_MS, patient.qrs_ms + 8.0 * ("LVH" in findings)
    scatter = 1.0 + rng.normal(0, 0.06, base.peak.shape)
    if "LVH" in findings:
        heart = rotation(frontal=-22, horizontal=14) @ heart
    shaped = Waves(base.centre, base.width, base.peak * scatter).turned(heart).stretched(duration / natural)
    blocked = findings & {"CLBBB", "CRBBB"}
    voltage = rng.uniform(4.1, 5.4) if "LVH" in findings else patient.voltage * rng.uniform(0.95, 1.05)
    gain = voltage / 2.3 if blocked else voltage / sokolow_lyon(shaped)
    return Waves(shaped.centre, shaped.width, shaped.peak * gain), duration / 1000


def _repolarisation(rng: np.random.Generator, patient: Patient, findings: frozenset[str], heart: np.ndarray,
                    qrs: Waves) -> tuple[np.ndarray, Waves]:
    """The ST vector (3,) and the T waves, secondary to the QRS in a bundle branch block."""
    size = patient.t_gain * rng.uniform(0.9, 1.1)
    t = _T.turned(heart, gain=0.37 * size)
    st = rng.normal(0, 0.012, 3) + (0.0, 0.0, -0.025 * (patient.sex == "M"))
    if "CLBBB" in findings:
        net = qrs.peak[1:3].mean(axis=0)
        st, t = st - 0.13 * net, _along(t, -0.30 * size * net)
    elif "CRBBB" in findings:
        late = qrs.peak[-1]
        t = _along(t, 0.24 * size * (heart @ (0.8, 0.8, 0.1)) - 0.22 * late)
    if "STE" in findings:
        injury = _injury(str(rng.choice(["anterior", "inferior", "lateral"])), rng.uniform(0.32, 0.50))
        st, t = st + injury, Waves(t.centre, t.width, t.peak * 0.8 + 0.35 * injury)
    if "STD" in findings:
        injury = _injury("depression", -rng.uniform(0.20, 0.36))
        strain = 0.9 if "LVH" in findings else rng.uniform(0.0, 0.5)
        st, t = st + injury, Waves(t.centre, t.width, t.peak * (0.35 if strain < 0.6 else 0.15) + 0.5 * strain * injury)
    return st, t


def _along(t: Waves, direction: np.ndarray) -> Waves:
    """The T wave with its shape kept and its two parts pointing along `direction` (3,)."""
    return Waves(t.centre, t.width, np.stack([0.85 * direction, direction]))


def _injury(kind: str, level: float) -> np.ndarray:
    """The ST vector (3,) of a territory that lifts its sizing lead by `level` mV (below zero: lowers it)."""
    direction, lead = _ST_DIRECTIONS[kind]
    return np.array(direction) * level / (_SIZED_ON[lead] @ np.array(direction))
