// The series of a DICOM folder: listed, chosen by the user, checked and stacked to a volume.
//
// Where a slice lies comes from its ImagePositionPatient and ImageOrientationPatient alone; the
// SliceThickness and SpacingBetweenSlices of the header are not read. DICOM counts in LPS; what
// leaves this file is RAS+.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "data/formats/nifti.h"
#include "data/prepare/inputs/dicom_header.h"

namespace epvs::data {

/// The images of one series that belong together: one echo, magnitude or phase.
struct DicomSeries {
  std::string id;  ///< "5", with several echoes "5e1", "5e2"; "5phase"; what --series takes
  std::string uid;
  std::string description;
  std::string modality;
  std::string part;  ///< phase, real, imaginary; empty: magnitude
  double echo_time_ms = 0;
  std::vector<DicomFrame> slices;  ///< in the order of their position when there is no problem
  Geometry geometry;               ///< x: columns, y: rows, z: slices; RAS+
  std::string problem;             ///< why it is no volume, and what was expected; empty: it is one
  std::vector<std::string> warnings;

  /// "5 'T2 TSE' MR 448x406x36, 0.51x0.51x4.00 mm".
  std::string summary() const;
  std::string matrix() const;   ///< "448x406x36"
  std::string spacing() const;  ///< "0.513x0.513x4.000"; empty when it is no volume
};

struct DicomFolder {
  std::filesystem::path path;
  std::vector<DicomSeries> series;   ///< by number, echo, part
  std::vector<std::string> damaged;  ///< "path: what is missing"
  std::size_t others = 0;            ///< files that are no DICOM images
  bool has_name = false;             ///< a folder's name is the name of the person in the headers
};

/// Whether a folder, or one below it, holds a DICOM file.
bool holds_dicom(const std::filesystem::path& folder);

/// All series of a folder and the folders below. Throws InputError when there is no DICOM image.
DicomFolder list_dicom(const std::filesystem::path& folder);

/// The studies (UIDs) of which a folder and those below hold images.
std::set<std::string> dicom_studies(const std::filesystem::path& folder);

/// The series that `wanted` names: an id of the list, a number, a UID, or a part of one description
/// (upper and lower case alike). Empty: the only MR volume there is.
/// Throws InputError with the list when none or several fit; when the chosen one is no volume (a
/// missing slice, slices twice, mixed sizes, ...); when the folder has damaged files.
const DicomSeries& choose_series(const DicomFolder& folder, const std::string& wanted);

/// The volume: values after slope and intercept. Throws InputError naming the file that cannot be
/// read. The header's format is "dicom"; it has no NIfTI codes.
Scan read_dicom(const DicomSeries& series);

}  // namespace epvs::data
