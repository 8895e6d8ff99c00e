#include "data/formats/orientation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"

namespace epvs::data {

namespace {

/// World axis of a letter and its sense; -1 for other letters.
struct Letter {
  int axis = -1;
  double sense = 1;
};

Letter letter_of(char c) {
  static const std::string kLetters = "RAS";
  static const std::string kOpposite = "LPI";
  if (const auto at = kLetters.find(c); at != std::string::npos) return {static_cast<int>(at), 1};
  if (const auto at = kOpposite.find(c); at != std::string::npos) return {static_cast<int>(at), -1};
  return {};
}

bool is_orientation(const std::string& word) {
  if (word.size() != 3) return false;
  std::array<int, 3> seen = {0, 0, 0};
  for (const char c : word) {
    const Letter letter = letter_of(c);
    if (letter.axis < 0) return false;
    ++seen[static_cast<std::size_t>(letter.axis)];
  }
  return seen == std::array<int, 3>{1, 1, 1};
}

/// The stored axes along those of the world, spacing kept, the centre of the grid at 0.
Eigen::Matrix4d affine_along(const std::string& axes, const Geometry& geometry) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  Eigen::Matrix4d affine = Eigen::Matrix4d::Zero();
  affine(3, 3) = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    const Letter letter = letter_of(axes[i]);
    const auto column = static_cast<Eigen::Index>(i);
    affine(letter.axis, column) = letter.sense * spacing[column];
    affine(letter.axis, 3) =
        -0.5 * letter.sense * spacing[column] * static_cast<double>(geometry.shape[i] - 1);
  }
  return affine;
}

}  // namespace

OrientationRule::OrientationRule(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const bool is_form = word == "sform" || word == "qform";
    std::string& slot = is_form ? form_ : axes_;
    if (!is_form && !is_orientation(word)) {
      throw core::UsageError(
          fmt::format("--assume-orientation '{}' is no orientation", word),
          "expected sform, qform, or three letters of R or L, A or P, S or I: where the stored "
          "axes run to, for example RAS or LPI");
    }
    if (!slot.empty()) {
      throw core::UsageError(fmt::format("--assume-orientation has both '{}' and '{}'", slot, word),
                             "at most one of sform and qform, and one of the kind RAS");
    }
    slot = word;
  }
}

double largest_corner_distance_mm(const Geometry& geometry, const Eigen::Matrix4d& other) {
  double largest = 0;
  for (int corner = 0; corner < 8; ++corner) {
    Eigen::Vector4d voxel(0, 0, 0, 1);
    for (int axis = 0; axis < 3; ++axis) {
      const std::int64_t last = geometry.shape[static_cast<std::size_t>(axis)] - 1;
      if (((corner >> axis) & 1) != 0) voxel[axis] = static_cast<double>(last);
    }
    const Eigen::Vector4d apart = (geometry.affine - other) * voxel;
    largest = std::max(largest, apart.head<3>().norm());
  }
  return largest;
}

std::string orientation_letters(const Geometry& geometry) {
  const AxisOrder order = canonical_axes(geometry);
  std::string letters = "???";
  for (std::size_t world = 0; world < 3; ++world) {
    letters[static_cast<std::size_t>(order.axis[world])] =
        std::string(order.flipped[world] ? "LPI" : "RAS")[world];
  }
  return letters;
}

void settle_orientation(const std::filesystem::path& path, const OrientationRule& rule,
                        ScanHeader& header) {
  if (header.side_doubt.empty()) return;
  const bool conflict = header.sform_code > 0 && header.qform_code > 0;
  const std::string& word = conflict ? rule.form() : rule.axes();
  if (word.empty()) {
    throw core::InputError(
        fmt::format("{}: {}", path.string(), header.side_doubt),
        conflict ? "look at the scan with both, repair the header (fslorient, or the converter), "
                   "or say which is right: --assume-orientation sform or qform"
                 : "convert the scan again from its DICOM files, or say where its stored axes run "
                   "to: --assume-orientation RAS, LAS, LPI, ...");
  }
  if (word == "qform") header.geometry.affine = header.qform;
  if (word == "sform") header.geometry.affine = header.sform;
  if (!conflict) header.geometry.affine = affine_along(word, header.geometry);
  const std::string said =
      fmt::format("orientation as told by --assume-orientation {}: {}", word, header.side_doubt);
  header.side_doubt.clear();
  header.warnings.push_back(said);
  header.concerns.push_back(said);
}

}  // namespace epvs::data
