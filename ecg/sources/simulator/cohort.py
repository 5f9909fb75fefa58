"""Who is recorded: patients, their findings, and ten folds that share every finding evenly."""

from dataclasses import dataclass

import numpy as np

FINDINGS = ("NORM", "AFIB", "1AVB", "CLBBB", "CRBBB", "PVC", "STE", "STD", "LVH")
"""Labels: normal, atrial fibrillation, first-degree AV block, complete left and right bundle branch block,
ventricular premature beats, ST elevation, ST depression, left ventricular hypertrophy."""

FOLDS = 10
DEVICES = ("SIM-A", "SIM-B", "SIM-C")

_PROFILES = {
    "NORM": 13.0, "AFIB": 5.0, "1AVB": 5.5, "CLBBB": 8.5, "CRBBB": 7.0, "PVC": 5.5, "STE": 14.0, "STD": 6.0, "LVH": 6.0,
    "AFIB;PVC": 2.5, "AFIB;CRBBB": 2.0, "AFIB;CLBBB": 1.5, "AFIB;LVH": 2.5, "AFIB;STD": 2.0,
    "1AVB;CRBBB": 2.5, "1AVB;CLBBB": 2.0, "1AVB;LVH": 2.0, "1AVB;STE": 2.0, "1AVB;PVC": 1.5,
    "CLBBB;PVC": 2.0, "CRBBB;PVC": 1.5, "CRBBB;STE": 2.0, "PVC;LVH": 1.5, "PVC;STD": 1.5, "PVC;STE": 2.0,
    "STD;LVH": 5.0,
}
"""Which findings go together, and how often in 100 patients. Left block hides hypertrophy and ST shifts, so they are
not combined; strain is ST depression with hypertrophy; fibrillation leaves no PR interval to prolong."""

_COME_AND_GO = frozenset({"AFIB", "PVC", "STE", "STD"})
_AGES = ((frozenset({"AFIB", "1AVB", "CLBBB", "CRBBB", "LVH"}), (70, 10)), (frozenset({"STE", "STD"}), (63, 11)))
"""Mean and spread of the age in years by finding, the first that holds; else 50 and 17."""


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's records: voltages in mV, times in s, angles in degrees, rate in 1/min."""

    name: str
    age: int
    sex: str
    rate: float
    pr: float
    qt_at_60: float
    qrs_ms: float
    voltage: float
    t_gain: float
    p_gain: float
    axis: float
    twist: float


@dataclass(frozen=True)
class Visit:
    """One record to make: its number (from 1), patient, findings, device and fold."""

    number: int
    patient: Patient
    findings: frozenset[str]
    device: str
    fold: int

    @property
    def labels(self) -> str:
        return ";".join(name for name in FINDINGS if name in self.findings)


def plan(*, records: int, seed: int) -> list[Visit]:
    """Plan an archive: about 1.4 records a patient, whole patients in folds 1-10 balanced over every finding."""
    rng = np.random.default_rng([seed, 0])
    sizes = _sizes(rng, records)
    groups = [_course(rng, profile, size) for profile, size in zip(_profiles(rng, len(sizes)), sizes, strict=True)]
    folds = _balanced_folds(rng, groups)
    visits: list[Visit] = []
    for index, (group, fold) in enumerate(zip(groups, folds, strict=True)):
        patient = _patient(rng, f"P{index + 1:05d}", group[0])
        for findings in group:
            visits.append(Visit(len(visits) + 1, patient, findings, str(rng.choice(DEVICES)), fold))
    return visits


def _sizes(rng: np.random.Generator, records: int) -> list[int]:
    """Records of each patient, one to three, adding up to `records`."""
    drawn = rng.choice([1, 2, 3], size=records, p=[0.7, 0.2, 0.1])
    total = np.cumsum(drawn)
    count = int(np.searchsorted(total, records)) + 1
    drawn[count - 1] -= total[count - 1] - records
    return drawn[:count].tolist()


def _profiles(rng: np.random.Generator, patients: int) -> list[frozenset[str]]:
    """Each profile as often as its share says (systematic sampling), in random order."""
    share = np.cumsum(list(_PROFILES.values())) / sum(_PROFILES.values())
    drawn = np.searchsorted(share, (np.arange(patients) + rng.uniform()) / patients)
    names = list(_PROFILES)
    return [frozenset(names[i].split(";")) for i in rng.permutation(drawn)]


def _course(rng: np.random.Generator, profile: frozenset[str], size: int) -> list[frozenset[str]]:
    """A patient's records: the first shows the whole profile, in later ones what comes and goes may be absent."""
    later = [frozenset(f for f in sorted(profile) if f not in _COME_AND_GO or rng.uniform() < 0.75)
             for _ in range(size - 1)]
    return [profile] + [findings or frozenset({"NORM"}) for findings in later]


def _balanced_folds(rng: np.random.Generator, groups: list[list[frozenset[str]]]) -> list[int]:
    """Give each patient the fold that lacks its findings most, larger patients and rarer findings first.

    After Sechidis et al. 2011 (iterative stratification), with patients in the place of single records.
    """
    counts = np.array([[sum(name in f for f in group) for name in FINDINGS] + [len(group)] for group in groups], float)
    weight = 1.0 / counts.sum(axis=0).clip(1)
    held = np.zeros((FOLDS, counts.shape[1]))
    fold = np.zeros(len(groups), int)
    for index in np.lexsort([rng.permutation(len(groups)), -(counts * weight).sum(axis=1)]):
        crowding = (((held + counts[index]) ** 2 - held ** 2) * weight).sum(axis=1)
        fold[index] = int(np.argmin(crowding))
        held[fold[index]] += counts[index]
    return (fold + 1).tolist()


def _patient(rng: np.random.Generator, name: str, findings: frozenset[str]) -> Patient:
    """Draw a patient. Women have a faster pulse, a longer QT and lower voltages; voltage and T fall with age."""
    sex = str(rng.choice(["F", "M"]))
    mean, spread = next((years for names, years in _AGES if findings & names), (50, 17))
    age = int(np.clip(rng.normal(mean, spread), 18, 92))
    woman = sex == "F"
    return Patient(
        name=name, age=age, sex=sex,
        rate=float(np.clip(rng.normal(69 + 3 * woman, 8), 54, 92)),
        pr=float(rng.uniform(0.135, 0.165) + 0.0002 * (age - 50)),
        qt_at_60=float(np.clip(rng.normal(0.398 + 0.012 * woman, 0.012), 0.37, 0.44)),
        qrs_ms=float(np.clip(rng.normal(92 - 4 * woman, 5), 80, 104)),
        voltage=float(np.clip(rng.normal(2.45 - 0.25 * woman - 0.006 * (age - 50), 0.3), 1.6, 3.0)),
        t_gain=float(rng.uniform(0.8, 1.15) * (1.05 - 0.1 * woman) * (1 - 0.003 * (age - 50))),
        p_gain=float(rng.uniform(0.9, 1.3)),
        axis=float(rng.normal(0, 11) - 0.2 * (age - 50)),
        twist=float(rng.normal(0, 7)))
