// What `epvs train` refuses before it trains: weights for --init that do not fit, unknown columns,
// recipes of a newer version.
#include <algorithm>
#include <functional>

#include "core/files.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"
#include "tests/support/test_support.h"
#include "tests/support/train_fixture.h"

namespace epvs::train {
namespace {

/// Tensors of a weights file under construction.
struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

class TrainBadInput : public TrainTest {
 protected:
  TrainBadInput() : TrainTest(12) {
    metadata_.network.first_features = 4;
    metadata_.network.input_zyx = {8, 12, 16};
    metadata_.preprocessing.crop_voxels = {16, 12, 8};
    for (const models::Layer& row : models::layers_of(metadata_.network)) {
      if (row.parameters == 0) continue;
      const bool dense = row.kind == models::LayerKind::kDense;
      const std::int64_t out = row.output.channels;
      tensors_.push_back({row.name + ".weight",
                          dense ? std::vector<std::int64_t>{out, row.input.channels}
                                : std::vector<std::int64_t>{out, row.input.channels, 3, 3, 3}});
      tensors_.push_back({row.name + ".bias", {out}});
    }
  }
  Tensor& tensor(const std::string& name) {
    return *std::find_if(tensors_.begin(), tensors_.end(),
                         [&](const Tensor& t) { return t.name == name; });
  }
  void write_weights() const {
    const std::vector<float> zeros(10000, 0.0F);
    std::vector<models::TensorToWrite> entries;
    for (const Tensor& t : tensors_) entries.push_back({t.name, "F32", t.shape, zeros.data()});
    models::write_safetensors(folder_ / "w.safetensors", entries,
                              {{"epvs", metadata_.to_json().dump()}});
  }
  tests::CommandResult train(const Arguments& more = {}) const {
    return TrainTest::train("run", more);
  }
  tests::CommandResult init(const Arguments& more = {}) const {
    write_weights();
    return train(plus({"--init", (folder_ / "w.safetensors").string()}, more));
  }
  void expect(const tests::CommandResult& result, int exit_code, const Arguments& texts) const {
    tests::expect_result(result, exit_code, texts);
    EXPECT_EQ(std::filesystem::exists(folder_ / "run" / "weights.safetensors"), exit_code == 0);
  }

  models::WeightsMetadata metadata_;
  std::vector<Tensor> tensors_;
};

TEST_F(TrainBadInput, InitTakesWeightsThatFit) {
  expect(init({"--set", "train.epochs=1"}), 0, {});
}

TEST_F(TrainBadInput, InitNamesEveryDifferenceOfThePreparationWithBothValues) {
  metadata_.preprocessing.region = "cso";
  metadata_.preprocessing.spacing_mm = {0.5, 0.5, 0.5};
  metadata_.preprocessing.crop_voxels = {32, 24, 16};
  metadata_.preprocessing.normalisation = data::Normalisation::kMax;
  expect(init(), 3,
         {"region: cso and bg", "spacing_mm: 0.5,0.5,0.5 and 0.5,0.5,0.8",
          "crop_voxels: 32,24,16 and 16,12,8", "normalisation: max and minmax",
          "epvs prepare --like"});
}

TEST_F(TrainBadInput, InitNamesMissingExtraAndMisshapenTensors) {
  tensor("up_conv.bias").name = "up_conv.offset";
  tensor("bottom_conv1.weight").shape = {8, 4, 3, 3, 3};
  expect(init(), 3,
         {"up_conv.bias (4) is missing", "up_conv.offset (4) is not part of the network",
          "bottom_conv1.weight is (8, 4, 3, 3, 3) in the file, (8, 5, 3, 3, 3) in the network",
          "w.safetensors"});
}

TEST_F(TrainBadInput, InitNamesWeightsOfANewerVersion) {
  write_weights();
  std::string text = core::read_text(folder_ / "w.safetensors");
  const std::string version = "format_version\\\":1";
  const std::size_t at = text.find(version);
  ASSERT_NE(at, std::string::npos);
  text[at + version.size() - 1] = '9';
  core::write_text(folder_ / "w.safetensors", text);
  expect(train({"--init", (folder_ / "w.safetensors").string()}), 3,
         {"format version 9", "up to 1", "install a newer epvs"});
}

TEST_F(TrainBadInput, UnknownColumnsNameTheNearest) {
  expect(train({"--target", "rator1"}), 2,
         {"scores.tsv", "no scorer 'rator1'", "did you mean 'rater1'"});
  expect(train({"--set", "train.region=gb"}), 2, {"no region 'gb'", "bg"});
}

TEST_F(TrainBadInput, RecipesOfANewerVersionSayWhatToDo) {
  core::write_text(folder_ / "recipe.toml", "recipe_version = 2\n");
  expect(train(), 2, {"recipe_version = 2", "a newer one"});
}

TEST_F(TrainBadInput, AParticipantInTrainAndTestIsNamed) {
  std::string text = core::read_text(folder_ / "splits.tsv");
  text += "0\t0\tsub-01\ttest\n";
  core::write_text(folder_ / "splits.tsv", text);
  expect(train(), 3, {"sub-01", "train", "test"});
}

}  // namespace
}  // namespace epvs::train
