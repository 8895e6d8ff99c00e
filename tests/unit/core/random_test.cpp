#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace epvs::core {
namespace {

TEST(Seeds, DependOnEveryPartAndOnTheirOrder) {
  std::set<std::uint64_t> seeds;
  seeds.insert(mix_seed(1, {"a", 1, "sub-01"}));
  seeds.insert(mix_seed(2, {"a", 1, "sub-01"}));
  seeds.insert(mix_seed(1, {"b", 1, "sub-01"}));
  seeds.insert(mix_seed(1, {"a", 2, "sub-01"}));
  seeds.insert(mix_seed(1, {"a", 1, "sub-02"}));
  seeds.insert(mix_seed(1, {1, "a", "sub-01"}));
  seeds.insert(mix_seed(1, {"a", 1}));
  EXPECT_EQ(seeds.size(), 7U);
  EXPECT_EQ(mix_seed(1, {"a", 1}), mix_seed(1, {std::string("a"), std::int64_t{1}}));
}

TEST(Random, MersenneTwisterGivesThePublishedValue) {
  // The C++ standard fixes the 10000th value of a default-constructed mt19937_64.
  std::mt19937_64 engine;
  engine.discard(9999);
  EXPECT_EQ(engine(), 9981545732273789042ULL);
}

TEST(Random, MomentsAreThoseOfTheDistributions) {
  Random random(11);
  constexpr int kN = 200000;
  const auto moments = [&](const auto& draw) {
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kN; ++i) {
      const double x = draw();
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kN;
    return std::pair(mean, squares / kN - mean * mean);
  };
  const auto check = [](std::pair<double, double> found, double mean, double variance) {
    const double se = std::sqrt(variance / kN);
    EXPECT_NEAR(found.first, mean, 5 * se);
    EXPECT_NEAR(found.second, variance, 0.03 * variance);
  };
  check(moments([&] { return random.uniform(-1, 3); }), 1.0, 16.0 / 12.0);
  check(moments([&] { return random.normal(2, 3); }), 2.0, 9.0);
  check(moments([&] { return static_cast<double>(random.poisson(4.5)); }), 4.5, 4.5);
  check(moments([&] { return random.gamma(2, 3); }), 6.0, 18.0);
  check(moments([&] { return static_cast<double>(random.negative_binomial(5, 2)); }), 5.0,
        5.0 + 25.0 / 2.0);
  check(moments([&] { return static_cast<double>(random.integer(1, 6)); }), 3.5, 35.0 / 12.0);
  check(moments([&] { return random.flip(0.3) ? 1.0 : 0.0; }), 0.3, 0.21);
}

TEST(Random, PermutationsAreUniformOverAllOrders) {
  Random random(5);
  std::map<std::vector<std::size_t>, int> counts;
  constexpr int kN = 60000;
  for (int i = 0; i < kN; ++i) ++counts[random.permutation(4)];
  EXPECT_EQ(counts.size(), 24U);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, kN / 24.0, 5 * std::sqrt(kN / 24.0));
}

}  // namespace
}  // namespace epvs::core
