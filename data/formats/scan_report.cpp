#include "data/formats/scan_report.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "data/formats/orientation.h"

namespace epvs::data {

namespace {

core::Json matrix_json(const Eigen::Matrix4d& matrix) {
  core::Json rows = core::Json::array();
  for (Eigen::Index i = 0; i < 4; ++i) {
    rows.push_back({matrix(i, 0), matrix(i, 1), matrix(i, 2), matrix(i, 3)});
  }
  return rows;
}

std::string matrix_text(const Eigen::Matrix4d& matrix) {
  std::string out;
  for (Eigen::Index i = 0; i < 3; ++i) {
    out += fmt::format("  {:>10.5g} {:>10.5g} {:>10.5g} {:>10.5g}\n", matrix(i, 0), matrix(i, 1),
                       matrix(i, 2), matrix(i, 3));
  }
  return out;
}

std::string nifti_code(int code) {
  static const std::vector<std::string> kNames = {"unknown",   "scanner", "aligned",
                                                  "talairach", "mni",     "template"};
  const bool known = code >= 0 && code < static_cast<int>(kNames.size());
  return fmt::format("{} ({})", code, known ? kNames[static_cast<std::size_t>(code)] : "?");
}

/// Of the finite voxels.
struct Intensities {
  std::int64_t finite = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double mean() const { return sum / static_cast<double>(finite); }
};

Intensities intensities_of(const Volume<float>& image) {
  Intensities range;
  for (const float v : image.voxels) {
    if (!std::isfinite(v)) continue;
    range.low = std::min(range.low, static_cast<double>(v));
    range.high = std::max(range.high, static_cast<double>(v));
    range.sum += v;
    ++range.finite;
  }
  return range;
}

core::Json scan_document(const ScanHeader& header, const Intensities& range) {
  const Eigen::Vector3d spacing = header.geometry.spacing_mm();
  core::Json d;
  d["kind"] = "scan";
  d["format"] = header.format;
  d["stored_type"] = header.stored_type;
  d["shape"] = header.geometry.shape;
  d["spacing_mm"] = {spacing[0], spacing[1], spacing[2]};
  d["orientation"] = orientation_letters(header.geometry);
  d["affine"] = matrix_json(header.geometry.affine);
  if (header.format != "mgh") {
    d["sform_code"] = header.sform_code;
    d["qform_code"] = header.qform_code;
  }
  const bool any = range.finite > 0;
  d["minimum"] = any ? core::Json(range.low) : core::Json();
  d["maximum"] = any ? core::Json(range.high) : core::Json();
  d["mean"] = any ? core::Json(range.mean()) : core::Json();
  d["not_finite_voxels"] = header.geometry.voxels() - range.finite;
  d["warnings"] = header.warnings;
  return d;
}

std::string scan_text(const std::filesystem::path& path, const ScanHeader& header,
                      const Intensities& range) {
  const auto& shape = header.geometry.shape;
  const Eigen::Vector3d spacing = header.geometry.spacing_mm();
  core::ReportLines lines;
  lines.add("scan", path.string());
  lines.add("format", header.format + ", " + header.stored_type);
  lines.add("voxels (x y z)", fmt::format("{} x {} x {}", shape[0], shape[1], shape[2]));
  lines.add("spacing (mm)",
            fmt::format("{:.4g} x {:.4g} x {:.4g}", spacing[0], spacing[1], spacing[2]));
  lines.add("orientation", orientation_letters(header.geometry));
  if (header.format != "mgh") {
    lines.add("sform code", nifti_code(header.sform_code));
    lines.add("qform code", nifti_code(header.qform_code));
  }
  lines.add("intensities", range.finite == 0 ? "none is finite"
                                             : fmt::format("{:.6g} to {:.6g}, mean {:.6g}",
                                                           range.low, range.high, range.mean()));
  const std::int64_t not_finite = header.geometry.voxels() - range.finite;
  if (not_finite > 0) lines.add("not finite", core::grouped_digits(not_finite) + " voxels");
  std::string text = lines.text() + "voxel to world (mm, RAS+)\n";
  text += matrix_text(header.geometry.affine);
  for (const std::string& warning : header.warnings) text += "warning: " + warning + "\n";
  return text;
}

}  // namespace

core::Report describe_scan(const std::filesystem::path& path) {
  const Scan scan = read_scan(path);
  const Intensities range = intensities_of(scan.image);
  return {scan_document(scan.header, range), scan_text(path, scan.header, range)};
}

}  // namespace epvs::data
