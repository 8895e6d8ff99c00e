// `epvs export` through the real executable.
#include "core/json.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::run_epvs;
using tests::TemporaryFolder;

TEST(ExportCommand, WritesBothFormatsAndRefusesOthers) {
  const TemporaryFolder folder;
  const std::string weights = tests::golden("models/gp_unet.safetensors").string();
  for (const char* name : {"n.onnx", "n.pt"}) {
    const std::string out = (folder / name).string();
    EXPECT_EQ(run_epvs({"export", weights, out, "--dry-run"}).exit_code, 0);
    EXPECT_FALSE(std::filesystem::exists(out));
    ASSERT_EQ(run_epvs({"export", weights, out}).exit_code, 0);
    EXPECT_GT(std::filesystem::file_size(out), 3103U * 4);
    EXPECT_EQ(core::read_json(out + ".json")["inputs"][0]["sha256"].get<std::string>().size(), 64U);
    const auto again = run_epvs({"export", weights, out});
    EXPECT_EQ(again.exit_code, 2);
    EXPECT_NE(again.err.find("--force"), std::string::npos);
  }
  const auto wrong = run_epvs({"export", weights, (folder / "n.h5").string()});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find(".onnx"), std::string::npos);
}

}  // namespace
}  // namespace epvs::models
