// Random numbers that depend on (seed, names), never on timing, thread or platform.
//
// The engine is std::mt19937_64, the distributions are Boost.Random's (the standard library's are
// implementation-defined), so a seed gives the same numbers everywhere.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string_view>
#include <vector>

namespace epvs::core {

/// A new seed from a seed and any number of labels, by SplitMix64 over an FNV-1a hash.
/// mix_seed(7, {"epoch", 3, "sub-01"}) is a fixed number.
class SeedPart {
 public:
  template <std::convertible_to<std::string_view> Text>
  SeedPart(const Text& text) : value_(of_text(text)) {}
  SeedPart(std::integral auto number) : value_(static_cast<std::uint64_t>(number)) {}
  std::uint64_t value() const { return value_; }

 private:
  static std::uint64_t of_text(std::string_view text);
  std::uint64_t value_;
};
std::uint64_t mix_seed(std::uint64_t seed, std::initializer_list<SeedPart> parts);

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// Uniform on [low, high).
  double uniform(double low = 0.0, double high = 1.0);
  double normal(double mean = 0.0, double standard_deviation = 1.0);
  /// Uniform on the integers low..high, both included.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool flip(double probability);
  std::int64_t poisson(double mean);
  double gamma(double shape, double scale);
  /// Gamma-Poisson mixture with this mean and variance mean + mean^2 / size.
  std::int64_t negative_binomial(double mean, double size);
  /// A uniformly random order of 0..n-1 (Fisher-Yates).
  std::vector<std::size_t> permutation(std::size_t n);

 private:
  std::mt19937_64 engine_;
};

}  // namespace epvs::core
