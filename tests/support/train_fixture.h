// What tests of epvs train share: a tiny cohort (noise with a counted number of bright spots), the
// usual arguments, and the running program.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/program.h"
#include "core/random.h"
#include "core/splits.h"
#include "core/table.h"
#include "data/cohort/cohort.h"
#include "tests/support/test_support.h"

namespace epvs::train {

/// Writes cohort.h5, scores.tsv (rater1 = number of spots) and splits.tsv into `folder`:
/// participants sub-01 ... , the last quarter validation (half of it) and test.
inline void write_tiny_cohort(const std::filesystem::path& folder, int participants,
                              std::uint64_t seed = 1) {
  data::PreprocessingOptions options;
  options.region = "bg";
  options.crop_voxels = {16, 12, 8};
  options.labels = {11, 50};
  data::CohortWriter writer(folder / "cohort.h5", {options}, core::Json::object());
  core::Table scores({"participant_id", "rater1"});
  std::vector<core::SplitRow> splits;
  for (int i = 0; i < participants; ++i) {
    core::Random random(core::mix_seed(seed, {"tiny", i}));
    data::CohortRow row;
    row.participant_id = "sub-" + std::string(i < 9 ? "0" : "") + std::to_string(i + 1);
    row.roi.shape = row.source.shape = options.crop_voxels;
    row.source_sha256 = std::string(64, static_cast<char>('a' + i % 6));
    const auto count = static_cast<std::size_t>(row.roi.voxels());
    data::CohortVolumes volumes{std::vector<float>(count), std::vector<std::uint8_t>(count, 1),
                                std::vector<float>(count, 1.0F)};
    for (float& voxel : volumes.roi) voxel = static_cast<float>(0.3 + 0.05 * random.normal());
    const std::int64_t spots = random.integer(0, 12);
    for (std::int64_t spot = 0; spot < spots; ++spot) {
      volumes
          .roi[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(count) - 1))] =
          1.0F;
    }
    writer.append("bg", row, volumes);
    scores.add_row({row.participant_id, std::to_string(spots)});
    const int last = participants - participants / 4;
    splits.push_back({0, 0, row.participant_id,
                      i < last ? core::Split::kTrain
                               : (i % 2 == 0 ? core::Split::kValidation : core::Split::kTest)});
  }
  writer.finish();
  scores.write(folder / "scores.tsv");
  core::Splits(splits).write(folder / "splits.tsv");
}

/// A recipe that trains in about a second.
inline void write_tiny_recipe(const std::filesystem::path& path) {
  std::ofstream(path)
      << "recipe_version = 1\n"
         "[network]\narchitecture = \"gp_unet\"\nfirst_features = 4\ninit = \"he\"\n"
         "[train]\nepochs = 6\nbatch_size = 4\nbias_init_from_labels = true\n"
         "pool_scale_from_voxels = true\n";
}

using Arguments = std::vector<std::string>;

inline Arguments plus(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

#ifdef EPVS_TRAIN_PROGRAM
/// A running epvs-train; stdout and stderr go to one file.
class Process {
 public:
  Process(const Arguments& arguments, const std::filesystem::path& output,
          const std::map<std::string, std::optional<std::string>>& variables = {})
      : output_(output),
        program_({.program = EPVS_TRAIN_PROGRAM,
                  .arguments = arguments,
                  .output = output,
                  .errors = output,
                  .working_folder = {},
                  .environment = variables,
                  .hint = {}}) {}
  int id() const { return program_.id(); }
  void send(int signal_number) { program_.send(signal_number); }
  /// 128 + signal when killed. `err` holds all output.
  tests::CommandResult wait() {
    tests::CommandResult result;
    result.exit_code = program_.wait();
    result.err = core::read_text(output_);
    return result;
  }

 private:
  std::filesystem::path output_;
  core::RunningProgram program_;
};

inline void sleep_ms(std::int64_t ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/// A folder with a tiny cohort and recipe, and epvs train on them.
class TrainTest : public ::testing::Test {
 protected:
  explicit TrainTest(int participants = 24) {  // 18 train, 3 validation, 3 test
    write_tiny_cohort(folder_.path(), participants);
    write_tiny_recipe(folder_ / "recipe.toml");
  }
  /// The usual arguments, unless `more` has them, then `more`.
  Arguments arguments(const std::string& run, const Arguments& more = {}) const {
    Arguments all = {(folder_ / "recipe.toml").string()};
    const std::vector<std::pair<std::string, std::string>> usual = {
        {"--cohort", (folder_ / "cohort.h5").string()},
        {"--scores", (folder_ / "scores.tsv").string()},
        {"--splits", (folder_ / "splits.tsv").string()},
        {"--target", "rater1"},
        {"--out", (folder_ / run).string()},
        {"--threads", "1"},
        {"--device", device_}};
    for (const auto& [name, value] : usual) {
      if (std::ranges::find(more, name) == more.end()) all.insert(all.end(), {name, value});
    }
    return plus(all, more);
  }
  tests::CommandResult train(const std::string& run, const Arguments& more = {}) const {
    return Process(arguments(run, more), folder_ / "err").wait();
  }
  std::string file(const std::string& name) const { return core::read_text(folder_ / name); }
  tests::TemporaryFolder folder_;
  std::string device_ = "cpu";
};
#endif

}  // namespace epvs::train
