"""Small archives in the form in which public sets and hospitals keep them, for the tests of their sources."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid
from scipy.io import savemat

from ecg.leads import LEADS
from ecg.paper.layout import layout
from ecg.paper.sheet import draw_sheet
from tests.ecg.archives import beats, write_csv

AHA = (("1", "Normal ECG"), ("22", "Sinus bradycardia"), ("60", "Ventricular premature complex(es)"),
       ("106", "Right bundle-branch block"), ("310", "frequent"), ("346", "couplets"))
MDC_NUMBER = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
"""Of ISO/IEEE 11073's codes 2:n and SCP-ECG's 5.6.3-9-n."""


def write_cinc(folder: Path, name: str, dx: str, *, age: str = "56", sex: str = "Female", rate: int = 500,
               seconds: float = 10.0, seed: int = 0, called: str = "") -> Path:
    """Write a record as the challenges ship it: MATLAB 4 samples (12, T), 1000/mV, and a header with comments.

    `called` is the record's name within the header; Georgia's carry the file's ending there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digital = np.rint(beats(seed, rate=rate, seconds=seconds) * 1000).astype(np.int16)
    savemat(folder / f"{name}.mat", {"val": digital}, format="4")
    lines = [f"{called or name} 12 {rate} {digital.shape[1]} 12-May-2020 12:33:59"]
    for lead, row in zip(LEADS, digital, strict=True):
        checksum = int(row.sum(dtype=np.int16))
        lines.append(f"{name}.mat 16+24 1000/mV 16 0 {row[0]} {checksum} 0 {lead}")
    lines += [f"#Age: {age}", f"#Sex: {sex}", f"#Dx: {dx}", "#Rx: Unknown", "#Hx: Unknown", "#Sx: Unknown"]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    return folder / name


def tracing(seed: int, *, seconds: float) -> np.ndarray:
    """A row of CODE-15's tracings: float32 (4096, 12) in millivolt, the exam in the middle of zeros."""
    signal = beats(seed, rate=400, seconds=seconds).T + 0.01
    row = np.zeros((4096, 12), np.float32)
    begin = (len(row) - len(signal)) // 2
    row[begin:begin + len(signal)] = signal
    return row


def write_code15(folder: Path, parts: dict[str, list[int]], *, unwritten: tuple[str, ...] = ()) -> Path:
    """Write exams.csv and the parts, each with its exams and the filler row at its end; exam n is of patient n // 2."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, exams in parts.items():
        for exam in exams:
            rows.append({"exam_id": exam, "age": 40 + exam % 40, "is_male": exam % 2 == 0, "nn_predicted_age": 44.5,
                         "1dAVb": False, "RBBB": exam % 3 == 0, "LBBB": False, "SB": False, "ST": False,
                         "AF": exam % 2 == 1, "patient_id": exam // 2, "death": "", "timey": 2.5,
                         "normal_ecg": False, "trace_file": name})
        if name not in unwritten:
            with h5py.File(folder / name, "w") as file:
                tracings = [tracing(exam, seconds=7 if exam % 2 else 10) for exam in exams]
                file["exam_id"] = np.array([*exams, 0])
                file["tracings"] = np.stack([*tracings, np.zeros((4096, 12), np.float32)])
    write_csv(folder / "exams.csv", rows)
    return folder


def write_sph(folder: Path, codes: list[str]) -> Path:
    """Write metadata.csv, code.csv and a record for each cell of codes; every two are of one patient."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    write_csv(folder / "code.csv", [{"Code": code, "Description": text} for code, text in AHA])
    rows = []
    for number, cell in enumerate(codes, start=1):
        record = f"A{number:05d}"
        with h5py.File(folder / "records" / f"{record}.h5", "w") as file:
            file["ecg"] = beats(number, rate=500).astype(np.float16)
        rows.append({"ECG_ID": record, "AHA_Code": cell, "Patient_ID": f"S{(number + 1) // 2:05d}", "Age": 55,
                     "Sex": "FM"[number % 2], "N": 5000, "Date": "2020-03-04"})
    write_csv(folder / "metadata.csv", rows)
    return folder


def dicom_group(leads, signal_mv: np.ndarray, *, rate: float = 500.0, scheme: str = "MDC", unit: str = "uV",
                originality: str = "ORIGINAL", start_ms: float = 0.0) -> Dataset:
    """A multiplex group: 16-bit samples, 2.5 of the unit a step, each channel with a baseline and a correction."""
    per_mv = {"uV": 1000.0, "mV": 1.0}[unit]
    sensitivity, correction = 2.5 * per_mv / 1000, 0.5
    item = Dataset()
    item.WaveformOriginality, item.MultiplexGroupTimeOffset = originality, start_ms
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = len(leads), signal_mv.shape[1]
    item.SamplingFrequency = rate
    item.ChannelDefinitionSequence = []
    samples = []
    for number, (lead, row) in enumerate(zip(leads, signal_mv, strict=True)):
        baseline = 10.0 * number * per_mv / 1000
        samples.append(np.rint((row * per_mv - baseline) / (sensitivity * correction)))
        channel, source, units = Dataset(), Dataset(), Dataset()
        source.CodingSchemeDesignator, source.CodeMeaning = scheme, f"Lead {lead}"
        known = {"MDC": f"2:{MDC_NUMBER.get(lead)}", "SCPECG": f"5.6.3-9-{MDC_NUMBER.get(lead)}"}
        source.CodeValue = known.get(scheme, "99") if lead in MDC_NUMBER else "2:999"
        units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [source], [units]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = sensitivity, correction
        channel.ChannelBaseline, channel.ChannelSampleSkew, channel.WaveformBitsStored = baseline, 0, 16
        item.ChannelDefinitionSequence.append(channel)
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    item.WaveformData = np.stack(samples, axis=1).astype("<i2").tobytes()
    return item


def write_dicom(path: Path, groups: list[Dataset], **elements) -> Path:
    """Write a file of 12-Lead ECG Waveform Storage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = TwelveLeadECGWaveformStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = "ECG"
    for name, value in {"PatientName": "Muster^Erika", "PatientID": "H-4711", "PatientAge": "056Y", "PatientSex": "F",
                        "PatientBirthDate": "19640812", "ManufacturerModelName": "Cart 9", **elements}.items():
        setattr(data, name, value)
    data.WaveformSequence = groups
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_scan(path: Path, seed: int, *, text: bytes = b"") -> Path:
    """Write a printed page as a JPEG, with a comment among its segments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = np.rint(beats(seed) * 1000).astype(np.int16)
    page = draw_sheet(signal, sampling_rate=100.0, layout=layout("3x4+1R"), dpi=100).page.rgb()
    coded, data = cv2.imencode(".jpg", page[..., ::-1])
    assert coded
    data = data.tobytes()
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text if text else b""
    path.write_bytes(data[:2] + comment + data[2:])
    return path
