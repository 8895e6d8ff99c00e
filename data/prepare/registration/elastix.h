// Running the programs elastix and transformix: their parameter files, a folder for one run, and
// what they leave there. elastix speaks LPS; everything here is RAS+ mm.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// "elastix version: 5.0.1": what the program says. Throws UsageError, with the package to install,
/// when it is not there.
std::string require_elastix();

/// Parameter files: AdvancedMattesMutualInformation with 32 bins, AdaptiveStochasticGradientDescent
/// at new random points in each iteration, as in elastix's default parameter maps; but each
/// resolution shrinks each axis to voxels of about the same size in mm.
///
/// Rigid: starts with the centres of gravity one on the other; 8, 4, 2 mm, then the own voxels; 256 iterations at
/// 2048 points each.
std::string rigid_parameters(const Geometry& fixed, const Geometry& moving);
/// Affine: the same levels; 512 iterations at 2048 points each.
std::string affine_parameters(const Geometry& fixed, const Geometry& moving);
/// Cubic B-spline with 64, 32, then 16 mm between control points on 4, 2 mm, then the own voxels; 500 iterations
/// at 3000 points each.
std::string bspline_parameters(const Geometry& fixed, const Geometry& moving);

/// A folder for one run of elastix or transformix, removed with everything in it.
class ElastixFolder {
 public:
  ElastixFolder();
  ~ElastixFolder();
  ElastixFolder(const ElastixFolder&) = delete;
  ElastixFolder& operator=(const ElastixFolder&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  void write(std::string_view name, const Volume<float>& scan) const;
  void write(std::string_view name, std::string_view text) const;
  /// Registers moving.nii to fixed.nii on one thread; results are TransformParameters.N.txt. Throws
  /// InputError with the exit status and the last lines of the log.
  void run_elastix(const std::vector<std::string>& arguments) const;
  /// Throws InputError as run_elastix().
  void run_transformix(const std::vector<std::string>& arguments) const;

 private:
  void run(const std::string& program, std::vector<std::string> arguments) const;
  std::filesystem::path path_;
};

/// The matrix of an Euler or affine transform of elastix, fixed -> moving, without the transform
/// that it is composed with. Throws InputError naming the file: another transform, missing or
/// broken entries.
Eigen::Matrix4d read_linear_transform(const std::filesystem::path& path);

/// An affine transform of RAS+ points as the text of elastix's TransformParameters file.
std::string linear_transform_text(const Eigen::Matrix4d& fixed_to_moving);

/// The words of the entry "(Key word word)" without quotation marks; empty when there is none.
std::vector<std::string> parameter(std::string_view text, std::string_view key);

/// `text` with that entry, which takes the place of an older one.
std::string with_parameter(std::string_view text, std::string_view key, std::string_view words);

/// Numbers with all their digits, with a space between two.
std::string number_words(const std::vector<double>& numbers);

}  // namespace epvs::data
