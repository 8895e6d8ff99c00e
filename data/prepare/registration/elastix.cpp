#include "data/prepare/registration/elastix.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "core/program.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "data/prepare/registration/transform_file.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr const char* kInstall =
    "install elastix (Debian: apt-get install elastix) and put it on PATH, or give the transforms "
    "with --transforms";

std::string last_lines(const fs::path& path, std::size_t count) {
  std::vector<std::string> lines;
  std::istringstream text(fs::exists(path) ? core::read_text(path) : std::string());
  for (std::string line; std::getline(text, line);) {
    if (!core::trim(line).empty()) lines.emplace_back(core::trim(line));
  }
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<long>(count));
  return core::join(lines, " | ");
}

/// Runs a program in the folder of its log and returns its exit status.
int run_logged(const std::string& program, const std::vector<std::string>& arguments,
               const fs::path& log) {
  core::ProgramCall call;
  call.program = program;
  call.arguments = arguments;
  call.output = log;
  call.errors = log;
  call.working_folder = log.parent_path();
  call.hint = kInstall;
  return core::run_program(call);
}

/// How much each axis is shrunk before each resolution, so that voxels are about as large as
/// `levels_mm` (0: as they are): thick slices are not made thicker with the rest.
std::string schedule(const Geometry& geometry, const std::vector<double>& levels_mm) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  std::vector<double> factors;
  for (const double level : levels_mm) {
    for (Eigen::Index axis = 0; axis < 3; ++axis) {
      factors.push_back(std::max(1.0, std::round(level / spacing[axis])));
    }
  }
  return number_words(factors);
}

struct Search {
  std::string transform;
  std::vector<double> levels_mm;  ///< one for each resolution
  int iterations;                 ///< per resolution
  int samples;                    ///< per iteration
  std::string more;
};

std::string parameters(const Search& search, const Geometry& fixed, const Geometry& moving) {
  return fmt::format(
      "(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
      "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
      "(Registration \"MultiResolutionRegistration\")\n"
      "(FixedImagePyramid \"FixedRecursiveImagePyramid\")\n(FixedImagePyramidSchedule {})\n"
      "(MovingImagePyramid \"MovingRecursiveImagePyramid\")\n(MovingImagePyramidSchedule {})\n"
      "(Interpolator \"LinearInterpolator\")\n"
      "(ResampleInterpolator \"FinalBSplineInterpolator\")\n(Resampler \"DefaultResampler\")\n"
      "(Metric \"AdvancedMattesMutualInformation\")\n(NumberOfHistogramBins 32)\n"
      "(Optimizer \"AdaptiveStochasticGradientDescent\")\n(Transform \"{}\")\n"
      "(AutomaticParameterEstimation \"true\")\n(AutomaticScalesEstimation \"true\")\n"
      "(HowToCombineTransforms \"Compose\")\n(RandomSeed 121212)\n"
      "(NumberOfResolutions {})\n(MaximumNumberOfIterations {})\n"
      "(ImageSampler \"RandomCoordinate\")\n(NumberOfSpatialSamples {})\n"
      "(NewSamplesEveryIteration \"true\")\n(CheckNumberOfSamples \"true\")\n"
      "(MaximumNumberOfSamplingAttempts 8)\n(DefaultPixelValue 0)\n"
      "(WriteIterationInfo \"false\")\n(ResultImageFormat \"nii\")\n"
      "(ResultImagePixelType \"float\")\n(CompressResultImage \"false\")\n{}",
      schedule(fixed, search.levels_mm), schedule(moving, search.levels_mm), search.transform,
      search.levels_mm.size(), search.iterations, search.samples, search.more);
}

Eigen::VectorXd numbers(const fs::path& path, const std::string& text, const std::string& key,
                        std::size_t count) {
  const std::vector<std::string> words = parameter(text, key);
  const auto refuse = [&path](const std::string& what) {
    throw core::InputError(fmt::format("{}: {}", path.string(), what),
                           "expected a transform that elastix wrote (TransformParameters.N.txt)");
  };
  if (words.size() != count) refuse(fmt::format("{} does not have {} numbers", key, count));
  Eigen::VectorXd values(static_cast<Eigen::Index>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = core::parse_number(words[i]);
    if (!number) refuse(fmt::format("{}: '{}' is not a number", key, words[i]));
    values[static_cast<Eigen::Index>(i)] = *number;
  }
  return values;
}

/// Begin and end of the line "(Key ...)\n"; both the end of the text when there is none.
std::pair<std::size_t, std::size_t> line_of(std::string_view text, std::string_view key) {
  const std::string start = fmt::format("({} ", key);
  std::size_t begin = 0;
  while (begin < text.size() && !text.substr(begin).starts_with(start)) {
    const std::size_t end = text.find('\n', begin);
    begin = end == std::string_view::npos ? text.size() : end + 1;
  }
  const std::size_t end = text.find('\n', begin);
  return {begin, end == std::string_view::npos ? text.size() : end + 1};
}

}  // namespace

std::string require_elastix() {
  for (const char* program : {"elastix", "transformix"}) {
    if (core::find_program(program)) continue;
    throw core::UsageError(
        fmt::format("registration needs the program {}, which is not on PATH", program), kInstall);
  }
  const ElastixFolder folder;
  const fs::path output = folder / "version.txt";
  const int status = run_logged("elastix", {"--version"}, output);
  if (status == 0) return last_lines(output, 1);
  throw core::UsageError(
      fmt::format("'elastix --version' {}: {}", core::describe_exit(status), last_lines(output, 4)),
      kInstall);
}

std::string rigid_parameters(const Geometry& fixed, const Geometry& moving) {
  return parameters({"EulerTransform",
                     {8, 4, 2, 0},
                     256,
                     2048,
                     "(AutomaticTransformInitialization \"false\")\n"
                     "(WriteResultImage \"false\")\n"},
                    fixed, moving);
}

std::string affine_parameters(const Geometry& fixed, const Geometry& moving) {
  return parameters({"AffineTransform",
                     {8, 4, 2, 0},
                     512,
                     2048,
                     "(AutomaticTransformInitialization \"false\")\n"
                     "(WriteResultImage \"false\")\n"},
                    fixed, moving);
}

std::string bspline_parameters(const Geometry& fixed, const Geometry& moving) {
  return parameters({"BSplineTransform",
                     {4, 2, 0},
                     500,
                     3000,
                     "(FinalGridSpacingInPhysicalUnits 16)\n(FinalBSplineInterpolationOrder 1)\n"
                     "(WriteResultImage \"true\")\n"},
                    fixed, moving);
}

ElastixFolder::ElastixFolder() {
  std::string name = (fs::temp_directory_path() / "epvs-elastix-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw core::RunError(fmt::format("cannot make a folder in {}: {}",
                                     fs::temp_directory_path().string(), std::strerror(errno)),
                         "set TMPDIR to a folder that can be written");
  }
  path_ = name;
}

ElastixFolder::~ElastixFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void ElastixFolder::write(std::string_view name, const Volume<float>& scan) const {
  write_nifti(path_ / name, scan);
}

void ElastixFolder::write(std::string_view name, std::string_view text) const {
  core::write_text(path_ / name, text);
}

void ElastixFolder::run_elastix(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"-f", "fixed.nii", "-m", "moving.nii"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  run("elastix", all);
}

void ElastixFolder::run_transformix(const std::vector<std::string>& arguments) const {
  run("transformix", arguments);
}

void ElastixFolder::run(const std::string& program, std::vector<std::string> arguments) const {
  if (!core::find_program(program)) require_elastix();
  arguments.insert(arguments.end(), {"-out", ".", "-threads", "1"});
  const fs::path log = path_ / "output.txt";
  const int status = run_logged(program, arguments, log);
  if (status == 0) return;
  throw core::InputError(
      fmt::format("{} {}: {}", program, core::describe_exit(status), last_lines(log, 4)),
      "look whether both scans show a head");
}

Eigen::Matrix4d read_linear_transform(const fs::path& path) {
  core::require_exists(path, "the transform of elastix");
  const std::string text = core::read_text(path);
  const std::string kind = core::join(parameter(text, "Transform"), " ");
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  Eigen::Vector3d shift;
  if (kind == "EulerTransform") {  // turns about x, y, z in the order of ITK's Euler3DTransform
    const Eigen::VectorXd p = numbers(path, text, "TransformParameters", 6);
    matrix.topLeftCorner<3, 3>() = (Eigen::AngleAxisd(p[2], Eigen::Vector3d::UnitZ()) *
                                    Eigen::AngleAxisd(p[0], Eigen::Vector3d::UnitX()) *
                                    Eigen::AngleAxisd(p[1], Eigen::Vector3d::UnitY()))
                                       .toRotationMatrix();
    shift = p.tail<3>();
  } else if (kind == "AffineTransform") {
    const Eigen::VectorXd p = numbers(path, text, "TransformParameters", 12);
    for (Eigen::Index i = 0; i < 9; ++i) matrix(i / 3, i % 3) = p[i];
    shift = p.tail<3>();
  } else {
    throw core::InputError(fmt::format("{}: Transform is '{}'", path.string(), kind),
                           "expected EulerTransform or AffineTransform");
  }
  const Eigen::Vector3d centre = numbers(path, text, "CenterOfRotationPoint", 3);
  matrix.topRightCorner<3, 1>() = centre + shift - matrix.topLeftCorner<3, 3>() * centre;
  return ras_or_lps(matrix);
}

std::string linear_transform_text(const Eigen::Matrix4d& fixed_to_moving) {
  const Eigen::Matrix4d lps = ras_or_lps(fixed_to_moving);
  std::vector<double> words;
  for (Eigen::Index i = 0; i < 9; ++i) words.push_back(lps(i / 3, i % 3));
  for (Eigen::Index row = 0; row < 3; ++row) words.push_back(lps(row, 3));
  return fmt::format(
      "(Transform \"AffineTransform\")\n(NumberOfParameters 12)\n(TransformParameters {})\n"
      "(InitialTransformParametersFileName \"NoInitialTransform\")\n"
      "(HowToCombineTransforms \"Compose\")\n(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
      "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
      "(CenterOfRotationPoint 0 0 0)\n",
      number_words(words));
}

std::vector<std::string> parameter(std::string_view text, std::string_view key) {
  const auto [begin, end] = line_of(text, key);
  if (begin == end) return {};
  std::string line(text.substr(begin + key.size() + 2, end - begin - key.size() - 2));
  std::erase_if(line, [](char c) { return c == '"' || c == ')'; });
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string with_parameter(std::string_view text, std::string_view key, std::string_view words) {
  const auto [begin, end] = line_of(text, key);
  return fmt::format("{}({} {})\n{}", text.substr(0, begin), key, words, text.substr(end));
}

std::string number_words(const std::vector<double>& numbers) {
  std::vector<std::string> words;
  for (const double number : numbers) words.push_back(core::format_number(number));
  return core::join(words, " ");
}

}  // namespace epvs::data
