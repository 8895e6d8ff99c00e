#include "models/keras_import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/text.h"
#include "models/keras_layers.h"

namespace epvs::models {

namespace {

/// Where the array axes of the Keras model lie: spatial index k along our (z, y, x).
struct Orientation {
  std::array<std::size_t, 3> axis{};  ///< of their axis 0, 1, 2: 0 = our z, 1 = our y, 2 = our x
  std::array<bool, 3> reversed{};     ///< their axis runs to the left, posterior or inferior
};

Orientation parse_orientation(const std::string& code) {
  Orientation orientation;
  std::array<int, 3> seen{};
  bool good = code.size() == 3;
  for (std::size_t i = 0; good && i < 3; ++i) {
    const std::size_t place = std::string("SARIPL").find(code[i]);
    good = place != std::string::npos;
    if (!good) break;
    orientation.axis[i] = place % 3;
    orientation.reversed[i] = place >= 3;
    ++seen[place % 3];
  }
  if (!good || seen != std::array<int, 3>{1, 1, 1}) {
    throw core::UsageError(
        fmt::format("--orientation = {}: violated constraint: one letter each of R or L, A or P, "
                    "S or I",
                    code),
        "RAS for arrays (x, y, z), SAR for (z, y, x); nibabel.aff2axcodes says it of an image");
  }
  return orientation;
}

/// A reversed axis gives the same network only where no pooling drops or pads voxels of it.
void check_reversed(const Orientation& orientation, const std::vector<LayerRow>& rows,
                    const std::string& code) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (!orientation.reversed[i]) continue;
    for (const LayerRow& row : rows) {
      const std::string prefix = "max_pool";
      if (row.kind.rfind(prefix, 0) != 0) continue;
      const std::int64_t width = std::stoll(row.kind.substr(prefix.size()));
      const std::int64_t size = row.input.zyx[orientation.axis[i]];
      if (size % width == 0) continue;
      throw core::UsageError(
          fmt::format(
              "--orientation = {}: the reversed {} axis cannot be turned: the layer {} "
              "pools {} voxels by {}, and which ones are left over depends on the direction",
              code, "zyx"[orientation.axis[i]], row.name, size, width),
          "such weights give equal scores only on volumes that are stored as theirs were");
    }
  }
}

/// Ids of the channels that flow into a layer, in the order of the concatenations.
std::vector<int> channel_ids(const NetworkOptions& options, const std::string& layer,
                             bool block_swapped, bool skip_swapped) {
  int next = 0;
  const auto fresh = [&next](int count) {
    std::vector<int> ids;
    for (int i = 0; i < count; ++i) ids.push_back(next++);
    return ids;
  };
  const auto concat = [](std::vector<int> a, std::vector<int> b, bool swapped) {
    if (swapped) std::swap(a, b);
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  const bool residual = options.residual == "concat";
  const int features = options.first_features;
  const std::vector<int> input = fresh(1);
  std::vector<int> skip = fresh(features);
  if (residual) skip = concat(skip, input, block_swapped);
  if (layer == "conv3" || layer == "bottom_conv1") return skip;
  std::vector<int> deep = fresh(2 * features);
  if (residual) {
    std::vector<int> pooled = skip;
    for (int& id : pooled) id += next;  // pooled maps are others than the skip itself
    deep = concat(deep, pooled, block_swapped);
  }
  return layer == "up_conv" ? concat(deep, skip, skip_swapped) : deep;
}

/// For every input channel of ours, its number in the file. Empty: the same order.
std::vector<std::size_t> input_channels(const NetworkOptions& options, const std::string& layer,
                                        const KerasConventions& conventions) {
  const bool joined = layer == "conv3" || layer == "bottom_conv1" || layer == "up_conv" ||
                      (layer == "output" && options.architecture == "cnn4");
  if (options.architecture == "media2019" || !joined) return {};
  const std::vector<int> ours = channel_ids(options, layer, false, false);
  const std::vector<int> theirs =
      channel_ids(options, layer, conventions.block_concat == "input-first",
                  conventions.skip_concat == "skip-first");
  std::vector<std::size_t> order;
  for (const int id : ours) {
    order.push_back(
        static_cast<std::size_t>(std::find(theirs.begin(), theirs.end(), id) - theirs.begin()));
  }
  return order;
}

/// The first value of `key` in the configuration of a layer of class `type`, anywhere in the model.
std::optional<std::string> find_setting(const core::Json& node, const std::string& type,
                                        const std::string& key) {
  if (!node.is_structured()) return std::nullopt;
  if (node.is_object() && node.contains("class_name") && node.contains("config") &&
      node["class_name"] == type && node["config"].is_object() && node["config"].contains(key) &&
      node["config"][key].is_string()) {
    return node["config"][key].get<std::string>();
  }
  for (const core::Json& child : node) {
    if (const auto found = find_setting(child, type, key)) return found;
  }
  return std::nullopt;
}

std::string resolve_backend(const KerasFile& file, const std::string& asked) {
  if (asked != "auto") return asked;
  if (file.backend == "theano" || file.backend == "tensorflow") return file.backend;
  throw core::UsageError(
      fmt::format("{} does not say whether Theano or TensorFlow computed it (attribute backend: "
                  "'{}')",
                  file.path, file.backend),
      "give --backend theano (kernels are turned) or --backend tensorflow (they are not)");
}

/// Order of the features that Flatten gives to the first dense layer. Flatten of Keras 2.2 and
/// later brings channels_first data into the order of channels_last; the older one only reshapes.
std::string resolve_flatten(const KerasFile& file, KerasKernel kernels, const std::string& asked) {
  if (asked != "auto") return asked;
  if (find_setting(file.model_config, "Flatten", "data_format") == "channels_first") {
    return "channels_last";
  }
  for (const char* type : {"Conv3D", "Convolution3D"}) {
    for (const char* key : {"data_format", "dim_ordering"}) {
      const auto found = find_setting(file.model_config, type, key);
      if (found == "channels_first" || found == "th") return "channels_first";
      if (found == "channels_last" || found == "tf") return "channels_last";
    }
  }
  if (kernels == KerasKernel::kChannelsFirst) return "channels_first";
  throw core::UsageError(
      fmt::format("{} does not say in which order its features were flattened before the first "
                  "dense layer",
                  file.path),
      "give --flatten channels_last or --flatten channels_first (the data_format of the model; "
      "Flatten of Keras 2.2 and later gives channels_last for both)");
}

/// Turns the weights of one layer.
class Converter {
 public:
  Converter(const NetworkOptions& options, const KerasConventions& conventions, KerasKernel kernels,
            const Orientation& orientation)
      : options_(options), conventions_(conventions), kernels_(kernels), at_(orientation) {}

  std::vector<double> convolution(const LayerPair& pair) const {
    const std::vector<std::size_t> order = input_channels(options_, pair.row.name, conventions_);
    const auto in = static_cast<std::size_t>(pair.row.input.channels);
    const auto out = static_cast<std::size_t>(pair.row.output.channels);
    const bool turned = conventions_.backend == "theano";
    const std::vector<double>& from = pair.layer.kernel->values;
    std::vector<double> to;
    to.reserve(from.size());
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < in; ++i) {
        const std::size_t source = order.empty() ? i : order[i];
        for (std::size_t k = 0; k < 27; ++k) {
          const std::size_t place = spatial({k / 9, k / 3 % 3, k % 3}, {3, 3, 3}, turned);
          to.push_back(kernels_ == KerasKernel::kChannelsFirst
                           ? from[(o * in + source) * 27 + place]
                           : from[(place * in + source) * out + o]);
        }
      }
    }
    return to;
  }

  /// `maps`: what was flattened before this layer, or nothing.
  std::vector<double> dense(const LayerPair& pair, const LayerShape* maps) const {
    const std::vector<std::size_t> order =
        maps == nullptr ? input_channels(options_, pair.row.name, conventions_) : flattened(*maps);
    const auto in = static_cast<std::size_t>(pair.row.input.elements());
    const auto out = static_cast<std::size_t>(pair.row.output.channels);
    const std::vector<double>& from = pair.layer.kernel->values;
    std::vector<double> to(from.size());
    for (std::size_t i = 0; i < in; ++i) {
      const std::size_t source = order.empty() ? i : order[i];
      for (std::size_t o = 0; o < out; ++o) to[o * in + i] = from[source * out + o];
    }
    return to;
  }

 private:
  using Index = std::array<std::size_t, 3>;

  /// Offset in their array of the voxel that is `zyx` in ours, of size `size` (z, y, x).
  std::size_t spatial(const Index& zyx, const Index& size, bool turned) const {
    std::size_t offset = 0;
    for (std::size_t theirs = 0; theirs < 3; ++theirs) {
      const std::size_t ours = at_.axis[theirs];
      const bool backwards = at_.reversed[theirs] != turned;
      offset = offset * size[ours] + (backwards ? size[ours] - 1 - zyx[ours] : zyx[ours]);
    }
    return offset;
  }

  /// For every feature of ours, (C, Z, Y, X), its row in the file.
  std::vector<std::size_t> flattened(const LayerShape& maps) const {
    const auto channels = static_cast<std::size_t>(maps.channels);
    Index size{};
    for (std::size_t i = 0; i < 3; ++i) size[i] = static_cast<std::size_t>(maps.zyx[i]);
    const std::size_t voxels = size[0] * size[1] * size[2];
    std::vector<std::size_t> rows;
    rows.reserve(channels * voxels);
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t v = 0; v < voxels; ++v) {
        const Index zyx = {v / (size[1] * size[2]), v / size[2] % size[1], v % size[2]};
        const std::size_t place = spatial(zyx, size, false);
        rows.push_back(conventions_.flatten == "channels_first" ? c * voxels + place
                                                                : place * channels + c);
      }
    }
    return rows;
  }

  const NetworkOptions& options_;
  const KerasConventions& conventions_;
  KerasKernel kernels_;
  Orientation at_;
};

void refuse_meaningless(const NetworkOptions& options, const KerasConventions& conventions) {
  const auto refuse = [&](const char* option, const std::string& value, const std::string& why) {
    throw core::UsageError(
        fmt::format("{} {} means nothing for this network: {}", option, value, why),
        "leave it out");
  };
  const bool media = options.architecture == "media2019";
  if (!media && conventions.flatten != "auto") {
    refuse("--flatten", conventions.flatten, options.architecture + " pools, it does not flatten");
  }
  if ((media || options.residual == "none") && conventions.block_concat != "maps-first") {
    refuse("--block-concat", conventions.block_concat, "its blocks concatenate nothing");
  }
  if (options.architecture != "gp_unet" && conventions.skip_concat != "up-first") {
    refuse("--skip-concat", conventions.skip_concat, "only gp_unet has a skip connection");
  }
}

}  // namespace

void KerasConventions::declare(core::CommandLine& line) {
  line.option("--orientation", &orientation,
              "directions of the three array axes of a volume, as nibabel's aff2axcodes: RAS for "
              "arrays (x, y, z), SAR for (z, y, x), LAS where x runs from right to left")
      .unit("CODE")
      .required();
  line.option("--backend", &backend,
              "theano turns kernels (true convolution), tensorflow does not; auto takes the file's "
              "attribute, which Keras 1 did not write")
      .choices({"auto", "theano", "tensorflow"});
  line.option("--flatten", &flatten,
              "media2019: order of the features before the first dense layer; auto takes it from "
              "the model_config of a file of model.save(), or from kernels of Keras 1")
      .choices({"auto", "channels_first", "channels_last"});
  line.option("--block-concat", &block_concat,
              "network.residual = concat: order in which a block's output and input were joined")
      .choices({"maps-first", "input-first"});
  line.option("--skip-concat", &skip_concat,
              "gp_unet: order in which the upsampled maps and the skip were joined")
      .choices({"up-first", "skip-first"});
}

ImportedWeights import_keras(const KerasFile& file, const NetworkOptions& options,
                             const KerasConventions& conventions) {
  refuse_meaningless(options, conventions);
  const Orientation orientation = parse_orientation(conventions.orientation);
  const std::vector<LayerRow> rows = layer_table(options);
  check_reversed(orientation, rows, conventions.orientation);
  const MatchedLayers matched = match_layers(file, rows, options.architecture);
  ImportedWeights imported;
  imported.conventions = conventions;
  imported.conventions.backend = resolve_backend(file, conventions.backend);
  const auto flatten = std::find_if(rows.begin(), rows.end(),
                                    [](const LayerRow& row) { return row.kind == "flatten"; });
  if (flatten != rows.end()) {
    imported.conventions.flatten = resolve_flatten(file, matched.kernels, conventions.flatten);
  }
  const Converter converter(options, imported.conventions, matched.kernels, orientation);
  bool first_dense = flatten != rows.end();
  for (const LayerPair& pair : matched.pairs) {
    ImportedTensor weight{pair.row.name + ".weight", {}, {}, pair.layer.kernel->name};
    if (pair.row.kind == "dense") {
      weight.shape = {pair.row.output.channels, pair.row.input.elements()};
      weight.values = converter.dense(pair, first_dense ? &flatten->input : nullptr);
      first_dense = false;
    } else {
      weight.shape = {pair.row.output.channels, pair.row.input.channels, 3, 3, 3};
      weight.values = converter.convolution(pair);
    }
    imported.tensors.push_back(std::move(weight));
    imported.tensors.push_back({pair.row.name + ".bias",
                                {pair.row.output.channels},
                                pair.layer.bias->values,
                                pair.layer.bias->name});
  }
  return imported;
}

}  // namespace epvs::models
