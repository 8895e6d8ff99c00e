#include "core/parameters.h"

#include "core/error.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

using tests::expect_error;

enum class Pooling { kAverage, kMaximum };

constexpr auto names_of(Pooling) {
  return std::to_array<EnumName<Pooling>>({{Pooling::kAverage, "avg"}, {Pooling::kMaximum, "max"}});
}

struct Options {
  int epochs = 10;
  double rate = 1.0;
  bool shuffle = true;
  std::string loss = "mse";
  std::vector<std::int64_t> crop = {168, 128, 84};
  std::vector<std::string> axes = {"x"};
  std::uint64_t seed = 1;
  Pooling pooling = Pooling::kAverage;
  std::vector<Pooling> poolings;

  ParameterTable table() {
    ParameterTable parameters;
    parameters.add("train.epochs", &epochs, "passes").range(1, 1000);
    parameters.add("train.rate", &rate, "learning rate").range(0);
    parameters.add("train.shuffle", &shuffle, "order");
    parameters.add("train.loss", &loss, "loss").choices({"mse", "mae"});
    parameters.add("roi.crop", &crop, "crop").unit("voxels").length(3);
    parameters.add("augment.axes", &axes, "flips");
    parameters.add("seed", &seed, "seed");
    parameters.add("network.pool", &pooling, "pooling");
    parameters.add("network.pools", &poolings, "poolings");
    return parameters;
  }
};

TEST(Parameters, RecipeAndJsonRoundTrip) {
  Options written;
  written.epochs = 3;
  written.rate = 0.1;
  written.loss = "mae";
  written.axes = {"x", "a \"b\""};
  ParameterTable table = written.table();
  Options read;
  ParameterTable other = read.table();
  other.read_recipe_text(table.to_recipe(), "recipe.toml");
  EXPECT_EQ(other.to_json(), table.to_json());
  Options third;
  ParameterTable from_json = third.table();
  from_json.from_json(table.to_json(), "weights");
  EXPECT_EQ(third.axes, written.axes);
  EXPECT_EQ(third.rate, 0.1);
}

TEST(Parameters, AssignmentsSetScalarsAndLists) {
  Options options;
  ParameterTable table = options.table();
  table.assign("train.epochs=50");
  table.assign("roi.crop=[1, 2, 3]");
  table.assign("augment.axes=x,\"y\"");
  table.assign("train.shuffle=false");
  EXPECT_EQ(options.epochs, 50);
  EXPECT_EQ(options.crop, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(options.axes, (std::vector<std::string>{"x", "y"}));
  EXPECT_FALSE(options.shuffle);
  table.assign("augment.axes=[]");
  EXPECT_TRUE(options.axes.empty());
}

TEST(Parameters, ErrorsNameParameterValueAndConstraint) {
  Options options;
  ParameterTable table = options.table();
  expect_error<UsageError>([&] { table.assign("train.epochs=0"); }, {"train.epochs = 0", "1 <= "});
  expect_error<UsageError>([&] { table.assign("train.epochs=2.5"); }, {"not a whole number"});
  expect_error<UsageError>([&] { table.assign("train.rate=fast"); },
                           {"train.rate", "not a number"});
  expect_error<UsageError>([&] { table.assign("train.rate=nan"); }, {"violated constraint"});
  expect_error<UsageError>([&] { table.assign("train.shuffle=yes"); }, {"not true or false"});
  expect_error<UsageError>([&] { table.assign("train.loss=msa"); }, {"mse, mae", "did you mean"});
  expect_error<UsageError>([&] { table.assign("roi.crop=1,2"); }, {"takes 3 values, 2 were given"});
  expect_error<UsageError>([&] { table.assign("train.epoch=1"); }, {"did you mean 'train.epochs'"});
  expect_error<UsageError>([&] { table.assign("seed=-1"); }, {"negative"});
  expect_error<UsageError>([&] { table.assign("seed"); }, {"name=value"});
}

TEST(Parameters, RecipesAreStrict) {
  Options options;
  ParameterTable table = options.table();
  expect_error<UsageError>([&] { table.read_recipe_text("[train]\nepoch = 3\n", "r.toml"); },
                           {"r.toml line 2", "train.epoch", "did you mean 'train.epochs'"});
  expect_error<UsageError>([&] { table.read_recipe_text("[train]\nepochs = 'x'\n", "r.toml"); },
                           {"r.toml line 2", "not a whole number"});
  expect_error<UsageError>([&] { table.read_recipe_text("[train\n", "r.toml"); },
                           {"r.toml line 1"});
  expect_error<UsageError>([&] { table.read_recipe_text("recipe_version = 99\n", "r.toml"); },
                           {"recipe_version = 99", "newer"});
  expect_error<UsageError>([&] { table.read_recipe_text("train.epochs = 2020-01-01\n", "r.toml"); },
                           {"text, a number"});
  EXPECT_NO_THROW(
      table.read_recipe_text("[other]\nx = 1\n[train]\nepochs = 7\n", "r.toml", {"other"}));
  EXPECT_EQ(options.epochs, 7);
}

TEST(Parameters, HelpShowsDefaultRangeAndChoices) {
  Options options;
  ParameterTable table = options.table();
  EXPECT_EQ(table.find("train.epochs").constraint(), "1 to 1000; default 10");
  EXPECT_EQ(table.find("train.loss").constraint(), "one of mse|mae; default mse");
  EXPECT_EQ(table.find("roi.crop").constraint(), "default 168,128,84");
  EXPECT_EQ(table.find("roi.crop").placeholder(), "VOXELS,VOXELS,VOXELS");
  EXPECT_EQ(table.find("train.epochs").placeholder(), "N");
  EXPECT_EQ(table.find("train.rate").placeholder(), "X");
  EXPECT_EQ(table.find("augment.axes").placeholder(), "TEXT,...");
  EXPECT_EQ(table.find("network.pool").placeholder(), "NAME");
  EXPECT_EQ(table.find("network.pool").constraint(), "one of avg|max; default avg");
  table.assign("train.epochs=99");
  EXPECT_EQ(table.find("train.epochs").default_value(), 10);
}

TEST(Parameters, EnumsAreReadWrittenAndCheckedByName) {
  Options options;
  ParameterTable table = options.table();
  table.assign("network.pool=max");
  table.assign("network.pools=max,avg");
  EXPECT_EQ(options.pooling, Pooling::kMaximum);
  EXPECT_EQ(options.poolings, (std::vector<Pooling>{Pooling::kMaximum, Pooling::kAverage}));
  EXPECT_EQ(table.to_json()["network"]["pool"], "max");
  EXPECT_EQ(table.to_json()["network"]["pools"], (Json{"max", "avg"}));
  expect_error<UsageError>([&] { table.assign("network.pool=mx"); },
                           {"network.pool = 'mx'", "avg, max", "did you mean 'max'"});
  expect_error<UsageError>([&] { table.assign("network.pools=avg,mean"); }, {"'mean'"});
  EXPECT_EQ(options.pooling, Pooling::kMaximum);
  EXPECT_EQ(options.poolings.size(), 2U);
  EXPECT_EQ(to_text(Pooling::kAverage), "avg");
}

TEST(Parameters, TheStrongestOriginWinsWhateverIsReadFirst) {
  const auto set = [](ParameterTable& table, Origin origin) {
    switch (origin) {
      case Origin::kDefault:
        break;
      case Origin::kPreset:
        table.apply_preset({{"train", {{"epochs", 20}}}}, "preset p1");
        break;
      case Origin::kLike:
        table.require_equal({{"train", {{"epochs", 30}}}}, "weights");
        break;
      case Origin::kRecipe:
        table.read_recipe_text("[train]\nepochs = 40\n", "r.toml");
        break;
      case Origin::kCommandLine:
        table.assign("train.epochs=50");
        break;
    }
  };
  const std::vector<Origin> origins = {Origin::kPreset, Origin::kRecipe, Origin::kCommandLine};
  const std::vector<int> values = {20, 40, 50};
  for (std::size_t i = 0; i < origins.size(); ++i) {
    for (std::size_t j = 0; j < origins.size(); ++j) {
      Options options;
      ParameterTable table = options.table();
      set(table, origins[i]);
      set(table, origins[j]);
      EXPECT_EQ(options.epochs, values[std::max(i, j)]);
      EXPECT_EQ(table.find("train.epochs").origin(), origins[std::max(i, j)]);
    }
  }
  Options options;
  ParameterTable table = options.table();
  set(table, Origin::kPreset);
  EXPECT_FALSE(table.find("train.epochs").stated());
  set(table, Origin::kLike);
  EXPECT_EQ(options.epochs, 30);
  set(table, Origin::kPreset);
  EXPECT_EQ(options.epochs, 30);
  EXPECT_FALSE(table.find("train.epochs").stated());
  table.assign("train.epochs=7");
  table.assign("train.epochs=8");
  EXPECT_EQ(options.epochs, 8);
  // A weaker value that is wrong is an error all the same.
  expect_error<UsageError>([&] { table.read_recipe_text("[train]\nepochs = 0\n", "r.toml"); },
                           {"train.epochs = 0"});
}

TEST(Parameters, LikeRefusesEverythingStatedOtherwise) {
  Options options;
  ParameterTable table = options.table();
  table.read_recipe_text("train.loss = 'mae'\nroi.crop = [1, 2, 3]\n", "r.toml");
  table.assign("train.rate=0.5");
  const Json expected = {{"train", {{"loss", "mse"}, {"rate", 0.5}, {"epochs", 77}}},
                         {"roi", {{"crop", {4, 5, 6}}}}};
  expect_error<UsageError>([&] { table.require_equal(expected, "w.safetensors"); },
                           {"w.safetensors", "train.loss is mae by the recipe, but mse there",
                            "roi.crop is 1,2,3", "4,5,6", "leave these out"});
  EXPECT_EQ(options.epochs, 10) << "nothing is set when something contradicts";
  expect_error<UsageError>(
      [&] {
        table.require_equal({{"train", {{"x", 1}}}}, "w");
      },
      {"unknown parameter 'train.x'"});
}

TEST(Parameters, ARecipeValueEqualToTheDefaultIsStated) {
  Options options;
  ParameterTable table = options.table();
  table.read_recipe_text("[train]\nloss = 'mse'\n", "r.toml");
  EXPECT_TRUE(table.find("train.loss").stated());
  EXPECT_FALSE(table.find("train.rate").stated());
  expect_error<UsageError>(
      [&] {
        table.require_equal({{"train", {{"loss", "mae"}}}}, "weights");
      },
      {"train.loss is mse by the recipe, but mae there"});
  table.require_equal({{"train", {{"rate", 0.25}}}}, "weights");
  EXPECT_EQ(options.rate, 0.25);
}

TEST(Parameters, ValidateChecksWhatTheTargetsHold) {
  Options options;
  ParameterTable table = options.table();
  EXPECT_NO_THROW(table.validate());
  options.epochs = 0;
  expect_error<UsageError>([&] { table.validate(); }, {"train.epochs = 0"});
}

}  // namespace
}  // namespace epvs::core
