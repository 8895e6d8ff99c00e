#include "core/provenance.h"

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

TEST(Provenance, NamesCommandInputsAndTheirHashes) {
  const tests::TemporaryFolder folder;
  write_text(folder / "in.tsv", "abc");
  Provenance provenance("eval", {"--scores", "my scores.tsv", "it's"});
  provenance.add_input(folder / "in.tsv");
  provenance.add_input(folder.path());
  provenance.add("threads", 2);
  const Json document = provenance.to_json();
  EXPECT_EQ(document["command_line"], "epvs eval --scores 'my scores.tsv' 'it'\\''s'");
  EXPECT_EQ(document["inputs"][0]["sha256"], sha256_text("abc"));
  EXPECT_EQ(document["inputs"][0]["bytes"], 3);
  EXPECT_FALSE(document["inputs"][1].contains("sha256"));
  EXPECT_EQ(document["threads"], 2);
  EXPECT_FALSE(document["version"].get<std::string>().empty());
  provenance.write_beside(folder / "out.tsv");
  EXPECT_EQ(read_json(folder / "out.json"), document);
  tests::expect_error<InputError>([&] { provenance.add_input(folder / "none"); },
                                  {"does not exist"});
}

TEST(Provenance, SidecarNamesFollowBids) {
  EXPECT_EQ(sidecar_path("a/x.tsv"), "a/x.json");
  EXPECT_EQ(sidecar_path("a/x.nii.gz"), "a/x.json");
  EXPECT_EQ(sidecar_path("a/x.png"), "a/x.json");
  EXPECT_EQ(sidecar_path("a/x.h5"), "a/x.h5.json");
}

TEST(Json, ErrorsNameTheFile) {
  const tests::TemporaryFolder folder;
  write_text(folder / "a.json", "{\"a\": }");
  tests::expect_error<InputError>([&] { read_json(folder / "a.json"); },
                                  {"a.json is not valid JSON"});
}

}  // namespace
}  // namespace epvs::core
