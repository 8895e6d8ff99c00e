#include "data/prepare/registration/transform_foreign.h"

#include <Eigen/LU>
#include <cmath>
#include <map>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// World -> millimetres of FSL.
Eigen::Matrix4d world_to_fsl(const Geometry& geometry) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  Eigen::Matrix4d scaled = Eigen::Matrix4d::Identity();
  for (int i = 0; i < 3; ++i) scaled(i, i) = spacing[i];
  if (geometry.affine.topLeftCorner<3, 3>().determinant() > 0) {
    scaled(0, 0) = -spacing[0];
    scaled(0, 3) = spacing[0] * static_cast<double>(geometry.shape[0] - 1);
  }
  return scaled * geometry.affine.inverse();
}

core::InputError broken_lta(const fs::path& path, const std::string& what) {
  return core::InputError(fmt::format("{}: {}", path.string(), what),
                          "expected a linear transform as FreeSurfer's mri_robust_register, "
                          "mri_coreg or lta_convert write it (.lta)");
}

/// An LTA file as its "key = values" entries and its matrix; '#' begins a comment.
struct LtaText {
  std::map<std::string, std::vector<std::string>> head;
  std::map<std::string, std::vector<std::string>> source;
  std::map<std::string, std::vector<std::string>> target;
  std::vector<double> numbers;  ///< of the lines without a key, "1 4 4" included
};

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}

LtaText split_lta(const fs::path& path) {
  LtaText lta;
  std::istringstream text(core::read_text(path));
  auto* entries = &lta.head;
  for (std::string line; std::getline(text, line);) {
    line = line.substr(0, line.find('#'));
    const std::size_t equals = line.find('=');
    const std::vector<std::string> parts = words(line);
    if (parts.empty()) continue;
    if (equals != std::string::npos) {
      const std::vector<std::string> key = words(line.substr(0, equals));
      if (key.size() == 1) (*entries)[key[0]] = words(line.substr(equals + 1));
    } else if (parts.size() == 3 && parts[1] == "volume" && parts[2] == "info") {
      entries = parts[0] == "src" ? &lta.source : &lta.target;
    } else if (entries == &lta.head) {
      for (const std::string& word : parts) {
        const auto number = core::parse_number(word);
        if (!number) throw broken_lta(path, fmt::format("'{}' is not a number", word));
        lta.numbers.push_back(*number);
      }
    }
  }
  return lta;
}

Eigen::Vector3d numbers_of(const std::map<std::string, std::vector<std::string>>& entries,
                           const std::string& key, const fs::path& path) {
  const auto found = entries.find(key);
  if (found == entries.end() || found->second.size() != 3) {
    throw broken_lta(path, fmt::format("a volume lacks '{}' with three numbers", key));
  }
  Eigen::Vector3d values;
  for (int i = 0; i < 3; ++i) {
    const std::string& word = found->second[static_cast<std::size_t>(i)];
    const auto number = core::parse_number(word);
    if (!number) throw broken_lta(path, fmt::format("{}: '{}' is not a number", key, word));
    values[i] = *number;
  }
  return values;
}

std::optional<Geometry> volume_of(const std::map<std::string, std::vector<std::string>>& entries,
                                  const fs::path& path) {
  const auto valid = entries.find("valid");
  if (valid == entries.end() || valid->second.empty() || valid->second[0] != "1") {
    return std::nullopt;
  }
  const Eigen::Vector3d shape = numbers_of(entries, "volume", path);
  const Eigen::Vector3d size = numbers_of(entries, "voxelsize", path);
  Geometry geometry;
  for (int i = 0; i < 3; ++i) {
    geometry.shape[static_cast<std::size_t>(i)] = std::llround(shape[i]);
  }
  geometry.affine.block<3, 1>(0, 0) = numbers_of(entries, "xras", path) * size[0];
  geometry.affine.block<3, 1>(0, 1) = numbers_of(entries, "yras", path) * size[1];
  geometry.affine.block<3, 1>(0, 2) = numbers_of(entries, "zras", path) * size[2];
  geometry.affine.block<3, 1>(0, 3) =
      numbers_of(entries, "cras", path) - geometry.affine.topLeftCorner<3, 3>() * (0.5 * shape);
  return geometry;
}

}  // namespace

void require_invertible(const Eigen::Matrix4d& matrix, const fs::path& path) {
  const double determinant = matrix.topLeftCorner<3, 3>().determinant();
  if (!std::isfinite(determinant) || !matrix.allFinite() || std::abs(determinant) < 1e-6) {
    throw core::InputError(fmt::format("{}: the matrix is singular (determinant {})", path.string(),
                                       core::format_number(determinant)));
  }
}

Eigen::Matrix4d read_fsl_transform(const fs::path& path, const Geometry& in, const Geometry& ref) {
  const std::vector<std::string> all = words(core::read_text(path));
  const core::InputError not_flirt(fmt::format("{} is not a 4x4 matrix of FLIRT", path.string()),
                                   "expected 16 numbers, as flirt -omat writes them");
  if (all.size() != 16) throw not_flirt;
  Eigen::Matrix4d matrix;
  for (std::size_t i = 0; i < 16; ++i) {
    const auto number = core::parse_number(all[i]);
    if (!number) throw not_flirt;
    matrix(static_cast<Eigen::Index>(i / 4), static_cast<Eigen::Index>(i % 4)) = *number;
  }
  require_invertible(matrix, path);
  return world_to_fsl(ref).inverse() * matrix * world_to_fsl(in);
}

LtaTransform read_lta_transform(const fs::path& path) {
  const LtaText text = split_lta(path);
  const auto entry = [&](const std::string& key) -> std::string {
    const auto found = text.head.find(key);
    return found == text.head.end() || found->second.empty() ? std::string() : found->second[0];
  };
  const std::string type = entry("type");
  if (type != "0" && type != "1") {
    throw broken_lta(path, fmt::format("type is '{}'; expected 0 (LINEAR_VOX_TO_VOX) or 1 "
                                       "(LINEAR_RAS_TO_RAS)",
                                       type));
  }
  if (entry("nxforms") != "1" || text.numbers.size() != 19) {
    throw broken_lta(path, fmt::format("nxforms is '{}' and there are {} numbers; expected one "
                                       "matrix: 1 4 4 and 16 numbers",
                                       entry("nxforms"), text.numbers.size()));
  }
  Eigen::Matrix4d matrix;
  for (std::size_t i = 0; i < 16; ++i) {
    matrix(static_cast<Eigen::Index>(i / 4), static_cast<Eigen::Index>(i % 4)) =
        text.numbers[i + 3];
  }
  require_invertible(matrix, path);
  LtaTransform lta;
  lta.source = volume_of(text.source, path);
  lta.target = volume_of(text.target, path);
  if (type == "0") {
    if (!lta.source || !lta.target) {
      throw broken_lta(path,
                       "it is voxel to voxel, but does not describe both volumes (valid = 1)");
    }
    matrix = lta.target->affine * matrix * lta.source->affine.inverse();
    require_invertible(matrix, path);
  }
  lta.source_to_target = matrix;
  return lta;
}

}  // namespace epvs::data
