// One DICOM file and what its header says of each image in it. No names of people are read.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace epvs::data {

/// One slice: a file of the classic kind, or a frame of an enhanced (multi-frame) one.
struct DicomFrame {
  std::filesystem::path file;
  int frame = 0;  ///< in the file
  int frames_in_file = 1;
  std::string study_uid;     ///< (0020,000D)
  std::string series_uid;    ///< (0020,000E)
  std::string instance_uid;  ///< (0008,0018), with the frame's number when there are several
  std::string series_number;
  std::string description;  ///< (0008,103E)
  std::string modality;     ///< MR, CT, ...
  std::string part;         ///< phase, real, imaginary; empty: magnitude
  double echo_time_ms = std::numeric_limits<double>::quiet_NaN();
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  int samples = 1;            ///< per pixel
  std::string photometric;    ///< MONOCHROME2, ...
  bool mosaic = false;        ///< several slices in one picture (Siemens)
  std::int64_t expected = 0;  ///< images that the acquisition has (0020,1002); 0: not said
  bool has_geometry = false;
  Eigen::Vector3d position = Eigen::Vector3d::Zero();      ///< centre of the first pixel, LPS, mm
  Eigen::Vector3d along_row = Eigen::Vector3d::Zero();     ///< unit, growing column index, LPS
  Eigen::Vector3d along_column = Eigen::Vector3d::Zero();  ///< unit, growing row index, LPS
  Eigen::Vector2d spacing = Eigen::Vector2d::Zero();       ///< mm between columns, between rows
  double slope = 1;                                        ///< value = slope * stored + intercept
  double intercept = 0;

  /// "IM0007" or "enhanced.dcm frame 7", for messages.
  std::string name() const;
};

enum class DicomKind {
  kOther,    ///< not DICOM
  kNoImage,  ///< DICOM without pictures: reports, DICOMDIR, presentation states
  kDamaged,  ///< begins like DICOM, but is not whole
  kImage
};

struct DicomHeader {
  DicomKind kind = DicomKind::kOther;
  std::string problem;  ///< of a damaged file: what is missing
  std::vector<DicomFrame> frames;
  /// A folder above the file bears the name of the person (all parts of "Family^Given").
  bool folder_has_name = false;
};

/// Reads the header only, and checks that the pixels are all there. Does not throw for what the
/// file holds: `kind` says it. Thread-safe.
DicomHeader read_dicom_header(const std::filesystem::path& path);

/// Whether the file begins as DICOM files do: the letters DICM after 128 bytes, or at once with an
/// element of the groups 0002 or 0008.
bool looks_like_dicom(const std::filesystem::path& path);

/// The stored numbers of a file, all its frames one after another, row by row.
struct DicomPixels {
  std::string type;  ///< uint16, int16, ...
  std::vector<double> stored;
};

/// Throws InputError naming the file: cut off, an unknown compression, another size than
/// `rows` x `columns` x `frames`. Thread-safe.
DicomPixels read_dicom_pixels(const std::filesystem::path& path, std::int64_t rows,
                              std::int64_t columns, std::int64_t frames);

}  // namespace epvs::data
