// Whether a DICOM file is whole, element by element, before GDCM sees it: GDCM fills up pixels that
// were cut off, and aborts the program where a header was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace epvs::data {

struct DicomStructure {
  bool is_dicom = false;
  std::string problem;    ///< what is missing or unknown; empty: whole
  std::string sop_class;  ///< (0002,0002): what kind of object the file says it is
  bool has_pixels = false;
  bool compressed = false;        ///< pixels stand in fragments
  std::int64_t pixel_bytes = 0;   ///< when not compressed
  std::int64_t pixel_offset = 0;  ///< of the first pixel in the file, when not compressed
  int bits_allocated = 0;         ///< (0028,0100); 0: not there
  int bits_stored = 0;            ///< (0028,0101)
  int high_bit = 0;               ///< (0028,0102)
  bool has_sign = false;          ///< (0028,0103) is 1
};

/// Walks the elements up to and with the pixel data (DICOM PS3.5, section 7). Explicit and implicit
/// little endian and all compressed syntaxes; big endian and deflated files are a problem.
DicomStructure read_dicom_structure(const std::filesystem::path& path);

/// The letters DICM after 128 bytes, or at once an explicit element of the groups 0002 or 0008.
bool has_dicom_start(const std::filesystem::path& path);

}  // namespace epvs::data
