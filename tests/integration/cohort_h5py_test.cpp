// The example of docs/cohort-format.md, run by an independent reader of HDF5 on a cohort of
// `epvs simulate`.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "data/cohort/cohort.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

class CohortFile : public ::testing::TestWithParam<bool> {};

TEST_P(CohortFile, IsReadableWithH5pyAsDocumented) {
  const auto python = tests::python_with("h5py");
  if (!python) EPVS_SKIP_WITHOUT("h5py", "no Python has h5py (Debian: python3-h5py)");
  const tests::TemporaryFolder folder;
  tests::expect_result(
      tests::run_epvs({"simulate", (folder / "tables").string(), "--preset", "demo",
                       "--participants", "2", "--no-scans", "--cohort",
                       (folder / "cohort.h5").string(), "--prepare", "spacing_mm=3,3,3",
                       "--prepare", fmt::format("float16={}", GetParam())}),
      0, {});
  const CohortReader cohort(folder / "cohort.h5");
  const CohortRow& row = cohort.rows("bg").at(1);
  const auto [nx, ny, nz] = cohort.options("bg").crop_voxels;
  const auto x = nx / 2, y = ny / 2, z = nz / 2;
  const float value = cohort.read_roi("bg", 1).at(static_cast<std::size_t>((z * ny + y) * nx + x));
  EXPECT_GT(value, 0.0F);

  const std::string page = core::read_text(tests::source_folder() / "docs" / "cohort-format.md");
  const std::string start = "```python\n";
  const std::size_t from = page.find(start) + start.size();
  std::string script = page.substr(from, page.find("```", from) - from);
  script += fmt::format(
      "    assert roi.shape == ({}, {}, {}), roi.shape\n"
      "    assert ids == ['{}', '{}'], ids\n"
      "    assert options['crop_voxels'] == [{}, {}, {}]\n"
      "    assert abs(region['roi'][1, {}, {}, {}] - {}) < 1e-6\n"
      "    assert abs(region['rows/roi_affine'][1][0, 3] - {}) < 1e-9\n",
      nz, ny, nx, cohort.rows("bg").at(0).participant_id, row.participant_id, nx, ny, nz, z, y, x,
      value, row.roi.affine(0, 3));
  core::write_text(folder / "script.py", script);
  EXPECT_EQ(
      std::system(fmt::format("cd '{}' && {} script.py > out.txt", folder.path().string(), *python)
                      .c_str()),
      0);
}

INSTANTIATE_TEST_SUITE_P(Float16, CohortFile, ::testing::Bool());

}  // namespace
}  // namespace epvs::data
