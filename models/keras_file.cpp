#include "models/keras_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/files.h"
#include "data/cohort/hdf5_support.h"

namespace epvs::models {

namespace fs = std::filesystem;
using data::Handle;

namespace {

[[noreturn]] void damaged(const fs::path& path, const std::string& what) {
  throw core::InputError(
      fmt::format("{}: cannot read {} ({})", path.string(), what, data::hdf5_reason()),
      "the file is damaged or cut short: copy it again");
}

[[noreturn]] void not_keras(const fs::path& path, const std::string& reason) {
  throw core::InputError(fmt::format("{} holds no weights of Keras: {}", path.string(), reason),
                         "give the .h5 of model.save_weights() or model.save()");
}

/// The texts of a scalar or one-dimensional attribute, of fixed or variable length.
std::vector<std::string> attribute_texts(hid_t object, const std::string& name,
                                         const fs::path& path) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  if (!attribute.valid()) damaged(path, "the attribute " + name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  if (H5Tget_class(type.id()) != H5T_STRING) {
    // h5py writes an empty list, which has no texts to tell its type, as an array of numbers.
    if (H5Sget_simple_extent_npoints(space.id()) == 0) return {};
    not_keras(path, "the attribute " + name + " is not text");
  }
  const auto count =
      static_cast<std::size_t>(std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.id())));
  std::vector<std::string> texts;
  if (count == 0) return texts;
  if (H5Tis_variable_str(type.id()) > 0) {
    std::vector<char*> pointers(count, nullptr);
    if (H5Aread(attribute.id(), type.id(), pointers.data()) < 0) damaged(path, name);
    for (char* pointer : pointers) texts.emplace_back(pointer == nullptr ? "" : pointer);
    H5Dvlen_reclaim(type.id(), space.id(), H5P_DEFAULT, pointers.data());
    return texts;
  }
  const std::size_t width = H5Tget_size(type.id());
  std::vector<char> bytes(count * width);
  if (H5Aread(attribute.id(), type.id(), bytes.data()) < 0) damaged(path, name);
  for (std::size_t i = 0; i < count; ++i) {
    const char* text = bytes.data() + i * width;
    texts.emplace_back(text, ::strnlen(text, width));
  }
  return texts;
}

std::string optional_text(hid_t object, const std::string& name, const fs::path& path) {
  if (H5Aexists(object, name.c_str()) <= 0) return {};
  const std::vector<std::string> texts = attribute_texts(object, name, path);
  return texts.empty() ? "" : texts.front();
}

/// Keras cuts a list that is too long for one attribute into NAME0, NAME1, ...
std::vector<std::string> name_list(hid_t object, const std::string& name, const fs::path& path) {
  if (H5Aexists(object, name.c_str()) > 0) return attribute_texts(object, name, path);
  std::vector<std::string> all;
  for (int part = 0; H5Aexists(object, fmt::format("{}{}", name, part).c_str()) > 0; ++part) {
    for (std::string& text : attribute_texts(object, fmt::format("{}{}", name, part), path)) {
      all.push_back(std::move(text));
    }
  }
  return all;
}

bool has_names(hid_t object) {
  return H5Aexists(object, "layer_names") > 0 || H5Aexists(object, "layer_names0") > 0;
}

bool has_group(hid_t object, const std::string& name) {
  return H5Lexists(object, name.c_str(), H5P_DEFAULT) > 0;
}

KerasTensor read_tensor(hid_t group, const std::string& layer, const std::string& name,
                        KerasFile& file) {
  const fs::path path = file.path;
  KerasTensor tensor{layer, name, {}, {}};
  const Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) {
    damaged(path, fmt::format("the weights {} that the layer {} lists", name, layer));
  }
  const Handle type(H5Dget_type(dataset.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_FLOAT) {
    not_keras(path, fmt::format("{} is not of floating point", name));
  }
  file.is_double = file.is_double || H5Tget_size(type.id()) > sizeof(float);
  const Handle space(H5Dget_space(dataset.id()), H5Sclose);
  std::vector<hsize_t> extent(
      static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space.id()))));
  H5Sget_simple_extent_dims(space.id(), extent.data(), nullptr);
  std::size_t count = 1;
  for (const hsize_t n : extent) {
    tensor.shape.push_back(static_cast<std::int64_t>(n));
    count *= static_cast<std::size_t>(n);
  }
  tensor.values.resize(count);
  if (H5Dread(dataset.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
              tensor.values.data()) < 0) {
    damaged(path, name);
  }
  const auto bad = std::count_if(tensor.values.begin(), tensor.values.end(),
                                 [](double v) { return !std::isfinite(v); });
  if (bad != 0) {
    throw core::InputError(fmt::format("{}: {} of the {} values of {} are not finite",
                                       path.string(), bad, count, name),
                           "the training that wrote it diverged: take an earlier checkpoint");
  }
  return tensor;
}

core::Json parse_config(const std::string& text, const fs::path& path) {
  if (text.empty()) return nullptr;
  core::Json document = core::Json::parse(text, nullptr, false);
  if (document.is_discarded()) not_keras(path, "its model_config is not JSON");
  return document;
}

}  // namespace

KerasFile read_keras_file(const fs::path& path) {
  core::require_exists(path, "weights file");
  const data::Hdf5Lock lock;
  const Handle root(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!root.valid()) {
    throw core::InputError(
        fmt::format("{} is no HDF5 file, or is cut short ({})", path.string(), data::hdf5_reason()),
        "give the .h5 of model.save_weights() or model.save(); a .keras file is a zip archive: "
        "load it in Keras and call model.save_weights('weights.h5')");
  }
  KerasFile file;
  file.path = path.string();
  const bool inner = !has_names(root.id()) && has_group(root.id(), "model_weights");
  const Handle weights(H5Gopen2(root.id(), inner ? "model_weights" : "/", H5P_DEFAULT), H5Gclose);
  if (!weights.valid()) damaged(path, "the group model_weights");
  if (!has_names(weights.id())) {
    not_keras(path, "it has no attribute layer_names, at its root or in the group model_weights");
  }
  for (const hid_t place : {root.id(), weights.id()}) {
    if (file.keras_version.empty()) {
      file.keras_version = optional_text(place, "keras_version", path);
    }
    if (file.backend.empty()) file.backend = optional_text(place, "backend", path);
  }
  file.model_config = parse_config(optional_text(root.id(), "model_config", path), path);
  for (const std::string& layer : name_list(weights.id(), "layer_names", path)) {
    const Handle group(H5Gopen2(weights.id(), layer.c_str(), H5P_DEFAULT), H5Gclose);
    if (!group.valid()) damaged(path, "the layer " + layer + " that layer_names lists");
    for (const std::string& name : name_list(group.id(), "weight_names", path)) {
      file.tensors.push_back(read_tensor(group.id(), layer, name, file));
    }
  }
  return file;
}

}  // namespace epvs::models
