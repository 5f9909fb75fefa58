"""Page files of several pages, PDF and DICOM: what is read, and what is refused before it is decoded."""

import io
import re
import struct
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image, TiffImagePlugin
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid

from ecg.paper import limits, pdf_files
from ecg.paper.files import open_pages, read_image_bytes
from ecg.paper.picture_files import write_picture

PAGE = np.full((120, 200, 3), 255, np.uint8)
PAGE[20:60, 30:150] = (200, 30, 60)
SECONDARY_CAPTURE, ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.104.1"


def tiff(*images, **options):
    out = io.BytesIO()
    first, *rest = (Image.fromarray(image) for image in images)
    first.save(out, "TIFF", save_all=True, append_images=rest, **options)
    return out.getvalue()


def pdf(*images):
    out = io.BytesIO()
    first, *rest = (Image.fromarray(image) for image in images)
    first.save(out, "PDF", save_all=True, append_images=rest, resolution=200)
    return out.getvalue()


def raw_pdf(*objects, trailer=""):
    """A PDF of objects given as bytes; the first is the catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, table, len(objects) + 1, trailer.encode(), len(out))


def sheet(content: bytes, image: bytes = b"", filters: bytes = b""):
    return raw_pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</XObject<</Im 5 0 R>>>>>>",
        b"<<%s/Length %d>>stream\n%s\nendstream" % (filters, len(content), content), image or b"null")


def dicom(pixels, syntax=ExplicitVRLittleEndian, photometric="RGB", **fields):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    if pixels is not None:
        deep = pixels.dtype.itemsize * 8
        data.Rows, data.Columns = pixels.shape[-3:-1] if photometric == "RGB" else pixels.shape[-2:]
        data.SamplesPerPixel, data.PlanarConfiguration = (3, 0) if photometric == "RGB" else (1, 0)
        data.PhotometricInterpretation, data.PixelRepresentation = photometric, 0
        data.BitsAllocated = data.BitsStored = deep
        data.HighBit = deep - 1
        data.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(data, name, value)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_each_picture_of_a_tiff_is_a_page_and_thumbnails_are_none():
    thumbnail = TiffImagePlugin.ImageFileDirectory_v2()
    thumbnail[254] = 1
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out, True) as file:
        for image, tags in ((PAGE, None), (PAGE[:30, :50], thumbnail), (255 - PAGE, None)):
            Image.fromarray(image).save(file, "TIFF", **({"tiffinfo": tags} if tags else {}))
            file.newFrame()
    first, second = open_pages(out.getvalue())
    assert np.array_equal(first(), PAGE) and np.array_equal(second(), 255 - PAGE)


def test_too_many_pages_are_refused():
    with pytest.raises(ValueError, match=r"^long\.tiff: more than 16 pages; send them in several files$"):
        open_pages(tiff(*[PAGE[:8, :8]] * 17), "long.tiff")
    with pytest.raises(ValueError, match="more than 16 pages"):
        open_pages(pdf(*[PAGE[:8, :8]] * 17), "long.pdf")


def test_pages_that_are_large_together_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_FILE_PIXELS", 2 * PAGE.size // 3)
    assert len(open_pages(tiff(PAGE, PAGE))) == 2
    with pytest.raises(ValueError, match="on 3 pages, the limit is"):
        open_pages(tiff(PAGE, PAGE, PAGE))


def test_a_torn_page_of_a_tiff_fails_alone():
    whole = tiff(PAGE, PAGE, compression="tiff_deflate")
    with Image.open(io.BytesIO(whole)) as picture:
        picture.seek(1)
        place = picture.tag_v2[273][0]
    broken = whole[:place] + b"\xff" * 20 + whole[place + 20:]
    first, second = open_pages(broken, "a.tiff")
    assert np.array_equal(first(), PAGE)
    with pytest.raises(ValueError, match="^a.tiff: not a readable picture"):
        second()


def test_a_tile_larger_than_any_page_is_refused():
    tags = {256: 100, 257: 100, 258: 8, 259: 1, 262: 1, 277: 1, 322: 60000, 323: 60000, 324: 8, 325: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    with pytest.raises(ValueError, match="a tile of more than 60 million pixels"):
        open_pages(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4)


def test_a_photo_that_phones_alone_understand_says_what_to_do():
    with pytest.raises(ValueError, match="HEIC.*save photos as JPEG"):
        open_pages(b"\0\0\0\x18ftypheic" + b"\0" * 100)


def test_other_formats_that_pillow_knows_are_not_opened():
    out = io.BytesIO()
    Image.fromarray(PAGE).save(out, "EPS")
    with pytest.raises(ValueError, match="no known image format"):
        open_pages(out.getvalue())


def test_a_pdf_is_drawn_page_by_page(tmp_path):
    first, second = open_pages(pdf(PAGE, 255 - PAGE))
    assert first().shape == PAGE.shape and np.abs(first().astype(int) - PAGE).mean() < 3
    assert np.abs(second().astype(int) - (255 - PAGE)).mean() < 3
    write_picture(tmp_path / "a.pdf", PAGE, dpi=100)
    assert read_image_bytes((tmp_path / "a.pdf").read_bytes()).shape == (240, 400, 3)


def test_a_pdf_that_states_a_pixel_as_a_point_is_drawn_smaller():
    out = io.BytesIO()
    Image.fromarray(np.full((3000, 4000), 255, np.uint8)).save(out, "PDF", resolution=72)
    height, width = open_pages(out.getvalue())[0]().shape[:2]
    assert height * width <= 1.01 * pdf_files.PAGE_PIXELS and abs(width / height - 4 / 3) < 0.01


@pytest.mark.parametrize(("data", "reason"), [
    (pdf(PAGE)[:300], "not a readable PDF"), (b"%PDF-1.7 nothing", "not a readable PDF"),
    (raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"), "not a readable PDF"),
    (sheet(b"q 200 0 0 200 0 0 cm /Im Do Q", b"<</Type/XObject/Subtype/Image/Width 60000/Height 60000/BitsPerComponent "
           b"1/ColorSpace/DeviceGray/Length 1>>stream\n0\nendstream"), "60000 x 60000 pixels, the limit is 60 million"),
    (raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>",
             b"<</Filter/Standard/V 1/R 2/O(%s)/U(%s)/P -4>>" % (b"o" * 32, b"u" * 32),
             trailer="/Encrypt 3 0 R /ID[(a)(a)]"), "remove the password")])
def test_a_pdf_that_cannot_be_read_says_why(data, reason):
    with pytest.raises(ValueError, match=f"^a.pdf: .*{reason}") as caught:
        open_pages(data, "a.pdf")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("limit", "value", "content"), [
    ("MAX_MEMORY", 250_000_000, b" " * 300_000_000), ("MAX_SECONDS", 1, b"0 0 m 9 9 l S " * 6_000_000)])
def test_a_pdf_that_unfolds_without_end_meets_a_limit(monkeypatch, limit, value, content):
    monkeypatch.setattr(pdf_files, limit, value)
    with pytest.raises(ValueError, match="cannot be drawn within"):
        open_pages(sheet(zlib.compress(content, 1), filters=b"/Filter/FlateDecode"))


def test_a_secondary_capture_is_read_in_every_usual_form():
    grey = PAGE[..., 1]
    jpeg = io.BytesIO()
    Image.fromarray(PAGE).save(jpeg, "JPEG", quality=95)
    forms = {
        "rgb": (dicom(PAGE), PAGE), "grey": (dicom(grey, photometric="MONOCHROME2"), grey[..., None]),
        "inverse": (dicom(255 - grey, photometric="MONOCHROME1"), grey[..., None]),
        "deep": (dicom(grey.astype(np.uint16) * 257, photometric="MONOCHROME2"), grey[..., None]),
        "jpeg": (dicom(PAGE, JPEGBaseline8Bit, PixelData=pydicom.encaps.encapsulate([jpeg.getvalue()])), PAGE)}
    for name, (data, expected) in forms.items():
        read = open_pages(data)[0]()
        assert read.shape == PAGE.shape and np.abs(read.astype(int) - expected).mean() < 2, name


def test_run_lengths_and_frames_are_read():
    frames = np.stack([PAGE, 255 - PAGE])
    data = pydicom.dcmread(io.BytesIO(dicom(frames, NumberOfFrames=2)))
    data.compress(RLELossless)
    out = io.BytesIO()
    data.save_as(out)
    for made in (dicom(frames, NumberOfFrames=2), out.getvalue()):
        first, second = open_pages(made)
        assert np.array_equal(first(), PAGE) and np.array_equal(second(), 255 - PAGE)


def test_a_pdf_in_an_envelope_is_read():
    data = dicom(None, EncapsulatedDocument=pdf(PAGE, PAGE), MIMETypeOfEncapsulatedDocument="application/pdf",
                 SOPClassUID=ENCAPSULATED_PDF)
    assert [page().shape for page in open_pages(data)] == [PAGE.shape] * 2


@pytest.mark.parametrize(("data", "reason"), [
    (dicom(PAGE)[:-500], "not a readable DICOM file"), (b"\0" * 128 + b"DICM" + b"\xff" * 50, "DICOM"),
    (dicom(PAGE, Rows=60000, Columns=60000), "60000 x 60000 pixels"), (dicom(PAGE, NumberOfFrames=400), "16 pages"),
    (dicom(None), "holds no picture"), (dicom(None, WaveformSequence=[]), "a waveform, not a page"),
    (dicom(PAGE, pydicom.uid.DeflatedExplicitVRLittleEndian), "a deflated DICOM file"),
    (dicom(PAGE, pydicom.uid.JPEGLSLossless, PixelData=pydicom.encaps.encapsulate([b"x"])), "is not read"),
    (dicom(None, EncapsulatedDocument=b"<html>", MIMETypeOfEncapsulatedDocument="text/html"), "is no PDF")])
def test_a_dicom_file_that_cannot_be_read_says_why(data, reason):
    with pytest.raises(ValueError, match=f"^a.dcm: .*{re.escape(reason)}") as caught:
        open_pages(data, "a.dcm")[0]()
    assert "\n" not in str(caught.value)
