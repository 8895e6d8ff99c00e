#include "tests/support/damaged_cohort.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <array>
#include <cmath>

namespace epvs::tests {

void put_nan(const std::filesystem::path& cohort, const std::string& region, std::size_t row) {
  const hid_t file = H5Fopen(cohort.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, ("/regions/" + region + "/roi").c_str(), H5P_DEFAULT);
  const hid_t space = H5Dget_space(dataset);
  const std::array<hsize_t, 4> start = {row, 0, 0, 0};
  const std::array<hsize_t, 4> count = {1, 1, 1, 1};
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
  const hid_t one = H5Screate_simple(4, count.data(), nullptr);
  const float value = std::nanf("");
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_FLOAT, one, space, H5P_DEFAULT, &value), 0);
  H5Sclose(one);
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(file);
}

}  // namespace epvs::tests
