// Headers that leave open which side is left, and what settles them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/formats/nifti.h"

namespace epvs::data {

/// What the user says of headers that do not say it themselves: "sform" or "qform" where the two
/// tell different sides apart, and three letters ("RAS", "LPI": where the stored axes run to) where
/// a header has no orientation at all. At most one of each kind.
class OrientationRule {
 public:
  OrientationRule() = default;
  /// Throws UsageError for other words, letters that are no orientation, or two of one kind.
  explicit OrientationRule(const std::vector<std::string>& words);

  const std::string& form() const { return form_; }
  const std::string& axes() const { return axes_; }

 private:
  std::string form_;
  std::string axes_;
};

/// Does nothing when header.side_doubt is empty. Else the geometry becomes what `rule` says, around
/// the centre of the grid where axes are given, and a concern says so. Throws InputError naming the
/// file, the doubt and the option when `rule` does not settle it.
void settle_orientation(const std::filesystem::path& path, const OrientationRule& rule,
                        ScanHeader& header);

/// Corners of the grid under both affines: the largest distance, mm.
double largest_corner_distance_mm(const Geometry& geometry, const Eigen::Matrix4d& other);

/// "RAS": the world axis nearest to each stored axis, for messages.
std::string orientation_letters(const Geometry& geometry);

}  // namespace epvs::data
