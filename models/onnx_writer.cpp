#include "models/onnx_writer.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/version.h"
#include "models/export_graph.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"

namespace epvs::models {

namespace fs = std::filesystem;

namespace {

/// One protobuf message under construction (https://protobuf.dev/programming-guides/encoding).
class Message {
 public:
  Message& integer(int field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& real(int field, float value) {
    key(field, 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Message& text(int field, const std::string& value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) {
    varint(static_cast<std::uint64_t>(field) << 3U | static_cast<std::uint64_t>(wire_type));
  }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// Field numbers and codes of onnx.proto.
constexpr int kFloat = 1;
constexpr int kInt64 = 7;

Message integer_attribute(const std::string& name, std::int64_t value) {
  return Message().text(1, name).integer(3, value).integer(20, 2);
}
Message text_attribute(const std::string& name, const std::string& value) {
  return Message().text(1, name).text(4, value).integer(20, 3);
}
Message list_attribute(const std::string& name, const std::vector<std::int64_t>& values) {
  Message m;
  m.text(1, name);
  for (const std::int64_t value : values) m.integer(8, value);
  return m.integer(20, 7);
}

/// ValueInfoProto; the first dimension is the free batch N.
Message value_info(const std::string& name, int type, const std::vector<std::int64_t>& rest) {
  Message shape;
  shape.message(1, Message().text(2, "N"));
  for (const std::int64_t n : rest) shape.message(1, Message().integer(1, n));
  const Message tensor = Message().integer(1, type).message(2, shape);
  return Message().text(1, name).message(2, Message().message(1, tensor));
}

class OnnxEmitter : public GraphEmitter {
 public:
  void tensor(const std::string& name, int type, const std::vector<std::int64_t>& shape,
              const std::string& raw) {
    Message m;
    for (const std::int64_t n : shape) m.integer(1, n);
    m.integer(2, type).text(8, name).text(9, raw);
    graph_.message(5, m);
  }

  Value convolution(const Value& x, const std::string& layer, int padding) override {
    const Value y = node("Conv", {x, layer + ".weight", layer + ".bias"},
                         {list_attribute("kernel_shape", {3, 3, 3}),
                          list_attribute("pads", std::vector<std::int64_t>(6, padding))});
    return node("Relu", {y}, {});
  }
  Value max_pool(const Value& x, std::int64_t width, bool ceil) override {
    return node("MaxPool", {x},
                {list_attribute("kernel_shape", {width, width, width}),
                 list_attribute("strides", {width, width, width}),
                 integer_attribute("ceil_mode", ceil ? 1 : 0)});
  }
  Value concat(const Value& a, const Value& b) override {
    return node("Concat", {a, b}, {integer_attribute("axis", 1)});
  }
  Value upsample(const Value& x, const std::array<std::int64_t, 3>& pad) override {
    const Value scales = constant<float>(kFloat, {1, 1, 2, 2, 2});
    const Value up =
        node("Resize", {x, "", scales},
             {text_attribute("mode", "nearest"), text_attribute("nearest_mode", "floor"),
              text_attribute("coordinate_transformation_mode", "asymmetric")});
    if (pad == std::array<std::int64_t, 3>{0, 0, 0}) return up;
    const Value pads =
        constant<std::int64_t>(kInt64, {0, 0, 0, 0, 0, 0, 0, pad[0], pad[1], pad[2]});
    return node("Pad", {up, pads}, {});
  }
  Value global_pool(const Value& x, const std::string& kind, double scale) override {
    const Value pooled =
        flatten(node(kind == "avg" ? "GlobalAveragePool" : "GlobalMaxPool", {x}, {}));
    const Value factor = constant<float>(kFloat, {static_cast<float>(scale)});
    return node("Mul", {pooled, factor}, {});
  }
  Value flatten(const Value& x) override {
    return node("Flatten", {x}, {integer_attribute("axis", 1)});
  }
  Value dense(const Value& x, const std::string& layer, bool relu) override {
    const Value y =
        node("Gemm", {x, layer + ".weight", layer + ".bias"}, {integer_attribute("transB", 1)});
    return relu ? node("Relu", {y}, {}) : y;
  }
  Value squeeze(const Value& x) override {
    return node("Squeeze", {x, constant<std::int64_t>(kInt64, {1})}, {});
  }
  Value attention(const Value& maps, const std::string& layer) override {
    // A 1x1x1 convolution with the weights of the dense layer and no bias.
    const Value shape = constant<std::int64_t>(kInt64, {1, -1, 1, 1, 1});
    return node("Conv", {maps, node("Reshape", {layer + ".weight", shape}, {})}, {});
  }
  /// Gives a value the name of an output.
  void output(const Value& value, const std::string& name, const std::vector<std::int64_t>& rest) {
    graph_.message(1, Message().text(1, value).text(2, name).text(3, name).text(4, "Identity"));
    graph_.message(12, value_info(name, kFloat, rest));
  }
  Message& graph() { return graph_; }

 private:
  Value node(const std::string& type, const std::vector<Value>& inputs,
             const std::vector<Message>& attributes) {
    const Value name = fmt::format("{}_{}", type, ++count_);
    Message m;
    for (const Value& input : inputs) m.text(1, input);
    m.text(2, name).text(3, name).text(4, type);
    for (const Message& a : attributes) m.message(5, a);
    graph_.message(1, m);
    return name;
  }
  /// A one-dimensional constant.
  template <class T>
  Value constant(int type, const std::vector<T>& values) {
    const Value name = fmt::format("constant_{}", ++count_);
    tensor(name, type, {static_cast<std::int64_t>(values.size())},
           std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
    return name;
  }

  int count_ = 0;
  Message graph_;
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
  for (const LayerRow& row : layer_table(options)) {
    if (row.parameters != 0 && stored[row.name] != row.parameters) {
      throw core::InputError(
          fmt::format("{}: the layer {} has {} parameters in the file, {} in the "
                      "network it describes",
                      path.string(), row.name, stored[row.name], row.parameters));
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

}  // namespace

void write_onnx(const fs::path& weights, const fs::path& out) {
  const SafetensorsHeader header = read_safetensors_header(weights);
  const WeightsMetadata metadata = parse_weights_metadata(header.metadata, weights);
  check_tensors(header, metadata.network, weights);
  OnnxEmitter emitter;
  for (const TensorEntry& entry : header.tensors) {
    emitter.tensor(entry.name, kFloat, entry.shape, read_as_float(weights, header, entry));
  }
  const auto [z, y, x] = metadata.network.input_zyx;
  emitter.graph().text(2, metadata.network.architecture);
  emitter.graph().message(11, value_info("volume", kFloat, {1, z, y, x}));
  const GraphOutputs outputs = emit_network(metadata.network, emitter, "volume");
  emitter.output(outputs.score, "score", {});
  if (!outputs.attention.empty()) emitter.output(outputs.attention, "attention", {1, z, y, x});

  Message model;
  model.integer(1, 7)
      .text(2, "epvs")
      .text(3, core::kVersion)
      .message(7, emitter.graph())
      .message(8, Message().text(1, "").integer(2, 13))
      .message(14, Message().text(1, "epvs").text(2, header.metadata.at("epvs")));
  core::write_text(out, model.bytes());
}

}  // namespace epvs::models
