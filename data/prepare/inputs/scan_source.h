// Images as users give them: a file, or a DICOM folder and what chooses its series. Orientations
// that the headers leave open are settled or refused here, never guessed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/formats/nifti.h"
#include "data/formats/orientation.h"
#include "data/prepare/inputs/inputs.h"

namespace epvs::data {

struct ImageSource {
  std::filesystem::path path;
  std::string series;  ///< of a DICOM folder (choose_series)
};

ImageSource counted_scan(const ScanInput& input);
/// Throws InputError as required_t1w.
ImageSource t1w_scan(const ScanInput& input);

/// Throws InputError as read_scan, choose_series, read_dicom and settle_orientation.
Scan read_image(const ImageSource& source, const OrientationRule& rule);
/// A label map. What is odd about its header goes to `concerns`, with its path.
Volume<std::int32_t> read_label_image(const std::filesystem::path& path,
                                      const OrientationRule& rule,
                                      std::vector<std::string>* concerns = nullptr);

/// SHA-256 of a file; of a DICOM series that of the hashes of its files in the order of the slices.
std::string sha256_of(const ImageSource& source);

/// The path; of a DICOM folder with the series' UID behind a #.
std::string name_of(const ImageSource& source);

}  // namespace epvs::data
