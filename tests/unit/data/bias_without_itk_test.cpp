// What an epvs without ITK says to --bias-correction n4.
#include "core/error.h"
#include "data/prepare/registration/bias.h"
#include "data/prepare/stages/shared_inputs.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

TEST(Bias, NeedsItk) {
  PrepareOptions options;
  options.bias_correction = BiasCorrection::kN4;
  tests::expect_error<core::UsageError>(
      [&] { read_shared_inputs(options); },
      {"built without ITK", "--bias-correction n4", "leave it out"});
  EXPECT_THROW(correct_bias(Volume<float>()), core::UsageError);
}

}  // namespace
}  // namespace epvs::data
