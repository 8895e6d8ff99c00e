#include "data/prepare/registration/transform_file.h"

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

Eigen::Matrix4d ras_or_lps(const Eigen::Matrix4d& matrix) {
  const Eigen::Vector4d signs(-1, -1, 1, 1);
  return signs.asDiagonal() * matrix * signs.asDiagonal();
}

namespace {

void require_invertible(const Eigen::Matrix4d& matrix, const fs::path& path) {
  const double determinant = matrix.topLeftCorner<3, 3>().determinant();
  if (!std::isfinite(determinant) || !matrix.allFinite() || std::abs(determinant) < 1e-6) {
    throw core::InputError(fmt::format("{}: the matrix is singular (determinant {})", path.string(),
                                       core::format_number(determinant)));
  }
}

/// The numbers of a text; nothing when one of its words is none.
std::optional<std::vector<double>> numbers_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<double> numbers;
  for (std::string word; stream >> word;) {
    const auto number = core::parse_number(word);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

/// One transform of an ITK text file.
struct Block {
  std::string kind;  ///< "AffineTransform"
  std::vector<double> parameters;
  std::vector<double> fixed;
};

std::vector<Block> blocks_of(const fs::path& path) {
  core::require_exists(path, "the transform");
  const core::InputError broken(
      fmt::format("{} is not a transform in ITK's text format", path.string()),
      "expected '#Insight Transform File V1.0', then Transform, Parameters and FixedParameters; "
      "the binary .mat of ANTs becomes text by: ConvertTransformFile 3 in.mat out.txt");
  std::istringstream text(core::read_text(path));
  std::string line;
  if (!std::getline(text, line) || !line.starts_with("#Insight Transform File")) throw broken;
  std::vector<Block> blocks;
  while (std::getline(text, line)) {
    const std::size_t colon = line.find(':');
    if (line.starts_with("#") || colon == std::string::npos) continue;
    const std::string key = line.substr(0, colon);
    const std::string value(core::trim(line.substr(colon + 1)));
    if (key == "Transform") {
      blocks.push_back({value.substr(0, value.find('_')), {}, {}});
      continue;
    }
    const auto numbers = numbers_of(value);
    if (!numbers || blocks.empty()) throw broken;
    (key == "Parameters" ? blocks.back().parameters : blocks.back().fixed) = *numbers;
  }
  if (blocks.empty()) throw broken;
  return blocks;
}

/// In LPS: y = A (x - centre) + centre + shift. Nothing for a kind or a number of parameters that is
/// not linear.
std::optional<Eigen::Matrix4d> matrix_of(const Block& block) {
  const std::vector<double>& p = block.parameters;
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  const bool affine = block.kind == "AffineTransform" || block.kind == "MatrixOffsetTransformBase";
  if (affine && p.size() == 12) {
    for (std::size_t i = 0; i < 9; ++i) {
      matrix(static_cast<Eigen::Index>(i / 3), static_cast<Eigen::Index>(i % 3)) = p[i];
    }
  } else if (block.kind == "Euler3DTransform" && p.size() == 6) {
    const Eigen::AngleAxisd x(p[0], Eigen::Vector3d::UnitX());
    const Eigen::AngleAxisd y(p[1], Eigen::Vector3d::UnitY());
    const Eigen::AngleAxisd z(p[2], Eigen::Vector3d::UnitZ());
    const bool zyx = block.fixed.size() > 3 && block.fixed[3] != 0;
    matrix.topLeftCorner<3, 3>() = (zyx ? z * y * x : z * x * y).toRotationMatrix();
  } else if (block.kind == "VersorRigid3DTransform" && p.size() == 6) {
    const double rest = 1 - p[0] * p[0] - p[1] * p[1] - p[2] * p[2];
    matrix.topLeftCorner<3, 3>() =
        Eigen::Quaterniond(std::sqrt(std::max(rest, 0.0)), p[0], p[1], p[2]).toRotationMatrix();
  } else if (block.kind != "TranslationTransform" || p.size() != 3) {
    return std::nullopt;
  }
  const Eigen::Vector3d shift(p[p.size() - 3], p[p.size() - 2], p[p.size() - 1]);
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  if (block.fixed.size() >= 3) centre = {block.fixed[0], block.fixed[1], block.fixed[2]};
  matrix.topRightCorner<3, 1>() = shift + centre - matrix.topLeftCorner<3, 3>() * centre;
  return matrix;
}

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

}  // namespace

void write_transform(const fs::path& path, const Eigen::Matrix4d& fixed_to_moving) {
  const Eigen::Matrix4d lps = ras_or_lps(fixed_to_moving);
  std::vector<std::string> words;
  for (Eigen::Index i = 0; i < 9; ++i) words.push_back(core::format_number(lps(i / 3, i % 3)));
  for (Eigen::Index i = 0; i < 3; ++i) words.push_back(core::format_number(lps(i, 3)));
  core::write_text(path, fmt::format("#Insight Transform File V1.0\n#Transform 0\n"
                                     "Transform: AffineTransform_double_3_3\nParameters: {}\n"
                                     "FixedParameters: 0 0 0\n",
                                     core::join(words, " ")));
}

Eigen::Matrix4d read_itk_transform(const fs::path& path) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  for (const Block& block : blocks_of(path)) {
    if (block.kind == "CompositeTransform") continue;  // its parts follow
    const auto one = matrix_of(block);
    if (!one) {
      throw core::InputError(
          fmt::format("{} holds a {} with {} parameters", path.string(), block.kind,
                      block.parameters.size()),
          "give an AffineTransform or MatrixOffsetTransformBase (12 parameters), a rigid "
          "Euler3DTransform or VersorRigid3DTransform (6), or a TranslationTransform (3)");
    }
    matrix = matrix * *one;
  }
  require_invertible(matrix, path);
  return ras_or_lps(matrix);
}

Eigen::Matrix4d read_fsl_transform(const fs::path& path, const Geometry& in, const Geometry& ref) {
  const auto numbers = numbers_of(core::read_text(path));
  if (!numbers || numbers->size() != 16) {
    throw core::InputError(fmt::format("{} is not a 4x4 matrix of FLIRT", path.string()),
                           "expected 16 numbers, as flirt -omat writes them");
  }
  Eigen::Matrix4d matrix;
  for (std::size_t i = 0; i < 16; ++i) {
    matrix(static_cast<Eigen::Index>(i / 4), static_cast<Eigen::Index>(i % 4)) = (*numbers)[i];
  }
  require_invertible(matrix, path);
  return world_to_fsl(ref).inverse() * matrix * world_to_fsl(in);
}

std::string TransformName::text() const {
  return fmt::format("from-{}_to-{}_{}", from, to, kind);
}

const std::vector<std::string>& transform_endings() {
  static const std::vector<std::string> endings = {".txt", ".tfm", ".mat"};
  return endings;
}

std::optional<FoundTransform> find_transform(const fs::path& folder, const std::string& key,
                                             const TransformName& name) {
  std::vector<FoundTransform> found;
  for (const bool reversed : {false, true}) {
    const std::string text = (reversed ? name.reversed() : name).text();
    for (const std::string& ending : transform_endings()) {
      const fs::path path = folder / fmt::format("{}_{}_xfm{}", key, text, ending);
      if (fs::exists(path)) found.push_back({path, reversed});
    }
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    throw core::InputError(
        fmt::format("{} and {} are both there", found[0].path.string(), found[1].path.string()),
        "keep one file for each transform of a scan");
  }
  return found.front();
}

std::vector<fs::path> transforms_of(const fs::path& folder, const std::string& key) {
  std::vector<fs::path> found;
  if (folder.empty() || !fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    const std::string ending = entry.path().extension().string();
    const auto& known = transform_endings();
    if (stem.starts_with(key + "_from-") && stem.ends_with("_xfm") &&
        std::find(known.begin(), known.end(), ending) != known.end()) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Eigen::Matrix4d read_found_transform(const FoundTransform& found, const Geometry& from,
                                     const Geometry& to) {
  const Geometry& first = found.reversed ? to : from;
  const Geometry& second = found.reversed ? from : to;
  const std::string ending = core::lower(found.path.extension().string());
  Eigen::Matrix4d matrix = ending == ".mat" ? read_fsl_transform(found.path, first, second)
                                            : read_itk_transform(found.path);
  if (found.reversed) return matrix.inverse();
  return matrix;
}

}  // namespace epvs::data
