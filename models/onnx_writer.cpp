#include "models/export_writers.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/version.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

void add_tensor(onnx::GraphProto& graph, const std::string& name, onnx::TensorProto::DataType type,
                const std::vector<std::int64_t>& shape, const std::string& raw) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const std::int64_t n : shape) tensor.add_dims(n);
  tensor.set_raw_data(raw);
}

/// float32; the first dimension is the free batch N.
void describe_value(onnx::ValueInfoProto& value, const std::string& name,
                    const std::vector<std::int64_t>& rest) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t n : rest) tensor.mutable_shape()->add_dim()->set_dim_value(n);
}

/// A node under construction; its name is that of its only output.
class Node {
 public:
  explicit Node(onnx::NodeProto& node) : node_(node) {}
  Node& set(const std::string& name, std::int64_t value) {
    add(name, onnx::AttributeProto::INT).set_i(value);
    return *this;
  }
  Node& set(const std::string& name, const char* value) {
    add(name, onnx::AttributeProto::STRING).set_s(value);
    return *this;
  }
  Node& set(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::AttributeProto& attribute = add(name, onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute.add_ints(value);
    return *this;
  }
  operator std::string() const { return node_.name(); }

 private:
  onnx::AttributeProto& add(const std::string& name, onnx::AttributeProto::AttributeType type) {
    onnx::AttributeProto& attribute = *node_.add_attribute();
    attribute.set_name(name);
    attribute.set_type(type);
    return attribute;
  }
  onnx::NodeProto& node_;
};

/// Adds the operations of the layers; values are names.
class GraphWriter {
 public:
  GraphWriter(const NetworkOptions& options, onnx::GraphProto& graph)
      : options_(options), graph_(graph) {}

  std::string add(const Layer& layer, const std::string& x, const std::string& other) {
    switch (layer.kind) {
      case LayerKind::kConvolution: {
        const std::string y = node("Conv", {x, layer.name + ".weight", layer.name + ".bias"})
                                  .set("kernel_shape", {3, 3, 3})
                                  .set("pads", std::vector<std::int64_t>(6, layer.padding));
        return node("Relu", {y});
      }
      case LayerKind::kMaxPool:
        return node("MaxPool", {x})
            .set("kernel_shape", std::vector<std::int64_t>(3, layer.width))
            .set("strides", std::vector<std::int64_t>(3, layer.width))
            .set("ceil_mode", std::int64_t{layer.ceil});
      case LayerKind::kConcat:
        return node("Concat", {x, other}).set("axis", std::int64_t{1});
      case LayerKind::kUpsample:
        return upsample(x, layer.pad);
      case LayerKind::kGlobalPool: {
        const bool average = options_.pool == GlobalPool::kAverage;
        const std::string pooled =
            flatten(node(average ? "GlobalAveragePool" : "GlobalMaxPool", {x}));
        return node("Mul", {pooled, constant<float>({static_cast<float>(options_.pool_scale)})});
      }
      case LayerKind::kFlatten:
        return flatten(x);
      case LayerKind::kDense: {
        const std::string y = node("Gemm", {x, layer.name + ".weight", layer.name + ".bias"})
                                  .set("transB", std::int64_t{1});
        return layer.relu ? node("Relu", {y}) : y;
      }
    }
    return {};
  }
  /// (N, 1) -> (N)
  std::string squeeze(const std::string& x) {
    return node("Squeeze", {x, constant<std::int64_t>({1})});
  }
  /// A 1x1x1 convolution with the weights of the output layer and no bias.
  std::string attention(const std::string& maps) {
    const std::string shape = constant<std::int64_t>({1, -1, 1, 1, 1});
    return node("Conv", {maps, node("Reshape", {"output.weight", shape})});
  }
  /// Gives a value the name of an output of the graph.
  void output(const std::string& value, const std::string& name,
              const std::vector<std::int64_t>& rest) {
    onnx::NodeProto& node = *graph_.add_node();
    node.add_input(value);
    node.add_output(name);
    node.set_name(name);
    node.set_op_type("Identity");
    describe_value(*graph_.add_output(), name, rest);
  }

 private:
  std::string upsample(const std::string& x, const std::array<std::int64_t, 3>& pad) {
    const std::string up = node("Resize", {x, "", constant<float>({1, 1, 2, 2, 2})})
                               .set("mode", "nearest")
                               .set("nearest_mode", "floor")
                               .set("coordinate_transformation_mode", "asymmetric");
    if (pad == std::array<std::int64_t, 3>{0, 0, 0}) return up;
    const std::string pads = constant<std::int64_t>({0, 0, 0, 0, 0, 0, 0, pad[0], pad[1], pad[2]});
    return node("Pad", {up, pads});
  }
  std::string flatten(const std::string& x) {
    return node("Flatten", {x}).set("axis", std::int64_t{1});
  }
  Node node(const std::string& type, const std::vector<std::string>& inputs) {
    onnx::NodeProto& node = *graph_.add_node();
    for (const std::string& input : inputs) node.add_input(input);
    node.set_name(fmt::format("{}_{}", type, ++count_));
    node.add_output(node.name());
    node.set_op_type(type);
    return Node(node);
  }
  /// A one-dimensional constant.
  template <class T>
  std::string constant(const std::vector<T>& values) {
    const std::string name = fmt::format("constant_{}", ++count_);
    const auto type =
        std::is_same_v<T, float> ? onnx::TensorProto::FLOAT : onnx::TensorProto::INT64;
    add_tensor(graph_, name, type, {std::ssize(values)},
               {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
    return name;
  }

  const NetworkOptions& options_;
  onnx::GraphProto& graph_;
  int count_ = 0;
};

/// Throws unless the tensors are those of the layer table, in count and shape of the layers.
void check_tensors(const SafetensorsHeader& header, const NetworkOptions& options,
                   const fs::path& path) {
  std::map<std::string, std::int64_t> stored;
  for (const TensorEntry& entry : header.tensors) {
    std::int64_t n = 1;
    for (const std::int64_t k : entry.shape) n *= k;
    stored[entry.name.substr(0, entry.name.find('.'))] += n;
  }
  for (const Layer& layer : layers_of(options)) {
    if (layer.parameters != 0 && stored[layer.name] != layer.parameters) {
      throw core::InputError(
          fmt::format("{}: the layer {} has {} parameters in the file, {} in the network it "
                      "describes",
                      path.string(), layer.name, stored[layer.name], layer.parameters));
    }
  }
}

/// The elements as little-endian float32: runtimes have no float64 convolutions.
std::string read_as_float(const fs::path& path, const SafetensorsHeader& header,
                          const TensorEntry& entry) {
  std::string raw(entry.end - entry.begin, '\0');
  read_safetensors_data(path, header, entry, raw.data());
  if (entry.dtype == "F32") return raw;
  if (entry.dtype != "F64") {
    throw core::InputError(fmt::format("{}: tensor {} is of type {}, expected F32 or F64",
                                       path.string(), entry.name, entry.dtype));
  }
  std::vector<double> values(raw.size() / sizeof(double));
  std::memcpy(values.data(), raw.data(), raw.size());
  std::vector<float> narrow;
  for (const double v : values) narrow.push_back(static_cast<float>(v));
  return {reinterpret_cast<const char*>(narrow.data()), narrow.size() * sizeof(float)};
}

void write_network(const NetworkOptions& options, onnx::GraphProto& graph) {
  const auto [z, y, x] = options.input_zyx;
  describe_value(*graph.add_input(), "volume", {1, z, y, x});
  const std::vector<Layer> layers = layers_of(options);
  GraphWriter writer(options, graph);
  std::vector<std::string> values = {"volume"};
  for (const Layer& layer : layers) {
    values.push_back(writer.add(layer, values[layer.inputs.front()], values[layer.inputs.back()]));
  }
  writer.output(writer.squeeze(values.back()), "score", {});
  if (!has_attention(options)) return;
  writer.output(writer.attention(values[last_maps(layers)]), "attention", {1, z, y, x});
}

}  // namespace

void write_onnx(const fs::path& weights, const fs::path& out) {
  const SafetensorsHeader header = read_safetensors_header(weights);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, weights);
  check_tensors(header, metadata.network, weights);
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.set_producer_name("epvs");
  model.set_producer_version(core::kVersion);
  model.add_opset_import()->set_version(13);
  onnx::StringStringEntryProto& description = *model.add_metadata_props();
  description.set_key("epvs");
  description.set_value(header.metadata.at("epvs"));
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name(core::to_text(metadata.network.architecture));
  for (const TensorEntry& entry : header.tensors) {
    add_tensor(graph, entry.name, onnx::TensorProto::FLOAT, entry.shape,
               read_as_float(weights, header, entry));
  }
  write_network(metadata.network, graph);
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    throw core::RunError(fmt::format("{}: larger than the 2 GB that ONNX allows", out.string()),
                         "write TorchScript instead: a name ending in .pt");
  }
  core::write_text(out, bytes);
}

}  // namespace epvs::models
