"""The kinds of sources: their folders' form and their sets of findings, as `vizecg ingest --help` tells them.

Nothing heavy is imported here; `registry` fetches a source's code when it is opened.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of source.

    `opener` is `module:function` below `ecg.sources`; `form` says what the folder holds. `label_sets` are the values
    that `ingest.label_set` may have besides `default`, which stands for the first; none: the source has one set.
    """

    name: str
    opener: str
    summary: str
    form: str
    label_sets: tuple[str, ...] = ()


_KINDS = (
    Kind("simulated", "wfdb_folder:open_simulated", "what 'vizecg simulate' wrote", "labels.csv, records/*.hea"),
    Kind("wfdb_folder", "wfdb_folder:open_folder", "own records in any WFDB format",
         "labels.csv (record,patient,labels[,age,sex,device,fold,report]), *.hea"),
    Kind("ptbxl", "ptbxl:open_ptbxl", "PTB-XL, 100 or 500 Hz (ingest.source_rate)",
         "ptbxl_database.csv, scp_statements.csv, records100/ or records500/",
         ("superclass", "subclass", "diagnostic", "form", "rhythm", "all", "levels")),
    Kind("cinc", "cinc:open_cinc", "CinC 2020/2021: CPSC2018, its extra, INCART, PTB, PTB-XL, Georgia, Chapman, Ningbo",
         "*.hea with #Dx and *.mat, flat or in folders (training/georgia/g1/...); patients.csv if there",
         ("scored", "cpsc2018", "all")),
    Kind("code15", "code15:open_code15", "CODE-15 %, any of its parts", "exams.csv, exams_part*.hdf5"),
    Kind("sph", "sph:open_sph", "Shandong Provincial Hospital, AHA statements",
         "metadata.csv, code.csv, records/*.h5"),
    Kind("dicom", "dicom:open_dicom", "12-lead ECG waveforms of a DICOM archive",
         "labels.csv (file,labels[,patient,fold,report]), *.dcm"),
    Kind("cart", "cart:open_cart", "what carts export: SCP-ECG and HL7 aECG (XML)",
         "labels.csv (file,labels[,patient,age,sex,device,fold,report]), *.scp, *.xml"),
    Kind("image_folder", "image_folder:open_images", "own scans or photos of printed pages, with or without signals",
         "labels.csv (image,patient,labels[,signal,age,sex,device,fold,report]), picture files"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
"""Every kind by its name in params.yaml (`ingest.source`)."""


def help_text() -> str:
    """Return the table that `vizecg ingest --help` prints."""
    lines = []
    for kind in _KINDS:
        lines += [f"  {kind.name:13} {kind.summary}", f"  {'':15} folder: {kind.form}"]
        if kind.label_sets:
            lines.append(f"  {'':15} ingest.label_set: {', '.join(kind.label_sets)}")
    return "sources (--source, docs/sources.md says more):\n" + "\n".join(lines)
