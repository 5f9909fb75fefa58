"""Small sound archives for `benchmarks.fuzz` to damage: WFDB files in four formats, .mat, HDF5, and their tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecg.leads import LEADS

STATEMENTS = (",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
              "NORM,normal,1.0,,,NORM,NORM\nIMI,infarction,1.0,,,MI,IMI\nSR,sinus,,,1.0,,\n")
RECORDS = 6


def write_template(folder: Path, source: str) -> Path:
    """Write the archive of a source that is known here, of six records."""
    folder.mkdir(parents=True)
    TEMPLATES[source](folder, np.random.default_rng(5))
    return folder


def _waves(rng: np.random.Generator, *, rate: int, samples: int) -> np.ndarray:
    """Twelve leads in steps of 5 µV: integers (12, T)."""
    return np.rint(200 * np.sin(2 * np.pi * np.arange(samples) / rate * rng.uniform(1, 5, (12, 1)))).astype(np.int64)


def _write_wfdb(folder: Path, rng: np.random.Generator) -> None:
    import wfdb

    for number, fmt in enumerate(("16", "16", "212", "24", "32", "16")):
        wfdb.wrsamp(f"r{number}", fs=100, units=["mV"] * 12, sig_name=list(LEADS), fmt=[fmt] * 12,
                    d_signal=_waves(rng, rate=100, samples=300).T, adc_gain=[200.0] * 12, baseline=[0] * 12,
                    write_dir=str(folder), comments=["Age: 5"])


def _wfdb_folder(folder: Path, rng: np.random.Generator) -> None:
    _write_wfdb(folder, rng)
    _write_table(folder / "labels.csv", "record,patient,age,sex,device,fold,labels",
                 [f"r{n},p{n},50,F,cart,{n + 1},NORM" for n in range(RECORDS)])


def _ptbxl(folder: Path, rng: np.random.Generator) -> None:
    _write_wfdb(folder, rng)
    _write_table(folder / "ptbxl_database.csv",
                 "ecg_id,patient_id,age,sex,device,scp_codes,strat_fold,filename_lr,filename_hr",
                 [f"{n},{n}.0,50.0,1,cart,\"{{'NORM': 100.0, 'SR': 0.0}}\",{n + 1},r{n},r{n}" for n in range(RECORDS)])
    (folder / "scp_statements.csv").write_text(STATEMENTS)


def _cinc(folder: Path, rng: np.random.Generator) -> None:
    from scipy.io import savemat

    for number in range(RECORDS):
        digital = _waves(rng, rate=500, samples=1500).astype(np.int16)
        savemat(folder / f"A{number:04d}.mat", {"val": digital}, format="4")
        lines = [f"A{number:04d}.mat 16+24 1000/mV 16 0 {x[0]} {x.sum(dtype=np.int16)} 0 {lead}"
                 for lead, x in zip(LEADS, digital, strict=True)]
        comments = ["#Age: 56", "#Sex: Female", "#Dx: 426783006,59118001"]
        (folder / f"A{number:04d}.hea").write_text("\n".join([f"A{number:04d} 12 500 1500", *lines, *comments, ""]))


def _code15(folder: Path, rng: np.random.Generator) -> None:
    import h5py

    tracings = np.zeros((RECORDS + 1, 1600, 12), np.float32)
    for row in tracings[:RECORDS]:
        row[200:1400] = _waves(rng, rate=400, samples=1200).T * 0.005 + 0.001
    with h5py.File(folder / "exams_part0.hdf5", "w") as file:
        file["exam_id"] = np.array([*range(1, RECORDS + 1), 0])
        file.create_dataset("tracings", data=tracings, compression="gzip", chunks=(1, 1600, 12))
    _write_table(folder / "exams.csv", "exam_id,age,is_male,1dAVb,RBBB,LBBB,SB,ST,AF,patient_id,trace_file",
                 [f"{n},50,True,False,False,False,False,False,True,{n},exams_part0.hdf5"
                  for n in range(1, RECORDS + 1)])


def _sph(folder: Path, rng: np.random.Generator) -> None:
    import h5py

    (folder / "records").mkdir()
    for number in range(RECORDS):
        with h5py.File(folder / "records" / f"A{number}.h5", "w") as file:
            file["ecg"] = (_waves(rng, rate=500, samples=1500) * 0.005).astype(np.float16)
    (folder / "code.csv").write_text("Code,Description\n1,Normal ECG\n22,Sinus bradycardia\n310,frequent\n")
    _write_table(folder / "metadata.csv", "ECG_ID,AHA_Code,Patient_ID,Age,Sex",
                 [f"A{n},22+310;1,S{n},55,F" for n in range(RECORDS)])


def _write_table(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


TEMPLATES: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "cinc": _cinc, "code15": _code15, "ptbxl": _ptbxl, "sph": _sph, "wfdb_folder": _wfdb_folder}
