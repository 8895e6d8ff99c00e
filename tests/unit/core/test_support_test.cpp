// What the tests themselves stand on: a test may skip only where nothing says that it must not.
#include <gtest/gtest-spi.h>

#include <cstdlib>

#include "tests/support/test_support.h"

namespace epvs::tests {
namespace {

class MustHave : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"CI", "EPVS_REQUIRE", "EPVS_TEST_DATA"}) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value == nullptr ? std::optional<std::string>() : value);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

TEST_F(MustHave, NothingUnlessSomethingSaysSo) {
  EXPECT_FALSE(must_have("elastix"));
  ::setenv("CI", "true", 1);
  EXPECT_TRUE(must_have("elastix"));
  EXPECT_FALSE(must_have("gpu"));
  EXPECT_FALSE(must_have("data"));
  ::setenv("EPVS_REQUIRE", "data,gpu", 1);
  EXPECT_TRUE(must_have("gpu"));
  EXPECT_TRUE(must_have("data"));
  EXPECT_FALSE(must_have("elastix"));
  ::setenv("EPVS_REQUIRE", "all", 1);
  EXPECT_TRUE(must_have("anything"));
  ::unsetenv("EPVS_REQUIRE");
  ::setenv("EPVS_TEST_DATA", "/nowhere", 1);
  EXPECT_TRUE(must_have("data"));
}

TEST_F(MustHave, SkippingThenFails) {
  ::setenv("EPVS_REQUIRE", "elastix", 1);
  EXPECT_FATAL_FAILURE(EPVS_SKIP_WITHOUT("elastix", "elastix is not installed"),
                       "elastix is not installed; EPVS_REQUIRE or CI says that it must be there");
}

}  // namespace
}  // namespace epvs::tests
