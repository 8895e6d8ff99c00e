#include "models/keras_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"

namespace epvs::models {

namespace {

using Shape = std::vector<std::int64_t>;

std::string text_of(const Shape& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

bool all_three(const Shape& shape, std::size_t first) {
  return std::all_of(shape.begin() + static_cast<std::ptrdiff_t>(first),
                     shape.begin() + static_cast<std::ptrdiff_t>(first) + 3,
                     [](std::int64_t n) { return n == 3; });
}

/// The layout of the file, from the first kernel that fits only one.
KerasKernel kernel_layout(const KerasFile& file) {
  for (const KerasTensor& tensor : file.tensors) {
    if (tensor.shape.size() != 5) continue;
    const bool first = all_three(tensor.shape, 2);
    const bool last = all_three(tensor.shape, 0);
    if (first != last) return first ? KerasKernel::kChannelsFirst : KerasKernel::kChannelsLast;
  }
  return KerasKernel::kChannelsLast;
}

/// The kernel's shape in PyTorch's order.
Shape shape_here(const KerasTensor& kernel, KerasKernel layout) {
  const Shape& s = kernel.shape;
  if (s.size() == 2) return {s[1], s[0]};
  if (layout == KerasKernel::kChannelsFirst) return s;
  return {s[4], s[3], s[0], s[1], s[2]};
}

Shape expected_shape(const LayerRow& row) {
  if (row.kind == "dense") return {row.output.channels, row.input.elements()};
  return {row.output.channels, row.input.channels, 3, 3, 3};
}

/// Kernels with their biases; whatever is neither becomes a problem.
std::vector<KerasLayer> pair_biases(const KerasFile& file, std::vector<std::string>& problems) {
  std::vector<KerasLayer> layers;
  for (const KerasTensor& tensor : file.tensors) {
    if (tensor.shape.size() == 5 || tensor.shape.size() == 2) {
      layers.push_back({tensor.layer, &tensor, nullptr});
      continue;
    }
    const bool is_bias = tensor.shape.size() == 1 && !layers.empty() &&
                         layers.back().bias == nullptr &&
                         layers.back().kernel->layer == tensor.layer;
    if (is_bias) {
      layers.back().bias = &tensor;
    } else {
      problems.push_back(
          fmt::format("{} {} is not part of the network", tensor.name, text_of(tensor.shape)));
    }
  }
  return layers;
}

/// Cheapest alignment of two lists of shapes: 0 equal, 3 unequal, 2 for a layer on one side only.
class Alignment {
 public:
  enum class Step { kBoth, kFileOnly, kNetworkOnly };

  Alignment(const std::vector<Shape>& file, const std::vector<Shape>& network)
      : file_(file), network_(network), cost_(file.size() + 1) {
    for (std::size_t i = 0; i <= file.size(); ++i) {
      for (std::size_t j = 0; j <= network.size(); ++j) {
        cost_[i].push_back(i == 0 && j == 0 ? 0 : best(i, j).first);
      }
    }
  }
  std::vector<Step> steps() const {
    std::vector<Step> found;
    for (std::size_t i = file_.size(), j = network_.size(); i + j > 0;) {
      found.push_back(best(i, j).second);
      if (found.back() != Step::kNetworkOnly) --i;
      if (found.back() != Step::kFileOnly) --j;
    }
    std::reverse(found.begin(), found.end());
    return found;
  }

 private:
  std::pair<int, Step> best(std::size_t i, std::size_t j) const {
    std::pair<int, Step> choice = {1 << 20, Step::kBoth};
    const auto offer = [&](int cost, Step step) {
      if (cost < choice.first) choice = {cost, step};
    };
    if (i > 0 && j > 0) {
      offer(cost_[i - 1][j - 1] + (file_[i - 1] == network_[j - 1] ? 0 : 3), Step::kBoth);
    }
    if (i > 0) offer(cost_[i - 1][j] + 2, Step::kFileOnly);
    if (j > 0) offer(cost_[i][j - 1] + 2, Step::kNetworkOnly);
    return choice;
  }

  const std::vector<Shape>& file_;
  const std::vector<Shape>& network_;
  std::vector<std::vector<int>> cost_;
};

void check_bias(const KerasLayer& layer, const LayerRow& row, std::vector<std::string>& problems) {
  const Shape expected = {row.output.channels};
  if (layer.bias == nullptr) {
    problems.push_back(fmt::format("{} has no bias, {}.bias is {}", layer.kernel->name, row.name,
                                   text_of(expected)));
  } else if (layer.bias->shape != expected) {
    problems.push_back(fmt::format("{} is {} in the file, {}.bias is {} in the network",
                                   layer.bias->name, text_of(layer.bias->shape), row.name,
                                   text_of(expected)));
  }
}

}  // namespace

MatchedLayers match_layers(const KerasFile& file, const std::vector<LayerRow>& all_rows,
                           const std::string& architecture) {
  MatchedLayers matched;
  matched.kernels = kernel_layout(file);
  std::vector<std::string> problems;
  const std::vector<KerasLayer> layers = pair_biases(file, problems);
  std::vector<LayerRow> rows;
  std::copy_if(all_rows.begin(), all_rows.end(), std::back_inserter(rows),
               [](const LayerRow& row) { return row.parameters > 0; });
  std::vector<Shape> stored, expected;
  for (const KerasLayer& layer : layers) {
    stored.push_back(shape_here(*layer.kernel, matched.kernels));
  }
  for (const LayerRow& row : rows) expected.push_back(expected_shape(row));
  std::size_t i = 0, j = 0;
  for (const Alignment::Step step : Alignment(stored, expected).steps()) {
    if (step == Alignment::Step::kFileOnly) {
      problems.push_back(fmt::format("{} {} is not part of the network", layers[i].kernel->name,
                                     text_of(stored[i])));
      ++i;
      continue;
    }
    if (step == Alignment::Step::kNetworkOnly) {
      problems.push_back(
          fmt::format("{}.weight {} is missing in the file", rows[j].name, text_of(expected[j])));
      ++j;
      continue;
    }
    if (stored[i] != expected[j]) {
      problems.push_back(fmt::format("{} is {} in the file, {}.weight is {} in the network",
                                     layers[i].kernel->name, text_of(stored[i]), rows[j].name,
                                     text_of(expected[j])));
    } else {
      check_bias(layers[i], rows[j], problems);
    }
    matched.pairs.push_back({rows[j++], layers[i++]});
  }
  if (!problems.empty()) {
    throw core::InputError(
        fmt::format("the Keras weights {} do not fit the network {}: {}", file.path, architecture,
                    core::join(problems, "; ")),
        "epvs inspect --network prints the layers of a network; --set network.NAME=VALUE and "
        "--crop-voxels change them. Shapes are (out, in, ...)");
  }
  return matched;
}

}  // namespace epvs::models
