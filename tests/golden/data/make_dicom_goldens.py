#!/usr/bin/env python3
"""Small DICOM series, written by pydicom, and what dcm2niix makes of them.

    apt-get install dcm2niix python3-pydicom python3-nibabel
    /usr/bin/python3 make_dicom_goldens.py        # writes ./dicom

Each folder dicom/<name> holds the files of one series; dicom/<name>.nii is dcm2niix's volume, whose
affine and voxels are what epvs must find, once both are in RAS order. Files are named out of order,
SliceThickness is wrong on purpose, pixels are not square, each slice has its own pattern.
"""
import pathlib
import shutil
import subprocess
import tempfile

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
ROOT = "1.2.826.0.1.3680043.9.7777"
COLUMNS, ROWS, SLICES = 8, 6, 5


def turn(axis, degrees):
    angle = np.radians(degrees)
    a = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


OBLIQUE = turn([1, 0, 0], 17) @ turn([0, 1, 0], -8) @ turn([0, 0, 1], 11)
# name: direction along a row, along a column (LPS)
SERIES = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "oblique": (OBLIQUE[:, 0], OBLIQUE[:, 1]),
    "enhanced": (OBLIQUE[:, 1], -OBLIQUE[:, 2]),
}
SPACING = (0.9, 0.7)  # between rows, between columns
GAP = 3.3


def pixels():
    rng = np.random.default_rng(7)
    return rng.integers(0, 900, size=(SLICES, ROWS, COLUMNS), dtype=np.uint16)


def common(name, number, sop_class):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.SOPClassUID = sop_class
    ds.Modality, ds.Manufacturer = "MR", "SIEMENS"
    ds.PatientName, ds.PatientID = "Somebody^Secret", "secret-id"
    ds.StudyInstanceUID = f"{ROOT}.1"
    ds.SeriesInstanceUID = f"{ROOT}.2.{number}"
    ds.FrameOfReferenceUID = f"{ROOT}.3"
    ds.SeriesNumber, ds.SeriesDescription = number, name
    ds.StudyDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.ContentTime = "120000"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    return ds


def position(row, column, k):
    return np.array([-31.25, 12.5, 40.0]) + k * GAP * np.cross(row, column)


def texts(values):
    return [f"{v:.9g}"[:16] for v in values]


def classic(folder, name, number, row, column):
    for k, image in enumerate(pixels()):
        ds = common(name, number, MR)
        ds.SOPInstanceUID = f"{ROOT}.4.{number}.{k + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber = k + 1
        ds.EchoTime, ds.RepetitionTime, ds.MagneticFieldStrength = "90", "4000", "1.5"
        ds.SliceThickness = "2.0"
        ds.ImagePositionPatient = texts(position(row, column, k))
        ds.ImageOrientationPatient = texts([*row, *column])
        ds.PixelSpacing = texts(SPACING)
        ds.RescaleIntercept, ds.RescaleSlope = "-10", "2"
        ds.PixelData = image.tobytes()
        ds.save_as(folder / f"IM{(k * 3) % SLICES}", write_like_original=False)


def enhanced(folder, name, number, row, column):
    ds = common(name, number, ENHANCED_MR)
    ds.SOPInstanceUID = f"{ROOT}.4.{number}.1"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber, ds.NumberOfFrames = 1, SLICES
    shared = Dataset()
    measures, orientation, values, echo = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = texts(SPACING), "2.0"
    measures.SpacingBetweenSlices = str(GAP)  # dcm2niix takes this one here, not the positions
    orientation.ImageOrientationPatient = texts([*row, *column])
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = "-10", "2", "US"
    echo.EffectiveEchoTime = 90.0
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([values])
    shared.MREchoSequence = Sequence([echo])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in range(SLICES):
        frame, place, content = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = texts(position(row, column, k))
        content.StackID, content.InStackPositionNumber = "1", k + 1
        content.DimensionIndexValues = [1, k + 1]
        frame.PlanePositionSequence = Sequence([place])
        frame.FrameContentSequence = Sequence([content])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.PixelData = pixels().tobytes()
    ds.save_as(folder / "enhanced.dcm", write_like_original=False)


def main():
    root = pathlib.Path(__file__).parent / "dicom"
    shutil.rmtree(root, ignore_errors=True)
    for number, (name, (row, column)) in enumerate(SERIES.items(), start=1):
        folder = root / name
        folder.mkdir(parents=True)
        row, column = np.asarray(row, float), np.asarray(column, float)
        (enhanced if name == "enhanced" else classic)(folder, name, number, row, column)
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["dcm2niix", "-b", "n", "-z", "n", "-f", name, "-o", scratch, folder],
                           check=True, stdout=subprocess.DEVNULL)
            found = sorted(pathlib.Path(scratch).glob("*.nii"))
            assert len(found) == 1, found
            shutil.copy(found[0], root / f"{name}.nii")
        volume = nibabel.load(root / f"{name}.nii")
        print(name, volume.shape, nibabel.aff2axcodes(volume.affine))
        print(volume.affine)
    print("dcm2niix", subprocess.run(["dcm2niix", "--version"], capture_output=True, text=True).stdout.split()[-1],
          "pydicom", pydicom.__version__)


if __name__ == "__main__":
    main()
