// A small cohort on disk and `epvs prepare` run on it, for the tests of its command line.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "core/table.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::tests {

/// Scans of noise with block_labels, in a folder that goes with the test.
class Prepare : public testing::Test {
 protected:
  const data::Geometry grid_ = centred_grid({40, 40, 50}, {1, 1, 1});

  /// Different in every voxel, so that nothing is constant.
  static data::Volume<float> noise(const data::Geometry& geometry) {
    data::Volume<float> scan(geometry);
    for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
      scan.voxels[i] = static_cast<float>(100 + (i * 7919) % 1009);
    }
    return scan;
  }
  std::filesystem::path scan_path(const std::string& id) const {
    return folder_ / ("bids/" + id + "/anat/" + id + "_T2w.nii.gz");
  }
  std::filesystem::path label_path(const std::string& id) const {
    return folder_ / ("labels/" + id + ".nii.gz");
  }
  void add(const std::string& id, const data::Volume<float>& scan,
           const data::Volume<std::int32_t>& labels) {
    write(scan_path(id), scan);
    data::Volume<std::int16_t> small(labels.geometry);
    std::transform(labels.voxels.begin(), labels.voxels.end(), small.voxels.begin(),
                   [](std::int32_t label) { return static_cast<std::int16_t>(label); });
    write(label_path(id), small);
  }
  void add(const std::string& id) { add(id, noise(grid_), block_labels(grid_)); }
  template <class T>
  static void write(const std::filesystem::path& path, const data::Volume<T>& volume) {
    std::filesystem::create_directories(path.parent_path());
    data::write_nifti(path, volume);
  }

  /// The command line of the small cohort with `extra` options.
  std::vector<std::string> arguments(const std::vector<std::string>& extra = {}) const {
    std::vector<std::string> all = {"prepare",
                                    "bids",
                                    "out.h5",
                                    "--labels",
                                    "labels/{participant_id}.nii.gz",
                                    "--spacing-mm",
                                    "1,1,1",
                                    "--crop-voxels",
                                    "28,20,16",
                                    "--dilation-voxels",
                                    "2",
                                    "--sigma-voxels",
                                    "1"};
    all.insert(all.end(), extra.begin(), extra.end());
    return all;
  }
  CommandResult prepare(const std::vector<std::string>& extra = {}) const {
    return run_epvs(arguments(extra), folder_.path());
  }
  /// What failed.tsv says about a participant.
  std::string failure(const std::string& id) const {
    const core::Table table = core::Table::read(folder_ / "out_qc/failed.tsv");
    for (std::size_t row = 0; row < table.rows(); ++row) {
      if (table.cell(row, "participant_id") == id) {
        return table.cell(row, "error") + " " + table.cell(row, "hint");
      }
    }
    return "(not in failed.tsv)";
  }

  /// Starts epvs-prepare without waiting. `file_bytes` > 0 limits the size of its files.
  pid_t start(const std::vector<std::string>& extra, rlim_t file_bytes = 0) const {
    std::vector<std::string> texts = arguments(extra);
    texts[0] = EPVS_PREPARE;
    std::vector<char*> argv;
    for (std::string& text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);
    const std::filesystem::path err = folder_ / "err";
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int descriptor = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(descriptor, STDERR_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    if (file_bytes > 0) {
      const rlimit limit = {file_bytes, file_bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);  // writing then fails with an error instead
    }
    if (::chdir(folder_.path().c_str()) != 0) ::_exit(126);
    ::execv(EPVS_PREPARE, argv.data());
    ::_exit(127);
  }
  int wait_for(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::size_t finished_parts() const {
    std::size_t count = 0;
    const std::filesystem::path parts = folder_ / "out.h5.parts";
    if (!std::filesystem::exists(parts)) return 0;
    for (const auto& entry : std::filesystem::directory_iterator(parts)) {
      const std::string name = entry.path().filename().string();
      count += name.ends_with(".json") && name[0] != '.' ? 1U : 0U;
    }
    return count;
  }
  void wait_for_a_part() const {
    for (int i = 0; i < 3000 && finished_parts() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_GT(finished_parts(), 0U);
  }

  TemporaryFolder folder_;
};

}  // namespace epvs::tests
