#include "tests/unit/models/keras_file_maker.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>

namespace epvs::tests {

namespace {

void write_texts(hid_t object, const std::string& name, const std::vector<std::string>& texts) {
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, width);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  const hsize_t count = texts.size();
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  std::string bytes;
  for (std::string text : texts) {
    text.resize(width, '\0');
    bytes += text;
  }
  const hid_t attribute = H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_GE(H5Awrite(attribute, type, bytes.data()), 0);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void write_values(hid_t group, const KerasWeight& weight) {
  std::vector<hsize_t> extent(weight.shape.begin(), weight.shape.end());
  std::size_t count = 1;
  for (const hsize_t n : extent) count *= static_cast<std::size_t>(n);
  const std::vector<double> values(count, weight.value);
  const hid_t space = H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t dataset =
      H5Dcreate2(group, weight.name.c_str(), weight.is_integer ? H5T_STD_I32LE : H5T_IEEE_F32LE,
                 space, links, H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(dataset);
  H5Pclose(links);
  H5Sclose(space);
}

}  // namespace

void write_keras_file(const std::filesystem::path& path, const KerasPlan& plan) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  const hid_t root =
      plan.root == "/" ? H5Gopen2(file, "/", H5P_DEFAULT)
                       : H5Gcreate2(file, plan.root.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  std::vector<std::string> layers;
  for (const KerasWeight& weight : plan.weights) {
    if (layers.empty() || layers.back() != weight.layer) layers.push_back(weight.layer);
  }
  for (const std::string& layer : layers) {
    const hid_t group = H5Gcreate2(root, layer.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    std::vector<std::string> names;
    for (const KerasWeight& weight : plan.weights) {
      if (weight.layer != layer) continue;
      names.push_back(weight.name);
      write_values(group, weight);
    }
    write_texts(group, "weight_names", names);
    H5Gclose(group);
  }
  if (plan.parted_names) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      write_texts(root, "layer_names" + std::to_string(i), {layers[i]});
    }
  } else if (plan.layer_names) {
    write_texts(root, "layer_names", layers);
  }
  if (!plan.backend.empty()) write_texts(root, "backend", {plan.backend});
  if (!plan.model_config.empty()) write_texts(file, "model_config", {plan.model_config});
  H5Gclose(root);
  H5Fclose(file);
}

std::vector<KerasWeight> plain_gp_unet(std::int64_t f) {
  std::vector<KerasWeight> weights;
  int number = 0;
  const auto add = [&](std::int64_t in, std::int64_t out) {
    const std::string name = "conv3d_" + std::to_string(++number);
    weights.push_back({name, name + "/kernel:0", {3, 3, 3, in, out}});
    weights.push_back({name, name + "/bias:0", {out}});
  };
  add(1, f);
  add(f, f);
  add(f, 2 * f);
  add(2 * f, 2 * f);
  add(3 * f, f);
  weights.push_back({"dense_1", "dense_1/kernel:0", {f, 1}});
  weights.push_back({"dense_1", "dense_1/bias:0", {1}});
  return weights;
}

}  // namespace epvs::tests
