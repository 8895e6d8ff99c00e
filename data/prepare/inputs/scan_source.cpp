#include "data/prepare/inputs/scan_source.h"

#include <fmt/format.h>

#include "core/hash.h"
#include "data/prepare/inputs/dicom_series.h"

namespace epvs::data {

namespace fs = std::filesystem;

ImageSource counted_scan(const ScanInput& input) {
  return {input.scan, input.scan_series};
}

ImageSource t1w_scan(const ScanInput& input) {
  return {required_t1w(input), input.t1w_series};
}

Scan read_image(const ImageSource& source, const OrientationRule& rule) {
  if (fs::is_directory(source.path)) {
    const DicomFolder folder = list_dicom(source.path);
    Scan scan = read_dicom(choose_series(folder, source.series));
    if (folder.has_name) {
      scan.header.warnings.push_back(
          fmt::format("a folder of {} bears the name of the person in the DICOM headers; names of "
                      "folders stand in every output: rename it",
                      source.path.string()));
    }
    return scan;
  }
  Scan scan = read_scan(source.path);
  settle_orientation(source.path, rule, scan.header);
  scan.image.geometry = scan.header.geometry;
  return scan;
}

Volume<std::int32_t> read_label_image(const fs::path& path, const OrientationRule& rule,
                                      std::vector<std::string>* concerns) {
  Volume<std::int32_t> labels = read_labels(path);
  ScanHeader header = read_header(path);
  settle_orientation(path, rule, header);
  labels.geometry = header.geometry;
  if (concerns != nullptr) {
    for (const std::string& concern : header.concerns) {
      concerns->push_back(path.filename().string() + ": " + concern);
    }
  }
  return labels;
}

std::string sha256_of(const ImageSource& source) {
  if (!fs::is_directory(source.path)) return core::sha256_file(source.path);
  const DicomFolder folder = list_dicom(source.path);
  std::string hashes;
  fs::path last;
  for (const DicomFrame& slice : choose_series(folder, source.series).slices) {
    if (slice.file != last) hashes += core::sha256_file(slice.file);
    last = slice.file;
  }
  return core::sha256_text(hashes);
}

std::string name_of(const ImageSource& source) {
  if (!fs::is_directory(source.path)) return source.path.string();
  const DicomFolder folder = list_dicom(source.path);
  return source.path.string() + "#" + choose_series(folder, source.series).uid;
}

}  // namespace epvs::data
