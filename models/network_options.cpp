#include "models/network_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace epvs::models {

namespace {

const std::vector<std::string> kMedia2019Only = {
    "network.blocks",  "network.convolutions_per_block", "network.trailing_convolution",
    "network.padding", "network.pool_rounding",          "network.fully_connected"};
const std::vector<std::string> kPooledOnly = {"network.pool", "network.residual",
                                              "network.pool_scale"};

const std::vector<std::string>& meaningless_names(Architecture architecture) {
  return architecture == Architecture::kMedia2019 ? kPooledOnly : kMedia2019Only;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool NetworkOptions::concatenates() const {
  return residual == Residual::kConcat ||
         (residual == Residual::kAuto && architecture == Architecture::kGpUnet);
}

void NetworkOptions::declare(core::ParameterTable& table) {
  table.add("network.architecture", &architecture,
            "media2019 (basal ganglia network of P1), cnn4 (\"CNN\" of P2) or gp_unet (P2)");
  table
      .add("network.first_features", &first_features,
           "channels of the first convolution; doubled after each pooling. Multiples of 16 run "
           "four times faster than 8")
      .range(1, 1024);
  table
      .add("network.blocks", &blocks,
           "media2019: blocks of convolutions with a max-pooling, before the trailing convolution")
      .range(1, 6);
  table
      .add("network.convolutions_per_block", &convolutions_per_block,
           "media2019: convolutions in each block")
      .range(1, 8);
  table.add("network.trailing_convolution", &trailing_convolution,
            "media2019: one more convolution with a max-pooling of 4 after the blocks; without it "
            "the last block ends in the pooling of 4");
  table
      .add("network.fully_connected", &fully_connected,
           "media2019: units of the hidden fully connected layers; an empty list has none")
      .range(1, 100000);
  table.add("network.padding", &padding,
            "media2019: valid convolutions shrink a volume by 2, same ones pad with zeros");
  table.add("network.pool_rounding", &pool_rounding,
            "media2019: floor drops the voxels left over by a pooling, ceil pools them");
  table.add("network.pool", &pool, "cnn4, gp_unet: global pooling of the last feature maps");
  table.add("network.residual", &residual,
            "concat puts the input of a block beside its output; auto: concat for gp_unet, none "
            "for cnn4, as P2 has them");
  table
      .add("network.pool_scale", &pool_scale,
           "cnn4, gp_unet: constant that multiplies the pooled features; voxels / 1000 lets a "
           "count, diluted over all voxels by average pooling, train much faster")
      .range(1e-12, 1e12);
  table.add("network.init", &init,
            "start of the weights: normal = N(0, 0.05), he = N(0, sqrt(2 / fan in)), glorot = "
            "U(+-sqrt(6 / (fan in + fan out))); biases start at 0");
  table.add("network.bias_init", &bias_init,
            "start of the bias of the output; the mean of the labels trains faster");
}

void NetworkOptions::validate() const {
  NetworkOptions copy = *this;
  core::ParameterTable table;
  copy.declare(table);
  table.validate();
  NetworkOptions defaults;
  core::ParameterTable default_table;
  defaults.declare(default_table);
  for (const std::string& name : meaningless_names(architecture)) {
    if (table.find(name).value() != default_table.find(name).default_value()) {
      throw core::UsageError(
          fmt::format("{} = {} means nothing for the architecture {}", name,
                      table.find(name).value().dump(), core::to_text(architecture)),
          "leave it out, or choose another network.architecture");
    }
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (input_zyx[axis] < 1) {
      throw core::UsageError(
          fmt::format("the network's input is {} voxels (z, y, x); expected at least 1 along each "
                      "axis",
                      fmt::join(input_zyx, "x")));
    }
  }
}

core::Json NetworkOptions::to_json() const {
  NetworkOptions copy = *this;
  copy.residual = concatenates() ? Residual::kConcat : Residual::kNone;
  core::ParameterTable table;
  copy.declare(table);
  core::Json document = core::Json::object();
  const std::vector<std::string>& others = meaningless_names(architecture);
  for (const core::Parameter& parameter : table.parameters()) {
    if (contains(others, parameter.name())) continue;
    document[parameter.name().substr(std::string("network.").size())] = parameter.value();
  }
  document["input_zyx"] = input_zyx;
  return document;
}

NetworkOptions NetworkOptions::from_json(const core::Json& document) {
  NetworkOptions options;
  core::ParameterTable table;
  options.declare(table);
  core::Json nested = core::Json::object();
  nested["network"] = document;
  nested["network"].erase("input_zyx");
  const auto input = document.find("input_zyx");
  if (input == document.end() || !input->is_array() || input->size() != 3) {
    throw core::InputError("the description of the network has no input_zyx of three numbers");
  }
  options.input_zyx = input->get<std::array<std::int64_t, 3>>();
  table.from_json(nested, "network");
  options.validate();
  return options;
}

}  // namespace epvs::models
