#include "data/prepare/registration/elastix_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <Eigen/Geometry>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/nifti.h"

extern char** environ;

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// A folder for one run, removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "epvs-elastix-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw core::RunError(fmt::format("cannot make a folder in {}: {}",
                                       fs::temp_directory_path().string(), std::strerror(errno)),
                           "set TMPDIR to a folder that can be written");
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// Starts a program with its output in a file and waits. Returns its exit status, 128 + signal when
/// it was killed, or -1 with errno when it could not be started.
int run_program(std::vector<std::string> arguments, const fs::path& output) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    return -1;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string last_lines(const fs::path& path, std::size_t count) {
  std::vector<std::string> lines;
  std::istringstream text(fs::exists(path) ? core::read_text(path) : std::string());
  for (std::string line; std::getline(text, line);) {
    if (!core::trim(line).empty()) lines.emplace_back(core::trim(line));
  }
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<long>(count));
  return core::join(lines, " | ");
}

/// "(Key value value)" lines; quotation marks are left out.
std::map<std::string, std::vector<std::string>> entries_of(const fs::path& path) {
  std::map<std::string, std::vector<std::string>> entries;
  std::istringstream text(core::read_text(path));
  for (std::string line; std::getline(text, line);) {
    const std::string_view trimmed = core::trim(line);
    if (trimmed.empty() || trimmed.front() != '(' || trimmed.back() != ')') continue;
    std::istringstream words{std::string(trimmed.substr(1, trimmed.size() - 2))};
    std::string key;
    words >> key;
    for (std::string word; words >> word;) {
      std::erase(word, '"');
      entries[key].push_back(word);
    }
  }
  return entries;
}

class ParameterFile {
 public:
  explicit ParameterFile(const fs::path& path) : path_(path), entries_(entries_of(path)) {}

  std::string word(const std::string& key, const std::string& otherwise = {}) const {
    const auto found = entries_.find(key);
    return found == entries_.end() || found->second.empty() ? otherwise : found->second.front();
  }
  Eigen::VectorXd numbers(const std::string& key, Eigen::Index count) const {
    const auto found = entries_.find(key);
    if (found == entries_.end() || static_cast<Eigen::Index>(found->second.size()) != count) {
      refuse(fmt::format("{} does not have {} numbers", key, count));
    }
    Eigen::VectorXd values(count);
    for (Eigen::Index i = 0; i < count; ++i) {
      const std::string& text = found->second[static_cast<std::size_t>(i)];
      const auto number = core::parse_number(text);
      if (!number) refuse(fmt::format("{}: '{}' is not a number", key, text));
      values[i] = *number;
    }
    return values;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw core::InputError(fmt::format("{}: {}", path_.string(), what),
                           "expected a linear transform of elastix (TransformParameters.N.txt)");
  }

 private:
  fs::path path_;
  std::map<std::string, std::vector<std::string>> entries_;
};

/// Turns about x, y, z in LPS, in the order of ITK's Euler3DTransform.
Eigen::Matrix3d euler_matrix(const Eigen::Vector3d& angles, bool zyx) {
  const Eigen::AngleAxisd x(angles[0], Eigen::Vector3d::UnitX());
  const Eigen::AngleAxisd y(angles[1], Eigen::Vector3d::UnitY());
  const Eigen::AngleAxisd z(angles[2], Eigen::Vector3d::UnitZ());
  return zyx ? (z * y * x).toRotationMatrix() : (z * x * y).toRotationMatrix();
}

/// In LPS: y = A (x - c) + c + t.
Eigen::Matrix4d lps_matrix(const ParameterFile& file) {
  const std::string kind = file.word("Transform");
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  Eigen::Vector3d shift;
  if (kind == "EulerTransform") {
    const Eigen::VectorXd p = file.numbers("TransformParameters", 6);
    matrix.topLeftCorner<3, 3>() =
        euler_matrix(p.head<3>(), file.word("ComputeZYX", "false") == "true");
    shift = p.tail<3>();
  } else if (kind == "AffineTransform") {
    const Eigen::VectorXd p = file.numbers("TransformParameters", 12);
    for (Eigen::Index i = 0; i < 9; ++i) matrix(i / 3, i % 3) = p[i];
    shift = p.tail<3>();
  } else if (kind == "TranslationTransform") {
    matrix.topRightCorner<3, 1>() = file.numbers("TransformParameters", 3);
    return matrix;
  } else {
    file.refuse(
        fmt::format("Transform is '{}'; expected EulerTransform, AffineTransform or "
                    "TranslationTransform",
                    kind));
  }
  const Eigen::Vector3d centre = file.numbers("CenterOfRotationPoint", 3);
  matrix.topRightCorner<3, 1>() = centre + shift - matrix.topLeftCorner<3, 3>() * centre;
  return matrix;
}

}  // namespace

void require_elastix(const std::string& program) {
  const int status = run_program({program, "--version"}, "/dev/null");
  if (status == 0) return;
  throw core::UsageError(
      status < 0 || status == 127
          ? fmt::format("--registration-program elastix: '{}' cannot be started", program)
          : fmt::format("--registration-program elastix: '{} --version' failed with status {}",
                        program, status),
      "install elastix (Debian: apt-get install elastix) and put it into PATH, or leave the option "
      "out");
}

std::string elastix_parameters(Motion motion, bool initialise) {
  return fmt::format(
      "(FixedImageDimension 3)\n(MovingImageDimension 3)\n"
      "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
      "(Registration \"MultiResolutionRegistration\")\n"
      "(FixedImagePyramid \"FixedSmoothingImagePyramid\")\n"
      "(MovingImagePyramid \"MovingSmoothingImagePyramid\")\n"
      "(Interpolator \"LinearInterpolator\")\n"
      "(ResampleInterpolator \"FinalBSplineInterpolator\")\n(Resampler \"DefaultResampler\")\n"
      "(Metric \"AdvancedMattesMutualInformation\")\n"
      "(Optimizer \"AdaptiveStochasticGradientDescent\")\n(Transform \"{}\")\n"
      "(AutomaticParameterEstimation \"true\")\n(AutomaticScalesEstimation \"true\")\n"
      "(AutomaticTransformInitialization \"{}\")\n"
      "(AutomaticTransformInitializationMethod \"CenterOfGravity\")\n"
      "(HowToCombineTransforms \"Compose\")\n(NumberOfHistogramBins 32)\n"
      "(NumberOfResolutions 4)\n(MaximumNumberOfIterations 256)\n"
      "(ImageSampler \"RandomCoordinate\")\n(NumberOfSpatialSamples 2048)\n"
      "(NewSamplesEveryIteration \"true\")\n(CheckNumberOfSamples \"true\")\n"
      "(MaximumNumberOfSamplingAttempts 8)\n(NumberOfSamplesForExactGradient 4096)\n"
      "(DefaultPixelValue 0)\n(WriteResultImage \"false\")\n(WriteIterationInfo \"false\")\n",
      motion == Motion::kRigid ? "EulerTransform" : "AffineTransform",
      initialise ? "true" : "false");
}

RegistrationResult register_with_elastix(const Volume<float>& fixed, const Volume<float>& moving,
                                         const RegistrationOptions& options,
                                         const std::string& program) {
  const ScratchFolder folder;
  write_nifti(folder / "fixed.nii", fixed);
  write_nifti(folder / "moving.nii", moving);
  core::write_text(folder / "rigid.txt", elastix_parameters(Motion::kRigid, true));
  std::vector<std::string> arguments = {program,
                                        "-f",
                                        (folder / "fixed.nii").string(),
                                        "-m",
                                        (folder / "moving.nii").string(),
                                        "-out",
                                        (folder / ".").string(),
                                        "-threads",
                                        "1",
                                        "-p",
                                        (folder / "rigid.txt").string()};
  const bool affine = options.motion == Motion::kAffine;
  if (affine) {
    core::write_text(folder / "affine.txt", elastix_parameters(Motion::kAffine, false));
    arguments.insert(arguments.end(), {"-p", (folder / "affine.txt").string()});
  }
  const fs::path log = folder / "output.txt";
  const int status = run_program(arguments, log);
  const fs::path found =
      folder / (affine ? "TransformParameters.1.txt" : "TransformParameters.0.txt");
  if (status < 0) require_elastix(program);
  if (status != 0 || !fs::exists(found)) {
    throw core::InputError(
        fmt::format("elastix failed with status {}: {}", status, last_lines(log, 4)),
        "leave out --registration-program, or look whether both scans show a head");
  }
  RegistrationResult result;
  result.fixed_to_moving = read_elastix_transform(found);
  const std::vector<Agreement> fits =
      agreement(fixed, moving, {Eigen::Matrix4d::Identity(), result.fixed_to_moving}, options);
  result.information_before = fits[0].information;
  result.information_after = fits[1].information;
  result.overlap = fits[1].overlap;
  return result;
}

Eigen::Matrix4d read_elastix_transform(const fs::path& path) {
  const Eigen::Vector4d signs(-1, -1, 1, 1);  // LPS <-> RAS
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  fs::path next = path;
  for (int depth = 0; depth < 16; ++depth) {
    core::require_exists(next, "the transform of elastix");
    const ParameterFile file(next);
    // The transform of this file comes after the one that it is composed with.
    matrix = matrix * lps_matrix(file);
    const std::string initial =
        file.word("InitialTransformParametersFileName",
                  file.word("InitialTransformParameterFileName", "NoInitialTransform"));
    if (initial == "NoInitialTransform") return signs.asDiagonal() * matrix * signs.asDiagonal();
    if (file.word("HowToCombineTransforms", "Compose") != "Compose") {
      file.refuse("the transforms are added, not composed");
    }
    next = fs::path(initial).is_absolute() ? fs::path(initial) : next.parent_path() / initial;
  }
  throw core::InputError(fmt::format("{}: more than 16 transforms in a row", path.string()),
                         "does a file name itself as its initial transform?");
}

}  // namespace epvs::data
