// A tiny cohort for tests of training: noise with a counted number of bright spots.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "core/random.h"
#include "core/splits.h"
#include "core/table.h"
#include "data/cohort/cohort.h"

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
    splits.push_back(
        {0, 0, row.participant_id, i < last ? "train" : (i % 2 == 0 ? "validation" : "test")});
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

}  // namespace epvs::train
