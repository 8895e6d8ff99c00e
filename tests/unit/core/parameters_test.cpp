#include "core/parameters.h"

#include "core/error.h"
#include "tests/support/test_support.h"

namespace epvs::core {
namespace {

using tests::expect_error;

struct Options {
  int epochs = 10;
  double rate = 1.0;
  bool shuffle = true;
  std::string loss = "mse";
  std::vector<std::int64_t> crop = {168, 128, 84};
  std::vector<std::string> axes = {"x"};
  std::uint64_t seed = 1;

  ParameterTable table() {
    ParameterTable parameters;
    parameters.add("train.epochs", &epochs, "passes").range(1, 1000);
    parameters.add("train.rate", &rate, "learning rate").range(0);
    parameters.add("train.shuffle", &shuffle, "order");
    parameters.add("train.loss", &loss, "loss").choices({"mse", "mae"});
    parameters.add("roi.crop", &crop, "crop").unit("voxels").length(3);
    parameters.add("augment.axes", &axes, "flips");
    parameters.add("seed", &seed, "seed");
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
  EXPECT_EQ(table.find("roi.crop").type_name(), "voxels");
  table.assign("train.epochs=99");
  EXPECT_EQ(table.find("train.epochs").default_value(), 10);
}

}  // namespace
}  // namespace epvs::core
